//! An HTTP/1.1 client that thousands of people share: keep-alive connections, never more than a given number of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Uri, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;
use tokio::{sync::Semaphore, time::timeout};

use crate::wire::Problem;

/// How long a request may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(15);

/// A request about to be sent.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    method: Method,
    path: &'a str,
    bearer: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    body: Option<String>,
}

impl<'a> Ask<'a> {
    /// GET `path`, query included.
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, bearer: None, idempotency_key: None, body: None }
    }

    /// DELETE `path`, query included.
    pub fn delete(path: &'a str) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// POST a JSON body to `path`.
    pub fn post(path: &'a str, body: &serde_json::Value) -> Self {
        Self { method: Method::POST, body: Some(body.to_string()), ..Self::get(path) }
    }

    /// PUT a JSON body to `path`.
    pub fn put(path: &'a str, body: &serde_json::Value) -> Self {
        Self { method: Method::PUT, ..Self::post(path, body) }
    }

    /// Shows a bearer token.
    #[must_use]
    pub fn bearer(self, token: &'a str) -> Self {
        Self { bearer: Some(token), ..self }
    }

    /// Makes the request repeatable.
    #[must_use]
    pub fn idempotency_key(self, key: Option<&'a str>) -> Self {
        Self { idempotency_key: key, ..self }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Seconds of `Retry-After`, if any.
    pub retry_after: Option<u64>,
    /// From sending to the last byte, without the wait for a connection.
    pub took: Duration,
    body: Bytes,
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| {
            let text = String::from_utf8_lossy(&self.body);
            format!("answer {}: {}", self.status, text.chars().take(200).collect::<String>())
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The error code of the contract, or the bare status when the body has no such shape.
    pub fn code(&self) -> String {
        match self.json::<Problem>() {
            Ok(problem) => format!("{} {}", self.status, problem.error.code),
            Err(_) => format!("{} without an error code", self.status),
        }
    }
}

/// The shared client of one server.
#[derive(Debug)]
pub struct Client {
    base: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
    connections: Semaphore,
}

impl Client {
    /// A client of the server at `url` (`http://host:port`) with at most `connections` connections.
    pub fn new(url: &str, connections: usize) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("not a URL: {url}"))?;
        anyhow::ensure!(
            uri.scheme_str() == Some("http") && uri.authority().is_some(),
            "{url}: only http://host:port is spoken here; drive a TLS endpoint through a local proxy"
        );
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new()).pool_max_idle_per_host(connections).build(connector);
        Ok(Self { base: url.trim_end_matches('/').to_owned(), pool, connections: Semaphore::new(connections) })
    }

    /// Where the server is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends one request and reads the whole answer. `Err` means that no answer came.
    pub async fn send(&self, ask: Ask<'_>) -> Result<Answer> {
        let mut request = Request::builder().method(ask.method).uri(format!("{}{}", self.base, ask.path));
        if let Some(token) = ask.bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = ask.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if ask.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(ask.body.unwrap_or_default()))?;
        let _permit = self.connections.acquire().await?;
        let begun = Instant::now();
        timeout(PATIENCE, async {
            let response = self.pool.request(request).await.context("no answer")?;
            let status = response.status().as_u16();
            let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
            let body = response.into_body().collect().await.context("answer cut short")?.to_bytes();
            Ok(Answer { status, retry_after, took: begun.elapsed(), body })
        })
        .await
        .context("no answer in time")?
    }
}
