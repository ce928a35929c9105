//! W3C trace context: which trace a request belongs to, for answers, logs and the next hop.
//!
//! The context of the request being worked on is in a thread-local that the plumbing sets around every poll, so that an
//! error can name its trace wherever it is rendered. A spawned task is not part of that.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::cell::Cell;

/// `traceparent`.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const HEX: &[u8; 16] = b"0123456789abcdef";
/// `00-` trace `-` span `-` flags.
const LENGTH: usize = 55;
const SAMPLED: u8 = 1;

/// The trace of a request and our span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    parent_id: Option<u64>,
    flags: u8,
}

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The context of the request that this thread is working on.
pub fn current() -> Option<TraceContext> {
    CURRENT.get()
}

impl TraceContext {
    /// A new trace. Its ids are random, not secret.
    pub fn fresh() -> Self {
        Self { trace_id: fastrand::u128(1..), span_id: fastrand::u64(1..), parent_id: None, flags: 0 }
    }

    /// Our span in the trace that the request came with, or a new trace when it came with none that is valid.
    pub fn of_request(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).into_iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()).unwrap_or_else(Self::fresh),
            _ => Self::fresh(),
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let longer = text.len() > LENGTH;
        if text.len() < LENGTH || [text[2], text[35], text[52]] != [b'-'; 3] || longer && text[LENGTH] != b'-' {
            return None;
        }
        let version = from_hex(&text[..2])?;
        // Later versions may append; this one is exactly so long, and 255 is no version.
        if version == 0xff || version == 0 && longer {
            return None;
        }
        let (trace_id, parent_id) = (from_hex(&text[3..35])?, from_hex(&text[36..52])? as u64);
        let flags = from_hex(&text[53..55])? as u8 & SAMPLED;
        (trace_id != 0 && parent_id != 0).then(|| Self {
            trace_id,
            span_id: fastrand::u64(1..),
            parent_id: Some(parent_id),
            flags,
        })
    }

    /// Ids that were given by somebody else: an exporter of spans.
    pub(crate) fn with_ids(trace_id: u128, span_id: u64, sampled: bool) -> Self {
        Self { trace_id, span_id, parent_id: None, flags: if sampled { SAMPLED } else { 0 } }
    }

    /// The trace id as it is written: 32 lower-case hex digits.
    pub fn trace_id(&self) -> TraceId {
        let mut text = [0; 32];
        to_hex(&self.trace_id.to_be_bytes(), &mut text);
        TraceId(text)
    }

    /// The trace id, our span id, the id of the caller's span if there is one, and whether the caller records the trace.
    pub fn ids(&self) -> (u128, u64, Option<u64>, bool) {
        (self.trace_id, self.span_id, self.parent_id, self.flags & SAMPLED != 0)
    }

    /// The value for an answer or for the next hop.
    pub fn header_value(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        to_hex(&self.trace_id.to_be_bytes(), &mut text[3..35]);
        to_hex(&self.span_id.to_be_bytes(), &mut text[36..52]);
        to_hex(&[self.flags], &mut text[53..55]);
        HeaderValue::from_bytes(&text).expect("hex digits and dashes")
    }

    /// Makes this the [`current`] context until the guard goes.
    pub(super) fn enter(self) -> Entered {
        Entered(CURRENT.replace(Some(self)))
    }
}

/// Restores the former context when dropped, in a panic too.
pub(super) struct Entered(Option<TraceContext>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// A trace id in text.
#[derive(Clone, Copy)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// The 32 digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Two digits for each byte.
fn to_hex(bytes: &[u8], digits: &mut [u8]) {
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// At most 32 digits, lower case only, as the standard has it.
fn from_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(values: &[&str]) -> TraceContext {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        TraceContext::of_request(&headers)
    }

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_our_own() {
        for value in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later",
        ] {
            let trace = of(&[value]);
            assert_eq!(trace.trace_id().as_str(), TRACE);
            let (_, span, parent, sampled) = trace.ids();
            assert_eq!(parent, Some(0x00f0_67aa_0ba9_02b7));
            assert_eq!(sampled, value[53..55] == *"01");
            let header = trace.header_value();
            let flags = &value[53..55];
            assert_eq!(header, format!("00-{TRACE}-{span:016x}-{flags}").as_str());
        }
    }

    #[test]
    fn an_invalid_trace_is_replaced_by_a_new_one() {
        for values in [
            &[][..],
            &[""],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"],
            &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"],
            &["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"],
            &["00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"; 2],
        ] {
            let trace = of(values);
            assert_ne!(trace.trace_id().as_str(), TRACE, "{values:?}");
            assert_eq!(trace.ids().2, None);
            assert_eq!(trace.header_value().len(), LENGTH);
        }
        assert_ne!(of(&[]), of(&[]));
    }

    #[test]
    fn the_current_context_ends_with_its_guard() {
        let (outer, inner) = (TraceContext::fresh(), TraceContext::fresh());
        assert_eq!(current(), None);
        let guard = outer.enter();
        {
            let _guard = inner.enter();
            assert_eq!(current(), Some(inner));
        }
        assert_eq!(current(), Some(outer));
        drop(guard);
        assert_eq!(current(), None);
    }
}
