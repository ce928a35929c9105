//! The way from an edge to its origin, with a count of what is asked on it.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::TcpListener;

/// See the module's comment.
pub struct Wire {
    url: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    origin: String,
    http: reqwest::Client,
    asked: parking_lot::Mutex<BTreeMap<String, usize>>,
    rooms: parking_lot::Mutex<Value>,
}

impl Wire {
    pub async fn to(origin: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let seen = Arc::new(Seen { origin: origin.into(), http: http.build().unwrap(), ..Seen::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(pass_on).with_state(seen.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often each was asked so far, as `GET /api/v1/queue/board`.
    pub fn asked(&self) -> BTreeMap<String, usize> {
        self.seen.asked.lock().clone()
    }

    /// The settings of a room as the edge was last told them.
    pub fn told(&self, event: &str) -> Option<Value> {
        let rooms = self.seen.rooms.lock();
        let room = rooms["rooms"].as_array()?.iter().find(|room| room["event_id"] == event)?;
        Some(room["settings"].clone())
    }
}

async fn pass_on(State(seen): State<Arc<Seen>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    *seen.asked.lock().entry(format!("{} {path}", parts.method)).or_default() += 1;
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    let url = format!("{}{}", seen.origin, parts.uri);
    let answer = seen.http.request(parts.method, url).headers(parts.headers).body(body).send().await;
    let Ok(answer) = answer else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::TRANSFER_ENCODING);
    let Ok(body) = answer.bytes().await else { return StatusCode::BAD_GATEWAY.into_response() };
    if path == "/api/v1/edge/rooms" && status == StatusCode::OK {
        *seen.rooms.lock() = serde_json::from_slice(&body).unwrap();
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
