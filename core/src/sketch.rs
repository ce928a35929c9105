//! The compact position sketch: who is how far back, in about two kilobytes for a million people.
//!
//! A sketch holds the slots at chosen live ranks, the *milestones*: ranks 1, 2 … 256, then ranks growing by 1/128, and
//! at the end the slot that the next join will get, whose rank is one more than the people waiting. A position is a
//! binary search between two milestones and a linear interpolation. Two neighbours beyond rank 256 are at most 1/128 of
//! their rank apart, and a position never leaves the gap between them, so it is exact up to 256 and wrong by less than
//! 1/128 (0.8 %) beyond, however the people who left are clumped. The ranks follow from the number of people waiting,
//! so that only slots are stored.
//!
//! # Format
//!
//! Numbers are LEB128 varints in their shortest form: `serving`, the number waiting, then for each milestone how many
//! slots between it and the one before (or `serving`) are gone. Any such numbers describe a line, and each line has one
//! encoding. In JSON it is base64url without padding.

use crate::bitmap::Bitmap;
use crate::rank::Rank;
use crate::units::{Position, Slot};
use alloc::string::String;
use alloc::vec::Vec;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Up to this rank positions are exact.
pub const EXACT: u64 = 256;
/// Beyond [`EXACT`], a milestone's rank is that of the one before plus one part in this many.
pub const GROWTH: u64 = 128;

/// The rank of the milestone after the one at `rank`; 0 stands for the cursor.
const fn next_rank(rank: u64) -> u64 {
    if rank < EXACT { rank + 1 } else { rank.saturating_add(rank / GROWTH) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Milestone {
    rank: u64,
    slot: u64,
}

/// Positions of a whole line at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    serving: u64,
    /// Rising in rank and slot; the last is the place of the next join.
    milestones: Vec<Milestone>,
}

impl Sketch {
    /// Sketches the line `(serving, issued]`. Slot `s` is bit `s - base - 1` of `bits`, 1 = gone; `rank` must be that
    /// of `bits`.
    ///
    /// Slots at or below `base` are taken as gone. O(m log n) for m milestones, of which there are 128 ln(n / 256) +
    /// 256 at most (1,700 for ten million people).
    pub fn build(bits: &Bitmap, rank: &Rank, base: u64, serving: Slot, issued: Slot) -> Self {
        let serving = serving.0.max(base);
        let next = issued.0.max(serving).saturating_add(1);
        let (from, end) = (serving - base, next - 1 - base);
        let gone = rank.ones_below(bits, end) - rank.ones_below(bits, from);
        let last = end - from - gone + 1;
        let mut milestones = Vec::new();
        let mut at = 1;
        while at < last {
            milestones.push(Milestone { rank: at, slot: rank.zero_after(bits, from, at) + base + 1 });
            at = next_rank(at);
        }
        milestones.push(Milestone { rank: last, slot: next });
        Self { serving, milestones }
    }

    /// Live slots in `(serving, slot)` plus one, and 0 for slots already called: exact up to [`EXACT`], less than one
    /// part in [`GROWTH`] off beyond. A slot that was issued after the sketch was made counts from its end, nobody
    /// being gone there yet. Never falls while `slot` rises. O(log m).
    pub fn position(&self, slot: Slot) -> Position {
        if slot.0 <= self.serving {
            return Position(0);
        }
        let after = self.milestones.partition_point(|milestone| milestone.slot < slot.0);
        let Some(right) = self.milestones.get(after) else {
            let next = self.next();
            return Position(next.rank.saturating_add(slot.0 - next.slot));
        };
        let left = match after {
            0 => Milestone { rank: 0, slot: self.serving },
            _ => self.milestones[after - 1],
        };
        // Everybody between is at least one behind the left milestone and at most level with the right one.
        let (ranks, slots) = (right.rank - left.rank, right.slot - left.slot);
        let share = u128::from(slot.0 - left.slot) * u128::from(ranks) / u128::from(slots);
        Position(left.rank + (share as u64).clamp(1, ranks))
    }

    /// The cursor of the line that was sketched.
    pub fn serving(&self) -> Slot {
        Slot(self.serving)
    }

    /// The highest slot issued when the sketch was made.
    pub fn issued(&self) -> Slot {
        Slot(self.next().slot - 1)
    }

    /// How many people waited: live slots in `(serving, issued]`.
    pub fn waiting(&self) -> u64 {
        self.next().rank - 1
    }

    fn next(&self) -> Milestone {
        *self.milestones.last().expect("build and decode end every sketch with the place of the next join")
    }

    /// The bytes of the format above.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.milestones.len() * 3 / 2 + 20);
        put_varint(&mut bytes, self.serving);
        put_varint(&mut bytes, self.waiting());
        let mut left = Milestone { rank: 0, slot: self.serving };
        for right in &self.milestones {
            put_varint(&mut bytes, (right.slot - left.slot) - (right.rank - left.rank));
            left = *right;
        }
        bytes
    }

    /// Reads what [`Sketch::encode`] wrote. Any bytes are safe to read: the memory needed is a small multiple of their
    /// number.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadSketch> {
        let mut rest = bytes;
        let serving = take_varint(&mut rest)?;
        let waiting = take_varint(&mut rest)?;
        let last = waiting.checked_add(1).ok_or(BadSketch::Overflow)?;
        // Every milestone takes a byte, so a count that the bytes cannot hold ends in `Truncated`, not in a large
        // allocation.
        let mut milestones = Vec::new();
        let mut left = Milestone { rank: 0, slot: serving };
        while left.rank < last {
            let gone = take_varint(&mut rest)?;
            let rank = next_rank(left.rank).min(last);
            let step = (rank - left.rank).checked_add(gone).ok_or(BadSketch::Overflow)?;
            let slot = left.slot.checked_add(step).ok_or(BadSketch::Overflow)?;
            left = Milestone { rank, slot };
            milestones.push(left);
        }
        if rest.is_empty() { Ok(Self { serving, milestones }) } else { Err(BadSketch::Trailing) }
    }
}

/// Why bytes or text are not a sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSketch {
    /// The text is not base64url without padding.
    Base64,
    /// The bytes end before the last milestone.
    Truncated,
    /// Bytes follow the last milestone.
    Trailing,
    /// A number is not in its shortest form.
    Overlong,
    /// A number, or a slot that follows from it, does not fit 64 bits.
    Overflow,
}

impl fmt::Display for BadSketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadSketch::Base64 => "sketch is not base64url without padding",
            BadSketch::Truncated => "sketch ends before its last milestone",
            BadSketch::Trailing => "sketch has bytes after its last milestone",
            BadSketch::Overlong => "sketch has a number that is not in its shortest form",
            BadSketch::Overflow => "sketch has a number that does not fit 64 bits",
        })
    }
}

impl core::error::Error for BadSketch {}

fn put_varint(bytes: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, BadSketch> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(BadSketch::Truncated)?;
        *rest = tail;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(BadSketch::Overflow);
        }
        n |= bits << shift;
        if byte & 0x80 == 0 {
            return if byte == 0 && shift > 0 { Err(BadSketch::Overlong) } else { Ok(n) };
        }
    }
    Err(BadSketch::Overflow)
}

impl Serialize for Sketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(self.encode()))
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| serde::de::Error::custom(BadSketch::Base64))?;
        Sketch::decode(&bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{eprintln, vec};

    /// A line of `n` places behind `base`, with about `share` percent gone, most of them in clumps of up to 400.
    fn clumped(n: u64, share: u64) -> Bitmap {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut bits = Bitmap::new();
        let mut at = 0;
        while at < n {
            let clump = 1 + random(400);
            bits.set_range(at, (at + clump).min(n));
            at += clump + random(2 * 200 * (100 - share) / share);
        }
        bits
    }

    fn truth(bits: &Bitmap, base: u64, serving: u64, slot: u64) -> u64 {
        if slot <= serving {
            return 0;
        }
        slot - serving - bits.count(serving - base, slot - base - 1)
    }

    fn close(got: u64, want: u64) -> bool {
        got == want || want > EXACT && got.abs_diff(want) * GROWTH < want
    }

    proptest! {
        #[test]
        fn positions_are_exact_up_to_256_and_within_a_hundredth_beyond(
            runs in prop::collection::vec((any::<bool>(), 1u64..3000), 0..10),
            noise in prop::collection::vec(0u64..9000, 0..200),
            base in (0u64..100).prop_map(|n| n * 64), called in 0u64..5000, more in 0u64..20_000,
            slots in prop::collection::vec(0u64..25_000, 50),
        ) {
            let (serving, issued) = (base + called, base + called + more);
            let mut bits = Bitmap::new();
            let mut at = 0;
            for (gone, len) in runs {
                if gone { bits.set_range(at, at + len); }
                at += len;
            }
            for i in noise { bits.set(i); }
            bits.truncate(issued - base);
            let sketch = Sketch::build(&bits, &Rank::build(&bits), base, Slot(serving), Slot(issued));
            prop_assert_eq!((sketch.serving(), sketch.issued()), (Slot(serving), Slot(issued)));
            prop_assert_eq!(sketch.waiting(), truth(&bits, base, serving, issued + 1).max(1) - 1);
            prop_assert_eq!(&Sketch::decode(&sketch.encode()), &Ok(sketch.clone()));
            for slot in slots.into_iter().chain([serving, serving + 1, issued, issued + 1, issued + 1000]) {
                let (got, want) = (sketch.position(Slot(slot)).0, truth(&bits, base, serving, slot));
                prop_assert!(close(got, want), "slot {slot}: {got}, not {want}");
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read_the_one_way_they_are_written(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(0x80), Just(0xff), any::<u8>()], 0..80),
            waiting in 0u64..80, slot: u64,
        ) {
            let mut sized = vec![0];
            put_varint(&mut sized, waiting);
            sized.extend(&bytes);
            for bytes in [bytes, sized] {
                if let Ok(sketch) = Sketch::decode(&bytes) {
                    prop_assert_eq!(sketch.encode(), bytes);
                    sketch.position(Slot(slot));
                }
            }
        }

        #[test]
        fn positions_never_fall_from_slot_to_slot(
            gaps in prop::collection::vec(0u64..50, 2000), from in 0u64..100_000,
        ) {
            let mut bytes = vec![0];
            put_varint(&mut bytes, 5000);
            for gap in gaps { put_varint(&mut bytes, gap); }
            let count = { let (mut n, mut at) = (0, 0); while at < 5001 { at = next_rank(at).min(5001); n += 1; } n };
            let sketch = Sketch::decode(&bytes[..3 + count]).unwrap();
            for slot in from..from + 300 {
                prop_assert!(sketch.position(Slot(slot)) <= sketch.position(Slot(slot + 1)));
            }
        }
    }

    #[test]
    fn hostile_bytes_are_named() {
        for (bytes, want) in [
            (&[][..], BadSketch::Truncated),
            (&[0x80], BadSketch::Truncated),
            (&[5, 3, 0, 0, 0], BadSketch::Truncated),
            (&[5, 0, 0, 0], BadSketch::Trailing),
            (&[0x80, 0, 0, 0], BadSketch::Overlong),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], BadSketch::Overflow),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1], BadSketch::Overflow),
            // Everybody who could ever be numbered waits; a slot past the last number.
            (&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], BadSketch::Overflow),
            (&[0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0], BadSketch::Truncated),
            (&[1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], BadSketch::Overflow),
        ] {
            assert_eq!(Sketch::decode(bytes), Err(want), "{bytes:?}");
        }
        let read = |text: &str| serde_json::from_str::<Sketch>(text).map_err(|error| std::format!("{error}"));
        assert!(read("\"BQAA=\"").unwrap_err().contains("base64url"));
        assert!(read("7").is_err());
    }

    #[test]
    fn the_format_is_pinned() {
        // Base 64, slots 67 and 68 gone, 65 called, 70 issued: 66, 69 and 70 wait, and 71 comes next.
        let mut bits = Bitmap::new();
        bits.set_range(2, 4);
        let sketch = Sketch::build(&bits, &Rank::build(&bits), 64, Slot(65), Slot(70));
        assert_eq!(sketch.encode(), [65, 3, 0, 2, 0, 0]);
        assert_eq!(serde_json::to_string(&sketch).unwrap(), "\"QQMAAgAA\"");
        assert_eq!(serde_json::from_str::<Sketch>("\"QQMAAgAA\"").unwrap(), sketch);
        let empty = Sketch::build(&Bitmap::new(), &Rank::default(), 0, Slot(0), Slot(0));
        assert_eq!((empty.encode(), empty.position(Slot(1))), (vec![0, 0, 0], Position(1)));
    }

    #[test]
    fn a_million_places_fit_two_kilobytes_and_ten_million_three() {
        for (n, milestones, size) in [(1_000_000, 1_330, 1_850), (10_000_000, 1_640, 2_700)] {
            let bits = clumped(n, 30);
            let sketch = Sketch::build(&bits, &Rank::build(&bits), 0, Slot(0), Slot(n));
            let mut worst = 0.0_f64;
            let mut live = 0;
            for slot in 1..=n {
                let (got, want) = (sketch.position(Slot(slot)).0, live + 1);
                assert!(close(got, want), "slot {slot}: {got}, not {want}");
                worst = worst.max(got.abs_diff(want) as f64 / want as f64);
                live += u64::from(!bits.get(slot - 1));
            }
            let bytes = sketch.encode().len();
            eprintln!(
                "{n} places, {live} live: {} milestones, {bytes} bytes, worst error {:.2} %",
                sketch.milestones.len(),
                worst * 100.0
            );
            assert!(sketch.milestones.len() <= milestones && bytes <= size && worst < 0.008);
        }
    }
}
