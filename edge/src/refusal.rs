//! The answer that says no: `{"error":{"code","message","trace_id"}}`, and the trace that it names.

use anteroom_core::code::ErrorCode;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// An error code and what to say about it. The HTTP status is [`ErrorCode::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code on the wire.
    pub code: ErrorCode,
    /// For people.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// The body.
    pub fn body(&self, trace: Trace) -> String {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: Inside<'a>,
        }
        #[derive(Serialize)]
        struct Inside<'a> {
            code: &'a str,
            message: &'a str,
            trace_id: String,
        }
        let (code, message) = (self.code.as_str(), &*self.message);
        let error = Inside { code, message, trace_id: trace.to_string() };
        serde_json::to_string(&Envelope { error }).expect("texts always serialise")
    }

    /// Seconds for `Retry-After`, which 429 and 503 always carry.
    pub fn retry_after_sec(&self) -> Option<u32> {
        matches!(self.code.status(), 429 | 503).then_some(1)
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::new(
            code,
            match code {
                ErrorCode::TokenNotFound => "This is not the token of a place in this line",
                ErrorCode::TokenExpired => "The place or the turn was lost",
                ErrorCode::EventNotFound => "There is no such event",
                ErrorCode::MissingEventId => "event_id is missing",
                ErrorCode::NotFound => "There is nothing here",
                ErrorCode::Unavailable => "The waiting room cannot be reached right now",
                ErrorCode::InternalError => "Something went wrong on our side",
                other => other.as_str(),
            },
        )
    }
}

/// The id of a W3C trace; prints as its 32 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace(u128);

impl Trace {
    /// The trace of a `traceparent` header, `None` when it is not one.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str, len| part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let formed = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
        let ended = version != "ff" && (version != "00" || parts.next().is_none());
        if !formed || !ended || span.bytes().all(|b| b == b'0') {
            return None;
        }
        u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0).map(Self)
    }

    /// A trace of its own from random numbers in `[0, 1)`. Its id is random, not secret.
    pub fn random(mut unit: impl FnMut() -> f64) -> Self {
        let mut word = || (unit() * f64::from(u32::MAX)) as u128;
        Self((word() << 96 | word() << 64 | word() << 32 | word()).max(1))
    }

    /// The header of an answer in this trace, with our span.
    pub fn header(self, span: u64) -> String {
        format!("00-{self}-{:016x}-00", span.max(1))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_refusal_has_the_shape_of_the_contract() {
        let trace = Trace::parse(PARENT).unwrap();
        assert_eq!(
            Refusal::new(ErrorCode::SoldOut, "A \"no\"").body(trace),
            r#"{"error":{"code":"SOLD_OUT","message":"A \"no\"","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}}"#
        );
        for code in ErrorCode::ALL {
            let refusal = Refusal::from(*code);
            assert!(!refusal.message.is_empty());
            assert_eq!(refusal.retry_after_sec().is_some(), matches!(code.status(), 429 | 503), "{code}");
        }
    }

    #[test]
    fn a_trace_is_taken_over_only_when_it_is_valid() {
        assert_eq!(Trace::parse(PARENT).unwrap().header(7), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-00");
        assert!(Trace::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
        assert_eq!(Trace::random(|| 0.0).to_string().len(), 32);
        assert_ne!(Trace::random(|| 0.5), Trace::random(|| 0.25));
    }
}
