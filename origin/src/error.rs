//! The one error of this host, and its one rendering: `{"error":{"code","message","trace_id",…}}`.

use crate::http::trace;
use anteroom_core::code::ErrorCode;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::error::Error;

type Cause = Box<dyn Error + Send + Sync>;

/// An answer that says no. What the client must not see, the cause, goes to the log under the trace id when the answer is
/// rendered.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    message: Cow<'static, str>,
    fields: Vec<(Cow<'static, str>, Value)>,
    retry_after_sec: Option<u64>,
    cause: Option<Cause>,
}

impl ApiError {
    /// An error with a message for the client.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), fields: Vec::new(), retry_after_sec: None, cause: None }
    }

    /// `INVALID_REQUEST` for a field, with what is wrong with it: the message is "`field` `reason`".
    pub fn invalid(field: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidRequest, format!("{field} {reason}"))
    }

    /// `UNAUTHENTICATED`; the reason for the log's level of detail belongs in metrics, not in the answer.
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "A valid bearer token is required")
    }

    /// `NOT_FOUND`: no such path, or nothing that this caller may know of.
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "There is nothing here")
    }

    /// `RATE_LIMITED`, to be tried again after a while.
    pub fn rate_limited(retry_after_sec: u64) -> Self {
        Self::new(ErrorCode::RateLimited, "Too many requests").retry_after(retry_after_sec)
    }

    /// `INTERNAL_ERROR` from a bug; the cause is logged.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(ErrorCode::InternalError, "Something went wrong on our side") }
    }

    /// `UNAVAILABLE` from an outage; the cause is logged.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        let message = "The waiting room cannot do this right now; nothing was changed";
        Self { cause: Some(cause.into()), ..Self::new(ErrorCode::Unavailable, message) }
    }

    /// Adds a field beside `code` and `message`, such as `waiting_token` or `opens_at`.
    pub fn with(mut self, field: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.fields.push((field.into(), value.into()));
        self
    }

    /// Says when to try again. 429 and 503 always say it: after a second unless something else is known.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_sec = Some(seconds.max(1));
        self
    }

    /// A field that was added.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The code, for a metric label.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    fn log(&self, trace_id: &str) {
        let Some(cause) = &self.cause else { return };
        let mut text = cause.to_string();
        let mut next = cause.source();
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        match self.code {
            ErrorCode::InternalError => {
                tracing::error!(trace_id, code = self.code.as_str(), cause = %text, "request failed")
            }
            _ => tracing::warn!(trace_id, code = self.code.as_str(), cause = %text, "request refused"),
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Inside<'a>,
}

struct Inside<'a> {
    error: &'a ApiError,
    trace_id: &'a str,
}

impl Serialize for Inside<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.error.code.as_str())?;
        map.serialize_entry("message", &self.error.message)?;
        map.serialize_entry("trace_id", self.trace_id)?;
        for (field, value) in &self.error.fields {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let trace = trace::current().unwrap_or_else(trace::TraceContext::fresh);
        let trace_id = trace.trace_id();
        self.log(trace_id.as_str());
        let envelope = Envelope { error: Inside { error: &self, trace_id: trace_id.as_str() } };
        let body = serde_json::to_vec(&envelope).expect("texts and JSON values serialise");
        let mut response = Response::new(Body::from(body));
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.code == ErrorCode::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, self.retry_after_sec.unwrap_or(1).into());
        } else if let Some(seconds) = self.retry_after_sec {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rendered(error: ApiError) -> (Response, Value) {
        let mut response = error.into_response();
        let body = std::mem::take(response.body_mut());
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (response, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn every_code_is_rendered_in_the_one_shape() {
        for &code in ErrorCode::ALL {
            let (response, body) = rendered(ApiError::new(code, "Because")).await;
            assert_eq!(response.status().as_u16(), code.status());
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
            let waits = matches!(code.status(), 429 | 503);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), waits, "{code}");
            assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), code.status() == 401, "{code}");
            assert_eq!(body["error"]["code"], code.as_str());
            assert_eq!(body["error"]["message"], "Because");
            assert_eq!(body["error"]["trace_id"].as_str().unwrap().len(), 32);
        }
    }

    #[tokio::test]
    async fn extra_fields_stand_beside_the_code_and_causes_stay_out() {
        let error = ApiError::new(ErrorCode::JoinNotOpen, "Not yet").with("opens_at", "2026-11-21T00:00:00Z");
        let (_, body) = rendered(error).await;
        assert_eq!(body["error"]["opens_at"], "2026-11-21T00:00:00Z");
        for error in [ApiError::internal("hunter2"), ApiError::unavailable("hunter2")] {
            let (_, body) = rendered(error).await;
            assert!(!body.to_string().contains("hunter2"));
        }
        let (response, _) = rendered(ApiError::rate_limited(0)).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "1", "never at once");
    }
}
