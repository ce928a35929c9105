//! What the line promises, each on the shortest story that shows it.

use super::against_model::BIRTH;
use super::model::known;
use crate::bitmap::Bitmap;
use crate::line::{
    Call, Called, Enter, EnterTerms, Heard, IdemKey, Join, JoinLimits, Joined, Leave, Line, RESTORE_GAP, Restore,
    Session, Standing, TICK_MAX_MS,
};
use crate::units::{Generation, Identity, Millis, Slot, Ticket};
use std::collections::BTreeSet;
use std::slice::from_ref;
use std::vec;
use std::vec::Vec;

const LIMITS: JoinLimits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 250 };
const TERMS: EnterTerms = EnterTerms { session_ms: 600_000, pass_ttl_ms: 30_000 };
const ANYBODY: Join = Join { identity: None, idem: None };

fn line_of(people: usize) -> Line {
    let mut line = Line::new(Generation(7), BIRTH);
    line.join(&vec![ANYBODY; people], LIMITS, BIRTH);
    line
}

fn call(line: &mut Line, count: u64, now: Millis) -> u64 {
    let facts = line.facts();
    let call = Call {
        version: facts.version,
        now,
        count,
        limit: Slot(facts.issued),
        until: now.plus(120_000),
        ..Call::default()
    };
    match line.call(&call) {
        Called::Done { called, .. } => called,
        Called::Stale { .. } => unreachable!("made on this version"),
    }
}

/// Ticks as a host does until `now`.
fn tick_until(line: &mut Line, now: Millis) {
    while line.facts().now < now {
        line.settle(line.facts().now.plus(TICK_MAX_MS).min(now));
    }
}

fn hear(line: &mut Line, slot: u64, now: Millis) -> u64 {
    let mut bits = Bitmap::new();
    bits.set(slot - 1);
    line.hear(&Heard { generation: Generation(7), base: 0, bits }, now)
}

/// So many whole epochs pass without a word from anybody.
fn pass_epochs(line: &mut Line, epochs: usize) {
    for _ in 0..epochs {
        assert!(line.turn_epoch(line.facts().epoch, line.facts().now.plus(1_000)).is_some());
    }
}

#[test]
fn once_thirty_two_enters_are_one_session_with_one_pass() {
    let mut line = line_of(1);
    call(&mut line, 1, BIRTH);
    let session = Session { entered_at: BIRTH, ends_at: BIRTH.plus(600_000), pass_at: BIRTH };
    assert_eq!(line.enter(Generation(7), Slot(1), TERMS, BIRTH), Enter::Entered(session));
    for ms in 1..32 {
        assert_eq!(line.enter(Generation(7), Slot(1), TERMS, BIRTH.plus(ms)), Enter::Again(session));
    }
    assert_eq!((line.facts().entered_total, line.facts().active, line.facts().ready), (1, 1, 0));
    // Only a pass that has run out is made anew, for the same session.
    let renewed = Session { pass_at: BIRTH.plus(30_000), ..session };
    tick_until(&mut line, BIRTH.plus(30_000));
    for ms in 30_000..30_032 {
        assert_eq!(line.enter(Generation(7), Slot(1), TERMS, BIRTH.plus(ms)), Enter::Again(renewed));
    }
    tick_until(&mut line, BIRTH.plus(600_000));
    assert_eq!(line.enter(Generation(7), Slot(1), TERMS, BIRTH.plus(600_000)), Enter::Over, "the session has ended");
    assert_eq!(line.enter(Generation(6), Slot(1), TERMS, BIRTH), Enter::Unknown, "another generation's token");
}

#[test]
fn once_a_hundred_joins_of_one_person_are_one_place() {
    let mut line = line_of(0);
    let ann = Identity::parse("ann").unwrap();
    let join = Join { identity: Some(ann), idem: None };
    let first = line.join(&vec![join.clone(); 100], LIMITS, BIRTH).joined;
    assert_eq!(first[0], Joined::New { ticket: Ticket(1), position: 1 });
    assert!(first[1..].iter().all(|joined| *joined == Joined::Duplicate { ticket: Ticket(1) }));
    // The place is held through the turn and the session, and free again afterwards.
    call(&mut line, 1, BIRTH);
    assert_eq!(line.join(from_ref(&join), LIMITS, BIRTH).joined, [Joined::Duplicate { ticket: Ticket(1) }]);
    line.enter(Generation(7), Slot(1), TERMS, BIRTH);
    assert_eq!(line.join(from_ref(&join), LIMITS, BIRTH).joined, [Joined::Duplicate { ticket: Ticket(1) }]);
    line.end_session(Generation(7), Slot(1), BIRTH);
    assert_eq!(line.join(&[join], LIMITS, BIRTH).joined, [Joined::New { ticket: Ticket(2), position: 1 }]);
}

#[test]
fn once_twenty_joins_with_one_key_are_one_place_and_one_answer() {
    let mut line = line_of(4);
    let with = |fingerprint: &str| Join {
        identity: None,
        idem: Some(IdemKey { key: "caller key".into(), fingerprint: fingerprint.into() }),
    };
    let joined = line.join(&vec![with("a"); 20], LIMITS, BIRTH.plus(5)).joined;
    assert_eq!(joined[0], Joined::New { ticket: Ticket(5), position: 5 });
    let again = Joined::Repeat { ticket: Ticket(5), position: 5, joined_at: BIRTH.plus(5) };
    assert!(joined[1..].iter().all(|joined| *joined == again));
    assert_eq!(line.join(&[with("b")], LIMITS, BIRTH.plus(59_000)).joined, [Joined::Conflict]);
    assert_eq!(
        line.join(&[with("a")], LIMITS, BIRTH.plus(60_005)).joined[0],
        Joined::New { ticket: Ticket(6), position: 6 }
    );
}

#[test]
fn a_closed_door_answers_repeats_and_hands_out_no_number() {
    let mut line = line_of(0);
    let closed = JoinLimits { places_per_user: 0, ..LIMITS };
    let keyed = |key: &str| Join { identity: None, idem: Some(IdemKey { key: key.into(), fingerprint: "a".into() }) };
    line.join(&[keyed("early")], LIMITS, BIRTH);
    let named = Join { identity: Some(Identity::parse("ann").unwrap()), idem: None };
    let joined = line.join(&[keyed("early"), keyed("late"), named, keyed("late")], closed, BIRTH.plus(9)).joined;
    assert_eq!(joined[0], Joined::Repeat { ticket: Ticket(1), position: 1, joined_at: BIRTH });
    assert_eq!(joined[1..], [Joined::Closed, Joined::Closed, Joined::Closed]);
    assert_eq!(line.facts().issued, 1);
}

#[test]
fn once_no_number_is_issued_twice_however_often_the_line_is_brought_back() {
    let mut line = line_of(0);
    let mut issued = BTreeSet::new();
    for round in 0..20 {
        for joined in line.join(&vec![ANYBODY; 50], LIMITS, BIRTH).joined {
            let Joined::New { ticket, .. } = joined else { panic!("{joined:?}") };
            assert!(issued.insert(ticket), "{ticket:?} was issued before");
        }
        let memory = known(&line, line.facts().issued);
        match round % 4 {
            // The store is emptied; the origin's memory is two batches behind what was handed out.
            0 => {
                line.join(&vec![ANYBODY; 100], LIMITS, BIRTH).joined.iter().for_each(|joined| {
                    let Joined::New { ticket, .. } = joined else { panic!("{joined:?}") };
                    issued.insert(*ticket);
                });
                line = Line::new(Generation(7), BIRTH);
                assert!(line.restore(&Restore { issued: memory.known + RESTORE_GAP, ..memory }, BIRTH));
            }
            1 => line.skip_to(line.facts().issued + 30),
            // A replica that knows less than its origin was promoted.
            2 => assert!(line.restore(&Restore { issued: memory.known + 10, ..memory }, BIRTH)),
            _ => assert!(!line.restore(&Restore { issued: 1, known: 1, ..memory }, BIRTH), "knows less than the line"),
        }
    }
}

#[test]
fn a_number_skipped_is_nobodys_place_until_its_holder_is_heard_from() {
    for epochs in 0..12 {
        let mut line = line_of(3);
        pass_epochs(&mut line, epochs);
        (1..=3).for_each(|slot| {
            hear(&mut line, slot, BIRTH);
        });
        line.skip_to(1_000);
        assert_eq!(line.facts().waiting, 3);
        for epoch in 0..7 {
            line.sweep(BIRTH);
            pass_epochs(&mut line, 1);
            assert!(line.facts().waiting <= 3, "{} wait {epoch} epochs later", line.facts().waiting);
            assert_eq!(line.standing(Slot(500)), Standing::Silent);
        }
        assert_eq!(hear(&mut line, 500, BIRTH), 1);
        assert_eq!((line.standing(Slot(500)), line.facts().waiting), (Standing::Waiting, 1));
        assert_eq!(call(&mut line, 1, BIRTH), 1);
        assert!(matches!(line.standing(Slot(500)), Standing::Ready { .. }));
    }
}

#[test]
fn a_line_brought_back_drops_nobody_before_a_whole_heartbeat_time() {
    let mut line = line_of(5);
    line.leave(Generation(7), Slot(4), BIRTH);
    let memory = known(&line, 5);
    let mut line = Line::new(Generation(7), BIRTH);
    assert!(line.restore(&memory, BIRTH));
    pass_epochs(&mut line, 4);
    assert_eq!(line.facts().waiting, 4);
    pass_epochs(&mut line, 1);
    assert_eq!(line.facts().waiting, 0, "four epochs of silence are enough");
    assert_eq!(line.standing(Slot(4)), Standing::Left);
}

#[test]
fn who_returns_before_being_passed_has_the_place_and_who_returns_later_does_not() {
    let mut line = line_of(3);
    pass_epochs(&mut line, 4);
    hear(&mut line, 3, BIRTH);
    pass_epochs(&mut line, 1);
    assert_eq!((line.standing(Slot(1)), line.facts().waiting), (Standing::Silent, 1));
    assert_eq!(hear(&mut line, 2, BIRTH), 1);
    assert_eq!(line.live_up_to(Slot(3)), 2);
    assert_eq!(call(&mut line, 5, BIRTH), 2);
    assert_eq!(hear(&mut line, 1, BIRTH), 0);
    assert_eq!(line.standing(Slot(1)), Standing::PassedOver);
    assert_eq!(line.enter(Generation(7), Slot(1), TERMS, BIRTH), Enter::PassedOver);
}

#[test]
fn leaving_twice_is_leaving_once() {
    let mut line = line_of(3);
    call(&mut line, 1, BIRTH);
    for slot in [1, 2] {
        assert_eq!(line.leave(Generation(7), Slot(slot), BIRTH), Leave::Left);
        assert_eq!(line.leave(Generation(7), Slot(slot), BIRTH), Leave::Already);
    }
    let facts = line.facts();
    assert_eq!((facts.waiting, facts.ready, facts.refund, facts.left_total), (1, 0, 1, 2));
    assert_eq!(line.leave(Generation(7), Slot(4), BIRTH), Leave::Unknown);
}

#[test]
fn a_reset_voids_every_ticket_for_good() {
    let mut line = line_of(3);
    call(&mut line, 1, BIRTH);
    let mut earlier: Vec<Generation> = vec![Generation(7)];
    for _ in 0..3 {
        let generation = line.reset(BIRTH);
        assert!(earlier.iter().all(|old| *old < generation));
        assert_eq!(line.enter(earlier[0], Slot(1), TERMS, BIRTH), Enter::Unknown);
        assert_eq!(line.facts().issued, 0);
        earlier.push(generation);
    }
}
