//! Requests of people who want in without waiting: a clear answer, never a pass, never a panic.

use crate::house::{BROWSER, Host, House, held};
use crate::support::client::claims_of;
use crate::support::{Client, Store};
use serde_json::json;

on_both_hosts!(
    nobody_gets_in_with_tokens_that_are_not_theirs,
    no_spelling_of_a_request_gets_past_the_gate,
    headers_full_of_nonsense_are_read_or_refused,
    what_is_ours_is_never_asked_of_the_site,
);

/// A good session token of another deployment's room of the same name.
async fn of_another_deployment() -> (String, String) {
    let other = Store::Embedded.start(&[("ANTEROOM_SECRET", "another-secret-of-thirty-two-bytes-or-so")]).await;
    other.put("sale", json!({})).await;
    tokens(&other, "sale").await
}

/// A waiting token and a session token.
async fn tokens(client: &Client, event: &str) -> (String, String) {
    let token = client.token(event).await;
    client.ready(&token).await;
    let body = client.enter(&token).await.ok(200);
    (token, body["session_token"].as_str().unwrap().to_owned())
}

async fn nobody_gets_in_with_tokens_that_are_not_theirs(host: Host) {
    let gala = json!({"gate": {"paths": ["/gala/*"]}});
    let house = House::with_rooms(host, &[("sale", json!({})), ("gala", gala)]).await;
    let (waiting, good) = tokens(&house.api, "sale").await;
    let (_, gala) = tokens(&house.api, "gala").await;
    let (_, other) = of_another_deployment().await;
    let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    parts[1] = {
        use base64::Engine as _;
        let mut claims = claims_of(&good);
        claims["exp"] = json!(9_999_999_999_u64);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string())
    };
    let longer = parts.join(".");
    let none = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{}.", parts[1]);
    house.put("sale", held()).await;
    let mut thief = house.visitor();
    thief.cookies.insert("__Host-anteroom-session-sale".into(), good.clone());
    thief.page("/").await.of_the_shop();
    for (what, token) in [
        ("another room's", gala.as_str()),
        ("another deployment's", &other),
        ("changed", &longer),
        ("unsigned", &none),
        ("a place, as a session", &waiting),
        ("cut", &good[..good.len() - 1]),
        ("added to", &format!("{good}x")),
        ("quoted twice", &format!("\"\"{good}\"\"")),
        ("long", &"a.".repeat(4_000)),
        ("none", "undefined"),
    ] {
        let mut visitor = house.visitor();
        visitor.cookies.insert("__Host-anteroom-session-sale".into(), token.into());
        visitor.asset("/x").await.refused("NOT_READY");
        // What was taken before is no turn either: it says whose session it is, and it was entered once.
        if token != waiting {
            for name in ["anteroom-token", "authorization"] {
                let value = if name == "authorization" { format!("Bearer {token}") } else { token.to_owned() };
                let got = house.visitor().ask("GET", "/x", &[("accept", "image/*"), (name, &value)], None).await;
                got.refused("NOT_READY");
            }
            let path = format!("/x?anteroom_token={token}");
            if !token.contains('"') {
                house.visitor().asset(&path).await.refused("NOT_READY");
            }
        }
        let _ = what;
    }
    house.reset("sale").await;
    let mut old = house.visitor();
    old.cookies.insert("__Host-anteroom-session-sale".into(), good);
    old.asset("/x").await.refused("NOT_READY");
}

/// That the answer is a refusal. workerd itself says 500 or 501 to what it cannot make a URL or a request of, before any worker sees it.
fn is_kept_out(host: Host, what: &str, answer: &str) {
    let refused = answer.starts_with("HTTP/1.1 4");
    let by_workerd = ["HTTP/1.1 500 ", "HTTP/1.1 501 "].iter().any(|line| answer.starts_with(line))
        && (answer.ends_with("Internal Server Error") || answer.ends_with("Unrecognized request method."));
    assert!(refused || host == Host::Edge && by_workerd, "{what}: {answer}");
    assert!(!answer.contains("x-shop"), "{what}: {answer}");
}

async fn no_spelling_of_a_request_gets_past_the_gate(host: Host) {
    let house = House::open(
        host,
        json!({"mode": "hold", "gate": {"paths": ["/tickets/*"], "bypass_paths": ["/tickets/assets/*"]}}),
    )
    .await;
    let get = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    let named = "host: shop.example\r\n";
    for target in [
        "/tickets/1",
        "/tickets",
        "//tickets/1",
        "/./tickets/1",
        "/x/../tickets/1",
        "/x/%2e%2e/tickets/1",
        "/%74ickets/1",
        "/%2574ickets/1",
        "/tickets%2f1",
        "/tickets%5c1",
        "/TICKETS/1",
        "/tickets;x=1/1",
        "/tickets/assets/../1",
        "/tickets/assets/%2e%2e/1",
        "/tickets/assets/..%2f1",
        "/tickets/assets/%252e%252e/1",
        "/tickets/assets//../../tickets/1",
        "/tickets/1%00",
        "/tickets/1%zz",
        "http://else.example/tickets/1",
        "http://shop.example/tickets/1",
        "/gate/../tickets/1",
        "/api/v1/queue/../../../tickets/1",
        "/gate/check/../../tickets/1",
    ] {
        is_kept_out(host, target, &house.raw(get(target, named).as_bytes()).await);
    }
    for headers in [
        "",
        "host: \r\n",
        "host: a\r\nhost: b\r\n",
        "host: a, b\r\n",
        "host: a@b\r\n",
        "host: a/b\r\n",
        "host: a b\r\n",
        "host: a:99999999\r\n",
        "host: shop.example\r\nhost: shop.example\r\n",
    ] {
        let answer = house.raw(get("/about", headers).as_bytes()).await;
        is_kept_out(host, headers, &answer);
    }
    for line in
        ["CONNECT shop.example:443 HTTP/1.1", "TRACE /tickets/1 HTTP/1.1", "get /tickets/1 HTTP/1.1", "G@T / HTTP/1.1"]
    {
        is_kept_out(host, line, &house.raw(format!("{line}\r\n{named}connection: close\r\n\r\n").as_bytes()).await);
    }
    assert_eq!(house.shop.requests(), 0);
    house.is_well().await;
    let answer = house.raw(get("/tickets/assets/app.css", named).as_bytes()).await;
    assert!(answer.contains("x-shop"), "{answer}");
}

async fn headers_full_of_nonsense_are_read_or_refused(host: Host) {
    let house = House::open(host, held()).await;
    let jar =
        (0..60).map(|n| format!("__Host-anteroom-session-sale=x.y.z{n}; junk{n}=1")).collect::<Vec<_>>().join("; ");
    let long = "x".repeat(8_192);
    for (name, value) in [
        ("cookie", jar.as_str()),
        ("cookie", ";;;==;=;__Host-anteroom-wait-sale;__Host-anteroom-wait-sale="),
        ("cookie", &long),
        ("accept", "<>;;,q=,;q=9,text/html;q=x"),
        ("accept", &long),
        ("accept-language", ";;q=,*;q=0,\u{e4}\u{f6}"),
        ("anteroom-token", &long),
        ("authorization", "Bearer a.b.c"),
        ("authorization", "Bearer"),
        ("sec-fetch-dest", &long),
        ("x-forwarded-for", &long),
        ("range", "bytes=9-1,,-"),
        ("if-none-match", &long),
        ("traceparent", "00-zz"),
    ] {
        let got = house.visitor().ask("GET", "/x", &[(name, value)], None).await;
        assert!(matches!(got.waits().status, 200 | 403 | 431), "{name}: {got:?}");
        let got = house.visitor().ask("GET", "/x", &[&BROWSER[1..], &[(name, value)]].concat(), None).await;
        assert_eq!(got.is_page("line").status, 200, "{name}: {got:?}");
    }
    // The site's own business, and no reason to give nobody a place.
    for value in ["Bearer \u{220}.\u{fffd}.c", "Bearer a.b.c", "\u{220}", &format!("Bearer {long}")] {
        let headers = [("accept", "application/json"), ("authorization", value)];
        house.visitor().ask("GET", "/x", &headers, None).await.refused("NOT_READY");
    }
    // Bytes that are no text beside a good place do not cost it.
    let mut visitor = house.visitor();
    visitor.page("/").await;
    let token = visitor.token("wait").unwrap();
    let mut raw =
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\naccept: application/json\r\ncookie: n=\xff\xfe; ".to_vec();
    raw.extend(format!("__Host-anteroom-wait-sale={token}\r\n\r\n").as_bytes());
    let answer = house.raw(&raw).await;
    assert!(answer.contains("\"position\":"), "{answer}");
    assert!(!answer.to_lowercase().contains("set-cookie"), "the same place: {answer}");
}

async fn what_is_ours_is_never_asked_of_the_site(host: Host) {
    let house = House::open(host, json!({"mode": "passthrough"})).await;
    let mut visitor = house.visitor();
    for path in ["/api/v1/queue/nothing", "/api/v1/admin/rooms/x/y", "/api/v1/edge/x", "/api/v1/reservations/1/x"] {
        let got = visitor.data(path).await;
        assert!(matches!(got.waits().status, 401 | 404), "{path}: {got:?}");
    }
    visitor.data("/api/v1/orders").await.of_the_shop();
    visitor.data("/gate").await.of_the_shop();
    visitor.data("/.well-known/jwks.json").await.waits();
    // Those of an origin are those of its host, and no business of an edge.
    if host == Host::Native {
        visitor.data("/healthz").await.waits();
    }
}
