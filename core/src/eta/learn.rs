//! What the window teaches about speed, losses and how steady both are.

use super::{Capacity, Course, Full, Observed, Pace, Steady, Supply};
use crate::units::Millis;
use crate::window::{Flow, STRETCH_MS, STRETCHES, Window};
use alloc::vec::Vec;

/// Calls that the settings' rate counts for against what was seen: fades within seconds in a line that moves.
const PRIOR_CALLS: f64 = 3.0;
/// The same in seconds of the rate.
const PRIOR_SECS: f64 = 5.0;
/// Seconds that each person waiting is assumed to have stayed beyond what was seen: a first leaver is no trend.
const PRIOR_STAY: f64 = 60.0;
/// How many people coming out the belief counts for that everybody stays for the length of a session: little, for most
/// are done long before.
const PRIOR_OUT: f64 = 0.5;
/// Most that missed turns are believed to add to the rate.
const MOST_REFUNDED: f64 = 1.25;
/// Most relative standard deviation of a speed: what is known before anything was seen.
const PRIOR_DOUBT: f64 = 0.4;
/// Variance of the logarithm of the factor by which a rate changes: somewhere between a half and twice, `(2 ln 2)^2 /
/// 12`.
const CHANGE: f64 = 0.16;
/// Seconds between changes that are thought usual.
const USUAL_SECS: f64 = 600.0;
/// Seconds that the changes seen in a window are spread over: more than the window, for most of them are not the first
/// of many.
const MOVED_SECS: f64 = 900.0;
/// Stretches per block between which speeds are compared.
const BLOCK: usize = 6;

/// Calls over the seconds in which somebody waited.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    calls: f64,
    secs: f64,
    /// Seconds of the stretch in which calling was possible.
    possible: f64,
}

impl Seen {
    fn plus(self, other: Seen) -> Seen {
        Seen { calls: self.calls + other.calls, secs: self.secs + other.secs, possible: self.possible + other.possible }
    }

    /// Whether somebody waited all the time, give or take a tick or two. Otherwise the line was emptied, and could have
    /// moved faster.
    fn busy(&self) -> bool {
        self.possible - self.secs < 1.1
    }

    /// Whether this is a whole stretch, and busy.
    fn whole(&self) -> bool {
        self.busy() && self.possible * 1000.0 >= STRETCH_MS as f64
    }
}

pub(super) fn pace(seen: &Observed, window: &Window) -> Pace {
    let stretches = newest_first(window, seen.now);
    let group = if let Supply::Waves { size, .. } = seen.supply { size as f64 } else { 1.0 };
    let course = match seen.supply {
        Supply::Stopped | Supply::Steady { per_minute: 0, .. } | Supply::Waves { size: 0, .. } => Course::Stopped,
        Supply::Instant => Course::Instant,
        Supply::Steady { per_minute, ready_now } => {
            steady(seen, &stretches, per_minute as f64 / 60.0, ready_now.max(0.0))
        }
        Supply::Waves { size, every_ms, next_at } => {
            let size = waves(seen, &stretches, size as f64, every_ms.max(1) as f64 / 1000.0);
            Course::Waves { size: tidy(size), every: every_ms.max(1), next: next_at }
        }
    };
    Pace { at: seen.now, course, loss: tidy(loss(seen, &stretches)), drift: tidy(drift(seen, &stretches, group)) }
}

/// Flows by age in stretches, the present one first; those outside the window are empty.
fn newest_first(window: &Window, now: Millis) -> [Flow; STRETCHES] {
    let mut flows = [Flow::default(); STRETCHES];
    let present = now.0 / STRETCH_MS;
    for (stretch, flow) in window.recent(now) {
        flows[(present - stretch) as usize % STRETCHES] = flow;
    }
    flows
}

/// What was seen by stretch, newest first, from `start` on. People who waited before calling was possible say nothing
/// of its speed.
fn speeds(now: Millis, stretches: &[Flow; STRETCHES], start: Millis) -> Vec<Seen> {
    let present = now.0 / STRETCH_MS;
    let begins = |age: usize| Millis(present.saturating_sub(age as u64) * STRETCH_MS);
    stretches
        .iter()
        .enumerate()
        .take_while(|(age, _)| *age == 0 || begins(*age - 1) > start)
        .map(|(age, flow)| {
            let end = if age == 0 { now } else { begins(age - 1) };
            let possible = end.since(begins(age).max(start));
            let secs = flow.busy_ms.min(possible) as f64 / 1000.0;
            Seen { calls: flow.calls as f64, secs, possible: possible as f64 / 1000.0 }
        })
        .collect()
}

/// The speed of late, from windows of 1, 2, 4 … 32 stretches: the longest window that agrees with every shorter one, so
/// that a steady line is averaged over five minutes and a change is followed within one (Lepski's method). `noise` is
/// the variance of a count over its mean.
fn lately(speeds: &[Seen], noise: f64) -> Seen {
    let mut sum = Seen::default();
    let mut best = Seen::default();
    let (mut low, mut high) = (0.0_f64, f64::INFINITY);
    for (age, seen) in speeds.iter().enumerate() {
        sum = sum.plus(*seen);
        let last = age + 1 == speeds.len();
        if sum.secs <= 0.0 || !(age.is_power_of_two() || last) {
            continue;
        }
        let speed = sum.calls / sum.secs;
        if speed < low || speed > high {
            break;
        }
        best = sum;
        let reach = 2.0 * libm::sqrt(noise * sum.calls + 1.0) / sum.secs;
        (low, high) = (low.max(speed - reach), high.min(speed + reach));
    }
    best
}

/// Calls per second, from what was seen and a belief that counts for so many `calls`.
fn weigh(seen: Seen, belief: f64, calls: f64) -> f64 {
    (seen.calls + calls) / (seen.secs + calls / belief.max(1e-9))
}

/// How much faster than the settings' `rate` the line moves because missed turns are given back: at least 1. Calls come
/// in groups of `group`.
///
/// Only stretches count during which, and during the one before which, somebody waited all the time, so that nothing
/// saved up in a quiet minute or before the opening is taken for the rule.
fn refunds(speeds: &[Seen], rate: f64, group: f64) -> f64 {
    let sum = speeds
        .windows(2)
        .skip(1)
        .filter(|pair| pair.iter().all(Seen::whole))
        .fold(Seen::default(), |sum, pair| sum.plus(pair[0]));
    (sum.calls / (rate * sum.secs + group)).clamp(1.0, MOST_REFUNDED)
}

fn steady(seen: &Observed, stretches: &[Flow; STRETCHES], rate: f64, ready: f64) -> Course {
    let speeds = speeds(seen.now, stretches, seen.supply_since.max(seen.since));
    let most = rate * refunds(&speeds, rate, 1.0);
    if let Some(capacity) = seen.capacity {
        let full = full(seen, stretches, most, capacity);
        return Course::Steady(Steady { ready: tidy(ready.min(capacity.free as f64)), rate: tidy(most), full });
    }
    let busy: Vec<Seen> = speeds.into_iter().filter(Seen::busy).collect();
    let mut of_late = lately(&busy, 0.0);
    // What is in the bucket has flowed into it as well.
    of_late.calls += ready;
    let rate = weigh(of_late, rate, PRIOR_CALLS.max(PRIOR_SECS * rate)).min(most);
    Course::Steady(Steady { ready: tidy(ready), rate: tidy(rate), full: None })
}

/// When the room is full and how fast the line moves then; `None` when it will not be. Places inside come free at
/// `limit / stay`.
fn full(seen: &Observed, stretches: &[Flow; STRETCHES], rate: f64, capacity: Capacity) -> Option<Full> {
    let limit = capacity.limit.max(1) as f64;
    let inside = limit - capacity.free as f64;
    let stay = stay(seen, stretches, capacity);
    let full = |after: f64| Full {
        after: tidy(after),
        speed: tidy((limit / stay.secs).min(rate)),
        doubt: tidy(libm::sqrt(1.0 / (stay.seen + 1.0)).min(PRIOR_DOUBT)),
        noise: tidy(stay.noise),
    };
    if capacity.free == 0 {
        return Some(full(0.0));
    }
    // Places come free while it fills, few at first.
    let freed = (inside + limit) / 2.0 / stay.secs;
    (freed < rate).then(|| full(capacity.free as f64 * rate / (rate - freed)))
}

/// How long people stay inside on average, from how many who came out that is known, and the variance of a number
/// coming out over its mean: 1 where everybody goes at a time of their own, more where those who came in together go
/// together.
struct Stay {
    secs: f64,
    seen: f64,
    noise: f64,
}

/// While the window reaches back to the opening, those who came out are those called who are not inside, and the stay
/// is the time spent inside by everybody over their number. Later, those who came out of a full room are those called;
/// and in a room that has not filled up within the length of a session, people inside over calls per second is the stay
/// (Little's law).
fn stay(seen: &Observed, stretches: &[Flow; STRETCHES], capacity: Capacity) -> Stay {
    let inside = capacity.limit.saturating_sub(capacity.free) as f64;
    let session = capacity.session_ms.max(1) as f64 / 1000.0;
    let age = seen.now.since(seen.since);
    let settled = (age as f64 / 1000.0 / session).min(1.0);
    // Nobody stays longer than a session that is not renewed; and before its length has passed, long stays are not yet
    // seen at all.
    let most = if capacity.renews && settled == 1.0 { f64::INFINITY } else { session };
    let speeds = speeds(seen.now, stretches, seen.since);
    if age < (STRETCHES as u64 - 1) * STRETCH_MS {
        let (mut called, mut spent) = (0.0, 0.0);
        for seen in speeds.iter().rev() {
            spent += (called + seen.calls / 2.0_f64).min(inside) * seen.secs;
            called += seen.calls;
        }
        let out = (called - inside).max(0.0);
        let secs = (spent + PRIOR_OUT * session) / (out + PRIOR_OUT);
        return Stay { secs: secs.min(most), seen: out, noise: 1.0 };
    }
    let noise = noise(&speeds);
    let of_late = lately(&speeds, noise);
    let weight = if capacity.free == 0 { 1.0 } else { settled } / noise;
    let counted = Seen { calls: of_late.calls * weight, secs: of_late.secs * weight, ..of_late };
    let secs = inside.max(1.0) / weigh(counted, inside.max(1.0) / session, PRIOR_OUT);
    Stay { secs: secs.min(most), seen: counted.calls, noise }
}

/// The variance of calls per stretch over their mean, from 1 to 100.
fn noise(speeds: &[Seen]) -> f64 {
    let whole: Vec<f64> = speeds.iter().skip(1).filter(|seen| seen.whole()).map(|seen| seen.calls).collect();
    let count = whole.len() as f64;
    let mean = whole.iter().sum::<f64>() / count.max(1.0);
    let variance = whole.iter().map(|calls| (calls - mean) * (calls - mean)).sum::<f64>() / (count - 1.0).max(1.0);
    (variance / mean.max(1e-3)).clamp(1.0, 100.0)
}

/// People per wave: what the settings allow and missed turns give back, but where the room is full, those that lately
/// got in.
fn waves(seen: &Observed, stretches: &[Flow; STRETCHES], size: f64, every: f64) -> f64 {
    let full = seen.capacity.is_some_and(|capacity| (capacity.free as f64) < size);
    let start = if full { seen.since } else { seen.supply_since.max(seen.since) };
    let speeds = speeds(seen.now, stretches, start);
    let most = size * refunds(&speeds, size / every, size);
    if full {
        let sum = speeds.into_iter().fold(Seen::default(), Seen::plus);
        return most.min(weigh(sum, size / every, size) * every);
    }
    most
}

/// Losses per person and second.
fn loss(seen: &Observed, stretches: &[Flow; STRETCHES]) -> f64 {
    let lost: f64 = stretches.iter().map(|flow| flow.losses as f64).sum();
    let waited: f64 = stretches.iter().map(|flow| flow.waited_ms as f64 / 1000.0).sum();
    lost / (waited + PRIOR_STAY * (seen.waiting as f64 + 1.0))
}

/// Variance of log speed that is added per second of wait.
///
/// A rate that changes `hazard` times a second, each time by a factor whose logarithm has the variance `CHANGE`, is off
/// by `CHANGE * hazard * T` after `T` seconds, and its mean over those by a third of that. The hazard is read off the
/// time since the supply last changed. What moves by itself (people inside who stay longer or shorter) shows as squared
/// changes from minute to minute beyond what chance explains. Calls come in groups of `group`.
fn drift(seen: &Observed, stretches: &[Flow; STRETCHES], group: f64) -> f64 {
    let changes = if seen.supply_since > seen.since { 2.0 } else { 1.0 };
    let quiet = seen.now.since(seen.supply_since.max(seen.since)) as f64 / 1000.0;
    let speeds = speeds(seen.now, stretches, seen.since);
    let blocks: Vec<Seen> = speeds
        .chunks(BLOCK)
        .map(|block| block.iter().copied().fold(Seen::default(), Seen::plus))
        .filter(|block| block.secs > 20.0)
        .collect();
    let mut moved = 0.0;
    for pair in blocks.windows(2) {
        let [new, old] = [pair[0], pair[1]].map(|block| block.calls.max(1.0));
        let step = libm::log(new / old * pair[1].secs / pair[0].secs);
        moved += (step * step - 2.0 * group * (1.0 / new + 1.0 / old)).clamp(0.0, CHANGE);
    }
    CHANGE / 3.0 * (changes / (USUAL_SECS + quiet) + moved / CHANGE / MOVED_SECS)
}

/// Four significant digits, which is more than is known, and short on the wire.
fn tidy(x: f64) -> f64 {
    if !x.is_finite() || x <= 0.0 {
        return 0.0;
    }
    let scale = libm::pow(10.0, 3.0 - libm::floor(libm::log10(x)));
    let tidied = libm::round(x * scale) / scale;
    if tidied.is_finite() { tidied } else { x }
}
