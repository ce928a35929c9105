//! Room time at this host: the store's clock, carried on by the host's monotonic one.
//!
//! All origins of a store measure the same clock, so clocks that are apart do not matter, and a step of a host's own clock is never
//! seen. When the store's clock itself steps back, time goes on from where it was, at its usual speed.

use anteroom_core::units::Millis;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A measured clock that is behind by more than this has been set back.
const STEP_MS: u64 = 2_000;

/// See the module's comment.
pub struct Clock {
    start: Instant,
    /// Room time at `start`; 0 = not measured yet.
    origin: AtomicU64,
}

impl Clock {
    /// Not measured yet: gives the host's own time until then.
    pub fn new() -> Self {
        Self { start: Instant::now(), origin: AtomicU64::new(0) }
    }

    /// Room time now.
    pub fn now(&self) -> Millis {
        self.at(Instant::now())
    }

    /// Room time at a moment of this process.
    pub fn at(&self, moment: Instant) -> Millis {
        match self.origin.load(Ordering::Relaxed) {
            0 => Millis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |wall| wall.as_millis() as u64)),
            origin => Millis(origin + moment.duration_since(self.start).as_millis() as u64),
        }
    }

    /// Takes in that the store's clock showed `measured` just now.
    pub fn measured(&self, measured: Millis) {
        let origin = self.origin.load(Ordering::Relaxed);
        if origin == 0 || measured.plus(STEP_MS) >= self.now() {
            self.set(measured);
        }
    }

    /// Takes in that a room has seen the time `seen`: far ahead of ours, its time goes on from there.
    pub fn at_least(&self, seen: Millis) {
        if seen > self.now().plus(STEP_MS) {
            self.set(seen);
        }
    }

    fn set(&self, now: Millis) {
        let elapsed = self.start.elapsed().as_millis() as u64;
        self.origin.store(now.0.saturating_sub(elapsed).max(1), Ordering::Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_store_forwards_and_never_steps_back() {
        let clock = Clock::new();
        clock.measured(Millis(5_000_000));
        assert!((5_000_000..5_000_500).contains(&clock.now().0));
        clock.measured(Millis(9_000_000));
        assert!((9_000_000..9_000_500).contains(&clock.now().0));
        clock.measured(Millis(1_000_000));
        assert!(clock.now().0 >= 9_000_000, "the store's clock was set back");
        clock.at_least(Millis(20_000_000));
        clock.measured(Millis(9_100_000));
        assert!(clock.now().0 >= 20_000_000, "a room has seen later times");
    }
}
