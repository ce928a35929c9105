//! Joining: the next numbers, one place per person, the same answer for a repeated request.

use super::{JoinMark, Line, Standing};
use crate::units::{Generation, Identity, Millis, Slot, Ticket};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// While a line has fewer join marks than this, a batch gets its own as soon as positions can't be counted on from the
/// youngest.
pub const EXACT_MARKS: usize = 1_024;

/// One request to join, as its host understood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Who asks, when that is known; nobody holds more than [`JoinLimits::places_per_user`] places under one identity.
    pub identity: Option<Identity>,
    /// The request's idempotency key.
    pub idem: Option<IdemKey>,
}

/// An idempotency key in the scope of the caller who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdemKey {
    /// Caller and key in one text; two callers never share one.
    pub key: String,
    /// What was asked: the same key with another fingerprint is a conflict.
    pub fingerprint: String,
}

/// What the host's settings say about a batch of joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinLimits {
    /// Most places per identity. 0 = the door is closed, to everybody: only repeats are answered.
    pub places_per_user: u64,
    /// How long a repeat is recognised, milliseconds.
    pub idem_ttl_ms: u64,
    /// How long a join mark stands for those who come after it, milliseconds; less when positions have strayed from it.
    pub mark_every_ms: u64,
}

/// What became of one [`Join`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// A new place.
    New {
        /// The number.
        ticket: Ticket,
        /// Live slots up to and with it, at the moment of the join.
        position: u64,
    },
    /// The same request came before; this was its outcome.
    Repeat {
        /// The number it was given.
        ticket: Ticket,
        /// Its position at that time.
        position: u64,
        /// When that was.
        joined_at: Millis,
    },
    /// The identity holds as many places as it may; this is the youngest of them.
    Duplicate {
        /// Number of the place held.
        ticket: Ticket,
    },
    /// The key was used for another request.
    Conflict,
    /// The door is closed, and this is not a repeat.
    Closed,
}

/// What became of a batch, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinBatch {
    /// Generation of all tickets in it.
    pub generation: Generation,
    /// Room time at which it was joined.
    pub now: Millis,
    /// One outcome per join.
    pub joined: Vec<Joined>,
    /// The cursor afterwards.
    pub serving: u64,
    /// People waiting afterwards.
    pub waiting: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdemRecord {
    pub(crate) generation: Generation,
    pub(crate) ticket: Ticket,
    pub(crate) position: u64,
    pub(crate) joined_at: Millis,
    pub(crate) fingerprint: String,
    pub(crate) expires_at: Millis,
}

impl Line {
    /// Hands out the next numbers, in order, to a batch. For each join, in this order of checks: a recorded key answers as it did
    /// (or conflicts); a closed door turns away; an identity with all its places answers with the youngest; else a new place. A place counts as held while
    /// it waits (silent or not), is ready, or has an open session.
    pub fn join(&mut self, batch: &[Join], limits: JoinLimits, now: Millis) -> JoinBatch {
        let now = self.advance(now);
        let mark = JoinMark { at: now, issued: self.facts.issued, waiting: self.facts.waiting };
        let joined: Vec<Joined> = batch.iter().map(|join| self.join_one(join, limits, now)).collect();
        if self.facts.issued > mark.issued && self.is_mark_due(&mark, limits) {
            self.joins.push_back(mark);
            self.facts.mark_at = mark.at;
        }
        JoinBatch {
            generation: self.facts.generation,
            now,
            joined,
            serving: self.facts.serving,
            waiting: self.facts.waiting,
        }
    }

    fn join_one(&mut self, join: &Join, limits: JoinLimits, now: Millis) -> Joined {
        if let Some(idem) = &join.idem
            && let Some(record) = self.idem.get(&idem.key)
            && record.generation == self.facts.generation
            && record.expires_at > now
        {
            if record.fingerprint != idem.fingerprint {
                return Joined::Conflict;
            }
            return Joined::Repeat { ticket: record.ticket, position: record.position, joined_at: record.joined_at };
        }
        if limits.places_per_user == 0 {
            return Joined::Closed;
        }
        if let Some(identity) = &join.identity {
            let mut held = self.users.get(identity).cloned().unwrap_or_default();
            held.retain(|ticket| self.is_held(Slot(ticket.0)));
            if let Some(ticket) = held.last()
                && held.len() as u64 >= limits.places_per_user
            {
                return Joined::Duplicate { ticket: *ticket };
            }
            held.push(Ticket(self.facts.issued + 1));
            self.users.insert(identity.clone(), held);
        }
        self.facts.issued += 1;
        self.facts.waiting += 1;
        let (ticket, position) = (Ticket(self.facts.issued), self.facts.waiting);
        if let Some(idem) = &join.idem {
            let record = IdemRecord {
                generation: self.facts.generation,
                ticket,
                position,
                joined_at: now,
                fingerprint: idem.fingerprint.clone(),
                expires_at: now.plus(limits.idem_ttl_ms),
            };
            self.idem.insert(idem.key.clone(), record);
        }
        Joined::New { ticket, position }
    }

    /// Whether a batch needs a mark of its own: the youngest is too old, or positions counted on from it are not the
    /// true ones any more, because somebody was called, left, fell silent or came back. The latter only while marks are
    /// few; where they are many, people wait for longer than any `min_wait` that positions matter to. Never two within
    /// a millisecond.
    fn is_mark_due(&self, mark: &JoinMark, limits: JoinLimits) -> bool {
        let elapsed = mark.at.since(self.facts.mark_at);
        let Some(youngest) = self.joins.back() else { return true };
        let strayed = youngest.waiting + (mark.issued - youngest.issued) != mark.waiting;
        elapsed >= limits.mark_every_ms || elapsed > 0 && strayed && self.joins.len() < EXACT_MARKS
    }

    fn is_held(&self, slot: Slot) -> bool {
        match self.standing(slot) {
            Standing::Waiting | Standing::Silent | Standing::Ready { .. } => true,
            // A session may outlast the bits of its slot.
            Standing::Entered | Standing::Missed => {
                self.active.get(&slot.0).is_some_and(|session| session.ends_at > self.facts.running(self.facts.now))
            }
            Standing::Unknown | Standing::PassedOver | Standing::Left => false,
        }
    }
}
