//! A room's numbers as metrics. They are the line's own, so every origin of a store shows the same: take the greatest, not the sum.

use super::Replica;
use crate::metrics::RoomMetrics;
use anteroom_core::admission;
use anteroom_core::line::Facts;
use std::time::Duration;

/// Most waits observed at one tick.
const SAMPLES: u64 = 64;

pub struct Gauges {
    metrics: RoomMetrics,
    /// What was shown last.
    shown: Option<Facts>,
}

impl Gauges {
    pub fn new(metrics: RoomMetrics) -> Self {
        Self { metrics, shown: None }
    }

    /// Shows what the replica knows now.
    pub fn show(&mut self, replica: &Replica) {
        let (facts, metrics) = (&replica.facts, &self.metrics);
        metrics.waiting.set(facts.waiting as i64);
        metrics.active.set(facts.active as i64);
        metrics.ready.set(facts.ready as i64);
        metrics.board_age.set(0.0);
        if let Some(ratio) = replica.track.error_ratio() {
            metrics.eta_error_ratio.set(ratio);
        }
        let before = self.shown.as_ref().filter(|before| before.generation == facts.generation);
        if before.is_none_or(|before| before.bits != facts.bits || before.serving != facts.serving) {
            metrics.silent.set(replica.silent() as i64);
        }
        if let Some(before) = before {
            metrics.called.inc_by(facts.called_total.saturating_sub(before.called_total));
            metrics.missed.inc_by(facts.missed_total.saturating_sub(before.missed_total));
            if facts.called_total > before.called_total {
                let step = (facts.serving - before.serving).div_ceil(SAMPLES).max(1);
                for slot in (before.serving + 1..=facts.serving).step_by(step as usize) {
                    if let Some(joined) = admission::joined_at(&replica.joins, slot) {
                        metrics.wait.observe(Duration::from_millis(facts.now.since(joined)));
                    }
                }
            }
        } else {
            metrics.called.inc_by(facts.called_total);
            metrics.missed.inc_by(facts.missed_total);
        }
        self.shown = Some(facts.clone());
    }

    /// Shows how old the board is while the store is away.
    pub fn age(&self, age: Duration) {
        self.metrics.board_age.set(age.as_secs_f64());
    }
}
