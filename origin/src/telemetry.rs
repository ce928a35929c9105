//! Logs, and spans when they are asked for.
//!
//! Spans are exported over OTLP (HTTP, protobuf) if `OTEL_EXPORTER_OTLP_ENDPOINT` is set, as the standard OTEL variables
//! say. Without it no span is ever made, so a request pays nothing for the possibility.

use crate::http::trace::TraceContext;
use axum::http::StatusCode;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::IsTerminal;
use tracing::{Level, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Spans of this program, and none of the libraries in it: the exporter's own requests would make more of themselves.
const SPAN_TARGET: &str = "anteroom";

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level or directives are not such.
    #[error("the log setting: {0}")]
    Filter(#[from] ParseError),
    /// The OTEL variables make no exporter.
    #[error("the OTEL_ variables: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// Something else logs already.
    #[error("{0}")]
    Taken(#[from] TryInitError),
}

/// What was started, to be finished at the end so that nothing is lost.
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
}

/// Starts logging to standard error, text for a person at a terminal and JSON lines otherwise, and exporting spans.
///
/// Call it outside the async runtime: the exporter has a thread and a blocking client of its own.
pub fn start(log: &str) -> Result<Telemetry, TelemetryError> {
    let filter: Targets = log.parse()?;
    let to_person = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = if to_person { log.boxed() } else { log.json().flatten_event(true).with_span_list(false).boxed() };
    let spans = if is_wanted() { Some(start_exporter()?) } else { None };
    let exported = spans.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("anteroom"));
        layer.with_filter(Targets::new().with_target(SPAN_TARGET, Level::INFO))
    });
    tracing_subscriber::registry().with(log.with_filter(filter)).with(exported).try_init()?;
    Ok(Telemetry { spans })
}

fn is_wanted() -> bool {
    let value = |name: &str| std::env::var(name).unwrap_or_default();
    let endpoint = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    endpoint.iter().any(|name| !value(name).is_empty())
        && !value("OTEL_SDK_DISABLED").eq_ignore_ascii_case("true")
        && value("OTEL_TRACES_EXPORTER") != "none"
}

fn start_exporter() -> Result<SdkTracerProvider, ExporterBuildError> {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let mut resource = Resource::builder().with_attribute(version);
    let value = |name: &str| std::env::var(name).unwrap_or_default();
    if value("OTEL_SERVICE_NAME").is_empty() && !value("OTEL_RESOURCE_ATTRIBUTES").contains("service.name=") {
        resource = resource.with_service_name("anteroom");
    }
    let exporter = SpanExporter::builder().with_http().build()?;
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

impl Telemetry {
    /// Whether requests should have spans.
    pub fn exports_spans(&self) -> bool {
        self.spans.is_some()
    }

    /// Sends what has not been sent yet. Call it outside the async runtime.
    pub fn finish(self) {
        if let Some(Err(error)) = self.spans.map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The span of a request that came with `incoming`, and the trace context that names this span.
pub(crate) fn request_span(method: &'static str, route: &str, incoming: TraceContext) -> (TraceContext, Span) {
    let span = tracing::info_span!(
        target: "anteroom",
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
    );
    let (trace_id, _, parent, sampled) = incoming.ids();
    if let Some(parent) = parent {
        let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let (trace_id, parent) = (TraceId::from(trace_id), SpanId::from(parent));
        let parent = SpanContext::new(trace_id, parent, flags, true, TraceState::default());
        // It fails only for a span that was started already, or that nobody records.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    if !context.is_valid() {
        return (incoming, span);
    }
    let (trace_id, span_id) = (context.trace_id().to_bytes(), context.span_id().to_bytes());
    let (trace_id, span_id) = (u128::from_be_bytes(trace_id), u64::from_be_bytes(span_id));
    (TraceContext::new(trace_id, span_id, context.is_sampled()), span)
}

/// Notes how a request was answered.
pub(crate) fn record_status(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}
