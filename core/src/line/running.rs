//! Running time: room time without the stretches in which nobody ticked the room.
//!
//! A claim window and a session are promises of a length: so long to enter, so long inside. While no origin lives, or none reaches
//! the store, nobody called can enter and no session can be extended, so that time must not count against them. A line keeps the ends of
//! its windows and sessions in a time of its own, which is room time less [`Facts::given_back`]. Whatever step comes first after an
//! outage gives the outage back, in O(1) however many are called or inside: every open window and session has as much time left then as when
//! the line was last settled. Only what [`Line::settle`] has closed is closed for good, so a decision made before still holds: giving
//! back frees no place.
//!
//! Ends leave the line in room time ([`Wave::shown`], [`Session::shown`]): views, boards, tokens, answers and [`Restore`] know no other.
//!
//! [`Restore`]: super::Restore

use super::{Facts, Line, Session, Standing, Wave};
use crate::units::Millis;

/// Slowest rhythm in which a host may tick its rooms, milliseconds.
pub const TICK_MAX_MS: u64 = 1_000;
/// Longest time since the last tick that still counts, milliseconds: three of the slowest ticks. A room that was not ticked for longer had
/// nobody to tick it, and all of that time is given back.
pub const OUTAGE_MS: u64 = 3 * TICK_MAX_MS;

impl Facts {
    /// For how long nobody has ticked, milliseconds, as far as that is an outage at `now`; else 0.
    pub const fn unticked(&self, now: Millis) -> u64 {
        let passed = now.since(self.settled_at);
        if passed > OUTAGE_MS { passed } else { 0 }
    }

    /// The running time at a room time.
    pub(super) const fn running(&self, at: Millis) -> Millis {
        at.minus(self.given_back)
    }
}

impl Wave {
    /// A wave as the line keeps it, with its end in room time.
    pub const fn shown(self, facts: &Facts) -> Wave {
        Wave { until: self.until.plus(facts.given_back), ..self }
    }
}

impl Session {
    /// A session as the line keeps it, with its end in room time.
    pub const fn shown(self, facts: &Facts) -> Session {
        Session { ends_at: self.ends_at.plus(facts.given_back), ..self }
    }
}

impl Standing {
    /// An open turn with so many milliseconds more; any other standing as it is.
    pub const fn later(self, ms: u64) -> Standing {
        match self {
            Standing::Ready { called_at, until } => Standing::Ready { called_at, until: until.plus(ms) },
            other => other,
        }
    }
}

impl Line {
    /// Moves room time on to `now`, never back, and gives it. After an outage all of it is given back, and the version is another one, so
    /// that whoever knows the old ends reads anew.
    pub(super) fn advance(&mut self, now: Millis) -> Millis {
        let facts = &mut self.facts;
        facts.now = facts.now.max(now);
        let unticked = facts.unticked(facts.now);
        if unticked > 0 {
            facts.given_back += unticked;
            facts.settled_at = facts.now;
            facts.version += 1;
        }
        facts.now
    }
}
