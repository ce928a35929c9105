//! Pages of other sites: those on the list may use the API with cookies, the others not at all.

use crate::support::{ADMIN, Site, Store};
use reqwest::Response;
use serde_json::json;

on_both_stores!(a_page_of_a_listed_site_may_use_the_public_api, without_a_list_no_other_site_is_told_anything);

const SHOP: &str = "https://shop.example";

async fn preflight(site: &Site, path: &str, origin: &str) -> Response {
    let request = site.request("OPTIONS", path).header("origin", origin);
    request.header("access-control-request-method", "POST").send().await.unwrap()
}

async fn a_page_of_a_listed_site_may_use_the_public_api(store: Store) {
    let site = store.start(&[("ANTEROOM_CORS_ORIGINS", "https://SHOP.example/, https://other.example")]).await;
    site.put("sale", json!({})).await;
    let asked = preflight(&site, "/api/v1/queue/join", SHOP).await;
    assert_eq!(
        (asked.status(), &asked.headers()["access-control-allow-origin"]),
        (204.try_into().unwrap(), &SHOP.parse().unwrap())
    );
    assert_eq!(asked.headers()["access-control-allow-credentials"], "true");
    assert!(asked.headers()["access-control-allow-methods"].to_str().unwrap().contains("DELETE"));
    let joined = site.send(site.join_request("sale").header("origin", SHOP)).await;
    assert_eq!(joined.header("access-control-allow-origin"), Some(SHOP));
    assert_eq!(joined.header("vary"), Some("Origin"));
    assert!(joined.header("access-control-expose-headers").unwrap().contains("Retry-After"));
    let refused = site.send(site.join_request("none").header("origin", SHOP)).await;
    assert_eq!(refused.header("access-control-allow-origin"), Some(SHOP), "a page can read why it was refused");
    refused.refused("EVENT_NOT_FOUND");
    for other in ["https://evil.example", "http://shop.example", "null"] {
        let joined = site.send(site.join_request("sale").header("origin", other)).await;
        assert_eq!((joined.header("access-control-allow-origin"), joined.header("vary")), (None, Some("Origin")));
        assert!(
            !preflight(&site, "/api/v1/queue/join", other).await.headers().contains_key("access-control-allow-origin")
        );
    }
    let admin = site.request("GET", "/api/v1/admin/rooms").bearer_auth(ADMIN).header("origin", SHOP);
    assert_eq!(
        site.send(admin).await.header("access-control-allow-origin"),
        None,
        "operators use no page of another site"
    );
    assert!(!preflight(&site, "/api/v1/admin/rooms", SHOP).await.headers().contains_key("access-control-allow-origin"));
}

async fn without_a_list_no_other_site_is_told_anything(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({})).await;
    let joined = site.send(site.join_request("sale").header("origin", SHOP)).await;
    assert_eq!((joined.header("access-control-allow-origin"), joined.header("vary")), (None, None));
    assert_eq!(preflight(&site, "/api/v1/queue/join", SHOP).await.status(), 405);
    let everybody = store.start(&[("ANTEROOM_CORS_ORIGINS", "*")]).await;
    everybody.put("sale", json!({})).await;
    let joined = everybody.send(everybody.join_request("sale").header("origin", SHOP)).await;
    assert_eq!(joined.header("access-control-allow-origin"), Some("*"));
    assert_eq!(joined.header("access-control-allow-credentials"), None, "never with everybody");
}
