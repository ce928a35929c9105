//! Other methods than GET.

use crate::house::{BROWSER, held, quick};
use crate::proxy::Proxy;
use serde_json::json;

behind_every_proxy!(
    head_waits_without_a_place_and_passes_once_inside,
    options_reach_the_site_and_take_no_place,
    a_body_reaches_the_site_whole_once_inside_and_not_before,
);

async fn head_waits_without_a_place_and_passes_once_inside(proxy: Proxy) {
    let behind = proxy.before(held()).await;
    let mut visitor = behind.house.visitor();
    let got = visitor.ask("HEAD", "/tickets", &BROWSER, None).await;
    let leads = got.waits().header("location").map(str::to_owned);
    if let Some(to) = leads {
        visitor.ask("HEAD", &to, &BROWSER, None).await.waits();
    }
    assert_eq!((behind.house.shop.requests(), &behind.house.api.stats("sale").await["issued"]), (0, &json!(0)));
    behind.house.api.put("sale", quick()).await;
    behind.house.api.put("sale", json!({"mode": "line"})).await;
    behind.go(&mut visitor, "/tickets").await;
    let got = visitor.ask("HEAD", "/tickets", &BROWSER, None).await;
    assert_eq!((got.status, got.header("x-shop"), got.text.as_str()), (200, Some("open"), ""));
}

async fn options_reach_the_site_and_take_no_place(proxy: Proxy) {
    let behind = proxy.before(held()).await;
    let preflight = [("origin", "https://else.example"), ("access-control-request-method", "PUT")];
    for headers in [&[][..], &preflight, &BROWSER] {
        let got = behind.house.visitor().ask("OPTIONS", "/tickets", headers, None).await;
        assert_eq!(got.of_the_shop()["method"], "OPTIONS");
    }
    behind.house.api.put("sale", json!({"gate": {"bypass_methods": []}})).await;
    behind.house.visitor().ask("OPTIONS", "/tickets", &preflight, None).await.refused("NOT_READY");
    assert_eq!(behind.house.api.stats("sale").await["issued"], 0);
}

async fn a_body_reaches_the_site_whole_once_inside_and_not_before(proxy: Proxy) {
    let behind = proxy.before(quick()).await;
    let body = "0123456789abcdef".repeat(200_000);
    let mut outside = behind.house.visitor();
    outside.ask("POST", "/upload", &[("accept", "image/*")], Some("a=b")).await.refused("NOT_READY");
    assert_eq!(behind.house.shop.requests(), 0);
    let mut visitor = behind.house.visitor();
    behind.go(&mut visitor, "/").await;
    let got = visitor.ask("PUT", "/upload", &[], Some(&body)).await;
    assert_eq!((got.header("x-shop"), got.text.as_str()), (Some("open"), body.len().to_string().as_str()));
    let small = visitor.ask("POST", "/orders?a=b", &[("content-type", "text/plain")], Some("one two")).await;
    let asked = small.of_the_shop();
    assert_eq!((&asked["method"], &asked["body"]), (&json!("POST"), &json!("one two")));
    assert_eq!(asked["headers"]["content-type"], json!(["text/plain"]));
}
