//! A room with nobody's place to spare, whose origin is away for longer than its sessions and turns last: nobody loses what they had,
//! and nobody comes in on their account.

use crate::edge_of;
use crate::house::{Got, Visitor};
use crate::shop::Shop;
use crate::support::process::Process;
use anteroom_testkit::free_port;
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a session and a turn last, seconds.
const LASTS: u64 = 20;
const OUTAGE: Duration = Duration::from_secs(3 * LASTS);

#[tokio::test(flavor = "multi_thread")]
async fn nobody_inside_or_called_pays_for_an_outage_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let variables = [("ANTEROOM_STATE_DIR", folder.path().to_str().unwrap()), ("ANTEROOM_LISTEN", address.as_str())];
    let mut origin = Process::start(&variables);
    let settings = json!({
        "capacity": 3, "burst": 100, "min_wait": [], "session_sec": LASTS, "claim_sec": LASTS, "gate": {"paths": ["/sale/*"]},
    });
    origin.put("sale", settings).await;
    let shop = Shop::open().await;
    let edge = edge_of(&format!("http://{address}"), &shop.url());
    let guest = || Guest(Visitor::of(&edge.url()));
    // Two are inside, one is called, one waits.
    let (mut busy, mut idle, mut waiting) = (guest(), guest(), guest());
    busy.look().await.of_the_shop();
    idle.look().await.of_the_shop();
    let called = origin.token("sale").await;
    origin.ready(&called).await;
    waiting.look().await.is_page("line");

    // The line is saved twice a second; what is not in it yet is another test's.
    tokio::time::sleep(Duration::from_secs(2)).await;
    origin.kill();
    let since = Instant::now();
    while since.elapsed() < OUTAGE {
        busy.look().await.of_the_shop();
        waiting.look().await.is_page("line");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    origin = Process::start(&variables);
    origin.is_ready().await;

    // Who was called and could not come: the turn has as much left of it as before.
    assert_eq!(origin.status(&called).await.ok(200)["status"], "ready");
    idle.look().await.of_the_shop();
    let back = Instant::now();
    // Longer than a session, so that it is seen to be extended as ever.
    while back.elapsed() < Duration::from_secs(LASTS + 10) {
        busy.look().await.of_the_shop();
        idle.look().await.of_the_shop();
        if back.elapsed() < Duration::from_secs(LASTS / 2) {
            waiting.look().await.is_page("line");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // The turn that was not taken has gone to the next.
    let place = waiting.0.token("wait").unwrap().clone();
    origin.ready(&place).await;
    let entered = waiting.0.post("enter", "/sale/1", None).await;
    waiting.look().await.of_the_shop();
    let stats = origin.stats("sale").await;
    assert_eq!((&stats["active"], &stats["missed_total"]), (&json!(3), &json!(1)), "{entered:?} {stats}");
}

struct Guest(Visitor);

impl Guest {
    async fn look(&mut self) -> Got {
        self.0.page("/sale/1").await
    }
}
