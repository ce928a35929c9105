//! The store is away: nobody who waits sees an error, nobody who is inside is put out, and it all goes on afterwards.

use crate::house::{BROWSER, House, quick};
use crate::support::{Store, eventually};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_people_go_on_waiting_and_go_on_being_inside() {
    let mut house = House::native(Store::Redis, &[]).await;
    house.api.put("sale", quick()).await;
    let mut inside = house.visitor();
    inside.page("/").await.of_the_shop();
    house.api.put("sale", json!({"mode": "hold", "session_sec": 5})).await;
    let mut waiting = house.visitor();
    waiting.page("/").await.is_page("line");
    house.site.redis.as_mut().unwrap().kill();
    eventually("it is noticed", async || {
        let reply = house.api.try_send(house.api.request("GET", "/readyz")).await?;
        (reply.status == 503).then_some(())
    })
    .await;
    for _ in 0..5 {
        inside.page("/").await.of_the_shop();
        assert_eq!(waiting.page("/").await.is_page("line").status, 200);
        waiting.data("/").await.refused("NOT_READY");
    }
    eventually("what is shown is said to be old", async || {
        (waiting.data("/").await.refused("NOT_READY")["stale"] == true).then_some(())
    })
    .await;
    let newcomer = house.visitor().page("/").await;
    assert_eq!(newcomer.is_page("held").header("retry-after"), Some("5"));
    let pressed = waiting.post("enter", "/", None).await;
    assert_eq!((pressed.status, pressed.header("location")), (303, Some("/")));
    let left = waiting.post("leave", "/", None).await;
    assert_eq!(left.is_page("held").cookies().len(), 0, "what was not done is not said to be");
    house.site.redis.as_mut().unwrap().restart();
    house.api.is_ready().await;
    house.api.put("sale", json!({"mode": "line"})).await;
    assert_eq!(waiting.enter(&house, "/").await.status, 303);
    waiting.page("/").await.of_the_shop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_use_outlives_the_store_that_could_extend_it() {
    let mut house = House::native(Store::Redis, &[]).await;
    house.api.put("sale", json!({"burst": 100, "min_wait": [], "session_sec": 3})).await;
    let mut inside = house.visitor();
    inside.page("/").await.of_the_shop();
    let end = crate::support::client::claims_of(inside.token("session").unwrap())["exp"].as_u64().unwrap();
    house.site.redis.as_mut().unwrap().kill();
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    eventually("well beyond its end", async || {
        inside.page("/").await.of_the_shop();
        (now() > end + 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_rooms_are_known_nothing_passes() {
    let mut redis = anteroom_testkit::redis::RedisServer::start();
    redis.kill();
    let shop = crate::shop::Shop::open().await;
    let url = redis.url();
    let origin =
        crate::support::process::Process::start(&[("ANTEROOM_REDIS_URL", &url), ("ANTEROOM_UPSTREAM", &shop.url())]);
    let request = origin
        .request("GET", "/")
        .headers(BROWSER.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect());
    let got = request.send().await.unwrap();
    assert_eq!(
        (got.headers()["anteroom-scene"].to_str().unwrap(), shop.requests()),
        ("held", 0),
        "a gate that knows no rooms yet guards all of them"
    );
    redis.restart();
    origin.is_ready().await;
    assert_eq!(origin.request("GET", "/").send().await.unwrap().status(), 200);
    assert_eq!(shop.requests(), 1);
}
