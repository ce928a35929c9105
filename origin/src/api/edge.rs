//! What edges ask and report: [`anteroom_core::relay`] over HTTP, for whoever shows the token of the edges.

use super::board::is_known;
use super::{App, EDGE_TOKEN, personal};
use crate::error::ApiError;
use crate::http::content::JsonBody;
use crate::room::{Found, Room};
use crate::store::Stored;
use anteroom_core::relay::{Answer, REPORT_MAX, Report, RoomAnswer, RoomReport, RoomSettings, Rooms};
use anteroom_core::units::{Generation, Millis, Slot, Ticket};
use aws_lc_rs::digest;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Sessions of one report that are extended at once.
const LANES: usize = 32;

/// Lets only edges through. Without a token in the settings there is no internal API.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let Some(token) = &app.edge else { return Err(ApiError::not_found()) };
    let shown = request.headers().get(EDGE_TOKEN).and_then(|value| value.to_str().ok());
    if !shown.is_some_and(|shown| token.matches(shown)) {
        return Err(ApiError::unauthenticated());
    }
    Ok(next.run(request).await)
}

/// All rooms with their settings, and the keys of passes. Nothing, rather than no rooms, while the store has never been read.
pub async fn rooms(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    if !app.rooms.have_been_read() {
        return Err(ApiError::unavailable("the rooms have not been read yet"));
    }
    let settings =
        |room: Arc<Room>| RoomSettings { event_id: room.event().clone(), settings: room.view().settings.to_json() };
    let rooms = Rooms {
        rooms: app.rooms.all().into_iter().map(settings).collect(),
        passes: serde_json::from_str(&app.passes.jwks_json()).expect("it was written as JSON"),
        cors_origins: app.cors_origins.clone(),
    };
    let body = serde_json::to_vec(&rooms).expect("settings and keys are JSON");
    let digest = digest::digest(&digest::SHA256, &body);
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]));
    let same = is_known(&headers, &etag);
    let mut response = Response::new(if same { Body::empty() } else { Body::from(body) });
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::ETAG, HeaderValue::from_str(&etag).expect("base64url in quotes is a header value"));
    Ok(response)
}

/// Hears everybody in the report, and extends what is to be extended. Repeating a report changes nothing, so one that fails half-way is
/// sent again as a whole.
pub async fn reports(State(app): State<Arc<App>>, JsonBody(report): JsonBody<Report>) -> Result<Response, ApiError> {
    let tickets: usize = report.rooms.iter().map(|room| room.heard.len() + room.known.len() + room.renew.len()).sum();
    if tickets > REPORT_MAX {
        return Err(ApiError::invalid(
            "rooms",
            format!("has {tickets} tickets, at most {REPORT_MAX} are taken at once"),
        ));
    }
    let mut answer = Answer::default();
    let mut failed = None;
    for report in report.rooms {
        // One room that cannot be looked up must not keep the others from being heard.
        match take_in(&app, report).await {
            Ok(room) => answer.rooms.extend(room),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or_else(|| Ok(personal(StatusCode::OK, &answer)), Err)
}

/// Takes in what is said of one room; `None` when there is no such room.
async fn take_in(app: &App, report: RoomReport) -> Result<Option<RoomAnswer>, ApiError> {
    let Found::Room(room) = app.rooms.find(&report.event_id).await? else { return Ok(None) };
    if report.generation > room.view().facts.generation {
        room.refresh().await?;
    }
    let generation = room.view().facts.generation;
    let sessions = if report.generation == generation {
        hear(&room, &report);
        extend(&room, generation, report.renew).await?
    } else {
        // Their sessions went with their generation.
        report.renew.into_iter().map(|ticket| (ticket, None)).collect()
    };
    Ok(Some(RoomAnswer { event_id: report.event_id, generation, sessions }))
}

/// Notes everybody who was heard from, as their own polls would.
fn hear(room: &Room, report: &RoomReport) {
    let view = room.view();
    let known: HashMap<_, _> = report.known.iter().map(|(ticket, identity)| (*ticket, identity)).collect();
    for ticket in report.heard.iter().copied().filter(|ticket| ticket.0 > 0) {
        room.heard(report.generation, ticket, known.get(&ticket).copied(), &view);
    }
}

/// When these sessions end now, extended where the room extends sessions. Several at a time: a store answers many calls at once in
/// about the time of one.
async fn extend(
    room: &Arc<Room>,
    generation: Generation,
    tickets: Vec<Ticket>,
) -> Stored<Vec<(Ticket, Option<Millis>)>> {
    let until = until(room);
    let mut lanes = JoinSet::new();
    for lane in tickets.chunks(tickets.len().div_ceil(LANES).max(1)) {
        let (room, lane) = (room.clone(), lane.to_vec());
        lanes.spawn(async move {
            let mut sessions = Vec::with_capacity(lane.len());
            for ticket in lane {
                sessions.push((ticket, room.extend_session(generation, Slot(ticket.0), until).await?));
            }
            Ok(sessions)
        });
    }
    let mut sessions = Vec::with_capacity(tickets.len());
    for lane in lanes.join_all().await {
        sessions.extend(lane?);
    }
    sessions.sort_unstable_by_key(|(ticket, _)| *ticket);
    Ok(sessions)
}

/// Until when a session that is used now lasts at least: not longer than it does, where the room does not extend sessions.
pub(crate) fn until(room: &Room) -> Millis {
    let settings = &room.view().settings;
    match settings.session_renew {
        true => room.host().clock.now().plus(u64::from(settings.session_sec) * 1000),
        false => Millis(0),
    }
}
