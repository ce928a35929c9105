//! Passes: their public keys, checking them for backends that do not, and ending the session one opened.

use super::{App, personal};
use crate::error::ApiError;
use crate::http::content::JsonBody;
use anteroom_core::code::ErrorCode;
use anteroom_core::settings::rfc3339;
use anteroom_core::token::PassClaims;
use anteroom_core::units::{EventId, Generation, Millis, Slot};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

#[derive(Deserialize)]
pub struct PassBody {
    pass: Option<String>,
}

impl PassBody {
    fn text(self) -> Result<String, ApiError> {
        let missing = || ApiError::new(ErrorCode::MissingToken, "pass is missing");
        self.pass.filter(|text| !text.is_empty()).ok_or_else(missing)
    }
}

pub async fn jwks(State(app): State<Arc<App>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (headers, app.passes.jwks_json()).into_response()
}

#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    session_expires_at: String,
    #[serde(flatten)]
    claims: &'a PassClaims,
}

/// Active: signed by us, not run out, and its session is open. Anything else is just not active, without a reason.
pub async fn verify(State(app): State<Arc<App>>, JsonBody(body): JsonBody<PassBody>) -> Result<Response, ApiError> {
    let pass = body.text()?;
    let inactive = || Ok(personal(StatusCode::OK, &json!({"active": false})));
    let Ok(claims) = app.passes.verify(&pass, app.rooms.host().clock.now()) else { return inactive() };
    let Some(ends_at) = session_end(&app, &claims.event, claims.generation, claims.slot).await? else {
        return inactive();
    };
    Ok(personal(StatusCode::OK, &Active { active: true, session_expires_at: rfc3339(ends_at), claims: &claims }))
}

/// When the open session of a slot ends; `None` when none is open.
pub(crate) async fn session_end(
    app: &App,
    event: &EventId,
    generation: Generation,
    slot: Slot,
) -> Result<Option<Millis>, ApiError> {
    match app.room(event).await {
        Ok(room) => Ok(room.session_end(generation, slot).await?),
        Err(error) if error.code() == ErrorCode::EventNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends a session: its capacity is free at once. A pass that has run out still says whose session it is, and so does a session token.
pub async fn end_session(
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody<PassBody>,
) -> Result<Response, ApiError> {
    end(&app, &body.text()?).await?;
    Ok(personal(StatusCode::OK, &json!({"status": "ended"})))
}

/// Ends the session that a pass opened, or that a session token is of, whether or not that has run out.
pub(crate) async fn end(app: &App, shown: &str) -> Result<(), ApiError> {
    let by_pass =
        |shown| app.passes.verify_even_expired(shown).ok().map(|pass| (pass.event, pass.generation, pass.slot));
    let by_token = |shown| app.keys.verify_session(shown).ok().map(|token| (token.event, token.generation, token.slot));
    let unknown = || ApiError::new(ErrorCode::TokenNotFound, "This is not a pass of ours");
    let (event, generation, slot) = by_pass(shown).or_else(|| by_token(shown)).ok_or_else(unknown)?;
    let ended = match app.room(&event).await {
        Ok(room) => room.end_session(generation, slot).await?,
        Err(error) if error.code() == ErrorCode::EventNotFound => false,
        Err(error) => return Err(error),
    };
    let outcome = if ended { "ended" } else { "repeated" };
    app.metrics.operation("end_session", outcome).inc();
    Ok(())
}
