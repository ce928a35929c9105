//! The tick: read what changed, let core decide, carry it out, publish what came of it.
//!
//! Any number of origins tick one room. A decision names the version it was made on, so one of them wins and the others look again.

use super::replica::Replica;
use super::{Room, View};
use crate::store::{Known, StoreError, Stored};
use anteroom_core::admission::{self, Step};
use anteroom_core::line::{Call, Called, Restore};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Most steps within one tick. More is left to the next.
const STEPS: usize = 8;
/// How often heartbeats are merged, and sessions read.
const MERGE: Duration = Duration::from_secs(1);
/// Most identities told to the store at once.
const USERS: usize = 1_000;
/// For how long after a loss identities are collected from tokens.
const COLLECT: Duration = Duration::from_secs(600);

/// What the ticks of a room remember.
#[derive(Default)]
struct Rhythm {
    merged: Option<Instant>,
    failing: bool,
}

impl Room {
    /// Ticks until the room is stopped.
    pub(super) async fn keep_ticking(self: Arc<Self>) {
        let mut rhythm = Rhythm::default();
        loop {
            let view = self.view();
            let pause = admission::tick_after_ms(&view.facts, &view.settings, self.host.tick.as_millis() as u64);
            drop(view);
            tokio::select! {
                () = self.stop.notified() => return,
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            }
            let due = rhythm.merged.is_none_or(|merged| merged.elapsed() >= MERGE);
            if due {
                rhythm.merged = Some(Instant::now());
            }
            let result = self.tick_once(due).await;
            match result {
                Ok(_) => {
                    if std::mem::take(&mut rhythm.failing) {
                        tracing::info!(event = %self.event, "the store answers again");
                    }
                }
                Err(error) => {
                    self.gauges.lock().age(self.view().read_at.elapsed());
                    if !std::mem::replace(&mut rhythm.failing, true) {
                        tracing::error!(event = %self.event, %error, "the room cannot reach its line; status goes on from memory");
                    }
                }
            }
        }
    }

    /// One tick out of turn, so that what has just changed shows. Failing is left to the next regular one.
    pub async fn tick(&self) {
        let _ = self.tick_once(false).await;
    }

    /// One tick. `Ok(false)`: the room is no more.
    async fn tick_once(&self, merge: bool) -> Stored<bool> {
        let mut replica = self.replica.lock().await;
        if merge {
            self.merge_heartbeats(&replica).await?;
        }
        for step in 0..STEPS {
            if !self.read(&mut replica, merge && step == 0).await? {
                return Ok(false);
            }
            let again = match admission::next_step(&replica.facts, &replica.joins, &replica.waves, &replica.settings) {
                Step::Idle => false,
                Step::TurnEpoch(epoch) => {
                    // Heartbeats still in memory count for the epoch that ends.
                    self.merge_heartbeats(&replica).await?;
                    let dropped = self.host.store.turn_epoch(&self.event, epoch, self.host.clock.now()).await?;
                    if let Some(Some(dropped @ 1..)) = dropped {
                        tracing::debug!(event = %self.event, dropped, "silent places stopped counting");
                    }
                    true
                }
                Step::Trim(base) => {
                    self.host.store.trim(&self.event, base).await?;
                    true
                }
                // Who was silent and has come back has the place, unless it was passed before.
                Step::Call(_) if self.returned.swap(false, Ordering::Acquire) => {
                    self.merge_heartbeats(&replica).await?;
                    true
                }
                Step::Call(call) => match self.carry_out(&call).await? {
                    Some(Called::Done { called, .. }) => {
                        if called > 0 {
                            self.read(&mut replica, false).await?;
                        }
                        false
                    }
                    Some(Called::Stale { .. }) | None => true,
                },
            };
            if !again {
                break;
            }
        }
        Ok(true)
    }

    /// Has a decision carried out.
    pub(super) async fn carry_out(&self, call: &Call) -> Stored<Option<Called>> {
        self.host.store.call(&self.event, call).await
    }

    /// Reads what changed and publishes it. `false`: the room is no more.
    pub(super) async fn read(&self, replica: &mut Replica, sessions: bool) -> Stored<bool> {
        // Whatever happened through this origin before the reading was asked for is in it.
        let before = self.recent.before();
        let issued = self.issued.load(Ordering::Relaxed).max(self.shown.load(Ordering::Relaxed));
        let mut fresh = self.reread.load(Ordering::Relaxed);
        let known = if fresh { Known { sessions, ..Known::default() } } else { replica.known(sessions) };
        let reading = match self.host.store.read(&self.event, known, self.host.clock.now()).await? {
            Some(reading) => reading,
            None if self.restore_lost(replica).await? => {
                fresh = true;
                let known = Known { sessions, ..Known::default() };
                match self.host.store.read(&self.event, known, self.host.clock.now()).await? {
                    Some(reading) => reading,
                    None => return Ok(false),
                }
            }
            None => return Ok(false),
        };
        if fresh {
            self.reread.store(false, Ordering::Relaxed);
        }
        self.host.clock.at_least(reading.facts.now);
        if reading.facts.generation != replica.facts.generation {
            self.issued.store(0, Ordering::Relaxed);
            self.shown.store(0, Ordering::Relaxed);
        } else if reading.facts.issued < issued {
            // The store has forgotten numbers that were handed out: a replica took over that had not heard of them.
            tracing::warn!(event = %self.event, issued, stored = reading.facts.issued, "the store is behind; numbers are skipped");
            let settings = replica.settings_json.clone();
            self.host.store.restore(&self.event, &settings, &replica.restore(issued), self.host.clock.now()).await?;
        }
        if !fresh && reading.facts.generation == replica.facts.generation {
            self.recent.give_back(&before, reading.facts.given_back.saturating_sub(replica.facts.given_back));
        }
        if let Err(problem) = replica.absorb(reading, fresh) {
            tracing::error!(event = %self.event, problem, "the stored settings cannot be read; the former ones stay");
        }
        self.publish(replica);
        self.recent.forget(&before, sessions);
        Ok(true)
    }

    /// Makes the view of what the replica knows.
    pub(super) fn publish(&self, replica: &mut Replica) {
        let pace = replica.pace();
        replica.keep_track(&pace);
        let restoring = self.identities.lock().until.is_some_and(|until| Instant::now() < until);
        self.gauges.lock().show(replica);
        self.view.store(Arc::new(View::of(replica, pace, restoring)));
    }

    /// The store does not have the room: brings it back when the store was emptied, or says that it was deleted.
    async fn restore_lost(&self, replica: &Replica) -> Stored<bool> {
        let inventory = self.host.store.inventory().await?;
        let emptied = self.store_id.lock().as_ref().is_some_and(|known| *known != inventory.store_id);
        if !replica.is_read() || !(emptied || inventory.rooms.contains(&self.event)) {
            return Ok(false);
        }
        let high = self.issued.load(Ordering::Relaxed).max(self.shown.load(Ordering::Relaxed));
        let mut known = replica.restore(high);
        self.recent.add_to(&mut known);
        let restored =
            self.host.store.restore(&self.event, &replica.settings_json, &known, self.host.clock.now()).await?;
        tracing::warn!(event = %self.event, restored, issued = known.issued, serving = known.serving,
            "the store has lost the line; brought back from memory");
        *self.store_id.lock() = Some(inventory.store_id);
        self.identities.lock().until = Some(Instant::now() + COLLECT);
        // Numbers that only their holders know of are silent now.
        self.returned.store(true, Ordering::Release);
        Ok(true)
    }

    /// Merges the heartbeats gathered since the last time, and the identities if they are being collected.
    pub(super) async fn merge_heartbeats(&self, replica: &Replica) -> Stored<()> {
        let facts = &replica.facts;
        let now = self.host.clock.now();
        if let Some(heard) = self.hearing.take(facts.generation, facts.base, facts.issued) {
            match self.host.store.hear(&self.event, &heard, now).await {
                Ok(Some(_)) => {}
                // Lost, perhaps: they count once it is back.
                Ok(None) => self.hearing.put_back(&heard),
                Err(error) => {
                    self.hearing.put_back(&heard);
                    // Whoever has come back is still to be made known before anybody is called.
                    self.returned.store(true, Ordering::Release);
                    return Err(error);
                }
            }
        }
        let users = std::mem::take(&mut self.identities.lock().seen);
        for (at, some) in users.chunks(USERS).enumerate() {
            let known = Restore { generation: facts.generation, users: some.to_vec(), ..Restore::default() };
            let told = self.host.store.restore(&self.event, &replica.settings_json, &known, now).await;
            if told.is_err() {
                self.identities.lock().seen.extend_from_slice(&users[at * USERS..]);
            }
            told?;
        }
        Ok(())
    }

    /// Merges what is left before the origin stops.
    pub(super) async fn finish(&self) -> Result<(), StoreError> {
        let replica = self.replica.lock().await;
        self.merge_heartbeats(&replica).await
    }
}
