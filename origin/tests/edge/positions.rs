//! Positions in a long line with holes: the edge's, from the sketch of the board, against the origin's, from the line itself.

use crate::edge_of;
use crate::house::{Host, House};
use crate::support::{Client, SECRET, Store, eventually};
use anteroom_core::line::{Join, JoinLimits};
use anteroom_core::poll::NEAR_MS;
use anteroom_core::token::{TokenKeys, WaitingClaims};
use anteroom_core::units::{EventId, Generation, Slot, Ticket};
use serde_json::json;
use std::time::Duration;

const PEOPLE: u64 = 200_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_256_positions_are_exact_and_those_behind_within_one_percent() {
    let house = House::open(Host::Edge, json!({"mode": "hold", "min_wait": [], "heartbeat_sec": 3600})).await;
    let event = EventId::parse("sale").unwrap();
    let room = house.site.origin.rooms.get("sale").unwrap();
    let (store, now) = (room.host().store.clone(), room.host().clock.now());
    let limits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 1_000 };
    for _ in 0..PEOPLE / 10_000 {
        let batch = vec![Join { identity: None, idem: None }; 10_000];
        store.join(&event, &batch, limits, now).await.unwrap().unwrap();
    }
    let generation = Generation(house.api.stats("sale").await["generation"].as_u64().unwrap());
    // Clumps of leavers of every length, three in ten of all.
    let mut dice = fastrand::Rng::with_seed(7);
    let (mut slot, mut left) = (1, 0);
    while slot < PEOPLE {
        for _ in 0..dice.u64(1..600) {
            if slot < PEOPLE {
                store.leave(&event, generation, Slot(slot), now).await.unwrap().unwrap();
                (slot, left) = (slot + 1, left + 1);
            }
        }
        slot += dice.u64(1..1_400);
    }
    eventually("both know the line", async || {
        let edge = house.look_at_board("sale").await;
        let origin = house.api.get("/api/v1/queue/board?event_id=sale").await.ok(200);
        let same = ["version", "issued", "waiting", "sketch"].iter().all(|field| edge[*field] == origin[*field]);
        (same && origin["waiting"] == PEOPLE - left).then_some(())
    })
    .await;
    let keys = TokenKeys::new(&[SECRET]).unwrap();
    let (mut asked, mut exact, mut worst) = (0, 0, 0.0_f64);
    let edge = Client::new(&house.base);
    let tickets = (1..1_200).chain((0..4_000).map(|_| dice.u64(1_200..=PEOPLE)));
    for ticket in tickets {
        let claims = WaitingClaims {
            event: event.clone(),
            generation,
            ticket: Ticket(ticket),
            identity: None,
            issued_at: now.secs(),
        };
        let token = keys.sign(&claims);
        let reply = house.api.status(&token).await;
        if reply.status != 200 {
            continue;
        }
        let want = reply.ok(200)["position"].as_u64().unwrap();
        let got = edge.status(&token).await.ok(200)["position"].as_u64().unwrap();
        asked += 1;
        if want <= 256 {
            exact += 1;
            assert_eq!(got, want, "ticket {ticket}");
        }
        let error = got.abs_diff(want) as f64 / want as f64;
        worst = worst.max(error);
        assert!(error <= 0.01, "ticket {ticket}: {got} for {want}");
    }
    assert!(asked > 2_000 && exact == 256, "{asked} asked, {exact} of them in front");
    println!(
        "{PEOPLE} tickets, {left} left; {asked} asked at both: the first 256 exact, the worst behind {:.2} % off",
        worst * 100.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_when_told_to_sees_no_number_go_up_from_one_edge_to_the_next() {
    let origin = Store::Embedded.start(&[]).await;
    let workers = [edge_of(origin.base(), "http://127.0.0.1:1"), edge_of(origin.base(), "http://127.0.0.1:1")];
    let edges = workers.each_ref().map(|worker| Client::new(&worker.url()));
    // Alone in asking about a room: each edge hears of it at every second poll only.
    let person = async |room: String| {
        origin.put(&room, json!({"admit_per_minute": 300, "burst": 1, "min_wait": []})).await;
        let mut joined = Vec::new();
        for _ in 0..150 {
            joined.push(origin.join(&room).await);
        }
        let last = joined.pop().unwrap();
        let token = last["waiting_token"].as_str().unwrap();
        let mut position = last["position"].as_u64().unwrap();
        let first = position;
        for poll in 0..10 {
            let told = edges[poll % edges.len()].status(token).await.ok(200);
            let now = told["position"].as_u64().unwrap();
            assert!(now <= position, "{room}, poll {poll}: {now} after {position}");
            assert_eq!(told["stale"], false);
            position = now;
            // What the person does, as the answer says. In a long line the pause is longer; the shortest is the hardest.
            tokio::time::sleep(Duration::from_millis(told["poll_after_ms"].as_u64().unwrap().min(NEAR_MS * 7 / 8)))
                .await;
        }
        assert!(position < first, "and the line moves");
    };
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|room| person(room.to_owned()));
    tokio::join!(a, b, c, d);
}
