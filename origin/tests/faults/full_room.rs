//! A full room during an outage that is longer than its sessions and claim windows: nobody is put out, nobody called loses the turn,
//! nobody is called into a place that is taken, and afterwards everything ends as it should.

use crate::join_many;
use crate::support::client::{Reply, claims_of, ticket_of};
use crate::support::process::Process;
use crate::support::{Client, EDGE, eventually};
use anteroom_core::line::OUTAGE_MS;
use anteroom_core::settings::parse_rfc3339;
use anteroom_core::units::Millis;
use anteroom_testkit::redis::RedisServer;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Places inside: two sessions and two turns.
const CAPACITY: u64 = 4;
const SECONDS: u64 = 6;
/// Longest time between the last tick and the fault, or between the first step afterwards and its answer, on a busy machine.
const SLACK_MS: u64 = 3_000;

fn wall() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

fn time(value: &Value) -> Millis {
    parse_rfc3339(value.as_str().unwrap_or_else(|| panic!("{value} is no time"))).unwrap()
}

/// Reports the sessions of these tokens, in order, as used.
async fn report(origin: &Client, used: &[&String]) -> Reply {
    let mut before = 0;
    let steps: Vec<u64> = used
        .iter()
        .map(|token| {
            let ticket = ticket_of(token);
            ticket - std::mem::replace(&mut before, ticket)
        })
        .collect();
    let room = json!({"event_id": "sale", "generation": claims_of(used[0])["gen"], "renew": steps});
    let request = origin.request("POST", "/api/v1/edge/reports").header("anteroom-edge-token", EDGE);
    origin.try_send(request.json(&json!({"rooms": [room]}))).await.expect("the origin answers")
}

/// A room where two are inside, two called, four waiting.
struct FullRoom {
    tokens: Vec<String>,
    passes: Vec<Value>,
    /// When the sessions end.
    ends: Vec<Millis>,
    /// When the last of the sessions and claim windows has run out.
    all_over: Millis,
}

impl FullRoom {
    async fn fill(origin: &Client) -> Self {
        let settings = json!({
            "mode": "hold", "capacity": CAPACITY, "session_sec": SECONDS, "claim_sec": SECONDS, "burst": 100,
            "min_wait": [],
        });
        origin.put("sale", settings).await;
        let tokens = join_many(origin, "sale", 8).await;
        origin.put("sale", json!({"mode": "line"})).await;
        let mut room = Self { tokens, passes: Vec::new(), ends: Vec::new(), all_over: Millis(0) };
        for token in &room.tokens[..4] {
            room.all_over = room.all_over.max(time(&origin.ready(token).await["claim_expires_at"]));
        }
        for token in &room.tokens[..2] {
            let body = origin.enter(token).await.ok(200);
            room.passes.push(body["reservation_token"].clone());
            room.ends.push(time(&body["session_expires_at"]));
        }
        room.all_over = room.ends.iter().copied().fold(room.all_over, Millis::max);
        eventually("two inside, two called", async || {
            let stats = origin.stats("sale").await;
            (stats["active"] == 2 && stats["ready"] == 2).then_some(())
        })
        .await;
        room
    }

    /// Waits until every session and claim window has run out by the clock, and calls `meanwhile` all the while.
    async fn outlast(&self, mut meanwhile: impl AsyncFnMut()) {
        eventually("all have run out", async || {
            meanwhile().await;
            (wall() > self.all_over.plus(1_000)).then_some(())
        })
        .await;
    }

    /// Nobody was called beside the four.
    async fn is_full(&self, origin: &Client) {
        let stats = origin.stats("sale").await;
        assert_eq!(stats["called_total"], CAPACITY, "{stats}");
        assert_eq!(stats["active"].as_u64().unwrap() + stats["ready"].as_u64().unwrap(), CAPACITY, "{stats}");
        assert_eq!(stats["missed_total"], 0, "{stats}");
        for (token, position) in self.tokens[4..].iter().zip(1..) {
            let status = origin.status(token).await.ok(200);
            assert_eq!((&status["status"], &status["position"]), (&json!("waiting"), &json!(position)), "{status}");
        }
    }

    /// When a session ends; `None` when it is over.
    async fn session_end(&self, origin: &Client, number: usize) -> Option<Millis> {
        let body = origin.post("/api/v1/passes/verify", json!({"pass": self.passes[number]})).await.ok(200);
        (body["active"] == true).then(|| time(&body["session_expires_at"]))
    }

    /// The store or the origin was away from `away` until `back` at least, and has answered since.
    async fn has_lost_no_time(&self, origin: &Client, away: Millis, back: Millis) {
        self.is_full(origin).await;
        // What one who is not renewed has left is what was left then.
        let end = self.session_end(origin, 1).await.expect("the session is open");
        let later = end.since(self.ends[1]);
        assert!(later >= back.since(away), "{later} ms given back of {}", back.since(away));
        assert!(later <= wall().since(away) + SLACK_MS, "{later} ms given back of {}", wall().since(away));
        // One whose use an edge has reported is told the new end, not that it is over.
        let answer = report(origin, &[&self.tokens[0]]).await.ok(200);
        let renewed = answer["rooms"][0]["sessions"][0][1].as_u64();
        assert!(renewed.is_some_and(|end| end + SLACK_MS > wall().0 + SECONDS * 1_000), "{answer}");
        for token in &self.tokens[2..4] {
            let body = origin.enter(token).await.ok(200);
            assert!(time(&body["session_expires_at"]) > wall(), "{body}");
        }
        self.is_full(origin).await;
    }

    /// The sessions end, the next are called into their places, never more than there are.
    async fn goes_on(&self, origin: &Client) {
        let within = async || {
            let stats = origin.stats("sale").await;
            assert!(stats["active"].as_u64().unwrap() + stats["ready"].as_u64().unwrap() <= CAPACITY, "{stats}");
        };
        for token in &self.tokens[4..] {
            eventually("a place is free", async || {
                within().await;
                let status = origin.status(token).await;
                (status.body["status"] == "ready").then_some(())
            })
            .await;
            origin.enter(token).await.ok(200);
        }
        eventually("all sessions are over", async || {
            within().await;
            (origin.stats("sale").await["active"] == 0).then_some(())
        })
        .await;
        for number in [0, 1] {
            assert_eq!(self.session_end(origin, number).await, None);
        }
        assert_eq!(origin.stats("sale").await["missed_total"], 0, "each of the eight has had the turn");
    }
}

fn on(redis: &RedisServer) -> Process {
    Process::start(&[("ANTEROOM_REDIS_URL", &redis.url())])
}

/// Kills the origin for longer than everything lasts, and starts another one on the same Redis, which `first` is asked of.
async fn killed_for_long(first: impl AsyncFnOnce(&Client, &FullRoom)) {
    let redis = RedisServer::start();
    let mut origin = on(&redis);
    origin.is_ready().await;
    let room = FullRoom::fill(&origin).await;
    let away = wall();
    origin.kill();
    room.outlast(async || {}).await;
    let back = wall();
    let origin = on(&redis);
    first(&origin, &room).await;
    room.has_lost_no_time(&origin, away, back).await;
    room.goes_on(&origin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_origin_throws_nobody_out_when_an_edge_is_the_first_to_ask() {
    killed_for_long(async |origin, room| {
        let answer = eventually("the origin takes reports", async || {
            let reply = report(origin, &[&room.tokens[0], &room.tokens[1]]).await;
            (reply.status == 200 && reply.body["rooms"] != json!([])).then_some(reply.body)
        })
        .await;
        let sessions = answer["rooms"][0]["sessions"].as_array().unwrap();
        assert!(sessions.iter().all(|session| session[1].as_u64() > Some(wall().0)), "{answer}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_origin_takes_no_turn_away_when_the_next_to_ask_is_somebody_called() {
    killed_for_long(async |origin, room| {
        origin.is_ready().await;
        origin.enter(&room.tokens[2]).await.ok(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_store_that_was_down_for_long_throws_nobody_out() {
    let dir = TempDir::new().unwrap();
    let start = || Process::start(&[("ANTEROOM_STATE_DIR", dir.path().to_str().unwrap())]);
    let mut origin = start();
    origin.is_ready().await;
    let room = FullRoom::fill(&origin).await;
    // Who enters in the half second before a kill enters again: what is on disk counts here.
    eventually("the sessions are on disk", async || {
        let text = std::fs::read_to_string(dir.path().join("sale.line.json")).ok()?;
        let saved: Value = serde_json::from_str(&text).ok()?;
        (saved["line"]["facts"]["active"] == 2).then_some(())
    })
    .await;
    let away = wall();
    origin.kill();
    room.outlast(async || {}).await;
    let back = wall();
    let origin = start();
    origin.is_ready().await;
    room.has_lost_no_time(&origin, away, back).await;
    room.goes_on(&origin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stood_still_throws_nobody_out_and_meanwhile_everybody_is_told_so() {
    let mut redis = RedisServer::start();
    let origin = on(&redis);
    origin.is_ready().await;
    let room = FullRoom::fill(&origin).await;
    let away = wall();
    redis.pause();
    room.outlast(async || {
        for token in &room.tokens[2..4] {
            let status = origin.status(token).await.ok(200);
            assert_eq!(status["status"], "ready", "{status}");
        }
        for token in &room.tokens[4..] {
            assert_eq!(origin.status(token).await.ok(200)["status"], "waiting");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    })
    .await;
    let status = origin.status(&room.tokens[2]).await.ok(200);
    assert!(time(&status["claim_expires_at"]) > wall(), "the turn is open for as long as it was: {status}");
    let back = wall();
    redis.resume();
    eventually("the origin takes reports", async || {
        let reply = report(&origin, &[&room.tokens[0]]).await;
        if reply.status == 200 {
            assert!(reply.body["rooms"][0]["sessions"][0][1].is_u64(), "{}", reply.text);
        }
        (reply.status == 200).then_some(())
    })
    .await;
    // What was under way when it stopped may have counted for a moment: one call waits a second for its answer.
    room.has_lost_no_time(&origin, away.plus(SLACK_MS / 2), back).await;
    room.goes_on(&origin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_after_long_throws_nobody_out() {
    let mut redis = RedisServer::start();
    let origin = on(&redis);
    origin.is_ready().await;
    let room = FullRoom::fill(&origin).await;
    let away = wall();
    redis.kill();
    room.outlast(async || {}).await;
    let back = wall();
    redis.restart();
    origin.is_ready().await;
    eventually("the line is back", async || {
        let reply = origin.status(&room.tokens[4]).await;
        (reply.status == 200 && reply.body["stale"] == false).then_some(())
    })
    .await;
    room.has_lost_no_time(&origin, away, back).await;
    room.goes_on(&origin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_origin_ticks_a_room_that_nobody_asks_it_about() {
    let redis = RedisServer::start();
    let mut first = on(&redis);
    first.is_ready().await;
    for event in ["sale", "quiet"] {
        first.put(event, json!({"mode": "hold"})).await;
    }
    first.token("quiet").await;
    let number = |name| redis.cli(&["HGET", "anteroom:{quiet}:line", name]).parse::<u64>().unwrap_or(0);
    // Neither origin is asked about it from here on; the second has never been.
    let second = on(&redis);
    second.is_ready().await;
    second.token("sale").await;
    first.kill();
    let (killed, given_back) = (number("settled_at"), number("given_back"));
    eventually("it was ticked for longer than an outage", async || {
        (number("settled_at") > killed + 2 * OUTAGE_MS).then_some(())
    })
    .await;
    assert_eq!(number("given_back"), given_back, "a room that is ticked is given nothing back");
}
