//! What is counted and measured, under the names that operators' dashboards and alerts use.
//!
//! Looking a metric up by its labels costs a lock and a hash, so code on a hot path keeps the handle: see [`Metrics::room`]
//! and [`Metrics::operation`]. Handles are cheap to clone and all count into the same number.

mod timing;

pub use timing::Timing;

use anteroom_core::units::EventId;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use std::sync::atomic::AtomicU64;

/// A gauge of a quantity that is not whole.
pub type FloatGauge = Gauge<f64, AtomicU64>;

type TimingFamily<L> = Family<L, Timing, fn() -> Timing>;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const CALL_BOUNDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const WAIT_BOUNDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    event: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScriptLabels {
    script: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabels {
    r#type: &'static str,
}

/// All metrics of an origin.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_durations: TimingFamily<RequestLabels>,
    operations: Family<OperationLabels, Counter>,
    rooms: RoomFamilies,
    store_calls: TimingFamily<ScriptLabels>,
    rate_limited: Family<ReasonLabels, Counter>,
    idempotency_hits: Family<TypeLabels, Counter>,
}

#[derive(Debug)]
struct RoomFamilies {
    waiting: Family<EventLabels, Gauge>,
    active: Family<EventLabels, Gauge>,
    ready: Family<EventLabels, Gauge>,
    silent: Family<EventLabels, Gauge>,
    called: Family<EventLabels, Counter>,
    missed: Family<EventLabels, Counter>,
    eta_error_ratio: Family<EventLabels, FloatGauge>,
    wait: TimingFamily<EventLabels>,
    board_age: Family<EventLabels, FloatGauge>,
}

/// The metrics of one configured room.
#[derive(Clone, Debug)]
pub struct RoomMetrics {
    /// `queue_waiting`: people in line.
    pub waiting: Gauge,
    /// `queue_active`: people inside.
    pub active: Gauge,
    /// `queue_ready`: people called who have not entered yet.
    pub ready: Gauge,
    /// `queue_silent`: places whose holder has not been heard from.
    pub silent: Gauge,
    /// `queue_called_total`: people called.
    pub called: Counter,
    /// `queue_missed_total`: turns that were not taken.
    pub missed: Counter,
    /// `queue_eta_error_ratio`: how far estimates were off lately, as a part of the wait.
    pub eta_error_ratio: FloatGauge,
    /// `queue_wait_seconds`: how long those called had waited.
    pub wait: Timing,
    /// `board_age_seconds`: how old the published board is.
    pub board_age: FloatGauge,
}

/// Count and duration of requests of one method, route and status.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    /// `http_server_requests_total`.
    pub count: Counter,
    /// `http_server_requests_duration_seconds`.
    pub duration: Timing,
}

impl Metrics {
    /// Metrics that all stand at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let calls: fn() -> Timing = || Timing::new(CALL_BOUNDS);
        let waits: fn() -> Timing = || Timing::new(WAIT_BOUNDS);
        let to = &mut registry;
        let requests = add(to, "http_server_requests", "Requests answered", Family::default());
        let name = "http_server_requests_duration_seconds";
        let request_durations = add(to, name, "Time to the head of the answer", Family::new_with_constructor(calls));
        let operations = add(to, "queue_operations", "Operations on lines by outcome", Family::default());
        let rooms = RoomFamilies {
            waiting: add(to, "queue_waiting", "People in line", Family::default()),
            active: add(to, "queue_active", "People inside", Family::default()),
            ready: add(to, "queue_ready", "People called who have not entered yet", Family::default()),
            silent: add(to, "queue_silent", "Places whose holder is silent", Family::default()),
            called: add(to, "queue_called", "People called", Family::default()),
            missed: add(to, "queue_missed", "Turns that were not taken", Family::default()),
            eta_error_ratio: add(to, "queue_eta_error_ratio", "Recent error of estimates", Family::default()),
            wait: add(to, "queue_wait_seconds", "Waits of those called", Family::new_with_constructor(waits)),
            board_age: add(to, "board_age_seconds", "Age of the published board", Family::default()),
        };
        let store_calls =
            add(to, "store_call_duration_seconds", "Time of store calls", Family::new_with_constructor(calls));
        let rate_limited = add(to, "ratelimit_dropped", "Requests refused by the rate limit", Family::default());
        let idempotency_hits = add(to, "idempotency_hits", "Repeats answered from the record", Family::default());
        Self { registry, requests, request_durations, operations, rooms, store_calls, rate_limited, idempotency_hits }
    }

    /// Requests of one method, matched route template and status.
    pub fn requests(&self, method: &'static str, route: &str, status: u16) -> RequestMetrics {
        let labels = RequestLabels { method, route: route.into(), status };
        RequestMetrics {
            count: self.requests.get_or_create_owned(&labels),
            duration: self.request_durations.get_or_create_owned(&labels),
        }
    }

    /// `queue_operations_total` of one operation and outcome.
    pub fn operation(&self, operation: &'static str, outcome: &'static str) -> Counter {
        self.operations.get_or_create_owned(&OperationLabels { operation, outcome })
    }

    /// The metrics of a room. Only for configured rooms: every event ever named here is a line of the output for ever.
    pub fn room(&self, event: &EventId) -> RoomMetrics {
        let labels = EventLabels { event: event.as_str().into() };
        let rooms = &self.rooms;
        RoomMetrics {
            waiting: rooms.waiting.get_or_create_owned(&labels),
            active: rooms.active.get_or_create_owned(&labels),
            ready: rooms.ready.get_or_create_owned(&labels),
            silent: rooms.silent.get_or_create_owned(&labels),
            called: rooms.called.get_or_create_owned(&labels),
            missed: rooms.missed.get_or_create_owned(&labels),
            eta_error_ratio: rooms.eta_error_ratio.get_or_create_owned(&labels),
            wait: rooms.wait.get_or_create_owned(&labels),
            board_age: rooms.board_age.get_or_create_owned(&labels),
        }
    }

    /// Drops the metrics of a deleted room from the output.
    pub fn forget_room(&self, event: &EventId) {
        let labels = EventLabels { event: event.as_str().into() };
        let rooms = &self.rooms;
        for family in [&rooms.waiting, &rooms.active, &rooms.ready, &rooms.silent] {
            family.remove(&labels);
        }
        rooms.called.remove(&labels);
        rooms.missed.remove(&labels);
        rooms.eta_error_ratio.remove(&labels);
        rooms.wait.remove(&labels);
        rooms.board_age.remove(&labels);
    }

    /// `store_call_duration_seconds` of one script or command.
    pub fn store_call(&self, script: &'static str) -> Timing {
        self.store_calls.get_or_create_owned(&ScriptLabels { script })
    }

    /// `ratelimit_dropped_total` of one reason.
    pub fn rate_limited(&self, reason: &'static str) -> Counter {
        self.rate_limited.get_or_create_owned(&ReasonLabels { reason })
    }

    /// `idempotency_hits_total` of one kind of request.
    pub fn idempotency_hit(&self, kind: &'static str) -> Counter {
        self.idempotency_hits.get_or_create_owned(&TypeLabels { r#type: kind })
    }

    /// The text for `GET /metrics`, of type [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        text::encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_metric_of_the_contract_appears_under_its_name() {
        let metrics = Metrics::new();
        let event = EventId::parse("sale").unwrap();
        let requests = metrics.requests("GET", "/api/v1/queue/status", 200);
        requests.count.inc();
        requests.duration.observe(Duration::from_millis(3));
        metrics.operation("join", "waiting").inc();
        metrics.store_call("join_line").observe(Duration::from_micros(300));
        metrics.rate_limited("address").inc();
        metrics.idempotency_hit("join").inc();
        let room = metrics.room(&event);
        room.waiting.set(7);
        room.wait.observe(Duration::from_secs(90));
        room.eta_error_ratio.set(0.25);
        let text = metrics.render();
        for line in [
            r#"http_server_requests_total{method="GET",route="/api/v1/queue/status",status="200"} 1"#,
            r#"http_server_requests_duration_seconds_count{method="GET",route="/api/v1/queue/status",status="200"} 1"#,
            r#"queue_operations_total{operation="join",outcome="waiting"} 1"#,
            r#"queue_waiting{event="sale"} 7"#,
            r#"queue_active{event="sale"} 0"#,
            r#"queue_ready{event="sale"} 0"#,
            r#"queue_silent{event="sale"} 0"#,
            r#"queue_called_total{event="sale"} 0"#,
            r#"queue_missed_total{event="sale"} 0"#,
            r#"queue_eta_error_ratio{event="sale"} 0.25"#,
            r#"queue_wait_seconds_bucket{le="60.0",event="sale"} 0"#,
            r#"queue_wait_seconds_bucket{le="120.0",event="sale"} 1"#,
            r#"queue_wait_seconds_sum{event="sale"} 90.0"#,
            r#"store_call_duration_seconds_count{script="join_line"} 1"#,
            r#"board_age_seconds{event="sale"} 0.0"#,
            r#"ratelimit_dropped_total{reason="address"} 1"#,
            r#"idempotency_hits_total{type="join"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nnot in\n{text}");
        }
    }

    #[test]
    fn a_deleted_room_disappears() {
        let metrics = Metrics::new();
        let event = EventId::parse("sale").unwrap();
        metrics.room(&event);
        assert!(metrics.render().contains("sale"));
        metrics.forget_room(&event);
        assert!(!metrics.render().contains("sale"), "{}", metrics.render());
    }
}
