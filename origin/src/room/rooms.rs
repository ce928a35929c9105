//! The rooms of an origin: those the store has, found once a second and whenever somebody asks for another.

use super::gauges::Gauges;
use super::replica::Replica;
use super::{BACKLOG, Host, Pending, Room, View};
use crate::store::{Inventory, Stored};
use anteroom_core::settings::Settings;
use anteroom_core::units::{EventId, Millis};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// How often the store is asked for its rooms and its clock.
const WATCH: Duration = Duration::from_secs(1);

/// How far the clocks of two origins may be apart, which both measure the store's.
const CLOCKS_APART_MS: u64 = 100;

/// See the module's comment.
pub struct Rooms {
    host: Arc<Host>,
    map: ArcSwap<HashMap<EventId, Arc<Room>>>,
    /// What was found last, and when.
    found: tokio::sync::Mutex<Option<(Instant, Inventory)>>,
    /// Whether the store answered when it was last asked.
    up: AtomicBool,
    /// Whether it has ever told which rooms there are.
    read: AtomicBool,
}

/// A room that was asked for.
pub enum Found {
    /// Here it is.
    Room(Arc<Room>),
    /// There is none.
    None,
}

impl Rooms {
    /// No rooms yet.
    pub fn new(host: Arc<Host>) -> Arc<Self> {
        Arc::new(Self {
            host,
            map: ArcSwap::default(),
            found: tokio::sync::Mutex::new(None),
            up: AtomicBool::new(false),
            read: AtomicBool::new(false),
        })
    }

    /// The host.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// A room that this origin knows. No I/O.
    pub fn get(&self, event: &str) -> Option<Arc<Room>> {
        self.map.load().get(event).cloned()
    }

    /// All rooms that this origin knows.
    pub fn all(&self) -> Vec<Arc<Room>> {
        let mut rooms: Vec<_> = self.map.load().values().cloned().collect();
        rooms.sort_by(|a, b| a.event.cmp(&b.event));
        rooms
    }

    /// Whether the store has ever told which rooms there are: before, not to know a room says nothing.
    pub fn have_been_read(&self) -> bool {
        self.read.load(Ordering::Acquire)
    }

    /// A room, looked for in the store when it is not known here. Asking for rooms that do not exist asks the store once a tick, not once
    /// a question.
    pub async fn find(self: &Arc<Self>, event: &EventId) -> Stored<Found> {
        if let Some(room) = self.get(event.as_str()) {
            return Ok(Found::Room(room));
        }
        self.look(self.host.tick).await?;
        Ok(self.get(event.as_str()).map_or(Found::None, Found::Room))
    }

    /// A room, made with default settings when there is none.
    pub async fn find_or_make(self: &Arc<Self>, event: &EventId) -> Stored<Arc<Room>> {
        if let Found::Room(room) = self.find(event).await? {
            return Ok(room);
        }
        let settings = Settings::default().to_json().to_string();
        self.put(event, &settings).await
    }

    /// Puts a room's settings and takes them in at once.
    pub async fn put(self: &Arc<Self>, event: &EventId, settings: &str) -> Stored<Arc<Room>> {
        if let Some(room) = self.get(event.as_str()) {
            room.settle_rate().await?;
        }
        self.host.store.put_room(event, settings, self.host.clock.now()).await?;
        self.look(Duration::ZERO).await?;
        let Some(room) = self.get(event.as_str()) else {
            return Err(crate::store::StoreError::Broken(format!("room {event} is missing right after it was put")));
        };
        room.refresh().await?;
        Ok(room)
    }

    /// Deletes a room; whether there was one.
    ///
    /// A new room's generation is the second it is made in, and nothing is left of the old one that could say which is taken. So this
    /// answers only when that second is over: whoever makes the room again after the answer gets a generation that no token is of.
    pub async fn delete(self: &Arc<Self>, event: &EventId) -> Stored<bool> {
        let generation = match self.find(event).await? {
            Found::Room(room) => room.view().facts.generation.0,
            Found::None => 0,
        };
        let deleted = self.host.store.delete_room(event).await?;
        self.look(Duration::ZERO).await?;
        let over = Millis((generation + 1) * 1000 + CLOCKS_APART_MS);
        tokio::time::sleep(Duration::from_millis(over.since(self.host.clock.now()))).await;
        Ok(deleted)
    }

    /// Watches the store until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut failing = false;
        loop {
            let looked = self.look(Duration::ZERO).await;
            self.up.store(looked.is_ok(), Ordering::Relaxed);
            match looked {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!(store = self.host.store.name(), "the store is back");
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(store = self.host.store.name(), %error, "the store cannot be reached; trying on");
                    }
                }
            }
            tokio::time::sleep(WATCH).await;
        }
    }

    /// Whether the store answered when it was last asked.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Asks the store for its rooms, unless that was done less than `fresh` ago.
    async fn look(self: &Arc<Self>, fresh: Duration) -> Stored<()> {
        let mut found = self.found.lock().await;
        if found.as_ref().is_some_and(|(at, _)| at.elapsed() < fresh) {
            return Ok(());
        }
        self.host.clock.measured(self.host.store.clock().await?);
        let inventory = self.host.store.inventory().await?;
        let before = self.map.load_full();
        let mut map: HashMap<EventId, Arc<Room>> = HashMap::new();
        let mut opened = Vec::new();
        for event in &inventory.rooms {
            let room = match before.get(event) {
                Some(room) => room.clone(),
                None => {
                    let (room, pending) = Room::open(event.clone(), self.host.clone(), &inventory.store_id);
                    room.refresh().await?;
                    opened.push((room.clone(), pending));
                    room
                }
            };
            map.insert(event.clone(), room);
        }
        for (event, room) in before.iter() {
            // An emptied store is given its rooms back by their ticks; one that is missing otherwise was deleted.
            if room.last_seen_in(&inventory.store_id) {
                if !map.contains_key(event) {
                    tracing::info!(%event, "the room was deleted");
                    room.close();
                }
            } else if map.contains_key(event) {
                room.seen_in(&inventory.store_id);
            } else {
                map.insert(event.clone(), room.clone());
            }
        }
        self.map.store(Arc::new(map));
        // Not before: a look that fails or is given up halfway must leave no tasks behind.
        for (room, pending) in opened {
            room.run(pending);
        }
        self.read.store(true, Ordering::Release);
        *found = Some((Instant::now(), inventory));
        Ok(())
    }

    /// Hands the store everything that is still in memory.
    pub async fn finish(&self) {
        for room in self.all() {
            if let Err(error) = room.finish().await {
                tracing::error!(event = %room.event, %error, "heartbeats of the last second were lost");
            }
        }
    }
}

impl Room {
    /// A room that has read nothing yet, and the joins that it is to be run with.
    fn open(event: EventId, host: Arc<Host>, store_id: &str) -> (Arc<Self>, mpsc::Receiver<Pending>) {
        let (joins, pending) = mpsc::channel(BACKLOG);
        let mut replica = Replica::new(Arc::new(Settings::default()));
        let pace = replica.pace();
        replica.keep_track(&pace);
        let view = View::of(&replica, pace, false);
        let gauges = parking_lot::Mutex::new(Gauges::new(host.metrics.room(&event)));
        let room = Arc::new(Room {
            event,
            host,
            gauges,
            returned: Default::default(),
            reread: Default::default(),
            view: ArcSwap::from_pointee(view),
            replica: tokio::sync::Mutex::new(replica),
            hearing: Default::default(),
            joins,
            issued: Default::default(),
            shown: Default::default(),
            recent: Default::default(),
            identities: Default::default(),
            store_id: parking_lot::Mutex::new(Some(store_id.to_owned())),
            stop: Notify::new(),
            closed: Notify::new(),
        });
        (room, pending)
    }

    /// Starts the room's tasks, which run until it is closed.
    fn run(self: Arc<Self>, pending: mpsc::Receiver<Pending>) {
        tokio::spawn(self.clone().commit_joins(pending));
        tokio::spawn(self.keep_ticking());
    }

    /// Reads the store now, whatever the rhythm.
    pub async fn refresh(&self) -> Stored<bool> {
        let mut replica = self.replica.lock().await;
        self.read(&mut replica, true).await
    }

    /// Whether the line was last seen in this life of the store.
    fn last_seen_in(&self, store_id: &str) -> bool {
        self.store_id.lock().as_deref() == Some(store_id)
    }

    /// Another origin has brought the line back in another life of the store.
    fn seen_in(&self, store_id: &str) {
        *self.store_id.lock() = Some(store_id.to_owned());
        self.reread.store(true, Ordering::Relaxed);
    }

    /// Ends the tasks of the room.
    fn close(&self) {
        self.stop.notify_one();
        self.closed.notify_one();
    }
}
