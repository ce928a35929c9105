//! What probes, Prometheus and every client see of any route: health, metrics, traces, refusals where there is no route.

use crate::support::{Store, eventually};
use serde_json::json;

on_both_stores!(
    health_and_readiness_say_what_they_depend_on,
    metrics_have_the_names_of_the_contract,
    every_answer_carries_the_callers_trace_and_request_id,
    a_path_or_method_that_does_not_exist_is_refused_in_the_one_shape,
    clients_beyond_the_rate_are_told_when_to_come_back,
);

async fn health_and_readiness_say_what_they_depend_on(store: Store) {
    let site = store.start(&[]).await;
    let health = site.get("/healthz").await.ok(200);
    assert_eq!((&health["status"], &health["service"]), (&json!("healthy"), &json!("anteroom")));
    assert!(health["version"].is_string() && health["timestamp"].as_str().unwrap().ends_with('Z'));
    let ready = site.get("/readyz").await.ok(200);
    assert_eq!(ready, json!({"status": "ready", "dependencies": {"store": "up"}}));
    site.origin.draining.begin();
    let draining = site.get("/readyz").await;
    assert_eq!((draining.status, &draining.body["status"]), (503, &json!("draining")));
    site.get("/healthz").await.ok(200);
}

async fn metrics_have_the_names_of_the_contract(store: Store) {
    let site = store.start(&[("ANTEROOM_RATE_PER_SEC", "1"), ("ANTEROOM_RATE_BURST", "4")]).await;
    site.put("sale", json!({"burst": 1, "admit_per_minute": 1})).await;
    let key = "1b4e28ba-2fa1-4d2e-883f-0016d3cca427";
    for _ in 0..2 {
        site.send(site.join_request("sale").header("idempotency-key", key)).await.ok(202);
    }
    site.send(site.join_request("sale")).await.ok(202);
    site.send(site.join_request("nobody-configured-this")).await.refused("EVENT_NOT_FOUND");
    site.send(site.join_request("sale")).await.refused("RATE_LIMITED");
    let text = eventually("the joins show", async || {
        let reply = site.get("/metrics").await;
        assert_eq!(reply.status, 200);
        reply.text.contains("queue_waiting{event=\"sale\"} 1").then_some(reply.text)
    })
    .await;
    for name in [
        "http_server_requests_total{method=\"POST\",route=\"/api/v1/queue/join\",status=\"202\"} 3",
        "http_server_requests_duration_seconds_count{",
        "queue_operations_total{operation=\"join\",outcome=",
        "queue_active{event=\"sale\"} 0",
        "queue_ready{event=\"sale\"} 1",
        "queue_called_total{event=\"sale\"} 1",
        "queue_missed_total{event=\"sale\"} 0",
        "queue_silent{event=\"sale\"} 0",
        "queue_eta_error_ratio{event=\"sale\"}",
        "queue_wait_seconds_count{event=\"sale\"} 1",
        "board_age_seconds{event=\"sale\"}",
        "ratelimit_dropped_total{reason=\"address\"} 1",
        "idempotency_hits_total{type=\"join\"} 1",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in\n{text}");
    }
    if store == Store::Redis {
        assert!(text.contains("store_call_duration_seconds_count{script=\"join_line\"}"), "{text}");
    }
    assert!(!text.contains("nobody-configured-this"), "event ids are labels only for configured rooms");
}

async fn every_answer_carries_the_callers_trace_and_request_id(store: Store) {
    let site = store.start(&[]).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = format!("00-{trace}-00f067aa0ba902b7-01");
    for path in ["/healthz", "/api/v1/queue/status", "/api/v1/admin/rooms", "/nowhere"] {
        let request = site.request("GET", path).header("traceparent", &given).header("x-request-id", "abc-123");
        let reply = site.send(request).await;
        assert_eq!(&reply.header("traceparent").unwrap()[3..35], trace, "{path}");
        assert_eq!(reply.header("x-request-id"), Some("abc-123"), "{path}");
        if reply.status >= 400 {
            assert_eq!(reply.body["error"]["trace_id"], trace, "{path}");
        }
    }
    for bad in ["00-00000000000000000000000000000000-00f067aa0ba902b7-01", "garbage", &"0".repeat(5000)] {
        let reply = site.send(site.request("GET", "/healthz").header("traceparent", bad)).await.headers;
        assert_ne!(reply["traceparent"].to_str().unwrap()[3..35], *"00000000000000000000000000000000");
    }
    let long = site.send(site.request("GET", "/healthz").header("x-request-id", "a".repeat(129))).await;
    assert_eq!(long.header("x-request-id"), None, "too long to be echoed");
}

async fn a_path_or_method_that_does_not_exist_is_refused_in_the_one_shape(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    for path in ["/", "/api", "/api/v1/queue", "/api/v1/queue/join/", "/api/v2/queue/join", "/%2e%2e/etc/passwd"] {
        site.get(path).await.refused("NOT_FOUND");
        site.post(path, json!({})).await.refused("NOT_FOUND");
    }
    for (path, allowed) in [
        ("/api/v1/queue/join", "POST"),
        ("/api/v1/queue/status", "GET,HEAD"),
        ("/api/v1/queue/enter", "POST"),
        ("/api/v1/queue/leave", "DELETE,POST"),
        ("/api/v1/queue/board", "GET,HEAD"),
        ("/api/v1/passes/verify", "POST"),
        ("/api/v1/sessions/end", "POST"),
        ("/.well-known/jwks.json", "GET,HEAD"),
        ("/api/v1/admin/rooms", "GET,HEAD"),
        ("/api/v1/admin/rooms/sale", "DELETE,GET,HEAD,PUT"),
        ("/api/v1/admin/rooms/sale/stats", "GET,HEAD"),
        ("/api/v1/admin/rooms/sale/call", "POST"),
        ("/healthz", "GET,HEAD"),
        ("/readyz", "GET,HEAD"),
        ("/metrics", "GET,HEAD"),
    ] {
        for method in ["PATCH", "OPTIONS", "BREW"] {
            let reply = site.send(site.request(method, path).bearer_auth(crate::support::ADMIN)).await;
            reply.refused("METHOD_NOT_ALLOWED");
            let mut methods: Vec<&str> = reply.header("allow").unwrap_or("").split(',').collect();
            methods.sort_unstable();
            assert_eq!(methods.join(","), allowed, "{method} {path}");
        }
    }
}

async fn clients_beyond_the_rate_are_told_when_to_come_back(store: Store) {
    let site = store.start(&[("ANTEROOM_RATE_PER_SEC", "1"), ("ANTEROOM_RATE_BURST", "5")]).await;
    site.put("sale", json!({"mode": "hold"})).await;
    let mut limited = 0;
    for lie in 0..12 {
        // The first hop is what the client says of itself: another one each time must not help.
        let request = site.join_request("sale").header("x-forwarded-for", format!("198.51.100.{lie}"));
        let reply = site.send(request).await;
        match reply.status {
            202 => {}
            _ => {
                reply.refused("RATE_LIMITED");
                limited += 1;
            }
        }
    }
    assert!((5..=7).contains(&limited), "{limited} of 12 were refused, the burst is 5");
    let stats = site.stats("sale").await;
    assert_eq!(
        stats["issued"],
        12 - limited,
        "probes and operators are not limited, the refused have no place: {stats}"
    );
    site.get("/healthz").await.ok(200);
}
