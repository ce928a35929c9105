//! A small site. It tells what it was asked, and does what sites do.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// See the module's comment.
pub struct Shop {
    url: String,
    pub seen: Arc<Seen>,
}

/// What the shop has seen.
#[derive(Default)]
pub struct Seen {
    /// Requests in all.
    pub requests: AtomicUsize,
    /// Bytes of bodies that have arrived.
    pub bytes: AtomicU64,
    /// Requests that were given up by whoever asked.
    pub given_up: AtomicUsize,
    /// Where the next piece of `/stream` comes from.
    pub pieces: parking_lot::Mutex<Option<mpsc::UnboundedReceiver<Bytes>>>,
}

const WORDS: &[u8] = b"0123456789abcdefghij";
/// `gzip` of "compressed".
const GZIP: &[u8] = &[
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0xce, 0xcf, 0x2d, 0x28, 0x4a, 0x2d, 0x2e, 0x4e, 0x4d, 1, 0, 0x2f, 0x55,
    0x9c, 0x0e, 10, 0, 0, 0,
];

impl Shop {
    pub async fn open() -> Self {
        let seen = Arc::new(Seen::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .route("/range", get(range))
            .route("/gzip", get(gzip))
            .route("/cookies", get(cookies))
            .route("/done", any(done))
            .route("/moved", get(async || (StatusCode::FOUND, [(header::LOCATION, "/moved")])))
            .route("/hang", any(hang))
            .route("/stream", get(stream))
            .route("/endless", get(endless))
            .route("/upload", any(upload))
            .route("/echo", any(switch))
            .route("/socket", any(crate::echo::echo))
            .fallback(tell)
            .with_state(seen.clone())
            .layer(axum::middleware::from_fn_with_state(seen.clone(), count));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }
}

async fn count(State(seen): State<Arc<Seen>>, request: Request, next: axum::middleware::Next) -> Response {
    seen.requests.fetch_add(1, Ordering::SeqCst);
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-shop", "open".parse().unwrap());
    response
}

/// What was asked, as JSON.
async fn tell(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut headers: serde_json::Map<String, Value> = serde_json::Map::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let list = headers.entry(name.as_str()).or_insert_with(|| json!([]));
        list.as_array_mut().unwrap().push(value.into());
    }
    let asked = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    ([(header::CACHE_CONTROL, "public, max-age=60")], axum::Json(json!({ "asked": asked }))).into_response()
}

async fn range(headers: HeaderMap) -> Response {
    match headers.get(header::RANGE).map(|range| range.to_str().unwrap()) {
        Some("bytes=2-5") => {
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, "bytes 2-5/20")], WORDS[2..6].to_vec())
                .into_response()
        }
        _ => ([(header::ACCEPT_RANGES, "bytes"), (header::ETAG, "\"words\"")], WORDS.to_vec()).into_response(),
    }
}

async fn gzip() -> Response {
    ([(header::CONTENT_ENCODING, "gzip"), (header::CONTENT_TYPE, "text/plain")], GZIP.to_vec()).into_response()
}

/// Answers that no site behind a gate should be able to give to a visitor.
async fn cookies() -> Response {
    let mut response = "cookies".into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        ("set-cookie", "basket=7; Path=/"),
        ("set-cookie", "__Host-anteroom-session-sale=x.y.z; Path=/; Secure"),
        ("anteroom-token", "x.y.z"),
        ("connection", "x-private"),
        ("x-private", "1"),
        ("keep-alive", "timeout=7"),
    ] {
        headers.append(name, value.parse().unwrap());
    }
    response
}

async fn done() -> Response {
    ([("anteroom-session", "end")], "goodbye").into_response()
}

/// Says when it goes.
struct Guard(Arc<Seen>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.given_up.fetch_add(1, Ordering::SeqCst);
    }
}

async fn hang(State(seen): State<Arc<Seen>>) -> Response {
    let _guard = Guard(seen);
    std::future::pending().await
}

/// Pieces as the test sends them.
async fn stream(State(seen): State<Arc<Seen>>) -> Response {
    let pieces = seen.pieces.lock().take().unwrap();
    Body::new(Pieces { pieces, _guard: Guard(seen) }).into_response()
}

struct Pieces {
    pieces: mpsc::UnboundedReceiver<Bytes>,
    _guard: Guard,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

/// A hundred megabytes, without a length.
async fn endless(State(seen): State<Arc<Seen>>) -> Response {
    let (send, pieces) = mpsc::unbounded_channel();
    let piece = Bytes::from(vec![7; 1 << 20]);
    for _ in 0..100 {
        send.send(piece.clone()).unwrap();
    }
    Body::new(Pieces { pieces, _guard: Guard(seen) }).into_response()
}

/// Counts what comes.
async fn upload(State(seen): State<Arc<Seen>>, request: Request) -> Response {
    let mut body = request.into_body();
    let mut total = 0_u64;
    loop {
        let frame = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)).await;
        match frame {
            Some(Ok(frame)) => {
                let length = frame.into_data().map_or(0, |data| data.len() as u64);
                total += length;
                seen.bytes.fetch_add(length, Ordering::SeqCst);
            }
            Some(Err(_)) => {
                seen.given_up.fetch_add(1, Ordering::SeqCst);
                break;
            }
            None => break,
        }
    }
    total.to_string().into_response()
}

/// Another protocol: whatever is said comes back.
async fn switch(mut request: Request) -> Response {
    let asked = request.headers().get(header::UPGRADE).cloned();
    let Some(asked) = asked else { return StatusCode::UPGRADE_REQUIRED.into_response() };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
        let mut bytes = [0; 4_096];
        while let Ok(count @ 1..) = stream.read(&mut bytes).await {
            if stream.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    });
    let headers = [(header::UPGRADE, asked), (header::CONNECTION, "upgrade".parse().unwrap())];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}
