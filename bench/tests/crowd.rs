//! The crowd against small servers of which one is honest and the others are not: it must tell which.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use anteroom_bench::crowd::{self, Options};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post, put},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Parser as _;
use serde_json::{Value, json};

const PER_SEC: f64 = 400.0;
const BURST: f64 = 20.0;
const CLAIM_MS: f64 = 700.0;

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    Nothing,
    CallsTheLastFirst,
    CallsTooMany,
    GivesANewPassEachTime,
    LosesPlaces,
}

#[derive(Debug)]
struct Line {
    flaw: Flaw,
    issued: u64,
    waiting: BTreeSet<u64>,
    called: BTreeMap<u64, f64>,
    entered: BTreeMap<u64, u64>,
    passes: u64,
    keys: BTreeMap<String, u64>,
    tokens: f64,
    refilled_at: f64,
}

type Room = State<Arc<Mutex<Line>>>;

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as f64
}

impl Line {
    fn step(&mut self) {
        let now = now();
        let per_sec = if self.flaw == Flaw::CallsTooMany { PER_SEC * 3.0 } else { PER_SEC };
        self.tokens = (self.tokens + per_sec * (now - self.refilled_at) / 1e3).min(BURST);
        self.refilled_at = now;
        while self.tokens >= 1.0 {
            let next =
                if self.flaw == Flaw::CallsTheLastFirst { self.waiting.pop_last() } else { self.waiting.pop_first() };
            let Some(ticket) = next else { break };
            self.called.insert(ticket, now);
            self.tokens -= 1.0;
        }
    }
}

fn token(ticket: u64) -> String {
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(json!({ "evt": "e", "gen": 1, "tkt": ticket, "iat": 0 }).to_string()))
}

fn ticket(token: &str) -> u64 {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&payload).unwrap()["tkt"].as_u64().unwrap()
}

fn expired() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": { "code": "TOKEN_EXPIRED" } }))).into_response()
}

async fn join(State(line): Room, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    let mut line = line.lock().unwrap();
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    let known = key.as_ref().and_then(|key| line.keys.get(key).copied());
    let ticket = known.unwrap_or_else(|| {
        line.issued += 1;
        let ticket = line.issued;
        line.waiting.insert(ticket);
        ticket
    });
    line.keys.extend(key.map(|key| (key, ticket)));
    let position = line.waiting.range(..=ticket).count();
    let answer =
        json!({ "waiting_token": token(ticket), "status": "waiting", "position": position, "poll_after_ms": 50 });
    (StatusCode::ACCEPTED, Json(answer))
}

async fn status(State(line): Room, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let mut line = line.lock().unwrap();
    line.step();
    let ticket = ticket(&query["token"]);
    if let Some(&called_at) = line.called.get(&ticket) {
        let end = called_at + CLAIM_MS;
        let lost = line.flaw == Flaw::LosesPlaces && ticket.is_multiple_of(50);
        return if now() > end || lost {
            expired()
        } else {
            Json(json!({ "status": "ready", "position": 0, "ready_for_entry": true, "claim_expires_at": end }))
                .into_response()
        };
    }
    let position = line.waiting.range(..=ticket).count();
    let eta = position as f64 / PER_SEC;
    Json(json!({ "status": "waiting", "position": position, "poll_after_ms": 50,
                 "eta_sec": eta, "eta_low_sec": eta * 0.8, "eta_high_sec": eta * 1.2 }))
    .into_response()
}

async fn enter(State(line): Room, Json(body): Json<Value>) -> Json<Value> {
    let mut line = line.lock().unwrap();
    let ticket = ticket(body["waiting_token"].as_str().unwrap());
    line.passes += 1;
    let fresh = line.passes;
    let keeps = line.flaw != Flaw::GivesANewPassEachTime;
    let pass = *line
        .entered
        .entry(ticket)
        .and_modify(|pass| {
            if !keeps {
                *pass = fresh
            }
        })
        .or_insert(fresh);
    Json(json!({ "admission": "granted", "reservation_token": format!("pass-{pass}") }))
}

async fn leave(State(line): Room, Query(query): Query<BTreeMap<String, String>>) -> Json<Value> {
    line.lock().unwrap().waiting.remove(&ticket(&query["token"]));
    Json(json!({ "status": "left" }))
}

async fn settings() -> Json<Value> {
    Json(json!({ "admit_per_minute": PER_SEC * 60.0, "burst": BURST, "capacity": null, "claim_sec": CLAIM_MS / 1e3 }))
}

async fn stats(State(line): Room) -> Json<Value> {
    let line = line.lock().unwrap();
    Json(json!({ "issued": line.issued, "entered_total": line.entered.len() }))
}

/// Whether a crowd of 400 finds all promises kept.
async fn crowd_is_content_with(flaw: Flaw) -> bool {
    let line = Line {
        flaw,
        issued: 0,
        waiting: BTreeSet::new(),
        called: BTreeMap::new(),
        entered: BTreeMap::new(),
        passes: 0,
        keys: BTreeMap::new(),
        tokens: BURST,
        refilled_at: now(),
    };
    let router = Router::new()
        .route("/api/v1/queue/join", post(join))
        .route("/api/v1/queue/status", get(status))
        .route("/api/v1/queue/enter", post(enter))
        .route("/api/v1/queue/leave", axum::routing::delete(leave))
        .route("/api/v1/admin/rooms/{event}", put(settings))
        .route("/api/v1/admin/rooms/{event}/stats", get(stats))
        .with_state(Arc::new(Mutex::new(line)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let words =
        "crowd --admin-token t --people 400 --over 0.3 --doubled 20 --leavers 5 --silent 5 --no-show 2 --max-time 30";
    let options = Options::parse_from(words.split(' ').chain(["--url", &url]));
    let content = crowd::run(&options).await.unwrap();
    server.abort();
    content
}

#[tokio::test]
async fn an_honest_line_is_found_honest() {
    assert!(crowd_is_content_with(Flaw::Nothing).await);
}

#[tokio::test]
async fn overtaking_is_found() {
    assert!(!crowd_is_content_with(Flaw::CallsTheLastFirst).await);
}

#[tokio::test]
async fn a_rate_above_the_bound_is_found() {
    assert!(!crowd_is_content_with(Flaw::CallsTooMany).await);
}

#[tokio::test]
async fn two_passes_for_one_turn_are_found() {
    assert!(!crowd_is_content_with(Flaw::GivesANewPassEachTime).await);
}

#[tokio::test]
async fn people_dropped_although_they_polled_are_found() {
    assert!(!crowd_is_content_with(Flaw::LosesPlaces).await);
}
