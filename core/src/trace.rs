//! W3C trace context: which trace a request belongs to, for answers, logs and the next hop. And which `X-Request-ID` is echoed.
//!
//! Ids are random, not secret; the host brings the randomness.

use core::fmt;

/// The header of a trace, lower case.
pub const TRACEPARENT: &str = "traceparent";
/// The header of a request's name, lower case.
pub const X_REQUEST_ID: &str = "x-request-id";
/// Longest `X-Request-ID` that is echoed, bytes.
pub const REQUEST_ID_MAX: usize = 128;

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

impl TraceContext {
    /// A new trace under these ids, and whether its spans are recorded. An id of 0 would be none, so it counts as 1.
    pub const fn new(trace_id: u128, span_id: u64, sampled: bool) -> Self {
        let trace_id = if trace_id == 0 { 1 } else { trace_id };
        Self { trace_id, span_id: nonzero(span_id), parent_id: None, flags: if sampled { SAMPLED } else { 0 } }
    }

    /// The trace of a `traceparent` header, continued with a span of ours; `None` when the text is not valid.
    pub fn continued(traceparent: &[u8], span_id: u64) -> Option<Self> {
        let text = traceparent;
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
        (trace_id != 0 && parent_id != 0).then_some(Self {
            trace_id,
            span_id: nonzero(span_id),
            parent_id: Some(parent_id),
            flags,
        })
    }

    /// The trace id as it is written.
    pub fn trace_id(&self) -> TraceId {
        let mut text = [0; 32];
        to_hex(&self.trace_id.to_be_bytes(), &mut text);
        TraceId(text)
    }

    /// The trace id, our span id, the id of the caller's span if there is one, and whether the caller records the trace.
    pub const fn ids(&self) -> (u128, u64, Option<u64>, bool) {
        (self.trace_id, self.span_id, self.parent_id, self.flags & SAMPLED != 0)
    }

    /// The header for an answer or for the next hop.
    pub fn header(&self) -> Header {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        to_hex(&self.trace_id.to_be_bytes(), &mut text[3..35]);
        to_hex(&self.span_id.to_be_bytes(), &mut text[36..52]);
        to_hex(&[self.flags], &mut text[53..55]);
        Header(text)
    }
}

/// A trace id in text: 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

/// A `traceparent` header in text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header([u8; LENGTH]);

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                core::str::from_utf8(&self.0).unwrap_or_default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

text!(TraceId);
text!(Header);

/// Whether an `X-Request-ID` is echoed: 1 to [`REQUEST_ID_MAX`] visible ASCII characters.
pub fn is_echoed(request_id: &[u8]) -> bool {
    !request_id.is_empty() && request_id.len() <= REQUEST_ID_MAX && request_id.iter().all(u8::is_ascii_graphic)
}

const fn nonzero(id: u64) -> u64 {
    if id == 0 { 1 } else { id }
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
    use std::format;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_our_own() {
        for value in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later",
        ] {
            let trace = TraceContext::continued(value.as_bytes(), 7).unwrap();
            assert_eq!(trace.trace_id().as_str(), TRACE);
            assert_eq!(
                trace.ids(),
                (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 7, Some(0x00f0_67aa_0ba9_02b7), value[53..55] == *"01")
            );
            assert_eq!(trace.header().as_str(), format!("00-{TRACE}-0000000000000007-{}", &value[53..55]));
        }
    }

    #[test]
    fn an_invalid_trace_is_not_continued() {
        for value in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::continued(value.as_bytes(), 7), None, "{value:?}");
        }
    }

    #[test]
    fn no_id_is_zero() {
        let trace = TraceContext::new(0, 0, false);
        assert_eq!(trace.header().as_str(), "00-00000000000000000000000000000001-0000000000000001-00");
        assert_eq!(TraceContext::continued(trace.header().as_str().as_bytes(), 0).unwrap().ids().1, 1);
    }

    #[test]
    fn a_request_id_is_echoed_only_when_it_is_harmless() {
        for (id, want) in [
            ("", false),
            ("a", true),
            ("7f3c:~!\"", true),
            ("a b", false),
            ("a\u{7f}", false),
            ("é", false),
            (&*"x".repeat(128), true),
            (&*"x".repeat(129), false),
        ] {
            assert_eq!(is_echoed(id.as_bytes()), want, "{id:?}");
        }
    }
}
