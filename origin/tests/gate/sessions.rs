//! What proves that somebody is inside: session tokens, those that have run out included, and passes.

use crate::house::{Host, House, quick};
use crate::support::client::claims_of;
use crate::support::{EDGE, at_once, eventually};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

on_both_hosts!(
    a_session_that_is_over_leads_to_a_fresh_place_for_one_question_to_the_origin,
    a_session_that_lasts_longer_than_its_token_says_lets_in_and_is_handed_out,
    a_pass_opens_a_session,
    a_pass_of_another_room_or_one_that_has_run_out_opens_nothing,
);

fn end(token: &str) -> u64 {
    claims_of(token)["exp"].as_u64().unwrap()
}

fn has_passed(end: u64) -> Option<()> {
    (SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() > end).then_some(())
}

async fn a_session_that_is_over_leads_to_a_fresh_place_for_one_question_to_the_origin(host: Host) {
    let house = House::open(host, json!({"burst": 100, "min_wait": [], "session_sec": 2})).await;
    let mut visitor = house.visitor();
    visitor.page("/").await.of_the_shop();
    house.put("sale", json!({"mode": "hold"})).await;
    eventually("the session is over", async || {
        has_passed(end(visitor.token("session").unwrap()))?;
        (house.api.stats("sale").await["active"] == 0).then_some(())
    })
    .await;
    let questions = || {
        house.front.as_ref().map_or(0, |(_, wire)| wire.asked().get("POST /api/v1/edge/reports").copied().unwrap_or(0))
    };
    let before = questions();
    let look = |_| {
        let mut visitor = visitor.clone();
        async move { visitor.page("/").await.is_page("line").cookies().len() }
    };
    assert_eq!(at_once(5, look).await, [1; 5], "each has a place");
    assert_eq!(at_once(5, look).await, [1; 5]);
    assert!(questions() <= before + 1, "{:?}", house.front.as_ref().map(|(_, wire)| wire.asked()));
}

async fn a_session_that_lasts_longer_than_its_token_says_lets_in_and_is_handed_out(host: Host) {
    let house = House::open(host, json!({"burst": 100, "min_wait": [], "session_sec": 3})).await;
    let mut visitor = house.visitor();
    visitor.page("/").await.of_the_shop();
    let token = visitor.token("session").unwrap().clone();
    let claims = claims_of(&token);
    let report = json!({"rooms": [{"event_id": "sale", "generation": claims["gen"], "renew": [claims["tkt"]]}]});
    // Somebody else has it extended, so that this gate does not hear of it.
    eventually("its token has run out", async || {
        let told = house.api.request("POST", "/api/v1/edge/reports").header("anteroom-edge-token", EDGE).json(&report);
        assert!(house.api.send(told).await.ok(200)["rooms"][0]["sessions"][0][1].is_u64());
        has_passed(end(&token))
    })
    .await;
    let look = |_| {
        let mut visitor = visitor.clone();
        async move {
            visitor.asset("/logo.png").await.of_the_shop();
            end(visitor.token("session").unwrap())
        }
    };
    let ends = at_once(4, look).await;
    assert!(ends.iter().all(|longer| *longer > end(&token)), "{ends:?}");
    assert_eq!(house.api.stats("sale").await["entered_total"], 1);
    let mut program = house.visitor().without_cookies();
    let got = program.ask("GET", "/x", &[("accept", "*/*"), ("anteroom-token", token.as_str())], None).await;
    got.of_the_shop();
    assert!(end(got.header("anteroom-token").unwrap()) > end(&token), "who carries it is told");
}

/// A turn taken at the origin: the answer.
async fn admission(house: &House, event: &str) -> Value {
    let token = house.api.token(event).await;
    house.api.ready(&token).await;
    house.api.enter(&token).await.ok(200)
}

async fn a_pass_opens_a_session(host: Host) {
    let house = House::open(host, quick()).await;
    let admission = admission(&house, "sale").await;
    let pass = admission["reservation_token"].as_str().unwrap();
    house.put("sale", json!({"mode": "hold"})).await;
    let (json, bearer) = (("accept", "application/json"), format!("Bearer {pass}"));
    let query = format!("/x?anteroom_token={pass}");
    for (target, headers) in
        [("/x", &[json, ("anteroom-token", pass)][..]), ("/x", &[json, ("authorization", &bearer)]), (&query, &[json])]
    {
        let mut program = house.visitor().without_cookies();
        let got = program.ask("GET", target, headers, None).await;
        let asked = got.of_the_shop();
        assert_eq!((&asked["target"], &asked["headers"]["anteroom-ticket"]), (&json!("/x"), &json!(["1"])));
        let session = got.header("anteroom-token").expect("a session is handed out").to_owned();
        assert_eq!(
            end(&session),
            end(admission["session_token"].as_str().unwrap()),
            "the one that the turn has opened"
        );
        program.ask("GET", "/x", &[json, ("anteroom-token", &session)], None).await.of_the_shop();
    }
    let mut browser = house.visitor();
    browser.page(&query).await.of_the_shop();
    browser.page("/").await.of_the_shop();
    assert_eq!(house.api.stats("sale").await["entered_total"], 1);
}

async fn a_pass_of_another_room_or_one_that_has_run_out_opens_nothing(host: Host) {
    let gala = json!({"min_wait": [], "burst": 100, "gate": {"paths": ["/gala/*"]}});
    let short = json!({"min_wait": [], "burst": 100, "pass_ttl_sec": 1});
    let house = House::with_rooms(host, &[("gala", gala), ("sale", short)]).await;
    let (of_gala, of_sale) = (admission(&house, "gala").await, admission(&house, "sale").await);
    let (of_gala, of_sale) =
        (of_gala["reservation_token"].as_str().unwrap(), of_sale["reservation_token"].as_str().unwrap());
    house.put("sale", json!({"mode": "hold"})).await;
    eventually("the pass has run out", async || has_passed(end(of_sale))).await;
    let changed = format!("{}{}", &of_gala[..of_gala.len() - 2], if of_gala.ends_with("AA") { "BB" } else { "AA" });
    for (path, pass) in [("/x", of_gala), ("/x", of_sale), ("/gala/1", of_sale), ("/gala/1", &changed)] {
        house.visitor().asset(&format!("{path}?anteroom_token={pass}")).await.refused("NOT_READY");
    }
    house.visitor().asset(&format!("/gala/1?anteroom_token={of_gala}")).await.of_the_shop();
}
