//! The embedded store: the lines themselves, behind one lock a room, kept in a directory when one is given.

mod files;

use super::{Bound, Inventory, Known, QueueStore, Reading, SESSIONS_READ, StoreError, Stored};
use anteroom_core::line::{Call, Called, Enter, EnterTerms, Heard, Join, JoinBatch, JoinLimits, Leave, Line, Restore};
use anteroom_core::units::{EventId, Generation, Millis, Slot};
use async_trait::async_trait;
use files::StateDir;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How many numbers are reserved on disk at once. A crash skips at most as many.
const RESERVE: u64 = 4_096;

#[derive(serde::Serialize, serde::Deserialize)]
struct Room {
    line: Line,
    settings: String,
    /// Numbers up to here may be handed out without touching the disk.
    #[serde(skip)]
    reserved: u64,
    /// Changed since it was last saved.
    #[serde(skip)]
    dirty: bool,
}

/// The embedded store.
pub struct MemoryStore {
    rooms: RwLock<BTreeMap<EventId, Arc<Mutex<Room>>>>,
    keys: Mutex<HashMap<String, (String, Millis)>>,
    id: String,
    started: (Instant, Millis),
    files: Option<StateDir>,
    /// Held by whoever replaces or removes the file of a line: two writers would share the file written beside it, and a save under
    /// way would bring a deleted room back. Taken before a room's own lock.
    saving: Mutex<()>,
}

impl MemoryStore {
    /// A store that lives as long as the process.
    pub fn new() -> Self {
        Self::with(BTreeMap::new(), None)
    }

    /// A store kept in `dir`: the rooms saved there go on. Numbers handed out after the last save are gone until their holders are
    /// heard from, and are never handed out again.
    pub fn open(dir: &Path) -> Stored<Self> {
        let files = StateDir::open(dir)?;
        let mut rooms = BTreeMap::new();
        for (event, mut room) in files.load()? {
            let issued = room.line.facts().issued;
            if room.reserved > issued {
                room.line.skip_to(room.reserved);
            }
            room.reserved = room.reserved.max(issued);
            room.dirty = true;
            rooms.insert(event, Arc::new(Mutex::new(room)));
        }
        Ok(Self::with(rooms, Some(files)))
    }

    fn with(rooms: BTreeMap<EventId, Arc<Mutex<Room>>>, files: Option<StateDir>) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        // A clock that was set back while nothing ran must not stand still until it has caught up.
        let newest = rooms.values().map(|room| room.lock().line.facts().now).max().unwrap_or_default();
        Self {
            rooms: RwLock::new(rooms),
            keys: Mutex::default(),
            id: format!("memory-{wall}"),
            started: (Instant::now(), Millis(wall).max(newest)),
            files,
            saving: Mutex::default(),
        }
    }

    /// Writes every room that has changed since it was last written; each file is replaced as a whole. Blocking.
    pub fn save(&self) -> Stored<()> {
        let Some(files) = &self.files else { return Ok(()) };
        for (event, room) in self.all() {
            let _saving = self.saving.lock();
            if !self.is_current(&event, &room) {
                continue;
            }
            let copy = {
                let mut room = room.lock();
                if !room.dirty {
                    continue;
                }
                room.dirty = false;
                Room { line: room.line.clone(), settings: room.settings.clone(), reserved: 0, dirty: false }
            };
            if let Err(error) = files.write(&event, &copy) {
                room.lock().dirty = true;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Saves everything and gives the numbers back that were reserved but not handed out, so that the next start skips none.
    /// Blocking. The store can be used on.
    pub fn close(&self) -> Stored<()> {
        let Some(files) = &self.files else { return Ok(()) };
        for (event, room) in self.all() {
            let _saving = self.saving.lock();
            if !self.is_current(&event, &room) {
                continue;
            }
            let mut room = room.lock();
            // In this order: a crash in between skips numbers, the other way round it would hand some out twice.
            files.write(&event, &room)?;
            room.dirty = false;
            let (generation, issued) = (room.line.facts().generation, room.line.facts().issued);
            files.reserve(&event, generation, issued)?;
            room.reserved = issued;
        }
        Ok(())
    }

    fn all(&self) -> Vec<(EventId, Arc<Mutex<Room>>)> {
        self.rooms.read().iter().map(|(event, room)| (event.clone(), room.clone())).collect()
    }

    /// Whether `room` has not been deleted.
    fn is_current(&self, event: &EventId, room: &Arc<Mutex<Room>>) -> bool {
        self.room(event).is_some_and(|current| Arc::ptr_eq(&current, room))
    }

    fn room(&self, event: &EventId) -> Option<Arc<Mutex<Room>>> {
        self.rooms.read().get(event).cloned()
    }

    /// Runs `step` on a room's line, under its lock.
    fn on<T>(&self, event: &EventId, step: impl FnOnce(&mut Line) -> T) -> Stored<Option<T>> {
        Ok(self.room(event).map(|room| {
            let mut room = room.lock();
            room.dirty = true;
            step(&mut room.line)
        }))
    }

    /// Reserves numbers on disk so that `more` can be handed out.
    fn reserve(&self, event: &EventId, room: &mut Room, more: u64) -> Stored<()> {
        let need = room.line.facts().issued + more;
        if let Some(files) = &self.files
            && need > room.reserved
        {
            let reserved = need + RESERVE;
            files.reserve(event, room.line.facts().generation, reserved)?;
            room.reserved = reserved;
        }
        Ok(())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl QueueStore for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn clock(&self) -> Stored<Millis> {
        let (instant, at) = self.started;
        Ok(at.plus(instant.elapsed().as_millis() as u64))
    }

    async fn inventory(&self) -> Stored<Inventory> {
        Ok(Inventory { store_id: self.id.clone(), rooms: self.rooms.read().keys().cloned().collect() })
    }

    async fn put_room(&self, event: &EventId, settings: &str, now: Millis) -> Stored<u64> {
        let room = self
            .rooms
            .write()
            .entry(event.clone())
            .or_insert_with(|| {
                let line = Line::new(Generation(now.secs()), now);
                Arc::new(Mutex::new(Room { line, settings: String::new(), reserved: 0, dirty: true }))
            })
            .clone();
        let version = {
            let mut room = room.lock();
            room.settings = settings.to_owned();
            room.dirty = true;
            room.line.settings_changed()
        };
        self.save()?;
        Ok(version)
    }

    async fn delete_room(&self, event: &EventId) -> Stored<bool> {
        let _saving = self.saving.lock();
        let removed = self.rooms.write().remove(event);
        if let (Some(_), Some(files)) = (&removed, &self.files) {
            files.remove(event)?;
        }
        Ok(removed.is_some())
    }

    async fn reset(&self, event: &EventId, now: Millis) -> Stored<Option<Generation>> {
        let Some(room) = self.room(event) else { return Ok(None) };
        let _saving = self.saving.lock();
        let mut room = room.lock();
        let generation = room.line.reset(now);
        room.reserved = 0;
        room.dirty = true;
        // Saved before anybody can join it: a crash must not bring the old generation back, nor this one's number a second time.
        if let Some(files) = &self.files {
            files.write(event, &room)?;
            room.dirty = false;
        }
        Ok(Some(generation))
    }

    async fn read(&self, event: &EventId, known: Known, now: Millis) -> Stored<Option<Reading>> {
        let Some(room) = self.room(event) else { return Ok(None) };
        let mut room = room.lock();
        room.dirty = true;
        room.line.settle(now);
        let (line, facts) = (&room.line, room.line.facts());
        let fresh = facts.generation != known.generation;
        Ok(Some(Reading {
            facts: facts.clone(),
            bitmaps: (fresh || facts.bits != known.bits).then(|| (line.gone().clone(), line.left().clone())),
            waves: (fresh || facts.bits != known.bits || facts.version != known.version).then(|| line.waves().into()),
            joins: line.joins().iter().filter(|mark| fresh || mark.at > known.mark_at).copied().collect(),
            window: line.window().clone(),
            sessions: known.sessions.then(|| line.active().take(SESSIONS_READ).collect()),
            settings: (fresh || facts.settings != known.settings).then(|| room.settings.clone()),
        }))
    }

    async fn join(
        &self,
        event: &EventId,
        batch: &[Join],
        limits: JoinLimits,
        now: Millis,
    ) -> Stored<Option<JoinBatch>> {
        let Some(room) = self.room(event) else { return Ok(None) };
        let mut room = room.lock();
        self.reserve(event, &mut room, batch.len() as u64)?;
        room.dirty = true;
        Ok(Some(room.line.join(batch, limits, now)))
    }

    async fn hear(&self, event: &EventId, heard: &Heard, now: Millis) -> Stored<Option<u64>> {
        self.on(event, |line| line.hear(heard, now))
    }

    async fn turn_epoch(&self, event: &EventId, epoch: u64, now: Millis) -> Stored<Option<Option<u64>>> {
        self.on(event, |line| line.turn_epoch(epoch, now))
    }

    async fn sweep(&self, event: &EventId, now: Millis) -> Stored<Option<u64>> {
        self.on(event, |line| line.sweep(now))
    }

    async fn call(&self, event: &EventId, call: &Call) -> Stored<Option<Called>> {
        self.on(event, |line| line.call(call))
    }

    async fn enter(
        &self,
        event: &EventId,
        generation: Generation,
        slot: Slot,
        terms: EnterTerms,
        now: Millis,
    ) -> Stored<Option<Enter>> {
        self.on(event, |line| line.enter(generation, slot, terms, now))
    }

    async fn leave(&self, event: &EventId, generation: Generation, slot: Slot, now: Millis) -> Stored<Option<Leave>> {
        self.on(event, |line| line.leave(generation, slot, now))
    }

    async fn extend_session(
        &self,
        event: &EventId,
        generation: Generation,
        slot: Slot,
        until: Millis,
        now: Millis,
    ) -> Stored<Option<Option<Millis>>> {
        self.on(event, |line| line.extend_session(generation, slot, until, now))
    }

    async fn end_session(
        &self,
        event: &EventId,
        generation: Generation,
        slot: Slot,
        now: Millis,
    ) -> Stored<Option<bool>> {
        self.on(event, |line| line.end_session(generation, slot, now))
    }

    async fn trim(&self, event: &EventId, base: u64) -> Stored<Option<bool>> {
        self.on(event, |line| line.trim(base))
    }

    async fn restore(&self, event: &EventId, settings: &str, known: &Restore, now: Millis) -> Stored<bool> {
        if self.room(event).is_none() {
            self.put_room(event, settings, now).await?;
        }
        Ok(self.on(event, |line| line.restore(known, now))?.unwrap_or(false))
    }

    async fn bind_key(&self, key: &str, fingerprint: &str, ttl_ms: u64, now: Millis) -> Stored<Bound> {
        let mut keys = self.keys.lock();
        if keys.len() >= 1_024 && keys.len().is_power_of_two() {
            keys.retain(|_, (_, expires_at)| *expires_at > now);
        }
        match keys.get(key) {
            Some((bound, expires_at)) if *expires_at > now => {
                Ok(if bound == fingerprint { Bound::Same } else { Bound::Conflict })
            }
            _ => {
                keys.insert(key.to_owned(), (fingerprint.to_owned(), now.plus(ttl_ms)));
                Ok(Bound::New)
            }
        }
    }
}
