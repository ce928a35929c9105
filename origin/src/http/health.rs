//! For probes and Prometheus: `/healthz`, `/readyz`, `/metrics`; and the answers where no route or method matches.

use crate::error::ApiError;
use crate::metrics::{CONTENT_TYPE, Metrics};
use anteroom_core::code::ErrorCode;
use anteroom_core::settings::rfc3339;
use anteroom_core::units::Millis;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether the store can be reached. Answered from what the last ticks saw: a probe costs the store nothing.
pub trait StoreHealth: Send + Sync + 'static {
    /// Whether the store did what it was last asked.
    fn is_up(&self) -> bool;
}

impl<F: Fn() -> bool + Send + Sync + 'static> StoreHealth for F {
    fn is_up(&self) -> bool {
        self()
    }
}

/// Whether the process is on its way out.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// From now on, `/readyz` sends load balancers elsewhere.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Health {
    store: Box<dyn StoreHealth>,
    draining: Draining,
    metrics: Arc<Metrics>,
}

/// The three routes.
pub fn routes(store: impl StoreHealth, draining: Draining, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(show_health))
        .route("/readyz", get(show_readiness))
        .route("/metrics", get(show_metrics))
        .with_state(Arc::new(Health { store: Box::new(store), draining, metrics }))
}

/// Adds the answers for paths and methods that no route has. Call it when all routes are in place, before the layer.
pub fn with_fallbacks(router: Router) -> Router {
    with_method_fallback(router.fallback(async || ApiError::not_found()))
}

/// Adds the answer for methods that no route has, for routes that are merged into others which have the one for paths: a router
/// gives it only to the routes it has at that moment.
pub fn with_method_fallback(router: Router) -> Router {
    router.method_not_allowed_fallback(async || {
        // The router adds `Allow`.
        ApiError::new(ErrorCode::MethodNotAllowed, "This path does not have that method")
    })
}

#[derive(Serialize)]
struct HealthReport {
    status: &'static str,
    timestamp: String,
    service: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct ReadinessReport {
    status: &'static str,
    dependencies: Dependencies,
}

#[derive(Serialize)]
struct Dependencies {
    store: &'static str,
}

async fn show_health() -> Response {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let timestamp = rfc3339(Millis(since.as_millis() as u64));
    let version = env!("CARGO_PKG_VERSION");
    json(StatusCode::OK, &HealthReport { status: "healthy", timestamp, service: "anteroom", version })
}

async fn show_readiness(State(health): State<Arc<Health>>) -> Response {
    let up = health.store.is_up();
    let (code, status) = match (health.draining.has_begun(), up) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        (false, true) => (StatusCode::OK, "ready"),
    };
    let store = if up { "up" } else { "down" };
    let mut response = json(code, &ReadinessReport { status, dependencies: Dependencies { store } });
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

async fn show_metrics(State(health): State<Arc<Health>>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], health.metrics.render()).into_response()
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(value)).into_response()
}
