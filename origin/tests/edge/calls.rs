//! What the edge asks of its origin, counted on the way between them.

use crate::house::{Host, House, quick};
use serde_json::json;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_inside_costs_the_origin_nothing() {
    let house = House::open(Host::Edge, quick()).await;
    let mut visitor = house.visitor();
    visitor.page("/").await.of_the_shop();
    let (_, wire) = house.front.as_ref().unwrap();
    let (before, since) = (wire.asked(), Instant::now());
    for count in 0..1_000 {
        visitor.asset(&format!("/picture/{count}.png")).await.of_the_shop();
    }
    let seconds = since.elapsed().as_secs() as usize;
    let mut all = 0;
    for (what, count) in wire.asked() {
        let more = count - before.get(&what).copied().unwrap_or(0);
        // Board once a second, rooms every five, however many people there are.
        let most = match what.as_str() {
            "GET /api/v1/queue/board" => seconds + 2,
            "GET /api/v1/edge/rooms" => seconds / 5 + 2,
            _ => 0,
        };
        assert!(more <= most, "{what}: {more} in {seconds} s");
        all += more;
    }
    assert_eq!(house.shop.requests(), 1_001);
    println!("1,000 admitted requests in {seconds} s: {all} requests to the origin, all of them for board and rooms");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_polls_as_told_is_reported_in_batches() {
    let house = House::open(Host::Edge, json!({"mode": "hold", "min_wait": []})).await;
    let (_, wire) = house.front.as_ref().unwrap();
    let mut people = Vec::new();
    for _ in 0..200 {
        let mut visitor = house.visitor();
        visitor.page("/").await.is_page("line");
        people.push(visitor);
    }
    let (before, since) = (wire.asked(), Instant::now());
    for _ in 0..5 {
        for visitor in &mut people {
            visitor.page("/").await.is_page("line");
            // As the script of the page asks, which does not see the cookie.
            let status = visitor.data("/api/v1/queue/status?event_id=sale").await;
            assert_eq!((status.status, &status.body["status"]), (200, &json!("waiting")), "{status:?}");
        }
    }
    let seconds = since.elapsed().as_secs() as usize;
    let mut all = 0;
    for (what, count) in wire.asked() {
        let more = count - before.get(&what).copied().unwrap_or(0);
        assert!(more == 0 || ["board", "rooms", "reports"].iter().any(|end| what.ends_with(end)), "{what}: {more}");
        all += more;
    }
    assert!(all <= 3 * seconds + 6, "{all} in {seconds} s");
    println!("1,000 looks at the waiting page and 1,000 polls of it in {seconds} s: {all} requests to the origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_too_early_or_too_late_costs_the_origin_nothing() {
    for (schedule, scene) in [
        (json!({"joins_open": "2099-01-01T00:00:00Z"}), "not_open"),
        (json!({"closes": "2020-01-01T00:00:00Z"}), "closed"),
    ] {
        let house = House::open(Host::Edge, json!({"schedule": schedule})).await;
        let (_, wire) = house.front.as_ref().unwrap();
        for _ in 0..200 {
            house.visitor().page("/").await.is_page(scene);
        }
        let asked = wire.asked();
        assert!(!asked.contains_key("POST /api/v1/queue/join"), "{asked:?}");
        assert_eq!(house.shop.requests(), 0);
    }
}
