//! The operator's reset, as people at the edge come to feel it.

use crate::house::{Host, House, quick};
use crate::support::eventually;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_throws_out_who_is_inside_within_seconds() {
    let house = House::open(Host::Edge, quick()).await;
    let mut inside = house.visitor();
    inside.page("/").await.of_the_shop();
    let session = inside.token("session").unwrap().clone();
    house.api.send(house.api.admin("POST", "/rooms/sale/reset")).await.ok(200);
    let since = Instant::now();
    eventually("the session is worth nothing", async || {
        let mut visitor = house.visitor();
        visitor.cookies.insert("__Host-anteroom-session-sale".into(), session.clone());
        // A picture takes no place, and so no new session.
        let got = visitor.asset("/logo.png").await;
        got.header("x-shop").is_none().then_some(())
    })
    .await;
    let took = since.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    println!("thrown out {:.1} s after the reset", took.as_secs_f64());
    // Whoever comes now is of the new generation.
    house.visitor().page("/").await.of_the_shop();
}
