//! What the waiting page posts, with cookies and without.

use crate::house::{BROWSER, Host, House, held, quick};
use crate::support::client::ticket_of;
use serde_json::json;

on_both_hosts!(
    with_cookies_blocked_the_place_is_carried_by_hand,
    a_browser_that_keeps_the_cookie_carries_nothing_by_hand,
    a_place_is_given_up_and_taken_again,
    whoever_leaves_from_inside_makes_room,
    forms_of_other_sites_are_refused_and_lead_nowhere_else,
);

async fn with_cookies_blocked_the_place_is_carried_by_hand(host: Host) {
    let house = House::open(host, held()).await;
    let mut visitor = house.visitor().without_cookies();
    let token = visitor.page("/tickets?a=b").await.is_page("line").by_hand().expect("the page carries the place");
    let path = format!("/tickets?a=b&anteroom_token={token}");
    let again = visitor.page(&path).await.is_page("line").by_hand();
    assert_eq!(again.as_ref(), Some(&token), "the same place");
    let not_yet = visitor.post("enter", "/tickets?a=b", Some(&token)).await;
    assert_eq!(not_yet.header("location"), Some(path.as_str()));
    house.put("sale", json!({"mode": "line"})).await;
    house.api.ready(&token).await;
    let entered = visitor.post("enter", "/tickets?a=b", Some(&token)).await;
    let to = entered.header("location").unwrap().to_owned();
    assert!(to.starts_with("/tickets?a=b&anteroom_token=") && to != path, "{to}");
    let inside = visitor.page(&to).await;
    assert_eq!(inside.of_the_shop()["target"], "/tickets?a=b", "the site does not see it");
}

async fn a_browser_that_keeps_the_cookie_carries_nothing_by_hand(host: Host) {
    let house = House::open(host, held()).await;
    let mut visitor = house.visitor();
    assert!(visitor.page("/").await.is_page("line").by_hand().is_some(), "nobody knows yet");
    assert_eq!(visitor.page("/").await.is_page("line").by_hand(), None);
}

async fn a_place_is_given_up_and_taken_again(host: Host) {
    let house = House::open(host, held()).await;
    let mut visitor = house.visitor();
    visitor.page("/").await;
    let first = ticket_of(visitor.token("wait").unwrap());
    let again = visitor.post("join", "/x", None).await;
    assert_eq!((again.status, again.header("location")), (303, Some("/x")));
    assert_eq!(ticket_of(visitor.token("wait").unwrap()), first, "a place that is good is kept");
    let left = visitor.post("leave", "/x", None).await;
    assert_eq!(left.is_page("ended").status, 200);
    assert!(visitor.cookies.is_empty());
    assert_eq!(house.api.stats("sale").await["waiting"], 0);
    visitor.post("leave", "/x", None).await.is_page("ended");
    assert_eq!(visitor.post("join", "/x", None).await.header("location").map(|to| to.starts_with("/x")), Some(true));
    assert!(ticket_of(visitor.token("wait").unwrap()) > first);
}

async fn whoever_leaves_from_inside_makes_room(host: Host) {
    let house = House::open(host, quick()).await;
    let mut visitor = house.visitor();
    visitor.page("/").await.of_the_shop();
    visitor.post("leave", "/", None).await.is_page("ended");
    crate::support::eventually("the session is over", async || {
        (house.api.stats("sale").await["active"] == 0).then_some(())
    })
    .await;
}

async fn forms_of_other_sites_are_refused_and_lead_nowhere_else(host: Host) {
    let house = House::open(host, quick()).await;
    let mut visitor = house.visitor();
    visitor.page("/").await.of_the_shop();
    let body = "event=sale&to=/";
    for form in ["enter", "leave", "join"] {
        for foreign in
            [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example")]
        {
            let got = visitor.ask("POST", &format!("/gate/{form}"), &[foreign], Some(body)).await;
            got.refused("FORBIDDEN");
        }
        let got = visitor.ask("GET", &format!("/gate/{form}"), &BROWSER, None).await;
        got.refused("METHOD_NOT_ALLOWED");
        visitor.ask("POST", &format!("/gate/{form}"), &[], Some("event=none&to=/")).await.refused("EVENT_NOT_FOUND");
        let long = "x".repeat(20_000);
        visitor.ask("POST", &format!("/gate/{form}"), &[], Some(&long)).await.refused("INVALID_REQUEST");
    }
    assert!(visitor.token("session").is_some(), "nobody was put out");
    for to in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1", "/gate/leave", ""] {
        let got = visitor.post("enter", to, None).await;
        assert_eq!(got.header("location"), Some("/"), "{to}");
    }
}
