//! Hearing from people, and noticing when nothing is heard: ghosts fade, people don't.
//!
//! Time is cut into epochs of a quarter of the heartbeat time. A heartbeat sets the slot's bit in the running epoch; a join counts as
//! one, without a bit: `starts` tells which tickets are too young to be silent. At each turn of the epoch the slots without a bit in
//! the last four epochs stop counting. So a holder stops counting 4 to 5 epochs after the last heartbeat, never before 4.
//!
//! Epochs turn only when somebody ticks, one at a time: an hour during which no origin ran makes nobody silent.

use super::{EPOCHS_PER_TTL, Line, SEEN_RING};
use crate::bitmap::Bitmap;
use crate::units::{Generation, Millis};

/// Slots heard from: bit `s - base - 1` stands for slot `s`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Generation of the tokens that were shown.
    pub generation: Generation,
    /// What the bits are relative to; may be behind the line's own, never ahead of it.
    pub base: u64,
    /// The bits.
    pub bits: Bitmap,
}

impl Line {
    /// Merges heartbeats into the running epoch. Who was silent and has not been passed waits again, at the same place; answers
    /// how many did. Heartbeats of another generation, or of numbers never handed out, are dropped.
    pub fn hear(&mut self, heard: &Heard, now: Millis) -> u64 {
        self.advance(now);
        if heard.generation != self.facts.generation || heard.base > self.facts.base {
            return 0;
        }
        let mut bits = heard.bits.clone();
        bits.drop_head(self.facts.base - heard.base);
        bits.truncate(self.facts.issued - self.facts.base);
        self.seen[self.ring(self.facts.epoch)].or(&bits);

        bits.copy_head(&Bitmap::new(), self.facts.serving - self.facts.base);
        bits.and_not(&self.left);
        let before = self.gone.count(0, u64::MAX);
        self.gone.and_not(&bits);
        let back = before - self.gone.count(0, u64::MAX);
        self.facts.waiting += back;
        if back > 0 {
            self.facts.bits += 1;
        }
        back
    }

    /// Turns the epoch, if `epoch` is still the running one, and drops the silent; answers how many stopped counting.
    pub fn turn_epoch(&mut self, epoch: u64, now: Millis) -> Option<u64> {
        let now = self.advance(now);
        if epoch != self.facts.epoch {
            return None;
        }
        self.idem.retain(|_, record| record.expires_at > now);
        self.facts.epoch += 1;
        self.facts.epoch_at = now;
        let ring = self.ring(self.facts.epoch);
        self.seen[ring] = Bitmap::new();
        self.starts[ring] = self.facts.issued;
        // Whoever joined before the epoch that began four turns ago has had those four epochs to be heard in. In the
        // first epochs of a line that is nobody, or, in one brought back, whoever has not been heard from since.
        let old = self.starts[self.ring(self.facts.epoch.saturating_sub(EPOCHS_PER_TTL))];
        self.facts.version += 1;
        Some(self.drop_silent(old, None))
    }

    /// Drops, within the running epoch, who has not been heard from in it and the three before it; answers how many.
    pub fn sweep(&mut self, now: Millis) -> u64 {
        self.advance(now);
        let epoch = self.facts.epoch;
        let old = self.starts[self.ring((epoch + 1).saturating_sub(EPOCHS_PER_TTL))];
        self.facts.version += 1;
        self.drop_silent(old, Some(self.ring(epoch + 1)))
    }

    /// `gone = left OR silent` beyond the cursor, as it was behind it. Silent: handed out up to `old`, in none of the bitmaps but
    /// the one at `except`.
    fn drop_silent(&mut self, old: u64, except: Option<usize>) -> u64 {
        let mut heard = Bitmap::new();
        for (at, seen) in self.seen.iter().enumerate() {
            if Some(at) != except {
                heard.or(seen);
            }
        }
        let mut gone = heard.inverted(old.saturating_sub(self.facts.base));
        gone.or(&self.left);
        gone.copy_head(&self.gone, self.facts.serving - self.facts.base);
        let before = self.facts.waiting;
        self.gone = gone;
        self.facts.bits += 1;
        self.facts.waiting = self.live_up_to(crate::units::Slot(self.facts.issued));
        let dropped = before.saturating_sub(self.facts.waiting);
        self.window.at(self.facts.now).losses += dropped;
        dropped
    }

    pub(super) const fn ring(&self, epoch: u64) -> usize {
        (epoch % SEEN_RING as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{JoinLimits, Restore};
    use alloc::vec;

    #[test]
    fn numbers_skipped_by_a_restore_are_nobodys_place_however_often_the_epoch_turns() {
        let limits = JoinLimits { places_per_user: 1, idem_ttl_ms: 0, mark_every_ms: 1_000 };
        let now = Millis(1_700_000_000_000);
        let known = Restore { generation: Generation(7), known: 3, issued: 1_000, ..Restore::default() };
        for sweep in [false, true] {
            let mut line = Line::new(Generation(9), now);
            assert!(line.restore(&known, now));
            line.join(&vec![crate::line::Join { identity: None, idem: None }; 2], limits, now);
            for epoch in 0..8 {
                assert_eq!(line.facts().waiting, 5, "epoch {epoch}");
                let mut heard = Heard { generation: Generation(7), ..Heard::default() };
                heard.bits.set_range(0, 3);
                heard.bits.set_range(1_000, 1_002);
                line.hear(&heard, now);
                line.turn_epoch(epoch, now);
                if sweep {
                    line.sweep(now);
                }
            }
        }
    }
}
