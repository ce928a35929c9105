//! Two origins on one Redis: one line, whoever is asked, and one of them killed.

use crate::support::client::ticket_of;
use crate::support::process::Process;
use crate::support::{Client, at_once, eventually, token_of};
use crate::{join_many, standings};
use anteroom_testkit::redis::RedisServer;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

async fn started(settings: Value) -> (RedisServer, Process, Process) {
    let redis = RedisServer::start();
    let variables = [("ANTEROOM_REDIS_URL", redis.url())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (one, two) = (Process::start(&variables), Process::start(&variables));
    one.is_ready().await;
    two.is_ready().await;
    one.put("sale", settings).await;
    eventually("the other knows the room", async || {
        (two.get("/api/v1/queue/board?event_id=sale").await.status == 200).then_some(())
    })
    .await;
    (redis, one, two)
}

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap_or_else(|| panic!("{name} in {stats}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_positions_turns_and_keys_are_the_same_at_both() {
    let (_redis, one, two) = started(json!({"mode": "hold"})).await;
    let clients: [Client; 2] = [(*one).clone(), (*two).clone()];
    let mut tokens = at_once(60, |turn| {
        let client = clients[turn % 2].clone();
        async move { client.token("sale").await }
    })
    .await;
    tokens.sort_by_key(|token| ticket_of(token));
    let tickets: Vec<u64> = tokens.iter().map(|token| ticket_of(token)).collect();
    assert_eq!(tickets, (1..=60).collect::<Vec<u64>>());
    for client in &clients {
        eventually("both show every place", async || {
            let seen = standings(client, &tokens).await;
            seen.iter().zip(1u64..).all(|((_, _, position), want)| *position == want).then_some(())
        })
        .await;
    }
    let key = "c2b5f3a0-8f0c-47f5-9a77-5b3c5e6a1d22";
    let replies = at_once(20, |turn| {
        let client = clients[turn % 2].clone();
        async move { client.send(client.join_request("sale").header("idempotency-key", key)).await.ok(202) }
    })
    .await;
    assert_eq!(replies.iter().map(token_of).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(two.call("sale", 1).await, 1);
    let passes = at_once(32, |turn| {
        let (client, token) = (clients[turn % 2].clone(), tokens[0].clone());
        async move { client.enter(&token).await.ok(200)["reservation_token"].as_str().unwrap().to_owned() }
    })
    .await;
    assert_eq!(passes.into_iter().collect::<BTreeSet<_>>().len(), 1);
    let stats = one.stats("sale").await;
    assert_eq!((&stats["entered_total"], &stats["issued"]), (&json!(1), &json!(61)), "{stats}");
    one.send(one.admin("POST", "/rooms/sale/reset")).await.ok(200);
    eventually("the other has heard of the reset", async || (two.status(&tokens[5]).await.status == 404).then_some(()))
        .await;
    let fresh = one.token("sale").await;
    two.status(&fresh).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_killed_and_the_other_goes_on_within_rate_capacity_and_order() {
    let (_redis, mut one, two) = started(json!({"mode": "hold", "min_wait": [], "capacity": 40})).await;
    let mut tokens = Vec::new();
    for turn in 0..60 {
        tokens.push(if turn % 2 == 0 { one.token("sale").await } else { two.token("sale").await });
    }
    let since = Instant::now();
    one.put("sale", json!({"mode": "line", "admit_per_minute": 1_200, "burst": 4})).await;
    let within = async |at: &Client| {
        let stats = at.stats("sale").await;
        let (called, elapsed) = (number(&stats, "called_total"), since.elapsed().as_millis() as u64);
        assert!(called <= 4 + elapsed * 1_200 / 60_000, "{called} called after {elapsed} ms");
        assert!(number(&stats, "active") + number(&stats, "ready") <= 40, "{stats}");
        called
    };
    while within(&one).await.max(within(&two).await) < 12 {}
    one.kill();
    let killed = (Instant::now(), within(&two).await);
    let mut called_before = 0;
    loop {
        let called = within(&two).await;
        if called_before == 0 && called > killed.1 {
            assert!(killed.0.elapsed() < Duration::from_secs(1), "the other went on after {:?}", killed.0.elapsed());
            called_before = called;
        }
        let seen = standings(&two, &tokens).await;
        let waiting = seen.iter().position(|(_, status, _)| status == "waiting").unwrap_or(tokens.len());
        assert!(seen[waiting..].iter().all(|(_, status, _)| status == "waiting"), "somebody was overtaken: {seen:?}");
        if called == 40 {
            break;
        }
    }
    // The capacity holds the rest, until somebody leaves: from either origin, at the other.
    for token in &tokens[..40] {
        two.enter(token).await.ok(200);
    }
    assert_eq!(standings(&two, &tokens[40..41]).await[0].1, "waiting");
    two.leave(&tokens[0]).await.ok(200);
    two.ready(&tokens[40]).await;
    assert_eq!(number(&two.stats("sale").await, "active"), 39);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_is_filled_again_by_whichever_is_first() {
    let (redis, one, two) = started(json!({"mode": "hold"})).await;
    let mut tokens = join_many(&one, "sale", 15).await;
    tokens.extend(join_many(&two, "sale", 15).await);
    let before = standings(&one, &tokens).await;
    redis.cli(&["FLUSHALL"]);
    let client = [(*one).clone(), (*two).clone()];
    for client in &client {
        eventually("everybody stands where they stood", async || {
            (standings(client, &tokens).await == before).then_some(())
        })
        .await;
    }
    let mut tickets: BTreeSet<u64> = tokens.iter().map(|token| ticket_of(token)).collect();
    let more = at_once(40, |turn| {
        let client = client[turn % 2].clone();
        async move {
            loop {
                let reply = client.send(client.join_request("sale")).await;
                if reply.status == 202 {
                    return token_of(&reply.body);
                }
                reply.refused("UNAVAILABLE");
            }
        }
    })
    .await;
    for token in &more {
        assert!(tickets.insert(ticket_of(token)), "ticket {} was handed out twice", ticket_of(token));
    }
    assert_eq!(standings(&two, &tokens).await, before);
}
