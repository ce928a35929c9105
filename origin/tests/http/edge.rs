//! What edges ask and report: only they may, and what they report counts like what people do themselves.

use crate::support::client::{Reply, claims_of, ticket_of};
use crate::support::{Client, EDGE, Site, Store, eventually};
use serde_json::{Value, json};

on_both_stores!(
    only_edges_are_answered,
    an_edge_is_told_all_rooms_and_keys_and_when_it_has_them,
    whoever_an_edge_reports_is_not_silent,
    a_reported_session_lasts_only_where_activity_extends_it,
    a_report_of_what_is_not_there_changes_nothing,
    a_report_that_is_no_report_is_refused,
);

async fn rooms(site: &Client) -> Reply {
    site.send(site.request("GET", "/api/v1/edge/rooms").header("anteroom-edge-token", EDGE)).await
}

async fn report(site: &Client, report: Value) -> Reply {
    let request = site.request("POST", "/api/v1/edge/reports").header("anteroom-edge-token", EDGE);
    site.send(request.json(&report)).await
}

fn generation_of(token: &str) -> u64 {
    claims_of(token)["gen"].as_u64().unwrap()
}

async fn only_edges_are_answered(store: Store) {
    let site = store.start(&[]).await;
    for (method, path) in [("GET", "/api/v1/edge/rooms"), ("POST", "/api/v1/edge/reports")] {
        let request = || site.request(method, path).body(r#"{"rooms":[]}"#);
        site.send(request()).await.refused("UNAUTHENTICATED");
        for wrong in ["", "x", &EDGE[1..], crate::support::ADMIN] {
            site.send(request().header("anteroom-edge-token", wrong)).await.refused("UNAUTHENTICATED");
        }
        site.send(request().bearer_auth(EDGE)).await.refused("UNAUTHENTICATED");
        site.send(request().header("anteroom-edge-token", EDGE)).await.ok(200);
    }
    let closed = store.start(&[("ANTEROOM_EDGE_TOKEN", "")]).await;
    for shown in [EDGE, ""] {
        let request = closed.request("GET", "/api/v1/edge/rooms").header("anteroom-edge-token", shown);
        closed.send(request).await.refused("NOT_FOUND");
    }
}

async fn an_edge_is_told_all_rooms_and_keys_and_when_it_has_them(store: Store) {
    let site = store.start(&[("ANTEROOM_CORS_ORIGINS", "https://shop.example"), ("ANTEROOM_RATE_PER_SEC", "1")]).await;
    let settings = site.put("sale", json!({"capacity": 7})).await;
    site.put("gala", json!({})).await;
    let first = rooms(&site).await;
    let etag = first.header("etag").unwrap().to_owned();
    assert!(first.header("cache-control").unwrap().contains("private"));
    let body = first.ok(200);
    assert_eq!((&body["rooms"][0]["event_id"], &body["rooms"][1]["event_id"]), (&json!("gala"), &json!("sale")));
    assert_eq!(body["rooms"][1]["settings"], settings);
    assert_eq!(body["passes"], site.get("/.well-known/jwks.json").await.ok(200));
    assert_eq!(body["cors_origins"], json!(["https://shop.example"]));
    let ask = async |tag: &str| {
        let request = site.request("GET", "/api/v1/edge/rooms").header("anteroom-edge-token", EDGE);
        site.send(request.header("if-none-match", tag)).await
    };
    for _ in 0..200 {
        assert_eq!(ask(&etag).await.status, 304, "an edge is not limited like a visitor");
    }
    site.put("sale", json!({"capacity": 8})).await;
    assert_eq!(ask(&etag).await.ok(200)["rooms"][1]["settings"]["capacity"], 8);
}

async fn whoever_an_edge_reports_is_not_silent(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "heartbeat_sec": 2})).await;
    let (reported, ghost) = (site.token("sale").await, site.token("sale").await);
    let generation = generation_of(&reported);
    let heard = json!({"rooms": [{"event_id": "sale", "generation": generation, "heard": [ticket_of(&reported)]}]});
    eventually("the one who is not heard from falls silent", async || {
        let answer = report(&site, heard.clone()).await.ok(200);
        assert_eq!(answer["rooms"], json!([{"event_id": "sale", "generation": generation, "sessions": []}]));
        (site.stats("sale").await["silent"] == 1).then_some(())
    })
    .await;
    for _ in 0..100 {
        report(&site, heard.clone()).await.ok(200);
        let stats = site.stats("sale").await;
        assert_eq!((&stats["waiting"], &stats["silent"]), (&json!(1), &json!(1)), "{stats}");
    }
    assert_eq!(site.status(&ghost).await.ok(200)["position"], 2, "and comes back with a poll of its own");
}

/// Enters a room where a turn comes at once; gives ticket, generation and the end of the session in seconds.
async fn inside(site: &Site, event: &str) -> (u64, u64, u64) {
    let token = site.token(event).await;
    site.ready(&token).await;
    let body = site.enter(&token).await.ok(200);
    let ends = claims_of(body["session_token"].as_str().unwrap())["exp"].as_u64().unwrap();
    (ticket_of(&token), generation_of(&token), ends)
}

async fn a_reported_session_lasts_only_where_activity_extends_it(store: Store) {
    let site = store.start(&[]).await;
    for (event, renew) in [("renewed", true), ("fixed", false)] {
        site.put(event, json!({"session_sec": 3, "session_renew": renew, "burst": 100, "min_wait": []})).await;
        let (used, generation, ends) = inside(&site, event).await;
        let (idle, ..) = inside(&site, event).await;
        let used = json!({"rooms": [{"event_id": event, "generation": generation, "renew": [used]}]});
        let mut last = ends * 1000;
        eventually("the session that nobody uses is over", async || {
            let answer = report(&site, used.clone()).await.ok(200);
            let session = &answer["rooms"][0]["sessions"][0];
            match (renew, session[1].as_u64()) {
                (true, end) => {
                    let end = end.unwrap_or_else(|| panic!("the session in use is over: {answer}"));
                    assert!(end >= last, "an end came nearer: {answer}");
                    last = end;
                }
                (false, end) => assert!(end.is_none_or(|end| end / 1000 == ends), "{answer}"),
            }
            let active = site.stats(event).await["active"].as_u64().unwrap();
            (active == u64::from(renew)).then_some(())
        })
        .await;
        assert!(!renew || last > ends * 1000 + 999, "it was extended beyond its first end");
        let idle = json!({"rooms": [{"event_id": event, "generation": generation, "renew": [idle]}]});
        let answer = report(&site, idle).await.ok(200);
        assert_eq!(answer["rooms"][0]["sessions"][0][1], Value::Null, "what is over does not come back");
    }
}

async fn a_report_of_what_is_not_there_changes_nothing(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let token = site.token("sale").await;
    let generation = generation_of(&token);
    for (event, reported, answered) in [
        ("nothing", generation, json!([])),
        (
            "sale",
            generation - 1,
            json!([{"event_id": "sale", "generation": generation, "sessions": [[1, null], [3, null]]}]),
        ),
        (
            "sale",
            generation + 1,
            json!([{"event_id": "sale", "generation": generation, "sessions": [[1, null], [3, null]]}]),
        ),
        ("sale", u64::MAX, json!([{"event_id": "sale", "generation": generation, "sessions": [[1, null], [3, null]]}])),
        (
            "sale",
            generation,
            json!([{"event_id": "sale", "generation": generation, "sessions": [[1, null], [3, null]]}]),
        ),
    ] {
        let room = json!({"event_id": event, "generation": reported, "heard": [0, 1], "renew": [1, 2]});
        assert_eq!(report(&site, json!({"rooms": [room]})).await.ok(200)["rooms"], answered, "{event} {reported}");
    }
    assert_eq!(site.stats("sale").await["issued"], 1);
}

async fn a_report_that_is_no_report_is_refused(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    for wrong in [
        json!({}),
        json!({"rooms": {}}),
        json!({"rooms": [1]}),
        json!({"rooms": [{"event_id": "a b", "generation": 1}]}),
        json!({"rooms": [{"event_id": "sale", "generation": -1}]}),
        json!({"rooms": [{"event_id": "sale", "generation": 1, "heard": [u64::MAX, 1]}]}),
        json!({"rooms": [{"event_id": "sale", "generation": 1, "heard": vec![1; 4_097]}]}),
    ] {
        report(&site, wrong).await.refused("INVALID_REQUEST");
    }
    let long = json!({"rooms": [], "more": "x".repeat(70_000)});
    report(&site, long).await.refused("PAYLOAD_TOO_LARGE");
}
