//! A client cannot tell from an answer whether the edge or the origin gave it.

use super::Fronted;
use crate::support::eventually;
use serde_json::{Value, json};

/// What does not depend on the moment of the answer.
fn lasting(mut status: Value) -> Value {
    let fields = status.as_object_mut().unwrap();
    for moving in ["as_of", "poll_after_ms", "waiting_time", "eta_sec", "eta_low_sec", "eta_high_sec", "eta_confidence"]
    {
        assert!(fields.remove(moving).is_some(), "no {moving}");
    }
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_at_the_edge_is_that_of_the_origin() {
    let site = Fronted::start().await;
    let settings = json!({"admit_per_minute": 1, "burst": 2, "min_wait": [], "claim_sec": 600});
    site.origin.put("sale", settings).await;
    let mut tokens = Vec::new();
    for _ in 0..12 {
        tokens.push(site.edge.token("sale").await);
    }
    site.origin.leave(&tokens[7]).await.ok(200);
    site.origin.ready(&tokens[1]).await;
    // The edge answers from a board that it fetches once a second at most.
    eventually("a board that knows of everybody", async || {
        let board = site.edge.get("/api/v1/queue/board?event_id=sale").await.ok(200);
        (board["issued"] == 12 && board["serving"] == 2 && board["waiting"] == 9).then_some(())
    })
    .await;
    for (at, token) in tokens.iter().enumerate().filter(|(at, _)| *at != 7) {
        let (edge, origin) = (site.edge.status(token).await.ok(200), site.origin.status(token).await.ok(200));
        assert_eq!(lasting(edge.clone()), lasting(origin), "ticket {}", at + 1);
        let behind = (at as u64 + 1).saturating_sub(2) - u64::from(at > 7);
        assert_eq!(
            (&edge["position"], &edge["ready_for_entry"]),
            (&json!(behind), &json!(at < 2)),
            "ticket {}",
            at + 1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_entering_and_leaving_work_through_the_edge() {
    let site = Fronted::start().await;
    site.origin.put("sale", json!({"min_wait": []})).await;
    let token = site.edge.token("sale").await;
    site.edge.ready(&token).await;
    let entered = site.edge.enter(&token).await.ok(200);
    assert_eq!(entered["admission"], "granted");
    assert_eq!(site.origin.enter(&token).await.ok(200)["reservation_token"], entered["reservation_token"]);
    let other = site.edge.token("sale").await;
    assert_eq!(site.edge.leave(&other).await.ok(200)["status"], "left");
    site.origin.status(&other).await.refused("TOKEN_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_at_the_edge_is_that_of_the_origin() {
    let site = Fronted::start().await;
    site.origin.put("sale", json!({})).await;
    let path = "/api/v1/queue/board?event_id=sale";
    let (edge, origin) = (site.edge.get(path).await, site.origin.get(path).await);
    assert_eq!(edge.header("cache-control"), origin.header("cache-control"));
    assert!(edge.header("etag").is_some());
    let (edge, origin) = (edge.ok(200), origin.ok(200));
    for field in ["format", "event_id", "generation", "mode", "issued", "serving", "heartbeat_ms", "turns", "sketch"] {
        assert_eq!(edge[field], origin[field], "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_at_the_edge_has_the_shape_and_the_code_of_the_contract() {
    let site = Fronted::start().await;
    // The client holds every one of them to the shape.
    site.edge.status("not-a-token").await.refused("TOKEN_NOT_FOUND");
    site.edge.get("/api/v1/queue/board").await.refused("MISSING_EVENT_ID");
    site.edge.get("/api/v1/queue/board?event_id=a%20b").await.refused("INVALID_REQUEST");
    site.edge.get("/api/v1/queue/board?event_id=nobodys").await.refused("EVENT_NOT_FOUND");
    site.edge.post("/api/v1/queue/join", json!({})).await.refused("MISSING_EVENT_ID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_edge_answers_as_the_old_one_did() {
    let mut site = Fronted::start().await;
    site.origin.put("sale", json!({"mode": "hold"})).await;
    site.edge.token("sale").await;
    let token = site.edge.token("sale").await;
    site.workerd.restart();
    assert_eq!(site.edge.status(&token).await.ok(200)["position"], 2);
}
