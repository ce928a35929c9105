//! Single decisions, from tables, and the least wait by looking at every place.

use super::simulation::{BIRTH, Manner, Room};
use crate::admission::{self, Door, LEVEL_PER_CALL, Step};
use crate::line::{Facts, JoinMark, RESTORE_GAP};
use crate::settings::{Feedback, MinWait, Mode, Release, Settings};
use crate::units::{Millis, Slot};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec::Vec;

#[test]
fn the_door_opens_and_closes_by_the_schedule() {
    let mut settings = Settings::default();
    settings.schedule.joins_open = Some(Millis(1_000));
    settings.schedule.opens = Some(Millis(2_000));
    settings.schedule.closes = Some(Millis(3_000));
    for (now, want) in [
        (999, Door::NotYet { opens_at: Millis(1_000) }),
        (1_000, Door::Open),
        (2_999, Door::Open),
        (3_000, Door::Closed),
        (u64::MAX, Door::Closed),
    ] {
        assert_eq!(admission::door(&settings, Millis(now)), want, "at {now}");
    }
    settings.mode = Mode::Reject;
    assert_eq!(admission::door(&settings, Millis(1_500)), Door::Full);
    assert_eq!(admission::door(&Settings::default(), Millis(0)), Door::Open);
}

#[test]
fn the_bucket_gains_by_the_millisecond_and_never_runs_over() {
    for (rate, burst, level, passed, refund, want) in [
        (1, 10, 0, 1, 0, 1),
        (1, 10, 59_999, 1, 0, LEVEL_PER_CALL),
        (600, 10, 0, 250, 0, 150_000),
        (600, 10, 590_000, 250, 0, 600_000),
        (600, 10, 0, 0, 3, 180_000),
        (600, 10, 0, 0, 99, 600_000),
        (6_000_000, 1_000_000, 0, u64::MAX / 2, u64::MAX, 60_000_000_000),
    ] {
        let settings = Settings { admit_per_minute: rate, burst, ..Settings::default() };
        let now = BIRTH.plus(passed);
        let facts = Facts { now, level, level_at: BIRTH, refund, ..Facts::default() };
        assert_eq!(admission::level(&facts, &settings), want, "{rate}/min, {passed} ms");
        let behind = Facts { now: BIRTH, level_at: now.plus(1), ..facts };
        let stands = (level + refund.saturating_mul(LEVEL_PER_CALL).min(want)).min(u64::from(burst) * LEVEL_PER_CALL);
        assert_eq!(admission::level(&behind, &settings), stands, "a clock that is behind gains nothing");
    }
}

#[test]
fn the_loop_cuts_quickly_raises_slowly_and_stays_within_its_bounds() {
    let feedback = Feedback { p95_ms: 800, error_rate: 0.02, min_per_minute: 60, max_per_minute: 6_000 };
    for (rate, p95_ms, error_rate, want) in [
        (1_000, 801.0, 0.0, 700),
        (1_000, 100.0, 0.021, 700),
        (1_000, 700.0, 0.0, 1_000),
        (1_000, 100.0, 0.017, 1_000),
        (1_000, 639.0, 0.0, 1_050),
        (70, 5_000.0, 1.0, 60),
        (5_900, 10.0, 0.0, 6_000),
        (1_000, f64::NAN, 0.5, 700),
        (1_000, f64::INFINITY, 0.0, 700),
    ] {
        assert_eq!(admission::regulated(&feedback, rate, p95_ms, error_rate), want, "{p95_ms} ms, {error_rate}");
    }
    let strict = Feedback { error_rate: 0.0, min_per_minute: 1, max_per_minute: 2, ..feedback };
    assert_eq!(admission::regulated(&strict, 1, 10.0, 0.0), 2, "a small rate still moves");
    assert_eq!(admission::regulated(&strict, 2, 10.0, 0.001), 1);
}

#[test]
fn the_rate_is_the_loops_within_its_bounds_while_there_is_one() {
    let looped = Feedback { p95_ms: 800, error_rate: 0.02, min_per_minute: 100, max_per_minute: 500 };
    for (feedback, set, want) in
        [(None, 0, 600), (None, 50, 600), (Some(looped), 0, 500), (Some(looped), 50, 100), (Some(looped), 300, 300)]
    {
        let settings = Settings { feedback, ..Settings::default() };
        assert_eq!(admission::rate(&Facts { rate: set, ..Facts::default() }, &settings), want);
    }
}

#[test]
fn an_operators_call_minds_capacity_and_nothing_else() {
    let settings = Settings { mode: Mode::Hold, capacity: Some(5), ..Settings::default() };
    let mut room = Room::new(settings);
    room.join(&[Manner::NoShow; 30]);
    let before = room.facts().clone();
    room.call_by_hand(3);
    assert_eq!((room.facts().ready, room.facts().serving), (3, 3));
    room.call_by_hand(10);
    assert_eq!((room.facts().ready, room.facts().serving), (5, 5));
    let after = room.facts();
    assert_eq!((after.level, after.level_at, after.wave_at), (before.level, before.level_at, before.wave_at));
}

#[test]
fn the_next_wave_is_due_at_once_at_first_and_an_interval_later_after_that() {
    let facts = Facts { now: BIRTH, ..Facts::default() };
    assert_eq!(admission::next_wave_at(&facts, 10), BIRTH);
    assert_eq!(admission::next_wave_at(&Facts { wave_at: BIRTH, ..facts }, 10), BIRTH.plus(10_000));
}

#[test]
fn a_ticket_was_joined_under_the_last_mark_before_it() {
    let mark = |at: u64, issued| JoinMark { at: Millis(at), issued, waiting: 0 };
    let joins = VecDeque::from([mark(100, 10), mark(200, 20), mark(300, 21)]);
    for (ticket, want) in
        [(10, None), (11, Some(100)), (20, Some(100)), (21, Some(200)), (22, Some(300)), (99, Some(300))]
    {
        assert_eq!(admission::joined_at(&joins, ticket), want.map(Millis), "ticket {ticket}");
    }
    assert_eq!(admission::joined_at(&VecDeque::new(), 1), None);
}

#[test]
fn what_lies_far_behind_the_cursor_is_forgotten_and_nothing_else() {
    let settings = Settings { admit_per_minute: 6_000_000, burst: 1_000_000, claim_sec: 5, ..Settings::default() };
    let mut room = Room::new(Settings { min_wait: Vec::new(), ..settings });
    room.join(&std::vec![Manner::NoShow; 3 * RESTORE_GAP as usize]);
    room.tick(room.now);
    assert_eq!(room.facts().base, 0, "the wave is open");
    for _ in 0..5 {
        room.now = room.now.plus(1_000);
        room.tick(room.now);
    }
    let (base, serving) = (room.facts().base, room.facts().serving);
    assert_eq!((serving, base % 64), (3 * RESTORE_GAP, 0));
    assert_eq!(base, serving - 65_536);
    assert_eq!(room.decide(room.now).step, Step::Idle);
}

#[test]
fn passthrough_calls_everybody_and_hold_and_a_shut_room_nobody() {
    let mut settings = Settings { capacity: Some(1), ..Settings::default() };
    settings.schedule.opens = Some(BIRTH.plus(1_000));
    for (mode, release, ms, called) in [
        (Mode::Passthrough, Release::Steady, 1_000, 40),
        (Mode::Passthrough, Release::Waves { size: 1, every_sec: 9 }, 1_000, 40),
        (Mode::Passthrough, Release::Steady, 999, 0),
        (Mode::Line, Release::Steady, 999, 0),
        (Mode::Line, Release::Steady, 1_000, 1),
        (Mode::Hold, Release::Steady, 1_000, 0),
        (Mode::Reject, Release::Steady, 1_000, 0),
    ] {
        let mut room = Room::new(Settings { mode, release, ..settings.clone() });
        room.join(&[Manner::Polite; 40]);
        room.now = room.now.plus(ms);
        room.tick(room.now);
        assert_eq!(room.facts().called_total, called, "{mode:?} at {ms}");
    }
}

proptest! {
    /// Every place by itself: under which mark, how far back at most, and whether it has waited as long as that asks
    /// for.
    #[test]
    fn eligible_is_the_last_place_before_the_first_that_has_to_wait(
        marks in prop::collection::vec((250u64..2_000, 1u64..40, 0u64..60), 0..12),
        steps in prop::collection::vec((1u64..30, 0u32..6), 0..5),
        last in prop::option::of(0u32..8),
        serving in 0u64..150, later in 0u64..9_000, rest in 1u64..30,
    ) {
        let (mut at, mut issued) = (BIRTH, 0);
        let mut joins = VecDeque::new();
        for (ms, people, waiting) in marks {
            at = at.plus(ms);
            joins.push_back(JoinMark { at, issued, waiting });
            issued += people;
        }
        issued += if joins.is_empty() { 0 } else { rest };
        let mut up_to = 0;
        let steps = steps.iter().map(|(more, sec)| { up_to += more; MinWait { up_to: Some(up_to), sec: *sec } });
        let min_wait: Vec<MinWait> = steps.chain(last.map(|sec| MinWait { up_to: None, sec })).collect();
        let settings = Settings { min_wait, ..Settings::default() };
        let facts = Facts { issued, serving: serving.min(issued), now: at.plus(later), ..Facts::default() };

        let may = |slot: u64| {
            let mark = joins.iter().rfind(|mark| mark.issued < slot).unwrap();
            let asked = super::simulation::least_wait_ms(&settings, mark.waiting + slot - mark.issued);
            asked == 0 || facts.now.since(mark.at) >= asked + 250
        };
        let want = (facts.serving + 1..=issued).find(|slot| !may(*slot)).map_or(issued, |slot| slot - 1);
        let Slot(got) = admission::eligible(&facts, &joins, &settings);
        prop_assert_eq!(got.max(facts.serving), want);
    }
}
