//! What holds of every store, written once and run on every engine and on every way to reach Redis.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "store_suite/outages.rs"]
mod outages;

use anteroom_core::bitmap::Bitmap;
use anteroom_core::line::{
    Call, Called, EXACT_MARKS, Enter, EnterTerms, Facts, Heard, IdemKey, Join, JoinLimits, Joined, Leave, Restore,
    Session, TICK_MAX_MS,
};
use anteroom_core::units::{EventId, Generation, Identity, Millis, Slot, Ticket};
use anteroom_origin::store::memory::MemoryStore;
use anteroom_origin::store::redis::{RedisOptions, RedisStore};
use anteroom_origin::store::{Bound, Known, QueueStore, Reading};
use anteroom_testkit::redis::{Guard, RedisServer};
use outages::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const NOW: Millis = Millis(1_700_000_000_000);
const GENERATION: Generation = Generation(1_700_000_000);
const LIMITS: JoinLimits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 1_000 };
const TERMS: EnterTerms = EnterTerms { session_ms: 60_000, pass_ttl_ms: 30_000 };

type Store = Arc<dyn QueueStore>;

fn event() -> EventId {
    EventId::parse("Sale-2026.11_21:vip").unwrap()
}

fn anonymous() -> Join {
    Join { identity: None, idem: None }
}

fn identified(name: &str) -> Join {
    Join { identity: Some(Identity::parse(name).unwrap()), idem: None }
}

fn keyed(key: &str, fingerprint: &str) -> Join {
    Join { identity: None, idem: Some(IdemKey { key: key.into(), fingerprint: fingerprint.into() }) }
}

async fn room(store: &Store) {
    store.put_room(&event(), "{}", NOW).await.unwrap();
}

async fn join_at(store: &Store, batch: &[Join], now: Millis) -> Vec<Joined> {
    store.join(&event(), batch, LIMITS, now).await.unwrap().unwrap().joined
}

async fn crowd(store: &Store, people: usize) {
    join_at(store, &vec![anonymous(); people], NOW).await;
}

async fn read_at(store: &Store, now: Millis) -> Reading {
    store.read(&event(), Known { sessions: true, ..Known::default() }, now).await.unwrap().unwrap()
}

async fn read(store: &Store) -> Reading {
    read_at(store, NOW).await
}

/// Ticks as an origin does, until `now`.
async fn tick_until(store: &Store, now: Millis) {
    let mut at = read_at(store, Millis(0)).await.facts.now;
    while at < now {
        at = at.plus(TICK_MAX_MS).min(now);
        read_at(store, at).await;
    }
}

async fn call_at(store: &Store, count: u64, now: Millis) -> Called {
    let version = read_at(store, now).await.facts.version;
    let limit = Slot(u64::MAX);
    let call = Call { version, now, count, limit, until: now.plus(30_000), ..Call::default() };
    store.call(&event(), &call).await.unwrap().unwrap()
}

async fn call(store: &Store, count: u64) -> Called {
    call_at(store, count, NOW).await
}

async fn enter_at(store: &Store, slot: u64, now: Millis) -> Enter {
    store.enter(&event(), GENERATION, Slot(slot), TERMS, now).await.unwrap().unwrap()
}

async fn leave(store: &Store, slot: u64) -> Leave {
    store.leave(&event(), GENERATION, Slot(slot), NOW).await.unwrap().unwrap()
}

async fn hear(store: &Store, slots: impl IntoIterator<Item = u64>) -> u64 {
    let mut heard = Heard { generation: GENERATION, ..Heard::default() };
    for slot in slots {
        heard.bits.set(slot - 1);
    }
    store.hear(&event(), &heard, NOW).await.unwrap().unwrap()
}

/// Turns so many epochs; who was not heard from stops counting.
async fn turn_epochs(store: &Store, epochs: u64, heard: &[u64]) {
    for _ in 0..epochs {
        hear(store, heard.iter().copied()).await;
        let epoch = read(store).await.facts.epoch;
        store.turn_epoch(&event(), epoch, NOW).await.unwrap().unwrap().unwrap();
    }
}

fn new_tickets(joined: &[Joined]) -> Vec<u64> {
    let number = |joined: &Joined| match joined {
        Joined::New { ticket, .. } => Some(ticket.0),
        _ => None,
    };
    joined.iter().filter_map(number).collect()
}

fn done(called: u64, serving: u64) -> Called {
    Called::Done { called, serving: Slot(serving) }
}

/// Hole 4: order within one moment.
async fn numbers_follow_the_order_of_the_batch(store: Store) {
    room(&store).await;
    let batch = [anonymous(), anonymous(), identified("a"), anonymous(), keyed("k", "f"), anonymous()];
    let joined = join_at(&store, &batch, NOW).await;
    let want: Vec<Joined> = (1..=6).map(|n| Joined::New { ticket: Ticket(n), position: n }).collect();
    assert_eq!(joined, want);
}

async fn concurrent_joins_never_share_a_number(store: Store) {
    room(&store).await;
    let mut joins = JoinSet::new();
    for _ in 0..40 {
        let store = store.clone();
        joins.spawn(async move { new_tickets(&join_at(&store, &vec![anonymous(); 25], NOW).await) });
    }
    let mut tickets = joins.join_all().await.concat();
    tickets.sort_unstable();
    assert_eq!(tickets, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(read(&store).await.facts.waiting, 1_000);
}

/// Hole 7.
async fn a_hundred_concurrent_joins_of_one_person_are_one_place(store: Store) {
    room(&store).await;
    let mut joins = JoinSet::new();
    for _ in 0..100 {
        let store = store.clone();
        joins.spawn(async move { join_at(&store, &[identified("somebody")], NOW).await });
    }
    let joined = joins.join_all().await.concat();
    assert_eq!(new_tickets(&joined), [1]);
    assert_eq!(joined.iter().filter(|joined| **joined == Joined::Duplicate { ticket: Ticket(1) }).count(), 99);
    assert_eq!(read(&store).await.facts.waiting, 1);
}

/// Hole 3.
async fn twenty_concurrent_joins_with_one_key_are_one_ticket(store: Store) {
    room(&store).await;
    let mut joins = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        joins.spawn(async move { join_at(&store, &[keyed("caller:key", "print")], NOW).await });
    }
    let joined = joins.join_all().await.concat();
    assert_eq!(new_tickets(&joined), [1]);
    let repeat = Joined::Repeat { ticket: Ticket(1), position: 1, joined_at: NOW };
    assert_eq!(joined.iter().filter(|joined| **joined == repeat).count(), 19);
    assert_eq!(join_at(&store, &[keyed("caller:key", "another")], NOW).await, [Joined::Conflict]);
    assert_eq!(read(&store).await.facts.issued, 1);
}

/// Hole 17: a key that has run out is free, to the millisecond, by room time.
async fn a_key_that_has_run_out_is_free(store: Store) {
    room(&store).await;
    join_at(&store, &[keyed("k", "f")], NOW).await;
    let last = NOW.plus(LIMITS.idem_ttl_ms - 1);
    assert!(matches!(join_at(&store, &[keyed("k", "f")], last).await[..], [Joined::Repeat { .. }]));
    assert_eq!(new_tickets(&join_at(&store, &[keyed("k", "g")], last.plus(1)).await), [2]);

    let bind = async |fingerprint, now| store.bind_key("key {of} a/caller", fingerprint, 5_000, now).await.unwrap();
    assert_eq!(bind("a b", NOW).await, Bound::New);
    assert_eq!(bind("a b", NOW.plus(4_999)).await, Bound::Same);
    assert_eq!(bind("c", NOW.plus(4_999)).await, Bound::Conflict);
    assert_eq!(bind("c", NOW.plus(5_000)).await, Bound::New);
}

/// Hole 11, 12: what a key or an identity had in another life of the room does not count.
async fn keys_and_identities_end_with_their_generation(store: Store) {
    room(&store).await;
    let batch = [keyed("k", "f"), identified("a")];
    join_at(&store, &batch, NOW).await;
    store.reset(&event(), NOW).await.unwrap().unwrap();
    assert_eq!(new_tickets(&join_at(&store, &batch, NOW).await), [1, 2]);
    assert!(store.delete_room(&event()).await.unwrap());
    assert!(!store.delete_room(&event()).await.unwrap());
    room(&store).await;
    assert_eq!(new_tickets(&join_at(&store, &batch, NOW).await), [1, 2]);
}

async fn a_place_given_up_or_used_up_may_be_taken_again(store: Store) {
    room(&store).await;
    let batch = [identified("left"), identified("inside"), identified("missed"), identified("waits")];
    join_at(&store, &batch, NOW).await;
    leave(&store, 1).await;
    call(&store, 2).await;
    enter_at(&store, 2, NOW).await;
    let later = NOW.plus(30_000);
    tick_until(&store, later).await;
    let joined = join_at(&store, &batch, later).await;
    assert_eq!(new_tickets(&joined), [5, 6], "the one who left, the one who missed");
    assert_eq!(joined[1], Joined::Duplicate { ticket: Ticket(2) });
    assert_eq!(joined[3], Joined::Duplicate { ticket: Ticket(4) });
    let after = NOW.plus(TERMS.session_ms);
    tick_until(&store, after).await;
    assert_eq!(new_tickets(&join_at(&store, &batch[1..2], after).await), [7], "the session is over");
}

/// Hole 3.
async fn thirty_two_concurrent_enters_are_one_session(store: Store) {
    room(&store).await;
    crowd(&store, 3).await;
    call(&store, 3).await;
    let mut enters = JoinSet::new();
    for _ in 0..32 {
        let store = store.clone();
        enters.spawn(async move { enter_at(&store, 2, NOW).await });
    }
    let session = Session { entered_at: NOW, ends_at: NOW.plus(TERMS.session_ms), pass_at: NOW };
    let entered = enters.join_all().await;
    assert_eq!(entered.iter().filter(|enter| **enter == Enter::Entered(session)).count(), 1);
    assert_eq!(entered.iter().filter(|enter| **enter == Enter::Again(session)).count(), 31);
    let reading = read(&store).await;
    assert_eq!((reading.facts.active, reading.facts.ready, reading.facts.entered_total), (1, 2, 1));
    assert_eq!(reading.sessions, Some(vec![(2, session)]));
}

async fn a_pass_is_issued_anew_only_when_it_has_run_out(store: Store) {
    room(&store).await;
    crowd(&store, 1).await;
    call(&store, 1).await;
    let passes = async |now| match enter_at(&store, 1, now).await {
        Enter::Entered(session) | Enter::Again(session) => session.pass_at,
        other => panic!("{other:?}"),
    };
    assert_eq!(passes(NOW).await, NOW);
    tick_until(&store, NOW.plus(29_999)).await;
    assert_eq!(passes(NOW.plus(29_999)).await, NOW);
    assert_eq!(passes(NOW.plus(30_000)).await, NOW.plus(30_000));
    tick_until(&store, NOW.plus(59_999)).await;
    assert_eq!(enter_at(&store, 1, NOW.plus(60_000)).await, Enter::Over);
}

async fn entering_says_why_not(store: Store) {
    room(&store).await;
    crowd(&store, 6).await;
    leave(&store, 2).await;
    // The third is silent when the cursor passes.
    turn_epochs(&store, 5, &[1, 4, 5, 6]).await;
    assert_eq!(call(&store, 2).await, done(2, 4));
    assert_eq!(enter_at(&store, 0, NOW).await, Enter::Unknown);
    assert_eq!(enter_at(&store, 2, NOW).await, Enter::Left);
    assert_eq!(enter_at(&store, 3, NOW).await, Enter::PassedOver);
    assert_eq!(enter_at(&store, 5, NOW).await, Enter::NotReady);
    assert_eq!(enter_at(&store, 7, NOW).await, Enter::Unknown);
    let old = store.enter(&event(), Generation(1), Slot(1), TERMS, NOW).await.unwrap();
    assert_eq!(old, Some(Enter::Unknown), "a token of another generation is good for nothing");
    tick_until(&store, NOW.plus(29_999)).await;
    assert_eq!(
        enter_at(&store, 1, NOW.plus(29_999)).await.to_owned(),
        Enter::Entered(Session { entered_at: NOW.plus(29_999), ends_at: NOW.plus(89_999), pass_at: NOW.plus(29_999) })
    );
    assert_eq!(enter_at(&store, 4, NOW.plus(30_000)).await, Enter::Missed);
}

/// Hole 2.
async fn a_hundred_ghosts_at_the_head_cost_nobody_anything(store: Store) {
    room(&store).await;
    crowd(&store, 110).await;
    let alive: Vec<u64> = (101..=110).collect();
    turn_epochs(&store, 5, &alive).await;
    assert_eq!(read(&store).await.facts.waiting, 10);
    assert_eq!(call(&store, 3).await, done(3, 103));
    assert!(matches!(enter_at(&store, 101, NOW).await, Enter::Entered(_)));
}

/// Hole 8, invariant 5.
async fn who_polls_is_never_dropped_and_who_returns_in_time_has_the_place_back(store: Store) {
    room(&store).await;
    crowd(&store, 3).await;
    turn_epochs(&store, 20, &[1, 3]).await;
    assert_eq!(read(&store).await.facts.waiting, 2);
    assert_eq!(hear(&store, [2]).await, 1);
    assert_eq!(hear(&store, [2]).await, 0);
    assert_eq!(call(&store, 2).await, done(2, 2), "in the old order");
    assert_eq!(store.sweep(&event(), NOW).await.unwrap(), Some(0));
}

async fn a_newcomer_is_not_silent_before_four_epochs(store: Store) {
    room(&store).await;
    crowd(&store, 1).await;
    turn_epochs(&store, 7, &[1]).await;
    crowd(&store, 1).await;
    turn_epochs(&store, 4, &[1]).await;
    assert_eq!(read(&store).await.facts.waiting, 2);
    turn_epochs(&store, 1, &[1]).await;
    assert_eq!(read(&store).await.facts.waiting, 1);
}

async fn one_epoch_turns_once(store: Store) {
    room(&store).await;
    let mut turns = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        turns.spawn(async move { store.turn_epoch(&event(), 0, NOW).await.unwrap().unwrap() });
    }
    assert_eq!(turns.join_all().await.iter().flatten().count(), 1);
    assert_eq!(read(&store).await.facts.epoch, 1);
}

/// Invariants 1 and 2: of any number of decisions on one version, one is carried out.
async fn one_decision_of_many_is_carried_out(store: Store) {
    room(&store).await;
    crowd(&store, 100).await;
    let version = read(&store).await.facts.version;
    let mut calls = JoinSet::new();
    for _ in 0..32 {
        let store = store.clone();
        calls.spawn(async move {
            let limit = Slot(100);
            let call = Call { version, now: NOW, count: 5, limit, until: NOW.plus(1_000), ..Call::default() };
            store.call(&event(), &call).await.unwrap().unwrap()
        });
    }
    let called = calls.join_all().await;
    assert_eq!(called.iter().filter(|called| **called == done(5, 5)).count(), 1);
    assert_eq!(called.iter().filter(|called| matches!(called, Called::Stale { .. })).count(), 31);
    let facts = read(&store).await.facts;
    assert_eq!((facts.serving, facts.called_total, facts.waiting), (5, 5, 95));
}

/// Hole 1: the index that is read is the one that is cleaned.
async fn positions_fall_as_people_ahead_leave(store: Store) {
    room(&store).await;
    crowd(&store, 10).await;
    for slot in [1, 3, 4] {
        assert_eq!(leave(&store, slot).await, Leave::Left);
        assert_eq!(leave(&store, slot).await, Leave::Already);
    }
    assert_eq!(leave(&store, 11).await, Leave::Unknown);
    let reading = read(&store).await;
    let (gone, _) = reading.bitmaps.unwrap();
    assert_eq!(10 - gone.count(0, 10), 7, "the tenth is seventh now");
    assert_eq!(reading.facts.waiting, 7);
    let joined = join_at(&store, &[anonymous()], NOW).await;
    assert_eq!(joined, [Joined::New { ticket: Ticket(11), position: 8 }]);
}

async fn a_missed_turn_and_one_given_up_go_back(store: Store) {
    room(&store).await;
    crowd(&store, 5).await;
    call(&store, 3).await;
    enter_at(&store, 1, NOW).await;
    leave(&store, 2).await;
    assert_eq!(read(&store).await.facts.refund, 1);
    tick_until(&store, NOW.plus(30_000)).await;
    let facts = read_at(&store, NOW.plus(30_000)).await.facts;
    assert_eq!((facts.refund, facts.ready, facts.missed_total, facts.active), (2, 0, 1, 1));
    tick_until(&store, NOW.plus(60_000)).await;
    let facts = read_at(&store, NOW.plus(60_000)).await.facts;
    assert_eq!(facts.active, 0, "the session ends by itself");
}

async fn a_session_can_be_extended_and_ended_while_it_is_open(store: Store) {
    room(&store).await;
    crowd(&store, 2).await;
    call(&store, 2).await;
    enter_at(&store, 1, NOW).await;
    let extend = async |slot, until, now| {
        store.extend_session(&event(), GENERATION, Slot(slot), until, now).await.unwrap().unwrap()
    };
    assert_eq!(extend(1, NOW.plus(90_000), NOW).await, Some(NOW.plus(90_000)));
    assert_eq!(extend(1, NOW.plus(10), NOW).await, Some(NOW.plus(90_000)), "never nearer");
    assert_eq!(extend(2, NOW.plus(10), NOW).await, None);
    tick_until(&store, NOW.plus(89_000)).await;
    assert_eq!(extend(1, NOW.plus(200_000), NOW.plus(90_000)).await, None, "over is over");
    let end = async || store.end_session(&event(), GENERATION, Slot(1), NOW).await.unwrap().unwrap();
    assert!(!end().await, "room time has moved on");
    assert!(!end().await);
}

async fn thousands_of_sessions_that_end_at_once_end_in_order_and_not_all_in_one_step(store: Store) {
    let open = |slot: u64| (slot, Session { entered_at: NOW, ends_at: NOW.plus(1_000 + slot / 500), pass_at: NOW });
    let mut left = Bitmap::new();
    left.set_range(0, 3_000);
    let known = Restore {
        generation: GENERATION,
        known: 3_000,
        issued: 3_000,
        serving: 3_000,
        left,
        active: (1..=3_000).map(open).collect(),
        ..Restore::default()
    };
    store.restore(&event(), "{}", &known, NOW).await.unwrap();
    for left in [1_000, 0] {
        let reading = read_at(&store, NOW.plus(2_000)).await;
        let want: Vec<(u64, Session)> = (3_001 - left..=3_000).map(open).collect();
        assert_eq!(reading.facts.active, left);
        assert!(reading.sessions.unwrap() == want, "the {left} that end last are left");
    }
}

/// Clocks apart, clocks stepping back.
async fn time_never_runs_backwards(store: Store) {
    room(&store).await;
    crowd(&store, 3).await;
    call_at(&store, 1, NOW.plus(5_000)).await;
    assert_eq!(read_at(&store, NOW.minus(3_600_000)).await.facts.now, NOW.plus(5_000));
    let Enter::Entered(session) = enter_at(&store, 1, Millis(0)).await else { panic!("it is called") };
    assert_eq!(session.entered_at, NOW.plus(5_000));
    let mark = JoinLimits { mark_every_ms: 0, ..LIMITS };
    for now in [NOW.plus(9_000), NOW, NOW.plus(9_000), NOW.plus(1)] {
        store.join(&event(), &[anonymous()], mark, now).await.unwrap().unwrap();
    }
    let marks = read(&store).await.joins;
    assert!(marks.is_sorted_by_key(|mark| mark.at));
    assert_eq!(marks.len(), 5);
}

async fn join_marks_follow_the_positions_as_long_as_they_are_few(store: Store) {
    room(&store).await;
    let limits = JoinLimits { mark_every_ms: 3_600_000, ..LIMITS };
    let marks = async || read(&store).await.joins.len();
    let mut now = NOW;
    // Whoever comes after somebody has left stands elsewhere than the youngest mark says.
    for slot in 1..=EXACT_MARKS as u64 + 20 {
        now = now.plus(1);
        store.join(&event(), &[anonymous()], limits, now).await.unwrap().unwrap();
        leave(&store, slot).await;
        if slot == 20 {
            store.join(&event(), &[anonymous()], limits, now).await.unwrap().unwrap();
            assert_eq!(marks().await, 20, "never two within a millisecond");
            leave(&store, 21).await;
        }
    }
    assert_eq!(marks().await, EXACT_MARKS);
    now = now.plus(limits.mark_every_ms);
    store.join(&event(), &[anonymous()], limits, now).await.unwrap().unwrap();
    assert_eq!(marks().await, EXACT_MARKS + 1);
}

async fn a_call_that_finds_nobody_spends_nothing(store: Store) {
    room(&store).await;
    crowd(&store, 3).await;
    call(&store, 3).await;
    let facts = read(&store).await.facts;
    let idle = Call {
        version: facts.version,
        now: NOW.plus(1),
        count: 5,
        limit: Slot(u64::MAX),
        level: 77,
        level_at: NOW.plus(1),
        refund: 1,
        wave_at: NOW.plus(1),
        rate: 9,
        ..Call::default()
    };
    assert_eq!(store.call(&event(), &idle).await.unwrap().unwrap(), done(0, 3));
    let after = read(&store).await.facts;
    let bucket = |facts: &Facts| (facts.level, facts.level_at, facts.refund, facts.wave_at);
    assert_eq!(bucket(&after), bucket(&facts));
    assert_eq!((after.rate, after.version), (9, facts.version + 1));
}

/// Hole 13: nothing of one room stops another; a room that does not exist is an answer.
async fn rooms_do_not_touch_each_other(store: Store) {
    room(&store).await;
    let other = EventId::parse("Sale-2026.11_21").unwrap();
    assert_eq!(store.read(&other, Known::default(), NOW).await.unwrap(), None);
    assert_eq!(store.join(&other, &[anonymous()], LIMITS, NOW).await.unwrap(), None);
    assert_eq!(store.hear(&other, &Heard::default(), NOW).await.unwrap(), None);
    assert_eq!(store.turn_epoch(&other, 0, NOW).await.unwrap(), None);
    assert_eq!(store.sweep(&other, NOW).await.unwrap(), None);
    assert_eq!(store.call(&other, &Call::default()).await.unwrap(), None);
    assert_eq!(store.enter(&other, GENERATION, Slot(1), TERMS, NOW).await.unwrap(), None);
    assert_eq!(store.leave(&other, GENERATION, Slot(1), NOW).await.unwrap(), None);
    assert_eq!(store.extend_session(&other, GENERATION, Slot(1), NOW, NOW).await.unwrap(), None);
    assert_eq!(store.end_session(&other, GENERATION, Slot(1), NOW).await.unwrap(), None);
    assert_eq!(store.trim(&other, 64).await.unwrap(), None);
    assert_eq!(store.reset(&other, NOW).await.unwrap(), None);
    assert_eq!(store.inventory().await.unwrap().rooms, [event()]);

    store.put_room(&other, "{\"a\":1}", NOW).await.unwrap();
    crowd(&store, 5).await;
    assert_eq!(store.inventory().await.unwrap().rooms, [other.clone(), event()]);
    let reading = store.read(&other, Known::default(), NOW).await.unwrap().unwrap();
    assert_eq!((reading.facts.issued, reading.settings.as_deref()), (0, Some("{\"a\":1}")));
}

async fn only_what_is_new_is_sent(store: Store) {
    room(&store).await;
    crowd(&store, 5).await;
    let first = read(&store).await;
    let known = |reading: &Reading| Known {
        generation: reading.facts.generation,
        version: reading.facts.version,
        bits: reading.facts.bits,
        settings: reading.facts.settings,
        mark_at: NOW,
        sessions: false,
    };
    let again = store.read(&event(), known(&first), NOW).await.unwrap().unwrap();
    assert_eq!((again.bitmaps, again.waves, again.sessions, again.settings), (None, None, None, None));
    assert_eq!(again.joins, []);
    assert_eq!(again.facts, first.facts);
    assert_eq!(store.put_room(&event(), "{\"b\":2}", NOW).await.unwrap(), 2);
    call(&store, 1).await;
    let third = store.read(&event(), known(&first), NOW).await.unwrap().unwrap();
    assert_eq!((third.settings.as_deref(), third.bitmaps), (Some("{\"b\":2}"), None));
    assert_eq!(third.waves.unwrap().len(), 1);
}

async fn trimming_moves_nobody(store: Store) {
    room(&store).await;
    crowd(&store, 300).await;
    for slot in [100, 200, 250] {
        leave(&store, slot).await;
    }
    call(&store, 150).await;
    assert_eq!(store.trim(&event(), 128).await.unwrap(), Some(false), "an open wave is still needed");
    tick_until(&store, NOW.plus(30_000)).await;
    assert_eq!(store.trim(&event(), 100).await.unwrap(), Some(false), "not whole words");
    assert_eq!(store.trim(&event(), 128).await.unwrap(), Some(true));
    let reading = read(&store).await;
    assert_eq!((reading.facts.base, reading.facts.waiting), (128, 147));
    assert_eq!(leave(&store, 200).await, Leave::Already);
    assert_eq!(leave(&store, 100).await, Leave::Already, "forgotten");
    assert_eq!(leave(&store, 199).await, Leave::Left);
    assert_eq!(call_at(&store, 100, NOW.plus(30_000)).await, done(100, 254));
}

/// Invariant 8: what one origin remembers brings the line back, and no number is handed out twice.
async fn a_lost_line_is_brought_back_from_what_an_origin_remembers(store: Store) {
    room(&store).await;
    join_at(&store, &[identified("a"), anonymous(), anonymous(), anonymous(), anonymous(), anonymous()], NOW).await;
    leave(&store, 2).await;
    call(&store, 2).await;
    enter_at(&store, 1, NOW).await;
    let was = read(&store).await;
    let unheard = join_at(&store, &[anonymous(), anonymous()], NOW).await;
    let (gone, left) = was.bitmaps.clone().unwrap();
    let known = Restore {
        generation: GENERATION,
        base: 0,
        known: was.facts.issued,
        issued: was.facts.issued + 100,
        serving: was.facts.serving,
        gone,
        left,
        settled_at: was.facts.settled_at,
        waves: was.waves.clone().unwrap(),
        active: was.sessions.clone().unwrap(),
        level: 7,
        level_at: NOW,
        totals: [2, 1, 0, 1],
        users: vec![(Identity::parse("a").unwrap(), Ticket(1))],
    };
    // The store is emptied, and makes the room anew, in another generation.
    store.delete_room(&event()).await.unwrap();
    store.put_room(&event(), "{}", NOW.plus(9_000)).await.unwrap();
    assert!(store.restore(&event(), "{}", &known, NOW).await.unwrap());
    assert!(!store.restore(&event(), "{}", &known, NOW).await.unwrap(), "a second origin knows no more");

    let facts = read(&store).await.facts;
    assert_eq!((facts.generation, facts.issued, facts.serving, facts.waiting), (GENERATION, 106, 3, 3));
    assert_eq!((facts.ready, facts.active, facts.level), (1, 1, 7));
    assert!(matches!(enter_at(&store, 1, NOW).await, Enter::Again(_)), "nobody enters twice");
    assert!(matches!(enter_at(&store, 3, NOW).await, Enter::Entered(_)), "a turn that was called still stands");
    assert_eq!(join_at(&store, &[identified("a")], NOW).await, [Joined::Duplicate { ticket: Ticket(1) }]);
    let next = new_tickets(&join_at(&store, &[anonymous()], NOW).await);
    assert_eq!(next, [107], "none of {unheard:?} again");
    assert_eq!(hear(&store, new_tickets(&unheard)).await, 2, "those have their places back");
    turn_epochs(&store, 12, &[4, 5, 6, 7, 8, 107]).await;
    let facts = read(&store).await.facts;
    assert_eq!(facts.waiting, 6, "the skipped are nobody's places, whatever time passes");
    assert_eq!(call(&store, 6).await, done(6, 107));
}

async fn a_restore_raises_the_number_of_a_line_that_lost_its_last_joins(store: Store) {
    room(&store).await;
    crowd(&store, 5).await;
    let known = Restore { generation: GENERATION, known: 5, issued: 9, ..Restore::default() };
    assert!(store.restore(&event(), "{}", &known, NOW).await.unwrap());
    assert!(!store.restore(&event(), "{}", &known, NOW).await.unwrap());
    let old = Restore { generation: Generation(1), known: 5, issued: 900, gone: Bitmap::new(), ..Restore::default() };
    assert!(!store.restore(&event(), "{}", &old, NOW).await.unwrap(), "an older generation has nothing to say");
    assert_eq!(read(&store).await.facts.waiting, 5);
    assert_eq!(new_tickets(&join_at(&store, &[anonymous()], NOW).await), [10]);
}

async fn a_missing_room_is_made_by_a_restore(store: Store) {
    let known = Restore { generation: GENERATION, known: 5, issued: 5, ..Restore::default() };
    assert!(store.restore(&event(), "{\"mode\":\"hold\"}", &known, NOW).await.unwrap());
    let reading = read(&store).await;
    assert_eq!((reading.facts.waiting, reading.settings.as_deref()), (5, Some("{\"mode\":\"hold\"}")));
    assert_eq!(store.inventory().await.unwrap().rooms, [event()]);
}

/// What an engine is made of, and what has to live as long as it does.
struct Engine {
    store: Store,
    _server: Option<RedisServer>,
}

fn memory() -> Engine {
    Engine { store: Arc::new(MemoryStore::new()), _server: None }
}

fn redis(guard: Guard) -> Engine {
    let tls = guard == Guard::Tls;
    let server = RedisServer::guarded(guard);
    let mut options = RedisOptions::new(server.url());
    options.ca_file = tls.then(|| server.ca_file());
    options.timeout = Duration::from_secs(10);
    Engine { store: Arc::new(RedisStore::new(options).unwrap()), _server: Some(server) }
}

macro_rules! suite {
    ($($behaviour:ident),* $(,)?) => {
        suite!(@on memory, memory(), $($behaviour),*);
        suite!(@on redis, redis(Guard::Open), $($behaviour),*);
        suite!(@on redis_with_password, redis(Guard::Password("p@ss".into())), $($behaviour),*);
        suite!(@on redis_with_user, redis(Guard::User { name: "anteroom".into(), password: "s3cret".into() }), $($behaviour),*);
        suite!(@on redis_with_tls, redis(Guard::Tls), $($behaviour),*);
    };
    (@on $engine:ident, $make:expr, $($behaviour:ident),*) => {
        mod $engine {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    let engine = $make;
                    super::$behaviour(engine.store.clone()).await;
                }
            )*
        }
    };
}

suite! {
    numbers_follow_the_order_of_the_batch,
    concurrent_joins_never_share_a_number,
    a_hundred_concurrent_joins_of_one_person_are_one_place,
    twenty_concurrent_joins_with_one_key_are_one_ticket,
    a_key_that_has_run_out_is_free,
    keys_and_identities_end_with_their_generation,
    a_place_given_up_or_used_up_may_be_taken_again,
    thirty_two_concurrent_enters_are_one_session,
    a_pass_is_issued_anew_only_when_it_has_run_out,
    entering_says_why_not,
    a_hundred_ghosts_at_the_head_cost_nobody_anything,
    who_polls_is_never_dropped_and_who_returns_in_time_has_the_place_back,
    a_newcomer_is_not_silent_before_four_epochs,
    one_epoch_turns_once,
    one_decision_of_many_is_carried_out,
    positions_fall_as_people_ahead_leave,
    a_missed_turn_and_one_given_up_go_back,
    a_session_can_be_extended_and_ended_while_it_is_open,
    thousands_of_sessions_that_end_at_once_end_in_order_and_not_all_in_one_step,
    time_never_runs_backwards,
    join_marks_follow_the_positions_as_long_as_they_are_few,
    a_call_that_finds_nobody_spends_nothing,
    rooms_do_not_touch_each_other,
    only_what_is_new_is_sent,
    trimming_moves_nobody,
    a_lost_line_is_brought_back_from_what_an_origin_remembers,
    a_restore_raises_the_number_of_a_line_that_lost_its_last_joins,
    a_missing_room_is_made_by_a_restore,
    whichever_method_comes_first_after_an_outage_nobody_has_lost_any_time,
    a_full_room_calls_nobody_into_a_place_that_was_given_back,
    a_room_that_is_ticked_gives_nothing_back,
    a_line_brought_back_after_an_outage_leaves_everybody_what_was_left,
}
