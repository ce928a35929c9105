//! Places and turns of visitors, asked of the origin on their behalf.

use super::origin::Ask;
use super::{Visit, held, reporter};
use crate::settings::Settings;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::Given;
use anteroom_core::token::SessionClaims;
use anteroom_core::units::EventId;
use serde_json::{Value, json};
use std::rc::Rc;
use worker::{Error, Result, console_error};

/// So long may the origin take to give a place or a turn, milliseconds.
const TIMEOUT_MS: u64 = 8_000;

type Said<T> = std::result::Result<T, ErrorCode>;

/// Gives a place, and the answer that says so. Somebody known who comes back without the token has the one that there is.
pub(super) async fn join(visit: &Visit<'_>, event: &EventId) -> Said<(Given, Value)> {
    let answer = post(visit, "/api/v1/queue/join", &json!({ "event_id": event })).await?;
    let token = answer.get("waiting_token").and_then(Value::as_str).ok_or(ErrorCode::Unavailable)?.to_owned();
    let ready = answer.get("status").and_then(Value::as_str) == Some("ready");
    Ok((Given { token, ready }, answer))
}

/// Takes a turn, and gives the session that it opens.
pub(super) async fn enter(visit: &Visit<'_>, token: &str) -> Said<SessionClaims> {
    let answer = post(visit, "/api/v1/queue/enter", &json!({ "waiting_token": token })).await?;
    let session = answer.get("session_token").and_then(Value::as_str);
    session.and_then(|session| visit.settings.keys.verify_session(session).ok()).ok_or_else(|| {
        console_error!("the origin has opened a session whose token this edge cannot read: are the secrets the same?");
        ErrorCode::Unavailable
    })
}

/// Gives up a place.
pub(super) async fn leave(visit: &Visit<'_>, token: &str) -> Said<()> {
    post(visit, "/api/v1/queue/leave", &json!({ "waiting_token": token })).await.map(|_| ())
}

/// The status answer of a place.
pub(super) async fn status(visit: &Visit<'_>, token: &str) -> Said<Value> {
    let ask = || Ask::get(&visit.settings, "/api/v1/queue/status")?.header("authorization", &format!("Bearer {token}"));
    sent(visit, ask()).await
}

/// Ends a session: here at once, at the origin off the path of the visitor.
pub(super) fn end(visit: &Visit<'_>, session: SessionClaims) {
    reporter::ended(&session);
    visit.background(tell_end(visit.settings.clone(), session));
}

async fn tell_end(settings: Rc<Settings>, session: SessionClaims) {
    let end = json!({ "pass": settings.keys.sign_session(&session) }).to_string();
    let told = async {
        let answer = Ask::post(&settings, "/api/v1/sessions/end", &end)?.with_edge_token()?.send(TIMEOUT_MS).await?;
        match answer.status {
            200 => Ok(()),
            status => Err(Error::RustError(format!("the origin answered {status}"))),
        }
    };
    if let Err(error) = told.await {
        console_error!("a session that was to end ends when its time is over: {error}");
    }
}

async fn post(visit: &Visit<'_>, path: &str, body: &Value) -> Said<Value> {
    sent(visit, Ask::post(&visit.settings, path, &body.to_string()).and_then(Ask::with_edge_token)).await
}

/// What the origin answers to a request for a visitor; for every error the code that it names.
async fn sent(visit: &Visit<'_>, ask: Result<Ask<'_>>) -> Said<Value> {
    let answer = match ask.and_then(|ask| ask.on_behalf_of(visit)) {
        Ok(ask) => ask.send(TIMEOUT_MS).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) if answer.status < 300 => serde_json::from_str(&answer.body).map_err(|_| ErrorCode::Unavailable),
        Ok(answer) => {
            let named = held::code_of(&answer.body);
            let code = ErrorCode::ALL.iter().find(|code| Some(code.as_str()) == named.as_deref());
            Err(code.copied().unwrap_or(ErrorCode::Unavailable))
        }
        Err(error) => {
            console_error!("the origin cannot be reached: {error}");
            Err(ErrorCode::Unavailable)
        }
    }
}
