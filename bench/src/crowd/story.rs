//! What one person lived through, in wall-clock milliseconds.

use std::collections::BTreeMap;

use crate::wire::{Place, Status};

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Got in.
    Entered,
    /// Gave up and said so.
    Left,
    /// Stopped polling.
    Silent,
    /// Was called and let the claim window pass, on purpose.
    NoShow,
    /// Polled as told and lost the place or the turn all the same.
    Missed,
    /// Was answered something the contract does not have for this case.
    Broken(String),
    /// Still under way when time was up.
    #[default]
    Unfinished,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A place in line.
    Join,
    /// How it goes.
    Status,
    /// To be let in.
    Enter,
    /// To be forgotten.
    Leave,
    /// To end the session.
    End,
}

/// One answer to "how long still".
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When.
    pub at: f64,
    /// Place in line then.
    pub position: u64,
    /// Estimated seconds, if any.
    pub eta: Option<f64>,
    /// The 80 % interval, if any.
    pub interval: Option<(f64, f64)>,
}

/// The story of one person.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// How it ended.
    pub outcome: Outcome,
    /// Ticket and generation, once joined.
    pub place: Option<Place>,
    /// When the join was answered.
    pub joined_at: Option<f64>,
    /// When the server called: end of the claim window minus its length.
    pub called_at: Option<f64>,
    /// When the person first saw it.
    pub saw_call_at: Option<f64>,
    /// End of the claim window.
    pub claim_expires_at: Option<f64>,
    /// When the pass came.
    pub entered_at: Option<f64>,
    /// When the place or the session stops counting: the leave or the end was sent, or the session ran out.
    pub gone_at: Option<f64>,
    /// Every pass that was granted.
    pub passes: Vec<String>,
    /// Places that a repeated join gave beside the first.
    pub extra_places: u64,
    /// Times the position was larger than before.
    pub ups: u64,
    /// The worst of them.
    pub worst_up: Option<(u64, u64)>,
    /// Polls while waiting.
    pub samples: Vec<Sample>,
    /// Requests by kind.
    pub requests: BTreeMap<Kind, u64>,
    /// Answers that were not expected, by what was asked and what came.
    pub faults: BTreeMap<(Kind, String), u64>,
    /// Of those, the ones not tolerated.
    pub blamed: u64,
    /// The position shown last.
    pub last_position: Option<u64>,
}

impl Story {
    /// Notes a position the person was shown.
    pub fn note_position(&mut self, position: u64) {
        if let Some(before) = self.last_position.filter(|&before| position > before) {
            self.ups += 1;
            if self.worst_up.is_none_or(|(from, to)| position - before > to - from) {
                self.worst_up = Some((before, position));
            }
        }
        self.last_position = Some(position);
    }

    /// Notes an answer that says "wait".
    pub fn note_wait(&mut self, at: f64, status: &Status) {
        let Some(position) = status.position else { return };
        self.note_position(position);
        let interval = status.eta_low_sec.zip(status.eta_high_sec);
        self.samples.push(Sample { at, position, eta: status.eta_sec, interval });
    }

    /// Notes an answer that says "your turn".
    pub fn note_call(&mut self, at: f64, claim_expires_at: Option<f64>, claim_ms: Option<f64>) {
        self.saw_call_at.get_or_insert(at);
        self.claim_expires_at = claim_expires_at;
        self.called_at = claim_expires_at.zip(claim_ms).map(|(end, length)| end - length);
    }

    /// Whether this person kept asking until called.
    pub fn kept_polling(&self) -> bool {
        self.saw_call_at.is_some()
    }

    /// When the turn came, as well as it is known.
    pub fn turn_at(&self) -> Option<f64> {
        self.called_at.or(self.saw_call_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rising_positions_count() {
        let mut story = Story::default();
        for position in [9, 5, 5, 7, 3, 8] {
            story.note_position(position);
        }
        assert_eq!((story.ups, story.worst_up), (2, Some((3, 8))));
    }
}
