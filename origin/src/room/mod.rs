//! One room at one origin: its replica, its ticks, its joins and heartbeats on their way to the store.
//!
//! Requests read the [`View`] and never wait for the store, except to join, enter, leave or end.

mod gauges;
mod hearing;
mod operate;
mod recent;
mod replica;
mod rooms;
mod tick;
mod view;

pub use replica::parse_settings;
pub use rooms::{Found, Rooms};
pub use view::View;

use crate::clock::Clock;
use crate::store::{QueueStore, StoreError, Stored};
use anteroom_core::admission::{self, Door};
use anteroom_core::line::{Enter, EnterTerms, Join, JoinLimits, Joined, Leave, Standing};
use anteroom_core::settings::Settings;
use anteroom_core::units::{EventId, Generation, Identity, Millis, Position, Slot, Ticket};
use arc_swap::ArcSwap;
use gauges::Gauges;
use hearing::Hearing;
use parking_lot::Mutex;
use recent::Recent;
use replica::Replica;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};

/// Most joins in one call to the store.
const BATCH: usize = 512;
/// Joins that may wait for the store before more are turned away.
const BACKLOG: usize = 65_536;

/// What all rooms of an origin share.
pub struct Host {
    /// Where lines are kept.
    pub store: Arc<dyn QueueStore>,
    /// Room time.
    pub clock: Clock,
    /// Time between ticks.
    pub tick: Duration,
    /// Everything counted.
    pub metrics: Arc<crate::metrics::Metrics>,
}

/// See the module's comment.
pub struct Room {
    event: EventId,
    host: Arc<Host>,
    view: ArcSwap<View>,
    replica: tokio::sync::Mutex<Replica>,
    hearing: Hearing,
    joins: mpsc::Sender<Pending>,
    /// Highest ticket handed out through this origin in the generation of the view.
    issued: AtomicU64,
    /// Highest ticket shown in a token.
    shown: AtomicU64,
    /// What happened through this origin since the last reading.
    recent: Recent,
    /// Identities shown in tokens since the store lost the line, until when they are collected.
    identities: Mutex<Identities>,
    /// The life of the store that the line was last seen in.
    store_id: Mutex<Option<String>>,
    /// Set when somebody silent was heard from: nobody is called before the store knows.
    returned: AtomicBool,
    /// Set when the store is another one: nothing known may be taken for read.
    reread: AtomicBool,
    gauges: Mutex<Gauges>,
    /// Ends the ticks.
    stop: Notify,
    /// Ends the joins.
    closed: Notify,
}

/// Who holds which ticket, gathered from tokens for as long as the store may not know it.
#[derive(Default)]
struct Identities {
    until: Option<Instant>,
    seen: Vec<(Identity, Ticket)>,
}

struct Pending {
    join: Join,
    reply: oneshot::Sender<Stored<Option<Placed>>>,
}

/// What became of a join, and the room as it is then.
pub struct Placed {
    /// The outcome.
    pub joined: Joined,
    /// Generation of the ticket.
    pub generation: Generation,
    /// Room time of the join.
    pub now: Millis,
}

impl Room {
    /// The event.
    pub fn event(&self) -> &EventId {
        &self.event
    }

    /// The room as of the last tick.
    pub fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// Whether the view is older than it should be.
    pub fn is_stale(&self, view: &View, now: Instant) -> bool {
        now.duration_since(view.read_at) > self.host.tick * 3 + Duration::from_secs(1)
    }

    /// Where a slot stands, what happened through this origin since the last tick included.
    pub fn standing(&self, view: &View, slot: Slot, now: Millis) -> Standing {
        if let Some(standing) = self.recent.standing(slot) {
            return standing;
        }
        view.standing(slot, now)
    }

    /// Notes a poll: the heartbeat of its holder, and whatever its token proves.
    pub fn heard(&self, generation: Generation, ticket: Ticket, identity: Option<&Identity>, view: &View) {
        self.hearing.note(generation, Slot(ticket.0));
        if view.is_silent(Slot(ticket.0)) {
            self.returned.store(true, Ordering::Release);
        }
        if ticket.0 > view.facts.issued {
            self.shown.fetch_max(ticket.0, Ordering::Relaxed);
        }
        if view.restoring
            && let Some(identity) = identity
        {
            self.identities.lock().seen.push((identity.clone(), ticket));
        }
    }

    /// Joins, together with whoever else joins meanwhile. `Ok(None)`: the room is no more.
    pub async fn join(&self, join: Join) -> Stored<Option<Placed>> {
        let (reply, answer) = oneshot::channel();
        let busy = |_| StoreError::Unavailable("too many joins are waiting".into());
        self.joins.try_send(Pending { join, reply }).map_err(|_| busy(()))?;
        answer.await.map_err(|_| StoreError::Unavailable("the origin is stopping".into()))?
    }

    /// Carries joins to the store, a batch at a time: while one call is on its way, the next batch gathers.
    async fn commit_joins(self: Arc<Self>, mut pending: mpsc::Receiver<Pending>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            // This task keeps the room, and with it the other end of the queue: only being told ends it.
            tokio::select! {
                () = self.closed.notified() => return,
                _ = pending.recv_many(&mut batch, BATCH) => {}
            }
            let joins: Vec<Join> =
                batch.iter_mut().map(|pending| std::mem::replace(&mut pending.join, NOBODY)).collect();
            let now = self.host.clock.now();
            let limits = self.join_limits(now);
            let result = self.on_line(|| self.host.store.join(&self.event, &joins, limits, now)).await;
            match result {
                Ok(Some(done)) => {
                    let fresh = done.joined.iter().filter_map(|joined| match joined {
                        Joined::New { ticket, .. } => Some(ticket.0),
                        _ => None,
                    });
                    let (count, high) = fresh.fold((0, 0), |(count, high), ticket| (count + 1, high.max(ticket)));
                    if done.generation == self.view().facts.generation {
                        self.issued.fetch_max(high, Ordering::Relaxed);
                    }
                    // A quiet room adds no wait: whoever finds the line empty and the bucket full is called at once.
                    let view = self.view.load_full();
                    if done.waiting == count && count > 0 && admission::may_call(&view.facts, &view.settings, done.now)
                    {
                        self.tick().await;
                    }
                    for (pending, joined) in batch.drain(..).zip(done.joined) {
                        let placed = Placed { joined, generation: done.generation, now: done.now };
                        // Whoever hung up meanwhile has a place nobody holds: it falls silent.
                        let _ = pending.reply.send(Ok(Some(placed)));
                    }
                }
                Ok(None) => batch.drain(..).for_each(|pending| {
                    let _ = pending.reply.send(Ok(None));
                }),
                Err(error) => {
                    let text = error.to_string();
                    batch.drain(..).for_each(|pending| {
                        let _ = pending.reply.send(Err(StoreError::Unavailable(text.clone())));
                    });
                }
            }
        }
    }

    /// Takes a step on the line. A line that the store has lost is brought back first: nobody is told that there is no such room.
    async fn on_line<T, F>(&self, step: impl Fn() -> F) -> Stored<Option<T>>
    where
        F: Future<Output = Stored<Option<T>>>,
    {
        let done = step().await?;
        if done.is_some() || !self.refresh().await? {
            return Ok(done);
        }
        step().await
    }

    /// What joins are limited by at `now`. At a closed door only repeats are answered, which the store alone can tell from newcomers.
    fn join_limits(&self, now: Millis) -> JoinLimits {
        let settings = &self.view().settings;
        let limits = admission::join_limits(settings);
        if admission::door(settings, now) == Door::Open { limits } else { JoinLimits { places_per_user: 0, ..limits } }
    }

    /// Takes a turn.
    pub async fn enter(&self, generation: Generation, ticket: Ticket, settings: &Settings) -> Stored<Option<Enter>> {
        let slot = Slot(ticket.0);
        let terms = EnterTerms {
            session_ms: u64::from(settings.session_sec) * 1000,
            pass_ttl_ms: u64::from(settings.pass_ttl_sec) * 1000,
        };
        let now = self.host.clock.now();
        let result = self.on_line(|| self.host.store.enter(&self.event, generation, slot, terms, now)).await?;
        if let Some(Enter::Entered(session) | Enter::Again(session)) = result {
            self.recent.entered(slot, session);
        }
        Ok(result)
    }

    /// Gives up a place, a turn or a session.
    pub async fn leave(&self, generation: Generation, ticket: Ticket) -> Stored<Option<Leave>> {
        let slot = Slot(ticket.0);
        let now = self.host.clock.now();
        let before = self.standing(&self.view(), slot, now);
        let result = self.on_line(|| self.host.store.leave(&self.event, generation, slot, now)).await?;
        match (result, before) {
            (Some(Leave::Left), Standing::Entered) => self.recent.ended(slot),
            (Some(Leave::Left), _) => self.recent.left(slot),
            _ => {}
        }
        Ok(result)
    }

    /// When the open session of a slot ends; `None` when none is open.
    pub async fn session_end(&self, generation: Generation, slot: Slot) -> Stored<Option<Millis>> {
        self.extend_session(generation, slot, Millis(0)).await
    }

    /// Makes the open session of a slot last until `until`, never shorter than it does; when it ends then, `None` when none is open.
    pub async fn extend_session(&self, generation: Generation, slot: Slot, until: Millis) -> Stored<Option<Millis>> {
        let now = self.host.clock.now();
        let extend = || self.host.store.extend_session(&self.event, generation, slot, until, now);
        Ok(self.on_line(extend).await?.flatten())
    }

    /// Ends the session of a slot; whether one was open.
    pub async fn end_session(&self, generation: Generation, slot: Slot) -> Stored<bool> {
        let now = self.host.clock.now();
        let ended = self.on_line(|| self.host.store.end_session(&self.event, generation, slot, now)).await?;
        self.recent.ended(slot);
        Ok(ended.unwrap_or(false))
    }

    /// When a ticket was handed out, to within the spacing of the marks; `None` when that is not known here.
    pub async fn joined_at(&self, ticket: Ticket) -> Option<Millis> {
        admission::joined_at(&self.replica.lock().await.joins, ticket.0)
    }

    /// The position of a place just joined: live ones up to it, by the view where that is newer.
    pub fn position(&self, view: &View, slot: Slot, at_join: u64) -> Position {
        if slot.0 <= view.facts.issued { view.position(slot) } else { Position(at_join) }
    }

    /// The host that the room lives at.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

const NOBODY: Join = Join { identity: None, idem: None };
