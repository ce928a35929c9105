//! Somebody waits, goes in, stays and is done.

use crate::echo::{TEXT, read_frame};
use crate::house::{BROWSER, held, quick};
use crate::proxy::Proxy;
use crate::support::client::claims_of;
use crate::support::eventually;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

behind_every_proxy!(
    a_visitor_waits_goes_in_and_is_done,
    a_session_in_use_is_extended_and_its_cookie_handed_on,
    an_extended_session_takes_no_cookie_of_the_sites_away,
    the_site_is_told_who_is_inside_by_nobody_but_anteroom,
    with_cookies_blocked_the_place_is_carried_by_hand,
    a_web_socket_opens_once_inside,
);

async fn a_visitor_waits_goes_in_and_is_done(proxy: Proxy) {
    let settings = json!({"mode": "hold", "min_wait": [], "session_sec": 2, "session_renew": false});
    let behind = proxy.before(settings).await;
    let house = &behind.house;
    let mut visitor = house.visitor();
    visitor.asset("/assets/app.css").await.of_the_shop();
    assert_eq!(house.shop.requests(), 1);
    let page = behind.go(&mut visitor, "/tickets?a=b&c=d").await;
    page.is_page("line");
    assert_eq!(page.status, 200);
    assert!(page.text.contains(r#""to":"/tickets?a=b\u0026c=d""#), "{}", page.text);
    behind.go(&mut visitor, "/tickets?a=b&c=d").await.is_page("line");
    assert_eq!(house.api.stats("sale").await["issued"], 1, "a place is kept");
    assert_eq!(house.visitor().asset("/logo.png").await.refused("NOT_READY")["status"], json!(null));
    let posted = visitor.ask("POST", "/tickets", &BROWSER, Some("a=b")).await;
    behind.follow(&mut visitor, "/tickets", posted).await.is_page("line");
    assert_eq!(house.shop.requests(), 1, "the site is not asked");
    house.api.put("sale", json!({"mode": "line"})).await;
    let entered = visitor.enter(house, "/tickets?a=b&c=d").await;
    assert_eq!((entered.status, entered.header("location")), (303, Some("/tickets?a=b&c=d")));
    let inside = visitor.ask("POST", "/tickets?a=b&c=d", &BROWSER, Some("two")).await;
    let asked = inside.of_the_shop();
    assert_eq!((&asked["method"], &asked["target"]), (&json!("POST"), &json!("/tickets?a=b&c=d")));
    assert_eq!(asked["body"], "two");
    let host = house.base.strip_prefix("http://").unwrap();
    assert_eq!(asked["headers"]["host"], json!([host]), "as the visitor sent it");
    house.api.put("sale", json!({"mode": "hold"})).await;
    eventually("the session is over", async || {
        let got = behind.go(&mut visitor, "/tickets").await;
        got.header("x-shop").is_none().then(|| got.is_page("line").status)
    })
    .await;
}

async fn a_session_in_use_is_extended_and_its_cookie_handed_on(proxy: Proxy) {
    let behind = proxy.before(json!({"burst": 100, "min_wait": [], "session_sec": 4})).await;
    let mut visitor = behind.house.visitor();
    let first = behind.go(&mut visitor, "/").await;
    assert_eq!((first.status, first.header("location")), (303, Some("/")), "whose turn is now goes in at once");
    let same = visitor.asset("/logo.png").await;
    same.of_the_shop();
    let kept = if proxy.keeps_cache_control() { "public, max-age=60" } else { "private, no-store" };
    assert_eq!((same.cookies(), same.header("cache-control")), (vec![], Some(kept)));
    let end = |token: &str| claims_of(token)["exp"].as_u64().unwrap();
    let first = end(visitor.token("session").unwrap());
    // A visitor holds every answer with a cookie to be private.
    eventually("the cookie lasts twice as long", async || {
        let got = visitor.asset("/logo.png").await;
        got.of_the_shop();
        (end(visitor.token("session").unwrap()) >= first + 4).then_some(())
    })
    .await;
}

async fn an_extended_session_takes_no_cookie_of_the_sites_away(proxy: Proxy) {
    let behind = proxy.before(json!({"burst": 100, "min_wait": [], "session_sec": 4})).await;
    let mut visitor = behind.house.visitor();
    behind.go(&mut visitor, "/").await;
    let cookie = format!("__Host-anteroom-session-sale={}", visitor.token("session").unwrap());
    let request = format!("GET /cookies HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n");
    eventually("the session is extended", async || {
        let answer = behind.house.raw(request.as_bytes()).await;
        assert!(answer.contains("basket=7"), "{answer}");
        // The shop sets one of that name as well, and short.
        let set = answer.lines().filter_map(|line| line.split_once("__Host-anteroom-session-sale="));
        set.map(|(_, value)| value.len()).max().filter(|length| *length > 100).map(|_| ())
    })
    .await;
}

async fn the_site_is_told_who_is_inside_by_nobody_but_anteroom(proxy: Proxy) {
    let behind = proxy.before(json!({"burst": 100, "min_wait": [], "gate": {"bypass_paths": ["/news"]}})).await;
    let made_up = [
        ("Anteroom-Event", "vip"),
        ("Anteroom-Ticket", "0"),
        ("Anteroom-Identity", "root"),
        ("Anteroom_Event", "vip"),
        ("anteroom_ticket", "0"),
        ("Anteroom_Identity", "root"),
        ("anteroom-IDENTITY", "root"),
        ("Anteroom.Identity", "root"),
        ("anteroom~ticket", "0"),
    ];
    let mut visitor = behind.house.visitor();
    behind.go(&mut visitor, "/").await;
    for (path, told) in
        [("/tickets", [Some("sale"), Some("1")]), ("/news", [None, None]), ("/assets/a.css", [None, None])]
    {
        let got = visitor.ask("GET", path, &made_up, None).await;
        let headers = got.of_the_shop()["headers"].as_object().unwrap().clone();
        let ours = headers.iter().filter(|(name, _)| name.starts_with("anteroom"));
        let ours: Vec<_> = ours.map(|(name, values)| (name.clone(), values.clone())).collect();
        let names = ["anteroom-event", "anteroom-ticket"];
        let want = names.iter().zip(told).filter_map(|(name, told)| Some(((*name).to_owned(), json!([told?]))));
        assert_eq!(ours, want.collect::<Vec<_>>(), "{path}");
    }
}

async fn with_cookies_blocked_the_place_is_carried_by_hand(proxy: Proxy) {
    let behind = proxy.before(held()).await;
    let mut blocked = behind.house.visitor().without_cookies();
    let token = behind.go(&mut blocked, "/tickets").await.by_hand().unwrap();
    let again = behind.go(&mut blocked, &format!("/tickets?a=b&anteroom_token={token}")).await;
    assert_eq!(again.is_page("line").by_hand(), Some(token.clone()));
    let again = blocked.page(&format!("/gate/wait?to=/tickets&anteroom_token={token}")).await;
    assert_eq!(again.is_page("line").by_hand(), Some(token.clone()));
    assert_eq!(behind.house.api.stats("sale").await["issued"], 1, "a place is kept");
    behind.house.api.put("sale", json!({"mode": "line"})).await;
    behind.house.api.ready(&token).await;
    let entered = blocked.post("enter", "/tickets", Some(&token)).await;
    let to = entered.header("location").unwrap();
    assert!(entered.status == 303 && to.starts_with("/tickets?anteroom_token="), "{entered:?}");
    blocked.page(to).await.of_the_shop();
}

async fn a_web_socket_opens_once_inside(proxy: Proxy) {
    let behind = proxy.before(quick()).await;
    let mut visitor = behind.house.visitor();
    behind.go(&mut visitor, "/").await;
    let head = |cookie: &str| {
        format!(
            "GET /socket HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\ncookie: {cookie}\r\n\r\n"
        )
    };
    let outside = behind.house.raw(head("a=b").as_bytes()).await;
    assert!(outside.starts_with("HTTP/1.1 403"), "{outside}");
    assert_eq!(behind.house.shop.requests(), 0);
    let mut stream = behind.house.connect().await;
    let cookie = format!("__Host-anteroom-session-sale={}", visitor.token("session").unwrap());
    stream.write_all(head(&cookie).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    for message in [&b"hello"[..], b"and again"] {
        let mut frame = vec![0x80 | TEXT, 0x80 | u8::try_from(message.len()).unwrap(), 1, 2, 3, 4];
        frame.extend(message.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
        stream.write_all(&frame).await.unwrap();
        assert_eq!(read_frame(&mut stream).await.unwrap(), (TEXT, message.to_vec()));
    }
}
