//! Who somebody is, whom we believe it from, and one place per person.

use crate::support::client::{claims_of, ticket_of};
use crate::support::issuer::Issuer;
use crate::support::{EDGE, Site, Store, at_once, eventually, token_of};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

on_both_stores!(
    one_person_holds_one_place_and_is_given_it_again,
    a_place_given_again_has_waited_as_long_as_it_has,
    a_hundred_joins_at_once_of_one_person_are_one_place,
    places_per_user_is_the_limit_and_a_place_given_up_does_not_count,
    a_user_id_without_proof_is_only_a_label,
    a_room_that_trusts_user_ids_tells_nobody_the_place_of_another,
    an_edge_that_proves_itself_may_say_who_its_visitor_is,
    a_user_token_that_is_not_good_is_refused_and_changes_nothing,
    entering_needs_the_holders_own_user_token,
    while_the_issuer_is_away_nobody_is_believed_and_nobody_is_blamed,
);

fn join_as(site: &Site, user_id: Value) -> RequestBuilder {
    site.request("POST", "/api/v1/queue/join").json(&json!({"event_id": "sale", "user_id": user_id}))
}

async fn one_person_holds_one_place_and_is_given_it_again(store: Store) {
    let issuer = Issuer::start().await;
    let site = store.start(&issuer.variables()).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let join = |user: &str| site.join_request("sale").bearer_auth(issuer.token(user));
    let ann = token_of(&site.send(join("ann")).await.ok(202));
    let bob = token_of(&site.send(join("bob")).await.ok(202));
    assert_eq!(claims_of(&ann)["sub"], "ann");
    for _ in 0..2 {
        let reply = site.send(join("ann")).await;
        let held = reply.refused("DUPLICATE_REQUEST")["waiting_token"].as_str().unwrap();
        assert_eq!((ticket_of(held), &claims_of(held)["sub"]), (ticket_of(&ann), &json!("ann")));
        assert_eq!(site.status(held).await.ok(200)["position"], 1);
    }
    assert_ne!(ticket_of(&ann), ticket_of(&bob));
    assert_eq!(site.stats("sale").await["issued"], 2);
    // Naming oneself in the body as well changes nothing; naming another is a label.
    let reply = site.send(join_as(&site, json!("ann")).bearer_auth(issuer.token("ann"))).await;
    reply.refused("DUPLICATE_REQUEST");
    let reply = site.send(join_as(&site, json!("carol")).bearer_auth(issuer.token("ann"))).await;
    reply.refused("DUPLICATE_REQUEST");
    let carol = site.send(join_as(&site, json!("ann")).bearer_auth(issuer.token("carol"))).await.ok(202);
    assert_eq!(claims_of(&token_of(&carol))["sub"], "carol");
}

async fn a_place_given_again_has_waited_as_long_as_it_has(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let join = || join_as(&site, json!("ann")).header("anteroom-edge-token", EDGE);
    let token = token_of(&site.send(join()).await.ok(202));
    eventually("two seconds have passed", async || {
        (site.status(&token).await.ok(200)["waiting_time"].as_u64()? >= 2).then_some(())
    })
    .await;
    let reply = site.send(join()).await;
    let held = reply.refused("DUPLICATE_REQUEST")["waiting_token"].as_str().unwrap();
    assert!(site.status(held).await.ok(200)["waiting_time"].as_u64().unwrap() >= 1);
}

async fn a_hundred_joins_at_once_of_one_person_are_one_place(store: Store) {
    let issuer = Issuer::start().await;
    let site = store.start(&issuer.variables()).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let (client, user) = ((*site).clone(), issuer.token("ann"));
    let replies = at_once(100, |_| {
        let (client, user) = (client.clone(), user.clone());
        async move { client.send(client.join_request("sale").bearer_auth(user)).await }
    })
    .await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 202).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 202) {
        assert_eq!(ticket_of(reply.refused("DUPLICATE_REQUEST")["waiting_token"].as_str().unwrap()), 1);
    }
    assert_eq!(site.stats("sale").await["issued"], 1);
}

async fn places_per_user_is_the_limit_and_a_place_given_up_does_not_count(store: Store) {
    let issuer = Issuer::start().await;
    let site = store.start(&issuer.variables()).await;
    site.put("sale", json!({"mode": "hold", "places_per_user": 2})).await;
    let join = || site.join_request("sale").bearer_auth(issuer.token("ann"));
    let first = token_of(&site.send(join()).await.ok(202));
    site.send(join()).await.ok(202);
    site.send(join()).await.refused("DUPLICATE_REQUEST");
    site.leave(&first).await.ok(200);
    let third = token_of(&site.send(join()).await.ok(202));
    assert_eq!(ticket_of(&third), 3, "the place given up is not given back");
    site.send(join()).await.refused("DUPLICATE_REQUEST");
}

async fn a_user_id_without_proof_is_only_a_label(store: Store) {
    let issuer = Issuer::start().await;
    let site = store.start(&issuer.variables()).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let ann = site.send(site.join_request("sale").bearer_auth(issuer.token("ann"))).await.ok(202);
    for _ in 0..2 {
        let body = site.send(join_as(&site, json!("ann"))).await.ok(202);
        assert_ne!(body["waiting_token"], ann["waiting_token"], "anybody could take somebody else's place");
        assert_eq!(claims_of(&token_of(&body))["sub"], Value::Null);
    }
    assert_eq!(site.stats("sale").await["issued"], 3);
}

async fn a_room_that_trusts_user_ids_tells_nobody_the_place_of_another(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "trust_user_id": true})).await;
    let first = site.send(join_as(&site, json!("ann"))).await.ok(202);
    let again = site.send(join_as(&site, json!("ann"))).await;
    assert_eq!(again.refused("DUPLICATE_REQUEST")["waiting_token"], Value::Null);
    assert!(!again.text.contains(&token_of(&first)));
    site.send(join_as(&site, json!("bob"))).await.ok(202);
    site.send(join_as(&site, Value::Null)).await.ok(202);
    assert_eq!(site.stats("sale").await["issued"], 3);
}

async fn an_edge_that_proves_itself_may_say_who_its_visitor_is(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let by_edge = |token: &str| join_as(&site, json!("ann")).header("anteroom-edge-token", token);
    let token = token_of(&site.send(by_edge(EDGE)).await.ok(202));
    assert_eq!(claims_of(&token)["sub"], "ann");
    let again = site.send(by_edge(EDGE)).await;
    assert_eq!(ticket_of(again.refused("DUPLICATE_REQUEST")["waiting_token"].as_str().unwrap()), ticket_of(&token));
    for wrong in ["", "x", &EDGE[..EDGE.len() - 1], &format!("{EDGE}x"), crate::support::ADMIN] {
        site.send(by_edge(wrong)).await.refused("UNAUTHENTICATED");
    }
    let bytes = join_as(&site, json!("ann")).header("anteroom-edge-token", &b"\xff"[..]);
    assert_ne!(site.send(bytes).await.body["error"]["code"], "DUPLICATE_REQUEST", "garbage is not the edge");
    // No user_id: somebody whom the edge does not know.
    let request = site.join_request("sale").header("anteroom-edge-token", EDGE);
    assert_eq!(claims_of(&token_of(&site.send(request).await.ok(202)))["sub"], Value::Null);
}

async fn a_user_token_that_is_not_good_is_refused_and_changes_nothing(store: Store) {
    let (issuer, stranger) = (Issuer::start().await, Issuer::start().await);
    let site = store.start(&issuer.variables()).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let waiting = site.token("sale").await;
    let good = issuer.token("ann");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1;
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT","kid":"one"}"#);
    let hs256 = jsonwebtoken::Header { kid: Some("one".into()), ..Default::default() };
    let key = jsonwebtoken::EncodingKey::from_secret(b"one");
    let claims: Value = claims_of(&good);
    for (what, token) in [
        ("of another issuer's key", stranger.token("ann")),
        ("expired", issuer.token_with("ann", json!({"exp": 1_700_000_000}))),
        ("not valid yet", issuer.token_with("ann", json!({"nbf": 9_700_000_000u64}))),
        ("of another issuer", issuer.token_with("ann", json!({"iss": "https://evil.example"}))),
        ("for somebody else", issuer.token_with("ann", json!({"aud": "shop"}))),
        ("without an end", issuer.token_with("ann", json!({"exp": null}))),
        ("of nobody", issuer.token_with("", json!({}))),
        ("of a number", issuer.token_with("ann", json!({"sub": 7}))),
        ("of a very long name", issuer.token(&"a".repeat(256))),
        ("of a name with a line break", issuer.token("ann\nbob")),
        ("alg none", format!("{unsigned}.{payload}.")),
        ("alg none with the signature", format!("{unsigned}.{payload}.{signature}")),
        ("signed symmetrically", jsonwebtoken::encode(&hs256, &claims, &key).unwrap()),
        ("truncated", good[..good.len() - 2].to_owned()),
        ("without signature", message.to_owned()),
        ("a waiting token", waiting.clone()),
        ("garbage", "garbage".to_owned()),
        ("dots", "...".to_owned()),
    ] {
        let reply = site.send(site.join_request("sale").bearer_auth(&token)).await;
        assert_eq!(reply.body["error"]["code"], "UNAUTHENTICATED", "{what}: {}", reply.text);
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        let enter = site.request("POST", "/api/v1/queue/enter").json(&json!({"waiting_token": waiting}));
        site.send(enter.bearer_auth(&token)).await.refused("UNAUTHENTICATED");
    }
    assert_eq!(site.stats("sale").await["issued"], 1);
    site.send(site.join_request("sale").bearer_auth(good)).await.ok(202);
}

async fn entering_needs_the_holders_own_user_token(store: Store) {
    let issuer = Issuer::start().await;
    let site = store.start(&issuer.variables()).await;
    site.put("sale", json!({})).await;
    let ann = token_of(&site.send(site.join_request("sale").bearer_auth(issuer.token("ann"))).await.ok(202));
    let anonymous = site.token("sale").await;
    site.ready(&ann).await;
    site.ready(&anonymous).await;
    let enter = |token: &str| site.request("POST", "/api/v1/queue/enter").json(&json!({"waiting_token": token}));
    site.send(enter(&ann)).await.refused("UNAUTHENTICATED");
    site.send(enter(&ann).bearer_auth(issuer.token("bob"))).await.refused("FORBIDDEN");
    let pass = site.send(enter(&ann).bearer_auth(issuer.token("ann"))).await.ok(200);
    assert_eq!(claims_of(pass["reservation_token"].as_str().unwrap())["sub"], "ann");
    site.send(enter(&anonymous)).await.refused("UNAUTHENTICATED");
    site.send(enter(&anonymous).bearer_auth(issuer.token("bob"))).await.ok(200);
}

async fn while_the_issuer_is_away_nobody_is_believed_and_nobody_is_blamed(store: Store) {
    let issuer = Issuer::start().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/keys");
    let mut variables = issuer.variables();
    variables[0].1 = &url;
    let site = store.start(&variables).await;
    site.put("sale", json!({"mode": "hold"})).await;
    site.send(site.join_request("sale").bearer_auth(issuer.token("ann"))).await.refused("UNAVAILABLE");
    site.send(site.join_request("sale")).await.ok(202);
    assert_eq!(site.stats("sale").await["issued"], 1);
}
