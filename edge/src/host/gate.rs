//! The gate in front of the site: carries out what `anteroom_core::gate` decides.

use super::scene::{self, Shown as Showing};
use super::{Visit, form, held, now, passes, reporter, turns, upstream};
use crate::boards::Held;
use crate::renewed::News;
use crate::rooms::Rooms;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{
    Client, Facts, GuardedRoom, Known, Outcome, Own, Passage, Place, Route, Scene, Shown, TOKEN_PARAMETER, Visitor,
    after_enter, after_join, carry, decide, escaped, way_back_of, with_ours, with_parameter,
};
use anteroom_core::refusal::Refusal;
use anteroom_core::status::{self, FromBoard};
use anteroom_core::token::{SessionClaims, WaitingClaims};
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
            let judged = Guest::arrive(visit, &rooms, &facts).await.judge().await;
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
    verdict: Verdict,
    room: Option<&'a GuardedRoom>,
    shown: Showing,
}

enum Verdict {
    /// It goes to the site. With the token of a session that is handed out, and whether the client carries its tokens itself.
    Pass {
        passage: Passage,
        handed: Option<String>,
        by_hand: bool,
    },
    Show,
}

/// Shows what was decided, or goes to the site.
async fn finish(visit: &Visit<'_>, facts: &Facts<'_>, judged: Judged<'_>) -> Result<web_sys::Response> {
    let Judged { verdict, room, mut shown } = judged;
    if let Verdict::Pass { passage: Passage { session, .. }, .. } = verdict {
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

/// A visitor before a room, and what it proves.
struct Guest<'a> {
    visit: &'a Visit<'a>,
    client: Client,
    route: Route<'a>,
    visitor: Visitor<'a>,
    /// The session has been learned of just now: its token is handed out.
    session_is_new: bool,
    board: Held,
    known: Known,
}

impl<'a> Guest<'a> {
    async fn arrive(visit: &'a Visit<'a>, rooms: &'a Rooms, facts: &'a Facts<'a>) -> Self {
        let mut guest = Self {
            visit,
            client: facts.client(),
            route: rooms.gate.route(facts),
            visitor: Visitor::default(),
            session_is_new: false,
            board: Held::Nothing,
            known: Known { now: now(), generation: None, away_ms: 0 },
        };
        if let Route::Guarded(room) = guest.route {
            guest.visitor = Visitor::verify(&Shown::find(facts, &room.event), &visit.settings.keys, &room.event);
            guest.recognise(room, rooms).await;
        }
        guest
    }

    /// Believes passes, and what is newer than the token of the session.
    async fn recognise(&mut self, room: &GuardedRoom, rooms: &Rooms) {
        let (visit, event) = (self.visit, &room.event);
        for pass in std::mem::take(&mut self.visitor.passes) {
            let session = passes::verify(pass, rooms).await.and_then(|claims| claims.session(now()));
            if let Some(session) = session {
                let before = self.visitor.session.clone();
                self.visitor.take_session(session, event, true);
                self.session_is_new |= self.visitor.session != before;
            }
        }
        match self.visitor.session.as_ref().map(reporter::news) {
            Some(News::Extended(session)) => (self.visitor.session, self.session_is_new) = (Some(session), true),
            Some(News::Over) => self.visitor.session = None,
            Some(News::None) | None => {}
        }
        // Whoever is inside does not wait for a board.
        self.board = held::board(visit, event, self.visitor.session.is_none()).await;
        let generation = match &self.board {
            Held::Board { board, .. } => Some(board.public().generation),
            Held::NoEvent | Held::Nothing => None,
        };
        let away_ms = held::with_boards(|boards| boards.away_ms(event, now()));
        self.known = Known { now: now(), generation, away_ms };
    }

    fn decide(&self, place: Place) -> Outcome {
        decide(self.route, self.client, self.visitor.session.as_ref(), place, &self.known)
    }

    /// Decides, and does what is decided until something can be shown or the site be asked.
    async fn judge(self) -> Judged<'a> {
        let Route::Guarded(room) = self.route else {
            return match self.decide(Place::None) {
                Outcome::Pass(passage) => self.pass(None, passage, None, false),
                Outcome::Show(scene) => self.show(None, Showing::of(scene)),
                // Core joins and enters guarded rooms only.
                Outcome::Join | Outcome::Enter => self.show(None, Showing::of(Scene::Held)),
            };
        };
        if let Outcome::Pass(passage) = self.decide(Place::None) {
            let handed = passage.session.clone().filter(|_| self.session_is_new);
            return self.pass(Some(room), passage, handed, self.visitor.session_by_hand);
        }
        let mut shown = Showing::default();
        let mut token = None;
        let mut place = Place::None;
        if let Some((claims, text)) = &self.visitor.place {
            (place, shown.status) = self.look_up(claims, text).await;
            (shown.place, token) = (Some(claims.clone()), Some((*text).to_owned()));
            shown.by_hand = token.clone().filter(|_| self.visitor.place_by_hand);
        }
        let mut next = self.decide(place);
        let by_hand = self.visitor.is_told_session(false, self.client);
        let mut fresh = false;
        // A place, a turn: no visit takes more steps than these two.
        for _ in 0..2 {
            next = match next {
                Outcome::Join => match turns::join(self.visit, &room.event).await {
                    Ok(joined) => {
                        shown.given = carry::place_given(&room.event, &joined.token, &room.settings);
                        shown.place = self.visit.settings.keys.verify(&joined.token).ok();
                        shown.status = self.status_of(shown.place.as_ref(), &joined.answer);
                        shown.by_hand = Some(joined.token.clone());
                        (token, fresh) = (Some(joined.token), true);
                        after_join(&room.settings, Ok(joined.ready), &self.known)
                    }
                    Err(code) => after_join(&room.settings, Err(code), &self.known),
                },
                Outcome::Enter => {
                    let entered = match &token {
                        Some(token) => turns::enter(self.visit, token).await,
                        None => Err(ErrorCode::TokenNotFound),
                    };
                    match after_enter(&room.settings, entered, &self.known) {
                        Outcome::Pass(passage) => {
                            let handed = passage.session.clone();
                            let by_hand = self.visitor.is_told_session(fresh, self.client);
                            return self.pass(Some(room), passage, handed, by_hand);
                        }
                        other => other,
                    }
                }
                Outcome::Pass(passage) => return self.pass(Some(room), passage, None, by_hand),
                Outcome::Show(scene) => {
                    shown.scene = Some(scene);
                    return self.show(Some(room), shown);
                }
            };
        }
        shown.scene = if let Outcome::Show(scene) = next { Some(scene) } else { None };
        self.show(Some(room), shown)
    }

    fn show(&self, room: Option<&'a GuardedRoom>, shown: Showing) -> Judged<'a> {
        Judged { verdict: Verdict::Show, room, shown }
    }

    fn pass(
        &self,
        room: Option<&'a GuardedRoom>,
        passage: Passage,
        handed: Option<SessionClaims>,
        by_hand: bool,
    ) -> Judged<'a> {
        if let Some(session) = passage.session.as_ref().filter(|_| passage.renew) {
            reporter::renew(self.visit, session);
        }
        let handed = handed.map(|session| (self.visit.settings.keys.sign_session(&session), session));
        let given = handed.as_ref().map(|(token, session)| carry::session_given(session, token, by_hand, now()));
        Judged {
            verdict: Verdict::Pass { passage, handed: handed.map(|(token, _)| token), by_hand },
            room,
            shown: Showing { given: given.unwrap_or_default(), ..Showing::default() },
        }
    }

    /// Where a place stands, and the status answer that says so. Every look is the heartbeat of its holder.
    async fn look_up(&self, claims: &WaitingClaims, token: &str) -> (Place, Option<Value>) {
        if let Held::Board { board, stale, .. } = &self.board {
            match status::from_board(board.public(), board.as_of(), *stale, claims, now()) {
                FromBoard::Reply(reply) => {
                    reporter::heard(self.visit, claims, board);
                    return (Place::of(Ok(reply.status)), serde_json::to_value(&reply).ok());
                }
                FromBoard::Refuse(code) => return (Place::of(Err(code)), None),
                FromBoard::Ask => {}
            }
        }
        match turns::status(self.visit, token).await {
            Ok(status) => {
                let said = status.get("status").and_then(Value::as_str);
                (said.map_or(Place::Unknown, |said| Place::of(Ok(said))), Some(status))
            }
            Err(code) => (Place::of(Err(code)), None),
        }
    }

    /// The status answer of a place that was given a moment ago.
    fn status_of(&self, claims: Option<&WaitingClaims>, answer: &Value) -> Option<Value> {
        let from_board = match (&self.board, claims) {
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
            for name in
                ["status", "position", "eta_sec", "eta_low_sec", "eta_high_sec", "eta_confidence", "poll_after_ms"]
            {
                status.extend(answer.get(name).map(|value| (name.to_owned(), value.clone())));
            }
        }
        Some(status)
    }
}

/// The waiting page for a proxy that cannot show it in place: what a visit to the address in `to` would be, but that whoever may go in
/// is sent there.
async fn wait(visit: &Visit<'_>, rooms: &Rooms, own: &Facts<'_>) -> Result<web_sys::Response> {
    let to = way_back_of(own.parameter("to"));
    let carried = own.parameter(TOKEN_PARAMETER);
    let visited = with_ours(&to, |name| own.parameter(name));
    let mut facts = own.visiting(&visited);
    facts.method = visit.method;
    let judged = Guest::arrive(visit, rooms, &facts).await.judge().await;
    match judged.verdict {
        Verdict::Pass { handed, by_hand, .. } => {
            // Without a new session the one that is there is carried on.
            let token = handed.as_deref().or(carried).filter(|_| by_hand);
            let to = token.map_or_else(|| to.clone(), |token| with_parameter(&to, TOKEN_PARAMETER, token));
            visit.call.answer(303, leading_to(&to, judged.shown.given), None)
        }
        Verdict::Show => {
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
