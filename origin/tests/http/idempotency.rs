//! One request, one effect: repeats in turn and at once, conflicts, and whose record it is.

use crate::support::client::Reply;
use crate::support::client::ticket_of;
use crate::support::issuer::Issuer;
use crate::support::{EDGE, Site, Store, at_once, token_of};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::SystemTime;

on_both_stores!(
    a_repeat_answers_as_the_first_and_says_so,
    twenty_joins_at_once_with_one_key_are_one_place,
    a_key_stands_for_one_request,
    a_key_must_be_a_uuid,
    thirty_two_enters_at_once_give_one_reservation_token,
    a_closed_door_lets_repeats_through_and_no_newcomer_with_a_key,
    a_record_answers_only_the_caller_who_made_it,
    a_record_does_not_bring_a_number_back_after_a_reset,
);

const KEY: &str = "7b0f3a52-5d0e-4c39-9a83-0a2f5f4a6c11";

fn keyed(request: RequestBuilder) -> RequestBuilder {
    request.header("idempotency-key", KEY)
}

fn is_cached(reply: &Reply) -> bool {
    reply.header("x-idempotency-cached") == Some("true")
}

async fn a_repeat_answers_as_the_first_and_says_so(store: Store) {
    let site = store.start(&[]).await;
    site.put("held", json!({"mode": "hold"})).await;
    site.put("quiet", json!({})).await;
    site.join("held").await;
    for (event, key) in [("held", KEY), ("quiet", "00000000-0000-4000-8000-000000000001")] {
        let join = || site.join_request(event).header("idempotency-key", key);
        let first = site.send(join()).await;
        assert!(!is_cached(&first));
        let first = first.ok(202);
        for spelled in [key.to_owned(), key.to_uppercase(), format!("{{{key}}}"), format!(" {key} ")] {
            let again = site.send(site.join_request(event).header("idempotency-key", spelled)).await;
            assert!(is_cached(&again), "{again:?}");
            let again = again.ok(202);
            for field in ["waiting_token", "position_hint", "position", "status", "joined_at"] {
                assert_eq!(again[field], first[field], "{field}: {first} then {again}");
            }
        }
    }
    assert_eq!(site.stats("held").await["issued"], 2);
    assert_eq!(site.stats("quiet").await["issued"], 1);
}

async fn twenty_joins_at_once_with_one_key_are_one_place(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let client = (*site).clone();
    let replies = at_once(20, |_| {
        let client = client.clone();
        async move { client.send(keyed(client.join_request("sale"))).await }
    })
    .await;
    let cached = replies.iter().filter(|reply| is_cached(reply)).count();
    assert_eq!(cached, 19, "all but the first are repeats");
    let tokens: BTreeSet<String> = replies.into_iter().map(|reply| token_of(&reply.ok(202))).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(site.stats("sale").await["issued"], 1);
}

async fn a_key_stands_for_one_request(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    site.put("other", json!({"mode": "hold"})).await;
    let body = |event: &str, user: Value| {
        keyed(site.request("POST", "/api/v1/queue/join").json(&json!({"event_id": event, "user_id": user})))
    };
    let token = token_of(&site.send(body("sale", json!("ann"))).await.ok(202));
    site.send(body("other", json!("ann"))).await.refused("IDEMPOTENCY_CONFLICT");
    site.send(body("sale", json!("bob"))).await.refused("IDEMPOTENCY_CONFLICT");
    site.send(body("sale", Value::Null)).await.refused("IDEMPOTENCY_CONFLICT");
    let enter = site.request("POST", "/api/v1/queue/enter").json(&json!({"waiting_token": token}));
    site.send(keyed(enter)).await.refused("IDEMPOTENCY_CONFLICT");
    assert_eq!(site.stats("sale").await["issued"], 1);
    assert_eq!(site.stats("other").await["issued"], 0);
    assert!(is_cached(&site.send(body("sale", json!("ann"))).await));
}

async fn a_key_must_be_a_uuid(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let long = "7".repeat(4000);
    for key in [&b""[..], b"1", b"7b0f3a52-5d0e-4c39-9a83-0a2f5f4a6c1", long.as_bytes(), b"\xff\xfe", b"null", b"a b"] {
        let enter = site.request("POST", "/api/v1/queue/enter").json(&json!({"waiting_token": "x"}));
        for request in [site.join_request("sale"), enter] {
            site.send(request.header("idempotency-key", key)).await.refused("INVALID_IDEMPOTENCY_KEY");
        }
    }
    assert_eq!(site.stats("sale").await["issued"], 0);
}

async fn thirty_two_enters_at_once_give_one_reservation_token(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"capacity": 5})).await;
    let token = site.token("sale").await;
    let client = (*site).clone();
    let replies = at_once(32, |number| {
        let (client, token) = (client.clone(), token.clone());
        async move {
            let enter = client.request("POST", "/api/v1/queue/enter").json(&json!({"waiting_token": token}));
            client.send(if number % 2 == 0 { keyed(enter) } else { enter }).await
        }
    })
    .await;
    let passes: BTreeSet<String> =
        replies.into_iter().map(|reply| reply.ok(200)["reservation_token"].as_str().unwrap().to_owned()).collect();
    assert_eq!(passes.len(), 1);
    let enter = site.request("POST", "/api/v1/queue/enter").json(&json!({"waiting_token": token}));
    let again = site.send(keyed(enter)).await;
    assert!(is_cached(&again));
    let stats = site.stats("sale").await;
    assert_eq!((&stats["entered_total"], &stats["active"]), (&json!(1), &json!(1)), "{stats}");
}

async fn a_closed_door_lets_repeats_through_and_no_newcomer_with_a_key(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let first = site.send(keyed(site.join_request("sale"))).await.ok(202);
    let time = |ago: i64| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        anteroom_core::settings::rfc3339(anteroom_core::units::Millis((now.saturating_add_signed(-ago)) * 1000))
    };
    for (settings, code) in [
        (json!({"mode": "hold", "schedule": {"closes": time(60)}}), "BOOKING_CLOSED"),
        (json!({"schedule": {"joins_open": time(-3600), "closes": null}}), "JOIN_NOT_OPEN"),
        (json!({"mode": "reject", "schedule": {"joins_open": null}}), "ROOM_FULL"),
    ] {
        site.put("sale", settings).await;
        let key = uuid::Uuid::new_v4().to_string();
        for _ in 0..3 {
            let request = site.join_request("sale").header("idempotency-key", &key);
            site.send(request).await.refused(code);
            site.send(site.join_request("sale")).await.refused(code);
        }
        let again = site.send(keyed(site.join_request("sale"))).await;
        assert!(is_cached(&again), "{again:?}");
        assert_eq!(again.ok(202)["waiting_token"], first["waiting_token"]);
    }
    assert_eq!(site.stats("sale").await["issued"], 1);
}

async fn a_record_answers_only_the_caller_who_made_it(store: Store) {
    let issuer = Issuer::start().await;
    let site = store.start(&issuer.variables()).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let callers = |site: &Site| {
        let join = || keyed(site.join_request("sale"));
        let body = json!({"event_id": "sale", "user_id": "ann"});
        let edge = keyed(site.request("POST", "/api/v1/queue/join")).json(&body).header("anteroom-edge-token", EDGE);
        [join(), join().bearer_auth(issuer.token("ann")), join().bearer_auth(issuer.token("bob")), edge]
    };
    let mut tickets = BTreeSet::new();
    for (number, request) in callers(&site).into_iter().enumerate() {
        let reply = site.send(request).await;
        assert!(!is_cached(&reply), "caller {number} was given somebody else's answer");
        if number == 3 {
            // Ann, this time through an edge: the place is hers and so the edge may hand it to her, but not from the record.
            reply.refused("DUPLICATE_REQUEST");
            continue;
        }
        tickets.insert(ticket_of(&token_of(&reply.ok(202))));
    }
    assert_eq!(tickets.len(), 3);
    for request in callers(&site).into_iter().take(3) {
        assert!(is_cached(&site.send(request).await));
    }
}

async fn a_record_does_not_bring_a_number_back_after_a_reset(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let old = site.send(keyed(site.join_request("sale"))).await.ok(202);
    site.send(site.admin("POST", "/rooms/sale/reset")).await.ok(200);
    let new = site.send(keyed(site.join_request("sale"))).await;
    assert!(!is_cached(&new));
    let new = new.ok(202);
    assert_ne!(new["waiting_token"], old["waiting_token"]);
    site.status(&token_of(&new)).await.ok(200);
    site.status(&token_of(&old)).await.refused("TOKEN_NOT_FOUND");
}
