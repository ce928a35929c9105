//! The gate in front of the site: carries out what `anteroom_core::gate` decides.

use super::scene::{self, Shown as Showing};
use super::{Visit, form, held, now, passes, reporter, turns, upstream};
use crate::boards::Held;
use crate::rooms::Rooms;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{
    End, Facts, GuardedRoom, Known, Own, Passage, Passed, Place, Scene, Shown, Step, TOKEN_PARAMETER, Visit as Steps,
    Visitor, carry, escaped, way_back_of, with_ours, with_parameter,
};
use anteroom_core::refusal::Refusal;
use anteroom_core::status::{self, FromBoard};
use anteroom_core::token::WaitingClaims;
use serde_json::Value;
use worker::{Result, web_sys};

pub(super) async fn answer(visit: &Visit<'_>) -> Result<web_sys::Response> {
    let mut values = Vec::new();
    for name in Facts::HEADERS.iter().filter(|name| **name != "host") {
        values.extend(visit.headers.get(name)?.map(|value| (*name, upstream::one_jar(name, value))));
    }
    let mut facts = Facts::new(visit.method, visit.address.target);
    // The runtime has made the address of the request out of it, once and for everybody.
    facts.header("host", visit.address.host);
    values.iter().for_each(|(name, value)| facts.header(name, value));
    let Some(rooms) = held::rooms(visit).await else {
        return scene::show(visit, &facts, None, Showing::of(Scene::Held));
    };
    match Own::of(facts.path) {
        None => {
            let judged = judge(visit, &rooms, &facts).await;
            finish(visit, &facts, judged).await
        }
        Some(Own::Wait) => wait(visit, &rooms, &facts).await,
        Some(own @ (Own::Enter | Own::Leave | Own::Join)) if visit.method == "POST" => {
            form::answer(visit, &rooms, &facts, own).await
        }
        Some(Own::Enter | Own::Leave | Own::Join) => {
            let refusal = Refusal::from(ErrorCode::MethodNotAllowed);
            visit.call.refuse_with(&refusal, [("allow", "POST".to_owned())])
        }
        // Forward authentication is the origin's, beside the proxy that asks.
        Some(Own::Check | Own::Api) => visit.call.refuse(&ErrorCode::NotFound.into()),
    }
}

/// What has become of a request, and everything that is known for the answer.
struct Judged<'a> {
    /// How it goes to the site; it is answered here otherwise.
    passed: Option<Passed>,
    room: Option<&'a GuardedRoom>,
    shown: Showing,
}

/// Shows what was decided, or goes to the site.
async fn finish(visit: &Visit<'_>, facts: &Facts<'_>, judged: Judged<'_>) -> Result<web_sys::Response> {
    let Judged { passed, room, mut shown } = judged;
    if let Some(Passed { passage: Passage { session, .. }, .. }) = passed {
        let Some(site) = visit.settings.upstream.as_deref() else {
            return visit.call.refuse(&ErrorCode::NotFound.into());
        };
        match upstream::ask(visit, site, facts, session.as_ref()).await? {
            Ok(answer) => {
                if let Some(session) = session.filter(|_| answer.ends_session) {
                    shown.given = carry::forgotten(&session.event);
                    turns::end(visit, session);
                }
                return answer.for_visitor(site, shown.given);
            }
            Err(code) => shown.scene = Some(Scene::Refused(code)),
        }
    }
    scene::show(visit, facts, room, shown)
}

/// Judges a request: does what is to be done until something can be shown or the site be asked.
async fn judge<'a>(visit: &Visit<'_>, rooms: &'a Rooms, facts: &Facts<'_>) -> Judged<'a> {
    let route = rooms.gate.route(facts);
    let room = route.guarding();
    let (visitor, board, known) = match room {
        Some(room) => recognise(visit, rooms, facts, room).await,
        None => (Visitor::default(), Held::Nothing, Known { now: now(), generation: None, away_ms: 0 }),
    };
    let mut shown = Showing::default();
    let mut steps = Steps::begin(route, facts.client(), visitor, known);
    while let Some(step) = steps.next() {
        match step {
            Step::Renew(session) => {
                let news = reporter::renewed(visit, session).await;
                steps.renewed(news);
            }
            Step::LookUp(claims, token) => {
                let (place, status) = look_up(visit, &board, claims, token).await;
                (shown.place, shown.status) = (Some(claims.clone()), status);
                steps.found(place);
            }
            Step::Join(room) => {
                let joined = turns::join(visit, &room.event).await;
                if let Ok((given, answer)) = &joined {
                    shown.place = visit.settings.keys.verify(&given.token).ok();
                    shown.status = Some(status_of(&board, shown.place.as_ref(), answer));
                }
                steps.joined(joined.map(|(given, _)| given));
            }
            Step::Enter(token) => {
                let entered = turns::enter(visit, token).await;
                steps.entered(entered);
            }
        }
    }
    match steps.end(|session| visit.settings.keys.sign_session(session)) {
        End::Pass(mut passed) => {
            if let Some(session) = passed.passage.session.as_ref().filter(|_| passed.passage.renew) {
                reporter::renew(visit, session);
            }
            let shown = Showing { given: std::mem::take(&mut passed.given), ..Showing::default() };
            Judged { passed: Some(passed), room, shown }
        }
        End::Show { scene, by_hand, given, .. } => {
            Judged { passed: None, room, shown: Showing { scene: Some(scene), by_hand, given, ..shown } }
        }
    }
}

/// Who the request proves to come from, what is newer than the token of a session, and what is known of the room.
async fn recognise<'f>(
    visit: &Visit<'_>,
    rooms: &Rooms,
    facts: &Facts<'f>,
    room: &GuardedRoom,
) -> (Visitor<'f>, Held, Known) {
    let event = &room.event;
    let mut visitor = Visitor::verify(&Shown::find(facts, event), &visit.settings.keys, event);
    for pass in std::mem::take(&mut visitor.passes) {
        if let Some(claims) = passes::verify(pass, rooms).await {
            visitor.take_pass(&claims, event, now());
        }
    }
    if let Some(session) = &visitor.session {
        visitor.learn(reporter::news(session));
    }
    // Whoever is inside does not wait for a board.
    let board = held::board(visit, event, visitor.session.is_none()).await;
    let generation = match &board {
        Held::Board { board, .. } => Some(board.public().generation),
        Held::NoEvent | Held::Nothing => None,
    };
    let away_ms = held::with_boards(|boards| boards.away_ms(event, now()));
    (visitor, board, Known { now: now(), generation, away_ms })
}

/// Where a place stands, and the status answer that says so. Every look is the heartbeat of its holder.
async fn look_up(visit: &Visit<'_>, board: &Held, claims: &WaitingClaims, token: &str) -> (Place, Option<Value>) {
    if let Held::Board { board, stale, .. } = board {
        match status::from_board(board.public(), board.as_of(), *stale, claims, now()) {
            FromBoard::Reply(reply) => {
                reporter::heard(visit, claims, board);
                return (Place::of(Ok(reply.status)), serde_json::to_value(&reply).ok());
            }
            FromBoard::Refuse(code) => return (Place::of(Err(code)), None),
            FromBoard::Ask => {}
        }
    }
    match turns::status(visit, token).await {
        Ok(status) => {
            let said = status.get("status").and_then(Value::as_str);
            (said.map_or(Place::Unknown, |said| Place::of(Ok(said))), Some(status))
        }
        Err(code) => (Place::of(Err(code)), None),
    }
}

/// The status answer of a place that was given a moment ago.
fn status_of(board: &Held, claims: Option<&WaitingClaims>, answer: &Value) -> Value {
    let from_board = match (board, claims) {
        (Held::Board { board, stale, .. }, Some(claims)) => {
            match status::from_board(board.public(), board.as_of(), *stale, claims, now()) {
                FromBoard::Reply(reply) => serde_json::to_value(&reply).ok(),
                FromBoard::Refuse(_) | FromBoard::Ask => None,
            }
        }
        _ => None,
    };
    let mut status = from_board.unwrap_or_else(|| answer.clone());
    // The origin's numbers are of this moment.
    if let (Value::Object(status), Value::Object(answer)) = (&mut status, answer) {
        for name in ["status", "position", "eta_sec", "eta_low_sec", "eta_high_sec", "eta_confidence", "poll_after_ms"]
        {
            status.extend(answer.get(name).map(|value| (name.to_owned(), value.clone())));
        }
    }
    status
}

/// The waiting page for a proxy that cannot show it in place: what a visit to the address in `to` would be, but that whoever may go in
/// is sent there.
async fn wait(visit: &Visit<'_>, rooms: &Rooms, own: &Facts<'_>) -> Result<web_sys::Response> {
    let to = way_back_of(own.parameter("to"));
    let carried = own.parameter(TOKEN_PARAMETER);
    let visited = with_ours(&to, |name| own.parameter(name));
    let mut facts = own.visiting(&visited);
    facts.method = visit.method;
    let judged = judge(visit, rooms, &facts).await;
    match judged.passed {
        Some(Passed { handed, by_hand, .. }) => {
            // Without a new session the one that is there is carried on.
            let token = handed.as_deref().or(carried).filter(|_| by_hand);
            let to = token.map_or_else(|| to.clone(), |token| with_parameter(&to, TOKEN_PARAMETER, token));
            visit.call.answer(303, leading_to(&to, judged.shown.given), None)
        }
        None => {
            let at = with_parameter("/gate/wait", "to", &escaped(&to));
            scene::show(visit, &facts, judged.room, Showing { at: Some(at), ..judged.shown })
        }
    }
}

/// Headers of an answer that leads on.
pub(super) fn leading_to(to: &str, mut given: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    given.push(("location", to.to_owned()));
    if !given.iter().any(|(name, _)| *name == "cache-control") {
        given.push(("cache-control", "no-store".to_owned()));
    }
    given
}
