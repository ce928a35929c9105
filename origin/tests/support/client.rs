//! A client of one origin. Every answer that passes through it is held to what the contract says of all answers.

use super::{ADMIN, eventually};
use anteroom_core::code::ErrorCode;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;

/// See the module's comment.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// `Null` when it is not JSON.
    pub body: Value,
    pub text: String,
}

impl Client {
    pub fn new(base: &str) -> Self {
        // A proxy of the machine must not stand between a test and its server.
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20));
        // workerd closes a connection that was not used for five seconds, and a request could meet that.
        let http = http.pool_idle_timeout(Duration::from_secs(1)).build().unwrap();
        Self { base: base.to_owned(), http }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.base))
    }

    pub fn admin(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(method, &format!("/api/v1/admin{path}")).bearer_auth(ADMIN)
    }

    /// Sends, and holds the answer to the rules. `None`: there was none.
    pub async fn try_send(&self, request: RequestBuilder) -> Option<Reply> {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.http.execute(request).await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Reply { status, headers, body, text };
        reply.keeps_the_rules(&method, &path);
        Some(reply)
    }

    pub async fn send(&self, request: RequestBuilder) -> Reply {
        self.try_send(request).await.expect("the server answers")
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request("GET", path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request("POST", path).json(&body)).await
    }

    pub async fn is_ready(&self) {
        eventually("an origin that is ready", async || {
            let reply = self.try_send(self.request("GET", "/readyz")).await?;
            (reply.status == 200).then_some(())
        })
        .await;
    }

    /// Puts a room's settings; gives all of them.
    pub async fn put(&self, event: &str, settings: Value) -> Value {
        self.send(self.admin("PUT", &format!("/rooms/{event}")).json(&settings)).await.ok(200)
    }

    pub async fn stats(&self, event: &str) -> Value {
        self.send(self.admin("GET", &format!("/rooms/{event}/stats"))).await.ok(200)
    }

    /// Calls people by hand; gives how many were called.
    pub async fn call(&self, event: &str, count: u64) -> u64 {
        let request = self.admin("POST", &format!("/rooms/{event}/call")).json(&json!({"count": count}));
        self.send(request).await.ok(200)["called"].as_u64().unwrap()
    }

    pub fn join_request(&self, event: &str) -> RequestBuilder {
        self.request("POST", "/api/v1/queue/join").json(&json!({"event_id": event}))
    }

    /// Joins; gives the answer's body.
    pub async fn join(&self, event: &str) -> Value {
        self.send(self.join_request(event)).await.ok(202)
    }

    /// Joins; gives the waiting token.
    pub async fn token(&self, event: &str) -> String {
        token_of(&self.join(event).await)
    }

    pub async fn status(&self, token: &str) -> Reply {
        self.get(&format!("/api/v1/queue/status?token={token}")).await
    }

    pub async fn enter(&self, token: &str) -> Reply {
        self.post("/api/v1/queue/enter", json!({"waiting_token": token})).await
    }

    pub async fn leave(&self, token: &str) -> Reply {
        self.send(self.request("DELETE", &format!("/api/v1/queue/leave?token={token}"))).await
    }

    /// Waits for a turn; gives the status that says so.
    pub async fn ready(&self, token: &str) -> Value {
        eventually("a turn", async || {
            let reply = self.try_send(self.request("GET", &format!("/api/v1/queue/status?token={token}"))).await?;
            (reply.status == 200 && reply.body["status"] == "ready").then_some(reply.body)
        })
        .await
    }
}

impl Reply {
    /// The body of an answer of this status.
    pub fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    /// The error in an answer of this code.
    pub fn refused(&self, code: &str) -> &Value {
        assert_eq!(self.body["error"]["code"], code, "{} {}", self.status, self.text);
        &self.body["error"]
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(HeaderValue::to_str).transpose().unwrap()
    }

    /// What section 2 of the contract says of all answers.
    fn keeps_the_rules(&self, method: &Method, path: &str) {
        let said = format!("{method} {path}: {} {:?} {}", self.status, self.headers, self.text);
        let traceparent = self.header("traceparent").unwrap_or_else(|| panic!("no traceparent: {said}"));
        assert!(traceparent.len() == 55 && traceparent.starts_with("00-"), "{said}");
        if matches!(self.status, 429 | 503) {
            let seconds = self.header("retry-after").and_then(|text| text.parse::<u64>().ok());
            assert!(seconds.is_some_and(|seconds| seconds >= 1), "no Retry-After: {said}");
        }
        let cached = ["/board", "jwks.json", "/edge/rooms"].iter().any(|end| path.ends_with(end));
        let personal = path.starts_with("/api/v1/") && !cached;
        if personal || self.status >= 400 {
            assert_eq!(self.header("cache-control"), Some("no-store"), "{said}");
        }
        if self.status < 400 || path == "/readyz" || *method == Method::HEAD {
            return;
        }
        assert_eq!(self.header("content-type"), Some("application/json"), "{said}");
        let error = self.body["error"].as_object().unwrap_or_else(|| panic!("not the error shape: {said}"));
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{said}");
        assert_eq!(error["trace_id"], traceparent[3..35], "{said}");
        let code = ErrorCode::ALL.iter().find(|code| error["code"] == code.as_str());
        assert_eq!(code.map(|code| code.status()), Some(self.status), "not a code of this status: {said}");
        assert_ne!(self.status, 500, "{said}");
    }
}

/// The waiting token in the body of a join.
pub fn token_of(joined: &Value) -> String {
    joined["waiting_token"].as_str().unwrap_or_else(|| panic!("no waiting_token in {joined}")).to_owned()
}

/// The payload of a token, unverified: what a test may look at and a client may not.
pub fn claims_of(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// The number that a waiting token stands for.
pub fn ticket_of(token: &str) -> u64 {
    claims_of(token)["tkt"].as_u64().unwrap()
}
