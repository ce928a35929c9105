//! Redis slow or away: joins and enters say so at once, status goes on from memory, everything goes on by itself afterwards.

use crate::support::client::ticket_of;
use crate::support::process::Process;
use crate::support::{Client, at_once, eventually, token_of};
use crate::{join_many, standings};
use anteroom_testkit::redis::{Guard, RedisServer};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Longest time in which an answer that needs no store may come on a busy machine, and one that waited for the store in vain.
const PROMPT: Duration = Duration::from_millis(700);
const IN_VAIN: Duration = Duration::from_millis(2_500);

/// How often Redis was given a command, those within scripts not counted.
fn called(redis: &RedisServer, command: &str) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:")));
    line.and_then(|line| line.split("calls=").nth(1)?.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// How often it was given any of those that an origin gives.
fn commands(redis: &RedisServer) -> u64 {
    ["evalsha", "eval", "time", "smembers"].iter().map(|name| called(redis, name)).sum()
}

async fn is_unavailable(client: &Client, token: &str, event: &str) {
    let leave = client.request("DELETE", &format!("/api/v1/queue/leave?token={token}"));
    let enter = client.request("POST", "/api/v1/queue/enter").json(&json!({"waiting_token": token}));
    let call = client.admin("POST", &format!("/rooms/{event}/call")).json(&json!({"count": 1}));
    let put = client.admin("PUT", &format!("/rooms/{event}")).json(&json!({"burst": 7}));
    for request in [client.join_request(event), enter, leave, call, put] {
        let since = Instant::now();
        let reply = client.send(request).await;
        assert_eq!((reply.status, reply.refused("UNAVAILABLE").is_object()), (503, true));
        assert!(since.elapsed() < IN_VAIN, "{:?}", since.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_at_the_start_it_says_so_once_and_recovers_by_itself() {
    let password = "hunter2-hunter2";
    let mut redis = RedisServer::guarded(Guard::Password(password.into()));
    redis.kill();
    let origin = Process::start(&[("ANTEROOM_REDIS_URL", &redis.url())]);
    let ready = origin.get("/readyz").await;
    assert_eq!((ready.status, &ready.body["dependencies"]["store"]), (503, &json!("down")));
    origin.get("/healthz").await.ok(200);
    for _ in 0..3 {
        origin.send(origin.join_request("sale")).await.refused("UNAVAILABLE");
        origin.send(origin.admin("GET", "/rooms/sale")).await.refused("UNAVAILABLE");
    }
    assert_eq!(origin.logged("ERROR", "the store cannot be reached"), 1, "{:?}", origin.log());
    redis.restart();
    origin.is_ready().await;
    assert_eq!(origin.logged("INFO", "the store is back"), 1);
    origin.put("sale", json!({"mode": "hold"})).await;
    assert_eq!(origin.join("sale").await["position"], 1);
    assert!(origin.log().iter().all(|line| !line.to_string().contains(password)), "a password is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_stands_still_status_goes_on_and_joins_are_refused_soon() {
    let mut redis = RedisServer::start();
    let origin = Process::start(&[("ANTEROOM_REDIS_URL", &redis.url())]);
    origin.is_ready().await;
    origin.put("sale", json!({"mode": "hold"})).await;
    let tokens = join_many(&origin, "sale", 20).await;
    let before = standings(&origin, &tokens).await;
    redis.pause();
    let key = "9f6d3c1e-52a4-4f0e-8a45-3d1f3b6f2d10";
    let keyed = || origin.join_request("sale").header("idempotency-key", key);
    let since = Instant::now();
    origin.send(keyed()).await.refused("UNAVAILABLE");
    assert!(since.elapsed() < IN_VAIN, "{:?}", since.elapsed());
    eventually("status says that it is stale", async || {
        let since = Instant::now();
        let body = origin.status(&tokens[0]).await.ok(200);
        assert!(since.elapsed() < PROMPT, "{:?}", since.elapsed());
        (body["stale"] == true).then_some(())
    })
    .await;
    is_unavailable(&origin, &tokens[3], "sale").await;
    assert_eq!(standings(&origin, &tokens).await, before);
    eventually("readiness says so", async || (origin.get("/readyz").await.status == 503).then_some(())).await;
    assert_eq!(origin.stats("sale").await["stale"], true);
    redis.resume();
    origin.is_ready().await;
    eventually("status is fresh", async || (!origin.status(&tokens[0]).await.body["stale"].as_bool()?).then_some(()))
        .await;
    // What was sent before may be carried out now; the same key is the same place, however often.
    let again = eventually("joins go on", async || {
        let reply = origin.send(keyed()).await;
        (reply.status == 202).then(|| token_of(&reply.body))
    })
    .await;
    assert_eq!(token_of(&origin.send(keyed()).await.ok(202)), again);
    let mut all: BTreeSet<u64> = tokens.iter().map(|token| ticket_of(token)).collect();
    assert!(all.insert(ticket_of(&again)) && all.insert(ticket_of(&origin.token("sale").await)), "a ticket twice");
    assert_eq!(standings(&origin, &tokens[..3]).await, before[..3]);
    assert_eq!(origin.call("sale", 1).await, 1);
    origin.enter(&tokens[0]).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_cause_no_redis_command() {
    let redis = RedisServer::start();
    let origin = Process::start(&[("ANTEROOM_REDIS_URL", &redis.url())]);
    origin.is_ready().await;
    origin.put("sale", json!({"mode": "hold"})).await;
    let tokens = join_many(&origin, "sale", 50).await;
    // What ticks and the watch over the store need by themselves.
    let (since, start) = (Instant::now(), commands(&redis));
    let idle = eventually("a hundred commands", async || {
        let done = commands(&redis) - start;
        (done >= 100).then_some(done)
    })
    .await;
    let idle_per_sec = idle as f64 / since.elapsed().as_secs_f64();
    let (since, start) = (Instant::now(), commands(&redis));
    let client = (*origin).clone();
    at_once(8, |_| {
        let (client, tokens) = (client.clone(), tokens.clone());
        async move {
            for poll in 0..500 {
                client.status(&tokens[poll % tokens.len()]).await.ok(200);
            }
        }
    })
    .await;
    let (took, done) = (since.elapsed().as_secs_f64(), (commands(&redis) - start) as f64);
    // Heartbeats are merged once a second, whoever polls.
    let allowed = idle_per_sec * took * 1.25 + took * 1.5 + 10.0;
    assert!(done <= allowed, "4000 polls in {took} s: {done} commands, {idle_per_sec} a second when idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_cannot_be_read_is_asked_for_once_a_look_and_no_more() {
    let redis = RedisServer::start();
    let origin = Process::start(&[("ANTEROOM_REDIS_URL", &redis.url())]);
    origin.is_ready().await;
    redis.cli(&["SET", "anteroom:{torn}:line", "nothing that a line could be"]);
    redis.cli(&["SADD", "anteroom:rooms", "torn"]);
    let count = || (called(&redis, "smembers"), called(&redis, "evalsha"));
    let before = count();
    let after =
        eventually("it has looked six times", async || Some(count()).filter(|(looks, _)| *looks >= before.0 + 6)).await;
    let (looks, readings) = (after.0 - before.0, after.1 - before.1);
    assert!(readings <= looks + 1, "{readings} readings in {looks} looks: something goes on reading by itself");
    redis.cli(&["DEL", "anteroom:{torn}:line"]);
    redis.cli(&["SREM", "anteroom:rooms", "torn"]);
    origin.is_ready().await;
}
