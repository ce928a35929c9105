//! Join, status, enter, leave and the board: every field, every header, every way to show a token.

use crate::support::client::{Reply, ticket_of};
use crate::support::{Store, eventually, token_of};
use serde_json::{Value, json};

on_both_stores!(
    a_join_answers_every_field_of_the_contract,
    whoever_finds_the_line_empty_is_called_at_once,
    a_status_answers_every_field_however_the_token_is_shown,
    a_status_without_a_place_is_not_found,
    a_turn_is_granted_once_it_has_come_and_not_before,
    repeated_enters_answer_one_and_the_same_token,
    a_missed_turn_is_expired_and_its_permit_goes_back,
    a_place_is_left_in_every_way_a_page_can_ask,
    leaving_moves_everybody_behind_one_up,
    the_board_is_public_the_same_for_all_and_names_nobody,
    an_old_number_does_not_survive_a_reset,
    a_deleted_rooms_numbers_do_not_count_in_a_new_one_of_the_same_name,
);

/// A time as the contract writes it.
fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or("");
    text.len() >= 20 && &text[4..5] == "-" && &text[10..11] == "T" && text.ends_with('Z')
}

async fn a_join_answers_every_field_of_the_contract(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    for place in 1..=3 {
        let reply = site.send(site.join_request("sale")).await;
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("x-idempotency-cached"), None);
        let body = reply.ok(202);
        assert_eq!(ticket_of(&token_of(&body)), place);
        assert_eq!((&body["position"], &body["position_hint"]), (&json!(place), &json!(place)));
        assert_eq!(body["status"], "waiting");
        assert_eq!(body["eta_sec"], Value::Null, "nobody knows when a held room lets people in");
        assert!(body["poll_after_ms"].as_u64().unwrap() >= 500, "{body}");
        assert!(is_time(&body["joined_at"]), "{body}");
    }
    site.put("slow", json!({"admit_per_minute": 60, "burst": 1, "min_wait": []})).await;
    site.join("slow").await;
    let second = site.join("slow").await;
    assert_eq!((&second["status"], &second["position"]), (&json!("waiting"), &json!(1)), "{second}");
    let eta = |part: &str| second[part].as_u64().unwrap_or_else(|| panic!("{part} in {second}"));
    assert!(eta("eta_low_sec") <= eta("eta_sec") && eta("eta_sec") <= eta("eta_high_sec"), "{second}");
    assert!((0.0..=1.0).contains(&second["eta_confidence"].as_f64().unwrap()), "{second}");
}

async fn whoever_finds_the_line_empty_is_called_at_once(store: Store) {
    let site = store.start(&[]).await;
    site.put("quiet", json!({})).await;
    let body = site.join("quiet").await;
    assert_eq!((&body["status"], &body["position"]), (&json!("ready"), &json!(0)), "{body}");
    site.enter(&token_of(&body)).await.ok(200);
}

async fn a_status_answers_every_field_however_the_token_is_shown(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"admit_per_minute": 1, "burst": 1, "min_wait": []})).await;
    let first = site.token("sale").await;
    let token = site.token("sale").await;
    let path = "/api/v1/queue/status";
    let cookie = format!("other=1; __Host-anteroom-wait-sale={token}; theme=dark");
    let shown = [
        site.request("GET", &format!("{path}?token={token}")),
        site.request("GET", path).bearer_auth(&token),
        site.request("GET", path).header("cookie", &cookie),
        site.request("GET", &format!("{path}?event_id=sale")).header("cookie", &cookie),
    ];
    for request in shown {
        let body = site.send(request).await.ok(200);
        assert_eq!((&body["status"], &body["position"]), (&json!("waiting"), &json!(1)), "{body}");
        assert_eq!((&body["ready_for_entry"], &body["claim_expires_at"]), (&json!(false), &Value::Null));
        for number in ["eta_sec", "eta_low_sec", "eta_high_sec", "waiting_time", "poll_after_ms", "total_waiting"] {
            assert!(body[number].is_u64(), "{number} in {body}");
        }
        assert!(body["eta_confidence"].is_number() && is_time(&body["as_of"]), "{body}");
        assert_eq!(body["stale"], false);
        assert_eq!(body["total_waiting"], 1);
    }
    let body = site.ready(&first).await;
    assert_eq!((&body["position"], &body["ready_for_entry"]), (&json!(0), &json!(true)), "{body}");
    assert!(is_time(&body["claim_expires_at"]), "{body}");
    site.enter(&first).await.ok(200);
    let body = site.status(&first).await.ok(200);
    assert_eq!((&body["status"], &body["ready_for_entry"]), (&json!("entered"), &json!(false)), "{body}");
    let other = site.request("GET", &format!("{path}?event_id=other")).header("cookie", &cookie);
    site.send(other).await.refused("TOKEN_NOT_FOUND");
}

async fn a_status_without_a_place_is_not_found(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    site.get("/api/v1/queue/status").await.refused("TOKEN_NOT_FOUND");
    site.get("/api/v1/queue/status?token=").await.refused("TOKEN_NOT_FOUND");
    site.get("/api/v1/queue/status?event_id=sale").await.refused("TOKEN_NOT_FOUND");
    site.leave("").await.refused("MISSING_TOKEN");
    site.post("/api/v1/queue/enter", json!({})).await.refused("MISSING_TOKEN");
    site.post("/api/v1/queue/join", json!({})).await.refused("MISSING_EVENT_ID");
    site.send(site.join_request("nowhere")).await.refused("EVENT_NOT_FOUND");
    site.get("/api/v1/queue/board").await.refused("MISSING_EVENT_ID");
    site.get("/api/v1/queue/board?event_id=nowhere").await.refused("EVENT_NOT_FOUND");
}

async fn a_turn_is_granted_once_it_has_come_and_not_before(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "session_sec": 60, "pass_ttl_sec": 30})).await;
    let (first, second) = (site.token("sale").await, site.token("sale").await);
    let reply = site.enter(&second).await;
    let error = reply.refused("NOT_READY");
    assert_eq!(error["position"], 2);
    assert!(error["poll_after_ms"].is_u64());
    assert_eq!(site.call("sale", 1).await, 1);
    let body = site.enter(&first).await.ok(200);
    assert_eq!((&body["admission"], &body["ttl_sec"]), (&json!("granted"), &json!(30)), "{body}");
    assert!(
        body["reservation_token"].as_str().unwrap().split('.').count() == 3 && is_time(&body["session_expires_at"])
    );
    site.enter(&second).await.refused("NOT_READY");
    let stats = site.stats("sale").await;
    assert_eq!((&stats["active"], &stats["ready"], &stats["waiting"]), (&json!(1), &json!(0), &json!(1)), "{stats}");
}

async fn repeated_enters_answer_one_and_the_same_token(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    let token = site.token("sale").await;
    let first = site.enter(&token).await.ok(200);
    for _ in 0..3 {
        let again = site.enter(&token).await.ok(200);
        assert_eq!(again["reservation_token"], first["reservation_token"]);
        assert_eq!(again["session_expires_at"], first["session_expires_at"]);
    }
    let stats = site.stats("sale").await;
    assert_eq!((&stats["entered_total"], &stats["active"]), (&json!(1), &json!(1)), "{stats}");
}

async fn a_missed_turn_is_expired_and_its_permit_goes_back(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"claim_sec": 1, "admit_per_minute": 1, "burst": 1, "min_wait": []})).await;
    let (late, next) = (site.token("sale").await, site.token("sale").await);
    site.ready(&late).await;
    // The bucket alone would let nobody else in for a minute.
    site.ready(&next).await;
    let reply = site.status(&late).await;
    assert_eq!(reply.refused("TOKEN_EXPIRED")["status"], "expired");
    site.enter(&late).await.refused("TOKEN_EXPIRED");
    site.enter(&next).await.ok(200);
    let stats = site.stats("sale").await;
    assert_eq!((&stats["missed_total"], &stats["called_total"]), (&json!(1), &json!(2)), "{stats}");
}

async fn a_place_is_left_in_every_way_a_page_can_ask(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let path = "/api/v1/queue/leave";
    let ways: [&dyn Fn(&str) -> reqwest::RequestBuilder; 8] = [
        &|token| site.request("DELETE", &format!("{path}?token={token}")),
        &|token| site.request("DELETE", path).bearer_auth(token),
        &|token| site.request("POST", &format!("{path}?token={token}")),
        &|token| site.request("POST", path).header("cookie", format!("__Host-anteroom-wait-sale={token}")),
        &|token| site.request("POST", path).json(&json!({"waiting_token": token})),
        // What `navigator.sendBeacon` sends: a URL alone, a text, a form.
        &|token| {
            let beacon = site.request("POST", &format!("{path}?token={token}"));
            beacon.header("content-type", "text/plain;charset=UTF-8").body("bye")
        },
        &|token| {
            let beacon = site.request("POST", path).header("content-type", "text/plain;charset=UTF-8");
            beacon.body(json!({"waiting_token": token}).to_string())
        },
        &|token| {
            let beacon = site.request("POST", &format!("{path}?token={token}"));
            beacon.header("content-type", "application/x-www-form-urlencoded").body("a=b")
        },
    ];
    for (number, way) in ways.iter().enumerate() {
        let token = site.token("sale").await;
        for _ in 0..2 {
            assert_eq!(site.send(way(&token)).await.ok(200), json!({"status": "left"}), "way {number}");
        }
        site.status(&token).await.refused("TOKEN_NOT_FOUND");
        site.enter(&token).await.refused("TOKEN_NOT_FOUND");
    }
    let stats = site.stats("sale").await;
    assert_eq!((&stats["left_total"], &stats["waiting"]), (&json!(ways.len()), &json!(0)), "{stats}");
}

async fn leaving_moves_everybody_behind_one_up(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let mut tokens = Vec::new();
    for _ in 0..30 {
        tokens.push(site.token("sale").await);
    }
    let mut there: Vec<usize> = (0..30).collect();
    for leaves in [0, 29, 15, 7, 8] {
        site.leave(&tokens[leaves]).await.ok(200);
        there.retain(|number| *number != leaves);
        let last = there.len() as u64;
        eventually("the leave shows", async || {
            let seen = site.status(&tokens[*there.last().unwrap()]).await.ok(200);
            (seen["position"] == last && seen["total_waiting"] == last).then_some(())
        })
        .await;
        for (ahead, number) in there.iter().enumerate() {
            assert_eq!(site.status(&tokens[*number]).await.ok(200)["position"], ahead + 1);
        }
    }
}

async fn the_board_is_public_the_same_for_all_and_names_nobody(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "trust_user_id": true})).await;
    let body = json!({"event_id": "sale", "user_id": "somebody-in-particular"});
    let token = token_of(&site.post("/api/v1/queue/join", body).await.ok(202));
    let path = "/api/v1/queue/board?event_id=sale";
    let board = eventually("a board that shows the join", async || {
        let reply = site.send(site.request("GET", path).bearer_auth(&token)).await;
        (reply.body["issued"] == 1).then_some(reply)
    })
    .await;
    assert_eq!(board.status, 200);
    assert_eq!(board.header("cache-control"), Some("public, max-age=1, stale-while-revalidate=5"));
    assert_eq!(board.header("content-type"), Some("application/json"));
    assert_eq!(board.header("set-cookie"), None);
    assert!(!board.text.contains("somebody") && !board.text.contains(&token));
    assert_eq!((&board.body["event_id"], &board.body["waiting"]), (&json!("sale"), &json!(1)));
    // With ticks far apart a board would stay the same for long; here a few tries find two within one.
    for (before, after) in [("", ""), ("W/", ""), ("\"a\", ", ", \"b\"")] {
        eventually("a board that has not changed", async || {
            let etag = site.get(path).await.header("etag").unwrap().to_owned();
            let again: Reply =
                site.send(site.request("GET", path).header("if-none-match", format!("{before}{etag}{after}"))).await;
            if again.status == 200 {
                assert_ne!(again.header("etag"), Some(etag.as_str()), "the same board was sent again");
                return None;
            }
            assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(etag.as_str())));
            assert_eq!(again.header("cache-control"), Some("public, max-age=1, stale-while-revalidate=5"));
            Some(())
        })
        .await;
    }
}

async fn an_old_number_does_not_survive_a_reset(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    let called = site.token("sale").await;
    let pass = site.enter(&called).await.ok(200)["reservation_token"].clone();
    site.put("sale", json!({"mode": "hold"})).await;
    let waiting = site.token("sale").await;
    let before = site.stats("sale").await["generation"].as_u64().unwrap();
    let reset = site.send(site.admin("POST", "/rooms/sale/reset")).await.ok(200);
    assert!(reset["generation"].as_u64().unwrap() > before, "{reset}");
    for token in [&called, &waiting] {
        site.status(token).await.refused("TOKEN_NOT_FOUND");
        site.enter(token).await.refused("TOKEN_NOT_FOUND");
        site.leave(token).await.refused("TOKEN_NOT_FOUND");
    }
    let verified = site.post("/api/v1/passes/verify", json!({"pass": pass})).await.ok(200);
    assert_eq!(verified, json!({"active": false}));
    let body = site.join("sale").await;
    assert_eq!((ticket_of(&token_of(&body)), &body["position"]), (1, &json!(1)));
}

async fn a_deleted_rooms_numbers_do_not_count_in_a_new_one_of_the_same_name(store: Store) {
    let site = store.start(&[]).await;
    for _ in 0..3 {
        site.put("sale", json!({"mode": "hold"})).await;
        let token = site.token("sale").await;
        let deleted = site.send(site.admin("DELETE", "/rooms/sale")).await.ok(200);
        assert_eq!(deleted, json!({"status": "deleted"}));
        site.status(&token).await.refused("EVENT_NOT_FOUND");
        site.put("sale", json!({"mode": "hold"})).await;
        site.status(&token).await.refused("TOKEN_NOT_FOUND");
        site.enter(&token).await.refused("TOKEN_NOT_FOUND");
        assert_eq!(site.stats("sale").await["issued"], 0, "an old token has moved the new line");
        site.send(site.admin("DELETE", "/rooms/sale")).await.ok(200);
    }
}
