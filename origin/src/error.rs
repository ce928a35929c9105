//! The one error of this host, and its one rendering: `{"error":{"code","message","trace_id",…}}`.

use crate::http::trace;
use anteroom_core::code::ErrorCode;
use anteroom_core::refusal::Refusal;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::borrow::Cow;
use std::error::Error;

type Cause = Box<dyn Error + Send + Sync>;

/// A refusal. What the client must not see, the cause, goes to the log under the trace id when the answer is rendered.
#[derive(Debug)]
pub struct ApiError {
    refusal: Refusal,
    cause: Option<Cause>,
}

impl ApiError {
    /// An error with a message for the client.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(code, message).into()
    }

    /// `INVALID_REQUEST` for a field, with what is wrong with it: the message is "`field` `reason`".
    pub fn invalid(field: &str, reason: impl std::fmt::Display) -> Self {
        Refusal::invalid(field, reason).into()
    }

    /// `UNAUTHENTICATED`; the reason for the log's level of detail belongs in metrics, not in the answer.
    pub fn unauthenticated() -> Self {
        Refusal::from(ErrorCode::Unauthenticated).into()
    }

    /// `NOT_FOUND`: no such path, or nothing that this caller may know of.
    pub fn not_found() -> Self {
        Refusal::from(ErrorCode::NotFound).into()
    }

    /// `RATE_LIMITED`, to be tried again after a while.
    pub fn rate_limited(retry_after_sec: u64) -> Self {
        Refusal::from(ErrorCode::RateLimited).retry_after(retry_after_sec).into()
    }

    /// `INTERNAL_ERROR` from a bug; the cause is logged.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self { cause: Some(cause.into()), refusal: ErrorCode::InternalError.into() }
    }

    /// `UNAVAILABLE` from an outage; the cause is logged.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self { cause: Some(cause.into()), refusal: ErrorCode::Unavailable.into() }
    }

    /// Adds a field beside `code` and `message`, such as `waiting_token` or `opens_at`.
    pub fn with(self, field: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self { refusal: self.refusal.with(field, value), ..self }
    }

    /// Says when to try again. 429 and 503 always say it: after a second unless something else is known.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { refusal: self.refusal.retry_after(seconds), ..self }
    }

    /// A field that was added.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.refusal.field(name)
    }

    /// The code, for a metric label.
    pub fn code(&self) -> ErrorCode {
        self.refusal.code()
    }

    fn log(&self, trace_id: &str) {
        let Some(cause) = &self.cause else { return };
        let mut text = cause.to_string();
        let mut next = cause.source();
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        match self.code() {
            ErrorCode::InternalError => {
                tracing::error!(trace_id, code = self.code().as_str(), cause = %text, "request failed")
            }
            _ => tracing::warn!(trace_id, code = self.code().as_str(), cause = %text, "request refused"),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, cause: None }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let trace_id = trace::current().unwrap_or_else(trace::fresh).trace_id();
        self.log(trace_id.as_str());
        let mut response = Response::new(Body::from(self.refusal.body(trace_id.as_str())));
        let status = StatusCode::from_u16(self.code().status());
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.refusal.headers() {
            let value = HeaderValue::from_str(&value).expect("words and numbers are header values");
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

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
