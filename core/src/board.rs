//! The board: what everybody may know of a room, small enough to be cached everywhere.
//!
//! Whoever holds a board and a waiting token works out position, estimate and whether the turn has come; nobody is named in it.
//! Positions are exact for the first 256 places and within 1 % beyond ([`crate::sketch`]).

use crate::eta::Pace;
use crate::line::{Facts, Standing, Wave};
use crate::poll::FAR_MS;
use crate::settings::Mode;
use crate::sketch::Sketch;
use crate::units::{EventId, Generation, Millis, Position, Slot};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Version of the format.
pub const FORMAT: u32 = 1;
/// From this age on a board is stale for whoever asks for the next one when told to: twice the longest pause, milliseconds.
pub const STALE_MS: u64 = 2 * FAR_MS;
/// Most groups of open waves on a board.
const GROUPS: usize = 64;

/// Slots whose turn is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// First slot.
    pub from: Slot,
    /// Last slot.
    pub last: Slot,
    /// When they were called.
    pub called_at: Millis,
    /// When their claim window closes; where waves are grouped, that of the first to close.
    pub until: Millis,
}

/// The public snapshot of a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// [`FORMAT`].
    pub format: u32,
    /// The event.
    pub event_id: EventId,
    /// Tokens of other generations are void.
    pub generation: Generation,
    /// Grows with every change of the line that was decided.
    pub version: u64,
    /// Room time of the snapshot, milliseconds since the epoch.
    pub as_of: Millis,
    /// The room's mode, as in its settings.
    pub mode: String,
    /// Before this, people gather and nobody is called.
    pub opens_at: Option<Millis>,
    /// What the operator has to say to those who wait.
    #[serde(default)]
    pub message: Option<String>,
    /// Highest ticket handed out.
    pub issued: u64,
    /// Now serving.
    pub serving: u64,
    /// People in line.
    pub waiting: u64,
    /// Silence after which a place stops counting, milliseconds.
    pub heartbeat_ms: u64,
    /// Silence after which a place is lost or a turn is missed, whichever is shorter, milliseconds.
    pub patience_ms: u64,
    /// Turns that are open, in order.
    pub turns: Vec<Turn>,
    /// How fast the line moves.
    pub pace: Pace,
    /// Where the live slots stand.
    pub sketch: Sketch,
}

impl Board {
    /// The turns of a board: neighbouring waves taken together until there are few.
    pub fn turns(waves: impl ExactSizeIterator<Item = Wave>) -> Vec<Turn> {
        let each = waves.len().div_ceil(GROUPS).max(1);
        let mut turns: Vec<Turn> = Vec::with_capacity(GROUPS);
        for (at, wave) in waves.enumerate() {
            match turns.last_mut() {
                Some(turn) if at % each != 0 => turn.last = wave.last,
                _ => {
                    turns.push(Turn { from: wave.from, last: wave.last, called_at: wave.called_at, until: wave.until })
                }
            }
        }
        turns
    }

    /// Where `slot` stands, as far as a board can tell: it knows neither who left nor who has entered.
    pub fn standing(&self, slot: Slot, now: Millis) -> Standing {
        if slot.0 > self.serving {
            return Standing::Waiting;
        }
        let at = self.turns.partition_point(|turn| turn.last < slot);
        match self.turns.get(at).filter(|turn| turn.from <= slot && turn.until > now) {
            Some(turn) => Standing::Ready { called_at: turn.called_at, until: turn.until },
            None => Standing::Missed,
        }
    }

    /// Whether it is older than the boards of somebody who asks when told to: more than [`STALE_MS`].
    pub fn is_stale(&self, now: Millis) -> bool {
        now.since(self.as_of) > STALE_MS
    }

    /// Whether it is of before `other`: of an older generation, or of an earlier time in the same one.
    pub fn is_older_than(&self, other: &Board) -> bool {
        (self.generation, self.as_of) < (other.generation, other.as_of)
    }

    /// The position of `slot`, 0 once called. O(log milestones).
    pub fn position(&self, slot: Slot) -> Position {
        if slot.0 <= self.serving { Position(0) } else { self.sketch.position(slot) }
    }
}

/// The word for a mode on a board.
pub fn mode_word(mode: Mode) -> String {
    mode.as_str().into()
}

/// When people are called at the earliest, if that is still ahead.
pub fn opens_at(facts: &Facts, opens: Option<Millis>) -> Option<Millis> {
    opens.filter(|opens| *opens > facts.now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::Bitmap;
    use crate::eta::{Observed, Supply};
    use crate::rank::Rank;
    use crate::settings::rfc3339;
    use crate::status::{FromBoard, from_board};
    use crate::token::WaitingClaims;
    use crate::units::Ticket;
    use crate::window::Window;

    fn board() -> Board {
        let mut gone = Bitmap::new();
        gone.set(4);
        let now = Millis(1_700_000_000_000);
        let observed = Observed {
            now,
            since: now,
            supply_since: now,
            waiting: 6,
            supply: Supply::Steady { per_minute: 60, ready_now: 0.5 },
            capacity: None,
        };
        let wave = |from, last| Wave {
            from: Slot(from),
            last: Slot(last),
            called_at: now,
            until: now.plus(120_000),
            called: 1,
            claimed: 0,
        };
        Board {
            format: FORMAT,
            event_id: EventId::parse("sale").unwrap(),
            generation: Generation(7),
            version: 3,
            as_of: now,
            mode: mode_word(Mode::Line),
            opens_at: None,
            message: Some("Doors at eight".into()),
            issued: 10,
            serving: 3,
            waiting: 6,
            heartbeat_ms: 300_000,
            patience_ms: 120_000,
            turns: Board::turns([wave(1, 1), wave(2, 3)].into_iter()),
            pace: Pace::learn(&observed, &Window::default()),
            sketch: Sketch::build(&gone, &Rank::build(&gone), 0, Slot(3), Slot(10)),
        }
    }

    #[test]
    fn the_format_is_pinned() {
        let json = serde_json::to_string(&board()).unwrap();
        assert_eq!(json, PINNED);
        assert_eq!(serde_json::from_str::<Board>(PINNED).unwrap(), board());
    }

    const PINNED: &str = r#"{"format":1,"event_id":"sale","generation":7,"version":3,"as_of":1700000000000,"mode":"line","opens_at":null,"message":"Doors at eight","issued":10,"serving":3,"waiting":6,"heartbeat_ms":300000,"patience_ms":120000,"turns":[{"from":1,"last":1,"called_at":1700000000000,"until":1700000120000},{"from":2,"last":3,"called_at":1700000000000,"until":1700000120000}],"pace":{"at":1700000000000,"how":{"steady":{"b":0.5,"r":1.0}},"l":0.0,"v":0.00008889},"sketch":"AwYAAQAAAAAA"}"#;

    #[test]
    fn a_board_tells_where_everybody_stands() {
        let board = board();
        let until = board.as_of.plus(120_000);
        assert_eq!(board.standing(Slot(2), board.as_of), Standing::Ready { called_at: board.as_of, until });
        assert_eq!(board.standing(Slot(2), until), Standing::Missed);
        assert_eq!(board.standing(Slot(4), board.as_of), Standing::Waiting);
        let positions = [3, 4, 6, 10, 12].map(|slot| board.position(Slot(slot)).0);
        assert_eq!(positions, [0, 1, 2, 6, 8]);
    }

    #[test]
    fn an_open_turn_runs_out_on_a_fresh_board_and_not_on_a_stale_one() {
        let board = board();
        let claims = WaitingClaims {
            event: board.event_id.clone(),
            generation: board.generation,
            ticket: Ticket(2),
            identity: None,
            issued_at: board.as_of.secs(),
        };
        let now = board.as_of.plus(600_000);
        assert!(matches!(from_board(&board, "", false, &claims, now), FromBoard::Ask));
        let FromBoard::Reply(reply) = from_board(&board, "", true, &claims, now) else { panic!("the turn is open") };
        assert_eq!(reply.status, "ready");
        assert_eq!(reply.claim_expires_at, Some(rfc3339(now.plus(120_000))), "as if the origin were back now");
    }

    #[test]
    fn many_waves_make_few_turns_that_close_no_later() {
        let waves = (1..=1_000).map(|n| Wave {
            from: Slot(n),
            last: Slot(n),
            called_at: Millis(n),
            until: Millis(n + 100),
            called: 1,
            claimed: 0,
        });
        let turns = Board::turns(waves.collect::<Vec<_>>().into_iter());
        assert!(turns.len() <= GROUPS);
        assert_eq!((turns[0].from, turns.last().unwrap().last), (Slot(1), Slot(1_000)));
        assert!(turns.iter().all(|turn| turn.until.0 == turn.from.0 + 100));
    }
}
