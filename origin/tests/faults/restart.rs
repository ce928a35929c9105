//! An origin on the embedded store, killed or asked to stop, and started again on the same directory.

use crate::support::client::ticket_of;
use crate::support::process::Process;
use crate::support::{at_once, eventually, token_of};
use crate::{join_many, standings};
use serde_json::json;
use std::collections::BTreeSet;
use tempfile::TempDir;

fn start(dir: &TempDir) -> Process {
    Process::start(&[("ANTEROOM_STATE_DIR", dir.path().to_str().unwrap())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_joins_gives_no_ticket_twice_and_keeps_the_order() {
    let dir = TempDir::new().unwrap();
    let mut origin = start(&dir);
    origin.is_ready().await;
    origin.put("sale", json!({"mode": "hold"})).await;
    let mut tokens = Vec::new();
    for life in 1..=3 {
        let client = (*origin).clone();
        let joining = tokio::spawn(at_once(4, move |_| {
            let client = client.clone();
            async move {
                let mut tokens = Vec::new();
                // Until the connection breaks.
                while let Some(reply) = client.try_send(client.join_request("sale")).await {
                    tokens.push(token_of(&reply.ok(202)));
                }
                tokens
            }
        }));
        let goal = origin.stats("sale").await["issued"].as_u64().unwrap() + 150;
        eventually("joins are under way", async || {
            (origin.stats("sale").await["issued"].as_u64()? >= goal).then_some(())
        })
        .await;
        origin.kill();
        tokens.extend(joining.await.unwrap().concat());
        tokens.sort_by_key(|token| ticket_of(token));
        let tickets: BTreeSet<u64> = tokens.iter().map(|token| ticket_of(token)).collect();
        assert_eq!(tickets.len(), tokens.len(), "a ticket was handed out twice in life {life}");
        origin = start(&dir);
        origin.is_ready().await;
        // Numbers of the last moment before the kill come back with the polls of those who hold them.
        eventually("everybody has the place, in order", async || {
            let seen = standings(&origin, &tokens).await;
            let positions: Vec<u64> = seen.iter().map(|(_, _, position)| position.as_u64()).collect::<Option<_>>()?;
            let waiting = origin.stats("sale").await["waiting"].as_u64()?;
            (positions.is_sorted_by(|a, b| a < b) && waiting >= *positions.last()?).then_some(())
        })
        .await;
        let newest = origin.token("sale").await;
        assert!(ticket_of(&newest) > ticket_of(tokens.last().unwrap()), "a newcomer stands behind");
        tokens.push(newest);
    }
    // The head of the line is the head of the first life.
    assert_eq!(origin.call("sale", 1).await, 1);
    origin.enter(&tokens[0]).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_ends_well_and_goes_on_as_if_nothing_had_been() {
    let dir = TempDir::new().unwrap();
    let origin = start(&dir);
    origin.is_ready().await;
    let settings = origin.put("sale", json!({"mode": "hold", "capacity": 50, "page": {"title": "Gala"}})).await;
    let tokens = join_many(&origin, "sale", 12).await;
    origin.call("sale", 4).await;
    let pass = origin.enter(&tokens[0]).await.ok(200)["reservation_token"].clone();
    origin.enter(&tokens[1]).await.ok(200);
    origin.leave(&tokens[8]).await.ok(200);
    eventually("the leave shows", async || (origin.status(&tokens[11]).await.body["position"] == 7).then_some(()))
        .await;
    let before = standings(&origin, &tokens).await;
    let status = origin.terminate();
    assert_eq!(status.code(), Some(0));
    let origin = start(&dir);
    origin.is_ready().await;
    assert_eq!(origin.send(origin.admin("GET", "/rooms/sale")).await.ok(200), settings);
    assert_eq!(standings(&origin, &tokens).await, before);
    assert_eq!(ticket_of(&origin.token("sale").await), 13, "no number is skipped");
    assert_eq!(origin.enter(&tokens[0]).await.ok(200)["reservation_token"], pass, "inside is inside");
    let stats = origin.stats("sale").await;
    assert_eq!((&stats["active"], &stats["entered_total"]), (&json!(2), &json!(2)), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_not_undone_by_a_kill() {
    let dir = TempDir::new().unwrap();
    let mut origin = start(&dir);
    origin.is_ready().await;
    origin.put("sale", json!({"mode": "hold"})).await;
    let old = join_many(&origin, "sale", 3).await;
    origin.send(origin.admin("POST", "/rooms/sale/reset")).await.ok(200);
    origin.kill();
    let origin = start(&dir);
    origin.is_ready().await;
    for token in &old {
        origin.status(token).await.refused("TOKEN_NOT_FOUND");
    }
    assert_eq!(origin.join("sale").await["position"], 1);
}
