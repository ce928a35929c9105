use super::*;
use crate::config::RateConfig;
use crate::http::content::{EventPath, JsonBody, OptionalJsonBody, QueryParams};
use crate::http::{health, trace};
use anteroom_core::units::EventId;
use axum::Router;
use axum::body::Body;
use axum::http::header;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;
use std::num::NonZeroU32;
use tower::ServiceExt;

#[derive(Deserialize)]
struct Join {
    event_id: EventId,
    #[serde(default)]
    nested: Vec<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(rename = "count")]
    _count: u8,
}

#[derive(Deserialize)]
struct Params {
    token: String,
}

struct Dropped(&'static std::sync::atomic::AtomicBool);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

static DROPPED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

async fn panic_late() -> &'static str {
    let _dropped = Dropped(&DROPPED);
    tokio::task::yield_now().await;
    panic!("hunter2");
}

fn routes() -> Router {
    Router::new()
        .route("/hello", get(async || "hello"))
        .route("/trace", get(async || trace::current().map(|t| t.trace_id().as_str().to_owned()).unwrap_or_default()))
        .route("/join", post(async |JsonBody(join): JsonBody<Join>| format!("{} {}", join.event_id, join.nested.len())))
        .route("/leave", post(async |OptionalJsonBody(join): OptionalJsonBody<Join>| join.is_some().to_string()))
        .route("/status", get(async |QueryParams(params): QueryParams<Params>| params.token))
        .route("/events/{event_id}", get(async |EventPath(event): EventPath| event.to_string()).delete(async || ()))
        .route("/panic", get(panic_late))
        .route("/teapot", get(async || StatusCode::IM_A_TEAPOT))
        .route("/outage", get(async || ApiError::unavailable("hunter2").into_response()))
}

fn app(metrics: &Arc<Metrics>) -> Router {
    health::with_fallbacks(routes()).layer(Plumbing::new(metrics.clone()))
}

fn request(method: &str, uri: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(uri)
}

struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The error, checked to be of the one shape with its trace.
    fn error(&self) -> Value {
        assert_eq!(self.header(header::CONTENT_TYPE), "application/json");
        assert_eq!(self.header(header::CACHE_CONTROL), "no-store");
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        let traceparent = self.header(TRACEPARENT);
        assert_eq!(body["error"]["trace_id"], traceparent[3..35]);
        assert!(!self.text().contains("hunter2"));
        body["error"].clone()
    }

    fn code(&self) -> String {
        self.error()["code"].as_str().unwrap().to_owned()
    }
}

async fn send(app: &Router, request: Request) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn call(app: &Router, method: &str, uri: &str) -> Answer {
    send(app, request(method, uri).body(Body::empty()).unwrap()).await
}

async fn post_json(app: &Router, uri: &str, body: impl Into<Body>) -> Answer {
    let request = request("POST", uri).header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    send(app, request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn the_trace_of_the_caller_is_continued_in_answer_and_handler() {
    let app = app(&Arc::default());
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = send(&app, request("GET", "/trace").header(TRACEPARENT, caller).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.text(), &caller[3..35]);
    assert_eq!(answer.header(TRACEPARENT)[..36], caller[..36]);
    assert_ne!(answer.header(TRACEPARENT)[36..52], caller[36..52]);
    let (one, other) = (call(&app, "GET", "/trace").await, call(&app, "GET", "/trace").await);
    assert_eq!(one.text(), &one.header(TRACEPARENT)[3..35]);
    assert_ne!(one.text(), other.text());
    assert_eq!(trace::current(), None);
}

#[tokio::test]
async fn a_request_id_is_echoed_if_it_is_short_visible_text() {
    let app = app(&Arc::default());
    let long = "x".repeat(129);
    for (id, echoed) in [("abc-1", true), (&long[1..], true), (&long, false), ("a b", false), ("é", false), ("", false)]
    {
        let request = request("GET", "/hello").header(X_REQUEST_ID, id.as_bytes());
        let answer = send(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header(X_REQUEST_ID), if echoed { id } else { "" });
    }
    assert!(!call(&app, "GET", "/hello").await.headers.contains_key(X_REQUEST_ID));
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_answer_in_the_one_shape() {
    let app = app(&Arc::default());
    let answer = call(&app, "GET", "/nothing").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"));
    let answer = call(&app, "POST", "/events/a").await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
    assert_eq!(answer.header(header::ALLOW), "GET,HEAD,DELETE");
    let answer = call(&app, "BREW", "/hello").await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_next_request_is_served() {
    let app = app(&Arc::default());
    let answer = call(&app, "GET", "/panic").await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "INTERNAL_ERROR"));
    assert!(DROPPED.load(std::sync::atomic::Ordering::SeqCst), "what the handler held is let go");
    assert_eq!(trace::current(), None);
    assert_eq!(call(&app, "GET", "/hello").await.text(), "hello");
    let answer = call(&app, "GET", "/outage").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "UNAVAILABLE"));
    assert_eq!(answer.header(header::RETRY_AFTER), "1");
}

#[tokio::test]
async fn bad_bodies_are_named_for_what_they_are() {
    let app = app(&Arc::default());
    let deep = format!(r#"{{"event_id":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let long = format!(r#"{{"event_id":"{}"}}"#, "x".repeat(60_000));
    for (body, says) in [
        (&b""[..], "body must be a JSON object"),
        (b"{", "body is not JSON"),
        (b"{\"event_id\":\"a\"} x", "body is not JSON"),
        (b"{\"event_id\":\"\xff\"}", "body is not JSON"),
        (deep.as_bytes(), "event_id: invalid type: sequence"),
        (b"[\"a\"]", "body must be a JSON object"),
        (b"7", "body must be a JSON object"),
        (b"{}", "missing field `event_id`"),
        (b"{\"event_id\":7}", "event_id: invalid type: integer `7`, expected a string"),
        (b"{\"event_id\":null}", "event_id: invalid type: null"),
        (b"{\"event_id\":\"\"}", "event_id: is empty"),
        (b"{\"event_id\":\"a b\"}", "event_id: has a character outside"),
        (long.as_bytes(), "event_id: is longer than 128 characters"),
        (b"{\"event_id\":\"a\",\"nested\":[{\"count\":1},{\"count\":-1}]}", "nested[1].count: invalid value"),
    ] {
        let answer = post_json(&app, "/join", body.to_vec()).await;
        let error = answer.error();
        assert_eq!((answer.status, error["code"].as_str()), (400, Some("INVALID_REQUEST")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{message:?} should say {says:?}");
        assert!(message.len() < 600 && !message.contains(" line 1 column 1 "), "{message}");
    }
    assert_eq!(post_json(&app, "/join", r#"{"event_id":"a","nested":[],"more":{}}"#).await.text(), "a 0");
}

#[tokio::test]
async fn bodies_over_64_kib_are_refused_whether_they_say_so_or_not() {
    let app = app(&Arc::default());
    let big = format!(r#"{{"event_id":"a","x":"{}"}}"#, "x".repeat(1 << 20));
    let answer = post_json(&app, "/join", big.clone()).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let chunks = Body::from_stream(Chunks(big.into_bytes()));
    let answer = post_json(&app, "/join", chunks).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let fits = format!(r#"{{"event_id":"a","x":"{}"}}"#, "x".repeat(65_536 - r#"{"event_id":"a","x":""}"#.len()));
    assert_eq!(fits.len(), 65_536);
    assert_eq!(post_json(&app, "/join", fits).await.status, 200);
}

/// A body that does not say how long it is.
struct Chunks(Vec<u8>);

impl futures_core::Stream for Chunks {
    type Item = Result<Vec<u8>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let at = self.0.len().min(1000);
        let rest = self.0.split_off(at);
        let chunk = std::mem::replace(&mut self.0, rest);
        Poll::Ready((!chunk.is_empty()).then_some(Ok(chunk)))
    }
}

#[tokio::test]
async fn only_json_is_taken_for_json() {
    let app = app(&Arc::default());
    for (content_type, status) in [
        ("application/json", 200),
        ("Application/JSON;charset=utf-8", 200),
        ("application/merge-patch+json", 200),
        ("text/plain", 400),
        ("application/x-www-form-urlencoded", 400),
        ("multipart/form-data", 400),
        ("", 400),
        ("+json", 400),
    ] {
        let request = request("POST", "/join").header(header::CONTENT_TYPE, content_type);
        let answer = send(&app, request.body(r#"{"event_id":"a"}"#.into()).unwrap()).await;
        assert_eq!(answer.status, status, "{content_type:?}");
    }
    let answer = send(&app, request("POST", "/join").body(r#"{"event_id":"a"}"#.into()).unwrap()).await;
    assert_eq!(answer.status, 200, "no content type is no wrong content type");
    let empty = request("POST", "/leave").header(header::CONTENT_TYPE, "text/plain").body(Body::empty()).unwrap();
    assert_eq!(send(&app, empty).await.text(), "false", "an absent body has no wrong type");
    assert_eq!(post_json(&app, "/leave", r#"{"event_id":"a"}"#).await.text(), "true");
}

#[tokio::test]
async fn query_and_path_are_checked_like_bodies() {
    let app = app(&Arc::default());
    assert_eq!(call(&app, "GET", "/status?token=a.b").await.text(), "a.b");
    assert_eq!(call(&app, "GET", "/events/sale:1").await.text(), "sale:1");
    let long = format!("/events/{}", "x".repeat(129));
    for uri in ["/status", "/status?token=a&token=b", "/events/a%20b", "/events/%ff", "/events/%00", &long] {
        let answer = call(&app, "GET", uri).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_REQUEST"), "{uri}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_method_route_and_status() {
    let metrics = Arc::new(Metrics::new());
    let app = app(&metrics);
    for (method, uri) in [
        ("GET", "/events/a"),
        ("GET", "/events/b"),
        ("GET", "/events/a%20b"),
        ("DELETE", "/events/a"),
        ("HEAD", "/hello"),
        ("BREW", "/hello"),
        ("SPIN", "/hello"),
        ("GET", "/teapot"),
        ("GET", "/panic"),
        ("GET", "/no/such/path"),
        ("GET", "/nor/this"),
    ] {
        call(&app, method, uri).await;
    }
    let text = metrics.render();
    for (method, route, status, count) in [
        ("GET", "/events/{event_id}", 200, 2),
        ("GET", "/events/{event_id}", 400, 1),
        ("DELETE", "/events/{event_id}", 200, 1),
        ("HEAD", "/hello", 200, 1),
        ("other", "/hello", 405, 2),
        ("GET", "/teapot", 418, 1),
        ("GET", "/panic", 500, 1),
        ("GET", "unmatched", 404, 2),
    ] {
        let labels = format!(r#"{{method="{method}",route="{route}",status="{status}"}} {count}"#);
        for name in ["http_server_requests_total", "http_server_requests_duration_seconds_count"] {
            assert!(text.contains(&format!("{name}{labels}\n")), "{name}{labels}\nnot in\n{text}");
        }
    }
}

#[tokio::test]
async fn a_limited_route_refuses_an_eager_client_and_only_that_one() {
    let metrics = Arc::new(Metrics::new());
    let rate = RateConfig { per_sec: NonZeroU32::MIN, burst: NonZeroU32::new(3).unwrap() };
    let limiter = Arc::new(Limiter::new(rate, &metrics));
    let limited = routes().layer(Plumbing::new(metrics.clone()).limited(limiter, Arc::default()));
    let from = |address: &str, lie: u8| {
        let peer = ConnectInfo(SocketAddr::new(address.parse().unwrap(), 1));
        let request = request("GET", "/hello").header("x-forwarded-for", format!("203.0.113.{lie}")).extension(peer);
        request.body(Body::empty()).unwrap()
    };
    let mut statuses = Vec::new();
    for lie in 0..5 {
        let answer = send(&limited, from("192.0.2.1", lie)).await;
        if answer.status == 429 {
            assert_eq!(answer.code(), "RATE_LIMITED");
            assert_eq!(answer.header(header::RETRY_AFTER), "1");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(send(&limited, from("192.0.2.2", 0)).await.status, 200);
    assert!(metrics.render().contains(r#"ratelimit_dropped_total{reason="address"} 2"#));
}

#[tokio::test]
async fn probes_tell_life_from_readiness() {
    let (metrics, draining) = (Arc::new(Metrics::new()), health::Draining::default());
    let up = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = up.clone();
    let store = move || seen.load(std::sync::atomic::Ordering::SeqCst);
    let app = health::routes(store, draining.clone(), metrics.clone()).layer(Plumbing::new(metrics));
    let health: Value = serde_json::from_slice(&call(&app, "GET", "/healthz").await.body).unwrap();
    assert_eq!((&health["status"], &health["service"]), (&"healthy".into(), &"anteroom".into()));
    assert!(health["timestamp"].as_str().unwrap().ends_with('Z') && health["version"].is_string());
    let ready = async |status: u16, text: &str, store: &str| {
        let answer = call(&app, "GET", "/readyz").await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, status);
        assert_eq!((&body["status"], &body["dependencies"]["store"]), (&text.into(), &store.into()));
        assert_eq!(answer.header(header::RETRY_AFTER), if status == 503 { "1" } else { "" });
    };
    ready(503, "unavailable", "down").await;
    up.store(true, std::sync::atomic::Ordering::SeqCst);
    ready(200, "ready", "up").await;
    draining.begin();
    ready(503, "draining", "up").await;
    let answer = call(&app, "GET", "/metrics").await;
    assert!(answer.header(header::CONTENT_TYPE).starts_with("application/openmetrics-text"));
    assert!(answer.text().contains(r#"route="/readyz",status="503"} 2"#) && answer.text().ends_with("# EOF\n"));
}
