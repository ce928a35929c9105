//! Where lines are kept: one interface, whose comments are the specification, and its two engines.
//!
//! What holds for every method:
//!
//! * **Atomic per room.** A method either happens as a whole or not at all, and no two on one room interleave.
//! * **Core is the rule.** On a room, a method gives what the method of [`anteroom_core::line::Line`] named in its comment gives, and
//!   leaves the same line behind. One suite and one differential run hold both engines to it.
//! * **`now` is the caller's**, and room time never runs backwards: the engine uses the greatest it has been shown. The first method that
//!   is shown a time after an outage gives the outage back to open windows and sessions
//!   ([`OUTAGE_MS`](anteroom_core::line::OUTAGE_MS)). All ends that go in or come out are in room time.
//! * **`Ok(None)` means that there is no such room**; nothing was changed.
//! * **`Err` is an outage or a bug**, never an outcome of the line. After [`StoreError::Unavailable`] the step may have happened or not
//!   (a reply can be lost); every method but `join` may simply be called again, and a join with an idempotency key as well.

pub mod memory;
pub mod redis;

use anteroom_core::bitmap::Bitmap;
use anteroom_core::line::{
    Call, Called, Enter, EnterTerms, Facts, Heard, Join, JoinBatch, JoinLimits, JoinMark, Leave, Restore, Session, Wave,
};
use anteroom_core::units::{EventId, Generation, Millis, Slot};
use anteroom_core::window::Window;
use async_trait::async_trait;

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is not ready, or took too long.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// It answered something that no correct script or file can hold.
    #[error("the store answered nonsense: {0}")]
    Broken(String),
}

/// A store's answer.
pub type Stored<T> = Result<T, StoreError>;

/// What a reader has already, so that only the rest is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Generation that the rest belongs to; another one makes everything new.
    pub generation: Generation,
    /// [`Facts::version`] read last.
    pub version: u64,
    /// [`Facts::bits`] read last.
    pub bits: u64,
    /// [`Facts::settings`] read last.
    pub settings: u64,
    /// The youngest join mark read.
    pub mark_at: Millis,
    /// Whether the open sessions are wanted.
    pub sessions: bool,
}

/// Most open sessions that a [`Reading`] carries.
pub const SESSIONS_READ: usize = 20_000;

/// A room, as far as it has changed since [`Known`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The numbers, always.
    pub facts: Facts,
    /// `gone` and `left`, when [`Facts::bits`] or the generation differs.
    pub bitmaps: Option<(Bitmap, Bitmap)>,
    /// The open waves, oldest first, when the version, the bits or the generation differ.
    pub waves: Option<Vec<Wave>>,
    /// Join marks younger than the known one; all of them when the generation differs.
    pub joins: Vec<JoinMark>,
    /// What the estimate learns from, always.
    pub window: Window,
    /// The first [`SESSIONS_READ`] open sessions by slot, when wanted.
    pub sessions: Option<Vec<(u64, Session)>>,
    /// The settings as they were put, when their version differs.
    pub settings: Option<String>,
}

/// What exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Names this life of the store. Another one than before: the store was emptied, or is a new one.
    pub store_id: String,
    /// The rooms, sorted.
    pub rooms: Vec<EventId>,
}

/// Whether an idempotency key was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It was, and now stands for this request.
    New,
    /// It stands for this request already.
    Same,
    /// It stands for another one.
    Conflict,
}

/// A store of lines. See the module's comment for what holds for every method.
#[async_trait]
pub trait QueueStore: Send + Sync + 'static {
    /// `memory` or `redis`: for logs and `/readyz`.
    fn name(&self) -> &'static str;

    /// Time by the store's own clock, which all origins of a store share. Also the check that it can be reached.
    async fn clock(&self) -> Stored<Millis>;

    /// The rooms there are. Gives the store its name when it has none.
    async fn inventory(&self) -> Stored<Inventory>;

    /// Puts a room's settings, an opaque JSON text, and gives their new version ([`Line::settings_changed`]). Makes the room, with an empty
    /// line of generation `now` in seconds, when there is none; a line that exists is not touched.
    ///
    /// [`Line::settings_changed`]: anteroom_core::line::Line::settings_changed
    async fn put_room(&self, event: &EventId, settings: &str, now: Millis) -> Stored<u64>;

    /// Removes a room and everything of it; whether there was one.
    async fn delete_room(&self, event: &EventId) -> Stored<bool>;

    /// [`Line::reset`](anteroom_core::line::Line::reset).
    async fn reset(&self, event: &EventId, now: Millis) -> Stored<Option<Generation>>;

    /// [`Line::settle`](anteroom_core::line::Line::settle), then what the reader does not know yet.
    async fn read(&self, event: &EventId, known: Known, now: Millis) -> Stored<Option<Reading>>;

    /// [`Line::join`](anteroom_core::line::Line::join). Numbers are handed out in the order of the batch.
    async fn join(&self, event: &EventId, batch: &[Join], limits: JoinLimits, now: Millis)
    -> Stored<Option<JoinBatch>>;

    /// [`Line::hear`](anteroom_core::line::Line::hear).
    async fn hear(&self, event: &EventId, heard: &Heard, now: Millis) -> Stored<Option<u64>>;

    /// [`Line::turn_epoch`](anteroom_core::line::Line::turn_epoch): `Some(None)` when `epoch` is not the running one any more.
    async fn turn_epoch(&self, event: &EventId, epoch: u64, now: Millis) -> Stored<Option<Option<u64>>>;

    /// [`Line::sweep`](anteroom_core::line::Line::sweep).
    async fn sweep(&self, event: &EventId, now: Millis) -> Stored<Option<u64>>;

    /// [`Line::call`](anteroom_core::line::Line::call).
    async fn call(&self, event: &EventId, call: &Call) -> Stored<Option<Called>>;

    /// [`Line::enter`](anteroom_core::line::Line::enter).
    async fn enter(
        &self,
        event: &EventId,
        generation: Generation,
        slot: Slot,
        terms: EnterTerms,
        now: Millis,
    ) -> Stored<Option<Enter>>;

    /// [`Line::leave`](anteroom_core::line::Line::leave).
    async fn leave(&self, event: &EventId, generation: Generation, slot: Slot, now: Millis) -> Stored<Option<Leave>>;

    /// [`Line::extend_session`](anteroom_core::line::Line::extend_session): `Some(None)` when no session is open.
    async fn extend_session(
        &self,
        event: &EventId,
        generation: Generation,
        slot: Slot,
        until: Millis,
        now: Millis,
    ) -> Stored<Option<Option<Millis>>>;

    /// [`Line::end_session`](anteroom_core::line::Line::end_session).
    async fn end_session(
        &self,
        event: &EventId,
        generation: Generation,
        slot: Slot,
        now: Millis,
    ) -> Stored<Option<bool>>;

    /// [`Line::trim`](anteroom_core::line::Line::trim).
    async fn trim(&self, event: &EventId, base: u64) -> Stored<Option<bool>>;

    /// [`Line::restore`](anteroom_core::line::Line::restore). When the room is missing, it is made first, with these settings.
    async fn restore(&self, event: &EventId, settings: &str, known: &Restore, now: Millis) -> Stored<bool>;

    /// Makes `key` stand for `fingerprint` for `ttl_ms`, unless it stands for something already. On its own it has no other effect:
    /// the record of an outcome belongs to the room and is made with the outcome.
    async fn bind_key(&self, key: &str, fingerprint: &str, ttl_ms: u64, now: Millis) -> Stored<Bound>;
}
