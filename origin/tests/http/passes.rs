//! Passes: anybody can check one with the published keys, nobody can make or move one, and ending a session frees its place.

use crate::support::client::claims_of;
use crate::support::{Client, SECRET, Store, eventually};
use anteroom_core::token::TokenKeys;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

on_both_stores!(
    a_pass_is_checked_with_the_published_keys_alone,
    verifying_says_whose_and_how_long_and_of_anything_else_only_no,
    ending_a_session_frees_its_capacity_once,
    a_pass_that_ran_out_is_replaced_within_the_same_session,
    a_token_is_good_for_one_purpose,
    a_turn_gives_a_session_token_that_says_until_when,
    a_pass_issued_anew_extends_the_session_only_where_activity_does,
);

/// Joins a room where a turn comes at once, and enters; gives the waiting token and the pass.
async fn admitted(client: &Client, event: &str) -> (String, String) {
    let token = client.token(event).await;
    client.ready(&token).await;
    let body = client.enter(&token).await.ok(200);
    (token, body["reservation_token"].as_str().unwrap().to_owned())
}

async fn verify(client: &Client, pass: &str) -> Value {
    client.post("/api/v1/passes/verify", json!({"pass": pass})).await.ok(200)
}

/// What a backend does that knows nothing but the contract.
fn check(keys: &JwkSet, pass: &str) -> Result<Value, jsonwebtoken::errors::Error> {
    let header = jsonwebtoken::decode_header(pass)?;
    let key = keys.find(&header.kid.unwrap_or_default()).expect("the key of the pass is published");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&["anteroom"]);
    validation.set_audience(&["anteroom:pass"]);
    jsonwebtoken::decode::<Value>(pass, &DecodingKey::from_jwk(key)?, &validation).map(|token| token.claims)
}

/// The pass with another event in it and the signature it had.
fn moved(pass: &str) -> String {
    let mut claims = claims_of(pass);
    claims["evt"] = json!("gala");
    let parts: Vec<&str> = pass.split('.').collect();
    format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
}

async fn a_pass_is_checked_with_the_published_keys_alone(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    let (_, pass) = admitted(&site, "sale").await;
    for path in ["/.well-known/jwks.json", "/api/v1/.well-known/jwks.json"] {
        let reply = site.get(path).await;
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert!(reply.header("cache-control").unwrap().starts_with("public"));
        assert!(!reply.text.contains("\"d\""), "the private half is not published");
        let keys: JwkSet = serde_json::from_str(&reply.text).unwrap();
        let claims = check(&keys, &pass).unwrap();
        assert_eq!((&claims["evt"], &claims["tkt"]), (&json!("sale"), &json!(1)));
        assert!(claims["exp"].as_u64().unwrap() <= claims["iat"].as_u64().unwrap() + 31, "{claims}");
        assert!(check(&keys, &moved(&pass)).is_err(), "a pass for one event is good for that event");
    }
}

async fn verifying_says_whose_and_how_long_and_of_anything_else_only_no(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    let (waiting, pass) = admitted(&site, "sale").await;
    let body = verify(&site, &pass).await;
    assert_eq!((&body["active"], &body["evt"]), (&json!(true), &json!("sale")), "{body}");
    assert!(body["exp"].is_u64() && body["jti"].is_string() && body["session_expires_at"].is_string(), "{body}");
    let no = json!({"active": false});
    let (short, long) = (&pass[..pass.len() - 3], format!("{pass}x"));
    for other in ["x", "a.b.c", &waiting, short, &long, &moved(&pass), &"x".repeat(10_000)] {
        assert_eq!(verify(&site, other).await, no);
    }
    site.post("/api/v1/passes/verify", json!({})).await.refused("MISSING_TOKEN");
    site.send(site.admin("DELETE", "/rooms/sale")).await.ok(200);
    assert_eq!(verify(&site, &pass).await, no, "the room is no more");
}

async fn ending_a_session_frees_its_capacity_once(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"capacity": 1, "min_wait": [], "burst": 100})).await;
    let (_, pass) = admitted(&site, "sale").await;
    let (second, third) = (site.token("sale").await, site.token("sale").await);
    site.enter(&second).await.refused("NOT_READY");
    for _ in 0..3 {
        let ended = site.post("/api/v1/sessions/end", json!({"pass": pass})).await.ok(200);
        assert_eq!(ended, json!({"status": "ended"}));
    }
    assert_eq!(verify(&site, &pass).await, json!({"active": false}));
    site.ready(&second).await;
    let inside = site.enter(&second).await.ok(200);
    site.enter(&third).await.refused("NOT_READY");
    let stats = site.stats("sale").await;
    assert_eq!((&stats["active"], &stats["ready"]), (&json!(1), &json!(0)), "ended three times, freed once: {stats}");
    site.post("/api/v1/sessions/end", json!({"pass": inside["session_token"]})).await.ok(200);
    site.ready(&third).await;
    site.post("/api/v1/sessions/end", json!({"pass": "x.y.z"})).await.refused("TOKEN_NOT_FOUND");
    site.post("/api/v1/sessions/end", json!({"pass": second})).await.refused("TOKEN_NOT_FOUND");
    site.post("/api/v1/sessions/end", json!({})).await.refused("MISSING_TOKEN");
}

async fn a_pass_that_ran_out_is_replaced_within_the_same_session(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"pass_ttl_sec": 1})).await;
    let (token, pass) = admitted(&site, "sale").await;
    let fresh = eventually("the pass runs out and another is issued", async || {
        let body = site.enter(&token).await.ok(200);
        (body["reservation_token"] != pass).then_some(body)
    })
    .await;
    let fresh = fresh["reservation_token"].as_str().unwrap();
    assert_eq!(claims_of(fresh)["jti"], claims_of(&pass)["jti"], "one turn, one name to spend");
    eventually("the first one is over", async || (verify(&site, &pass).await["active"] == false).then_some(())).await;
    assert_eq!(site.stats("sale").await["entered_total"], 1);
    // Over or not, it says whose session to end.
    site.post("/api/v1/sessions/end", json!({"pass": pass})).await.ok(200);
    assert_eq!(site.stats("sale").await["active"], 0);
}

async fn a_token_is_good_for_one_purpose(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    let (waiting, pass) = admitted(&site, "sale").await;
    site.status(&pass).await.refused("TOKEN_NOT_FOUND");
    site.enter(&pass).await.refused("TOKEN_NOT_FOUND");
    site.leave(&pass).await.refused("TOKEN_NOT_FOUND");
    assert_eq!(verify(&site, &waiting).await, json!({"active": false}));
    let admin = site.request("GET", "/api/v1/admin/rooms");
    site.send(admin.bearer_auth(&pass)).await.refused("UNAUTHENTICATED");
    assert_eq!(site.status(&waiting).await.ok(200)["status"], "entered");
}

async fn a_turn_gives_a_session_token_that_says_until_when(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"session_sec": 300})).await;
    let token = site.token("sale").await;
    site.ready(&token).await;
    let body = site.enter(&token).await.ok(200);
    let text = body["session_token"].as_str().unwrap();
    let session = TokenKeys::new(&[SECRET]).unwrap().verify_session(text).unwrap();
    let pass = claims_of(body["reservation_token"].as_str().unwrap());
    assert_eq!((session.event.as_str(), session.ticket.0, session.slot.0), ("sale", 1, 1));
    assert_eq!(session.ends_at, session.renewed_at + 300);
    assert_eq!(pass["ses"], session.ends_at, "the pass says the same");
    assert_eq!(site.enter(&token).await.ok(200), body, "and so does a repeat");
    for own in ["status", "enter", "leave"] {
        let path = format!("/api/v1/queue/{own}");
        let method = if own == "status" { "GET" } else { "POST" };
        let request = site.request(method, &path).bearer_auth(text).json(&json!({"waiting_token": text}));
        site.send(request).await.refused("TOKEN_NOT_FOUND");
    }
    assert_eq!(verify(&site, text).await, json!({"active": false}));
}

async fn a_pass_issued_anew_extends_the_session_only_where_activity_does(store: Store) {
    let site = store.start(&[]).await;
    for (event, renew) in [("renewed", true), ("fixed", false)] {
        site.put(event, json!({"pass_ttl_sec": 1, "session_sec": 300, "session_renew": renew})).await;
        let (token, first) = admitted(&site, event).await;
        let anew = eventually("the pass runs out and another is issued", async || {
            let body = site.enter(&token).await.ok(200);
            let pass = body["reservation_token"].as_str().unwrap().to_owned();
            (pass != first).then_some(pass)
        })
        .await;
        let (first, anew) = (claims_of(&first), claims_of(&anew));
        let later = anew["ses"].as_u64().unwrap() - first["ses"].as_u64().unwrap();
        let took = anew["iat"].as_u64().unwrap() - first["iat"].as_u64().unwrap();
        assert_eq!(later, if renew { took } else { 0 }, "{event}: {first} {anew}");
    }
}
