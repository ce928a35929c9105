//! Turns: calling the next in order, entering, leaving, sessions.

use super::{Line, Standing, Wave};
use crate::bitmap::Bitmap;
use crate::units::{Generation, Millis, Slot};
use serde::{Deserialize, Serialize};

/// A decision to move the cursor, as [`crate::admission`] makes it. Carried out only on the version it was made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Call {
    /// The version that was decided on.
    pub version: u64,
    /// Room time of the decision.
    pub now: Millis,
    /// Slots up to here have waited past the limit: the cursor passes them without a call. 0 = none.
    pub lapse_to: Slot,
    /// Most live slots to call.
    pub count: u64,
    /// Highest slot that may be called.
    pub limit: Slot,
    /// When the claim window of this wave closes.
    pub until: Millis,
    /// What the rate bucket holds before.
    pub level: u64,
    /// What each slot called takes out of it.
    pub cost: u64,
    /// As of when.
    pub level_at: Millis,
    /// How much of `refund` has been put into it.
    pub refund: u64,
    /// When the last wave of a room with wave release was due.
    pub wave_at: Millis,
    /// Calls per minute as the feedback loop has set them.
    pub rate: u64,
    /// Join marks older than this are not needed any more.
    pub marks_from: Millis,
}

/// What became of a [`Call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// Carried out.
    Done {
        /// How many were called.
        called: u64,
        /// The cursor now.
        serving: Slot,
    },
    /// Somebody else was faster: the line is at this version now. Nothing changed.
    Stale {
        /// The version.
        version: u64,
    },
}

/// An open session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When the turn was taken.
    pub entered_at: Millis,
    /// When the session ends, unless it is extended.
    pub ends_at: Millis,
    /// When the running reservation token was issued.
    pub pass_at: Millis,
}

/// What the host's settings say about entering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnterTerms {
    /// Length of a session in milliseconds.
    pub session_ms: u64,
    /// Life of a reservation token in milliseconds.
    pub pass_ttl_ms: u64,
}

/// What became of an attempt to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enter {
    /// The turn is taken, now.
    Entered(Session),
    /// It was taken before; the session is this one.
    Again(Session),
    /// The turn has not come.
    NotReady,
    /// The turn was missed, or waited past the limit, or its session is over and forgotten.
    Missed,
    /// Silent when the cursor passed.
    PassedOver,
    /// Left.
    Left,
    /// The turn was taken and its session is over.
    Over,
    /// No such ticket in this generation.
    Unknown,
}

/// What became of a leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Gone, now; the place is nobody's.
    Left,
    /// There was nothing to leave any more. Nothing changed.
    Already,
    /// No such ticket in this generation. Nothing changed.
    Unknown,
}

impl Line {
    /// Carries out a decision: passes the lapsed, then calls the next live slots in order, as many as `count`, none above `limit`.
    /// The cursor stops at the last slot called, so that nobody silent behind it is passed over for nothing. A call that asked for
    /// people and found none leaves the rate bucket, the turns given back and the time of the last wave as they were.
    ///
    /// The least slot with k live ones up to it is found by halving: O(line / 64).
    pub fn call(&mut self, call: &Call) -> Called {
        if call.version != self.facts.version {
            return Called::Stale { version: self.facts.version };
        }
        let now = self.advance(call.now);
        let lapse_to = call.lapse_to.min(Slot(self.facts.issued));
        if lapse_to.0 > self.facts.serving {
            let lapsed = self.live_up_to(lapse_to);
            self.facts.serving = lapse_to.0;
            self.facts.waiting -= lapsed;
            self.facts.missed_total += lapsed;
            self.window.at(now).losses += lapsed;
        }
        let limit = call.limit.min(Slot(self.facts.issued));
        let called: u64 = call.count.min(self.live_up_to(limit));
        if called > 0 {
            let (mut low, mut high) = (self.facts.serving, limit.0);
            while high - low > 1 {
                let middle = low.midpoint(high);
                if self.live_up_to(Slot(middle)) >= called { high = middle } else { low = middle }
            }
            let until = self.facts.running(call.until);
            let until = self.waves.back().map_or(until, |wave| wave.until.max(until));
            let from = Slot(self.facts.serving + 1);
            self.waves.push_back(Wave { from, last: Slot(high), called_at: now, until, called, claimed: 0 });
            self.facts.serving = high;
            self.facts.waiting -= called;
            self.facts.ready += called;
            self.facts.called_total += called;
            self.window.at(now).calls += called;
        }
        // A call that found nobody has spent nothing: bucket and wave are there for the first who may be called.
        if called > 0 || call.count == 0 {
            self.facts.level = call.level.saturating_sub(called * call.cost);
            self.facts.level_at = call.level_at;
            self.facts.refund = self.facts.refund.saturating_sub(call.refund);
            self.facts.wave_at = call.wave_at;
        }
        self.facts.rate = call.rate;
        self.facts.version += 1;
        while self.joins.front().is_some_and(|mark| mark.at < call.marks_from) {
            self.joins.pop_front();
        }
        Called::Done { called, serving: Slot(self.facts.serving) }
    }

    /// Takes the turn of `slot`. Any number of repeats and of concurrent calls give one session and one reservation token: the
    /// token is issued anew, for the same session, only once it has run out.
    pub fn enter(&mut self, generation: Generation, slot: Slot, terms: EnterTerms, now: Millis) -> Enter {
        let now = self.advance(now);
        if generation != self.facts.generation {
            return Enter::Unknown;
        }
        let running = self.facts.running(now);
        if let Some(session) = self.active.get_mut(&slot.0)
            && session.ends_at > running
        {
            if now.since(session.pass_at) >= terms.pass_ttl_ms {
                session.pass_at = now;
            }
            return Enter::Again(session.shown(&self.facts));
        }
        match self.standing(slot) {
            Standing::Unknown => Enter::Unknown,
            Standing::Waiting | Standing::Silent => Enter::NotReady,
            Standing::Missed => Enter::Missed,
            Standing::PassedOver => Enter::PassedOver,
            Standing::Left => Enter::Left,
            Standing::Entered => Enter::Over,
            Standing::Ready { .. } => {
                let bit = self.bit(slot);
                self.left.set(bit);
                self.facts.bits += 1;
                self.claim(slot);
                let session = Session { entered_at: now, ends_at: running.plus(terms.session_ms), pass_at: now };
                self.active.insert(slot.0, session);
                self.facts.active = self.active.len() as u64;
                self.facts.entered_total += 1;
                self.window.at(now).entries += 1;
                Enter::Entered(session.shown(&self.facts))
            }
        }
    }

    /// Gives up whatever `slot` has: its place, its turn (which goes back to the bucket and the capacity) or its session.
    pub fn leave(&mut self, generation: Generation, slot: Slot, now: Millis) -> Leave {
        let now = self.advance(now);
        if generation != self.facts.generation {
            return Leave::Unknown;
        }
        let standing = self.standing(slot);
        match standing {
            Standing::Unknown => return Leave::Unknown,
            Standing::Left | Standing::PassedOver => return Leave::Already,
            Standing::Entered | Standing::Missed => {
                return if self.end_session(generation, slot, now) { Leave::Left } else { Leave::Already };
            }
            Standing::Waiting => {
                self.facts.waiting -= 1;
                self.window.at(now).losses += 1;
            }
            Standing::Silent => {}
            Standing::Ready { .. } => {
                self.claim(slot);
                self.facts.refund += 1;
            }
        }
        let bit = self.bit(slot);
        self.gone.set(bit);
        self.left.set(bit);
        self.facts.bits += 1;
        self.facts.left_total += 1;
        Leave::Left
    }

    /// Moves the end of the open session of `slot` to `until`, never nearer; when it ends now, or nothing if none is open.
    pub fn extend_session(&mut self, generation: Generation, slot: Slot, until: Millis, now: Millis) -> Option<Millis> {
        let now = self.advance(now);
        if generation != self.facts.generation {
            return None;
        }
        let running = self.facts.running(now);
        let session = self.active.get_mut(&slot.0).filter(|session| session.ends_at > running)?;
        session.ends_at = session.ends_at.max(self.facts.running(until));
        Some(session.shown(&self.facts).ends_at)
    }

    /// Ends the session of `slot`; whether one was open.
    pub fn end_session(&mut self, generation: Generation, slot: Slot, now: Millis) -> bool {
        let now = self.advance(now);
        if generation != self.facts.generation {
            return false;
        }
        let ended = self.active.remove(&slot.0);
        self.facts.active = self.active.len() as u64;
        ended.is_some_and(|session| session.ends_at > self.facts.running(now))
    }

    /// Forgets the slots up to `base`, a multiple of 64 at or behind the cursor and every open wave; whether it moved.
    pub fn trim(&mut self, base: u64) -> bool {
        let floor = self.waves.front().map_or(self.facts.serving, |wave| wave.from.0 - 1);
        if !base.is_multiple_of(64) || base <= self.facts.base || base > floor {
            return false;
        }
        let bits = base - self.facts.base;
        let drop = |map: &mut Bitmap| map.drop_head(bits);
        drop(&mut self.gone);
        drop(&mut self.left);
        self.seen.iter_mut().for_each(drop);
        self.facts.base = base;
        self.facts.bits += 1;
        self.facts.version += 1;
        true
    }

    /// Counts a ready slot as claimed.
    fn claim(&mut self, slot: Slot) {
        let at = self.waves.partition_point(|wave| wave.last < slot);
        if let Some(wave) = self.waves.get_mut(at) {
            wave.claimed += 1;
        }
        self.facts.ready -= 1;
    }
}
