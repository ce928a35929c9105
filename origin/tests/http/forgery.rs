//! Waiting tokens that nobody gave out: forged, truncated, unsigned, of another room, of another secret, of numbers not handed out.

use crate::support::client::{claims_of, ticket_of};
use crate::support::{SECRET, Site, Store};
use anteroom_core::token::{TokenKeys, WaitingClaims};
use anteroom_core::units::{EventId, Generation, Ticket};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

on_both_stores!(
    a_waiting_token_that_we_did_not_make_is_nobodys_place,
    a_token_of_one_room_is_not_good_in_another,
    a_change_of_secret_throws_nobody_out,
);

async fn is_refused(site: &Site, what: &str, token: &str) {
    for reply in [site.status(token).await, site.enter(token).await, site.leave(token).await] {
        assert_eq!(reply.body["error"]["code"], "TOKEN_NOT_FOUND", "{what}: {}", reply.text);
    }
    let shown = site.request("GET", "/api/v1/queue/status");
    site.send(shown.bearer_auth(token)).await.refused("TOKEN_NOT_FOUND");
    let cookie = format!("__Host-anteroom-wait-sale={token}");
    site.send(site.request("GET", "/api/v1/queue/status").header("cookie", cookie)).await.refused("TOKEN_NOT_FOUND");
}

async fn a_waiting_token_that_we_did_not_make_is_nobodys_place(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let token = site.token("sale").await;
    site.token("sale").await;
    let before = site.stats("sale").await["waiting"].clone();
    let parts: Vec<&str> = token.split('.').collect();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = claims_of(&token);
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        format!("{}.{}.{}", parts[0], encode(&changed), parts[2])
    };
    let sign = |algorithm, claims: &Value, secret: &str| {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let none = encode(&json!({"alg": "none", "typ": "JWT"}));
    let mut other_audience = claims.clone();
    other_audience["aud"] = json!("anteroom:pass");
    for (what, token) in [
        ("another number", with("tkt", json!(2))),
        ("number 0", with("tkt", json!(0))),
        ("another generation", with("gen", json!(1))),
        ("another event", with("evt", json!("gala"))),
        ("alg none", format!("{none}.{}.", parts[1])),
        ("alg none with the signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("another secret", sign(Algorithm::HS256, &claims, "another secret of at least 32 bytes!")),
        ("another algorithm", sign(Algorithm::HS512, &claims, SECRET)),
        ("signed by us for another purpose", sign(Algorithm::HS256, &other_audience, SECRET)),
        ("signed by us for no purpose", sign(Algorithm::HS256, &json!({}), SECRET)),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{token}.{}", parts[2])),
        ("truncated", token[..token.len() - 1].to_owned()),
        ("longer", format!("{token}A")),
        ("padded", format!("{token}=")),
        ("very long", format!("{}.{}.{}", parts[0], "A".repeat(4_000), parts[2])),
        ("dots", "..".to_owned()),
        ("a number", "1".to_owned()),
    ] {
        is_refused(&site, what, &token).await;
    }
    let stats = site.stats("sale").await;
    assert_eq!((&stats["waiting"], &stats["issued"], &stats["left_total"]), (&before, &json!(2), &json!(0)), "{stats}");
    site.status(&token).await.ok(200);
}

async fn a_token_of_one_room_is_not_good_in_another(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    site.put("gala", json!({"mode": "hold"})).await;
    let (sale, gala) = (site.token("sale").await, site.token("gala").await);
    let pass = site.enter(&sale).await.ok(200)["reservation_token"].as_str().unwrap().to_owned();
    assert_eq!(claims_of(&pass)["evt"], "sale");
    site.enter(&gala).await.refused("NOT_READY");
    // Its cookie, under the name of the other room's.
    let cookie = format!("__Host-anteroom-wait-gala={sale}");
    let request = site.request("GET", "/api/v1/queue/status?event_id=gala").header("cookie", cookie);
    assert_eq!(site.send(request).await.ok(200)["status"], "entered", "it says where it is good, whatever its name");
    assert_eq!(site.stats("gala").await["active"], 0);
    // The same number, signed by us, for a generation that the other room does not have.
    let keys = TokenKeys::new(&[SECRET]).unwrap();
    let generation = claims_of(&gala)["gen"].as_u64().unwrap();
    for wrong in [generation - 1, generation + 1, 0, u64::MAX] {
        let claims = WaitingClaims {
            event: EventId::parse("gala").unwrap(),
            generation: Generation(wrong),
            ticket: Ticket(ticket_of(&gala)),
            identity: None,
            issued_at: 0,
        };
        is_refused(&site, "another generation", &keys.sign(&claims)).await;
    }
}

async fn a_change_of_secret_throws_nobody_out(store: Store) {
    let fresh = "the-next-secret-of-at-least-32-bytes";
    let site = store.start(&[("ANTEROOM_SECRET", &format!("{fresh},{SECRET}"))]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let token = site.token("sale").await;
    let claims = WaitingClaims {
        event: EventId::parse("sale").unwrap(),
        generation: Generation(claims_of(&token)["gen"].as_u64().unwrap()),
        ticket: Ticket(1),
        identity: None,
        issued_at: claims_of(&token)["iat"].as_u64().unwrap(),
    };
    let old = TokenKeys::new(&[SECRET]).unwrap().sign(&claims);
    let new = TokenKeys::new(&[fresh]).unwrap().sign(&claims);
    assert_eq!(token, new, "the first of them signs");
    assert_eq!(site.status(&old).await.ok(200)["position"], 1);
}
