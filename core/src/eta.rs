//! How long somebody still has to wait.
//!
//! A [`Pace`] is learned once per tick from what the settings allow ([`Supply`], [`Capacity`]) and what lately happened
//! ([`Window`]), and is published in the board. From it and a position, anybody computes the same [`Eta`].
//!
//! With calls at speed `c` and each person ahead leaving at rate `l`, a position `p` shrinks as `dp/dt = -c - l p`, so
//! the front is reached after `ln(1 + l p / c) / l`. The speed is the one that binds: the rate of the bucket while
//! there is room inside, the speed at which places inside come free once there is none.
//!
//! The interval is meant to hold four times in five. Its width adds up what makes waits uncertain: the chance in every
//! single departure, the few events a speed was learned from, and, growing with the wait itself, the changes that
//! nobody has made yet. It is read off a gamma distribution by the approximation of Wilson and Hilferty (1931), which
//! is close to exact for the wait for the n-th event of a random stream and never turns negative.

mod learn;
#[cfg(test)]
mod tests;
mod track;

pub use track::Track;

use crate::units::{Millis, Position};
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// What the settings of a room let through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Supply {
    /// A rate bucket that is emptied as it fills.
    Steady {
        /// Calls that flow into the bucket per minute.
        per_minute: u64,
        /// Calls that the bucket holds now, fractions included, whatever room there is inside. Below 1 where the rate
        /// is what binds.
        ready_now: f64,
    },
    /// Groups let in together.
    Waves {
        /// Most people of one wave.
        size: u64,
        /// Milliseconds between waves.
        every_ms: u64,
        /// When the next wave is due.
        next_at: Millis,
    },
    /// Everybody is let through at once.
    Instant,
    /// Nobody is called: held, closed, or not open yet, whether or not the opening is known.
    Stopped,
}

/// A bound on how many people are inside, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Most people active or ready at once.
    pub limit: u64,
    /// How many more may be called now.
    pub free: u64,
    /// Length of a session in milliseconds: the most anybody stays, unless sessions are renewed.
    pub session_ms: u64,
    /// Whether activity lengthens a session.
    pub renews: bool,
}

/// What is known about a room at one moment, beside its window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// The moment: right after the calls of a tick.
    pub now: Millis,
    /// Since when calling has been possible without a break: opening, creation, or the last switch to mode `line`.
    pub since: Millis,
    /// When the settings last changed in a way that moves the supply (rate, waves, mode); at the least `since`. Small
    /// steps of a feedback loop need not count.
    pub supply_since: Millis,
    /// How many people wait.
    pub waiting: u64,
    /// What the settings let through.
    pub supply: Supply,
    /// The bound on people inside, if there is one.
    pub capacity: Option<Capacity>,
}

/// How a line moves: everything but a position that an estimate needs.
///
/// Published in the board, with four significant digits. Whatever numbers come over the wire, estimating from them is
/// safe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// The moment the other numbers are of.
    at: Millis,
    #[serde(rename = "how")]
    course: Course,
    /// How much of those ahead goes away by itself, per second.
    #[serde(rename = "l")]
    loss: f64,
    /// Relative variance of a wait, per second of it.
    #[serde(rename = "v")]
    drift: f64,
}

/// How people are called.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Course {
    /// Not at all.
    Stopped,
    /// At once.
    Instant,
    /// One by one.
    Steady(Steady),
    /// In waves of `size` every `every` milliseconds from `next` on.
    Waves { size: f64, every: u64, next: Millis },
}

/// Calls one by one: the first few as fast as the bucket fills, the rest as places inside come free.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Steady {
    /// Calls that are ready in the bucket.
    #[serde(rename = "b")]
    ready: f64,
    /// Calls per second while there is room inside.
    #[serde(rename = "r")]
    rate: f64,
    /// What holds beyond the room that is left inside; absent without a bound.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    full: Option<Full>,
}

/// The line once nobody gets in before somebody comes out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Full {
    /// How many are called before that.
    #[serde(rename = "n")]
    after: f64,
    /// Calls per second from then on.
    #[serde(rename = "c")]
    speed: f64,
    /// Relative standard deviation of what is known about `speed`.
    #[serde(rename = "d")]
    doubt: f64,
    /// Variance of the number of calls over its mean.
    #[serde(rename = "w")]
    noise: f64,
}

/// An estimate, in whole seconds from the moment it is made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Eta {
    /// Seconds until the call.
    #[serde(rename = "eta_sec")]
    pub sec: u64,
    /// One wait in ten is shorter than this.
    #[serde(rename = "eta_low_sec")]
    pub low_sec: u64,
    /// One wait in ten is longer than this.
    #[serde(rename = "eta_high_sec")]
    pub high_sec: u64,
    /// Chance, from 0 to 1, that the wait is within a quarter (or a second, if that is more) of `sec`.
    #[serde(rename = "eta_confidence")]
    pub confidence: f64,
}

/// Standard deviations from the middle of a normal distribution to where 10 % are left.
const Z80: f64 = 1.2816;
/// Longest wait that is put in numbers, in seconds: ten years. Keeps every sum finite.
const FOREVER: f64 = 3.2e8;
/// Seconds over which the width grows with the wait itself, as it does with a rare change, before it grows with the
/// root of the wait, as it does with many.
const CALM_SECS: f64 = 300.0;
/// Least standard deviation of a wait in seconds: calls happen at ticks.
const TICK_SD: f64 = 0.15;

impl Pace {
    /// Learns how the line moves, at the end of a tick. What somebody sees of their own (a least wait by the settings,
    /// a ticket about to lapse) is not in it. O(stretches of the window).
    pub fn learn(seen: &Observed, window: &Window) -> Self {
        learn::pace(seen, window)
    }

    /// The moment this was learned at.
    pub fn at(&self) -> Millis {
        self.at
    }

    /// The wait of somebody at `position`, which is one as of [`Pace::at`], from `now` on. `None` while nobody is
    /// called; all zero for position 0. Never falls while the position rises. O(1).
    pub fn estimate(&self, position: Position, now: Millis) -> Option<Eta> {
        let people = position.0 as f64;
        let wait = match &self.course {
            Course::Stopped => return None,
            _ if position.0 == 0 => Wait::NONE,
            Course::Instant => Wait::NONE,
            Course::Steady(steady) => self.steady(steady, people),
            Course::Waves { size, every, next } => self.waves(people, size.max(1e-3), *every, next.since(self.at)),
        };
        let gone = now.since(self.at) as f64 / 1000.0;
        let from_now = |sec: f64| (sec - gone).clamp(0.0, FOREVER);
        let near = 0.25 * wait.mean + 1.0;
        let confidence = libm::erf(near / (wait.sd.max(TICK_SD) * core::f64::consts::SQRT_2));
        Some(Eta {
            sec: libm::round(from_now(wait.mean)) as u64,
            low_sec: libm::floor(from_now(wait.low)) as u64,
            high_sec: libm::ceil(from_now(wait.high)) as u64,
            confidence: libm::round(confidence.clamp(0.0, 1.0) * 100.0) / 100.0,
        })
    }

    fn steady(&self, steady: &Steady, people: f64) -> Wait {
        let ahead = (people - steady.ready).max(0.0);
        let fast = drain(ahead, steady.rate, self.loss);
        let Some(full) = steady.full else { return self.spread(fast, 0.0) };
        let first = (full.after - steady.ready).max(0.0) / steady.rate.max(1e-9);
        if fast <= first {
            return self.spread(fast, 0.0);
        }
        // Those who are left when the room is full wait for places to come free; each is a chance of its own.
        let left = shrink(ahead, steady.rate, self.loss, first);
        let slow = drain(left, full.speed, self.loss);
        let chance = full.noise * left / (full.speed * full.speed).max(1e-18);
        self.spread(first + slow, chance + (full.doubt * slow) * (full.doubt * slow))
    }

    fn waves(&self, people: f64, size: f64, every_ms: u64, first_ms: u64) -> Wait {
        let (every, first) = (every_ms.max(1) as f64 / 1000.0, first_ms as f64 / 1000.0);
        // A little less than a whole wave more is none, or rounding would cost somebody a wave.
        let whole = |waves: f64| libm::ceil(waves - 1e-6).max(0.0);
        let left = shrink(people, 0.0, self.loss, first);
        let keep = libm::exp(-self.loss * every);
        let waves = if 1.0 - keep < 1e-9 {
            (left - size) / size
        } else {
            libm::log1p((1.0 - keep) * (left - size).max(0.0) / size) / (self.loss * every)
        };
        let mean = first + every * whole(waves);
        let smooth = self.spread(mean, 0.0);
        // Waits end at waves only.
        let at_wave = |sec: f64, round: fn(f64) -> f64| first + every * round(((sec - first) / every).max(0.0));
        Wait {
            low: at_wave(smooth.low, |n| libm::floor(n + 0.5)),
            high: at_wave(smooth.high, |n| libm::ceil(n - 0.5)),
            ..smooth
        }
    }

    /// The wait around `mean` seconds, with `variance` of its own and what grows with the wait.
    fn spread(&self, mean: f64, variance: f64) -> Wait {
        let mean = mean.clamp(0.0, FOREVER);
        // A change is a rare event: soon, there will most likely be none.
        let share = self.drift * mean * (mean / (mean + CALM_SECS));
        let sd = libm::sqrt(variance + share * mean * mean).max(TICK_SD);
        let relative = (sd / mean.max(TICK_SD)).min(2.0);
        let root = |z: f64| 1.0 - relative * relative / 9.0 + z * relative / 3.0;
        let (low, high) = (root(-Z80).max(0.0), root(Z80));
        Wait { mean, low: (mean * low * low * low).min(mean), high: (mean * high * high * high).max(mean), sd }
    }
}

/// A wait in seconds from [`Pace::at`], and its interval.
#[derive(Clone, Copy, Debug)]
struct Wait {
    mean: f64,
    low: f64,
    high: f64,
    sd: f64,
}

impl Wait {
    const NONE: Wait = Wait { mean: 0.0, low: 0.0, high: 0.0, sd: 0.0 };
}

/// Seconds until `people` are gone, at `speed` calls per second and `loss` per person and second.
fn drain(people: f64, speed: f64, loss: f64) -> f64 {
    let alone = people / speed.max(1e-9);
    let lost = loss * alone;
    // The series of ln(1 + x) / x where the quotient would lose its digits.
    let sec = if lost < 1e-6 { alone * (1.0 - lost / 2.0) } else { alone * libm::log1p(lost) / lost };
    sec.clamp(0.0, FOREVER)
}

/// How many of `people` are left after `sec` seconds, at `speed` calls per second and `loss` per person and second.
fn shrink(people: f64, speed: f64, loss: f64, sec: f64) -> f64 {
    let lost = loss * sec;
    let keep = libm::exp(-lost);
    let called = if lost < 1e-6 { sec * (1.0 - lost / 2.0) } else { sec * (1.0 - keep) / lost };
    (people * keep - speed * called).max(0.0)
}
