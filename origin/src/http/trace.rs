//! The trace that a request belongs to, for answers, logs and the next hop.
//!
//! The context of the request being worked on is in a thread-local that the plumbing sets around every poll, so that an
//! error can name its trace wherever it is rendered. A spawned task is not part of that.

pub use anteroom_core::trace::TraceContext;

use anteroom_core::trace;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::cell::Cell;

/// `traceparent`.
pub const TRACEPARENT: HeaderName = HeaderName::from_static(trace::TRACEPARENT);

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The context of the request that this thread is working on.
pub fn current() -> Option<TraceContext> {
    CURRENT.get()
}

/// A new trace. Its ids are random, not secret.
pub fn fresh() -> TraceContext {
    TraceContext::new(fastrand::u128(1..), fastrand::u64(1..), false)
}

/// Our span in the trace that the request came with, or a new trace when it came with none that is valid.
pub fn of_request(headers: &HeaderMap) -> TraceContext {
    let mut values = headers.get_all(TRACEPARENT).into_iter();
    let continued = match (values.next(), values.next()) {
        (Some(value), None) => TraceContext::continued(value.as_bytes(), fastrand::u64(1..)),
        _ => None,
    };
    continued.unwrap_or_else(fresh)
}

/// The value for an answer or for the next hop.
pub fn header_value(trace: &TraceContext) -> HeaderValue {
    HeaderValue::from_str(trace.header().as_str()).expect("hex digits and dashes")
}

/// Makes this the [`current`] context until the guard goes.
pub(super) fn enter(trace: TraceContext) -> Entered {
    Entered(CURRENT.replace(Some(trace)))
}

/// Restores the former context when dropped, in a panic too.
pub(super) struct Entered(Option<TraceContext>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[&str]) -> TraceContext {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        of_request(&headers)
    }

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_our_own() {
        let (trace, again) = (of(&[PARENT]), of(&[PARENT]));
        assert_eq!(trace.trace_id(), again.trace_id());
        assert_ne!(trace.ids().1, again.ids().1);
        assert_eq!(header_value(&trace).to_str().unwrap()[..35], PARENT[..35]);
    }

    #[test]
    fn an_invalid_trace_is_replaced_by_a_new_one() {
        let known = of(&[PARENT]).trace_id();
        for values in [&[][..], &[""], &["00-4bf92f3577b34da6a3ce929d0e0e4736"], &[PARENT; 2]] {
            let trace = of(values);
            assert_ne!(trace.trace_id(), known, "{values:?}");
            assert_eq!(trace.ids().2, None);
        }
        assert_ne!(of(&[]), of(&[]));
    }

    #[test]
    fn the_current_context_ends_with_its_guard() {
        let (outer, inner) = (fresh(), fresh());
        assert_eq!(current(), None);
        let guard = enter(outer);
        {
            let _guard = enter(inner);
            assert_eq!(current(), Some(inner));
        }
        assert_eq!(current(), Some(outer));
        drop(guard);
        assert_eq!(current(), None);
    }
}
