//! Programs, which read JSON: `docs/clients.md`.

use crate::house::{held, quick};
use crate::proxy::Proxy;
use crate::support::eventually;
use crate::support::issuer::Issuer;
use serde_json::json;

behind_every_proxy!(
    a_program_is_told_its_place_and_served_when_its_turn_has_come,
    the_site_is_told_who_somebody_known_is,
    a_program_without_cookies_is_served_by_the_token_that_it_shows,
    a_program_without_cookies_is_handed_the_token_of_an_extended_session,
);

async fn a_program_is_told_its_place_and_served_when_its_turn_has_come(proxy: Proxy) {
    let behind = proxy.before(held()).await;
    let mut program = behind.house.visitor();
    for _ in 0..3 {
        let told = program.data("/api/orders").await;
        assert_eq!((told.status, &told.refused("NOT_READY")["position"]), (403, &json!(1)));
        assert!(told.header("retry-after").is_some() && told.header("location").is_none(), "{told:?}");
    }
    assert_eq!(behind.house.api.stats("sale").await["issued"], 1, "a place is kept");
    behind.house.api.put("sale", json!({"mode": "line"})).await;
    behind.house.api.ready(program.token("wait").unwrap()).await;
    let mut got = program.data("/api/orders?a=b").await;
    // Where the page is shown in place, so is the way in.
    if got.status == 303 {
        assert_eq!(got.header("location"), Some("/api/orders?a=b"));
        got = program.data("/api/orders?a=b").await;
    }
    let asked = got.of_the_shop();
    assert_eq!((&asked["target"], &asked["headers"]["anteroom-ticket"]), (&json!("/api/orders?a=b"), &json!(["1"])));
    assert!(program.token("session").is_some());
    let got = program.ask("POST", "/api/orders", &[("accept", "application/json")], Some("{}")).await;
    assert_eq!(got.of_the_shop()["body"], "{}");
}

async fn the_site_is_told_who_somebody_known_is(proxy: Proxy) {
    let issuer = Issuer::start().await;
    let behind = proxy.before_with(&issuer.variables(), quick()).await;
    let bearer = format!("Bearer {}", issuer.token("ann"));
    let headers = [("accept", "application/json"), ("authorization", &bearer), ("anteroom-identity", "bob")];
    let mut ann = behind.house.visitor();
    let got = eventually("a turn", async || {
        let got = ann.ask("GET", "/api/orders", &headers, None).await;
        got.header("x-shop").is_some().then_some(got)
    })
    .await;
    let asked = &got.of_the_shop()["headers"];
    assert_eq!((&asked["anteroom-identity"], &asked["anteroom-event"]), (&json!(["ann"]), &json!(["sale"])));
    assert_eq!(asked["authorization"], json!([bearer]), "the site may know it too");
}

async fn a_program_without_cookies_is_served_by_the_token_that_it_shows(proxy: Proxy) {
    let behind = proxy.before(held()).await;
    let mut program = behind.house.visitor().without_cookies();
    let told = program.data("/api/orders").await;
    let mut token = told.refused("NOT_READY")["waiting_token"].as_str().unwrap().to_owned();
    let told = program.ask("GET", "/api/orders", &showing(&token), None).await;
    assert_eq!(told.refused("NOT_READY")["position"], 1);
    assert_eq!(behind.house.api.stats("sale").await["issued"], 1, "a place is kept");
    behind.house.api.put("sale", json!({"mode": "line"})).await;
    behind.house.api.ready(&token).await;
    for _ in 0..3 {
        let mut got = program.ask("GET", "/api/orders", &showing(&token), None).await;
        // Where the page is shown in place, so is the way in.
        if got.status == 303 {
            let to = got.header("location").unwrap().to_owned();
            got = program.ask("GET", &to, &showing(&token), None).await;
        }
        assert_eq!(got.of_the_shop()["headers"]["anteroom-ticket"], json!(["1"]));
        token = got.header("anteroom-token").map_or(token, str::to_owned);
    }
}

async fn a_program_without_cookies_is_handed_the_token_of_an_extended_session(proxy: Proxy) {
    let behind = proxy.before(json!({"burst": 100, "min_wait": [], "session_sec": 4})).await;
    let mut visitor = behind.house.visitor();
    behind.go(&mut visitor, "/").await;
    let session = visitor.token("session").unwrap().clone();
    let mut program = behind.house.visitor().without_cookies();
    // At the latest when it is over by its token.
    eventually("the session is extended", async || {
        let got = program.ask("GET", "/api/orders", &showing(&session), None).await;
        got.of_the_shop();
        let handed = got.header("anteroom-token").map(str::to_owned);
        let extended = handed.as_ref().is_some_and(|handed| *handed != session);
        (extended || got.cookies().len() == 1 && !proxy.hands_tokens_on()).then_some(())
    })
    .await;
}

fn showing(token: &str) -> [(&'static str, &str); 2] {
    [("accept", "application/json"), ("anteroom-token", token)]
}
