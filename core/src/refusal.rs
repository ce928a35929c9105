//! The answer that says no, the same at every host: `{"error":{"code","message","trace_id",…}}` and its headers.

use crate::code::ErrorCode;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

/// An error code, what to say about it, and what the caller needs beside it. The HTTP status is [`ErrorCode::status`].
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    code: ErrorCode,
    message: Cow<'static, str>,
    fields: Vec<(Cow<'static, str>, Value)>,
    retry_after_sec: Option<u64>,
}

impl Refusal {
    /// With a message for people.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), fields: Vec::new(), retry_after_sec: None }
    }

    /// `INVALID_REQUEST` for a field, with what is wrong with it: the message is "`field` `reason`".
    pub fn invalid(field: &str, reason: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidRequest, format!("{field} {reason}"))
    }

    /// Adds a field beside `code` and `message`, such as `waiting_token` or `opens_at`.
    pub fn with(mut self, field: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.fields.push((field.into(), value.into()));
        self
    }

    /// Says when to try again, never at once. 429 and 503 always say it: after a second unless something else is known.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_sec = Some(seconds.max(1));
        self
    }

    /// A field that was added.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The code on the wire, and a metric label.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// What it says to people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Seconds for `Retry-After`.
    pub const fn retry_after_sec(&self) -> Option<u64> {
        match (self.retry_after_sec, self.code.status()) {
            (None, 429 | 503) => Some(1),
            (seconds, _) => seconds,
        }
    }

    /// The headers that go with the body, names in lower case. `traceparent` is the host's.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
        let plain = [("content-type", Cow::from("application/json")), ("cache-control", Cow::from("no-store"))];
        let bearer = (self.code == ErrorCode::Unauthenticated).then_some(("www-authenticate", Cow::from("Bearer")));
        let retry = self.retry_after_sec().map(|seconds| ("retry-after", Cow::from(seconds.to_string())));
        plain.into_iter().chain(bearer).chain(retry)
    }

    /// The body, naming the request's trace.
    pub fn body(&self, trace_id: &str) -> String {
        serde_json::to_string(&Envelope { error: Inside { refusal: self, trace_id } })
            .expect("texts and JSON values always serialise")
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::new(
            code,
            match code {
                ErrorCode::MissingEventId => "event_id is missing",
                ErrorCode::Unauthenticated => "A valid bearer token is required",
                ErrorCode::NotReady => "Your turn has not arrived yet",
                ErrorCode::NotFound => "There is nothing here",
                ErrorCode::EventNotFound => "There is no waiting room for this event",
                ErrorCode::TokenNotFound => "This is not the token of a place in this line",
                ErrorCode::TokenExpired => "The place or the turn was lost",
                ErrorCode::Forbidden => "This is not allowed",
                ErrorCode::MethodNotAllowed => "This method is not allowed here",
                ErrorCode::PayloadTooLarge => "The body is too long",
                ErrorCode::RateLimited => "Too many requests",
                ErrorCode::InternalError => "Something went wrong on our side",
                ErrorCode::RoomFull => "This event admits nobody right now",
                ErrorCode::Unavailable => "The waiting room cannot do this right now; nothing was changed",
                other => other.as_str(),
            },
        )
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Inside<'a>,
}

struct Inside<'a> {
    refusal: &'a Refusal,
    trace_id: &'a str,
}

impl Serialize for Inside<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.refusal.code.as_str())?;
        map.serialize_entry("message", &self.refusal.message)?;
        map.serialize_entry("trace_id", self.trace_id)?;
        for (field, value) in &self.refusal.fields {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_refusal_has_the_shape_of_the_contract() {
        assert_eq!(
            Refusal::new(ErrorCode::SoldOut, "A \"no\"").body(TRACE),
            r#"{"error":{"code":"SOLD_OUT","message":"A \"no\"","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}}"#
        );
        let refusal = Refusal::new(ErrorCode::JoinNotOpen, "Not yet").with("opens_at", "2026-11-21T00:00:00Z");
        let body: Value = serde_json::from_str(&refusal.body(TRACE)).unwrap();
        assert_eq!(body["error"]["opens_at"], "2026-11-21T00:00:00Z");
        assert_eq!(Refusal::invalid("user_id", "is empty").message(), "user_id is empty");
    }

    #[test]
    fn every_code_says_something_and_the_headers_that_belong_to_its_status() {
        for &code in ErrorCode::ALL {
            let refusal = Refusal::from(code);
            assert!(!refusal.message().is_empty());
            let header = |name| refusal.headers().find(|(known, _)| *known == name).map(|(_, value)| value);
            assert_eq!(header("content-type").as_deref(), Some("application/json"));
            assert_eq!(header("cache-control").as_deref(), Some("no-store"));
            assert_eq!(header("retry-after").is_some(), matches!(code.status(), 429 | 503), "{code}");
            assert_eq!(header("www-authenticate").is_some(), code.status() == 401, "{code}");
        }
    }

    #[test]
    fn nobody_is_told_to_come_back_at_once() {
        assert_eq!(Refusal::from(ErrorCode::RateLimited).retry_after(0).retry_after_sec(), Some(1));
        assert_eq!(Refusal::from(ErrorCode::NotReady).retry_after(7).retry_after_sec(), Some(7));
        assert_eq!(Refusal::from(ErrorCode::NotReady).retry_after_sec(), None);
    }
}
