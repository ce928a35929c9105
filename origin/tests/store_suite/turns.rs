//! Calling, entering, and being inside.

use super::*;

on_every_engine! {
    thirty_two_concurrent_enters_are_one_session,
    a_pass_is_issued_anew_only_when_it_has_run_out,
    entering_says_why_not,
    one_decision_of_many_is_carried_out,
    a_call_that_finds_nobody_spends_nothing,
    a_missed_turn_and_one_given_up_go_back,
    a_session_can_be_extended_and_ended_while_it_is_open,
    thousands_of_sessions_that_end_at_once_end_in_order_and_not_all_in_one_step,
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
