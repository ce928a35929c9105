//! What is sent by mistake or by malice: every field of every request, refused with the right code and the field's name, and nothing
//! has changed.

use crate::support::client::Reply;
use crate::support::{Site, Store, token_of};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

on_both_stores!(
    every_field_of_every_request_is_checked_and_named,
    a_body_that_is_no_json_object_is_refused_everywhere,
    a_body_beyond_the_limit_is_refused_before_it_is_read,
    every_setting_out_of_range_is_refused_by_name_and_nothing_changes,
    a_capacity_below_what_is_inside_is_refused,
    an_event_id_in_a_path_or_query_is_checked,
    garbage_in_headers_and_queries_changes_nothing,
    random_bytes_are_never_our_fault,
);

/// A room with somebody waiting and somebody inside.
async fn site(store: Store) -> (Site, String) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "capacity": 10, "feedback": {}})).await;
    let (inside, waiting) = (site.token("sale").await, site.token("sale").await);
    site.call("sale", 1).await;
    site.enter(&inside).await.ok(200);
    (site, waiting)
}

/// What must be the same before and after: the room's numbers and settings, and the rooms there are.
async fn state(site: &Site) -> Value {
    let mut stats = site.stats("sale").await;
    for name in ["as_of", "wait_p50_sec", "wait_p95_sec", "calls_per_minute", "eta_error_ratio"] {
        stats.as_object_mut().unwrap().remove(name);
    }
    json!([stats, site.send(site.admin("GET", "/rooms")).await.ok(200)])
}

/// Every request that has a body, and a good one.
fn requests(token: &str) -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("POST", "/api/v1/queue/join", json!({"event_id": "sale", "user_id": "ann"})),
        ("POST", "/api/v1/queue/enter", json!({"waiting_token": token})),
        ("POST", "/api/v1/queue/leave", json!({"waiting_token": token})),
        ("POST", "/api/v1/passes/verify", json!({"pass": token})),
        ("POST", "/api/v1/sessions/end", json!({"pass": token})),
        ("POST", "/api/v1/admin/rooms/sale/call", json!({"count": 1})),
        ("POST", "/api/v1/admin/rooms/sale/feedback", json!({"p95_ms": 1.0, "error_rate": 0.0})),
        ("PUT", "/api/v1/admin/rooms/sale", json!({"mode": "hold"})),
    ]
}

/// The request, with the operator's token where that is what it takes.
fn request(site: &Site, method: &str, path: &str) -> RequestBuilder {
    let request = site.request(method, path);
    if path.contains("/admin/") { request.bearer_auth(crate::support::ADMIN) } else { request }
}

fn names(reply: &Reply, field: &str) {
    let message = reply.body["error"]["message"].as_str().unwrap();
    assert!(message.contains(field), "{field} is not named: {message}");
}

async fn every_field_of_every_request_is_checked_and_named(store: Store) {
    let (site, token) = site(store).await;
    let before = state(&site).await;
    let long = "a".repeat(129);
    for (method, path, good) in requests(&token) {
        for (field, value) in good.as_object().unwrap() {
            let send = async |bad: Value| {
                let mut body = good.clone();
                body[field] = bad;
                site.send(request(&site, method, path).json(&body)).await
            };
            let other_type = if value.is_string() { json!(7) } else { json!("7") };
            for bad in [other_type, json!([value]), json!({"x": value}), json!(true), json!([]), json!({})] {
                let reply = send(bad).await;
                reply.refused("INVALID_REQUEST");
                names(&reply, field);
            }
            let (absent, null) = {
                let mut body = good.clone();
                body.as_object_mut().unwrap().remove(field);
                (site.send(request(&site, method, path).json(&body)).await, send(Value::Null).await)
            };
            match (path.rsplit('/').next().unwrap(), field.as_str()) {
                ("join", "event_id") => {
                    absent.refused("MISSING_EVENT_ID");
                    null.refused("MISSING_EVENT_ID");
                    send(json!("")).await.refused("MISSING_EVENT_ID");
                }
                // Absent and null are the same for what may be absent; the two joins are taken back below.
                ("join", _) => drop((token_of(&absent.ok(202)), token_of(&null.ok(202)))),
                ("call" | "feedback", _) => {
                    for reply in [absent, null, send(json!(-1)).await] {
                        reply.refused("INVALID_REQUEST");
                        names(&reply, field);
                    }
                    for bad in [json!(1e300), json!(u64::MAX)] {
                        names(&send(bad).await, field);
                    }
                }
                ("sale", _) => drop((absent.ok(200), null.refused("INVALID_REQUEST"))),
                _ => {
                    for reply in [absent, null, send(json!("")).await] {
                        reply.refused("MISSING_TOKEN");
                    }
                }
            }
            if matches!(field.as_str(), "event_id" | "user_id") {
                for bad in [&long, "a b", "a/b", "{sale}", "sale\n", "sälé", "a\0b", "٣", "💥"] {
                    let reply = send(json!(bad)).await;
                    reply.refused("INVALID_REQUEST");
                    names(&reply, field);
                }
            }
        }
    }
    let mut after = state(&site).await;
    assert_eq!(after[0]["issued"], before[0]["issued"].as_u64().unwrap() + 2);
    for name in ["issued", "waiting"] {
        after[0][name] = before[0][name].clone();
    }
    assert_eq!(after, before);
}

async fn a_body_that_is_no_json_object_is_refused_everywhere(store: Store) {
    let (site, token) = site(store).await;
    let before = state(&site).await;
    let bodies: [&[u8]; 12] = [
        b"",
        b" ",
        b"null",
        b"[]",
        b"[\"sale\"]",
        b"\"sale\"",
        b"7",
        b"{",
        b"{\"event_id\":\"sale\"",
        b"{\"event_id\":\"sale\"}x",
        b"{\"event_id\":\"\xff\xfe\",\"waiting_token\":\"\xff\",\"pass\":\"\xff\",\"count\":\"\xff\",\"mode\":\"\xff\"}",
        b"\xef\xbb\xbf{}",
    ];
    for (method, path, good) in requests(&token) {
        for body in bodies {
            let reply = site.send(request(&site, method, path).body(body.to_vec())).await;
            // A leave without a body has no token; the others have no body.
            if path.ends_with("leave") && body.is_empty() {
                reply.refused("MISSING_TOKEN");
            } else {
                reply.refused("INVALID_REQUEST");
            }
        }
        let (name, value) = good.as_object().unwrap().iter().next().unwrap();
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{{\"{name}\":{}1{}}}", open.repeat(10_000), close.repeat(10_000));
            site.send(request(&site, method, path).body(deep)).await.refused("INVALID_REQUEST");
        }
        let twice = format!("{{\"{name}\":{value},\"{name}\":{value}}}");
        let reply = site.send(request(&site, method, path).body(twice)).await;
        if method != "PUT" {
            reply.refused("INVALID_REQUEST");
            names(&reply, name);
        }
        for content_type in
            ["text/html", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""]
        {
            let request = request(&site, method, path).header("content-type", content_type);
            let reply = site.send(request.body(good.to_string())).await;
            reply.refused("INVALID_REQUEST");
            names(&reply, "Content-Type");
        }
    }
    assert_eq!(state(&site).await, before);
}

async fn a_body_beyond_the_limit_is_refused_before_it_is_read(store: Store) {
    let (site, token) = site(store).await;
    let before = state(&site).await;
    for (method, path, good) in requests(&token) {
        for size in [64 * 1024 + 1, 1 << 20] {
            let mut body = good.clone();
            body["padding"] = json!("x".repeat(size));
            let reply = site.send(request(&site, method, path).json(&body)).await;
            assert_eq!((reply.status, reply.refused("PAYLOAD_TOO_LARGE").is_object()), (413, true), "{path}");
        }
    }
    assert_eq!(state(&site).await, before);
}

async fn every_setting_out_of_range_is_refused_by_name_and_nothing_changes(store: Store) {
    let (site, _) = site(store).await;
    let before = state(&site).await;
    let wave = |size: Value, every: Value| json!({"waves": {"size": size, "every_sec": every}});
    for (field, bad) in [
        ("mode", vec![json!("open"), json!(""), json!(null), json!(1), json!("LINE")]),
        ("admit_per_minute", vec![json!(0), json!(-1), json!(1.5), json!("600"), json!(null), json!(6_000_001)]),
        ("burst", vec![json!(0), json!(-1), json!(1_000_001), json!([])]),
        ("release", vec![json!("fast"), json!(null), json!({}), wave(json!(0), json!(1)), wave(json!(1), json!(0))]),
        (
            "release",
            vec![wave(json!(11), json!(30)), wave(json!("1"), json!(1)), json!({"waves": 1}), json!({"wave": {}})],
        ),
        ("capacity", vec![json!(0), json!(-5), json!("10"), json!(10_000_001), json!({})]),
        ("session_sec", vec![json!(0), json!(604_801), json!(null)]),
        ("session_renew", vec![json!(1), json!("true"), json!(null)]),
        ("claim_sec", vec![json!(0), json!(-1), json!(86_401)]),
        ("pass_ttl_sec", vec![json!(0), json!(3_601)]),
        ("heartbeat_sec", vec![json!(0), json!(1), json!(86_401), json!(1e99)]),
        ("min_wait", vec![json!(null), json!(5), json!([1]), json!([{"up_to": 5}]), json!([{"sec": -1}])]),
        ("min_wait", vec![json!([{"sec": 1}, {"sec": 2}]), json!([{"up_to": 9, "sec": 0}, {"up_to": 9, "sec": 1}])]),
        ("max_wait_min", vec![json!(0), json!(10_081)]),
        ("schedule", vec![json!(null), json!([]), json!("now"), json!({"open": null}), json!({"opens": 7})]),
        ("schedule", vec![json!({"opens": "tomorrow"}), json!({"opens": "2026-11-21T10:00:00"})]),
        ("schedule", vec![json!({"opens": "2026-11-21T10:00:00Z", "closes": "2026-11-21T09:00:00Z"})]),
        ("order", vec![json!("lifo"), json!(null)]),
        ("places_per_user", vec![json!(0), json!(101)]),
        ("trust_user_id", vec![json!("yes"), json!(null)]),
        ("feedback", vec![json!("on"), json!({"p95_ms": 0}), json!({"error_rate": 2}), json!({"most": 1})]),
        ("feedback", vec![json!({"min_per_minute": 700, "max_per_minute": 600}), json!([])]),
        ("on_origin_down", vec![json!("close"), json!(null)]),
        (
            "gate",
            vec![json!(null), json!({"hosts": "a"}), json!({"paths": [1]}), json!({"paths": [""]}), json!({"x": 1})],
        ),
        (
            "page",
            vec![json!({"title": 7}), json!({"title": "x".repeat(201)}), json!({"theme": []}), json!({"languages": 1})],
        ),
        ("no_such_setting", vec![json!(1), json!(null)]),
    ] {
        for bad in bad {
            // What is right beside it does not slip in.
            let body = json!({"session_sec": 61, field: bad});
            for event in ["sale", "new"] {
                let reply = site.send(site.admin("PUT", &format!("/rooms/{event}")).json(&body)).await;
                if event == "new" && reply.status == 200 {
                    // A wave of 11 is only too large for a room of 10.
                    assert_eq!(body["release"]["waves"]["size"], 11, "{body}");
                    site.send(site.admin("DELETE", "/rooms/new")).await.ok(200);
                    continue;
                }
                assert_eq!(reply.body["error"]["code"], "INVALID_REQUEST", "{body}: {}", reply.text);
                names(&reply, field);
            }
        }
    }
    let reply = site.send(site.admin("PUT", "/rooms/sale").json(&json!({"burst": 0, "claim_sec": 0, "x": 1}))).await;
    ["burst", "claim_sec", "x"].iter().for_each(|field| names(&reply, field));
    assert_eq!(state(&site).await, before);
}

async fn a_capacity_below_what_is_inside_is_refused(store: Store) {
    let (site, _) = site(store).await;
    site.join("sale").await;
    site.call("sale", 2).await;
    let before = state(&site).await;
    for capacity in [1, 2] {
        let reply = site.send(site.admin("PUT", "/rooms/sale").json(&json!({"capacity": capacity}))).await;
        reply.refused("INVALID_REQUEST");
        names(&reply, "capacity");
        names(&reply, "3");
    }
    assert_eq!(state(&site).await, before);
    assert_eq!(site.put("sale", json!({"capacity": 3})).await["capacity"], 3);
}

async fn an_event_id_in_a_path_or_query_is_checked(store: Store) {
    let (site, _) = site(store).await;
    let before = state(&site).await;
    let long = "a".repeat(129);
    for bad in [&long, "a%20b", "%7Bsale%7D", "a%00b", "a%2Fb", "%FF", "a%0d%0ab", "s%C3%A4le", "*", "sale%3Fx"] {
        for (method, path) in [("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/stats"), ("POST", "/reset")] {
            let request = site.admin(method, &format!("/rooms/{bad}{path}")).json(&json!({}));
            let reply = site.send(request).await;
            reply.refused("INVALID_REQUEST");
            names(&reply, "event_id");
        }
        let reply = site.get(&format!("/api/v1/queue/board?event_id={bad}")).await;
        reply.refused("INVALID_REQUEST");
        names(&reply, "event_id");
    }
    site.put(&"a".repeat(128), json!({})).await;
    site.send(site.admin("DELETE", &format!("/rooms/{}", "a".repeat(128)))).await.ok(200);
    assert_eq!(state(&site).await, before);
}

async fn garbage_in_headers_and_queries_changes_nothing(store: Store) {
    let (site, token) = site(store).await;
    let before = state(&site).await;
    let garbage: [&[u8]; 6] = [b"", b"\xff\xfe", b"Bearer", b"Bearer  ", b",;=\"", &[b'x'; 8_000]];
    for name in ["authorization", "cookie", "traceparent", "x-request-id", "x-forwarded-for", "if-none-match", "accept"]
    {
        for value in garbage {
            let path = format!("/api/v1/queue/status?token={token}");
            site.send(site.request("GET", &path).header(name, value)).await.ok(200);
            site.send(site.request("GET", "/api/v1/queue/board?event_id=sale").header(name, value)).await.ok(200);
            let bare = site.send(site.request("GET", "/api/v1/queue/status").header(name, value)).await;
            bare.refused("TOKEN_NOT_FOUND");
        }
    }
    for query in ["?token=%", "?token=%FF%FE", "?token", "?&&&", "?token=&token=x", "?%00=%00", "?token=a%00b"] {
        site.get(&format!("/api/v1/queue/status{query}")).await.refused("TOKEN_NOT_FOUND");
    }
    site.get(&format!("/api/v1/queue/status?token={}", "x".repeat(60_000))).await.refused("TOKEN_NOT_FOUND");
    assert_eq!(state(&site).await, before);
}

async fn random_bytes_are_never_our_fault(store: Store) {
    let (site, token) = site(store).await;
    let before = state(&site).await;
    let mut targets: Vec<(String, String)> =
        requests(&token).into_iter().map(|(method, path, _)| (method.to_owned(), path.to_owned())).collect();
    targets.push(("POST".into(), "/api/v1/admin/rooms/other/sweep".into()));
    targets.push(("DELETE".into(), "/api/v1/queue/leave".into()));
    targets.push(("GET".into(), "/api/v1/queue/status".into()));
    targets.push(("GET".into(), "/api/v1/queue/board".into()));
    // Text that is nearly right reaches further in than noise does.
    let piece = prop_oneof![
        prop::sample::select(vec!["{", "}", "[", "]", ":", ",", "\"", "null", "\"event_id\"", "\"sale\"", "\"pass\""]),
        prop::sample::select(vec![
            "\"waiting_token\"",
            "\"count\"",
            "-1",
            "1e999",
            "\"\\ud800\"",
            "\"mode\"",
            " ",
            "\u{0}"
        ]),
    ];
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes()),
    ];
    let header = prop::collection::vec(prop_oneof![32u8..=126, 128u8..=255], 0..80);
    let query = "[a-z_]{0,8}(=[ -~&&[^#]]{0,30})?";
    let strategy = (prop::sample::select(targets), body, header, query);
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let runtime = tokio::runtime::Handle::current();
    let run = || {
        let result = runner.run(&strategy, |((method, path), body, header, query)| {
            let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
            let mut request = request(&site, &method, &format!("{path}?{query}")).body(body);
            if !path.contains("/admin/") {
                request = request.header("authorization", header.clone());
            }
            let request = request.header("cookie", header.clone()).header("x-request-id", header);
            // The client holds every answer to the rules, and to not being a 500.
            let reply = runtime.block_on(site.send(request));
            prop_assert!(reply.status < 500, "{}", reply.text);
            Ok(())
        });
        result.unwrap();
    };
    tokio::task::block_in_place(run);
    assert_eq!(state(&site).await, before);
}
