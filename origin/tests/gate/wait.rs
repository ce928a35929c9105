//! `/gate/wait`: the waiting page at an address of its own, for proxies that cannot show it in place.

use crate::house::{BROWSER, Host, House, held, quick};
use serde_json::json;

on_both_hosts!(
    the_waiting_page_waits_for_the_address_it_was_asked_for,
    whoever_may_go_in_is_sent_there_with_what_they_carry,
    it_leads_nowhere_else,
);

async fn the_waiting_page_waits_for_the_address_it_was_asked_for(host: Host) {
    let house = House::open(host, held()).await;
    let mut visitor = house.visitor();
    let page = visitor.page("/gate/wait?to=/tickets%3Fa=b").await;
    page.is_page("line");
    assert!(page.text.contains("/tickets?a=b"), "{}", page.text);
    // nginx, which cannot escape an address, says it in a header; it stands in front of an origin, never of an edge.
    if host == Host::Native {
        let header = [&BROWSER[..], &[("x-original-uri", "/tickets?c=d")]].concat();
        let page = visitor.ask("GET", "/gate/wait", &header, None).await;
        assert!(page.is_page("line").text.contains("/tickets?c=d"), "{}", page.text);
    }
    assert_eq!(house.api.stats("sale").await["issued"], 1);
    house.put("sale", json!({"mode": "line"})).await;
    assert_eq!(visitor.enter(&house, "/tickets?c=d").await.header("location"), Some("/tickets?c=d"));
}

async fn whoever_may_go_in_is_sent_there_with_what_they_carry(host: Host) {
    let house = House::open(host, quick()).await;
    let mut visitor = house.visitor();
    let entered = visitor.page("/gate/wait?to=/tickets%3Fa=b").await;
    assert_eq!((entered.status, entered.header("location")), (303, Some("/tickets?a=b")));
    let session = visitor.token("session").unwrap().clone();
    let mut without = house.visitor().without_cookies();
    let to = format!("/gate/wait?to=/tickets%3Fa=b&anteroom_token={session}");
    let entered = without.page(&to).await;
    let want = format!("/tickets?a=b&anteroom_token={session}");
    assert_eq!((entered.status, entered.header("location")), (303, Some(want.as_str())));
    assert_eq!(house.shop.requests(), 0);
}

async fn it_leads_nowhere_else(host: Host) {
    let house = House::open(host, quick()).await;
    let mut visitor = house.visitor();
    visitor.page("/gate/wait?to=/").await;
    for evil in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil", "%2Fgate%2Fleave", ""] {
        let got = visitor.page(&format!("/gate/wait?to={evil}")).await;
        assert_eq!((got.status, got.header("location")), (303, Some("/")), "{evil}");
    }
}
