//! When to poll again, and when a poll must be passed on as a heartbeat.
//!
//! A page asks again after a third of the time it still has to wait, between [`NEAR_MS`] and [`FAR_MS`]: often where
//! something is about to happen, seldom where nothing is. Told this way, a wait of ten minutes takes thirty polls
//! instead of the three hundred of a page that polls every two seconds.

use crate::bitmap::Bitmap;
use crate::eta::Eta;
use crate::units::{Millis, Position, Slot};

/// Shortest usual pause between polls, in milliseconds: at the front, and while a turn is being taken.
pub const NEAR_MS: u64 = 2_000;
/// Longest pause between polls, in milliseconds.
pub const FAR_MS: u64 = 30_000;
/// Shortest pause whatever the heartbeat, in milliseconds.
pub const LEAST_MS: u64 = 500;
/// Shortest pause while nobody is called, in milliseconds.
const HELD_MS: u64 = 15_000;
/// Pauses are stretched or shortened by up to one part in this many, so that pages loaded together do not poll
/// together.
const JITTER: u64 = 8;

/// What is known about the wait ahead of somebody who polls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outlook {
    /// An estimate.
    Estimated(Eta),
    /// People are being called, but how fast is not known.
    Unknown,
    /// Nobody is being called, and nobody knows for how long.
    Held,
    /// Calling starts in so many milliseconds.
    Opens(u64),
}

/// Milliseconds after which somebody at `position` should poll again.
///
/// - With an estimate: a third of it, and not later than its low end.
/// - Without: growing with the square root of the position.
/// - While held: calm, 15 s or more. Before the opening: half of the time until then, at most [`FAR_MS`].
///
/// The result lies between [`LEAST_MS`] and a third of `heartbeat_ms` (the silence after which the place is lost), so
/// that two polls in a row may fail. Where a missed turn costs more than a silent place, pass the length of the claim
/// window if it is shorter. `seed` spreads the pauses by up to an eighth either way; mix ticket and time into it. O(1).
pub fn poll_after_ms(position: Position, outlook: &Outlook, heartbeat_ms: u64, seed: u64) -> u64 {
    let by_position = || (632.0 * libm::sqrt(position.0 as f64)) as u64;
    let wanted = match outlook {
        _ if position.0 == 0 => NEAR_MS,
        Outlook::Estimated(eta) => (eta.sec.saturating_mul(1000) / 3).min(eta.low_sec.saturating_mul(1000)),
        Outlook::Unknown => by_position(),
        Outlook::Held => by_position().max(HELD_MS),
        Outlook::Opens(ms) => ms / 2,
    };
    let most = (heartbeat_ms / 3).max(LEAST_MS);
    // Jitter goes on top of a pause that leaves room for it, or everybody who is capped would poll in step.
    let base = wanted.clamp(NEAR_MS, FAR_MS).min(most - most / (JITTER + 1));
    let reach = base / JITTER;
    (base - reach + (((mix(seed) >> 32) * (2 * reach + 1)) >> 32)).max(LEAST_MS)
}

/// Spreads neighbouring seeds evenly over 64 bits (the finaliser of SplitMix64, Steele, Lea and Flood, 2014).
const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Who of a room has been reported alive during the present third of the heartbeat time: one bit per holder.
///
/// A host that answers polls by itself passes on the first poll of each holder in each third. Since polls are at most a
/// third of the heartbeat time apart, reports are at most two thirds apart, and one that is lost still leaves the place
/// alive. The thirds of different holders begin at different times, or all of them would be reported at once and nobody
/// for the rest of the third.
#[derive(Clone, Debug, Default)]
pub struct Hearing {
    /// Length of a third in milliseconds, and the number of the one that began last for a holder without offset.
    third: (u64, u64),
    /// Those in that third.
    present: Heard,
    /// Those whose next one has begun, since offsets are less than a third.
    next: Heard,
}

/// Holders heard, from the slot after `base` on.
#[derive(Clone, Debug, Default)]
struct Heard {
    base: u64,
    bits: Bitmap,
}

/// How far beyond the cursor holders are remembered, in slots. Those beyond are reported at every poll: slots come from
/// verified tokens, but memory should not depend on it.
const REACH: u64 = 1 << 27;

impl Hearing {
    /// Nobody heard yet.
    pub const fn new() -> Self {
        Self { third: (0, 0), present: Heard::after(0), next: Heard::after(0) }
    }

    /// Whether a poll of `slot`'s holder at `now` must be passed on, and notes that it was. False for a slot already
    /// called (`slot <= serving`), whose place no longer depends on being heard. O(1) but for the first call of each
    /// third.
    pub fn must_report(&mut self, slot: Slot, serving: Slot, now: Millis, heartbeat_ms: u64) -> bool {
        if slot <= serving {
            return false;
        }
        let length = (heartbeat_ms / 3).max(1);
        let third = (length, now.0 / length);
        if third != self.third {
            let follows = third == (self.third.0, self.third.1 + 1);
            let present = core::mem::replace(&mut self.next, Heard::after(serving.0));
            self.present = if follows { present } else { Heard::after(serving.0) };
            self.third = third;
        }
        let (passed, offset) = (now.0 % length, mix(slot.0) % length);
        if passed + offset < length { self.present.note(slot, serving) } else { self.next.note(slot, serving) }
    }
}

impl Heard {
    const fn after(base: u64) -> Self {
        Self { base, bits: Bitmap::new() }
    }

    /// Whether this is the first time for `slot`, which is beyond `serving`.
    fn note(&mut self, slot: Slot, serving: Slot) -> bool {
        // A cursor that went back is another generation of the room.
        if serving.0 < self.base {
            *self = Self::after(serving.0);
        }
        let bit = slot.0 - self.base - 1;
        bit >= REACH || self.bits.set(bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::vec::Vec;

    const HEARTBEAT: u64 = 300_000;

    fn estimated(sec: u64) -> Outlook {
        Outlook::Estimated(Eta { sec, low_sec: sec * 8 / 10, high_sec: sec * 13 / 10, confidence: 0.5 })
    }

    fn average(position: u64, outlook: &Outlook) -> f64 {
        (0..500).map(|seed| poll_after_ms(Position(position), outlook, HEARTBEAT, seed) as f64).sum::<f64>() / 500.0
    }

    #[test]
    fn polls_are_two_seconds_apart_at_the_front_and_thirty_far_back() {
        for (position, outlook, want) in [
            (0, Outlook::Unknown, 2_000.0),
            (1, estimated(0), 2_000.0),
            (50, estimated(30), 10_000.0),
            (5_000, estimated(600), 30_000.0),
            (10, Outlook::Unknown, 2_000.0),
            (1_000, Outlook::Unknown, 20_000.0),
            (1_000_000, Outlook::Unknown, 30_000.0),
            (1, Outlook::Held, 15_000.0),
            (1_000_000, Outlook::Held, 30_000.0),
            (1, Outlook::Opens(3_600_000), 30_000.0),
            (1, Outlook::Opens(5_000), 2_500.0),
        ] {
            let got = average(position, &outlook);
            assert!((got / want - 1.0).abs() < 0.02, "{position} {outlook:?}: {got}, not {want}");
        }
    }

    #[test]
    fn a_wait_of_ten_minutes_takes_a_tenth_of_the_polls_of_a_page_that_polls_every_two_seconds() {
        for minutes in [10, 20, 60] {
            let wait = minutes * 60_000;
            let (mut now, mut polls) = (0, 0);
            while now < wait {
                let left = estimated((wait - now) / 1000);
                now += poll_after_ms(Position((wait - now) / 100 + 1), &left, HEARTBEAT, polls);
                polls += 1;
            }
            let ratio = wait / 2000 / polls;
            std::eprintln!("{minutes} min: {polls} polls, {ratio} times fewer, {} s apart", wait / polls / 1000);
            assert!(ratio >= 10, "{minutes} min: {polls} polls");
        }
    }

    #[test]
    fn pages_that_loaded_together_drift_apart() {
        let pauses: Vec<u64> =
            (0..8000).map(|seed| poll_after_ms(Position(9), &estimated(600), HEARTBEAT, seed)).collect();
        let mut tenths = [0; 10];
        for pause in pauses {
            tenths[((pause - 26_250) / 751) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (600..1000).contains(count)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn a_pause_is_never_too_short_nor_more_than_a_third_of_the_heartbeat(
            position: u64, sec: u64, low_sec: u64, kind in 0..4, seed: u64,
            heartbeat in prop_oneof![0u64..100_000, any::<u64>()],
        ) {
            let outlook = match kind {
                0 => Outlook::Estimated(Eta { sec, low_sec, high_sec: sec, confidence: 0.0 }),
                1 => Outlook::Unknown,
                2 => Outlook::Held,
                _ => Outlook::Opens(sec),
            };
            let pause = poll_after_ms(Position(position), &outlook, heartbeat, seed);
            prop_assert!(pause >= LEAST_MS && pause <= (heartbeat / 3).clamp(LEAST_MS, FAR_MS + FAR_MS / JITTER));
        }

        #[test]
        fn pauses_grow_with_the_distance(
            near in 1u64..5000, more in 0u64..5000, position in 1u64..100_000, back in 0u64..100_000,
        ) {
            prop_assert!(average(1, &estimated(near)) <= average(1, &estimated(near + more)));
            for outlook in [Outlook::Unknown, Outlook::Held] {
                prop_assert!(average(position, &outlook) <= average(position + back, &outlook));
            }
        }

        #[test]
        fn who_polls_as_told_is_reported_in_time_and_seldom(
            heartbeat in 3_000u64..600_000, sec in 0u64..4000, seed in 0u64..1000,
        ) {
            let mut hearing = Hearing::new();
            let (mut now, mut last, mut reports) = (1_800_000_000_000, None, 0);
            let start = now;
            for poll in 0..300 {
                if hearing.must_report(Slot(500), Slot(70), Millis(now), heartbeat) {
                    if let Some(last) = last {
                        prop_assert!(now - last <= heartbeat * 2 / 3 + 1);
                    }
                    last = Some(now);
                    reports += 1;
                }
                now += poll_after_ms(Position(430), &estimated(sec), heartbeat, seed * 1000 + poll);
            }
            prop_assert!(reports <= (now - start) * 3 / heartbeat + 2);
        }
    }

    #[test]
    fn each_holder_is_reported_once_a_third() {
        let mut hearing = Hearing::new();
        let mut reports = HashMap::<u64, Vec<u64>>::new();
        for second in 0..1_000 {
            for slot in [1, 5, 6, 70, 100_000] {
                if hearing.must_report(Slot(slot), Slot(5), Millis(second * 1000), HEARTBEAT) {
                    reports.entry(slot).or_default().push(second);
                }
            }
        }
        assert_eq!(reports.len(), 3, "nobody who was called");
        for seconds in reports.values() {
            assert!(seconds[2..].windows(2).all(|pair| pair[1] - pair[0] == 100), "{seconds:?}");
            assert!(seconds[0] == 0 && (10..=11).contains(&seconds.len()), "{seconds:?}");
        }
        // Another generation, and a slot that no bitmap is grown for.
        assert!(hearing.must_report(Slot(1), Slot(0), Millis(999_000), HEARTBEAT));
        assert!((0..3).all(|_| hearing.must_report(Slot(u64::MAX), Slot(0), Millis(999_000), HEARTBEAT)));
    }

    #[test]
    fn reports_are_spread_over_the_third() {
        let mut hearing = Hearing::new();
        let mut tenths = [0; 30];
        for second in (0..300).step_by(10) {
            for slot in 1..=10_000 {
                let due = hearing.must_report(Slot(slot), Slot(0), Millis(second * 1000), HEARTBEAT);
                tenths[second as usize / 10] += usize::from(due);
            }
        }
        // At the very start everybody is new.
        assert_eq!(tenths[0], 10_000);
        assert!(tenths[10..].iter().all(|count| (800..1200).contains(count)), "{tenths:?}");
    }
}
