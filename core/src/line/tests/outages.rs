//! Time in which nobody ticked is given back, whichever step is the first to find it.

use super::against_model::BIRTH;
use super::model::known;
use crate::line::{
    Call, Called, Enter, EnterTerms, Heard, Join, JoinLimits, Leave, Line, OUTAGE_MS, Restore, Session, Standing,
    TICK_MAX_MS,
};
use crate::units::{Generation, Millis, Slot};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const GENERATION: Generation = Generation(7);
const LIMITS: JoinLimits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 250 };
const TERMS: EnterTerms = EnterTerms { session_ms: 5_000, pass_ttl_ms: 30_000 };
const CLAIM_MS: u64 = 4_000;

fn call(line: &mut Line, count: u64, now: Millis) -> Called {
    let (version, issued) = (line.facts().version, line.facts().issued);
    line.call(&Call { version, now, count, limit: Slot(issued), until: now.plus(CLAIM_MS), ..Call::default() })
}

/// Ten people: 1 and 2 are inside, 3 and 4 were called a second later, the rest waits. Settled a second after that.
fn line() -> Line {
    let mut line = Line::new(GENERATION, BIRTH);
    line.join(&vec![Join { identity: None, idem: None }; 10], LIMITS, BIRTH);
    call(&mut line, 2, BIRTH);
    for slot in [1, 2] {
        line.enter(GENERATION, Slot(slot), TERMS, BIRTH);
    }
    call(&mut line, 2, BIRTH.plus(1_000));
    line.settle(BIRTH.plus(2_000));
    line
}

/// What every open window and session has left at the line's time: slot, milliseconds.
fn left(line: &Line) -> Vec<(u64, u64)> {
    let now = line.facts().now;
    let windows = line.waves().into_iter().map(|wave| (wave.last.0, wave.until.since(now)));
    windows.chain(line.active().map(|(slot, session)| (slot, session.ends_at.since(now)))).collect()
}

type Step = (&'static str, fn(&mut Line, Millis));

/// Every step of the line that takes the time.
fn steps() -> Vec<Step> {
    vec![
        ("settle", |line, now| line.settle(now)),
        ("join", |line, now| _ = line.join(&[Join { identity: None, idem: None }], LIMITS, now)),
        ("hear", |line, now| _ = line.hear(&Heard { generation: GENERATION, ..Heard::default() }, now)),
        ("turn_epoch", |line, now| _ = line.turn_epoch(line.facts().epoch, now)),
        ("turn_epoch of another", |line, now| _ = line.turn_epoch(line.facts().epoch + 1, now)),
        ("sweep", |line, now| _ = line.sweep(now)),
        ("call", |line, now| _ = call(line, 0, now)),
        ("enter", |line, now| _ = line.enter(GENERATION, Slot(9), TERMS, now)),
        ("enter again", |line, now| _ = line.enter(GENERATION, Slot(1), TERMS, now)),
        ("enter of another generation", |line, now| _ = line.enter(Generation(6), Slot(1), TERMS, now)),
        ("leave", |line, now| _ = line.leave(GENERATION, Slot(9), now)),
        ("extend", |line, now| _ = line.extend_session(GENERATION, Slot(1), Millis(0), now)),
        ("end", |line, now| _ = line.end_session(GENERATION, Slot(9), now)),
        ("restore", |line, now| _ = line.restore(&Restore { generation: GENERATION, ..Restore::default() }, now)),
    ]
}

#[test]
fn whichever_step_comes_first_after_an_outage_everything_open_has_the_time_left_that_it_had() {
    for (name, step) in steps() {
        for outage in [OUTAGE_MS + 1, 120_000, 86_400_000] {
            let mut line = line();
            let (before, version) = (left(&line), line.facts().version);
            assert_eq!(before, [(2, 2_000), (4, 3_000), (1, 3_000), (2, 3_000)]);
            let now = BIRTH.plus(2_000 + outage);
            step(&mut line, now);
            assert_eq!(left(&line), before, "{name} after {outage} ms");
            assert_eq!((line.facts().given_back, line.facts().now), (outage, now), "{name}");
            assert!(line.facts().version > version, "{name}: whoever knows the old ends reads anew");
            line.settle(now);
            let facts = line.facts();
            assert_eq!((facts.ready, facts.active, facts.missed_total), (2, 2, 0), "{name}: nothing is closed");
            assert_eq!(line.enter(GENERATION, Slot(3), TERMS, now), Enter::Entered(session(now)));
            assert_eq!(line.leave(GENERATION, Slot(4), now), Leave::Left);
            // They end as they should: nobody is let in for ever.
            line.settle(now.plus(2_999));
            assert_eq!(line.facts().active, 3, "{name}");
            line.settle(now.plus(3_000));
            assert_eq!(line.facts().active, 1, "{name}");
            line.settle(now.plus(5_000));
            assert_eq!((line.facts().active, line.facts().given_back), (0, outage), "{name}");
        }
    }
}

fn session(now: Millis) -> Session {
    Session { entered_at: now, ends_at: now.plus(TERMS.session_ms), pass_at: now }
}

#[test]
fn time_that_was_ticked_is_never_given_back_however_slowly_and_with_nobody_in_the_room() {
    for (every, people) in [(TICK_MAX_MS, 10), (OUTAGE_MS, 10), (1, 10), (OUTAGE_MS, 0)] {
        let mut line = if people > 0 { line() } else { Line::new(GENERATION, BIRTH) };
        let (start, version) = (line.facts().now, line.facts().version);
        for tick in 1..=200 {
            line.settle(start.plus(tick * every));
        }
        assert_eq!((line.facts().given_back, line.facts().version), (0, version), "every {every} ms");
        assert_eq!(line.facts().active, if every == 1 { 2 } else { 0 });
    }
}

#[test]
fn up_to_the_threshold_every_step_counts_the_time_as_it_passed() {
    for (name, step) in steps() {
        let mut line = line();
        step(&mut line, BIRTH.plus(2_000 + OUTAGE_MS));
        assert_eq!(line.facts().given_back, 0, "{name}");
        assert_eq!(line.extend_session(GENERATION, Slot(1), Millis(0), BIRTH), None, "{name}: over is over");
        assert_eq!(line.standing(Slot(3)), Standing::Missed, "{name}");
    }
}

#[test]
fn a_session_is_extended_by_the_first_word_after_an_outage_and_never_shortened() {
    let mut line = line();
    let now = BIRTH.plus(62_000);
    let extended = line.extend_session(GENERATION, Slot(1), now.plus(5_000), now);
    assert_eq!(extended, Some(now.plus(5_000)));
    assert_eq!(line.extend_session(GENERATION, Slot(2), Millis(0), now), Some(now.plus(3_000)));
    assert_eq!(line.extend_session(GENERATION, Slot(1), now.plus(10), now), Some(now.plus(5_000)));
}

#[test]
fn a_call_decided_before_an_outage_and_carried_out_after_it_leaves_the_whole_claim_time() {
    let mut line = line();
    let facts = line.facts();
    let decided = Call {
        version: facts.version,
        now: facts.now,
        count: 1,
        limit: Slot(10),
        until: facts.now.plus(CLAIM_MS),
        ..Call::default()
    };
    assert_eq!(line.call(&decided), Called::Done { called: 1, serving: Slot(5) });
    line.settle(line.facts().now.plus(60_000));
    let until = line.facts().now.plus(CLAIM_MS);
    assert!(matches!(line.standing(Slot(5)), Standing::Ready { until: shown, .. } if shown == until));
}

#[test]
fn a_line_brought_back_after_an_outage_keeps_what_everybody_had_left() {
    let was = line();
    let memory = known(&was, 10);
    for later in [0, OUTAGE_MS, 60_000] {
        let now = BIRTH.plus(2_000 + later);
        let mut back = Line::new(GENERATION, now);
        assert!(back.restore(&memory, now));
        let counted = if later > OUTAGE_MS { 0 } else { later };
        let want: Vec<_> = left(&was).iter().map(|(slot, ms)| (*slot, ms.saturating_sub(counted))).collect();
        assert_eq!(left(&back), want, "{later} ms later");
    }
    // What was given back before is in the ends.
    let mut twice = was;
    twice.settle(BIRTH.plus(100_000));
    let mut back = Line::new(GENERATION, BIRTH.plus(100_000));
    back.restore(&known(&twice, 10), BIRTH.plus(100_000));
    assert_eq!((left(&back), back.facts().given_back), (left(&twice), 0));
}

proptest! {
    /// Ticks and outages in any order: what everybody has left is the time that was ticked, taken off.
    #[test]
    fn after_any_outages_time_left_is_what_was_not_ticked_yet(
        stretches in prop::collection::vec(prop_oneof![1u64..=OUTAGE_MS, OUTAGE_MS + 1..10_000_000], 1..40),
    ) {
        let mut line = Line::new(GENERATION, BIRTH);
        line.join(&vec![Join { identity: None, idem: None }; 3], LIMITS, BIRTH);
        call(&mut line, 2, BIRTH);
        line.enter(GENERATION, Slot(1), TERMS, BIRTH);
        let (mut now, mut ticked, mut lost) = (BIRTH, 0, 0);
        for stretch in stretches {
            now = now.plus(stretch);
            if stretch > OUTAGE_MS { lost += stretch } else { ticked += stretch }
            line.settle(now);
            let open = |length: u64| (ticked < length).then(|| length - ticked);
            let window = line.waves().front().map(|wave| wave.until.since(now));
            let session = line.active().next().map(|(_, session)| session.ends_at.since(now));
            prop_assert_eq!((window, session), (open(CLAIM_MS), open(TERMS.session_ms)));
            let facts = line.facts();
            prop_assert_eq!(facts.given_back, lost);
            prop_assert_eq!((facts.ready, facts.active), (window.map_or(0, |_| 1), session.map_or(0, |_| 1)));
        }
    }
}
