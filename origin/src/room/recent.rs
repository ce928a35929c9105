//! What happened through this origin and no reading has shown yet: who entered, who left, which sessions that opened.
//!
//! Until the next reading it corrects what the view says. When the store loses the line, it is added to what is brought back: nobody
//! who has just entered enters again, and whoever is inside still counts.

use anteroom_core::line::{Restore, Session, Standing};
use anteroom_core::units::Slot;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// See the module's comment.
#[derive(Default)]
pub struct Recent {
    standings: RwLock<HashMap<u64, Standing>>,
    /// How many those are, so that a status need not take the lock where there are none.
    count: AtomicUsize,
    sessions: Mutex<HashMap<u64, Session>>,
}

/// What there was before a reading was asked for, and is in it therefore.
pub struct Before {
    standings: Vec<u64>,
    sessions: Vec<u64>,
}

impl Recent {
    /// Notes that the turn of `slot` was taken.
    pub fn entered(&self, slot: Slot, session: Session) {
        self.sessions.lock().insert(slot.0, session);
        self.note(slot, Standing::Entered);
    }

    /// Notes that `slot` was given up.
    pub fn left(&self, slot: Slot) {
        self.note(slot, Standing::Left);
    }

    /// Notes that the session of `slot` is over.
    pub fn ended(&self, slot: Slot) {
        self.sessions.lock().remove(&slot.0);
    }

    /// Notes that a reading shows so much time given back to what was noted before it was asked for. Who entered as the first after the
    /// outage had it already, and has it twice until the sessions are read: too long for a second, never too short.
    pub fn give_back(&self, before: &Before, ms: u64) {
        let mut sessions = self.sessions.lock();
        for slot in &before.sessions {
            if let Some(session) = sessions.get_mut(slot) {
                session.ends_at = session.ends_at.plus(ms);
            }
        }
    }

    fn note(&self, slot: Slot, standing: Standing) {
        let mut standings = self.standings.write();
        standings.insert(slot.0, standing);
        self.count.store(standings.len(), Ordering::Release);
    }

    /// Forgets what a reading has shown, the sessions only if they were asked for.
    pub fn forget(&self, before: &Before, sessions: bool) {
        let mut standings = self.standings.write();
        before.standings.iter().for_each(|slot| {
            standings.remove(slot);
        });
        self.count.store(standings.len(), Ordering::Release);
        if sessions {
            let mut open = self.sessions.lock();
            before.sessions.iter().for_each(|slot| {
                open.remove(slot);
            });
        }
    }

    /// What there is now.
    pub fn before(&self) -> Before {
        Before {
            standings: self.standings.read().keys().copied().collect(),
            sessions: self.sessions.lock().keys().copied().collect(),
        }
    }

    /// Where `slot` stands, if that has changed.
    pub fn standing(&self, slot: Slot) -> Option<Standing> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.standings.read().get(&slot.0).copied()
    }

    /// Adds it to what is known of a line.
    pub fn add_to(&self, known: &mut Restore) {
        for (&slot, &standing) in self.standings.read().iter().filter(|(slot, _)| **slot > known.base) {
            let bit = slot - known.base - 1;
            let entered = standing == Standing::Entered;
            // A slot that another origin has called since the last reading stands beyond the cursor known here: its turn is over too.
            if !entered || slot > known.serving {
                known.gone.set(bit);
            }
            if known.left.set(bit) {
                known.totals[if entered { 1 } else { 3 }] += 1;
                if let Some(wave) = known.waves.iter_mut().find(|wave| (wave.from.0..=wave.last.0).contains(&slot)) {
                    wave.claimed += 1;
                }
            }
        }
        for (&slot, &session) in self.sessions.lock().iter() {
            match known.active.iter_mut().find(|(open, _)| *open == slot) {
                Some((_, open)) => *open = session,
                None => known.active.push((slot, session)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anteroom_core::line::{Enter, EnterTerms, Line, Wave};
    use anteroom_core::units::{Generation, Millis};

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn what_no_reading_has_shown_is_brought_back_with_the_rest() {
        let recent = Recent::default();
        let session = Session { entered_at: NOW, ends_at: NOW.plus(60_000), pass_at: NOW };
        recent.entered(Slot(1), session);
        recent.left(Slot(2));
        recent.left(Slot(5));
        let wave =
            Wave { from: Slot(1), last: Slot(3), called_at: NOW, until: NOW.plus(60_000), called: 3, claimed: 0 };
        let mut known = Restore { generation: Generation(7), known: 6, issued: 6, serving: 3, ..Restore::default() };
        known.waves.push(wave);
        recent.add_to(&mut known);
        recent.add_to(&mut known);
        assert_eq!((known.waves[0].claimed, known.totals), (2, [0, 1, 0, 2]));
        let mut line = Line::new(Generation(7), NOW);
        assert!(line.restore(&known, NOW));
        assert_eq!((line.facts().active, line.facts().ready, line.facts().waiting), (1, 1, 2));
        let terms = EnterTerms { session_ms: 1_000, pass_ttl_ms: 30_000 };
        assert_eq!(line.enter(Generation(7), Slot(1), terms, NOW), Enter::Again(session));
        assert_eq!(line.enter(Generation(7), Slot(2), terms, NOW), Enter::Left);
        assert_eq!(line.standing(Slot(5)), Standing::Left);
    }

    #[test]
    fn a_reading_replaces_what_was_noted_before_it_was_asked_for() {
        let recent = Recent::default();
        let session = Session { entered_at: NOW, ends_at: NOW, pass_at: NOW };
        recent.entered(Slot(1), session);
        let before = recent.before();
        recent.left(Slot(2));
        recent.forget(&before, false);
        assert_eq!((recent.standing(Slot(1)), recent.standing(Slot(2))), (None, Some(Standing::Left)));
        let mut known = Restore { known: 2, ..Restore::default() };
        recent.add_to(&mut known);
        assert_eq!(known.active, [(1, session)], "the reading did not have the sessions");
        recent.forget(&before, true);
        recent.entered(Slot(3), session);
        recent.ended(Slot(3));
        known.active.clear();
        recent.add_to(&mut known);
        assert_eq!(known.active, []);
    }

    #[test]
    fn time_given_back_reaches_the_sessions_that_no_reading_has_shown() {
        let recent = Recent::default();
        let session = Session { entered_at: NOW, ends_at: NOW.plus(60_000), pass_at: NOW };
        recent.entered(Slot(1), session);
        let before = recent.before();
        recent.entered(Slot(2), session);
        recent.give_back(&before, 120_000);
        let mut known = Restore { known: 2, ..Restore::default() };
        recent.add_to(&mut known);
        known.active.sort_unstable_by_key(|(slot, _)| *slot);
        assert_eq!(known.active, [(1, Session { ends_at: NOW.plus(180_000), ..session }), (2, session)]);
    }
}
