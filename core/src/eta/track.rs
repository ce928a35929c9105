//! How good the estimates were.

use crate::units::{Millis, Slot};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Most predictions that wait for their slot to be called.
const PENDING: usize = 512;
/// How many of the latest errors the median is taken over.
const MATURED: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Prediction {
    made: Millis,
    called: Millis,
}

/// Compares predictions with what came true, in bounded memory (some 20 KB).
#[derive(Clone, Debug, Default)]
pub struct Track {
    pending: BTreeMap<Slot, Prediction>,
    errors: Vec<f32>,
    next: usize,
}

impl Track {
    /// No prediction yet.
    pub const fn new() -> Self {
        Self { pending: BTreeMap::new(), errors: Vec::new(), next: 0 }
    }

    /// Notes that at `made`, `slot` was expected to be called at `called`. The first prediction for a slot counts. When
    /// too many are pending, every second one is dropped, so that they stay spread over the line. O(log n) mostly.
    pub fn predict(&mut self, slot: Slot, made: Millis, called: Millis) {
        if self.pending.len() >= PENDING {
            let mut keep = false;
            self.pending.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        self.pending.entry(slot).or_insert(Prediction { made, called });
    }

    /// Notes that at `now` the cursor stands at `serving`. Predictions for slots up to it have come true, or not.
    pub fn called(&mut self, serving: Slot, now: Millis) {
        while let Some(first) = self.pending.first_entry()
            && *first.key() <= serving
        {
            let Prediction { made, called } = first.remove();
            let waited = now.since(made);
            // Waits of a tick or two are all rounding.
            if waited >= 1000 {
                self.push(called.0.abs_diff(now.0) as f32 / waited as f32);
            }
        }
    }

    /// Drops what is pending: the line stood still, or is another one.
    pub fn forget(&mut self) {
        self.pending.clear();
    }

    /// Median over the latest 256 predictions that matured of |predicted wait - wait| / wait; `None` before the first.
    pub fn error_ratio(&self) -> Option<f64> {
        let mut errors = self.errors.clone();
        let middle = errors.len() / 2;
        if errors.is_empty() {
            return None;
        }
        Some(f64::from(*errors.select_nth_unstable_by(middle, f32::total_cmp).1))
    }

    fn push(&mut self, error: f32) {
        if self.errors.len() < MATURED {
            self.errors.push(error);
        } else {
            self.errors[self.next % MATURED] = error;
        }
        self.next = (self.next + 1) % MATURED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_over_what_matured_lately() {
        let mut track = Track::new();
        assert_eq!(track.error_ratio(), None);
        for (slot, predicted) in [(1, 12_000), (2, 22_000), (3, 60_000)] {
            track.predict(Slot(slot), Millis(0), Millis(predicted));
        }
        track.predict(Slot(3), Millis(29_000), Millis(30_000));
        track.called(Slot(1), Millis(10_000));
        track.called(Slot(3), Millis(20_000));
        // Errors 0.2, 0.1 and 2.
        assert!((track.error_ratio().unwrap() - 0.2).abs() < 1e-6);
        for slot in 4..300 {
            track.predict(Slot(slot), Millis(20_000), Millis(35_000));
        }
        track.called(Slot(300), Millis(30_000));
        assert_eq!(track.error_ratio(), Some(0.5));
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_spread() {
        let mut track = Track::new();
        for slot in 0..100_000 {
            track.predict(Slot(slot), Millis(slot), Millis(slot + 5_000));
        }
        assert!(track.pending.len() <= PENDING);
        assert!(track.pending.keys().next().unwrap().0 < 1000);
        track.called(Slot(100_000), Millis(200_000));
        assert!(track.errors.len() <= MATURED && track.pending.is_empty());
        track.predict(Slot(1), Millis(0), Millis(0));
        track.forget();
        assert!(track.pending.is_empty());
    }
}
