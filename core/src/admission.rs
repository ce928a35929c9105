//! How admission is decided: from the numbers of a line and the settings of its room to the next step.
//!
//! The rate bucket counts in 1/60,000 of a call, so that one millisecond at one call per minute is exactly one unit and nothing is
//! ever rounded: `level(now) = min(burst, level + rate * (now - level_at) + refunds)`. Over any stretch of `t` ms it lets through
//! at most `burst + rate * t / 60,000` calls, not counting those given back.
//!
//! Decisions hold because what they count on cannot change under them: windows and sessions that [`Line::settle`] has closed
//! stay closed, entering turns a ready slot into an active one, leaving only frees, time given back after an outage keeps
//! open what is open and opens nothing, and only a [`Call`] on the same version adds.
//!
//! [`Line::settle`]: crate::line::Line::settle

use crate::line::{Call, EPOCHS_PER_TTL, Facts, JoinLimits, JoinMark, Wave};
use crate::settings::{Feedback, Mode, Release, Settings};
use crate::units::{Millis, Slot};
use alloc::collections::VecDeque;

/// Units of the rate bucket per call.
pub const LEVEL_PER_CALL: u64 = 60_000;
/// Slots kept behind the cursor, so that late questions about them are answered.
const KEEP_BEHIND: u64 = 65_536;
/// Slots forgotten at once at the least.
const TRIM_STEP: u64 = 65_536;
/// Most join marks of a line: what their spacing follows from.
const MARKS: u64 = 65_536;
/// Least spacing of join marks in milliseconds.
const MARK_MS: u64 = 250;
/// Least time an idempotent repeat of a join is recognised, milliseconds.
const IDEM_MS: u64 = 600_000;

/// How late a wave may be, at most a quarter of the interval, without the next one waiting for it: a tick's lateness.
const WAVE_GRACE_MS: u64 = 1_000;

/// What to do next with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Turn this epoch, then look again.
    TurnEpoch(u64),
    /// Forget the slots up to here, then look again.
    Trim(u64),
    /// Carry this out.
    Call(Call),
    /// Nothing until time passes or somebody comes.
    Idle,
}

/// Whether somebody may join now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Yes.
    Open,
    /// Not before `opens_at`.
    NotYet {
        /// When joins open.
        opens_at: Millis,
    },
    /// Not any more.
    Closed,
    /// The room turns everybody away.
    Full,
}

/// Whether the settings let somebody join at `now`.
pub fn door(settings: &Settings, now: Millis) -> Door {
    let schedule = &settings.schedule;
    if settings.mode == Mode::Reject {
        return Door::Full;
    }
    if let Some(opens_at) = schedule.joins_open.filter(|opens_at| now < *opens_at) {
        return Door::NotYet { opens_at };
    }
    if schedule.closes.is_some_and(|closes| now >= closes) {
        return Door::Closed;
    }
    Door::Open
}

/// What a batch of joins is limited by.
pub fn join_limits(settings: &Settings) -> JoinLimits {
    JoinLimits {
        places_per_user: u64::from(settings.places_per_user),
        idem_ttl_ms: settings.max_wait_ms().max(IDEM_MS),
        mark_every_ms: mark_every_ms(settings),
    }
}

/// Spacing of join marks: fine enough for `min_wait`, coarse enough that a line never has more than 65,536 and some.
fn mark_every_ms(settings: &Settings) -> u64 {
    MARK_MS.max(settings.max_wait_ms() / MARKS)
}

/// Calls per minute of the rate bucket now: the settings' rate, or where the feedback loop stands within its bounds.
pub fn rate(facts: &Facts, settings: &Settings) -> u64 {
    match settings.feedback {
        None => u64::from(settings.admit_per_minute),
        Some(feedback) => {
            let rate = if facts.rate == 0 { u64::from(settings.admit_per_minute) } else { facts.rate };
            rate.clamp(u64::from(feedback.min_per_minute), u64::from(feedback.max_per_minute))
        }
    }
}

/// What the rate bucket holds at `facts.now`, refunds included, in 1/60,000 of a call.
pub fn level(facts: &Facts, settings: &Settings) -> u64 {
    let most = u64::from(settings.burst) * LEVEL_PER_CALL;
    let gained = facts.now.since(facts.level_at).saturating_mul(rate(facts, settings));
    let refund = facts.refund.saturating_mul(LEVEL_PER_CALL);
    facts.level.saturating_add(gained).saturating_add(refund).min(most)
}

/// Free places inside: capacity less the active and the ready.
pub fn free(facts: &Facts, settings: &Settings) -> u64 {
    settings.capacity.map_or(u64::MAX, |capacity| u64::from(capacity).saturating_sub(facts.active + facts.ready))
}

/// Since when people can be called at all: the opening, or the birth of the line.
pub fn open_since(facts: &Facts, settings: &Settings) -> Millis {
    settings.schedule.opens.unwrap_or(facts.born_at).max(facts.born_at)
}

/// Whether anybody is called at `facts.now`.
pub fn calls_anybody(facts: &Facts, settings: &Settings) -> bool {
    matches!(settings.mode, Mode::Line | Mode::Passthrough) && facts.now >= open_since(facts, settings)
}

/// When the next wave is due, in a room with wave release.
pub fn next_wave_at(facts: &Facts, every_sec: u32) -> Millis {
    if facts.wave_at == Millis(0) { facts.now } else { facts.wave_at.plus(u64::from(every_sec) * 1000) }
}

/// Whether somebody who joins an empty line at `now` could be called at once, as far as `facts` of a little earlier tell. Only a hint:
/// the decision is [`next_step`]'s.
pub fn may_call(facts: &Facts, settings: &Settings, now: Millis) -> bool {
    let facts = Facts { now: facts.now.max(now), ..facts.clone() };
    calls_anybody(&facts, settings)
        && match (settings.mode, settings.release) {
            (Mode::Passthrough, _) => true,
            _ if free(&facts, settings) == 0 => false,
            (_, Release::Steady) => level(&facts, settings) >= LEVEL_PER_CALL,
            (_, Release::Waves { every_sec, .. }) => facts.now >= next_wave_at(&facts, every_sec),
        }
}

/// Least time between two ticks, milliseconds.
const TICK_LEAST_MS: u64 = 10;

/// Milliseconds until the next tick of a room that ticks every `tick_ms` at the latest: sooner where the bucket would be full before
/// then, or what flows into a full one would be lost.
pub fn tick_after_ms(facts: &Facts, settings: &Settings, tick_ms: u64) -> u64 {
    if facts.waiting == 0 || settings.release != Release::Steady || !calls_anybody(facts, settings) {
        return tick_ms;
    }
    let half_full = u64::from(settings.burst) * LEVEL_PER_CALL / 2 / rate(facts, settings).max(1);
    half_full.clamp(TICK_LEAST_MS.min(tick_ms), tick_ms)
}

/// The next step for a line just settled; `joins` and `waves` are its own. O(log joins + young joins).
pub fn next_step(facts: &Facts, joins: &VecDeque<JoinMark>, waves: &VecDeque<Wave>, settings: &Settings) -> Step {
    if facts.now >= facts.epoch_at.plus(settings.heartbeat_ms() / EPOCHS_PER_TTL) {
        return Step::TurnEpoch(facts.epoch);
    }
    let floor = waves.front().map_or(facts.serving, |wave| wave.from.0 - 1);
    if floor >= facts.base + KEEP_BEHIND + TRIM_STEP {
        return Step::Trim((floor - KEEP_BEHIND) / 64 * 64);
    }
    let mut call = hold(facts, joins, settings);
    let mut wanted = call.lapse_to.0 > facts.serving;
    if calls_anybody(facts, settings) && facts.waiting > 0 {
        match (settings.mode, settings.release) {
            (Mode::Passthrough, _) => {
                call.count = facts.waiting;
                call.limit = Slot(facts.issued);
            }
            (_, Release::Steady) => {
                let level = level(facts, settings);
                call.limit = eligible(facts, joins, settings);
                call.count = (level / LEVEL_PER_CALL).min(free(facts, settings)).min(facts.waiting);
                if call.limit.0 <= facts.serving {
                    call.count = 0;
                }
                if call.count > 0 {
                    call.level = level;
                    call.cost = LEVEL_PER_CALL;
                    call.level_at = facts.now;
                    call.refund = facts.refund;
                }
            }
            (_, Release::Waves { size, every_sec }) => {
                let due = next_wave_at(facts, every_sec);
                call.limit = eligible(facts, joins, settings);
                if facts.now >= due && call.limit.0 > facts.serving {
                    // A wave holds at most as many turns given back as its own; the others wait for the next.
                    let size = u64::from(size);
                    call.refund = facts.refund.min(size);
                    call.count = (size + call.refund).min(free(facts, settings));
                    // The lateness of a tick is not added up; but a wave that was due a while ago (nobody waited) does
                    // not pull the next one forward.
                    let late = facts.now.since(due) > WAVE_GRACE_MS.min(u64::from(every_sec) * 1000 / 4);
                    call.wave_at = if late { facts.now } else { due };
                    wanted = true;
                }
            }
        }
    }
    if wanted || call.count > 0 { Step::Call(call) } else { Step::Idle }
}

/// The call that an operator asks for: `count` people now, capacity still a bound, the rate bucket untouched.
pub fn by_hand(facts: &Facts, joins: &VecDeque<JoinMark>, settings: &Settings, count: u64) -> Call {
    let mut call = hold(facts, joins, settings);
    call.count = count.min(free(facts, settings));
    call.limit = Slot(facts.issued);
    call
}

/// The call that moves the rate to where the feedback loop wants it, and calls nobody.
pub fn set_rate(facts: &Facts, joins: &VecDeque<JoinMark>, settings: &Settings, rate: u64) -> Call {
    let mut call = hold(facts, joins, settings);
    call.level = level(facts, settings);
    call.level_at = facts.now;
    call.refund = facts.refund;
    call.rate = rate;
    call
}

/// One step of the feedback loop on a report of the protected site: cut by 30 % when it is slower or fails more than it should,
/// raised by 5 % (at least 1) when it is clearly below both bounds, kept between 80 % and 100 % of them. Calls per minute.
pub fn regulated(feedback: &Feedback, rate: u64, p95_ms: f64, error_rate: f64) -> u64 {
    let load = (p95_ms / f64::from(feedback.p95_ms)).max(error_rate / feedback.error_rate.max(f64::EPSILON));
    let rate = match load {
        load if load > 1.0 => rate * 7 / 10,
        load if load < 0.8 => rate + (rate / 20).max(1),
        _ => rate,
    };
    rate.clamp(u64::from(feedback.min_per_minute), u64::from(feedback.max_per_minute))
}

/// The call that only lets the lapsed pass, if there are any.
fn hold(facts: &Facts, joins: &VecDeque<JoinMark>, settings: &Settings) -> Call {
    Call {
        version: facts.version,
        now: facts.now,
        lapse_to: lapsed(facts, joins, settings),
        count: 0,
        limit: Slot(facts.serving),
        until: facts.now.plus(settings.claim_ms()),
        level: facts.level,
        level_at: facts.level_at,
        cost: 0,
        refund: 0,
        wave_at: facts.wave_at,
        rate: facts.rate,
        marks_from: joins.get(mark_of(joins, facts.serving + 1)).map_or(Millis(0), |mark| mark.at),
    }
}

/// Index of the mark that `ticket` was joined under. O(log joins).
fn mark_of(joins: &VecDeque<JoinMark>, ticket: u64) -> usize {
    joins.partition_point(|mark| mark.issued < ticket).saturating_sub(1)
}

/// When `ticket` was joined, to within the spacing of the marks; `None` when that is forgotten. O(log joins).
pub fn joined_at(joins: &VecDeque<JoinMark>, ticket: u64) -> Option<Millis> {
    joins.get(mark_of(joins, ticket)).filter(|mark| mark.issued < ticket).map(|mark| mark.at)
}

/// The highest slot whose whole mark is older than `max_wait_min`, counted from the opening for those who came before it.
fn lapsed(facts: &Facts, joins: &VecDeque<JoinMark>, settings: &Settings) -> Slot {
    let old = facts.now.minus(settings.max_wait_ms() + mark_every_ms(settings));
    if settings.schedule.opens.is_some_and(|opens| old < opens) {
        return Slot(0);
    }
    let aged = joins.partition_point(|mark| mark.at <= old);
    match (aged, joins.get(aged)) {
        (0, _) => Slot(0),
        (_, Some(next)) => Slot(next.issued),
        (_, None) => Slot(facts.issued),
    }
}

/// The highest slot such that it and all before it have waited as long as `min_wait` asks at their position at join.
///
/// Joined under a mark means at most the spacing after it, at a position of at most `mark.waiting + slot - mark.issued`.
fn eligible(facts: &Facts, joins: &VecDeque<JoinMark>, settings: &Settings) -> Slot {
    let longest = settings.min_wait.iter().map(|step| u64::from(step.sec) * 1000).max().unwrap_or(0);
    if longest == 0 {
        return Slot(facts.issued);
    }
    let spacing = mark_every_ms(settings);
    let young = joins.partition_point(|mark| facts.now.since(mark.at) >= longest + spacing);
    for at in young.max(mark_of(joins, facts.serving + 1))..joins.len() {
        let mark = joins[at];
        let end = joins.get(at + 1).map_or(facts.issued, |next| next.issued);
        let waited = facts.now.since(mark.at).saturating_sub(spacing);
        let mut low = 0;
        for step in &settings.min_wait {
            let high = step.up_to.unwrap_or(u64::MAX);
            // Positions low + 1 ..= high of this step are the slots first ..= last of this mark.
            let first = (mark.issued + 1).max((mark.issued + low + 1).saturating_sub(mark.waiting));
            let last = end.min(mark.issued.saturating_add(high).saturating_sub(mark.waiting));
            if step.sec > 0 && first <= last && last > facts.serving && waited < u64::from(step.sec) * 1000 {
                return Slot(first - 1);
            }
            low = high;
        }
    }
    Slot(facts.issued)
}

#[cfg(test)]
mod tests;
