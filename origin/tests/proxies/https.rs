//! nginx as a site over https, in front of which the origin itself is the gate.

use crate::nginx::{self, TEMPLATE};
use crate::proxy::{Place, start};
use crate::shop::Shop;
use crate::support::Store;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_over_https_is_asked_if_its_authority_is_trusted_and_not_otherwise() {
    let shop = Shop::open().await;
    let keys = tempfile::tempdir().unwrap();
    let at = |name: &str| keys.path().join(name).display().to_string();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(at("cert.pem"), cert.pem()).unwrap();
    std::fs::write(at("key.pem"), signing_key.serialize_pem()).unwrap();
    let tls = format!("ssl; ssl_certificate {}; ssl_certificate_key {};", at("cert.pem"), at("key.pem"));
    // Every request is an asset to it: it only adds TLS.
    let template = TEMPLATE
        .replace("listen ${LISTEN};", &format!("listen ${{LISTEN}} {tls}"))
        .replace(r#"location ~ "^/assets(/[\w-]+(\.[\w-]+)*)+\z""#, "location ~ ^");
    let server = start("nginx", |listen, folder| {
        nginx::with(&template, &Place { listen, anteroom: "127.0.0.1:1", site: shop.address(), folder })
    });
    let (url, authority) = (server.base.replace("http://127.0.0.1", "https://localhost"), at("cert.pem"));
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
