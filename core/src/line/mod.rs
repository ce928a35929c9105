//! The line: a counter, a cursor and one bit per person.
//!
//! [`Line`] is a plain state machine. It is the state of the embedded store and the specification that the Lua scripts are tested
//! against: each public method that takes `&mut self` is one script, atomic there, and gives the same result.
//!
//! Two bits tell everything about a slot:
//!
//! | slot | `gone` | `left` | means |
//! |---|---|---|---|
//! | beyond the cursor | 0 | 0 | waiting |
//! | beyond the cursor | 1 | 0 | silent: counts for nobody, has its place again when heard from |
//! | beyond the cursor | 1 | 1 | left |
//! | at or behind the cursor | 0 | 0 | called: ready while its wave is open, missed afterwards |
//! | at or behind the cursor | 0 | 1 | entered |
//! | at or behind the cursor | 1 | 0 | silent when the cursor passed: passed over |
//! | at or behind the cursor | 1 | 1 | left |
//!
//! A slot behind the cursor that no wave ever called (it waited past the room's limit) reads as missed.
//!
//! Bit `s - base - 1` stands for slot `s`; slots up to `base` are forgotten.
//!
//! Room time: every method that takes `now` uses the greater of it and the greatest seen so far, so time never runs backwards
//! for a room, whatever the clocks of its hosts do. Time in which nobody ticked counts against no claim window and no session
//! ([`OUTAGE_MS`]).

mod join;
mod restore;
mod running;
mod silence;
mod turn;

pub use join::{EXACT_MARKS, IdemKey, Join, JoinBatch, JoinLimits, Joined};
pub use restore::{RESTORE_GAP, Restore};
pub use running::{OUTAGE_MS, TICK_MAX_MS};
pub use silence::Heard;
pub use turn::{Call, Called, Enter, EnterTerms, Leave, Session};

use crate::bitmap::Bitmap;
use crate::units::{Generation, Identity, Millis, Slot, Ticket};
use crate::window::Window;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Into how many epochs the heartbeat time is cut. A silent holder stops counting after 4 to 5 of them.
pub const EPOCHS_PER_TTL: u64 = 4;
/// Heartbeat bitmaps in the ring: the running epoch and the [`EPOCHS_PER_TTL`] before it.
pub const SEEN_RING: usize = EPOCHS_PER_TTL as usize + 1;
/// Most sessions ended by one [`Line::settle`], so that no step of the store takes long.
pub const SETTLE_SESSIONS: usize = 2_000;

/// The numbers of a line: what a tick decides on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Generation of the tokens that count.
    pub generation: Generation,
    /// Slots up to here are forgotten. A multiple of 64.
    pub base: u64,
    /// Highest ticket handed out.
    pub issued: u64,
    /// The cursor.
    pub serving: u64,
    /// Live slots beyond the cursor.
    pub waiting: u64,
    /// Called, not entered, not left, wave open.
    pub ready: u64,
    /// Open sessions.
    pub active: u64,
    /// Slots called since the generation began.
    pub called_total: u64,
    /// Turns taken since the generation began.
    pub entered_total: u64,
    /// Turns missed and tickets lapsed since the generation began.
    pub missed_total: u64,
    /// Leaves since the generation began.
    pub left_total: u64,
    /// Number of the running epoch.
    pub epoch: u64,
    /// When the running epoch began.
    pub epoch_at: Millis,
    /// Content of the rate bucket at `level_at`, in 1/60,000 of a call ([`crate::admission`]).
    pub level: u64,
    /// See `level`.
    pub level_at: Millis,
    /// Turns given back (missed, or left while ready) that no decision has put back into the bucket yet.
    pub refund: u64,
    /// When the last wave of a room with wave release was due.
    pub wave_at: Millis,
    /// Calls per minute as the feedback loop has set them; 0 = as the settings say.
    pub rate: u64,
    /// The greatest room time seen.
    pub now: Millis,
    /// Room time of the last [`Line::settle`], or of the step that gave the time since back.
    pub settled_at: Millis,
    /// How much time in which nobody ticked was given back to claim windows and sessions, milliseconds: room time less this is the
    /// line's running time.
    #[serde(default)]
    pub given_back: u64,
    /// When the youngest entry of `joins` was made.
    pub mark_at: Millis,
    /// When this generation began.
    pub born_at: Millis,
    /// Grows with every decision carried out; a decision made on another version is refused.
    pub version: u64,
    /// Grows with every change of the bitmaps.
    pub bits: u64,
    /// Grows with every change of the room's settings.
    pub settings: u64,
}

/// Slots called in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// First slot that the step could call.
    pub from: Slot,
    /// Last slot called.
    pub last: Slot,
    /// When.
    pub called_at: Millis,
    /// When the claim window closes.
    pub until: Millis,
    /// How many live slots were called.
    pub called: u64,
    /// How many of them have entered or left since.
    pub claimed: u64,
}

/// When tickets were handed out: those above `issued` were joined at or after `at`, up to the next mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinMark {
    /// When the mark was made.
    pub at: Millis,
    /// Tickets handed out before.
    pub issued: u64,
    /// People waiting before.
    pub waiting: u64,
}

/// The line of one room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub(crate) facts: Facts,
    pub(crate) gone: Bitmap,
    pub(crate) left: Bitmap,
    /// `seen[epoch % SEEN_RING]`.
    pub(crate) seen: [Bitmap; SEEN_RING],
    /// Tickets handed out when the epoch began, `starts[epoch % SEEN_RING]`.
    pub(crate) starts: [u64; SEEN_RING],
    /// Open waves, oldest first; `until`, in running time, never falls from one to the next.
    pub(crate) waves: VecDeque<Wave>,
    /// Open sessions by slot; `ends_at` in running time.
    pub(crate) active: BTreeMap<u64, Session>,
    pub(crate) joins: VecDeque<JoinMark>,
    pub(crate) window: Window,
    pub(crate) users: BTreeMap<Identity, Vec<Ticket>>,
    /// What keys stand for. One that has run out is as good as absent, and dropped when the epoch turns: looking through them at
    /// every join would make a join the dearer the more there are.
    pub(crate) idem: BTreeMap<String, join::IdemRecord>,
}

/// Where a slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No such ticket has been handed out.
    Unknown,
    /// In line.
    Waiting,
    /// In line, not heard from for too long; has its place again as soon as it is.
    Silent,
    /// May enter until `until`.
    Ready {
        /// When the turn was called.
        called_at: Millis,
        /// When the claim window closes.
        until: Millis,
    },
    /// Has taken its turn.
    Entered,
    /// Turn missed, or waited past the limit, or forgotten.
    Missed,
    /// Silent when the cursor passed.
    PassedOver,
    /// Left.
    Left,
}

/// Where `slot` stands by its two bits. One definition for the line, its replicas and the status answer; `wave` finds the open
/// wave that holds a slot, its end in room time.
pub fn standing(
    facts: &Facts,
    slot: Slot,
    gone: bool,
    left: bool,
    wave: impl FnOnce(Slot) -> Option<Wave>,
) -> Standing {
    if slot.0 == 0 || slot.0 > facts.issued {
        return Standing::Unknown;
    }
    if slot.0 <= facts.base {
        return Standing::Missed;
    }
    match (slot.0 > facts.serving, gone, left) {
        (true, false, _) => Standing::Waiting,
        (true, true, false) => Standing::Silent,
        (_, true, true) => Standing::Left,
        (false, true, false) => Standing::PassedOver,
        (false, false, true) => Standing::Entered,
        (false, false, false) => match wave(slot) {
            Some(wave) if wave.until > facts.now => Standing::Ready { called_at: wave.called_at, until: wave.until },
            _ => Standing::Missed,
        },
    }
}

/// The open wave that holds `slot`, if any. O(log waves).
pub fn wave_of(waves: &VecDeque<Wave>, slot: Slot) -> Option<Wave> {
    let at = waves.partition_point(|wave| wave.last < slot);
    waves.get(at).copied().filter(|wave| wave.from <= slot)
}

impl Line {
    /// An empty line, born at `now`.
    pub fn new(generation: Generation, now: Millis) -> Self {
        let facts = Facts {
            generation,
            now,
            born_at: now,
            epoch_at: now,
            settled_at: now,
            version: 1,
            bits: 1,
            ..Facts::default()
        };
        Line { facts, ..Line::default() }
    }

    /// Starts the next generation: an empty line, everybody out, all tokens void. Its number is at least `now` in seconds, so that a
    /// room that is deleted and made again never honours a token of its former life.
    pub fn reset(&mut self, now: Millis) -> Generation {
        let now = self.advance(now);
        let generation = Generation(now.secs().max(self.facts.generation.0 + 1));
        let mut fresh = Line::new(generation, now);
        fresh.facts.version = self.facts.version + 1;
        fresh.facts.bits = self.facts.bits + 1;
        fresh.facts.settings = self.facts.settings;
        *self = fresh;
        generation
    }

    /// Notes that the room's settings have changed; gives their new version.
    pub fn settings_changed(&mut self) -> u64 {
        self.facts.settings += 1;
        self.facts.settings
    }

    /// Lets time pass: closes the claim windows and ends the sessions whose time has come (at most [`SETTLE_SESSIONS`] of the
    /// latter), and accounts the time for the estimate, but not a time in which nobody ticked. What is closed here stays closed: a
    /// decision may count on it.
    pub fn settle(&mut self, now: Millis) {
        let now = self.advance(now);
        let running = self.facts.running(now);
        let passed = now.since(self.facts.settled_at);
        self.facts.settled_at = now;
        let waiting = self.facts.waiting;
        if waiting > 0 && passed > 0 {
            let flow = self.window.at(now);
            flow.busy_ms += passed;
            flow.waited_ms += waiting * passed;
        }
        while let Some(wave) = self.waves.front().copied()
            && wave.until <= running
        {
            self.waves.pop_front();
            let missed = wave.called - wave.claimed;
            self.facts.ready -= missed;
            self.facts.missed_total += missed;
            self.facts.refund += missed;
        }
        let mut ended: Vec<(Millis, u64)> = self
            .active
            .iter()
            .filter(|(_, session)| session.ends_at <= running)
            .map(|(slot, session)| (session.ends_at, *slot))
            .collect();
        ended.sort_unstable();
        for (_, slot) in ended.into_iter().take(SETTLE_SESSIONS) {
            self.active.remove(&slot);
        }
        self.facts.active = self.active.len() as u64;
    }

    /// Bit of `slot`, which must lie beyond `base`.
    const fn bit(&self, slot: Slot) -> u64 {
        slot.0 - self.facts.base - 1
    }

    /// Where `slot` stands now.
    pub fn standing(&self, slot: Slot) -> Standing {
        let (gone, left) = if slot.0 > self.facts.base {
            (self.gone.get(self.bit(slot)), self.left.get(self.bit(slot)))
        } else {
            (false, false)
        };
        standing(&self.facts, slot, gone, left, |slot| wave_of(&self.waves, slot).map(|wave| wave.shown(&self.facts)))
    }

    /// Live slots in `(serving, slot]`, by counting. O(line / 64); hosts use [`crate::rank`].
    pub fn live_up_to(&self, slot: Slot) -> u64 {
        let from = self.facts.serving;
        let to = slot.0.min(self.facts.issued);
        if to <= from {
            return 0;
        }
        to - from - self.gone.count(from - self.facts.base, to - self.facts.base)
    }

    /// The numbers.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// 1 = not waiting.
    pub const fn gone(&self) -> &Bitmap {
        &self.gone
    }

    /// 1 = left or entered.
    pub const fn left(&self) -> &Bitmap {
        &self.left
    }

    /// Open waves, oldest first, their ends in room time. O(waves).
    pub fn waves(&self) -> VecDeque<Wave> {
        self.waves.iter().map(|wave| wave.shown(&self.facts)).collect()
    }

    /// When tickets were handed out.
    pub const fn joins(&self) -> &VecDeque<JoinMark> {
        &self.joins
    }

    /// What the estimate learns from.
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// Open sessions in the order of their slots, their ends in room time.
    pub fn active(&self) -> impl Iterator<Item = (u64, Session)> + '_ {
        self.active.iter().map(|(slot, session)| (*slot, session.shown(&self.facts)))
    }
}

#[cfg(test)]
mod tests;
