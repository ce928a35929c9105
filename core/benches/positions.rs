//! What a position and an estimate cost: by the exact index, by the sketch, and to build both. Run with `cargo bench -p
//! anteroom-core`.

use anteroom_core::bitmap::Bitmap;
use anteroom_core::eta::{Observed, Pace, Supply};
use anteroom_core::rank::Rank;
use anteroom_core::sketch::Sketch;
use anteroom_core::units::{Millis, Position, Slot};
use anteroom_core::window::Window;
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

/// A room that has called ten a second for five minutes.
fn watched() -> (Observed, Window) {
    let (since, now) = (Millis(1_800_000_000_000), Millis(1_800_000_300_000));
    let mut window = Window::default();
    for second in 0..300 {
        let flow = window.at(since.plus(second * 1000));
        (flow.calls, flow.busy_ms) = (flow.calls + 10, flow.busy_ms + 1000);
    }
    let supply = Supply::Steady { per_minute: 600, ready_now: 0.0 };
    (Observed { now, since, supply_since: since, waiting: 10_000, supply, capacity: None }, window)
}

#[divan::bench]
fn learn_pace(bencher: Bencher<'_, '_>) {
    let (seen, window) = watched();
    bencher.bench_local(|| Pace::learn(black_box(&seen), black_box(&window)));
}

#[divan::bench]
fn estimate(bencher: Bencher<'_, '_>) {
    let (seen, window) = watched();
    let pace = Pace::learn(&seen, &window);
    bencher.bench_local(|| black_box(&pace).estimate(black_box(Position(5000)), seen.now));
}
