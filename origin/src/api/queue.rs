//! Join, status, enter, leave.

use super::shown::waiting_token;
use super::{App, Caller, issue, no_room, personal};
use crate::config::UnknownRooms;
use crate::error::ApiError;
use crate::http::content::{JsonBody, OptionalJsonBody};
use crate::room::{Found, Room, View};
use crate::store::Bound;
use anteroom_core::admission::{self, Door};
use anteroom_core::code::ErrorCode;
use anteroom_core::eta::Eta;
use anteroom_core::line::{Enter, IdemKey, Join, Joined, Leave, Standing};
use anteroom_core::settings::{Settings, rfc3339};
use anteroom_core::status::{self, StatusReply};
use anteroom_core::token::{SessionClaims, WaitingClaims};
use anteroom_core::units::{EventId, Identity, Millis, Position, Slot};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_CACHED: HeaderName = HeaderName::from_static("x-idempotency-cached");
const EXPIRED: &str = "This place in line is over: not heard from in time, the turn missed, or waited past the limit";

#[derive(Deserialize)]
pub struct JoinBody {
    event_id: Option<String>,
    user_id: Option<String>,
}

#[derive(Serialize)]
struct JoinReply<'a> {
    waiting_token: &'a str,
    position_hint: u64,
    status: &'static str,
    position: u64,
    eta_sec: Option<u64>,
    eta_low_sec: Option<u64>,
    eta_high_sec: Option<u64>,
    eta_confidence: Option<f64>,
    poll_after_ms: u64,
    joined_at: String,
}

pub async fn join(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<JoinBody>,
) -> Result<Response, ApiError> {
    let event = event_id(body.event_id.as_deref())?;
    let label =
        body.user_id.as_deref().map(|text| EventId::parse(text).map_err(|why| ApiError::invalid("user_id", why)));
    let label = label.transpose()?;
    let key = idempotency_key(&headers)?;
    let caller = app.caller(&headers).await?;
    let place = place(&app, &caller, event, label, key).await?;
    let eta = place.eta;
    let reply = JoinReply {
        waiting_token: &place.token,
        position_hint: place.position.0,
        status: if place.ready { "ready" } else { "waiting" },
        position: place.position.0,
        eta_sec: eta.map(|eta| eta.sec),
        eta_low_sec: eta.map(|eta| eta.low_sec),
        eta_high_sec: eta.map(|eta| eta.high_sec),
        eta_confidence: eta.map(|eta| eta.confidence),
        poll_after_ms: place.poll_after_ms,
        joined_at: rfc3339(place.joined_at),
    };
    let mut response = personal(StatusCode::ACCEPTED, &reply);
    if place.repeated {
        response.headers_mut().insert(IDEMPOTENCY_CACHED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// A place in line, as it is given out.
pub(crate) struct Place {
    /// The waiting token.
    pub token: String,
    /// Whether its turn is now.
    pub ready: bool,
    /// Where it stands; 0 when ready.
    pub position: Position,
    /// How long it will take.
    pub eta: Option<Eta>,
    /// When to ask for the first time.
    pub poll_after_ms: u64,
    /// When it was first given out.
    pub joined_at: Millis,
    /// Whether the idempotency key has had it before.
    pub repeated: bool,
}

/// Gives a place in the line of `event` to whoever asks, at most as many as the identity may have.
pub(crate) async fn place(
    app: &App,
    caller: &Caller,
    event: EventId,
    label: Option<EventId>,
    key: Option<Uuid>,
) -> Result<Place, ApiError> {
    let room = match app.rooms.find(&event).await? {
        Found::Room(room) => room,
        Found::None if app.unknown == UnknownRooms::Create => app.rooms.find_or_make(&event).await?,
        Found::None => return Err(no_room()),
    };
    let trusted = room.view().settings.trust_user_id;
    let identity = match (caller, &label) {
        (Caller::User(identity), _) => Some(identity.clone()),
        (Caller::Edge, Some(label)) => Identity::parse(label.as_str()).ok(),
        (_, Some(label)) if trusted => Identity::parse(label.as_str()).ok(),
        _ => None,
    };
    let idem = match key {
        None => None,
        Some(key) => {
            let fingerprint = format!("join\n{event}\n{}", label.as_ref().map_or("", EventId::as_str));
            Some(bind(app, caller, key, fingerprint, &room).await?.0)
        }
    };
    // A repeat is answered as it was, even when the door has closed since; whether it is one shows in the line.
    if idem.is_none() {
        check_door(&room)?;
    }
    let placed = room.join(Join { identity: identity.clone(), idem }).await?.ok_or_else(no_room)?;
    let mut repeated = false;
    let (ticket, at_join, joined_at) = match placed.joined {
        Joined::New { ticket, position } => (ticket, position, placed.now),
        Joined::Repeat { ticket, position, joined_at } => {
            app.metrics.idempotency_hit("join").inc();
            repeated = true;
            (ticket, position, joined_at)
        }
        Joined::Duplicate { ticket } => {
            app.metrics.operation("join", "duplicate").inc();
            let error = ApiError::new(ErrorCode::DuplicateRequest, "You already hold a place in this line");
            if *caller == Caller::Anonymous {
                return Err(error);
            }
            let joined_at = room.joined_at(ticket).await.unwrap_or(placed.now);
            return Err(error
                .with("waiting_token", issue::waiting(app, &event, placed.generation, ticket, identity, joined_at)));
        }
        Joined::Conflict => return Err(conflict()),
        Joined::Closed => {
            check_door(&room)?;
            return Err(ApiError::unavailable("the door has opened this moment"));
        }
    };
    let now = room.host().clock.now();
    let view = room.view();
    // Of a repeat as well: the first answer may have been the same, and nobody is told to wait who need not.
    let ready = matches!(room.standing(&view, Slot(ticket.0), now), Standing::Ready { .. } | Standing::Entered);
    let position = if ready { Position(0) } else { Position(at_join) };
    let counted = if repeated {
        "repeated"
    } else if ready {
        "ready"
    } else {
        "waiting"
    };
    app.metrics.operation("join", counted).inc();
    let (eta, poll_after_ms) = status::outlook(position, ticket, &view.around(false), now);
    let token = issue::waiting(app, &event, placed.generation, ticket, identity, joined_at);
    Ok(Place { token, ready, position, eta, poll_after_ms, joined_at, repeated })
}

pub async fn status(State(app): State<Arc<App>>, headers: HeaderMap, uri: Uri) -> Result<Response, ApiError> {
    let shown = waiting_token(&app.keys, &uri, &headers).ok_or_else(not_in_queue)?;
    Ok(personal(StatusCode::OK, &hear(&app, &shown).await?.reply()?))
}

/// A holder as heard: who it is, and where it stands.
pub(crate) struct Heard {
    /// What the token says.
    pub claims: WaitingClaims,
    /// Where it stands.
    pub standing: Standing,
    /// When it was heard.
    pub now: Millis,
    view: arc_swap::Guard<Arc<View>>,
    stale: bool,
}

/// Looks up the place of a waiting token. Every look is the heartbeat of its holder.
pub(crate) async fn hear(app: &App, shown: &str) -> Result<Heard, ApiError> {
    let claims = app.keys.verify(shown).map_err(|_| not_in_queue())?;
    let room = claimed_room(app, &claims).await?;
    let view = room.view();
    let moment = Instant::now();
    let now = room.host().clock.at(moment);
    room.heard(claims.generation, claims.ticket, claims.identity.as_ref(), &view);
    let standing = room.standing(&view, Slot(claims.ticket.0), now);
    let stale = room.is_stale(&view, moment);
    Ok(Heard { claims, standing, now, view, stale })
}

impl Heard {
    /// What the holder is told; an error where the place is no more.
    pub(crate) fn reply(&self) -> Result<StatusReply<'_>, ApiError> {
        let Self { claims, standing, now, view, stale } = self;
        let position = view.position(Slot(claims.ticket.0));
        let waited_ms = claims.waited_ms(*now);
        status::reply(*standing, position, claims.ticket, waited_ms, &view.around(*stale), *now)
            .map_err(|code| refused(code, *standing))
    }

    /// Settings of the room.
    pub(crate) fn settings(&self) -> &Settings {
        &self.view.settings
    }
}

#[derive(Deserialize)]
pub struct TokenBody {
    waiting_token: Option<String>,
}

#[derive(Serialize)]
struct EnterReply<'a> {
    admission: &'static str,
    reservation_token: &'a str,
    ttl_sec: u64,
    session_expires_at: String,
    session_token: String,
}

pub async fn enter(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<TokenBody>,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    let caller = app.caller(&headers).await?;
    let admission = admit(&app, &caller, body.waiting_token.as_deref(), key).await?;
    let reply = EnterReply {
        admission: "granted",
        reservation_token: &admission.pass,
        ttl_sec: admission.ttl_sec,
        session_expires_at: rfc3339(admission.ends_at),
        session_token: app.keys.sign_session(&admission.session),
    };
    let mut response = personal(StatusCode::OK, &reply);
    if admission.repeated {
        response.headers_mut().insert(IDEMPOTENCY_CACHED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// A turn taken.
pub(crate) struct Admission {
    /// The reservation token.
    pub pass: String,
    /// How much longer it is good.
    pub ttl_sec: u64,
    /// When the session that it opens ends.
    pub ends_at: Millis,
    /// The same as a session token says it.
    pub session: SessionClaims,
    /// Whether the idempotency key has had it before.
    pub repeated: bool,
}

/// Takes the turn of a waiting token. However often it is asked for, one turn gives one pass.
pub(crate) async fn admit(
    app: &App,
    caller: &Caller,
    shown: Option<&str>,
    key: Option<Uuid>,
) -> Result<Admission, ApiError> {
    if app.users.is_some() && *caller == Caller::Anonymous {
        return Err(ApiError::unauthenticated());
    }
    let shown = shown.filter(|text| !text.is_empty()).ok_or_else(missing_token)?;
    let claims = app.keys.verify(shown).map_err(|_| not_in_queue())?;
    if let (Caller::User(caller), Some(holder)) = (caller, &claims.identity)
        && caller != holder
    {
        return Err(ApiError::new(ErrorCode::Forbidden, "This place in line is somebody else's"));
    }
    let room = claimed_room(app, &claims).await?;
    let repeated = match key {
        None => false,
        Some(key) => bind(app, caller, key, format!("enter\n{shown}"), &room).await?.1 == Bound::Same,
    };
    let settings = room.view().settings.clone();
    let outcome = room.enter(claims.generation, claims.ticket, &settings).await?.ok_or_else(no_room)?;
    let count = |outcome| app.metrics.operation("enter", outcome).inc();
    let (mut session, again) = match outcome {
        Enter::Entered(session) => (session, false),
        Enter::Again(session) => (session, true),
        Enter::NotReady => {
            count("not_ready");
            room.heard(claims.generation, claims.ticket, claims.identity.as_ref(), &room.view());
            let view = room.view();
            let position = view.position(Slot(claims.ticket.0));
            let (_, poll_after_ms) =
                status::outlook(position, claims.ticket, &view.around(false), room.host().clock.now());
            return Err(ApiError::new(ErrorCode::NotReady, "Your turn has not arrived yet")
                .with("position", position.0)
                .with("poll_after_ms", poll_after_ms));
        }
        Enter::Missed | Enter::PassedOver | Enter::Over => {
            count("expired");
            return Err(ApiError::new(ErrorCode::TokenExpired, EXPIRED));
        }
        Enter::Left | Enter::Unknown => {
            count("unknown");
            return Err(not_in_queue());
        }
    };
    count(if again { "repeated" } else { "granted" });
    let now = room.host().clock.now();
    let ttl_ms = u64::from(settings.pass_ttl_sec) * 1000;
    let session_ms = u64::from(settings.session_sec) * 1000;
    // A pass issued anew is activity. It also keeps the pass the same until it runs out: its session lasts as long as one that
    // begins with it, however often it is extended meanwhile.
    let until = session.pass_at.plus(session_ms);
    if settings.session_renew && session.pass_at > session.entered_at && session.ends_at < until {
        let extended = room.extend_session(claims.generation, Slot(claims.ticket.0), until).await?;
        session.ends_at = extended.unwrap_or(session.ends_at);
    }
    let repeated = again && repeated;
    if repeated {
        app.metrics.idempotency_hit("enter").inc();
    }
    Ok(Admission {
        pass: issue::pass(app, &claims, session, ttl_ms, session_ms),
        ttl_sec: session.pass_at.plus(ttl_ms).since(now).div_ceil(1000),
        ends_at: session.ends_at,
        session: issue::session(&claims, session),
        repeated,
    })
}

#[derive(Serialize)]
struct LeaveReply {
    status: &'static str,
}

/// Answers to DELETE, and to POST because a page that is being closed can only send a beacon: the token in the query, a bearer, the
/// cookie, or in a JSON body.
pub async fn leave(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
    request: axum::extract::Request,
) -> Result<Response, ApiError> {
    let shown = match waiting_token(&app.keys, &uri, &headers) {
        Some(shown) => shown,
        None => {
            let body = <OptionalJsonBody<TokenBody> as axum::extract::FromRequest<()>>::from_request(request, &());
            body.await?
                .0
                .and_then(|body| body.waiting_token)
                .filter(|text| !text.is_empty())
                .ok_or_else(missing_token)?
        }
    };
    give_up(&app, &shown).await?;
    Ok(personal(StatusCode::OK, &LeaveReply { status: "left" }))
}

/// Gives up the place, the turn or the session of a waiting token.
pub(crate) async fn give_up(app: &App, shown: &str) -> Result<(), ApiError> {
    let claims = app.keys.verify(shown).map_err(|_| not_in_queue())?;
    let room = claimed_room(app, &claims).await?;
    match room.leave(claims.generation, claims.ticket).await?.ok_or_else(no_room)? {
        Leave::Unknown => Err(not_in_queue()),
        outcome => {
            let outcome = if outcome == Leave::Left { "left" } else { "repeated" };
            app.metrics.operation("leave", outcome).inc();
            Ok(())
        }
    }
}

/// The room that a token is for, at its generation. A token of a generation that this origin has not heard of makes it look.
async fn claimed_room(app: &App, claims: &WaitingClaims) -> Result<Arc<Room>, ApiError> {
    let room = match app.rooms.get(claims.event.as_str()) {
        Some(room) => room,
        None => app.room(&claims.event).await?,
    };
    if claims.generation > room.view().facts.generation {
        room.refresh().await?;
    }
    if claims.generation != room.view().facts.generation || claims.ticket.0 == 0 {
        return Err(not_in_queue());
    }
    Ok(room)
}

/// Whether the door is open to a newcomer.
fn check_door(room: &Room) -> Result<(), ApiError> {
    let view: &View = &room.view();
    match admission::door(&view.settings, room.host().clock.now()) {
        Door::Open => Ok(()),
        Door::NotYet { opens_at } => Err(ApiError::new(ErrorCode::JoinNotOpen, "The waiting room is not open yet")
            .with("opens_at", rfc3339(opens_at))),
        Door::Closed => Err(ApiError::new(ErrorCode::BookingClosed, "Booking has closed")),
        Door::Full => Err(ApiError::new(ErrorCode::RoomFull, "The room takes nobody right now").retry_after(30)),
    }
}

/// Binds an idempotency key to a request. A record belongs to the caller that made it.
async fn bind(
    app: &App,
    caller: &Caller,
    key: Uuid,
    fingerprint: String,
    room: &Room,
) -> Result<(IdemKey, Bound), ApiError> {
    let scope = match caller {
        Caller::Anonymous => "none".into(),
        Caller::Edge => "edge".into(),
        Caller::User(identity) => format!("user:{}", identity.as_str()),
    };
    let key = format!("{scope}:{key}");
    let ttl = admission::join_limits(&room.view().settings).idem_ttl_ms;
    let now = room.host().clock.now();
    match app.rooms.host().store.bind_key(&key, &fingerprint, ttl, now).await? {
        Bound::Conflict => Err(conflict()),
        bound => Ok((IdemKey { key, fingerprint }, bound)),
    }
}

pub(super) fn event_id(text: Option<&str>) -> Result<EventId, ApiError> {
    match text {
        None | Some("") => Err(ApiError::new(ErrorCode::MissingEventId, "event_id is missing")),
        Some(text) => EventId::parse(text).map_err(|why| ApiError::invalid("event_id", why)),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<Uuid>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str().ok().and_then(|text| Uuid::try_parse(text.trim()).ok()) {
        Some(key) => Ok(Some(key)),
        None => Err(ApiError::new(ErrorCode::InvalidIdempotencyKey, "Idempotency-Key must be a UUID")),
    }
}

fn refused(code: ErrorCode, standing: Standing) -> ApiError {
    let message = match standing {
        Standing::PassedOver => "This place was not heard from in time, and the line has passed it",
        Standing::Missed => "The turn was missed, or the place waited past the limit",
        _ => "This place is not in line",
    };
    let error = ApiError::new(code, message);
    if code == ErrorCode::TokenExpired { error.with("status", "expired") } else { error }
}

fn not_in_queue() -> ApiError {
    ApiError::new(ErrorCode::TokenNotFound, "This is not a place in this line")
}

fn missing_token() -> ApiError {
    ApiError::new(ErrorCode::MissingToken, "waiting_token is missing")
}

fn conflict() -> ApiError {
    ApiError::new(ErrorCode::IdempotencyConflict, "This Idempotency-Key was used for another request")
}
