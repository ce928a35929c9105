//! A room in virtual time: a line, its hosts and its people, and a witness who writes down what happens and checks what
//! was promised.
//!
//! The hosts do what hosts do: let time pass, ask for the next step, carry it out. The people poll, leave, fall silent,
//! come back, enter or do not.

use crate::admission::{self, Step};
use crate::bitmap::Bitmap;
use crate::line::{Call, Called, Enter, EnterTerms, Facts, Heard, Join, Joined, Leave, Line, Standing};
use crate::settings::{Mode, Release, Settings};
use crate::units::{Generation, Millis, Slot};
use std::vec;
use std::vec::Vec;

pub(super) const BIRTH: Millis = Millis(1_800_000_000_000);

/// What somebody does. Times are milliseconds after the join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Polls as told, enters when called.
    Polite,
    /// Polls as told, never enters.
    NoShow,
    /// Polls as told until leaving.
    Leaver { after: u64 },
    /// Is never heard from again after that.
    Ghost { after: u64 },
    /// Is away for a while, and polite before and after.
    Returner { after: u64, away: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Person {
    pub(super) slot: u64,
    pub(super) manner: Manner,
    pub(super) position: u64,
    pub(super) joined_at: Millis,
    pub(super) called_at: Option<Millis>,
    /// Whether room time moved at the join; else more than one thing happened in that millisecond.
    moved: bool,
    /// Called by hand or by passthrough, which ask for no least wait.
    waved_through: bool,
    heard_at: Millis,
    next_poll: Millis,
    entered: bool,
    left: bool,
}

/// Calls and turns given back, with what the rate has allowed since the beginning.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Millis,
    /// 1/60,000 of a call.
    allowed: u128,
    calls: u64,
    back: u64,
}

/// What a host wants to do, and how much of the ledger was written when it decided so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    pub(super) step: Step,
    after: usize,
}

pub(super) struct Room {
    pub(super) line: Line,
    pub(super) settings: Settings,
    /// True time; the clocks of hosts may be off.
    pub(super) now: Millis,
    pub(super) people: Vec<Person>,
    ledger: Vec<Entry>,
    allowed: u128,
    metered_at: Millis,
    /// Longest time between two ticks.
    gap: u64,
    ticked_at: Millis,
    by_hand: bool,
}

impl Room {
    pub(super) fn new(settings: Settings) -> Self {
        Room {
            line: Line::new(Generation(7), BIRTH),
            settings,
            now: BIRTH,
            people: Vec::new(),
            ledger: Vec::new(),
            allowed: 0,
            metered_at: BIRTH,
            gap: 0,
            ticked_at: BIRTH,
            by_hand: false,
        }
    }

    pub(super) fn facts(&self) -> &Facts {
        self.line.facts()
    }

    /// So many people join in one batch.
    pub(super) fn join(&mut self, manners: &[Manner]) {
        let before = self.facts().now;
        let batch = vec![Join { identity: None, idem: None }; manners.len()];
        let joined = self.line.join(&batch, admission::join_limits(&self.settings), self.now);
        for (joined, manner) in joined.joined.iter().zip(manners) {
            let Joined::New { ticket, position } = joined else { panic!("an anonymous join was {joined:?}") };
            assert_eq!(ticket.0, self.people.len() as u64 + 1, "numbers follow one another");
            self.people.push(Person {
                slot: ticket.0,
                manner: *manner,
                position: *position,
                joined_at: joined_at(&self.line, before),
                called_at: None,
                moved: self.facts().now > before,
                waved_through: false,
                heard_at: self.facts().now,
                next_poll: self.now.plus(self.settings.heartbeat_ms() / 3),
                entered: false,
                left: false,
            });
        }
    }

    /// Everybody does what is theirs to do now.
    pub(super) fn act(&mut self) {
        let mut bits = Bitmap::new();
        let (generation, base) = (self.facts().generation, self.facts().base);
        let terms = EnterTerms { session_ms: u64::from(self.settings.session_sec) * 1000, pass_ttl_ms: 30_000 };
        for at in 0..self.people.len() {
            let mut person = self.people[at];
            let slot = Slot(person.slot);
            let age = self.now.since(person.joined_at);
            let (polls, enters) = match person.manner {
                Manner::Polite => (true, true),
                Manner::NoShow => (true, false),
                Manner::Leaver { after } => (age < after, false),
                Manner::Ghost { after } => (age < after, false),
                Manner::Returner { after, away } => {
                    (age < after || age >= after + away, age < after || age >= after + away)
                }
            };
            if matches!(person.manner, Manner::Leaver { after } if age >= after) && !person.left {
                let before = self.facts().refund;
                let outcome = self.line.leave(generation, slot, self.now);
                let after = self.line.standing(slot);
                let over = !matches!(after, Standing::Waiting | Standing::Silent | Standing::Ready { .. });
                assert!(over && outcome != Leave::Unknown, "left as told: {outcome:?}, {after:?}");
                person.left = true;
                self.give_back(self.facts().refund - before);
            } else if polls && self.now >= person.next_poll && slot.0 > base {
                person.next_poll = self.now.plus(self.settings.heartbeat_ms() / 3);
                person.heard_at = self.facts().now.max(self.now);
                bits.set(slot.0 - base - 1);
            }
            if enters && !person.entered && matches!(self.line.standing(slot), Standing::Ready { .. }) {
                let first = self.line.enter(generation, slot, terms, self.now);
                if let Enter::Entered(session) = first {
                    person.entered = true;
                    assert_eq!(self.line.enter(generation, slot, terms, self.now), Enter::Again(session));
                }
            }
            self.people[at] = person;
        }
        self.line.hear(&Heard { generation, base, bits }, self.now);
    }

    /// One tick of a host whose clock shows `clock`.
    pub(super) fn tick(&mut self, clock: Millis) {
        loop {
            let decision = self.decide(clock);
            if self.carry_out(decision) {
                break;
            }
        }
        self.gap = self.gap.max(self.facts().now.since(self.ticked_at));
        self.ticked_at = self.facts().now;
    }

    /// What a host whose clock shows `clock` wants to do.
    pub(super) fn decide(&mut self, clock: Millis) -> Decision {
        let before = self.facts().refund;
        self.line.settle(clock);
        self.give_back(self.facts().refund - before);
        let step = admission::next_step(self.facts(), self.line.joins(), &self.line.waves(), &self.settings);
        Decision { step, after: self.ledger.len() }
    }

    /// Carries out a decision, perhaps one made a while ago; whether the tick ends with it.
    pub(super) fn carry_out(&mut self, decision: Decision) -> bool {
        match decision.step {
            Step::TurnEpoch(epoch) => self.line.turn_epoch(epoch, self.now).is_none(),
            Step::Trim(base) => !self.line.trim(base),
            Step::Call(call) => {
                self.call(&call, decision.after);
                true
            }
            Step::Idle => true,
        }
    }

    pub(super) fn call_by_hand(&mut self, count: u64) {
        let after = self.decide(self.now).after;
        let call = admission::by_hand(self.facts(), self.line.joins(), &self.settings, count);
        self.by_hand = true;
        self.call(&call, after);
        self.by_hand = false;
    }

    /// Moves the rate as the feedback loop does.
    pub(super) fn set_rate(&mut self, rate: u64) {
        self.decide(self.now);
        self.meter();
        let call = admission::set_rate(self.facts(), self.line.joins(), &self.settings, rate);
        self.line.call(&call);
    }

    /// Changes the settings as a host does: what the bucket has gained so far, it has gained under the old ones.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        self.set_rate(self.facts().rate);
        change(&mut self.settings);
    }

    fn call(&mut self, call: &Call, after: usize) {
        let before = self.facts().clone();
        let Called::Done { called, serving } = self.line.call(call) else { return };
        let free = self.by_hand || self.settings.mode == Mode::Passthrough;
        for slot in before.serving + 1..=serving.0 {
            if matches!(self.line.standing(Slot(slot)), Standing::Ready { .. }) {
                let person = &mut self.people[slot as usize - 1];
                assert_eq!(person.called_at, None, "slot {slot} was called twice");
                person.called_at = Some(self.line.facts().now);
                person.waved_through = free;
            }
        }
        if called > 0 && self.settings.mode != Mode::Passthrough {
            let inside = self.facts().active + self.facts().ready;
            let capacity = self.settings.capacity.map_or(u64::MAX, u64::from);
            assert!(inside <= capacity, "{inside} inside of {capacity}");
        }
        if !free {
            assert!(admission::calls_anybody(&before, &self.settings) || called == 0, "called in a closed room");
            self.meter();
            // Buckets and waves reckon in times of decision; nothing that changes the rate comes between a decision and
            // its doing.
            let since = self.facts().now.since(call.now);
            let allowed = self.allowed - u128::from(since) * u128::from(admission::rate(self.facts(), &self.settings));
            self.ledger.insert(after, Entry { at: call.now, allowed, calls: called, back: 0 });
        }
    }

    /// Adds up what the rate has allowed until now.
    fn meter(&mut self) {
        let now = self.facts().now;
        self.allowed +=
            u128::from(now.since(self.metered_at)) * u128::from(admission::rate(self.facts(), &self.settings));
        self.metered_at = now;
    }

    /// Writes down that so many turns were given back.
    fn give_back(&mut self, back: u64) {
        self.meter();
        if back > 0 {
            self.ledger.push(Entry { at: self.facts().now, allowed: self.allowed, calls: 0, back });
        }
    }

    /// A holder who polls as told is never silent and never passed; whoever is quiet for long enough does not count;
    /// nobody waits beyond the limit, and nobody is given up before it.
    pub(super) fn check_people(&self) {
        let (facts, settings) = (self.facts(), &self.settings);
        let spacing = admission::join_limits(settings).mark_every_ms;
        let epoch = settings.heartbeat_ms() / crate::line::EPOCHS_PER_TTL;
        for person in &self.people {
            let standing = self.line.standing(Slot(person.slot));
            let since = person.joined_at.max(settings.schedule.opens.unwrap_or_default());
            let waited = facts.now.since(since);
            if matches!(person.manner, Manner::Polite | Manner::NoShow) {
                let fine = match standing {
                    Standing::Waiting | Standing::Ready { .. } | Standing::Entered => true,
                    Standing::Missed if person.called_at.is_some() => person.manner == Manner::NoShow || person.entered,
                    Standing::Missed => waited >= settings.max_wait_ms(),
                    _ => false,
                };
                assert!(fine, "{standing:?} after {waited} ms: {person:?}");
            }
            if standing == Standing::Waiting {
                let quiet = facts.now.since(person.heard_at);
                assert!(
                    quiet <= settings.heartbeat_ms() + epoch + 6 * self.gap,
                    "counts, quiet for {quiet} ms: {person:?}"
                );
                let longest = settings.max_wait_ms() + spacing + 2 * self.gap;
                assert!(waited <= longest, "waits for {waited} ms: {person:?}");
            }
            if matches!(standing, Standing::Ready { .. }) {
                assert!(person.called_at.is_some(), "ready without a call: {person:?}");
            }
        }
        let open = self.line.active().filter(|(_, session)| session.ends_at > facts.now).count() as u64;
        let ready = |person: &&Person| matches!(self.line.standing(Slot(person.slot)), Standing::Ready { .. });
        let ready = self.people.iter().filter(ready).count() as u64;
        assert!(open <= facts.active && ready <= facts.ready, "somebody inside is not counted");
    }

    /// Calls go up the line, and nobody is called sooner after the join than the settings ask for at that position.
    pub(super) fn check_calls(&self) {
        let called: Vec<&Person> = self.people.iter().filter(|person| person.called_at.is_some()).collect();
        for pair in called.windows(2) {
            assert!(pair[0].called_at <= pair[1].called_at, "{:?} overtook {:?}", pair[1], pair[0]);
        }
        for person in called.iter().filter(|person| person.moved && !person.waved_through) {
            let waited = person.called_at.unwrap_or_default().since(person.joined_at);
            let asked = least_wait_ms(&self.settings, person.position);
            assert!(waited >= asked, "called after {waited} of {asked} ms: {person:?}");
        }
    }

    /// Between any two moments, no more calls than the rate bucket or the waves allow, turns given back not counted.
    pub(super) fn check_never_too_many(&self) {
        match self.settings.release {
            Release::Steady => self.check_bucket(),
            Release::Waves { size, every_sec } => self.check_waves(u64::from(size), u64::from(every_sec) * 1000),
        }
    }

    fn check_bucket(&self) {
        let burst = i128::from(self.settings.burst) * 60_000;
        let (mut sum, mut least) = (0i128, i128::MAX);
        for entry in &self.ledger {
            let allowed = entry.allowed as i128;
            if entry.calls > 0 {
                least = least.min(sum - allowed);
            }
            sum += (i128::from(entry.calls) - i128::from(entry.back)) * 60_000;
            if entry.calls > 0 {
                let over = sum - allowed - least - burst;
                assert!(over <= 0, "{over}/60000 calls more than the bucket holds at {:?}", entry.at);
            }
        }
    }

    /// Waves keep to their interval but for the lateness of one tick, which the next one does not repeat.
    fn check_waves(&self, size: u64, every: u64) {
        let grace = super::super::WAVE_GRACE_MS.min(every / 4);
        let waves: Vec<&Entry> = self.ledger.iter().filter(|entry| entry.calls > 0).collect();
        for (first, from) in waves.iter().enumerate() {
            for (n, to) in waves[first..].iter().enumerate().skip(1) {
                assert!(
                    to.at.since(from.at) + grace >= n as u64 * every,
                    "{} waves within {:?}",
                    n + 1,
                    (from.at, to.at)
                );
            }
        }
        let mut back = 0;
        for entry in &self.ledger {
            back += entry.back;
            assert!(entry.calls <= size + back.min(size), "a wave of {} with {back} turns given back", entry.calls);
            if entry.calls > 0 {
                back -= back.min(size);
            }
        }
    }

    pub(super) fn ticked_at(&self) -> Millis {
        self.ticked_at
    }
}

fn joined_at(line: &Line, before: Millis) -> Millis {
    line.facts().now.max(before)
}

/// The seconds that `min_wait` asks for at a position, in milliseconds.
pub(super) fn least_wait_ms(settings: &Settings, position: u64) -> u64 {
    let step = settings.min_wait.iter().find(|step| step.up_to.is_none_or(|up_to| position <= up_to));
    step.map_or(0, |step| u64::from(step.sec) * 1000)
}
