//! The contract's addresses: status and board are answered here, everything else by the origin.

use super::upstream::one_jar;
use super::{Outcome, Visit, held, now, origin, reporter};
use crate::boards::Held;
use crate::status::{self, Verdict};
use anteroom_core::code::ErrorCode;
use anteroom_core::cors;
use anteroom_core::gate::waiting_token;
use anteroom_core::refusal::Refusal;
use anteroom_core::units::EventId;
use worker::{Result, web_sys};

const STATUS: &str = "/api/v1/queue/status";
pub(super) const BOARD: &str = "/api/v1/queue/board";
const EDGES: &str = "/api/v1/edge/";

pub(super) async fn answer(visit: &Visit<'_>) -> Result<web_sys::Response> {
    // They say whose pages may read the answer, which only pages of other sites ask about.
    if visit.settings.edge_token.is_some() {
        match held::known_rooms() {
            None if visit.headers.has("origin")? => drop(held::rooms(visit).await),
            _ => held::renew_rooms(visit),
        }
    }
    let outcome = match (visit.method, visit.address.path) {
        ("GET", STATUS) => show_status(visit).await?,
        ("GET", BOARD) => show_board(visit).await?,
        // What edges and their origin tell each other is nobody else's.
        (_, path) if path.starts_with(EDGES) => Err(ErrorCode::NotFound.into()),
        ("OPTIONS", _) if is_preflight(visit)? => {
            return visit.call.answer(204, cors_headers(visit, true)?, None);
        }
        _ => origin::pass_on(visit).await?,
    };
    match outcome {
        Ok(response) => Ok(response),
        Err(refusal) => visit.call.refuse_with(&refusal, cors_headers(visit, false)?),
    }
}

async fn show_status(visit: &Visit<'_>) -> Result<Outcome> {
    let parameter = visit.address.parameter("token").filter(|token| !token.is_empty());
    let keys = &visit.settings.keys;
    // Each header is a question to the runtime.
    let (authorization, jar, event) = match parameter {
        Some(_) => (None, None, None),
        None => (
            visit.headers.get("authorization")?,
            visit.headers.get("cookie")?.map(|jar| one_jar("cookie", jar)),
            visit.address.parameter("event_id"),
        ),
    };
    let claims =
        match waiting_token(parameter.as_deref(), authorization.as_deref(), jar.as_deref(), event.as_deref(), keys) {
            Some(token) => status::verify(keys, token),
            None => Err(ErrorCode::TokenNotFound),
        };
    let claims = match claims {
        Ok(claims) => claims,
        Err(code) => return Ok(Err(code.into())),
    };
    let (board, stale) = match held::board(visit, &claims.event, true).await {
        Held::Board { board, stale, .. } => (board, stale),
        Held::NoEvent => return Ok(Err(ErrorCode::EventNotFound.into())),
        Held::Nothing => return Ok(Err(away())),
    };
    match status::answer(&board, stale, &claims, now()) {
        Verdict::Answer(body) => {
            reporter::heard(visit, &claims, &board);
            let headers = [("content-type", "application/json".into()), ("cache-control", "no-store".into())];
            let headers = headers.into_iter().chain(cors_headers(visit, false)?);
            Ok(Ok(visit.call.answer(200, headers, Some(&body))?))
        }
        Verdict::Refuse(code) => Ok(Err(code.into())),
        Verdict::Ask => origin::pass_on(visit).await,
    }
}

async fn show_board(visit: &Visit<'_>) -> Result<Outcome> {
    let event = match visit.address.parameter("event_id").map(|event| EventId::parse(&event)) {
        Some(Ok(event)) => event,
        Some(Err(why)) => return Ok(Err(Refusal::invalid("event_id", why))),
        None => return Ok(Err(ErrorCode::MissingEventId.into())),
    };
    let (board, age_ms) = match held::board(visit, &event, true).await {
        Held::Board { board, age_ms, .. } => (board, age_ms),
        Held::NoEvent => return Ok(Err(ErrorCode::EventNotFound.into())),
        Held::Nothing => return Ok(Err(away())),
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("cache-control", "public, max-age=1, stale-while-revalidate=5".to_owned()),
        ("age", (age_ms / 1000).to_string()),
    ];
    let etag = board.etag().map(|etag| ("etag", etag.to_owned()));
    let headers = headers.into_iter().chain(etag).chain(cors_headers(visit, false)?);
    let known = visit.headers.get("if-none-match")?.is_some_and(|tags| board.matches(&tags));
    Ok(Ok(match known {
        true => visit.call.answer(304, headers, None)?,
        false => visit.call.answer(200, headers, Some(board.text()))?,
    }))
}

/// The refusal while the origin has never answered.
fn away() -> Refusal {
    Refusal::new(ErrorCode::Unavailable, "The waiting room cannot be reached right now")
}

fn is_preflight(visit: &Visit<'_>) -> Result<bool> {
    let origin = visit.headers.get("origin")?;
    let method = visit.headers.get("access-control-request-method")?;
    let listed = held::known_rooms().is_some_and(|rooms| !rooms.cors_origins.is_empty());
    Ok(listed && cors::is_preflight(visit.method, origin.as_deref(), method.as_deref()))
}

/// The headers by which pages of other sites may read the answer. What the origin answers has them already.
fn cors_headers(visit: &Visit<'_>, preflight: bool) -> Result<Vec<(&'static str, String)>> {
    let Some(rooms) = held::known_rooms().filter(|rooms| !rooms.cors_origins.is_empty()) else { return Ok(Vec::new()) };
    let origin = visit.headers.get("origin")?;
    let headers = cors::headers(origin.as_deref(), &rooms.cors_origins, preflight);
    Ok(headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect())
}
