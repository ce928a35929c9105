//! What a position costs: by the exact index, by the sketch, and to build both. Run with `cargo bench -p
//! anteroom-core`.

use anteroom_core::bitmap::Bitmap;
use anteroom_core::rank::Rank;
use anteroom_core::sketch::Sketch;
use anteroom_core::units::Slot;
use divan::{Bencher, black_box};

const PLACES: [u64; 2] = [1_000_000, 10_000_000];

fn main() {
    divan::main();
}

/// SplitMix64: the same line in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// A line of `places` with 30 % gone in clumps of up to 400.
fn line(places: u64) -> Bitmap {
    let (mut bits, mut dice, mut at) = (Bitmap::new(), Dice(1), 0);
    while at < places {
        let clump = 1 + dice.below(400);
        bits.set_range(at, (at + clump).min(places));
        at += clump + dice.below(934);
    }
    bits
}

#[divan::bench(args = PLACES)]
fn position_exact(bencher: Bencher<'_, '_>, places: u64) {
    let (bits, mut dice) = (line(places), Dice(2));
    let rank = Rank::build(&bits);
    let serving = 64;
    let before = rank.ones_below(&bits, serving);
    bencher
        .with_inputs(|| serving + 1 + dice.below(places - serving))
        .bench_local_values(|slot| slot - serving - (rank.ones_below(black_box(&bits), slot - 1) - before));
}

#[divan::bench(args = PLACES)]
fn position_from_sketch(bencher: Bencher<'_, '_>, places: u64) {
    let (bits, mut dice) = (line(places), Dice(3));
    let sketch = Sketch::build(&bits, &Rank::build(&bits), 0, Slot(0), Slot(places));
    bencher.with_inputs(|| Slot(1 + dice.below(places))).bench_local_values(|slot| black_box(&sketch).position(slot));
}

#[divan::bench(args = PLACES)]
fn build_rank(bencher: Bencher<'_, '_>, places: u64) {
    let bits = line(places);
    bencher.bench_local(|| Rank::build(black_box(&bits)));
}

#[divan::bench(args = PLACES)]
fn build_rank_and_sketch_and_encode(bencher: Bencher<'_, '_>, places: u64) {
    let bits = line(places);
    bencher.bench_local(|| {
        let rank = Rank::build(black_box(&bits));
        Sketch::build(&bits, &rank, 0, Slot(0), Slot(places)).encode()
    });
}

#[divan::bench(args = PLACES)]
fn decode_sketch(bencher: Bencher<'_, '_>, places: u64) {
    let bits = line(places);
    let bytes = Sketch::build(&bits, &Rank::build(&bits), 0, Slot(0), Slot(places)).encode();
    bencher.bench_local(|| Sketch::decode(black_box(&bytes)));
}
