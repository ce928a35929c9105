//! What operators do with rooms.

use super::{App, no_room, personal};
use crate::error::ApiError;
use crate::http::content::{EventPath, JsonBody};
use crate::identity::bearer;
use anteroom_core::settings::{Problem, Settings};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Lets only the operator through. Without a token in the settings there is no admin API.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let Some(token) = &app.admin else { return Err(ApiError::not_found()) };
    if !bearer(request.headers()).is_some_and(|shown| token.matches(shown)) {
        return Err(ApiError::unauthenticated());
    }
    Ok(next.run(request).await)
}

pub async fn list(State(app): State<Arc<App>>) -> Response {
    let rooms: Vec<Value> = app
        .rooms
        .all()
        .iter()
        .map(|room| json!({"event_id": room.event(), "settings": room.view().settings.to_json()}))
        .collect();
    personal(StatusCode::OK, &json!({ "rooms": rooms }))
}

pub async fn show(State(app): State<Arc<App>>, EventPath(event): EventPath) -> Result<Response, ApiError> {
    let room = app.room(&event).await?;
    Ok(personal(StatusCode::OK, &room.view().settings.to_json()))
}

/// Creates or changes a room. What the body does not name keeps its value, or its default in a new room.
pub async fn put(
    State(app): State<Arc<App>>,
    EventPath(event): EventPath,
    JsonBody(patch): JsonBody<Value>,
) -> Result<Response, ApiError> {
    let room = match app.rooms.find(&event).await? {
        crate::room::Found::Room(room) => {
            room.refresh().await?;
            Some(room)
        }
        crate::room::Found::None => None,
    };
    let before = room.as_ref().map_or_else(Settings::default, |room| (*room.view().settings).clone());
    let wrong = |problems: Vec<Problem>| {
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        ApiError::new(anteroom_core::code::ErrorCode::InvalidRequest, text.join("; "))
    };
    let settings = before.patched(&patch).map_err(wrong)?;
    if settings.page != before.page {
        let problems = app.pages.check(&settings.page);
        if !problems.is_empty() {
            return Err(wrong(problems));
        }
    }
    if let (Some(room), Some(capacity)) = (&room, settings.capacity)
        && settings.capacity != before.capacity
    {
        let view = room.view();
        let inside = view.facts.active + view.facts.ready;
        if u64::from(capacity) < inside {
            return Err(ApiError::invalid("capacity", format!("must be at least {inside}, the people inside now")));
        }
    }
    let json = settings.to_json();
    app.rooms.put(&event, &json.to_string()).await?;
    tracing::info!(%event, "the room's settings were put");
    Ok(personal(StatusCode::OK, &json))
}

pub async fn delete(State(app): State<Arc<App>>, EventPath(event): EventPath) -> Result<Response, ApiError> {
    if !app.rooms.delete(&event).await? {
        return Err(no_room());
    }
    app.metrics.forget_room(&event);
    Ok(personal(StatusCode::OK, &json!({"status": "deleted"})))
}

pub async fn stats(State(app): State<Arc<App>>, EventPath(event): EventPath) -> Result<Response, ApiError> {
    let room = app.room(&event).await?;
    Ok(personal(StatusCode::OK, &room.stats().await?))
}

#[derive(Deserialize)]
pub struct CallBody {
    count: u64,
}

pub async fn call(
    State(app): State<Arc<App>>,
    EventPath(event): EventPath,
    JsonBody(body): JsonBody<CallBody>,
) -> Result<Response, ApiError> {
    if body.count == 0 || body.count > 1_000_000 {
        return Err(ApiError::invalid("count", "must be a whole number from 1 to 1000000"));
    }
    let called = app.room(&event).await?.call_by_hand(body.count).await?.ok_or_else(no_room)?;
    tracing::info!(%event, asked = body.count, called, "called by hand");
    Ok(personal(StatusCode::OK, &json!({ "called": called })))
}

pub async fn sweep(State(app): State<Arc<App>>, EventPath(event): EventPath) -> Result<Response, ApiError> {
    let dropped = app.room(&event).await?.sweep().await?.ok_or_else(no_room)?;
    Ok(personal(StatusCode::OK, &json!({ "dropped": dropped })))
}

pub async fn reset(State(app): State<Arc<App>>, EventPath(event): EventPath) -> Result<Response, ApiError> {
    let generation = app.room(&event).await?.reset().await?.ok_or_else(no_room)?;
    tracing::warn!(%event, generation = generation.0, "the room was reset: everybody out");
    Ok(personal(StatusCode::OK, &json!({ "generation": generation })))
}

#[derive(Deserialize)]
pub struct FeedbackBody {
    p95_ms: f64,
    error_rate: f64,
}

pub async fn feedback(
    State(app): State<Arc<App>>,
    EventPath(event): EventPath,
    JsonBody(body): JsonBody<FeedbackBody>,
) -> Result<Response, ApiError> {
    if !(0.0..=3_600_000.0).contains(&body.p95_ms) {
        return Err(ApiError::invalid("p95_ms", "must be a number from 0 to 3600000"));
    }
    if !(0.0..=1.0).contains(&body.error_rate) {
        return Err(ApiError::invalid("error_rate", "must be a number from 0 to 1"));
    }
    let room = app.room(&event).await?;
    let Some(regulation) = room.view().settings.feedback else {
        return Err(ApiError::invalid("feedback", "is off in this room's settings"));
    };
    let rate = room.regulate(&regulation, body.p95_ms, body.error_rate).await?.ok_or_else(no_room)?;
    Ok(personal(StatusCode::OK, &json!({ "admit_per_minute": rate })))
}
