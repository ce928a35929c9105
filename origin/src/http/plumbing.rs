//! The one layer around all routes. For each request it
//!
//! - finds or makes the trace, makes it current while the request is worked on, and names it in the answer;
//! - echoes `X-Request-ID`;
//! - applies the rate limit, on the routes that have one;
//! - turns a panic into `INTERNAL_ERROR`;
//! - counts and times, by method, matched route and status;
//! - spans the request, while spans are exported.
//!
//! One hand-written service rather than a stack of middlewares, because a status poll has about two microseconds for
//! everything. It allocates nothing of its own except the header values it adds, and finds its counters by index: the
//! router makes one copy of the layer for each route, and each copy remembers its own.

use crate::error::ApiError;
use crate::http::trace::{self, TRACEPARENT, TraceContext};
use crate::limit::{ClientAddresses, Limiter};
use crate::metrics::{Metrics, RequestMetrics};
use crate::telemetry;
use anteroom_core::trace::is_echoed;
use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

/// `X-Request-ID`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static(anteroom_core::trace::X_REQUEST_ID);
/// The route label of requests that matched none.
const UNMATCHED: &str = "unmatched";

const METHODS: [Method; 7] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS, Method::PATCH];
/// Labels of [`METHODS`], and of all others: their number must not grow with what clients think up.
const METHOD_LABELS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "other"];
/// The statuses that have a cell; the counters of others are looked up each time.
const STATUSES: [u16; 16] = [200, 201, 202, 204, 302, 304, 400, 401, 403, 404, 405, 409, 413, 429, 500, 503];

/// The layer. Give it to [`axum::Router::layer`] after all routes and fallbacks are in place.
///
/// A router that still waits for its state applies its layers again for every request, so one that is called without
/// `into_make_service…` should be given `with_state(())` first.
#[derive(Clone)]
pub struct Plumbing {
    metrics: Arc<Metrics>,
    limit: Option<Limit>,
    traced: bool,
    /// The route label of requests that matched none.
    rest: &'static str,
}

#[derive(Clone)]
struct Limit {
    limiter: Arc<Limiter>,
    addresses: Arc<ClientAddresses>,
}

impl Plumbing {
    /// The layer without a rate limit, for routes that operators and probes use.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, limit: None, traced: false, rest: UNMATCHED }
    }

    /// The layer with a span for each request, which only makes sense while spans are exported.
    pub fn traced(self, traced: bool) -> Self {
        Self { traced, ..self }
    }

    /// The layer with another label for requests that match no route.
    pub fn named(self, rest: &'static str) -> Self {
        Self { rest, ..self }
    }

    /// The layer with a rate limit for each client address.
    pub fn limited(self, limiter: Arc<Limiter>, addresses: Arc<ClientAddresses>) -> Self {
        Self { limit: Some(Limit { limiter, addresses }), ..self }
    }
}

impl<S> Layer<S> for Plumbing {
    type Service = Plumbed<S>;

    fn layer(&self, inner: S) -> Plumbed<S> {
        Plumbed { inner, station: Arc::new(Station { plumbing: self.clone(), cells: OnceLock::new() }) }
    }
}

/// What all requests to one route share.
struct Station {
    plumbing: Plumbing,
    /// Filled by the first request, which knows the route.
    cells: OnceLock<Cells>,
}

struct Cells {
    route: String,
    by_method_and_status: [[OnceLock<RequestMetrics>; STATUSES.len()]; METHOD_LABELS.len()],
}

impl Station {
    fn cells(&self, request: &Request) -> &Cells {
        self.cells.get_or_init(|| {
            let route = request.extensions().get::<MatchedPath>().map_or(self.plumbing.rest, MatchedPath::as_str);
            Cells { route: route.into(), by_method_and_status: Default::default() }
        })
    }

    fn record(&self, method: usize, status: StatusCode, started: Instant) {
        let Some(cells) = self.cells.get() else { return };
        let metrics = &self.plumbing.metrics;
        let look_up = || metrics.requests(METHOD_LABELS[method], &cells.route, status.as_u16());
        let looked_up;
        let cell = match STATUSES.iter().position(|known| *known == status.as_u16()) {
            Some(at) => cells.by_method_and_status[method][at].get_or_init(look_up),
            None => {
                looked_up = look_up();
                &looked_up
            }
        };
        cell.count.inc();
        cell.duration.observe(started.elapsed());
    }
}

impl Limit {
    fn check(&self, request: &Request) -> Result<(), ApiError> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
        self.limiter.check_address(self.addresses.find(peer, request.headers()))
    }
}

/// A route within the layer.
pub struct Plumbed<S> {
    inner: S,
    station: Arc<Station>,
}

impl<S: Clone> Clone for Plumbed<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), station: self.station.clone() }
    }
}

impl<S> Service<Request> for Plumbed<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Passage<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = Instant::now();
        let method = METHODS.iter().position(|known| known == request.method()).unwrap_or(METHODS.len());
        let cells = self.station.cells(&request);
        let mut trace = trace::of_request(request.headers());
        let mut span = None;
        if self.station.plumbing.traced {
            let (traced, request_span) = telemetry::request_span(METHOD_LABELS[method], &cells.route, trace);
            (trace, span) = (traced, Some(request_span));
        }
        let request_id = request.headers().get(X_REQUEST_ID).filter(|id| is_echoed(id.as_bytes())).cloned();
        let allowed = self.station.plumbing.limit.as_ref().map_or(Ok(()), |limit| limit.check(&request));
        let state = match allowed {
            Ok(()) => {
                let (_current, _span) = (trace::enter(trace), span.as_ref().map(Span::enter));
                match catch_unwind(AssertUnwindSafe(|| self.inner.call(request))) {
                    Ok(future) => State::Working { future },
                    Err(panic) => State::Answered { response: Some(answer_panic(panic)) },
                }
            }
            Err(error) => {
                let _current = trace::enter(trace);
                State::Answered { response: Some(error.into_response()) }
            }
        };
        Passage { state, trace, span, request_id, method, started, station: self.station.clone() }
    }
}

fn answer_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    ApiError::internal(format!("panic: {}", text.as_deref().unwrap_or("no message"))).into_response()
}

pin_project! {
    #[project = StateOf]
    enum State<F> {
        Working { #[pin] future: F },
        Answered { response: Option<Response> },
    }
}

pin_project! {
    /// A request on its way through the layer.
    pub struct Passage<F> {
        #[pin]
        state: State<F>,
        trace: TraceContext,
        span: Option<Span>,
        request_id: Option<HeaderValue>,
        method: usize,
        started: Instant,
        station: Arc<Station>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Passage<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let _current = trace::enter(*this.trace);
        let entered = this.span.as_ref().map(Span::enter);
        let mut response = match this.state.as_mut().project() {
            StateOf::Working { future } => match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(response))) => response,
                Err(panic) => {
                    // What panicked is in no state to be polled again.
                    let response = answer_panic(panic);
                    this.state.set(State::Answered { response: None });
                    response
                }
            },
            StateOf::Answered { response } => match response.take() {
                Some(response) => response,
                None => panic!("polled after it was ready"),
            },
        };
        let headers = response.headers_mut();
        headers.insert(TRACEPARENT, trace::header_value(this.trace));
        if let Some(id) = this.request_id.take() {
            headers.insert(X_REQUEST_ID, id);
        }
        drop(entered);
        if let Some(span) = this.span.take() {
            telemetry::record_status(&span, response.status());
        }
        this.station.record(*this.method, response.status(), *this.started);
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests;
