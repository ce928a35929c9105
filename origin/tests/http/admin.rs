//! The operator's API: who may use it, every request, every field.

use crate::support::{ADMIN, Site, Store, eventually};
use serde_json::{Value, json};
use std::sync::Arc;

on_both_stores!(
    only_the_operator_may_use_it,
    without_an_admin_token_there_is_no_admin_api,
    a_room_is_made_changed_listed_and_deleted,
    a_page_that_could_not_be_shown_is_refused_by_its_field,
    nothing_is_kept_of_a_deleted_room,
    stats_have_every_field_of_the_contract,
    a_sweep_drops_who_has_been_silent_and_nobody_else,
    a_report_of_the_site_moves_the_rate_within_its_bounds,
    requests_about_a_room_that_is_not_there_say_so,
);

const REQUESTS: [(&str, &str); 9] = [
    ("GET", "/rooms"),
    ("PUT", "/rooms/sale"),
    ("GET", "/rooms/sale"),
    ("DELETE", "/rooms/sale"),
    ("GET", "/rooms/sale/stats"),
    ("POST", "/rooms/sale/call"),
    ("POST", "/rooms/sale/sweep"),
    ("POST", "/rooms/sale/reset"),
    ("POST", "/rooms/sale/feedback"),
];

/// The settings of a room as the contract lists them, with defaults.
fn defaults() -> Value {
    json!({
        "mode": "line", "admit_per_minute": 600, "burst": 10, "release": "steady", "capacity": null,
        "session_sec": 600, "session_renew": true, "claim_sec": 120, "pass_ttl_sec": 30, "heartbeat_sec": 300,
        "min_wait": [{"up_to": 10, "sec": 0}, {"up_to": 50, "sec": 2}, {"sec": 5}], "max_wait_min": 120,
        "schedule": {"joins_open": null, "opens": null, "closes": null}, "order": "fifo",
        "places_per_user": 1, "trust_user_id": false,
        "feedback": null, "on_origin_down": "hold",
        "gate": {"hosts": ["*"], "paths": ["/*"], "bypass_paths": [], "bypass_methods": ["OPTIONS"]},
        "page": {"title": null, "message": null, "theme": {}, "languages": ["en", "ko"], "template": null}
    })
}

async fn settings(site: &Site, event: &str) -> Value {
    site.send(site.admin("GET", &format!("/rooms/{event}"))).await.ok(200)
}

async fn only_the_operator_may_use_it(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let token = site.token("sale").await;
    for (method, path) in REQUESTS {
        let request = || site.request(method, &format!("/api/v1/admin{path}")).json(&json!({"mode": "line"}));
        site.send(request()).await.refused("UNAUTHENTICATED");
        let wrong = ["x", "", &ADMIN[1..], &format!("{ADMIN}x"), &ADMIN.to_uppercase(), crate::support::EDGE, &token];
        for wrong in wrong {
            site.send(request().bearer_auth(wrong)).await.refused("UNAUTHENTICATED");
        }
        site.send(request().basic_auth("admin", Some(ADMIN))).await.refused("UNAUTHENTICATED");
        site.send(request().header("authorization", &b"Bearer \xff"[..])).await.refused("UNAUTHENTICATED");
    }
    assert_eq!(settings(&site, "sale").await["mode"], "hold");
    assert_eq!(site.stats("sale").await["issued"], 1);
}

async fn without_an_admin_token_there_is_no_admin_api(store: Store) {
    let site = store.start(&[("ANTEROOM_ADMIN_TOKEN", ""), ("ANTEROOM_ROOMS_UNKNOWN", "create")]).await;
    site.join("sale").await;
    for (method, path) in REQUESTS {
        for bearer in [ADMIN, "", "undefined", "null"] {
            let request = site.request(method, &format!("/api/v1/admin{path}")).bearer_auth(bearer);
            site.send(request.json(&json!({}))).await.refused("NOT_FOUND");
        }
    }
}

async fn a_room_is_made_changed_listed_and_deleted(store: Store) {
    let site = store.start(&[]).await;
    assert_eq!(site.put("sale", json!({})).await, defaults());
    assert_eq!(settings(&site, "sale").await, defaults());
    let patch = json!({
        "mode": "hold", "capacity": 50, "release": {"waves": {"size": 10, "every_sec": 30}}, "min_wait": [],
        "schedule": {"opens": "2026-11-21T10:00:00Z"}, "page": {"title": "Gala"}
    });
    let mut want = defaults();
    for name in ["mode", "capacity", "release", "min_wait"] {
        want[name] = patch[name].clone();
    }
    want["schedule"]["opens"] = json!("2026-11-21T10:00:00Z");
    want["page"]["title"] = json!("Gala");
    assert_eq!(site.put("sale", patch).await, want);
    assert_eq!(site.put("sale", json!({})).await, want, "what is not named keeps its value");
    // The whole, as it was read, is a good body.
    assert_eq!(site.put("sale", want.clone()).await, want);
    assert_eq!(site.put("copy", want.clone()).await, want);
    want["capacity"] = Value::Null;
    want["release"] = json!("steady");
    want["feedback"] = json!({"p95_ms": 800, "error_rate": 0.02, "min_per_minute": 60, "max_per_minute": 6000});
    let patch = json!({"capacity": null, "release": "steady", "feedback": want["feedback"]});
    assert_eq!(site.put("sale", patch).await, want);
    let listed = site.send(site.admin("GET", "/rooms")).await.ok(200);
    let events: Vec<&Value> = listed["rooms"].as_array().unwrap().iter().map(|room| &room["event_id"]).collect();
    assert_eq!(events, ["copy", "sale"]);
    assert_eq!(listed["rooms"][1]["settings"], want);
    site.send(site.admin("DELETE", "/rooms/copy")).await.ok(200);
    site.send(site.admin("GET", "/rooms/copy")).await.refused("EVENT_NOT_FOUND");
    assert_eq!(site.send(site.admin("GET", "/rooms")).await.ok(200)["rooms"].as_array().unwrap().len(), 1);
}

async fn a_page_that_could_not_be_shown_is_refused_by_its_field(store: Store) {
    let site = store.start(&[]).await;
    for (page, field) in [
        (json!({"languages": ["tlh"]}), "page.languages[0]"),
        (json!({"theme": {"accent": "red;}"}}), "page.theme"),
        (json!({"template": "{% if"}), "page.template"),
    ] {
        let reply = site.send(site.admin("PUT", "/rooms/sale").json(&json!({"page": page}))).await;
        let message = reply.refused("INVALID_REQUEST")["message"].as_str().unwrap().to_owned();
        assert!(message.contains(field), "{field}: {message}");
    }
    site.send(site.admin("GET", "/rooms/sale")).await.refused("EVENT_NOT_FOUND");
}

async fn nothing_is_kept_of_a_deleted_room(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    site.join("sale").await;
    let room = Arc::downgrade(&site.origin.rooms.get("sale").unwrap());
    site.send(site.admin("DELETE", "/rooms/sale")).await.ok(200);
    eventually("the room is dropped", async || room.upgrade().is_none().then_some(())).await;
    eventually("its metrics are gone", async || (!site.get("/metrics").await.text.contains("\"sale\"")).then_some(()))
        .await;
}

async fn stats_have_every_field_of_the_contract(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let empty = site.stats("sale").await;
    for name in ["wait_p50_sec", "wait_p95_sec"] {
        assert_eq!(empty[name], Value::Null, "nobody waits: {empty}");
    }
    let mut tokens = Vec::new();
    for _ in 0..10 {
        tokens.push(site.token("sale").await);
    }
    site.call("sale", 4).await;
    site.enter(&tokens[0]).await.ok(200);
    site.enter(&tokens[1]).await.ok(200);
    site.leave(&tokens[9]).await.ok(200);
    let stats = site.stats("sale").await;
    for (name, want) in [
        ("issued", 10),
        ("serving", 4),
        ("waiting", 5),
        ("silent", 0),
        ("ready", 2),
        ("active", 2),
        ("called_total", 4),
        ("entered_total", 2),
        ("missed_total", 0),
        ("left_total", 1),
    ] {
        assert_eq!(stats[name], want, "{name} in {stats}");
    }
    assert!(stats["wait_p50_sec"].is_u64() && stats["wait_p95_sec"].is_u64() && stats["generation"].is_u64());
    assert!(stats["calls_per_minute"].as_f64().unwrap() > 0.0 && stats["as_of"].is_string(), "{stats}");
    assert!(stats["eta_error_ratio"].is_null() || stats["eta_error_ratio"].is_number(), "{stats}");
    assert!(stats.as_object().unwrap().contains_key("eta_error_ratio"));
}

async fn a_sweep_drops_who_has_been_silent_and_nobody_else(store: Store) {
    let site = store.start(&[]).await;
    // Epochs of a second: a sweep drops whoever was silent for three whole ones, before the fourth is over.
    site.put("sale", json!({"mode": "hold", "heartbeat_sec": 4})).await;
    let (_, here) = (site.token("sale").await, site.token("sale").await);
    let swept = site.send(site.admin("POST", "/rooms/sale/sweep")).await.ok(200);
    assert_eq!(swept, json!({"dropped": 0}), "nobody is silent who has just come");
    eventually("a sweep finds the silent one", async || {
        site.status(&here).await.ok(200);
        site.send(site.admin("POST", "/rooms/sale/sweep")).await.ok(200);
        (site.stats("sale").await["silent"] == 1).then_some(())
    })
    .await;
    assert_eq!(site.stats("sale").await["waiting"], 1);
    assert_eq!(site.status(&here).await.ok(200)["position"], 1);
}

async fn a_report_of_the_site_moves_the_rate_within_its_bounds(store: Store) {
    let site = store.start(&[]).await;
    let feedback = json!({"p95_ms": 800, "error_rate": 0.02, "min_per_minute": 300, "max_per_minute": 700});
    site.put("sale", json!({"feedback": feedback})).await;
    let report = async |p95_ms: f64, error_rate: f64| {
        let body = json!({"p95_ms": p95_ms, "error_rate": error_rate});
        let request = site.admin("POST", "/rooms/sale/feedback").json(&body);
        site.send(request).await.ok(200)["admit_per_minute"].as_u64().unwrap()
    };
    assert_eq!(report(900.0, 0.0).await, 420, "cut quickly");
    assert_eq!(report(100.0, 0.5).await, 300, "never below its least");
    let mut rate = 300;
    while rate < 700 {
        let raised = report(100.0, 0.0).await;
        assert!(raised > rate && raised <= rate + rate / 20 + 1, "raised slowly: {rate} to {raised}");
        rate = raised;
    }
    assert_eq!(report(100.0, 0.0).await, 700, "never above its most");
    site.put("off", json!({})).await;
    let request = site.admin("POST", "/rooms/off/feedback").json(&json!({"p95_ms": 1.0, "error_rate": 0.0}));
    site.send(request).await.refused("INVALID_REQUEST");
}

async fn requests_about_a_room_that_is_not_there_say_so(store: Store) {
    let site = store.start(&[]).await;
    let bodies = json!({"count": 1, "p95_ms": 1.0, "error_rate": 0.0});
    for (method, path) in REQUESTS.iter().filter(|(method, path)| *method != "PUT" && *path != "/rooms") {
        let reply = site.send(site.admin(method, path).json(&bodies)).await;
        assert_eq!((reply.status, reply.refused("EVENT_NOT_FOUND").is_object()), (404, true), "{method} {path}");
    }
}
