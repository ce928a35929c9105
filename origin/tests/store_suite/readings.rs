//! What a reader is sent, and that it is of one room and one time.

use super::*;

on_every_engine! {
    positions_fall_as_people_ahead_leave,
    time_never_runs_backwards,
    rooms_do_not_touch_each_other,
    only_what_is_new_is_sent,
    trimming_moves_nobody,
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
