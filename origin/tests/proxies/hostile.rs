//! What a visitor may try to get past.

use crate::proxy::Proxy;
use serde_json::json;
use std::net::IpAddr;

behind_every_proxy!(
    nothing_a_visitor_says_of_the_request_is_believed,
    what_a_visitor_says_of_the_way_here_is_not_handed_on,
    the_check_is_out_of_reach,
    no_spelling_of_a_path_gets_past,
);

async fn nothing_a_visitor_says_of_the_request_is_believed(proxy: Proxy) {
    let behind = proxy.before(json!({"mode": "hold", "gate": {"bypass_paths": ["/assets/*"]}})).await;
    for (name, value) in [
        ("x-original-uri", "/assets/a.css"),
        ("x-original-url", "/assets/a.css"),
        ("x-rewrite-url", "/assets/a.css"),
        ("x-original-method", "OPTIONS"),
        ("x-forwarded-uri", "/assets/a.css"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-host", "else.example"),
        ("x-http-method-override", "OPTIONS"),
        ("x-envoy-original-path", "/assets/a.css"),
        ("x-envoy-decorator-operation", "assets"),
        ("x-envoy-internal", "true"),
        ("x-forwarded-for", "127.0.0.1"),
        ("connection", "close, x-forwarded-uri, x-forwarded-method, x-original-uri"),
        ("connection", "close, cookie, host"),
    ] {
        let got = behind.house.visitor().ask("GET", "/tickets", &[(name, value)], None).await;
        assert!(matches!(got.waits().status, 400 | 403), "{name}: {value}: {got:?}");
    }
    assert_eq!((behind.house.shop.requests(), &behind.house.api.stats("sale").await["issued"]), (0, &json!(0)));
}

async fn what_a_visitor_says_of_the_way_here_is_not_handed_on(proxy: Proxy) {
    let behind = proxy.before(json!({"mode": "passthrough"})).await;
    let made_up = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-uri", "/admin"),
        ("x-original-uri", "/admin"),
    ];
    for path in ["/tickets", "/assets/a.css"] {
        let got = behind.house.visitor().ask("GET", path, &made_up, None).await;
        let headers = &got.of_the_shop()["headers"];
        // One address, which for Envoy is that of the machine where a visitor comes from the machine itself.
        let told = headers["x-forwarded-for"].as_array().unwrap();
        assert!(told.len() == 1 && told[0].as_str().unwrap().parse::<IpAddr>().is_ok(), "{told:?}");
        assert_eq!((told[0] == "6.6.6.6", &headers["x-forwarded-proto"]), (false, &json!(["http"])));
        assert!(!headers.to_string().contains("/admin"), "{headers}");
    }
}

async fn the_check_is_out_of_reach(proxy: Proxy) {
    let behind = proxy.before(json!({"mode": "passthrough"})).await;
    for path in
        ["/gate/check", "/gate/check?a=b", "/gate/check/", "/gate/check/assets/a.css", "//gate/check", "/gate//check"]
    {
        let headers = [("x-original-uri", "/assets/a.css"), ("x-forwarded-uri", "/assets/a.css")];
        let got = behind.house.visitor().ask("GET", path, &headers, None).await;
        // By the proxy, or by the site where that spelling is one of the site's own.
        assert!(got.status == 404 || got.header("x-shop").is_some(), "{path}: {got:?}");
    }
    for target in ["/gate/x/../check", "/gate/%63heck", "/gate/%2e/check", "/x/..//gate/check"] {
        let answer = ask(&behind.house, target).await;
        assert!(
            !answer.contains("INVALID_REQUEST") && !answer.contains("HTTP/1.1 200") || is_shop(&answer),
            "{target}: {answer}"
        );
    }
}

async fn no_spelling_of_a_path_gets_past(proxy: Proxy) {
    let behind = proxy.before(json!({"mode": "hold"})).await;
    for target in [
        "/assets/../tickets",
        "/assets/a/../../tickets",
        "/assets/./../tickets",
        "/assets/%2e%2e/tickets",
        "/assets/.%2E/tickets",
        "/assets/%252e%252e/tickets",
        "/assets/..%2ftickets",
        "/assets/..%252ftickets",
        "/assets/..%5ctickets",
        "/assets/..\\tickets",
        "/assets/..;/tickets",
        "/assets;/../tickets",
        "/assets%2f..%2ftickets",
        "/assets/%00/../../tickets",
        "/assets/a.css%0d%0aanteroom-event:x",
        "/assets/a.css%0a",
        "/assets/a.css/..",
        "/ASSETS/a.css",
        "//tickets",
        "/./tickets",
        "/gate/../tickets",
        "/gate/wait/../../tickets",
        "/api/v1/queue/../../../tickets",
        "/api/v1/queue/%2e%2e/%2e%2e/%2e%2e/tickets",
        "/api/v1/queue/..%2f..%2f..%2ftickets",
        "/tickets#/assets/a.css",
        "http://127.0.0.1/tickets",
        "http://else.example/assets/../tickets",
    ] {
        let answer = ask(&behind.house, target).await;
        assert!(!is_shop(&answer), "{target}: {answer}");
    }
    // What is read as an asset is asked for as it was read: the site might not resolve it.
    for target in
        ["/tickets/../assets/a.css", "/tickets/%2e%2e/assets/a.css?b=c", "//assets/a.css", "/tickets/..%2fassets/a.css"]
    {
        let answer = ask(&behind.house, target).await;
        let plain =
            [r#""target":"/assets/a.css"#, r#""target":"/assets/tickets"#].iter().any(|target| answer.contains(target));
        assert!(plain || !is_shop(&answer), "{target}: {answer}");
    }
    assert_eq!(behind.house.api.stats("sale").await["issued"], 0);
}

async fn ask(house: &crate::house::House, target: &str) -> String {
    house.raw(format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await
}

fn is_shop(answer: &str) -> bool {
    answer.to_lowercase().contains("x-shop")
}
