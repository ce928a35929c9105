//! The promises of an honest line, checked against what people saw.
//!
//! Everything here is a pure function of the stories and the room's settings. Where something cannot be seen from outside (a
//! silent person's call, for example) the doubt goes to the server: a broken promise that is reported did happen.

use std::collections::BTreeMap;

use super::story::{Outcome, Story};
use crate::wire::{Release, Settings, Stats};

/// One promise, and whether it was kept.
#[derive(Debug, Clone)]
pub struct Check {
    /// The promise.
    pub promise: &'static str,
    /// Kept, broken, or not to be told.
    pub kept: Option<bool>,
    /// The figures behind it.
    pub detail: String,
}

/// A server says the times of calls in whole milliseconds.
pub const EXACT_MS: f64 = 1.0;
/// An edge takes neighbouring calls together where a board has no room for all of them: two of them are a tick apart, or less.
pub const EDGE_MS: f64 = 500.0;

/// Two people of whom the earlier ticket was called later.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inversions {
    /// Pairs in the wrong order.
    pub pairs: u64,
    /// All pairs.
    pub of: u64,
    /// The largest difference, in milliseconds.
    pub worst_ms: f64,
}

/// Counts pairs of tickets that were called in the wrong order. Exact, O(n log n).
pub fn inversions(called: &[(u64, f64)]) -> Inversions {
    let mut by_ticket = called.to_vec();
    by_ticket.sort_unstable_by_key(|&(ticket, _)| ticket);
    let mut latest = f64::NEG_INFINITY;
    let mut worst_ms = 0.0_f64;
    for &(_, at) in &by_ticket {
        worst_ms = worst_ms.max(latest - at);
        latest = latest.max(at);
    }
    let mut times: Vec<f64> = by_ticket.into_iter().map(|(_, at)| at).collect();
    let n = times.len() as u64;
    Inversions { pairs: sort_counting(&mut times), of: n * n.saturating_sub(1) / 2, worst_ms }
}

/// Merge sort that counts the pairs it had to turn round.
fn sort_counting(times: &mut [f64]) -> u64 {
    if times.len() < 2 {
        return 0;
    }
    let (left, right) = times.split_at_mut(times.len() / 2);
    let mut turned = sort_counting(left) + sort_counting(right);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if right[j] < left[i] {
            turned += (left.len() - i) as u64;
            merged.push(right[j]);
            j += 1;
        } else {
            merged.push(left[i]);
            i += 1;
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    times.copy_from_slice(&merged);
    turned
}

/// The most calls by which any window of time exceeded what the bucket allows: `burst` plus the rate times its length, plus one
/// for each turn that came back to the bucket before. Zero or less means the bound was kept.
///
/// `calls` and `refunds` are times in milliseconds. It is the bucket itself run backwards: how far below empty it would have gone.
pub fn rate_overshoot(calls: &[f64], refunds: &[f64], per_sec: f64, burst: f64) -> f64 {
    let mut events: Vec<(f64, bool)> = refunds.iter().map(|&at| (at, false)).collect();
    events.extend(calls.iter().map(|&at| (at, true)));
    // At equal times the turn comes back first.
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut level, mut credit, mut worst, mut last) = (0.0_f64, 0_u64, f64::NEG_INFINITY, f64::NAN);
    for (at, is_call) in events {
        if !last.is_nan() {
            level = (level - per_sec * (at - last) / 1e3).max(0.0);
        }
        last = at;
        if !is_call {
            credit += 1;
            continue;
        }
        level += 1.0;
        if level > burst && credit > 0 {
            level -= 1.0;
            credit -= 1;
        }
        worst = worst.max(level - burst);
    }
    worst
}

/// The largest number of intervals (from, to) that overlap at any time. One that ends when another begins does not overlap it.
pub fn most_at_once(stays: &[(f64, f64)]) -> u64 {
    let mut events: Vec<(f64, bool)> =
        stays.iter().filter(|(from, to)| to > from).flat_map(|&(from, to)| [(from, true), (to, false)]).collect();
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut inside, mut most) = (0_u64, 0);
    for (_, comes) in events {
        if comes {
            inside += 1;
            most = most.max(inside);
        } else {
            inside -= 1;
        }
    }
    most
}

/// When turns came back to the bucket, or may have: no-shows at the end of their window, leavers and silent people if the line had
/// passed them by then, judged by the nearest earlier ticket whose call was seen.
fn refunds(stories: &[Story], claim_ms: f64) -> Vec<f64> {
    let calls: BTreeMap<u64, f64> = stories.iter().filter_map(|s| Some((s.place?.ticket, s.called_at?))).collect();
    let passed_at = |ticket| calls.range(..ticket).next_back().map(|(_, &at)| at);
    let last_call = calls.values().copied().fold(f64::NEG_INFINITY, f64::max);
    stories
        .iter()
        .filter_map(|story| match story.outcome {
            Outcome::NoShow | Outcome::Missed => story.claim_expires_at,
            Outcome::Silent => Some(passed_at(story.place?.ticket)? + claim_ms).filter(|&at| at <= last_call),
            Outcome::Left => story.gone_at.filter(|&gone| {
                story.place.and_then(|place| passed_at(place.ticket)).is_some_and(|passed| passed <= gone)
            }),
            _ => None,
        })
        .collect()
}

/// Everything that is checked, in the order it is printed. `inside_peak` is the most the server itself reported inside or ready;
/// `grain_ms` says how exact the times of calls are.
pub fn checks(
    stories: &[Story],
    settings: Option<&Settings>,
    stats: Option<&Stats>,
    inside_peak: Option<u64>,
    grain_ms: f64,
) -> Vec<Check> {
    let mut checks =
        vec![everybody_done(stories), nobody_overtakes(stories, grain_ms), no_numbers_up(stories), once(stories)];
    checks.extend(settings.map(|settings| rate_kept(stories, settings, grain_ms)));
    checks.extend(settings.and_then(|settings| capacity_kept(stories, settings, inside_peak)));
    checks.extend([nobody_lost(stories), no_errors(stories)]);
    checks.extend(stats.map(|stats| counts_agree(stories, stats)));
    checks
}

fn everybody_done(stories: &[Story]) -> Check {
    let odd = stories.iter().filter(|s| matches!(s.outcome, Outcome::Broken(_) | Outcome::Unfinished)).count();
    let detail = format!("{odd} of {} without a proper end", stories.len());
    Check { promise: "everybody comes to an end", kept: Some(odd == 0), detail }
}

fn nobody_overtakes(stories: &[Story], grain_ms: f64) -> Check {
    let promise = "nobody overtakes";
    let called: Vec<_> = stories.iter().filter_map(|s| Some((s.place?.ticket, s.called_at?))).collect();
    let seen = stories.iter().filter(|s| s.kept_polling()).count();
    if called.is_empty() {
        return Check { promise, kept: None, detail: format!("{seen} saw a call, none with its time") };
    }
    let found = inversions(&called);
    let detail = format!(
        "{} of {} pairs inverted (worst by {:.0} ms), {} calls with their time of {seen} seen",
        found.pairs,
        found.of,
        found.worst_ms,
        called.len()
    );
    Check { promise, kept: Some(found.pairs == 0 || grain_ms > EXACT_MS && found.worst_ms <= grain_ms), detail }
}

fn no_numbers_up(stories: &[Story]) -> Check {
    let ups: u64 = stories.iter().map(|s| s.ups).sum();
    let people = stories.iter().filter(|s| s.ups > 0).count();
    let worst = stories.iter().filter_map(|s| s.worst_up).max_by_key(|(from, to)| to - from);
    let worst = worst.map(|(from, to)| format!(", worst {from} to {to}")).unwrap_or_default();
    let detail = format!("{ups} rises seen by {people} people{worst}");
    Check { promise: "no number goes up", kept: Some(ups == 0), detail }
}

fn once(stories: &[Story]) -> Check {
    let mut tickets = BTreeMap::<_, u64>::new();
    let mut passes = BTreeMap::<_, u64>::new();
    for story in stories {
        if let Some(place) = story.place {
            *tickets.entry(place).or_default() += 1;
        }
        for pass in &story.passes {
            *passes.entry(pass.as_str()).or_default() += 1;
        }
    }
    let shared = |counts: &mut dyn Iterator<Item = u64>| counts.filter(|&n| n > 1).count();
    let twice_issued = shared(&mut tickets.values().copied());
    let twice_passed = shared(&mut passes.values().copied());
    let several = stories.iter().filter(|s| s.passes.len() > 1).count();
    let extra: u64 = stories.iter().map(|s| s.extra_places).sum();
    let detail = format!(
        "{twice_issued} tickets issued twice, {extra} repeated joins with two places, {several} turns with two passes, \
         {twice_passed} passes given twice"
    );
    let kept = twice_issued == 0 && extra == 0 && several == 0 && twice_passed == 0;
    Check { promise: "once", kept: Some(kept), detail }
}

fn rate_kept(stories: &[Story], settings: &Settings, grain_ms: f64) -> Check {
    let promise = "never above the rate";
    let calls: Vec<f64> = stories.iter().filter_map(|s| s.called_at).collect();
    if calls.is_empty() {
        return Check { promise, kept: None, detail: "no call with its time seen".to_owned() };
    }
    let refunds = refunds(stories, settings.claim_sec * 1e3);
    let per_sec = settings.admit_per_minute / 60.0;
    let burst = match settings.release {
        Release::Steady => settings.burst,
        Release::Waves { size, .. } => settings.burst.max(size),
    };
    // Times are as fine as they are written: whole milliseconds, or whole seconds.
    let grain_ms = if calls.iter().all(|at| at % 1e3 == 0.0) { 1e3 } else { grain_ms };
    let over = rate_overshoot(&calls, &refunds, per_sec, burst);
    let span = (calls.iter().copied().fold(f64::MIN, f64::max) - calls.iter().copied().fold(f64::MAX, f64::min)) / 1e3;
    let detail = format!(
        "{} calls in {span:.1} s, {per_sec:.1}/s and {burst:.0} at once allowed, {} turns came back; worst window {}",
        calls.len(),
        refunds.len(),
        if over > 0.0 { format!("{over:.2} above") } else { format!("{:.2} below", over.abs()) }
    );
    Check { promise, kept: Some(over <= 0.01 + 2.0 * per_sec * grain_ms / 1e3), detail }
}

fn capacity_kept(stories: &[Story], settings: &Settings, inside_peak: Option<u64>) -> Option<Check> {
    let capacity = settings.capacity?;
    let stays: Vec<_> =
        stories.iter().filter_map(|s| Some((s.called_at?, s.gone_at.or(s.claim_expires_at)?))).collect();
    let seen = most_at_once(&stays);
    let told = inside_peak.map(|n| format!(", {n} by the server's own numbers")).unwrap_or_default();
    let kept = seen <= capacity && inside_peak.unwrap_or(0) <= capacity;
    let detail = format!("{capacity} allowed, {seen} ready or inside at once{told}");
    Some(Check { promise: "never above the capacity", kept: Some(kept), detail })
}

fn nobody_lost(stories: &[Story]) -> Check {
    let lost = stories.iter().filter(|s| s.outcome == Outcome::Missed).count();
    let detail = format!("{lost} polled as told and lost their place or turn");
    Check { promise: "who polls as told is not dropped", kept: Some(lost == 0), detail }
}

fn no_errors(stories: &[Story]) -> Check {
    let blamed: u64 = stories.iter().map(|s| s.blamed).sum();
    let all: u64 = stories.iter().flat_map(|s| s.faults.values()).sum();
    let detail = format!("{blamed} unexpected answers, {} tolerated", all - blamed.min(all));
    Check { promise: "no unexpected errors", kept: Some(blamed == 0), detail }
}

fn counts_agree(stories: &[Story], stats: &Stats) -> Check {
    let joined = stories.iter().filter(|s| s.place.is_some()).count() as u64;
    let entered = stories.iter().filter(|s| s.outcome == Outcome::Entered).count() as u64;
    let detail =
        format!("issued {} for {joined} joins, entered {} for {entered} entries", stats.issued, stats.entered_total);
    let kept = stats.issued == joined && stats.entered_total == entered;
    Check { promise: "the server counts the same", kept: Some(kept), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Place;

    #[test]
    fn inversions_are_counted_pair_by_pair() {
        let kept = [(1, 10.0), (2, 10.0), (3, 12.0)];
        assert_eq!(inversions(&kept), Inversions { pairs: 0, of: 3, worst_ms: 0.0 });
        let broken = [(3, 10.0), (1, 30.0), (2, 20.0)];
        assert_eq!(inversions(&broken), Inversions { pairs: 3, of: 3, worst_ms: 20.0 });
        assert_eq!(inversions(&[]).pairs, 0);
    }

    #[test]
    fn the_rate_bound_is_exact() {
        // Ten at once and ten a second: a burst of ten, then one each 100 ms, is right at the bound.
        let mut calls = vec![0.0; 10];
        calls.extend((1..=50).map(|i| f64::from(i) * 100.0));
        assert!(rate_overshoot(&calls, &[], 10.0, 10.0).abs() < 1e-9);
        calls.push(5000.0);
        assert!((rate_overshoot(&calls, &[], 10.0, 10.0) - 1.0).abs() < 1e-9);
        // A turn that came back before pays for it; one that comes back later does not.
        assert!(rate_overshoot(&calls, &[4000.0], 10.0, 10.0).abs() < 1e-9);
        assert!(rate_overshoot(&calls, &[6000.0], 10.0, 10.0) > 0.9);
    }

    #[test]
    fn a_short_window_inside_a_slow_run_is_found() {
        let mut calls: Vec<f64> = (0..20).map(|i| f64::from(i) * 1000.0).collect();
        calls.extend([10_010.0, 10_020.0, 10_030.0]);
        assert!(rate_overshoot(&calls, &[], 1.0, 2.0) > 1.9);
    }

    #[test]
    fn overlapping_stays() {
        assert_eq!(most_at_once(&[(0.0, 10.0), (10.0, 20.0), (5.0, 6.0)]), 2);
        assert_eq!(most_at_once(&[]), 0);
    }

    fn entered(ticket: u64, called_at: f64, pass: &str) -> Story {
        Story {
            outcome: Outcome::Entered,
            place: Some(Place { generation: 1, ticket }),
            called_at: Some(called_at),
            saw_call_at: Some(called_at),
            passes: vec![pass.to_owned()],
            ..Story::default()
        }
    }

    #[test]
    fn broken_promises_are_found() {
        let broken = |stories: &[Story]| -> Vec<_> {
            checks(stories, None, None, None, EXACT_MS)
                .into_iter()
                .filter(|c| c.kept == Some(false))
                .map(|c| c.promise)
                .collect()
        };
        assert!(broken(&[entered(1, 1.0, "a"), entered(2, 2.0, "b")]).is_empty());
        assert_eq!(broken(&[entered(1, 2.0, "a"), entered(2, 1.0, "b")]), ["nobody overtakes"]);
        assert_eq!(broken(&[entered(1, 1.0, "a"), entered(1, 1.0, "b")]), ["once"]);
        assert_eq!(broken(&[entered(1, 1.0, "a"), entered(2, 2.0, "a")]), ["once"]);
        assert_eq!(broken(&[Story::default()]), ["everybody comes to an end"]);
    }

    #[test]
    fn a_silent_person_behind_the_cursor_may_have_given_the_turn_back() {
        let silent = |ticket| Story {
            outcome: Outcome::Silent,
            place: Some(Place { generation: 1, ticket }),
            ..Story::default()
        };
        let stories = [entered(1, 0.0, "a"), silent(2), entered(3, 5000.0, "c"), silent(4)];
        assert_eq!(refunds(&stories, 1000.0), [1000.0]);
    }
}
