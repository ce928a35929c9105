//! What goes to the site and comes back.

use crate::house::{Host, House, quick};
use crate::support::Store;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

on_both_hosts!(
    the_site_gets_the_request_as_it_came,
    the_visitor_gets_the_answer_as_it_came,
    a_client_that_waits_for_leave_to_send_gets_it,
    no_other_protocol_is_a_way_past_the_gate,
    a_connection_that_closes_as_it_is_used_again_costs_no_visitor_an_answer,
    a_site_that_fails_is_named_and_not_the_visitor,
    a_site_that_does_not_answer_in_time_is_given_up,
);

async fn the_site_gets_the_request_as_it_came(host: Host) {
    let house = House::open(host, quick()).await;
    let mut visitor = house.visitor().at("shop.example:8443");
    visitor.page("/").await.of_the_shop();
    // A worker asks for a URL: one without dots in its path, and for which an empty query is none.
    let alike = ["/a%2Fb/%E2%82%AC?x=%20+&&y=%zz&=", "/a//b", "/~(';:@!$&*+,=)", "/A/b;v=1"];
    let native = if host == Host::Native { &["/a//b/./c", "/?"][..] } else { &[] };
    for target in alike.iter().chain(native) {
        let raw = format!(
            "GET {target} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\ncookie: {}\r\n\r\n",
            format_args!("__Host-anteroom-session-sale={}", visitor.token("session").unwrap())
        );
        let answer = house.raw(raw.as_bytes()).await;
        let asked = serde_json::to_string(target).unwrap();
        assert!(answer.contains(&format!("\"target\":{asked}")), "{target}: {answer}");
    }
    visitor.cookies.insert("basket".into(), "7".into());
    let sent = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
        ("anteroom-identity", "root"),
        ("anteroom_identity", "root"),
        ("anteroom.identity", "root"),
        ("x_forwarded_for", "1.2.3.4"),
        ("anteroom-ticket", "0"),
        ("connection", "x-between, keep-alive"),
        ("x-between", "1"),
        ("proxy-authorization", "x"),
        ("te", "trailers"),
        ("accept-encoding", "br"),
    ];
    let got = visitor.ask("PATCH", "/x", &sent, Some("body")).await;
    let asked = got.of_the_shop();
    let headers = &asked["headers"];
    assert_eq!((&asked["method"], &asked["body"]), (&json!("PATCH"), &json!("body")));
    // A worker cannot ask for one address under the name of another; the site is told in `X-Forwarded-Host`.
    let name = if host == Host::Native { "shop.example:8443" } else { house.shop.address() };
    assert_eq!(headers["host"], json!([name]));
    assert_eq!(headers["cookie"], json!(["basket=7"]));
    assert_eq!(headers["x-forwarded-for"], json!(["127.0.0.1"]), "a visitor's own word counts for nothing");
    assert_eq!(headers["x-forwarded-proto"], json!(["http"]));
    assert_eq!(headers["x-forwarded-host"], json!(["shop.example:8443"]));
    assert_eq!(headers["anteroom-ticket"], json!(["1"]));
    assert_eq!(headers["accept-encoding"], json!(["br"]));
    assert_eq!(headers["content-length"], json!(["4"]));
    for gone in [
        "forwarded",
        "x-real-ip",
        "anteroom-identity",
        "anteroom_identity",
        "x_forwarded_for",
        "x-between",
        "proxy-authorization",
        "te",
    ] {
        assert_eq!(headers.get(gone), None, "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed_and_named() {
    let house = House::native(Store::Embedded, &[("ANTEROOM_TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let sent =
        [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example")];
    let got = house.visitor().ask("GET", "/x", &sent, None).await;
    let headers = &got.of_the_shop()["headers"];
    assert_eq!(headers["x-forwarded-for"], json!(["203.0.113.9, 127.0.0.1"]));
    assert_eq!(headers["x-forwarded-proto"], json!(["https"]));
    assert_eq!(headers["x-forwarded-host"], json!(["shop.example"]));
}

async fn the_visitor_gets_the_answer_as_it_came(host: Host) {
    let house = House::open(host, json!({"mode": "passthrough"})).await;
    let mut visitor = house.visitor();
    let whole = visitor.page("/range").await;
    assert_eq!((whole.header("etag"), whole.header("accept-ranges")), (Some("\"words\""), Some("bytes")));
    let part = visitor.ask("GET", "/range", &[("range", "bytes=2-5")], None).await;
    assert_eq!((part.status, part.text.as_str(), part.header("content-range")), (206, "2345", Some("bytes 2-5/20")));
    let head = visitor.ask("HEAD", "/range", &[], None).await;
    assert_eq!((head.status, head.text.as_str(), head.header("content-length")), (200, "", Some("20")));
    let gzip = visitor.page("/gzip").await;
    assert_eq!((gzip.header("content-encoding"), gzip.header("content-length")), (Some("gzip"), Some("30")));
    let moved = visitor.page("/moved").await;
    assert_eq!((moved.status, moved.header("location")), (302, Some("/moved")), "followed by the visitor, not by us");
    let got = visitor.page("/cookies").await;
    assert_eq!(got.cookies(), ["basket=7; Path=/"]);
    for gone in ["anteroom-token", "x-private", "keep-alive"] {
        assert_eq!(got.header(gone), None, "{gone}");
    }
    visitor.ask("OPTIONS", "/x", &[], None).await.of_the_shop();
    let unheard_of = visitor.ask("BREW", "/x", &[], None).await;
    // workerd knows a list of methods, and takes no others.
    match host {
        Host::Native => drop(unheard_of.of_the_shop()),
        Host::Edge => assert_eq!(unheard_of.waits().status, 501),
    }
}

async fn a_client_that_waits_for_leave_to_send_gets_it(host: Host) {
    let house = House::open(host, json!({"mode": "passthrough"})).await;
    let mut stream = house.connect().await;
    let head = "POST /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // workerd never gives leave; clients send after a moment all the same.
    if host == Host::Native {
        let mut bytes = [0; 25];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let answer = crate::house::exchange(&mut stream, b"four").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"body\":\"four\""), "{answer}");
    house.put("sale", json!({"mode": "reject"})).await;
    let answer = house.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "whoever waits sends nothing: {answer}");
}

// workerd speaks web sockets only: `sockets` has the test for those.
#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_passes_both_ways_once_inside() {
    let house = House::open(Host::Native, quick()).await;
    let mut visitor = house.visitor();
    visitor.page("/").await.of_the_shop();
    let head = |cookie: &str| {
        format!(
            "GET /echo HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-key: k\r\n\
             sec-websocket-version: 13\r\ncookie: {cookie}\r\n\r\n"
        )
    };
    let mut outside = house.connect().await;
    outside.write_all(head("a=b").as_bytes()).await.unwrap();
    let mut bytes = [0; 12];
    outside.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"HTTP/1.1 403");
    let mut stream = house.connect().await;
    let cookie = format!("__Host-anteroom-session-sale={}", visitor.token("session").unwrap());
    stream.write_all(head(&cookie).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101") && answer.contains("upgrade: websocket"), "{answer}");
    for message in [&b"hello"[..], &[0, 255, 129], &[7; 3_000]] {
        stream.write_all(message).await.unwrap();
        let mut back = vec![0; message.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, message);
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "the site hears that it is over, and so do we");
}

async fn no_other_protocol_is_a_way_past_the_gate(host: Host) {
    let house = House::open(host, json!({"mode": "passthrough"})).await;
    for protocol in ["h2c", "HTTP/2.0", "tcp", "websocket, h2c"] {
        let head = format!(
            "GET /echo HTTP/1.1\r\nhost: a\r\nupgrade: {protocol}\r\nconnection: upgrade, http2-settings, close\r\n\
             http2-settings: x\r\n\r\n"
        );
        let answer = house.raw(head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 426"), "{protocol}: {answer}");
    }
}

/// A site that closes every connection after one answer, without saying so.
async fn hasty() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4_096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                // The next request meets a connection that is being closed.
                let _ = stream.read(&mut head).await;
            });
        }
    });
    url
}

async fn a_connection_that_closes_as_it_is_used_again_costs_no_visitor_an_answer(host: Host) {
    let house = House::in_front_of(host, &hasty().await).await;
    for count in 0..50 {
        let got = house.visitor().data("/x").await;
        assert_eq!((got.status, got.text.as_str()), (200, "ok"), "{count}");
    }
}

/// A site that says this to everybody, and closes.
async fn saying(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4_096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(bytes).await;
            });
        }
    });
    url
}

async fn a_site_that_fails_is_named_and_not_the_visitor(host: Host) {
    let unreachable = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for (what, url) in [
        ("nobody listens", unreachable),
        ("hangs up", saying(b"").await),
        ("garbage", saying(b"\x16\x03\x01 what is this\r\n\r\n").await),
        ("half a head", saying(b"HTTP/1.1 200 OK\r\ncontent-le").await),
        ("two lengths", saying(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab").await),
        (
            "switches unasked",
            saying(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n").await,
        ),
    ] {
        let house = House::in_front_of(host, &url).await;
        for _ in 0..3 {
            let got = house.visitor().data("/x").await;
            assert_eq!(got.status, 502, "{what}");
            got.refused("BAD_GATEWAY");
        }
        let page = house.visitor().page("/x").await;
        assert_eq!(page.is_page("refused").status, 502, "{what}");
    }
    let cut = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfour").await;
    let house = House::in_front_of(host, &cut).await;
    let reply = reqwest::get(format!("{}/x", house.base)).await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(reply.bytes().await.is_err(), "a visitor is not told that half a body is the whole");
}

async fn a_site_that_does_not_answer_in_time_is_given_up(host: Host) {
    let limit = [("ANTEROOM_UPSTREAM_FIRST_BYTE_SEC", "1")];
    let house = House::set_up(host, Store::Embedded, &limit, &[("sale", json!({"mode": "passthrough"}))]).await;
    let got = house.visitor().data("/hang").await;
    assert_eq!(got.status, 504);
    got.refused("GATEWAY_TIMEOUT");
    assert_eq!(house.shop.requests(), 1, "it is not asked twice");
    crate::support::eventually("the site is left alone", async || {
        (house.shop.seen.given_up.load(std::sync::atomic::Ordering::SeqCst) == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_in_front_of_itself_does_not_go_round_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let variables = crate::support::variables(&[("ANTEROOM_UPSTREAM", &format!("http://{address}"))]);
    let config = anteroom_origin::config::Config::load(None, &variables).unwrap();
    let origin = anteroom_origin::origin::Origin::start(&config).unwrap();
    let app = origin.router();
    tokio::spawn(async move {
        axum::serve(listener, app.into_make_service_with_connect_info::<std::net::SocketAddr>()).await
    });
    let client = crate::support::Client::new(&format!("http://{address}"));
    client.is_ready().await;
    let reply = client.send(client.request("GET", "/x")).await;
    reply.refused("BAD_GATEWAY");
}
