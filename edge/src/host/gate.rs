//! The gate in front of the site: carries out what `anteroom_core::gate` decides.

use super::origin::Ask;
use super::scene::{self, Shown as ShownScene};
use super::{Visit, held, now, passes, reporter, upstream};
use crate::boards::{Board, Held};
use crate::renewed::News;
use crate::rooms::Rooms;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{
    Ended, FORM_MAX, Facts, Form, GuardedRoom, Known, Outcome, Own, Passage, Place, Reads, Route, Scene, Shown,
    Visitor, after_enter, after_join, carry, decide, way_back, way_back_of, with_parameter,
};
use anteroom_core::refusal::Refusal;
use anteroom_core::status::{self, FromBoard};
use anteroom_core::token::{SessionClaims, WaitingClaims};
use anteroom_core::units::EventId;
use serde::Deserialize;
use serde_json::{Value, json};
use worker::js_sys::futures::JsFuture;
use worker::{Result, console_error, web_sys};

/// So long may the origin take to give a place or a turn, milliseconds.
const TIMEOUT_MS: u64 = 8_000;

pub(super) async fn answer(visit: &Visit<'_>) -> Result<web_sys::Response> {
    let mut values = Vec::new();
    for name in Facts::HEADERS.iter().filter(|name| **name != "host") {
        values.extend(visit.headers.get(name)?.map(|value| (*name, value)));
    }
    let mut facts = Facts::new(visit.method, visit.address.target);
    // The runtime has made the address of the request out of it, once and for everybody.
    facts.header("host", visit.address.host);
    values.iter().for_each(|(name, value)| facts.header(name, value));
    let Some(rooms) = held::rooms(visit).await else {
        return scene::show(visit, &facts, None, ShownScene::of(Scene::Held), Vec::new());
    };
    match Own::of(facts.path) {
        None => {
            let to = way_back(visit.address.target);
            let done = Guest::arrive(visit, &rooms, &facts).await?.decide().await?;
            finish(visit, &rooms, &facts, done, &to).await
        }
        Some(Own::Wait) => wait(visit, &rooms, &facts).await,
        Some(Own::Enter | Own::Leave | Own::Join) if visit.method != "POST" => {
            let refusal = Refusal::from(ErrorCode::MethodNotAllowed);
            visit.call.refuse_with(&refusal, [("allow", "POST".to_owned())])
        }
        Some(own @ (Own::Enter | Own::Leave | Own::Join)) => form(visit, &rooms, &facts, own).await,
        // Forward authentication is the origin's, beside the proxy that asks.
        Some(Own::Check | Own::Api) => visit.call.refuse(&ErrorCode::NotFound.into()),
    }
}

/// What came of a visit.
struct Done<'a> {
    outcome: Outcome,
    room: Option<&'a GuardedRoom>,
    /// Headers of the answer, whatever it is: what is handed out.
    given: Vec<(&'static str, String)>,
    /// The status answer of the place, where there is one.
    status: Option<Value>,
    token: Option<String>,
    by_hand: bool,
}

/// Shows what was decided, or goes to the site.
async fn finish(
    visit: &Visit<'_>,
    rooms: &Rooms,
    facts: &Facts<'_>,
    done: Done<'_>,
    to: &str,
) -> Result<web_sys::Response> {
    let Done { outcome, room, mut given, status, token, by_hand } = done;
    let scene = match outcome {
        Outcome::Pass(Passage { session, renew }) => {
            if let Some(session) = session.as_ref().filter(|_| renew) {
                reporter::renew(visit, session);
            }
            let Some(site) = visit.settings.upstream.as_deref() else {
                return visit.call.refuse(&ErrorCode::NotFound.into());
            };
            match upstream::ask(visit, site, facts, session.as_ref()).await? {
                Ok(answer) => {
                    if let Some(session) = session.as_ref().filter(|_| answer.ends_session) {
                        reporter::ended(session);
                        visit.ctx.wait_until(end_session(visit.settings.clone(), session.clone()));
                        given = carry::forgotten(&session.event);
                    }
                    return answer.for_visitor(site, given);
                }
                Err(code) => Scene::Refused(code),
            }
        }
        Outcome::Show(scene) => scene,
        // Both were carried out.
        Outcome::Join | Outcome::Enter => Scene::Held,
    };
    let _ = rooms;
    let shown = ShownScene { status, token, by_hand, to: to.to_owned(), ..ShownScene::of(scene) };
    scene::show(visit, facts, room, shown, given)
}

/// A visitor before a room, and what it proves.
struct Guest<'a> {
    visit: &'a Visit<'a>,
    facts: &'a Facts<'a>,
    route: Route<'a>,
    visitor: Visitor<'a>,
    /// The session has been learned of just now: its token is handed out.
    session_is_new: bool,
    board: Held,
    known: Known,
}

impl<'a> Guest<'a> {
    async fn arrive(visit: &'a Visit<'a>, rooms: &'a Rooms, facts: &'a Facts<'a>) -> Result<Self> {
        let route = rooms.gate.route(facts);
        let mut guest = Self {
            visit,
            facts,
            route,
            visitor: Visitor::default(),
            session_is_new: false,
            board: Held::Nothing,
            known: Known { now: now(), generation: None, away_ms: 0 },
        };
        if let Route::Guarded(room) = route {
            let shown = Shown::find(facts, &room.event);
            guest.recognise(room, rooms, &shown).await;
        }
        Ok(guest)
    }

    async fn recognise(&mut self, room: &GuardedRoom, rooms: &Rooms, shown: &Shown<'a>) {
        let (visit, event) = (self.visit, &room.event);
        self.visitor = Visitor::verify(shown, &visit.settings.keys, event);
        if self.visitor.session.is_none() {
            for pass in self.visitor.passes.clone() {
                let session = passes::verify(pass, rooms).await.and_then(|claims| claims.session(now()));
                if let Some(session) = session {
                    self.visitor.take_session(session, event, true);
                    self.session_is_new = self.visitor.session.is_some();
                }
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

    /// Decides, and does what is decided until something can be shown.
    async fn decide(self) -> Result<Done<'a>> {
        let client = self.facts.client();
        let room = match self.route {
            Route::Guarded(room) => Some(room),
            Route::Through(_) | Route::Open | Route::Refuse(_) => None,
        };
        let mut done = Done {
            outcome: decide(self.route, client, self.visitor.session.as_ref(), Place::None, &self.known),
            room,
            given: Vec::new(),
            status: None,
            token: self.visitor.place.as_ref().map(|(_, token)| (*token).to_owned()),
            by_hand: self.visitor.place_by_hand,
        };
        let Some(room) = room else { return Ok(done) };
        if let Outcome::Pass(Passage { session: Some(session), .. }) = &done.outcome {
            if self.session_is_new {
                done.given = self.session_given(session);
            }
            return Ok(done);
        }
        if let Some((claims, token)) = &self.visitor.place {
            let (place, status) = self.look_up(claims, token).await?;
            done.outcome = decide(self.route, client, self.visitor.session.as_ref(), place, &self.known);
            done.status = status;
        }
        self.carry_out(room, &mut done).await?;
        Ok(done)
    }

    async fn carry_out(&self, room: &GuardedRoom, done: &mut Done<'_>) -> Result<()> {
        if done.outcome == Outcome::Join {
            let joined = join(self.visit, &room.event).await?;
            done.outcome = after_join(
                &room.settings,
                joined.as_ref().map(|joined| joined.ready).map_err(|code| *code),
                &self.known,
            );
            if let Ok(joined) = joined {
                done.given = carry::place_given(&room.event, &joined.token, &room.settings);
                done.status = self.status_of(&joined);
                done.token = Some(joined.token);
                done.by_hand = false;
            }
        }
        if done.outcome == Outcome::Enter {
            let entered = match &done.token {
                Some(token) => enter(self.visit, token).await?,
                None => Err(ErrorCode::TokenNotFound),
            };
            if let Ok(session) = &entered {
                done.given = self.session_given(session);
            }
            done.outcome = after_enter(&room.settings, entered, &self.known);
            if done.outcome == Outcome::Show(Scene::Line) && done.status.is_none() {
                // Ready by the origin's word a moment ago, and not any more: the board has it in a second.
                done.outcome = Outcome::Show(Scene::Held);
            }
        }
        Ok(())
    }

    /// Where a place stands, and the status answer that says so. Every look is the heartbeat of its holder.
    async fn look_up(&self, claims: &WaitingClaims, token: &str) -> Result<(Place, Option<Value>)> {
        if let Held::Board { board, stale, .. } = &self.board {
            match status::from_board(board.public(), board.as_of(), *stale, claims, now()) {
                FromBoard::Reply(reply) => {
                    reporter::heard(self.visit, claims, board)?;
                    return Ok((Place::of(Ok(reply.status)), serde_json::to_value(&reply).ok()));
                }
                FromBoard::Refuse(code) => return Ok((Place::of(Err(code)), None)),
                FromBoard::Ask => {}
            }
        }
        Ok(match ask_status(self.visit, token).await {
            Ok(status) => {
                let place =
                    status.get("status").and_then(Value::as_str).map_or(Place::Unknown, |said| Place::of(Ok(said)));
                (place, Some(status))
            }
            Err(code) => (Place::of(Err(code)), None),
        })
    }

    /// The status answer of a place that was given a moment ago.
    fn status_of(&self, joined: &Joined) -> Option<Value> {
        let claims = self.visit.settings.keys.verify(&joined.token).ok()?;
        let said = |board: &Board, stale| match status::from_board(board.public(), board.as_of(), stale, &claims, now())
        {
            FromBoard::Reply(reply) => serde_json::to_value(&reply).ok(),
            FromBoard::Refuse(_) | FromBoard::Ask => None,
        };
        let from_board = match &self.board {
            Held::Board { board, stale, .. } => said(board, *stale),
            Held::NoEvent | Held::Nothing => None,
        };
        let mut status = from_board.unwrap_or_else(|| joined.answer.clone());
        // The origin's position is the exact one.
        if let (Value::Object(status), Value::Object(answer)) = (&mut status, &joined.answer) {
            for name in
                ["status", "position", "eta_sec", "eta_low_sec", "eta_high_sec", "eta_confidence", "poll_after_ms"]
            {
                status.extend(answer.get(name).map(|value| (name.to_owned(), value.clone())));
            }
        }
        Some(status)
    }

    fn session_given(&self, session: &SessionClaims) -> Vec<(&'static str, String)> {
        let token = self.visit.settings.keys.sign_session(session);
        let by_hand =
            self.visitor.session_by_hand || self.visitor.place_by_hand || self.facts.client().reads == Reads::Data;
        carry::session_given(session, &token, by_hand, now())
    }
}

/// The waiting page for a proxy that cannot show it in place.
async fn wait(visit: &Visit<'_>, rooms: &Rooms, facts: &Facts<'_>) -> Result<web_sys::Response> {
    let to = way_back_of(facts.parameter("to"));
    let facts = facts.visiting(&to);
    let done = Guest::arrive(visit, rooms, &facts).await?.decide().await?;
    match done.outcome {
        Outcome::Pass(_) => visit.call.answer(303, leading_to(&to, done.given), None),
        _ => finish(visit, rooms, &facts, done, &to).await,
    }
}

/// A form of the waiting page.
async fn form(visit: &Visit<'_>, rooms: &Rooms, facts: &Facts<'_>, own: Own) -> Result<web_sys::Response> {
    if !facts.is_own_form() {
        return visit
            .call
            .refuse(&Refusal::new(ErrorCode::Forbidden, "This form was not posted by a page of this site"));
    }
    let Some(form) = read_form(visit).await? else {
        return visit.call.refuse(&ErrorCode::PayloadTooLarge.into());
    };
    let Some(room) = rooms.gate.room(&form.event) else {
        return visit.call.refuse(&ErrorCode::EventNotFound.into());
    };
    let mut facts = facts.visiting(&form.to);
    facts.token = form.token.as_deref().or(facts.token);
    let shown = Shown::find(&facts, &room.event);
    let visitor = Visitor::verify(&shown, &visit.settings.keys, &room.event);
    let by_hand = form.token.is_some();
    match own {
        Own::Leave => {
            let token = visitor.place.as_ref().map(|(_, token)| *token);
            if let Some(token) = token
                && let Err(code) = leave(visit, token).await
            {
                return visit.call.refuse(&code.into());
            }
            let shown = ShownScene { to: form.to.clone(), ..ShownScene::of(Scene::Ended(Ended::Left)) };
            scene::show(visit, &facts, Some(room), shown, carry::forgotten(&room.event))
        }
        Own::Join => {
            let known = Known {
                now: now(),
                generation: None,
                away_ms: held::with_boards(|boards| boards.away_ms(&room.event, now())),
            };
            match join(visit, &room.event).await? {
                Ok(joined) => {
                    let given = carry::place_given(&room.event, &joined.token, &room.settings);
                    let to = if by_hand { with_parameter(&form.to, "anteroom_token", &joined.token) } else { form.to };
                    visit.call.answer(303, leading_to(&to, given), None)
                }
                Err(code) => match after_join(&room.settings, Err(code), &known) {
                    Outcome::Show(scene) => {
                        let shown = ShownScene { to: form.to.clone(), ..ShownScene::of(scene) };
                        scene::show(visit, &facts, Some(room), shown, Vec::new())
                    }
                    _ => visit.call.answer(303, leading_to(&form.to, Vec::new()), None),
                },
            }
        }
        _ => {
            // Whatever comes of it: the page that it leads to shows what is.
            let entered = match &visitor.place {
                Some((_, token)) => enter(visit, token).await?,
                None => Err(ErrorCode::TokenNotFound),
            };
            let mut given = Vec::new();
            let mut to = form.to.clone();
            if let Ok(session) = &entered {
                let token = visit.settings.keys.sign_session(session);
                given = carry::session_given(session, &token, false, now());
                if by_hand {
                    to = with_parameter(&to, "anteroom_token", &token);
                }
            } else if let (true, Some((_, token))) = (by_hand, &visitor.place) {
                to = with_parameter(&to, "anteroom_token", token);
            }
            visit.call.answer(303, leading_to(&to, given), None)
        }
    }
}

/// Headers of an answer that leads on.
fn leading_to(to: &str, mut given: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    given.push(("location", to.to_owned()));
    if !given.iter().any(|(name, _)| *name == "cache-control") {
        given.push(("cache-control", "no-store".to_owned()));
    }
    given
}

/// The form in the body; `None` when it is longer than a form may be.
async fn read_form(visit: &Visit<'_>) -> Result<Option<Form>> {
    let length = visit.headers.get("content-length")?.and_then(|length| length.parse::<usize>().ok());
    if length.is_none_or(|length| length > FORM_MAX) {
        return Ok(None);
    }
    let body = JsFuture::from(visit.request.text()?).await?.as_string().unwrap_or_default();
    Ok((body.len() <= FORM_MAX).then(|| Form::read(&body)))
}

/// A place as the origin has given it.
struct Joined {
    token: String,
    ready: bool,
    answer: Value,
}

async fn join(visit: &Visit<'_>, event: &EventId) -> Result<std::result::Result<Joined, ErrorCode>> {
    let answer = match post(visit, "/api/v1/queue/join", &json!({ "event_id": event })).await {
        Ok(answer) => answer,
        Err(code) => return Ok(Err(code)),
    };
    let token = answer.get("waiting_token").and_then(Value::as_str).map(ToOwned::to_owned);
    let ready = answer.get("status").and_then(Value::as_str) == Some("ready");
    Ok(token.map(|token| Joined { token, ready, answer }).ok_or(ErrorCode::Unavailable))
}

async fn enter(visit: &Visit<'_>, token: &str) -> Result<std::result::Result<SessionClaims, ErrorCode>> {
    #[derive(Deserialize)]
    struct Entered {
        session_token: String,
    }
    let answer = match post(visit, "/api/v1/queue/enter", &json!({ "waiting_token": token })).await {
        Ok(answer) => answer,
        Err(code) => return Ok(Err(code)),
    };
    let session = serde_json::from_value::<Entered>(answer).ok();
    let session = session.and_then(|entered| visit.settings.keys.verify_session(&entered.session_token).ok());
    Ok(session.ok_or_else(|| {
        console_error!(
            "the origin has opened a session without a token that this edge can read: are the secrets the same?"
        );
        ErrorCode::Unavailable
    }))
}

async fn leave(visit: &Visit<'_>, token: &str) -> std::result::Result<(), ErrorCode> {
    post(visit, "/api/v1/queue/leave", &json!({ "waiting_token": token })).await.map(|_| ())
}

async fn ask_status(visit: &Visit<'_>, token: &str) -> std::result::Result<Value, ErrorCode> {
    let ask = || Ask::get(&visit.settings, "/api/v1/queue/status")?.header("authorization", &format!("Bearer {token}"));
    sent(visit, ask()).await
}

async fn post(visit: &Visit<'_>, path: &str, body: &Value) -> std::result::Result<Value, ErrorCode> {
    sent(visit, Ask::post(&visit.settings, path, &body.to_string()).and_then(Ask::with_edge_token)).await
}

/// What the origin answers to a request for a visitor; for every error the code that it names.
async fn sent(visit: &Visit<'_>, ask: Result<Ask<'_>>) -> std::result::Result<Value, ErrorCode> {
    let answer = match ask.and_then(|ask| ask.on_behalf_of(visit)) {
        Ok(ask) => ask.send(TIMEOUT_MS).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) if answer.status < 300 => serde_json::from_str(&answer.body).map_err(|_| ErrorCode::Unavailable),
        Ok(answer) => {
            let named = held::code_of(&answer.body);
            let code = ErrorCode::ALL.iter().find(|code| Some(code.as_str()) == named);
            Err(code.copied().unwrap_or(ErrorCode::Unavailable))
        }
        Err(error) => {
            console_error!("the origin cannot be reached: {error}");
            Err(ErrorCode::Unavailable)
        }
    }
}

/// Tells the origin that a session is over.
async fn end_session(settings: std::rc::Rc<crate::settings::Settings>, session: SessionClaims) {
    let body = json!({ "pass": settings.keys.sign_session(&session) }).to_string();
    let ended =
        async { Ask::post(&settings, "/api/v1/sessions/end", &body)?.with_edge_token()?.send(TIMEOUT_MS).await };
    match ended.await {
        Ok(answer) if answer.status < 300 => {}
        Ok(answer) => console_error!("a session was not ended: the origin answered {}", answer.status),
        Err(error) => console_error!("a session was not ended: {error}"),
    }
}
