//! Thousands of random requests of people who want in: each part is sometimes what it should be and sometimes what it should not.

use crate::house::{Host, House, exchange};
use crate::support::client::claims_of;
use crate::support::{Client, Store};
use fastrand::Rng;
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpStream;

on_both_hosts!(no_random_request_gets_in_or_breaks_anything);

const REQUESTS: usize = 3_000;
/// What the gate may answer; 500 and 501 are workerd's own words for what is no request at all.
const ANSWERS: [u16; 15] = [200, 204, 302, 303, 400, 401, 403, 404, 405, 413, 414, 426, 431, 501, 500];

/// Texts that look like what belongs there.
struct Words {
    tokens: Vec<String>,
    good: Vec<String>,
}

async fn words(house: &House) -> Words {
    let waiting = house.api.token("sale").await;
    let other = Store::Embedded.start(&[("ANTEROOM_SECRET", "another-secret-of-thirty-two-bytes-or-so")]).await;
    other.put("sale", json!({})).await;
    let foreign = inside(&other, "sale").await;
    let gala = inside(&house.api, "gala").await;
    let mut changed = claims_of(&gala);
    changed["evt"] = json!("sale");
    use base64::Engine as _;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(changed.to_string());
    let parts: Vec<&str> = gala.split('.').collect();
    let moved = format!("{}.{payload}.{}", parts[0], parts[2]);
    let unsigned = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{payload}.");
    let tokens = vec![foreign, gala, moved, unsigned, "..".into(), "a.b.c".into(), String::new(), "x".repeat(8_192)];
    Words { tokens, good: vec![waiting] }
}

/// A session token of this room.
async fn inside(client: &Client, event: &str) -> String {
    let token = client.token(event).await;
    client.ready(&token).await;
    client.enter(&token).await.ok(200)["session_token"].as_str().unwrap().to_owned()
}

fn one<'a>(dice: &mut Rng, list: &[&'a str]) -> &'a str {
    list[dice.usize(..list.len())]
}

/// Bytes that nobody should send.
fn noise(dice: &mut Rng, most: usize) -> Vec<u8> {
    (0..dice.usize(..most)).map(|_| dice.u8(..)).filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect()
}

fn target(dice: &mut Rng, words: &Words) -> String {
    if dice.u8(..10) == 0 {
        let own =
            ["wait?to=//evil.example", "enter", "leave", "join", "check", "check/tickets", "wait", "", "../tickets"];
        return format!("/gate/{}", one(dice, &own));
    }
    let pieces = [
        "tickets",
        "1",
        "..",
        ".",
        "",
        "%2e%2e",
        "%252e",
        "%2f",
        "%5c",
        "\\",
        "assets",
        ";x=1",
        "%00",
        "%zz",
        "%",
        "TICKETS",
        "gate",
        "api",
        "v1",
        "%74ickets",
        "%c0%af",
        "a%20b",
        "~",
        "@",
        ":80",
        "%2574ickets",
    ];
    let mut path = one(dice, &["/tickets/", "/tickets", "/", "//", "/x/../tickets/"]).to_owned();
    for _ in 0..dice.usize(..5) {
        path += one(dice, &pieces);
        path += one(dice, &["/", "/", ""]);
    }
    let bad = one(
        dice,
        &["", "", "anteroom_token=", "a=b&anteroom_token=", "%61nteroom_token=", "&&=&", "to=/&event=sale&token="],
    );
    if !bad.is_empty() {
        let token = if bad.ends_with("token=") { dice.choice(&words.tokens).unwrap().as_str() } else { "" };
        path = format!("{path}?{bad}{token}");
    }
    path
}

fn header(dice: &mut Rng, words: &Words) -> Vec<u8> {
    let token = dice.choice(&words.tokens).unwrap().clone();
    let mut text: Vec<u8> = match dice.u8(..16) {
        0 | 1 => format!("cookie: __Host-anteroom-session-sale={token}"),
        2 => format!("cookie: a=b; __Host-anteroom-wait-sale={token}; __Host-anteroom-session-sale={token};;=;"),
        3 => format!("cookie: __Host-anteroom-wait-sale={}", words.good[0]),
        4 => format!("anteroom-token: {token}"),
        5 => format!("authorization: {} {token}", one(dice, &["Bearer", "bearer", "Basic", "", "Bearer Bearer"])),
        6 => format!(
            "accept: {}",
            one(dice, &["text/html", "application/json", "*/*;q=0", ";;q=,", "text/html;q=x,a/b;q=9"])
        ),
        7 => format!("sec-fetch-mode: {}", one(dice, &["navigate", "cors", "", "navigate, navigate"])),
        8 => format!(
            "x-forwarded-{}: {}",
            one(dice, &["host", "for", "uri", "proto"]),
            one(dice, &["a", "/assets/x", "https", ",,,"])
        ),
        9 => format!(
            "anteroom-{}: {}",
            one(dice, &["event", "ticket", "identity", "edge-token", "session"]),
            one(dice, &["sale", "1", "end"])
        ),
        10 => format!("upgrade: {}\r\nconnection: upgrade", one(dice, &["websocket", "h2c", "tcp", "websocket, h2c"])),
        11 => format!("content-length: {}", one(dice, &["0", "-1", "x", "99999999999999999999", "0"])),
        12 => format!("connection: {}", one(dice, &["close", "anteroom-token", "cookie", "host", ",,"])),
        13 => format!(
            "origin: {}\r\naccess-control-request-method: GET",
            one(dice, &["null", "https://evil.example", "x"])
        ),
        14 => format!(
            "{}: x",
            one(dice, &["x-original-uri", "range", "if-none-match", "traceparent", "expect", "te", "host"])
        ),
        _ => "cookie: n=".to_owned(),
    }
    .into_bytes();
    if dice.u8(..30) == 0 {
        text.extend(noise(dice, 40));
    }
    text.extend(b"\r\n");
    text
}

fn request(dice: &mut Rng, words: &Words) -> Vec<u8> {
    // Most of it well-formed: what is not, the server refuses before the gate sees it.
    let odd = dice.u8(..10) == 0;
    let methods = if odd {
        &["TRACE", "CONNECT", "BREW", "get", "G T", "HEAD"][..]
    } else {
        &["GET", "GET", "POST", "PUT", "PATCH"]
    };
    let mut bytes = format!("{} {} HTTP/1.1\r\n", one(dice, methods), target(dice, words)).into_bytes();
    let odd = dice.u8(..10) == 0;
    let hosts = if odd {
        &["", "a b", "a@b", "a/b", "a:99999999", "a,b"][..]
    } else {
        &["shop.example", "SHOP.example.", "[::1]:80"]
    };
    bytes.extend(format!("host: {}\r\n", one(dice, hosts)).into_bytes());
    for _ in 0..dice.usize(..5) {
        bytes.extend(header(dice, words));
    }
    bytes.extend(b"connection: close\r\n\r\n");
    if dice.u8(..4) == 0 {
        bytes.extend(noise(dice, 400));
    }
    bytes
}

async fn no_random_request_gets_in_or_breaks_anything(host: Host) {
    // Everything is guarded and nobody is called; `gala` lets in, elsewhere.
    let gala = json!({"min_wait": [], "burst": 100, "gate": {"hosts": ["gala.example"]}});
    let sale = json!({"mode": "hold", "min_wait": [], "gate": {"bypass_methods": []}});
    let house = House::with_rooms(host, &[("sale", sale), ("gala", gala)]).await;
    let words = words(&house).await;
    let seed =
        std::env::var("ANTEROOM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("ANTEROOM_SEED={seed}");
    let address = house.base.strip_prefix("http://").unwrap().to_owned();
    let mut dice = Rng::with_seed(seed);
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    for round in 0..REQUESTS / 30 {
        let sent: Vec<Vec<u8>> = (0..30).map(|_| request(&mut dice, &words)).collect();
        let tasks = sent.clone().into_iter().map(|bytes| {
            let address = address.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                // A request that says that more of it comes is waited for.
                tokio::time::timeout(Duration::from_millis(500), exchange(&mut stream, &bytes))
                    .await
                    .unwrap_or_default()
            })
        });
        let tasks: Vec<_> = tasks.collect();
        for (bytes, task) in sent.iter().zip(tasks) {
            let answer = task.await.unwrap();
            let what = String::from_utf8_lossy(bytes);
            assert!(
                !answer.contains("x-shop") && !answer.contains("\"asked\""),
                "seed {seed}, round {round}: {what}\n{answer}"
            );
            if let Some(status) = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok()) {
                assert!(ANSWERS.contains(&status), "seed {seed}, round {round}: {what}\n{answer}");
                let by_workerd = !answer.contains("traceparent");
                assert!(
                    status < 500 || host == Host::Edge && by_workerd,
                    "seed {seed}, round {round}: {what}\n{answer}"
                );
                let hands_out = answer.to_lowercase().contains("__host-anteroom-session-sale=ey");
                assert!(!hands_out, "seed {seed}, round {round}: {what}\n{answer}");
                *seen.entry(status).or_default() += 1;
            } else {
                *seen.entry(0).or_default() += 1;
            }
        }
    }
    println!("{host:?}: {seen:?}");
    let read: usize = [200, 303, 403, 404, 405].iter().filter_map(|status| seen.get(status)).sum();
    assert!(read > REQUESTS / 4, "{read} were read: {seen:?}");
    assert_eq!(house.shop.requests(), 0);
    house.is_well().await;
    house.visitor().page("/tickets").await.is_page("line");
}
