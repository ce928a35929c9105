//! Places and turns of visitors, asked of the origin on their behalf.

use super::origin::Ask;
use super::{Visit, reporter};
use crate::settings::Settings;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{Given, bearer_jwt};
use anteroom_core::token::SessionClaims;
use anteroom_core::units::EventId;
use serde_json::{Value, json};
use std::rc::Rc;
use worker::{Error, console_error};

/// So long may the origin take to give a place or a turn, milliseconds.
const TIMEOUT_MS: u64 = 8_000;

type Said<T> = Result<T, ErrorCode>;

/// Gives a place, and the answer that says so. Somebody known who comes back without the token has the one that there is.
pub(super) async fn join(visit: &Visit<'_>, event: &EventId) -> Said<(Given, Value)> {
    let (token, answer) = match for_visitor(visit, "/api/v1/queue/join", &json!({ "event_id": event })).await {
        Ok(answer) => (text(&answer, "waiting_token"), answer),
        Err(Refused { code: ErrorCode::DuplicateRequest, error }) => {
            let token = text(&error, "waiting_token").ok_or(ErrorCode::DuplicateRequest)?;
            let answer = status(visit, &token).await?;
            (Some(token), answer)
        }
        Err(refused) => return Err(refused.code),
    };
    let token = token.ok_or(ErrorCode::Unavailable)?;
    let ready = matches!(answer.get("status").and_then(Value::as_str), Some("ready" | "entered"));
    Ok((Given { token, ready }, answer))
}

/// Takes a turn, and gives the session that it opens.
pub(super) async fn enter(visit: &Visit<'_>, token: &str) -> Said<SessionClaims> {
    let answer = for_visitor(visit, "/api/v1/queue/enter", &json!({ "waiting_token": token })).await?;
    let session = text(&answer, "session_token");
    session.and_then(|session| visit.settings.keys.verify_session(&session).ok()).ok_or_else(|| {
        console_error!("the origin has opened a session whose token this edge cannot read: are the secrets the same?");
        ErrorCode::Unavailable
    })
}

/// Gives up a place.
pub(super) async fn leave(visit: &Visit<'_>, token: &str) -> Said<()> {
    sent(visit, post(visit, "/api/v1/queue/leave", &json!({ "waiting_token": token }))).await?;
    Ok(())
}

/// The status answer of a place.
pub(super) async fn status(visit: &Visit<'_>, token: &str) -> Said<Value> {
    let ask = || Ask::get(&visit.settings, "/api/v1/queue/status")?.header("authorization", &format!("Bearer {token}"));
    Ok(sent(visit, ask()).await?)
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

/// What the origin says to a visitor who may prove to it who that is.
async fn for_visitor(visit: &Visit<'_>, path: &str, body: &Value) -> Result<Value, Refused> {
    let ask = post(visit, path, body).and_then(|ask| {
        match visit.headers.get("authorization")?.as_deref().and_then(bearer_jwt) {
            Some(token) => ask.header("authorization", &format!("Bearer {token}")),
            None => Ok(ask),
        }
    });
    sent(visit, ask).await
}

fn post<'a>(visit: &'a Visit<'_>, path: &'a str, body: &Value) -> worker::Result<Ask<'a>> {
    Ask::post(&visit.settings, path, &body.to_string())?.with_edge_token()
}

/// A request for a visitor that was not granted: the code that the origin names, and its error.
struct Refused {
    code: ErrorCode,
    error: Value,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self { code, error: Value::Null }
    }
}

impl From<Refused> for ErrorCode {
    fn from(refused: Refused) -> Self {
        refused.code
    }
}

/// What the origin answers to a request for a visitor.
async fn sent(visit: &Visit<'_>, ask: worker::Result<Ask<'_>>) -> Result<Value, Refused> {
    let answer = match ask.and_then(|ask| ask.on_behalf_of(visit)) {
        Ok(ask) => ask.send(TIMEOUT_MS).await,
        Err(error) => Err(error),
    };
    let answer = answer.map_err(|error| {
        console_error!("the origin cannot be reached: {error}");
        ErrorCode::Unavailable
    })?;
    let mut body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if answer.status < 300 && !body.is_null() {
        return Ok(body);
    }
    let error = body.get_mut("error").map(Value::take).unwrap_or_default();
    let named = error.get("code").and_then(Value::as_str);
    let code = ErrorCode::ALL.iter().find(|code| Some(code.as_str()) == named);
    Err(Refused { code: code.copied().unwrap_or(ErrorCode::Unavailable), error })
}

fn text(of: &Value, name: &str) -> Option<String> {
    of.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
}
