//! Anteroom goes away and comes back.

use crate::house::{BROWSER, Visitor};
use crate::proxy::Proxy;
use crate::shop::Shop;
use crate::support::eventually;
use crate::support::process::Process;
use anteroom_testkit::free_port;
use serde_json::json;

behind_every_proxy!(while_anteroom_is_away_nobody_gets_past_and_afterwards_everybody_goes_on);

async fn while_anteroom_is_away_nobody_gets_past_and_afterwards_everybody_goes_on(proxy: Proxy) {
    let (shop, dir) = (Shop::open().await, tempfile::tempdir().unwrap());
    let listen = format!("127.0.0.1:{}", free_port());
    let settings = [
        ("ANTEROOM_LISTEN", listen.as_str()),
        ("ANTEROOM_STATE_DIR", dir.path().to_str().unwrap()),
        ("ANTEROOM_TRUSTED_PROXIES", "127.0.0.0/8"),
    ];
    let origin = Process::start(&settings);
    origin.is_ready().await;
    origin.put("sale", json!({"burst": 100, "min_wait": []})).await;
    let running = proxy.start(&listen, &shop.url());
    let (mut inside, mut outside) = (Visitor::of(&running.base), Visitor::of(&running.base));
    inside.page("/gate/wait?to=/").await;
    inside.page("/tickets").await.of_the_shop();
    origin.put("sale", json!({"mode": "hold"})).await;
    outside.page("/gate/wait?to=/tickets").await.is_page("line");
    let asked = shop.requests();
    assert!(origin.terminate().success());
    for headers in [&BROWSER[..], &[("accept", "application/json")], &[]] {
        for visitor in [&mut inside, &mut outside] {
            let got = visitor.ask("GET", "/tickets", headers, None).await;
            assert!((500..=504).contains(&got.status), "{got:?}");
        }
    }
    assert_eq!(shop.requests(), asked, "nobody gets past");
    outside.asset("/assets/a.css").await.of_the_shop();

    let origin = Process::start(&settings);
    origin.is_ready().await;
    eventually("whoever was inside is inside", async || inside.page("/tickets").await.header("x-shop").map(|_| ()))
        .await;
    outside.page("/gate/wait?to=/tickets").await.is_page("line");
    assert_eq!(origin.stats("sale").await["issued"], 2, "places are kept");

    // One that takes connections and does not answer is away as well.
    origin.pause();
    let asked = shop.requests();
    let mut waiting = inside.clone();
    let answer = tokio::spawn(async move { waiting.page("/tickets").await });
    if proxy.gives_up() {
        let got = answer.await.unwrap();
        assert!((500..=504).contains(&got.status), "{got:?}");
        assert_eq!(shop.requests(), asked, "nobody gets past");
        origin.resume();
    } else {
        origin.resume();
        answer.await.unwrap().of_the_shop();
    }
    eventually("whoever was inside is inside", async || inside.page("/tickets").await.header("x-shop").map(|_| ()))
        .await;
}
