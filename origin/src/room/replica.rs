//! What one origin knows of one line: kept up to date by readings, the source of every view, and of the line itself when the store
//! has lost it.

use crate::store::{Known, Reading};
use anteroom_core::admission;
use anteroom_core::bitmap::Bitmap;
use anteroom_core::eta::{Capacity, Observed, Pace, Supply, Track};
use anteroom_core::line::{Facts, JoinMark, RESTORE_GAP, Restore, Session, Wave};
use anteroom_core::rank::Rank;
use anteroom_core::settings::{Release, Settings};
use anteroom_core::units::{Millis, Position, Slot};
use anteroom_core::window::Window;
use std::collections::VecDeque;
use std::sync::Arc;

/// See the module's comment.
pub struct Replica {
    pub facts: Facts,
    pub gone: Arc<Bitmap>,
    pub left: Arc<Bitmap>,
    pub rank: Arc<Rank>,
    pub waves: Arc<VecDeque<Wave>>,
    pub joins: VecDeque<JoinMark>,
    pub window: Window,
    pub sessions: Vec<(u64, Session)>,
    pub settings: Arc<Settings>,
    /// The settings as the store has them.
    pub settings_json: String,
    /// When the settings last changed in a way that moves people faster or slower.
    supply_since: Millis,
    pub track: Track,
    /// The last slot a prediction was made for.
    predicted: u64,
    /// Whether anything has been read.
    read: bool,
}

impl Replica {
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            facts: Facts::default(),
            gone: Arc::default(),
            left: Arc::default(),
            rank: Arc::new(Rank::build(&Bitmap::new())),
            waves: Arc::default(),
            joins: VecDeque::new(),
            window: Window::default(),
            sessions: Vec::new(),
            settings,
            settings_json: String::new(),
            supply_since: Millis(0),
            track: Track::new(),
            predicted: 0,
            read: false,
        }
    }

    /// Whether there is anything to restore from.
    pub const fn is_read(&self) -> bool {
        self.read
    }

    /// What need not be read again.
    pub fn known(&self, sessions: bool) -> Known {
        if !self.read {
            return Known { sessions, ..Known::default() };
        }
        Known {
            generation: self.facts.generation,
            version: self.facts.version,
            bits: self.facts.bits,
            settings: self.facts.settings,
            mark_at: self.joins.back().map_or(Millis(0), |mark| mark.at),
            sessions,
        }
    }

    /// Takes in a reading; `fresh` when it was asked for as if nothing were known. Settings that cannot be read are an error, and the old ones stay.
    pub fn absorb(&mut self, reading: Reading, fresh: bool) -> Result<(), String> {
        let mut result = Ok(());
        if let Some(json) = reading.settings {
            match parse_settings(&json) {
                Ok(settings) => {
                    if self.read && moves_differently(&self.settings, &settings) {
                        self.supply_since = reading.facts.now;
                        self.track.forget();
                    }
                    self.settings = Arc::new(settings);
                    self.settings_json = json;
                }
                Err(problem) => result = Err(problem),
            }
        }
        if fresh || reading.facts.generation != self.facts.generation {
            self.joins.clear();
            self.track.forget();
            self.predicted = 0;
        }
        if let Some((gone, left)) = reading.bitmaps {
            self.rank = Arc::new(Rank::build(&gone));
            self.gone = Arc::new(gone);
            self.left = Arc::new(left);
        }
        if let Some(waves) = reading.waves {
            self.waves = Arc::new(waves.into());
        }
        if let Some(sessions) = reading.sessions {
            self.sessions = sessions;
        } else if !fresh && reading.facts.generation == self.facts.generation {
            let more = reading.facts.given_back.saturating_sub(self.facts.given_back);
            self.sessions.iter_mut().for_each(|(_, session)| session.ends_at = session.ends_at.plus(more));
        }
        self.joins.extend(reading.joins);
        // Marks that only cover places already called are not needed.
        while self.joins.get(1).is_some_and(|next| next.issued <= reading.facts.serving) {
            self.joins.pop_front();
        }
        self.window = reading.window;
        self.facts = reading.facts;
        self.read = true;
        result
    }

    /// How the line moves, as of the last reading.
    pub fn pace(&self) -> Pace {
        let (facts, settings) = (&self.facts, &*self.settings);
        let since = admission::open_since(facts, settings);
        let supply = match settings.release {
            _ if !admission::calls_anybody(facts, settings) => Supply::Stopped,
            _ if settings.mode == anteroom_core::settings::Mode::Passthrough => Supply::Instant,
            Release::Steady => Supply::Steady {
                per_minute: admission::rate(facts, settings),
                ready_now: admission::level(facts, settings) as f64 / admission::LEVEL_PER_CALL as f64,
            },
            Release::Waves { size, every_sec } => Supply::Waves {
                size: u64::from(size),
                every_ms: u64::from(every_sec) * 1000,
                next_at: admission::next_wave_at(facts, every_sec),
            },
        };
        let capacity = settings.capacity.map(|limit| Capacity {
            limit: u64::from(limit),
            free: admission::free(facts, settings),
            session_ms: u64::from(settings.session_sec) * 1000,
            renews: settings.session_renew,
        });
        let observed = Observed {
            now: facts.now,
            since,
            supply_since: self.supply_since.max(since),
            waiting: facts.waiting,
            supply,
            capacity,
        };
        Pace::learn(&observed, &self.window)
    }

    /// Compares what was predicted with the cursor, and predicts for the youngest place.
    pub fn keep_track(&mut self, pace: &Pace) {
        let now = self.facts.now;
        self.track.called(Slot(self.facts.serving), now);
        if self.facts.issued > self.predicted
            && let Some(eta) = pace.estimate(Position(self.facts.waiting), now)
        {
            self.predicted = self.facts.issued;
            self.track.predict(Slot(self.facts.issued), now, now.plus(eta.sec * 1000));
        }
    }

    /// The line as known here, for a store that has lost it; `high` is the highest number known to have been handed out.
    pub fn restore(&self, high: u64) -> Restore {
        let facts = &self.facts;
        Restore {
            generation: facts.generation,
            base: facts.base,
            known: facts.issued,
            issued: high.max(facts.issued) + RESTORE_GAP,
            serving: facts.serving,
            gone: (*self.gone).clone(),
            left: (*self.left).clone(),
            settled_at: facts.settled_at,
            waves: self.waves.iter().filter(|wave| wave.until > facts.now).copied().collect(),
            active: self.sessions.clone(),
            level: facts.level,
            level_at: facts.level_at,
            totals: [facts.called_total, facts.entered_total, facts.missed_total, facts.left_total],
            users: Vec::new(),
        }
    }

    /// Milliseconds waited by the live slot at `rank`, 1 being the head.
    pub fn waited_ms(&self, rank: u64) -> u64 {
        let facts = &self.facts;
        let slot = facts.base + 1 + self.rank.zero_after(&self.gone, facts.serving - facts.base, rank);
        admission::joined_at(&self.joins, slot).map_or(0, |joined| facts.now.since(joined))
    }

    /// People beyond the cursor who have not been heard from for too long.
    pub fn silent(&self) -> u64 {
        let (from, to) = (self.facts.serving - self.facts.base, self.facts.issued - self.facts.base);
        self.gone.count(from, to) - self.left.count(from, to)
    }
}

/// The settings in a stored text.
pub fn parse_settings(json: &str) -> Result<Settings, String> {
    let value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Settings::default()
        .patched(&value)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn moves_differently(a: &Settings, b: &Settings) -> bool {
    a.mode != b.mode
        || a.admit_per_minute != b.admit_per_minute
        || a.release != b.release
        || a.capacity != b.capacity
        || a.schedule.opens != b.schedule.opens
        || a.feedback != b.feedback
}
