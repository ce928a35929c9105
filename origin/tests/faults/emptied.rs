//! Redis killed and started again empty: the line comes back from the origin's memory and from the tokens that people show.

use crate::support::client::ticket_of;
use crate::support::process::Process;
use crate::support::{at_once, eventually};
use crate::{join_many, standings};
use anteroom_testkit::redis::RedisServer;
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn started(settings: Value) -> (RedisServer, Process) {
    let redis = RedisServer::start();
    let origin = Process::start(&[("ANTEROOM_REDIS_URL", &redis.url())]);
    origin.is_ready().await;
    origin.put("sale", settings).await;
    (redis, origin)
}

/// Back after the store was emptied: the room is there again and its line is fresh.
async fn is_back(origin: &Process, token: &str) {
    origin.is_ready().await;
    eventually("the line is back", async || {
        let reply = origin.status(token).await;
        (reply.status == 200 && reply.body["stale"] == false).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_costs_nobody_the_number_or_the_position() {
    let (mut redis, origin) = started(json!({"mode": "hold", "capacity": 100})).await;
    let mut tokens = join_many(&origin, "sale", 40).await;
    assert_eq!(origin.call("sale", 8).await, 8);
    for token in &tokens[..4] {
        origin.enter(token).await.ok(200);
    }
    for token in [&tokens[20], &tokens[30]] {
        origin.leave(token).await.ok(200);
    }
    eventually("the leaves show", async || (origin.status(&tokens[39]).await.body["position"] == 30).then_some(()))
        .await;
    // Nobody waits until this origin has looked again: some of what follows only tokens know.
    tokens.extend(join_many(&origin, "sale", 10).await);
    origin.enter(&tokens[4]).await.ok(200);
    redis.kill();
    let before = standings(&origin, &tokens).await;
    for request in [
        origin.join_request("sale"),
        origin.request("POST", "/api/v1/queue/enter").json(&json!({"waiting_token": tokens[5]})),
    ] {
        let reply = origin.send(request).await;
        assert_eq!((reply.status, reply.refused("UNAVAILABLE").is_object()), (503, true));
    }
    eventually("status says that it is stale", async || {
        (origin.status(&tokens[39]).await.ok(200)["stale"] == true).then_some(())
    })
    .await;
    assert_eq!(standings(&origin, &tokens).await, before, "status goes on from memory");

    redis.restart();
    is_back(&origin, &tokens[39]).await;
    eventually("everybody stands where they stood", async || {
        (standings(&origin, &tokens).await == before).then_some(())
    })
    .await;
    let mut tickets: BTreeSet<u64> = tokens.iter().map(|token| ticket_of(token)).collect();
    for token in join_many(&origin, "sale", 10).await {
        assert!(tickets.insert(ticket_of(&token)), "ticket {} was handed out twice", ticket_of(&token));
        tokens.push(token);
    }
    assert_eq!(standings(&origin, &tokens[..50]).await, before, "newcomers stand behind");

    // Nobody enters twice, and the line goes on.
    let stats = origin.stats("sale").await;
    assert_eq!((&stats["active"], &stats["ready"]), (&json!(5), &json!(3)), "{stats}");
    for token in &tokens[..5] {
        origin.enter(token).await.ok(200);
    }
    assert_eq!(origin.stats("sale").await["active"], 5, "those inside are inside once");
    origin.put("sale", json!({"mode": "line", "admit_per_minute": 600_000, "burst": 1_000, "min_wait": []})).await;
    for (number, token) in tokens.iter().enumerate().skip(5).filter(|(number, _)| !matches!(number, 20 | 30)) {
        origin.ready(token).await;
        assert_eq!(origin.enter(token).await.status, 200, "{number}");
    }
    assert_eq!(origin.stats("sale").await["active"], 58);
    let lost = origin.logged("WARN", "the store has lost the line");
    assert_eq!(lost, 1, "{:?}", origin.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_throws_nobody_out() {
    let (mut redis, origin) = started(json!({"admit_per_minute": 600_000, "burst": 100, "min_wait": []})).await;
    let tokens = join_many(&origin, "sale", 4).await;
    let mut passes = Vec::new();
    for token in &tokens[..3] {
        origin.ready(token).await;
        passes.push(origin.enter(token).await.ok(200)["reservation_token"].clone());
    }
    let done = passes.pop().unwrap();
    origin.post("/api/v1/sessions/end", json!({"pass": done})).await.ok(200);
    let active = async |pass: &Value| {
        let reply = origin.post("/api/v1/passes/verify", json!({"pass": pass})).await;
        (reply.status == 200).then(|| reply.body["active"] == true)
    };
    redis.kill();
    redis.restart();
    is_back(&origin, &tokens[3]).await;
    for pass in &passes {
        assert!(eventually("the pass is looked up", async || active(pass).await).await);
    }
    assert!(!eventually("the other pass is looked up", async || active(&done).await).await, "who was done still is");
    let stats = origin.stats("sale").await;
    assert_eq!((&stats["active"], &stats["entered_total"]), (&json!(2), &json!(3)), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_lets_in_no_more_than_the_capacity() {
    let settings = json!({"capacity": 3, "admit_per_minute": 600_000, "burst": 100, "min_wait": []});
    let (mut redis, origin) = started(settings).await;
    let tokens = join_many(&origin, "sale", 10).await;
    for token in &tokens[..3] {
        origin.ready(token).await;
    }
    let mut passes = Vec::new();
    for token in &tokens[..3] {
        passes.push(origin.enter(token).await.ok(200)["reservation_token"].clone());
    }
    redis.kill();
    redis.restart();
    for pass in &passes {
        // Not known for now, perhaps, but never denied.
        eventually("the pass is good", async || {
            let reply = origin.post("/api/v1/passes/verify", json!({"pass": pass})).await;
            if reply.status == 503 {
                return None;
            }
            assert_eq!(reply.ok(200)["active"], true);
            Some(())
        })
        .await;
    }
    is_back(&origin, &tokens[5]).await;
    for (token, pass) in tokens.iter().zip(&passes) {
        let again = origin.enter(token).await.ok(200);
        assert_eq!(&again["reservation_token"], pass, "one turn, one pass");
    }
    let stats = origin.stats("sale").await;
    let inside = stats["active"].as_u64().unwrap() + stats["ready"].as_u64().unwrap();
    assert_eq!((inside, &stats["entered_total"]), (3, &json!(3)), "{stats}");
    origin.leave(&tokens[0]).await.ok(200);
    origin.ready(&tokens[3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_forgets_neither_who_is_who_nor_what_joins_were_under_way() {
    let (mut redis, origin) = started(json!({"mode": "hold", "trust_user_id": true})).await;
    let join =
        |user: &str| origin.request("POST", "/api/v1/queue/join").json(&json!({"event_id": "sale", "user_id": user}));
    let ann = crate::support::token_of(&origin.send(join("ann")).await.ok(202));
    let client = (*origin).clone();
    let joining = tokio::spawn(at_once(4, move |_| {
        let client = client.clone();
        async move {
            let mut tokens = Vec::new();
            while tokens.len() < 300 {
                let reply = client.send(client.join_request("sale")).await;
                match reply.status {
                    202 => tokens.push(crate::support::token_of(&reply.body)),
                    _ => drop(reply.refused("UNAVAILABLE")),
                }
            }
            tokens
        }
    }));
    eventually("joins are under way", async || (origin.stats("sale").await["issued"].as_u64()? > 100).then_some(()))
        .await;
    redis.kill();
    redis.restart();
    let tokens: Vec<String> = joining.await.unwrap().concat();
    let tickets: BTreeSet<u64> = tokens.iter().map(|token| ticket_of(token)).collect();
    assert_eq!(tickets.len(), tokens.len(), "a ticket was handed out twice");
    let mut tokens = tokens;
    tokens.sort_by_key(|token| ticket_of(token));
    eventually("everybody has a place, in the order of the numbers", async || {
        let seen = standings(&origin, &tokens).await;
        let positions: Vec<u64> = seen.iter().map(|(_, _, position)| position.as_u64()).collect::<Option<_>>()?;
        positions.is_sorted_by(|a, b| a < b).then_some(())
    })
    .await;
    eventually("one place a person, again", async || {
        origin.status(&ann).await.ok(200);
        let reply = origin.send(join("ann")).await;
        (reply.body["error"]["code"] == "DUPLICATE_REQUEST").then_some(())
    })
    .await;
}
