//! Bringing a line back: from a saved file, from an origin's memory after the store lost it, from tokens people show.

use super::{Line, Session, Wave};
use crate::bitmap::Bitmap;
use crate::units::{Generation, Identity, Millis, Slot, Ticket};
use alloc::vec::Vec;

/// Numbers skipped when a line is brought back. Other origins may have handed out numbers that this one has not heard of; joins of
/// the last tick at most. A skipped number is nobody's place until somebody shows its token.
pub const RESTORE_GAP: u64 = 65_536;

/// What an origin knows of a line that the store has lost, or knows too little of.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    /// The generation it is known in.
    pub generation: Generation,
    /// Slots up to here are forgotten.
    pub base: u64,
    /// The highest slot whose bits are known.
    pub known: u64,
    /// The highest ticket that may have been handed out; at least `known`.
    pub issued: u64,
    /// The cursor.
    pub serving: u64,
    /// Relative to `base`.
    pub gone: Bitmap,
    /// Relative to `base`.
    pub left: Bitmap,
    /// Until when the windows and sessions below have run, room time: when the line was last settled, as far as is known. Time since is
    /// given back like that of any outage. 0 = until now.
    pub settled_at: Millis,
    /// Open waves, oldest first, their ends as of `settled_at`.
    pub waves: Vec<Wave>,
    /// Open sessions, their ends as of `settled_at`.
    pub active: Vec<(u64, Session)>,
    /// Rate bucket.
    pub level: u64,
    /// As of when.
    pub level_at: Millis,
    /// Totals: called, entered, missed, left.
    pub totals: [u64; 4],
    /// Identities seen in tokens, with their tickets.
    pub users: Vec<(Identity, Ticket)>,
}

impl Line {
    /// Brings the line to at least what `known` says. The whole of it when this line is an older generation or has never handed
    /// out a number; only the highest ticket when it is the same generation and has handed out fewer; nothing otherwise. Whether
    /// anything changed.
    ///
    /// Numbers between `known` and `issued` are gone until heard from: an unused one is nobody's place, and the holder of a used
    /// one has it back with the first poll.
    pub fn restore(&mut self, known: &Restore, now: Millis) -> bool {
        let now = self.advance(now);
        let untouched = self.facts.issued == 0;
        if known.generation < self.facts.generation && !untouched {
            return false;
        }
        if untouched || known.generation > self.facts.generation {
            let mut fresh = Line::new(known.generation, now);
            fresh.facts.version = self.facts.version;
            fresh.facts.bits = self.facts.bits;
            fresh.facts.settings = self.facts.settings;
            fresh.facts.base = known.base;
            fresh.facts.issued = known.known;
            fresh.facts.serving = known.serving;
            fresh.facts.level = known.level;
            fresh.facts.level_at = known.level_at;
            let [called, entered, missed, left] = known.totals;
            fresh.facts.called_total = called;
            fresh.facts.entered_total = entered;
            fresh.facts.missed_total = missed;
            fresh.facts.left_total = left;
            fresh.gone = known.gone.clone();
            fresh.left = known.left.clone();
            fresh.waves = known.waves.iter().copied().collect();
            fresh.facts.ready = known.waves.iter().map(|wave| wave.called - wave.claimed).sum();
            fresh.active = known.active.iter().copied().collect();
            fresh.facts.active = fresh.active.len() as u64;
            if known.settled_at > Millis(0) {
                fresh.facts.settled_at = known.settled_at.min(now);
                fresh.advance(now);
            }
            *self = fresh;
        } else if known.issued <= self.facts.issued {
            return self.restore_users(&known.users);
        }
        self.restore_users(&known.users);
        self.skip_to(known.issued);
        true
    }

    /// Hands out the numbers up to `issued` to nobody: gone until heard from. Everybody live counts as heard from now.
    pub fn skip_to(&mut self, issued: u64) {
        let (base, from) = (self.facts.base, self.facts.issued);
        let issued = issued.max(from);
        let mut live = self.gone.inverted(from - base);
        live.copy_head(&Bitmap::new(), self.facts.serving - base);
        let ring = self.ring(self.facts.epoch);
        self.seen[ring].or(&live);
        self.starts = [issued; super::SEEN_RING];
        self.gone.set_range(from - base, issued - base);
        self.facts.issued = issued;
        self.facts.waiting = self.live_up_to(Slot(issued));
        self.facts.bits += 1;
        self.facts.version += 1;
    }

    fn restore_users(&mut self, users: &[(Identity, Ticket)]) -> bool {
        let mut changed = false;
        for (identity, ticket) in users {
            let held = self.users.entry(identity.clone()).or_default();
            if !held.contains(ticket) {
                held.push(*ticket);
                held.sort_unstable();
                changed = true;
            }
        }
        changed
    }
}
