//! Time in which nobody ticked a room is given back to whoever is called or inside.

use super::*;
use anteroom_core::line::OUTAGE_MS;

on_every_engine! {
    whichever_method_comes_first_after_an_outage_nobody_has_lost_any_time,
    a_full_room_calls_nobody_into_a_place_that_was_given_back,
    a_room_that_is_ticked_gives_nothing_back,
    a_line_brought_back_after_an_outage_leaves_everybody_what_was_left,
}

const OUTAGE: u64 = 120_000;
/// When the line was settled last, and the first moment after the outage.
const LAST: Millis = Millis(NOW.0 + 10_000);
const BACK: Millis = Millis(LAST.0 + OUTAGE);

/// Six people: the first is inside until 60 s after [`NOW`], the second called until 30 s after it, the others wait.
async fn half_inside(store: &Store) {
    store.delete_room(&event()).await.unwrap();
    room(store).await;
    crowd(store, 6).await;
    call(store, 2).await;
    enter_at(store, 1, NOW).await;
    tick_until(store, LAST).await;
}

/// The methods that are shown the time.
const METHODS: [&str; 12] =
    ["read", "join", "hear", "turn_epoch", "old epoch", "sweep", "call", "enter", "leave", "extend", "end", "restore"];

async fn first_after(store: &Store, method: &str) {
    let event = &event();
    match method {
        "read" => drop(store.read(event, Known::default(), BACK).await.unwrap().unwrap()),
        "join" => drop(join_at(store, &[anonymous()], BACK).await),
        "hear" => drop(store.hear(event, &Heard::default(), BACK).await.unwrap().unwrap()),
        "turn_epoch" => assert_eq!(store.turn_epoch(event, 0, BACK).await.unwrap(), Some(Some(0))),
        "old epoch" => assert_eq!(store.turn_epoch(event, 9, BACK).await.unwrap(), Some(None)),
        "sweep" => assert_eq!(store.sweep(event, BACK).await.unwrap(), Some(0)),
        "call" => {
            let version = store.read(event, Known::default(), LAST).await.unwrap().unwrap().facts.version;
            let none = Call { version, now: BACK, until: BACK, ..Call::default() };
            assert_eq!(store.call(event, &none).await.unwrap(), Some(done(0, 2)));
        }
        "enter" => {
            let Enter::Again(session) = enter_at(store, 1, BACK).await else { panic!("the session is open") };
            assert_eq!(session.ends_at, NOW.plus(60_000 + OUTAGE));
        }
        "leave" => {
            let left = store.leave(event, GENERATION, Slot(6), BACK).await.unwrap();
            assert_eq!(left, Some(Leave::Left));
        }
        "extend" => {
            let ends = store.extend_session(event, GENERATION, Slot(1), Millis(0), BACK).await.unwrap();
            assert_eq!(ends, Some(Some(NOW.plus(60_000 + OUTAGE))));
        }
        "end" => {
            let ended = store.end_session(event, GENERATION, Slot(6), BACK).await.unwrap();
            assert_eq!(ended, Some(false));
        }
        "restore" => {
            let nothing = Restore { generation: GENERATION, ..Restore::default() };
            assert!(!store.restore(event, "{}", &nothing, BACK).await.unwrap());
        }
        other => unreachable!("{other}"),
    }
}

async fn whichever_method_comes_first_after_an_outage_nobody_has_lost_any_time(store: Store) {
    for method in METHODS {
        half_inside(&store).await;
        let was = read(&store).await.facts;
        first_after(&store, method).await;
        let known = Known {
            generation: was.generation,
            version: was.version,
            bits: was.bits,
            sessions: true,
            ..Known::default()
        };
        let reading = store.read(&event(), known, BACK).await.unwrap().unwrap();
        let facts = &reading.facts;
        assert_eq!((facts.now, facts.given_back), (BACK, OUTAGE), "{method}");
        assert_eq!((facts.active, facts.ready, facts.missed_total), (1, 1, 0), "{method}: nothing is closed");
        assert!(facts.version > was.version, "{method}: decisions made before are made again");
        let waves = reading.waves.expect("the ends are other ones than the reader knows");
        assert_eq!(waves[0].until, NOW.plus(30_000 + OUTAGE), "{method}");
        assert_eq!(reading.sessions.unwrap()[0].1.ends_at, NOW.plus(60_000 + OUTAGE), "{method}");

        let Enter::Entered(second) = enter_at(&store, 2, BACK).await else { panic!("{method}: the turn is open") };
        assert_eq!(second, Session { entered_at: BACK, ends_at: BACK.plus(TERMS.session_ms), pass_at: BACK });
        let first_ends = NOW.plus(60_000 + OUTAGE);
        tick_until(&store, first_ends.minus(1)).await;
        assert_eq!(read(&store).await.facts.active, 2, "{method}");
        assert_eq!(read_at(&store, first_ends).await.facts.active, 1, "{method}: it ends when its time is over");
    }
}

async fn a_full_room_calls_nobody_into_a_place_that_was_given_back(store: Store) {
    half_inside(&store).await;
    // What an origin does that counts the free places of a room for two.
    let mut now = BACK;
    for _ in 0..40 {
        let facts = read_at(&store, now).await.facts;
        let free = 2u64.saturating_sub(facts.active + facts.ready);
        let call =
            Call { version: facts.version, now, count: free, limit: Slot(6), until: now.plus(1), ..Call::default() };
        store.call(&event(), &call).await.unwrap().unwrap();
        let facts = read_at(&store, now).await.facts;
        assert!(facts.active + facts.ready <= 2, "{facts:?}");
        // The window of the second closes 20 s after the outage, the session of the first 30 s later.
        let passed = now.since(BACK);
        assert_eq!(facts.called_total > 2, passed >= 20_000, "after {passed} ms");
        assert_eq!(facts.active, u64::from(passed < 50_000), "after {passed} ms");
        now = now.plus(2_000);
    }
}

async fn a_room_that_is_ticked_gives_nothing_back(store: Store) {
    half_inside(&store).await;
    let was = read(&store).await.facts;
    for tick in 1..=20 {
        read_at(&store, LAST.plus(tick * OUTAGE_MS)).await;
    }
    let facts = read(&store).await.facts;
    assert_eq!((facts.given_back, facts.version), (0, was.version));
    assert_eq!((facts.active, facts.ready, facts.missed_total), (0, 0, 1));
}

async fn a_line_brought_back_after_an_outage_leaves_everybody_what_was_left(store: Store) {
    half_inside(&store).await;
    // One outage before, so that the ends are not those that were given.
    let was = read_at(&store, BACK).await;
    let (gone, left) = was.bitmaps.clone().unwrap();
    let known = Restore {
        generation: GENERATION,
        known: 6,
        issued: 6,
        serving: 2,
        gone,
        left,
        settled_at: was.facts.settled_at,
        waves: was.waves.unwrap(),
        active: was.sessions.unwrap(),
        ..Restore::default()
    };
    for more in [0, OUTAGE_MS, 60_000] {
        let back = if more > OUTAGE_MS { more } else { 0 };
        store.delete_room(&event()).await.unwrap();
        assert!(store.restore(&event(), "{}", &known, BACK.plus(more)).await.unwrap());
        let reading = read_at(&store, BACK.plus(more)).await;
        assert_eq!((reading.facts.ready, reading.facts.active), (1, 1));
        assert_eq!(reading.waves.unwrap()[0].until, NOW.plus(30_000 + OUTAGE + back), "{more} ms later");
        assert_eq!(reading.sessions.unwrap()[0].1.ends_at, NOW.plus(60_000 + OUTAGE + back), "{more} ms later");
    }
}
