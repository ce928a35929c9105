//! What every request reads: an immutable snapshot of a room, swapped in whole by each tick.

use super::replica::Replica;
use anteroom_core::bitmap::Bitmap;
use anteroom_core::board::{self, Board};
use anteroom_core::eta::Pace;
use anteroom_core::line::{self, Facts, Standing, Wave};
use anteroom_core::rank::Rank;
use anteroom_core::settings::{Settings, rfc3339};
use anteroom_core::sketch::Sketch;
use anteroom_core::status::Around;
use anteroom_core::units::{EventId, Millis, Position, Slot};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// See the module's comment.
pub struct View {
    /// The numbers.
    pub facts: Facts,
    /// The room's settings.
    pub settings: Arc<Settings>,
    /// How the line moves.
    pub pace: Pace,
    /// When the store was last read.
    pub read_at: Instant,
    /// Whether the store has lately lost the line, so that what tokens say is collected.
    pub restoring: bool,
    gone: Arc<Bitmap>,
    left: Arc<Bitmap>,
    rank: Arc<Rank>,
    waves: Arc<VecDeque<Wave>>,
    /// 1 bits of `gone` up to the cursor.
    gone_before: u64,
    as_of: String,
    opens_at: Option<Millis>,
    board: OnceLock<PublishedBoard>,
}

/// A board as it goes over the wire.
pub struct PublishedBoard {
    /// JSON.
    pub body: axum::body::Bytes,
    /// Changes whenever the body does.
    pub etag: String,
}

impl View {
    /// The view of what a replica knows.
    pub(super) fn of(replica: &Replica, pace: Pace, restoring: bool) -> Self {
        let facts = replica.facts.clone();
        Self {
            gone_before: replica.rank.ones_below(&replica.gone, facts.serving - facts.base),
            as_of: rfc3339(facts.now),
            opens_at: board::opens_at(&facts, replica.settings.schedule.opens),
            settings: replica.settings.clone(),
            gone: replica.gone.clone(),
            left: replica.left.clone(),
            rank: replica.rank.clone(),
            waves: replica.waves.clone(),
            board: OnceLock::new(),
            read_at: Instant::now(),
            restoring,
            pace,
            facts,
        }
    }

    /// Where `slot` stands at `now`. A number beyond those known was handed out by another origin since: it waits. An open turn runs out
    /// by a reading only: until there is one the time may be given back, and is shown as if it were, once it is that long.
    pub fn standing(&self, slot: Slot, now: Millis) -> Standing {
        if slot.0 > self.facts.issued {
            return Standing::Waiting;
        }
        let bit = slot.0.saturating_sub(self.facts.base + 1);
        let standing = line::standing(&self.facts, slot, self.gone.get(bit), self.left.get(bit), |slot| {
            line::wave_of(&self.waves, slot)
        });
        standing.later(self.facts.unticked(now))
    }

    /// Whether `slot` is in line and counts for nobody. O(1).
    pub fn is_silent(&self, slot: Slot) -> bool {
        let facts = &self.facts;
        slot.0 > facts.serving && slot.0 <= facts.issued && self.standing(slot, facts.now) == Standing::Silent
    }

    /// Live slots before `slot`, and itself: its position. 0 once called. O(1).
    pub fn position(&self, slot: Slot) -> Position {
        let facts = &self.facts;
        if slot.0 <= facts.serving {
            return Position(0);
        }
        let gone = self.rank.ones_below(&self.gone, slot.0 - 1 - facts.base) - self.gone_before;
        Position(slot.0 - facts.serving - gone)
    }

    /// What a status answer says beside the one who asks.
    pub fn around(&self, stale: bool) -> Around<'_> {
        Around {
            pace: &self.pace,
            mode: self.settings.mode.as_str(),
            opens_at: self.opens_at,
            message: self.settings.page.message.as_deref(),
            patience_ms: self.settings.heartbeat_ms().min(self.settings.claim_ms()),
            waiting: self.facts.waiting,
            as_of: &self.as_of,
            stale,
        }
    }

    /// The public board, made when first asked for.
    pub fn board(&self, event: &EventId) -> &PublishedBoard {
        self.board.get_or_init(|| {
            let (facts, settings) = (&self.facts, &self.settings);
            let slots = (Slot(facts.serving), Slot(facts.issued));
            let board = Board {
                format: board::FORMAT,
                event_id: event.clone(),
                generation: facts.generation,
                version: facts.version,
                as_of: facts.now,
                mode: board::mode_word(settings.mode),
                opens_at: self.opens_at,
                message: settings.page.message.clone(),
                issued: facts.issued,
                serving: facts.serving,
                waiting: facts.waiting,
                heartbeat_ms: settings.heartbeat_ms(),
                patience_ms: self.around(false).patience_ms,
                turns: Board::turns(
                    self.waves.iter().copied().filter(|wave| wave.until > facts.now).collect::<Vec<_>>().into_iter(),
                ),
                pace: self.pace,
                sketch: Sketch::build(&self.gone, &self.rank, facts.base, slots.0, slots.1),
            };
            PublishedBoard {
                body: serde_json::to_vec(&board).expect("numbers and texts always serialise").into(),
                etag: format!("\"{}-{}-{}\"", facts.generation.0, facts.version, facts.now.0),
            }
        })
    }
}
