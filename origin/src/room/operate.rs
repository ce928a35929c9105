//! What operators do to a room, beside changing its settings: call by hand, sweep, reset, report, look.

use super::Room;
use crate::store::Stored;
use anteroom_core::admission;
use anteroom_core::line::{Call, Called};
use anteroom_core::settings::{Feedback, rfc3339};
use anteroom_core::units::{Generation, Millis};
use serde::Serialize;
use std::sync::atomic::Ordering;

/// Attempts at a decision while other origins are faster.
const ATTEMPTS: usize = 16;

/// Live numbers of a room.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    issued: u64,
    serving: u64,
    waiting: u64,
    silent: u64,
    ready: u64,
    active: u64,
    called_total: u64,
    entered_total: u64,
    missed_total: u64,
    left_total: u64,
    calls_per_minute: f64,
    /// Of those still waiting; null when nobody is.
    wait_p50_sec: Option<u64>,
    wait_p95_sec: Option<u64>,
    eta_error_ratio: Option<f64>,
    generation: Generation,
    as_of: String,
    stale: bool,
}

impl Room {
    /// Calls up to `count` people now, capacity still a bound; answers how many.
    pub async fn call_by_hand(&self, count: u64) -> Stored<Option<u64>> {
        self.decide(|replica| admission::by_hand(&replica.facts, &replica.joins, &replica.settings, count)).await
    }

    /// One step of the feedback loop; answers the rate it leads to.
    pub async fn regulate(&self, feedback: &Feedback, p95_ms: f64, error_rate: f64) -> Stored<Option<u64>> {
        let mut rate = 0;
        let done = self
            .decide(|replica| {
                let before = admission::rate(&replica.facts, &replica.settings);
                rate = admission::regulated(feedback, before, p95_ms, error_rate);
                admission::set_rate(&replica.facts, &replica.joins, &replica.settings, rate)
            })
            .await?;
        Ok(done.map(|_| rate))
    }

    /// Fills the bucket at the rate that has held until now, so that new settings do not work backwards.
    pub(super) async fn settle_rate(&self) -> Stored<()> {
        let settled = |replica: &super::Replica| {
            admission::set_rate(&replica.facts, &replica.joins, &replica.settings, replica.facts.rate)
        };
        self.decide(settled).await.map(drop)
    }

    /// Drops the silent now; answers how many.
    pub async fn sweep(&self) -> Stored<Option<u64>> {
        let mut replica = self.replica.lock().await;
        if !self.read(&mut replica, false).await? {
            return Ok(None);
        }
        self.merge_heartbeats(&replica).await?;
        let dropped = self.host.store.sweep(&self.event, self.host.clock.now()).await?;
        self.read(&mut replica, false).await?;
        Ok(dropped)
    }

    /// Starts the next generation.
    pub async fn reset(&self) -> Stored<Option<Generation>> {
        let mut replica = self.replica.lock().await;
        if !self.read(&mut replica, false).await? {
            return Ok(None);
        }
        let generation = self.host.store.reset(&self.event, self.host.clock.now()).await?;
        self.read(&mut replica, false).await?;
        Ok(generation)
    }

    /// The numbers as of now.
    pub async fn stats(&self) -> Stored<Stats> {
        // While the store is away, the numbers are those of the last reading, and say so.
        let stale = self.refresh().await.is_err();
        let replica = self.replica.lock().await;
        let facts = &replica.facts;
        let wait = |part: f64| {
            let rank = (facts.waiting as f64 * part).ceil().max(1.0) as u64;
            (facts.waiting > 0).then(|| replica.waited_ms(rank) / 1000)
        };
        let minute = replica.window.recent(facts.now).filter(|(stretch, _)| stretch * 10_000 + 60_000 > facts.now.0);
        let (calls, since) = minute.fold((0, facts.now), |(calls, since), (stretch, flow)| {
            (calls + flow.calls, since.min(Millis(stretch * 10_000)))
        });
        let seconds = (facts.now.since(since.max(facts.born_at)) as f64 / 1000.0).max(1.0);
        Ok(Stats {
            issued: facts.issued,
            serving: facts.serving,
            waiting: facts.waiting,
            silent: replica.silent(),
            ready: facts.ready,
            active: facts.active,
            called_total: facts.called_total,
            entered_total: facts.entered_total,
            missed_total: facts.missed_total,
            left_total: facts.left_total,
            calls_per_minute: (calls as f64 * 600.0 / seconds).round() / 10.0,
            // Who is at the head has waited longest.
            wait_p50_sec: wait(0.5),
            wait_p95_sec: wait(0.05),
            eta_error_ratio: replica.track.error_ratio(),
            generation: facts.generation,
            as_of: rfc3339(facts.now),
            stale,
        })
    }

    /// Decides on the newest numbers until the decision is carried out on them; answers how many it called.
    async fn decide(&self, mut decision: impl FnMut(&super::Replica) -> Call) -> Stored<Option<u64>> {
        let mut replica = self.replica.lock().await;
        for _ in 0..ATTEMPTS {
            if self.returned.swap(false, Ordering::Acquire) {
                self.merge_heartbeats(&replica).await?;
            }
            if !self.read(&mut replica, false).await? {
                return Ok(None);
            }
            match self.carry_out(&decision(&replica)).await? {
                Some(Called::Done { called, .. }) => {
                    self.read(&mut replica, false).await?;
                    return Ok(Some(called));
                }
                Some(Called::Stale { .. }) => {}
                None => return Ok(None),
            }
        }
        Err(crate::store::StoreError::Unavailable("other origins kept deciding faster".into()))
    }
}
