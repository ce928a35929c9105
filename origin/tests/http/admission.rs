//! Who is let in, when, and never too many: modes, schedule, rate, capacity, silence, order.

use crate::support::client::ticket_of;
use crate::support::{Site, Store, at_once, eventually, token_of};
use anteroom_core::settings::rfc3339;
use anteroom_core::units::Millis;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};

on_both_stores!(
    before_joins_open_nobody_joins_and_is_told_when,
    before_the_opening_people_gather_and_nobody_is_called,
    a_held_room_calls_nobody_and_a_room_let_through_everybody,
    calls_never_exceed_the_rate_bucket,
    people_inside_and_ready_never_exceed_the_capacity,
    calling_by_hand_is_bound_by_the_capacity,
    people_are_called_in_the_order_they_joined,
    a_wave_lets_in_its_size_together,
    a_hundred_ghosts_at_the_head_cost_the_living_nothing,
    who_polls_is_never_dropped_and_who_comes_back_in_time_has_the_place,
    who_comes_back_the_moment_before_being_passed_has_the_place,
    changed_settings_leave_the_running_line_alone,
    an_idle_a_held_and_a_deleted_room_hold_up_no_other,
    an_unknown_event_is_refused_or_made_as_configured,
);

fn from_now(ms: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    rfc3339(Millis(now.saturating_add_signed(ms)))
}

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap_or_else(|| panic!("{name} in {stats}"))
}

/// So many places, in order.
async fn tokens(site: &Site, event: &str, count: usize) -> Vec<String> {
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        tokens.push(site.token(event).await);
    }
    tokens
}

async fn before_joins_open_nobody_joins_and_is_told_when(store: Store) {
    let site = store.start(&[]).await;
    let (opens, closes) = (from_now(1_000), from_now(2_000));
    site.put("sale", json!({"schedule": {"joins_open": opens, "closes": closes}})).await;
    let reply = site.send(site.join_request("sale")).await;
    assert_eq!((reply.status, &reply.refused("JOIN_NOT_OPEN")["opens_at"]), (409, &json!(opens)));
    assert_eq!(site.stats("sale").await["issued"], 0);
    let token = eventually("joins open", async || {
        let reply = site.send(site.join_request("sale")).await;
        (reply.status == 202).then(|| token_of(&reply.body))
    })
    .await;
    let reply = eventually("booking closes", async || {
        let reply = site.send(site.join_request("sale")).await;
        (reply.status != 202).then_some(reply)
    })
    .await;
    assert_eq!((reply.status, reply.refused("BOOKING_CLOSED").is_object()), (409, true));
    site.ready(&token).await;
    site.enter(&token).await.ok(200);
}

async fn before_the_opening_people_gather_and_nobody_is_called(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"schedule": {"opens": from_now(1_200)}, "min_wait": []})).await;
    let tokens = tokens(&site, "sale", 3).await;
    let status = site.status(&tokens[0]).await.ok(200);
    assert_eq!((&status["status"], &status["position"]), (&json!("waiting"), &json!(1)), "{status}");
    site.enter(&tokens[0]).await.refused("NOT_READY");
    assert_eq!(site.stats("sale").await["called_total"], 0);
    for token in &tokens {
        site.ready(token).await;
    }
}

async fn a_held_room_calls_nobody_and_a_room_let_through_everybody(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "min_wait": [], "admit_per_minute": 1, "burst": 1})).await;
    let tokens = tokens(&site, "sale", 30).await;
    for token in &tokens {
        assert_eq!(site.status(token).await.ok(200)["eta_sec"], Value::Null);
    }
    assert_eq!(site.stats("sale").await["called_total"], 0);
    site.put("sale", json!({"mode": "passthrough"})).await;
    for token in &tokens {
        site.ready(token).await;
        site.enter(token).await.ok(200);
    }
    assert_eq!(site.join("sale").await["status"], "ready");
    site.put("sale", json!({"mode": "reject"})).await;
    let reply = site.send(site.join_request("sale")).await;
    assert_eq!((reply.status, reply.refused("ROOM_FULL").is_object()), (503, true));
}

async fn calls_never_exceed_the_rate_bucket(store: Store) {
    let site = store.start(&[]).await;
    let since = Instant::now();
    site.put("sale", json!({"admit_per_minute": 600, "burst": 5, "min_wait": []})).await;
    let client = (*site).clone();
    at_once(60, |_| {
        let client = client.clone();
        async move { client.join("sale").await }
    })
    .await;
    let mut most = 0;
    while since.elapsed() < Duration::from_millis(2_500) {
        let called = number(&site.stats("sale").await, "called_total");
        let allowed = 5 + since.elapsed().as_millis() as u64 * 600 / 60_000;
        assert!(called <= allowed, "{called} called where {allowed} were allowed");
        most = called;
    }
    // It is a bound, and what it allows is used.
    assert!(most >= 20, "only {most} were called");
}

async fn people_inside_and_ready_never_exceed_the_capacity(store: Store) {
    let site = store.start(&[]).await;
    let settings = json!({"capacity": 3, "admit_per_minute": 600_000, "burst": 1_000, "min_wait": [], "claim_sec": 1});
    site.put("sale", settings).await;
    let tokens = tokens(&site, "sale", 12).await;
    let mut entered = Vec::new();
    let mut most = 0;
    let since = Instant::now();
    // Some enter and stay a little, some miss their turn: either way the next come only when a place is free.
    while most < 12 {
        assert!(since.elapsed() < Duration::from_secs(30), "the line stands at {most}");
        let stats = site.stats("sale").await;
        let inside = number(&stats, "active") + number(&stats, "ready");
        assert!(inside <= 3, "{stats}");
        most = number(&stats, "called_total");
        for token in tokens.iter().step_by(2) {
            let reply = site.enter(token).await;
            if reply.status == 200 && !entered.contains(token) {
                entered.push(token.clone());
            }
        }
        let stats = site.stats("sale").await;
        assert!(number(&stats, "active") + number(&stats, "ready") <= 3, "{stats}");
        if number(&stats, "active") == 3 {
            site.leave(&entered.remove(0)).await.ok(200);
        }
    }
}

async fn calling_by_hand_is_bound_by_the_capacity(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "capacity": 5})).await;
    let tokens = tokens(&site, "sale", 8).await;
    assert_eq!(site.call("sale", 3).await, 3);
    assert_eq!(site.call("sale", 3).await, 2);
    assert_eq!(site.call("sale", 3).await, 0);
    for (number, token) in tokens.iter().enumerate() {
        let status = site.status(token).await.ok(200);
        assert_eq!(status["status"], if number < 5 { "ready" } else { "waiting" }, "{status}");
    }
    site.leave(&tokens[0]).await.ok(200);
    assert_eq!(site.call("sale", 3).await, 1, "a turn given back is free");
}

async fn people_are_called_in_the_order_they_joined(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"admit_per_minute": 1_200, "burst": 1, "min_wait": []})).await;
    let client = (*site).clone();
    let mut tokens = at_once(40, |_| {
        let client = client.clone();
        async move { client.token("sale").await }
    })
    .await;
    tokens.sort_by_key(|token| ticket_of(token));
    let tickets: Vec<u64> = tokens.iter().map(|token| ticket_of(token)).collect();
    assert_eq!(tickets, (1..=40).collect::<Vec<u64>>());
    let mut positions = vec![u64::MAX; tokens.len()];
    while positions[39] > 0 {
        let mut called_before = true;
        for (number, token) in tokens.iter().enumerate() {
            let position = number_of(&site.status(token).await.ok(200));
            assert!(position <= positions[number], "the number {number} was shown went up");
            assert!(position > 0 || called_before, "{number} was called before somebody ahead");
            called_before = position == 0;
            positions[number] = position;
        }
    }
}

fn number_of(status: &Value) -> u64 {
    number(status, "position")
}

async fn a_wave_lets_in_its_size_together(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"release": {"waves": {"size": 5, "every_sec": 1}}, "min_wait": [], "mode": "hold"})).await;
    tokens(&site, "sale", 12).await;
    let since = Instant::now();
    site.put("sale", json!({"mode": "line"})).await;
    let mut seen = vec![0];
    while seen.last() != Some(&12) {
        let called = number(&site.stats("sale").await, "called_total");
        assert!(called <= 5 * (1 + since.elapsed().as_secs()), "{called} after {:?}", since.elapsed());
        if seen.last() != Some(&called) {
            seen.push(called);
        }
    }
    assert_eq!(seen, [0, 5, 10, 12]);
}

async fn a_hundred_ghosts_at_the_head_cost_the_living_nothing(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "heartbeat_sec": 2, "min_wait": []})).await;
    let ghosts = tokens(&site, "sale", 100).await;
    let token = site.token("sale").await;
    let since = Instant::now();
    eventually("the ghosts fade", async || {
        let status = site.status(&token).await.ok(200);
        (status["position"] == 1 && status["total_waiting"] == 1).then_some(())
    })
    .await;
    // heartbeat_sec, an epoch of a quarter of it, the second until the last heartbeats are merged, and a busy machine.
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
    assert_eq!(site.stats("sale").await["silent"], 100);
    site.put("sale", json!({"mode": "line", "burst": 1, "admit_per_minute": 1})).await;
    site.ready(&token).await;
    site.enter(&token).await.ok(200);
    site.status(&ghosts[50]).await.refused("TOKEN_EXPIRED");
    let stats = site.stats("sale").await;
    assert_eq!((&stats["called_total"], &stats["missed_total"]), (&json!(1), &json!(0)), "{stats}");
}

async fn who_comes_back_the_moment_before_being_passed_has_the_place(store: Store) {
    let site = store.start(&[]).await;
    for by_hand in [false, true] {
        let event = format!("sale-{by_hand}");
        site.put(&event, json!({"mode": "hold", "heartbeat_sec": 2, "min_wait": []})).await;
        let places = tokens(&site, &event, 3).await;
        eventually("everybody is silent", async || (site.stats(&event).await["silent"] == 3).then_some(())).await;
        // The one behind comes back first and is merged; the one ahead comes back with nothing between the poll and the call.
        eventually("the last is back", async || {
            (site.status(&places[2]).await.ok(200)["total_waiting"] == 1).then_some(())
        })
        .await;
        site.status(&places[1]).await.ok(200);
        if by_hand {
            site.call(&event, 2).await;
        } else {
            site.put(&event, json!({"mode": "line"})).await;
        }
        site.ready(&places[1]).await;
        site.ready(&places[2]).await;
        site.status(&places[0]).await.refused("TOKEN_EXPIRED");
    }
}

async fn who_polls_is_never_dropped_and_who_comes_back_in_time_has_the_place(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "heartbeat_sec": 2})).await;
    let (away, here) = (site.token("sale").await, site.token("sale").await);
    eventually("the first falls silent", async || {
        let status = site.status(&here).await.ok(200);
        assert_ne!(status["position"], 0);
        (status["position"] == 1).then_some(())
    })
    .await;
    // Back before the cursor has passed: the same place, ahead of the other.
    eventually("the first has the place again", async || {
        let ahead = site.status(&away).await.ok(200);
        let behind = site.status(&here).await.ok(200);
        (ahead["position"] == 1 && behind["position"] == 2).then_some(())
    })
    .await;
    assert_eq!(site.call("sale", 1).await, 1);
    assert_eq!(site.status(&away).await.ok(200)["status"], "ready");
    assert_eq!(site.status(&here).await.ok(200)["position"], 1);
}

async fn changed_settings_leave_the_running_line_alone(store: Store) {
    let site = store.start(&[]).await;
    site.put("sale", json!({"mode": "hold", "min_wait": []})).await;
    let tokens = tokens(&site, "sale", 5).await;
    site.put("sale", json!({"capacity": 2, "session_sec": 60, "claim_sec": 30, "heartbeat_sec": 60})).await;
    for (number, token) in tokens.iter().enumerate() {
        assert_eq!(site.status(token).await.ok(200)["position"], number + 1);
    }
    site.put("sale", json!({"mode": "line", "admit_per_minute": 6_000})).await;
    site.ready(&tokens[1]).await;
    assert_eq!(site.status(&tokens[2]).await.ok(200)["position"], 1);
    site.put("sale", json!({"capacity": null})).await;
    site.ready(&tokens[4]).await;
}

async fn an_idle_a_held_and_a_deleted_room_hold_up_no_other(store: Store) {
    let site = store.start(&[]).await;
    for (event, settings) in [("a-deleted", json!({})), ("b-held", json!({"mode": "hold"})), ("c-idle", json!({}))] {
        site.put(event, settings).await;
    }
    site.put("d-busy", json!({"admit_per_minute": 6_000, "burst": 1, "min_wait": []})).await;
    tokens(&site, "a-deleted", 3).await;
    tokens(&site, "b-held", 3).await;
    site.send(site.admin("DELETE", "/rooms/a-deleted")).await.ok(200);
    for token in tokens(&site, "d-busy", 10).await {
        site.ready(&token).await;
    }
    assert_eq!(site.stats("b-held").await["called_total"], 0);
}

async fn an_unknown_event_is_refused_or_made_as_configured(store: Store) {
    let site = store.start(&[]).await;
    site.send(site.join_request("new")).await.refused("EVENT_NOT_FOUND");
    assert_eq!(site.send(site.admin("GET", "/rooms")).await.ok(200), json!({"rooms": []}));
    let site = store.start(&[("ANTEROOM_ROOMS_UNKNOWN", "create")]).await;
    let client = (*site).clone();
    let tokens = at_once(10, |_| {
        let client = client.clone();
        async move { client.token("new").await }
    })
    .await;
    let mut tickets: Vec<u64> = tokens.iter().map(|token| ticket_of(token)).collect();
    tickets.sort_unstable();
    assert_eq!(tickets, (1..=10).collect::<Vec<u64>>());
    site.get("/api/v1/queue/board?event_id=not-joined").await.refused("EVENT_NOT_FOUND");
}
