//! The origin is away for two minutes, really: nobody who waits sees an error, nobody who is inside is put out, and it all goes on
//! afterwards.

use crate::edge_of;
use crate::house::{Got, Visitor};
use crate::shop::Shop;
use crate::support::process::Process;
use crate::support::{Client, eventually};
use anteroom_testkit::free_port;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const OUTAGE: Duration = Duration::from_secs(120);

/// How the origin goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    /// Nobody listens at its address: SIGKILL, and a restart with what it had saved.
    Killed,
    /// It takes connections and says nothing: SIGSTOP.
    Stopped,
}

#[tokio::test(flavor = "multi_thread")]
async fn two_minutes_without_the_origin_are_not_noticed_by_who_is_there() {
    tokio::join!(outage(Away::Killed), outage(Away::Stopped));
}

/// A visitor of the room at this path.
struct Guest {
    path: &'static str,
    visitor: Visitor,
}

impl Guest {
    async fn look(&mut self) -> Got {
        self.visitor.page(self.path).await
    }
}

async fn outage(away: Away) {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let state = folder.path().to_str().unwrap().to_owned();
    let variables = [("ANTEROOM_STATE_DIR", state.as_str()), ("ANTEROOM_LISTEN", address.as_str())];
    let mut origin = Process::start(&variables);
    let line = json!({"burst": 100, "min_wait": [], "session_sec": 20, "gate": {"paths": ["/held/*"]}});
    let open = json!({"mode": "hold", "min_wait": [], "on_origin_down": "open", "gate": {"paths": ["/open/*"]}});
    origin.put("held", line).await;
    origin.put("open", open).await;
    // In a line of its own, so that who waits there waits throughout.
    origin.put("sale", json!({"mode": "hold", "min_wait": [], "gate": {"paths": ["/sale/*"]}})).await;
    let shop = Shop::open().await;
    let edge = edge_of(&format!("http://{address}"), &shop.url());
    let guest = |path| Guest { path, visitor: Visitor::of(&edge.url()) };
    let (mut inside, mut waiting, mut at_open) = (guest("/held/1"), guest("/sale/1"), guest("/open/1"));
    inside.look().await.of_the_shop();
    waiting.look().await.is_page("line");
    at_open.look().await.is_page("line");
    let token = waiting.visitor.cookies["__Host-anteroom-wait-sale"].clone();
    let place = Client::new(&edge.url()).status(&token).await.ok(200)["position"].clone();

    // The line is saved twice a second; what is not in it yet is another test's.
    tokio::time::sleep(Duration::from_secs(2)).await;
    match away {
        Away::Killed => origin.kill(),
        Away::Stopped => origin.pause(),
    }
    let since = Instant::now();
    let (mut looks, mut slowest, mut opened) = (0, Duration::ZERO, None);
    let mut newcomer_held = 0;
    while since.elapsed() < OUTAGE {
        let mut begun = Instant::now();
        let mut took = |slowest: &mut Duration| {
            *slowest = (*slowest).max(begun.elapsed());
            begun = Instant::now();
        };
        inside.look().await.of_the_shop();
        took(&mut slowest);
        assert_eq!(waiting.look().await.is_page("line").status, 200);
        took(&mut slowest);
        let status = Client::new(&edge.url()).status(&token).await.ok(200);
        took(&mut slowest);
        assert_eq!((&status["status"], &status["position"]), (&json!("waiting"), &place));
        let got = at_open.look().await;
        took(&mut slowest);
        if got.header("x-shop").is_some() {
            opened.get_or_insert(since.elapsed());
        } else {
            got.is_page("line");
            assert_eq!(opened, None, "once open, it stays open");
        }
        // Newcomers of the room that holds are told to try again. One now and then: where nobody answers, each waits for a while.
        if looks % 40 == 20 {
            let got = guest("/held/1").look().await;
            assert_eq!((got.is_page("held").header("retry-after"), shop_is_quiet(&got)), (Some("5"), true));
            newcomer_held += 1;
        }
        looks += 4;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let opened = opened.expect("the room that says so has opened").as_secs();
    assert!((25..60).contains(&opened), "opened after {opened} s");
    println!(
        "{away:?} for {} s: {looks} looks without an error, each in {:.2} s at most; `open` opened after {opened} s; \
         {newcomer_held} newcomers held",
        since.elapsed().as_secs(),
        slowest.as_secs_f64()
    );
    // Where nobody has looked for ten seconds, the edge tries the origin once more, for two.
    assert!(slowest < Duration::from_secs(4), "{slowest:?}");

    match away {
        Away::Killed => origin = Process::start(&variables),
        Away::Stopped => origin.resume(),
    }
    origin.is_ready().await;
    let back = Instant::now();
    // Long enough for the edge to ask about everything anew.
    while back.elapsed() < Duration::from_secs(25) {
        inside.look().await.of_the_shop();
        waiting.look().await.is_page("line");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(origin.stats("sale").await["waiting"], 1, "nobody has lost the place");
    at_open.look().await.is_page("line");
    guest("/held/2").look().await.of_the_shop();
    origin.put("sale", json!({"mode": "line", "burst": 100})).await;
    origin.ready(&token).await;
    let form = [("sec-fetch-site", "same-origin"), ("content-type", "application/x-www-form-urlencoded")];
    let entered = waiting.visitor.ask("POST", "/gate/enter", &form, Some("event=sale&to=/sale/1")).await;
    assert_eq!((entered.status, entered.header("location")), (303, Some("/sale/1")), "{entered:?}");
    eventually("inside", async || waiting.look().await.header("x-shop").map(drop)).await;
}

fn shop_is_quiet(got: &Got) -> bool {
    got.header("x-shop").is_none() && got.body == Value::Null
}
