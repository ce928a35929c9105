//! The nginx of `deploy/nginx`: the real program with that very configuration, in front of a real origin and a small site.

#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

#[path = "../gate/echo.rs"]
#[allow(dead_code, reason = "the suite of the gate uses the rest")]
mod echo;
#[path = "../gate/house.rs"]
#[allow(dead_code, reason = "the suite of the gate uses the rest")]
mod house;
#[path = "../gate/shop.rs"]
#[allow(dead_code, reason = "the suite of the gate uses the rest")]
mod shop;

use house::{BROWSER, House, held};
use serde_json::json;
use shop::Shop;
use std::process::{Child, Command, Stdio};
use support::client::claims_of;
use support::{Client, Store, eventually};

const TEMPLATE: &str = include_str!("../../../deploy/nginx/anteroom.conf.template");

/// A running nginx; it is stopped when this goes.
struct Nginx {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // nginx stops at once on SIGTERM, its workers with it; it would leave them behind on SIGKILL.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Nginx {
    fn start(listen: &str, anteroom: &str, site: &str) -> Self {
        Self::start_with(TEMPLATE, listen, anteroom, site)
    }

    fn start_with(template: &str, listen: &str, anteroom: &str, site: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let host = |url: &str| url.trim_start_matches("http://").to_owned();
        let config = template
            .replace("${LISTEN}", listen)
            .replace("${ANTEROOM}", &host(anteroom))
            .replace("${SITE}", &host(site));
        // What an installed nginx has its own folders for.
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {};", at(name)))
            .join("\n");
        let config = config.replacen("http {", &format!("http {{\naccess_log off;\n{folders}"), 1);
        std::fs::write(at("nginx.conf"), config).unwrap();
        let child = Command::new("nginx")
            .args(["-p", &at(""), "-c", &at("nginx.conf"), "-e", "stderr"])
            .args(["-g", &format!("daemon off; pid {};", at("nginx.pid"))])
            .stdin(Stdio::null())
            .spawn()
            .expect(
                "nginx is needed for this test: install it with `apt-get install nginx`, or run `cargo xtask test`",
            );
        Self { child, _folder: folder }
    }
}

/// nginx in front of a site, with a room; the visitors' address is that of nginx.
async fn behind_nginx(settings: serde_json::Value) -> (House, Nginx) {
    let shop = Shop::open().await;
    let site = Store::Embedded.start(&[("ANTEROOM_TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    // Bound for a moment only: nginx has to be told a port.
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let nginx = Nginx::start(&listen, site.base(), &shop.url());
    let (base, api) = (format!("http://{listen}"), Client::new(site.base()));
    let house = House { base, api, shop, site, front: None };
    house.api.put("sale", settings).await;
    eventually("nginx listens", async || tokio::net::TcpStream::connect(&listen).await.ok()).await;
    (house, nginx)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_waits_in_place_goes_in_and_is_done() {
    let settings = json!({"mode": "hold", "min_wait": [], "session_sec": 2, "session_renew": false});
    let (house, _nginx) = behind_nginx(settings).await;
    let mut visitor = house.visitor();
    visitor.asset("/assets/app.css").await.of_the_shop();
    assert_eq!(house.shop.requests(), 1);
    let page = visitor.page("/tickets?a=b&c=d").await;
    assert_eq!((page.status, page.header("location")), (200, None), "in place");
    page.is_page("line");
    assert!(page.text.contains(r#""to":"/tickets?a=b\u0026c=d""#), "{}", page.text);
    visitor.page("/tickets?a=b&c=d").await.is_page("line");
    assert_eq!(house.api.stats("sale").await["issued"], 1, "a place is kept");
    assert_eq!(house.visitor().asset("/logo.png").await.refused("NOT_READY")["status"], json!(null));
    let posted = visitor.ask("POST", "/tickets", &BROWSER, Some("a=b")).await;
    posted.is_page("line");
    assert_eq!(house.shop.requests(), 1, "the site is not asked");
    house.api.put("sale", json!({"mode": "line"})).await;
    let entered = visitor.enter(&house, "/tickets?a=b&c=d").await;
    assert_eq!((entered.status, entered.header("location")), (303, Some("/tickets?a=b&c=d")));
    let inside = visitor.ask("POST", "/tickets?a=b&c=d", &[("anteroom-identity", "root")], Some("two")).await;
    let asked = inside.of_the_shop();
    assert_eq!((&asked["target"], &asked["body"]), (&json!("/tickets?a=b&c=d"), &json!("two")));
    assert_eq!(asked["headers"]["anteroom-event"], json!(["sale"]));
    assert_eq!(asked["headers"]["anteroom-ticket"], json!(["1"]));
    assert_eq!(asked["headers"].get("anteroom-identity"), None, "nobody says so from outside");
    house.api.put("sale", json!({"mode": "hold"})).await;
    eventually("the session is over", async || {
        let got = visitor.page("/tickets").await;
        got.header("x-shop").is_none().then(|| got.is_page("line").status)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_use_is_extended_and_its_cookie_handed_on() {
    let (house, _nginx) = behind_nginx(json!({"burst": 100, "min_wait": [], "session_sec": 4})).await;
    let mut visitor = house.visitor();
    let first = visitor.page("/").await;
    assert_eq!((first.status, first.header("location")), (303, Some("/")), "whose turn is now goes in at once");
    let end = |token: &str| claims_of(token)["exp"].as_u64().unwrap();
    let first = end(visitor.token("session").unwrap());
    eventually("the cookie lasts twice as long", async || {
        let got = visitor.asset("/logo.png").await;
        got.of_the_shop();
        (end(visitor.token("session").unwrap()) >= first + 4).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_a_visitor_says_of_the_request_gets_past_the_gate() {
    let (house, _nginx) = behind_nginx(json!({"mode": "hold", "gate": {"bypass_paths": ["/assets/*"]}})).await;
    for (name, value) in [
        ("x-original-uri", "/assets/a.css"),
        ("x-original-method", "OPTIONS"),
        ("x-forwarded-uri", "/assets/a.css"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-host", "else.example"),
    ] {
        house.visitor().ask("GET", "/tickets", &[(name, value)], None).await.waits();
    }
    for path in ["/gate/check", "/gate/check/assets/a.css", "/anteroom-check"] {
        let got = house.visitor().ask("GET", path, &[("x-original-uri", "/assets/a.css")], None).await;
        assert!(got.waits().status >= 400, "{path}: {got:?}");
    }
    for target in ["/assets/../tickets", "/assets/%2e%2e/tickets", "//tickets", "/assets/..%2ftickets"] {
        let answer =
            house.raw(format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert!(!answer.contains("\"target\":\"/tickets\""), "{target}: {answer}");
    }
    assert_eq!(house.api.stats("sale").await["issued"], 0);
    let mut program = house.visitor().without_cookies();
    let told = program.data("/api/orders").await;
    assert_eq!(
        (told.status, told.refused("NOT_READY")["position"].as_u64()),
        (403, Some(1)),
        "a program is told its place"
    );
    let mut blocked = house.visitor().without_cookies();
    house.api.put("sale", held()).await;
    let token = blocked.page("/tickets").await.by_hand().unwrap();
    let again = blocked.page(&format!("/tickets?anteroom_token={token}")).await;
    assert_eq!(again.is_page("line").by_hand(), Some(token), "with cookies blocked the place is carried by hand");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_passes_once_inside() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (house, _nginx) = behind_nginx(json!({"burst": 100, "min_wait": []})).await;
    let mut visitor = house.visitor();
    visitor.page("/").await;
    let cookie = format!("__Host-anteroom-session-sale={}", visitor.token("session").unwrap());
    let mut stream = house.connect().await;
    let head = format!(
        "GET /echo HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\ncookie: {cookie}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_over_https_is_asked_if_its_authority_is_trusted_and_not_otherwise() {
    let shop = Shop::open().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(at("cert.pem"), cert.pem()).unwrap();
    std::fs::write(at("key.pem"), signing_key.serialize_pem()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("{port} ssl; ssl_certificate {}; ssl_certificate_key {}", at("cert.pem"), at("key.pem"));
    // Every request is an asset to it: it only adds TLS.
    let _nginx =
        Nginx::start_with(&TEMPLATE.replace("location /assets/", "location ~ ^"), &listen, "127.0.0.1:1", &shop.url());
    eventually("nginx listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    let (url, authority) = (format!("https://localhost:{port}"), at("cert.pem"));
    let trusting = [("ANTEROOM_UPSTREAM", url.as_str()), ("ANTEROOM_UPSTREAM_CA_FILE", authority.as_str())];
    let site = Store::Embedded.start(&trusting).await;
    let reply = site.request("GET", "/x").header("host", "shop.example").send().await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.headers()["x-shop"].to_str().unwrap()), (200, "open"));
    assert!(
        reply.text().await.unwrap().contains(r#""host":["shop.example"]"#),
        "the name of the site, not of the connection"
    );
    let wary = Store::Embedded.start(&trusting[..1]).await;
    let reply = wary.send(wary.request("GET", "/x")).await;
    assert_eq!(reply.status, 502);
    assert_eq!(shop.requests(), 1);
}
