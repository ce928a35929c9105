//! Forward authentication, as each proxy asks. The edge has none: it stands in the way itself, and a proxy beside an origin asks that.

use crate::house::{BROWSER, Host, House, Visitor, held, quick};
use crate::support::client::claims_of;
use crate::support::eventually;
use serde_json::json;

/// The headers of a check about a page, as this kind of proxy describes it.
fn nginx<'a>(uri: &'a str, method: &'a str) -> Vec<(&'a str, &'a str)> {
    [&BROWSER[..], &[("x-original-uri", uri), ("x-original-method", method)]].concat()
}

fn traefik<'a>(uri: &'a str, method: &'a str) -> Vec<(&'a str, &'a str)> {
    let described = [("x-forwarded-uri", uri), ("x-forwarded-method", method), ("x-forwarded-host", "shop.example")];
    [&BROWSER[..], &described].concat()
}

async fn check(visitor: &mut Visitor, headers: &[(&str, &str)]) -> crate::house::Got {
    visitor.ask("GET", "/gate/check", headers, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_or_a_place_by_being_asked_about_who_would_not_see_it() {
    let house = House::open(Host::Native, quick()).await;
    let mut visitor = house.visitor();
    let got = check(&mut visitor, &nginx("/tickets?a=b", "GET")).await;
    assert_eq!((got.status, &got.refused("NOT_READY")["status"]), (401, &json!(null)));
    let got = check(&mut visitor, &traefik("/tickets?a=b&c", "GET")).await;
    assert_eq!((got.status, got.header("location")), (302, Some("/gate/wait?to=/tickets%3Fa%3Db%26c")));
    let got = check(&mut visitor, &traefik("/tickets?a=b&anteroom_token=t.o.k", "GET")).await;
    assert_eq!(got.header("location"), Some("/gate/wait?to=/tickets%3Fa%3Db&anteroom_token=t.o.k"), "carried by hand");
    let got = visitor.ask("GET", "/gate/check/tickets?a=b", &BROWSER, None).await;
    assert_eq!((got.status, got.header("location")), (302, Some("/gate/wait?to=/tickets%3Fa%3Db")));
    // A program behind nginx is shown the place in place; a script or a picture would not see any.
    for headers in [
        &[("accept", "application/json"), ("x-original-uri", "/tickets")][..],
        &[("accept", "*/*"), ("x-forwarded-uri", "/tickets")],
        &[("accept", "image/*"), ("x-forwarded-uri", "/tickets")],
        &[("accept", "application/json"), ("x-forwarded-uri", "/tickets"), ("x-forwarded-method", "HEAD")],
    ] {
        check(&mut visitor, headers).await.refused("NOT_READY");
    }
    assert_eq!(house.api.stats("sale").await["issued"], 0);
    assert!(visitor.cookies.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_reads_the_answer_gets_its_place_and_its_turn_by_it() {
    let house = House::open(Host::Native, held()).await;
    let program = [("accept", "application/json"), ("x-forwarded-uri", "/tickets"), ("x-forwarded-method", "POST")];
    let (mut keeps, mut blocked) = (house.visitor(), house.visitor().without_cookies());
    let told = check(&mut keeps, &program).await;
    assert_eq!((told.status, &told.refused("NOT_READY")["position"]), (403, &json!(1)));
    let token = check(&mut blocked, &program).await.refused("NOT_READY")["waiting_token"].as_str().unwrap().to_owned();
    let carrying = [&program[..], &[("anteroom-token", token.as_str())]].concat();
    for _ in 0..2 {
        assert_eq!(check(&mut keeps, &program).await.refused("NOT_READY")["position"], 1);
        assert_eq!(check(&mut blocked, &carrying).await.refused("NOT_READY")["position"], 2);
    }
    assert_eq!(house.api.stats("sale").await["issued"], 2);
    house.api.put("sale", quick()).await;
    house.api.put("sale", json!({"mode": "line"})).await;
    house.api.ready(&token).await;
    let got = check(&mut keeps, &program).await;
    assert_eq!((got.status, got.header("anteroom-ticket"), got.cookies().len()), (200, Some("1"), 1));
    assert!(keeps.token("session").is_some());
    let got = check(&mut blocked, &carrying).await;
    let session = got.header("anteroom-token").unwrap().to_owned();
    assert_eq!((got.status, got.header("anteroom-ticket")), (200, Some("2")));
    let got = check(&mut blocked, &[&program[..], &[("anteroom-token", session.as_str())]].concat()).await;
    assert_eq!((got.status, got.header("anteroom-ticket")), (200, Some("2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_inside_passes_and_the_site_is_told_who() {
    let house = House::open(Host::Native, quick()).await;
    let mut visitor = house.visitor();
    let entered = visitor.page("/gate/wait?to=/tickets%3Fa=b").await;
    assert_eq!((entered.status, entered.header("location")), (303, Some("/tickets?a=b")));
    for headers in [nginx("/tickets", "GET"), traefik("/tickets", "POST")] {
        let got = check(&mut visitor, &headers).await;
        assert_eq!(
            (got.status, got.header("anteroom-event"), got.header("anteroom-ticket")),
            (200, Some("sale"), Some("1"))
        );
        assert_eq!(got.cookies(), [""; 0]);
    }
    let got = visitor.ask("PUT", "/gate/check/tickets", &[], None).await;
    assert_eq!(got.status, 200);
    assert_eq!(house.shop.requests(), 0, "the proxy asks the site, not we");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_used_behind_another_proxy_lasts() {
    let house = House::open(Host::Native, json!({"burst": 100, "min_wait": [], "session_sec": 4})).await;
    let mut visitor = house.visitor();
    visitor.page("/gate/wait?to=/").await;
    let end = |token: &str| claims_of(token)["exp"].as_u64().unwrap();
    let first = end(visitor.token("session").unwrap());
    eventually("the cookie is renewed beyond its first end", async || {
        let got = check(&mut visitor, &nginx("/tickets", "GET")).await;
        assert_eq!(got.status, 200);
        assert!(got.cookies().len() <= 1, "proxies hand on one");
        (end(visitor.token("session").unwrap()) >= first + 5).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_the_visitor_has_added_to_lets_nobody_in() {
    let house = House::open(Host::Native, json!({"mode": "hold", "gate": {"bypass_paths": ["/assets/*"]}})).await;
    let mut visitor = house.visitor();
    assert_eq!(check(&mut visitor, &nginx("/assets/a.css", "GET")).await.status, 200);
    assert_eq!(check(&mut visitor, &nginx("/tickets", "OPTIONS")).await.status, 200);
    for added in
        [("x-forwarded-uri", "/assets/a.css"), ("x-original-uri", "/assets/a.css"), ("x-original-method", "OPTIONS")]
    {
        let headers = [&nginx("/tickets", "GET")[..], &[added]].concat();
        let got = check(&mut visitor, &headers).await;
        assert_eq!(got.status, 403, "{added:?}: {got:?}");
    }
    for added in [("x-original-uri", "/assets/a.css"), ("x-forwarded-host", "else.example")] {
        let headers = [&traefik("/tickets", "GET")[..], &[added]].concat();
        assert_eq!(check(&mut visitor, &headers).await.status, 403, "{added:?}");
    }
    assert_eq!(check(&mut visitor, &BROWSER).await.status, 403, "a check of nothing");
    for path in ["/assets/../tickets", "/assets/%2e%2e/tickets", "//tickets", "/assets/a%00"] {
        let status = check(&mut visitor, &nginx(path, "GET")).await.status;
        assert!(matches!(status, 401 | 403), "{path}: {status}");
    }
}

#[cfg(feature = "edge-tests")]
#[tokio::test(flavor = "multi_thread")]
async fn the_edge_has_no_such_address_and_does_not_ask_the_site_for_it() {
    let house = House::open(Host::Edge, json!({"mode": "passthrough"})).await;
    for path in ["/gate/check", "/gate/check/tickets"] {
        house.visitor().data(path).await.refused("NOT_FOUND");
    }
    assert_eq!(house.shop.requests(), 0);
}
