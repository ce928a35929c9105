//! What admission promises, each on the shortest story that shows it.

use super::simulation::{BIRTH, Manner, Room, least_wait_ms};
use crate::admission;
use crate::line::Standing;
use crate::settings::{MinWait, Mode, Release, Settings};
use crate::units::{Millis, Slot};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const TICK_MS: u64 = 250;

/// Nobody falls silent, lapses or misses a turn within a test.
fn patient() -> Settings {
    let (heartbeat_sec, claim_sec, max_wait_min) = (86_400, 86_400, 10_080);
    Settings { heartbeat_sec, claim_sec, max_wait_min, min_wait: Vec::new(), ..Settings::default() }
}

/// Lets so many milliseconds pass, a tick at a time.
fn pass(room: &mut Room, ms: u64) {
    for _ in 0..ms / TICK_MS {
        room.now = room.now.plus(TICK_MS);
        room.act();
        room.tick(room.now);
    }
}

fn called_at(room: &Room, from: usize) -> Vec<Option<Millis>> {
    room.people[from..].iter().map(|person| person.called_at).collect()
}

const EITHER_RELEASE: [Release; 2] = [Release::Steady, Release::Waves { size: 7, every_sec: 3 }];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn throughput_is_not_lost_to_rounding_at_any_rate_and_tick(
        rate in prop_oneof![1u32..100, 100u32..100_000],
        tick_ms in prop_oneof![1u64..50, 50u64..5_000],
    ) {
        // Room for what one tick gains, and for the part of a call left over.
        let burst = (u64::from(rate) * tick_ms / 60_000 + 2) as u32;
        let mut room = Room::new(Settings { admit_per_minute: rate, burst, ..patient() });
        let ticks = (20_000 * 60_000 / (u64::from(rate) * tick_ms)).clamp(20, 2_000);
        let called = u64::from(burst) + u64::from(rate) * tick_ms * ticks / 60_000;
        room.join(&vec![Manner::NoShow; called as usize + 1]);
        room.tick(room.now);
        for _ in 0..ticks {
            room.now = room.now.plus(tick_ms);
            room.tick(room.now);
        }
        prop_assert_eq!(room.facts().called_total, called);
        room.check_never_too_many();
    }

    #[test]
    fn min_wait_is_neither_cut_short_nor_drawn_out(
        batches in prop::collection::vec((1u64..600, 0usize..20, any::<bool>()), 1..120),
        steps in prop::collection::vec((1u64..12, 0u32..3), 0..4),
    ) {
        let (mut up_to, mut sec) = (0, 0);
        let min_wait = steps.iter().map(|(more, longer)| {
            (up_to, sec) = (up_to + more, sec + longer);
            MinWait { up_to: Some(up_to), sec }
        });
        let mut room = Room::new(Settings {
            max_wait_min: 60,
            min_wait: min_wait.chain([MinWait { up_to: None, sec: 9 }]).collect(),
            admit_per_minute: 6_000_000,
            burst: 1_000_000,
            ..patient()
        });
        let mut longest = 0;
        for (ms, people, ticks) in batches.iter().copied().chain([(500, 0, true); 30]) {
            room.now = room.now.plus(ms);
            room.join(&vec![Manner::Polite; people]);
            longest = longest.max(ms);
            if ticks || room.now.since(room.ticked_at()) > 1_000 {
                room.tick(room.now);
            }
        }
        room.check_calls();
        let spacing = admission::join_limits(&room.settings).mark_every_ms;
        let mut due = BIRTH;
        for person in &room.people {
            due = due.max(person.joined_at.plus(least_wait_ms(&room.settings, person.position)));
            let called_at = person.called_at.expect("everybody is called in the end");
            prop_assert!(called_at <= due.plus(spacing + 1_000 + longest), "due at {:?}: {:?}", due, person);
        }
    }
}

#[test]
fn ghosts_that_have_fallen_silent_cost_nobody_anything() {
    for release in EITHER_RELEASE {
        let settings =
            Settings { release, heartbeat_sec: 20, mode: Mode::Hold, admit_per_minute: 60, ..Settings::default() };
        let (mut haunted, mut clean) = (Room::new(settings.clone()), Room::new(settings));
        haunted.join(&[Manner::Ghost { after: 0 }; 100]);
        for room in [&mut haunted, &mut clean] {
            pass(room, 30_000);
            room.change(|settings| settings.mode = Mode::Line);
            for _ in 0..60 {
                room.join(&[Manner::Polite, Manner::Polite]);
                pass(room, 1_000);
            }
        }
        assert_eq!(called_at(&haunted, 100), called_at(&clean, 0), "{release:?}");
    }
}

#[test]
fn ghosts_called_before_they_fell_silent_give_their_turns_back() {
    for release in EITHER_RELEASE {
        let settings = Settings { release, claim_sec: 10, admit_per_minute: 120, ..patient() };
        let (mut haunted, mut clean) = (Room::new(settings.clone()), Room::new(settings));
        haunted.join(&[Manner::Ghost { after: 0 }; 100]);
        for room in [&mut haunted, &mut clean] {
            room.join(&[Manner::Polite; 400]);
            pass(room, 90_000);
            room.check_never_too_many();
        }
        let called = |room: &Room, from| called_at(room, from).iter().flatten().count() as u64;
        let (behind, ahead) = (called(&haunted, 100), called(&clean, 0));
        assert!(behind + u64::from(haunted.settings.burst) >= ahead, "{behind} of {ahead} called, {release:?}");
    }
}

#[test]
fn a_wave_is_not_spent_on_ghosts_while_the_first_live_one_may_not_be_called_yet() {
    let release = Release::Waves { size: 5, every_sec: 60 };
    let min_wait = vec![MinWait { up_to: None, sec: 2 }];
    let mut room = Room::new(Settings { release, min_wait, heartbeat_sec: 20, ..Settings::default() });
    room.change(|settings| settings.mode = Mode::Hold);
    room.join(&[Manner::Ghost { after: 0 }; 10]);
    pass(&mut room, 30_000);
    room.change(|settings| settings.mode = Mode::Line);
    room.join(&[Manner::Polite]);
    pass(&mut room, 3_000);
    assert!(room.people[10].called_at.is_some(), "{:?}", room.line.standing(Slot(11)));
}

#[test]
fn an_hour_without_ticks_makes_nobody_silent() {
    let mut room = Room::new(Settings { mode: Mode::Hold, heartbeat_sec: 20, ..Settings::default() });
    room.join(&[Manner::Polite; 50]);
    pass(&mut room, 60_000);
    room.now = room.now.plus(3_600_000);
    room.tick(room.now);
    assert_eq!(room.facts().waiting, 50, "at the first tick");
    pass(&mut room, 60_000);
    assert_eq!(room.facts().waiting, 50, "a while later");
}

#[test]
fn a_quiet_room_adds_no_wait() {
    // Ninety joins a second, each called before the next comes: nobody is ever behind anybody.
    let mut room = Room::new(Settings { admit_per_minute: 6_000, ..Settings::default() });
    for _ in 0..5_000 {
        room.now = room.now.plus(11);
        room.join(&[Manner::Polite]);
        room.tick(room.now);
        assert_eq!(room.people.last().map(|person| person.called_at), Some(Some(room.now)));
        room.act();
    }
}

#[test]
fn capacity_lowered_calls_nobody_until_people_have_gone() {
    let settings = Settings { capacity: Some(20), session_sec: 30, admit_per_minute: 6_000, burst: 100, ..patient() };
    let mut room = Room::new(settings);
    room.join(&[Manner::Polite; 100]);
    pass(&mut room, 5_000);
    assert_eq!((room.facts().active, room.facts().called_total), (20, 20));
    room.change(|settings| settings.capacity = Some(5));
    pass(&mut room, 24_000);
    assert_eq!((room.facts().active, room.facts().called_total), (20, 20));
    pass(&mut room, 10_000);
    assert_eq!((room.facts().active, room.facts().called_total), (5, 25));
}

#[test]
fn max_wait_counts_from_the_opening_and_never_takes_a_turn_away() {
    let mut settings =
        Settings { max_wait_min: 1, admit_per_minute: 6, burst: 1, claim_sec: 600, ..Settings::default() };
    settings.schedule.opens = Some(BIRTH.plus(300_000));
    let mut room = Room::new(settings);
    room.join(&[Manner::NoShow; 50]);
    pass(&mut room, 300_000 + 60_000);
    assert_eq!((room.facts().called_total, room.facts().waiting), (7, 43));
    pass(&mut room, 1_000);
    assert_eq!((room.facts().waiting, room.facts().missed_total, room.facts().ready), (0, 43, 7));
    assert_eq!(room.line.standing(Slot(50)), Standing::Missed);
    assert!(matches!(room.line.standing(Slot(7)), Standing::Ready { .. }));
}

#[test]
fn a_wave_late_for_want_of_people_does_not_pull_the_next_one_forward() {
    let release = Release::Waves { size: 1, every_sec: 10 };
    let mut room = Room::new(Settings { release, ..patient() });
    room.join(&[Manner::Polite]);
    pass(&mut room, 19_500);
    room.join(&[Manner::Polite; 3]);
    pass(&mut room, 30_000);
    let called: Vec<u64> = called_at(&room, 0).iter().flatten().map(|at| at.since(BIRTH)).collect();
    assert_eq!(called, [250, 19_750, 29_750, 39_750]);
}

#[test]
fn a_host_whose_clock_is_behind_or_steps_back_changes_nothing() {
    for release in EITHER_RELEASE {
        let settings = Settings { release, heartbeat_sec: 20, claim_sec: 10, max_wait_min: 1, ..Settings::default() };
        let settings = Settings { admit_per_minute: 60, capacity: Some(30), session_sec: 20, ..settings };
        let (mut alone, mut helped) = (Room::new(settings.clone()), Room::new(settings));
        for round in 0..400 {
            for room in [&mut alone, &mut helped] {
                if round % 3 == 0 {
                    room.join(&[Manner::Polite, Manner::Ghost { after: 5_000 }, Manner::NoShow]);
                }
                pass(room, TICK_MS);
            }
            helped.tick(helped.now.minus(round * 9_000));
        }
        assert_eq!(called_at(&alone, 0), called_at(&helped, 0), "{release:?}");
        assert_eq!(alone.facts().missed_total, helped.facts().missed_total);
    }
}
