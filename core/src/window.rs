//! What the estimate learns from: what happened to the line in each of the last 32 stretches of 10 seconds.

use crate::units::Millis;
use serde::{Deserialize, Serialize};

/// Length of a stretch in milliseconds.
pub const STRETCH_MS: u64 = 10_000;
/// How many stretches are kept: a little over five minutes.
pub const STRETCHES: usize = 32;

/// What happened within one stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Slots called.
    pub calls: u64,
    /// Turns exchanged for a pass.
    pub entries: u64,
    /// Waiting slots that stopped counting without a call: left, fell silent, or waited past the limit.
    pub losses: u64,
    /// Milliseconds of the stretch during which somebody waited. Only then do calls tell how fast the line can move.
    pub busy_ms: u64,
    /// Sum over the stretch of people waiting times milliseconds: what losses are a rate of.
    pub waited_ms: u64,
}

/// The ring of stretches. Stretch `n` covers the room times `n * 10 s .. (n + 1) * 10 s` and lives at index `n % 32`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    ring: [(u64, Flow); STRETCHES],
}

impl Window {
    /// The stretch that `now` falls into, emptied first when it held an older one.
    pub fn at(&mut self, now: Millis) -> &mut Flow {
        let stretch = now.0 / STRETCH_MS;
        let entry = &mut self.ring[(stretch % STRETCHES as u64) as usize];
        if entry.0 != stretch {
            *entry = (stretch, Flow::default());
        }
        &mut entry.1
    }

    /// Puts a stretch as read from a store; an older one never replaces a newer one.
    pub fn put(&mut self, stretch: u64, flow: Flow) {
        let entry = &mut self.ring[(stretch % STRETCHES as u64) as usize];
        if stretch >= entry.0 {
            *entry = (stretch, flow);
        }
    }

    /// The stretches that lie within the last 32 at `now`, in no particular order, each with its number.
    pub fn recent(&self, now: Millis) -> impl Iterator<Item = (u64, Flow)> + '_ {
        let current = now.0 / STRETCH_MS;
        self.ring
            .iter()
            .copied()
            .filter(move |(stretch, _)| *stretch <= current && stretch + (STRETCHES as u64) > current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_forgotten_after_five_minutes() {
        let mut window = Window::default();
        let start = Millis(1_000_000_000);
        window.at(start).calls = 7;
        window.at(start.plus(5_000)).calls += 1;
        assert_eq!(window.recent(start.plus(300_000)).map(|(_, flow)| flow.calls).sum::<u64>(), 8);
        assert_eq!(window.recent(start.plus(320_000)).count(), 0);
        assert_eq!(*window.at(start.plus(320_000)), Flow::default());
    }
}
