//! What holds of every store, written once and run on every engine and on every way to reach Redis.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

/// Makes each behaviour a test on every engine.
macro_rules! on_every_engine {
    ($($behaviour:ident),* $(,)?) => {
        on_every_engine!(@on memory, memory(), $($behaviour),*);
        on_every_engine!(@on redis, redis(Guard::Open), $($behaviour),*);
        on_every_engine!(@on redis_with_password, redis(Guard::Password("p@ss".into())), $($behaviour),*);
        on_every_engine!(@on redis_with_user, redis(Guard::User { name: "anteroom".into(), password: "s3cret".into() }), $($behaviour),*);
        on_every_engine!(@on redis_with_tls, redis(Guard::Tls), $($behaviour),*);
    };
    (@on $engine:ident, $make:expr, $($behaviour:ident),*) => {
        mod $engine {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    let engine = $make;
                    super::$behaviour(engine.store.clone()).await;
                }
            )*
        }
    };
}

mod joins;
mod outages;
mod readings;
mod restore;
mod silence;
mod turns;

use anteroom_core::bitmap::Bitmap;
use anteroom_core::line::{
    Call, Called, EXACT_MARKS, Enter, EnterTerms, Facts, Heard, IdemKey, Join, JoinLimits, Joined, Leave, Restore,
    Session, TICK_MAX_MS,
};
use anteroom_core::units::{EventId, Generation, Identity, Millis, Slot, Ticket};
use anteroom_origin::store::memory::MemoryStore;
use anteroom_origin::store::redis::{RedisOptions, RedisStore};
use anteroom_origin::store::{Bound, Known, QueueStore, Reading};
use anteroom_testkit::redis::{Guard, RedisServer};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const NOW: Millis = Millis(1_700_000_000_000);
const GENERATION: Generation = Generation(1_700_000_000);
const LIMITS: JoinLimits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 1_000 };
const TERMS: EnterTerms = EnterTerms { session_ms: 60_000, pass_ttl_ms: 30_000 };

type Store = Arc<dyn QueueStore>;

fn event() -> EventId {
    EventId::parse("Sale-2026.11_21:vip").unwrap()
}

fn anonymous() -> Join {
    Join { identity: None, idem: None }
}

fn identified(name: &str) -> Join {
    Join { identity: Some(Identity::parse(name).unwrap()), idem: None }
}

fn keyed(key: &str, fingerprint: &str) -> Join {
    Join { identity: None, idem: Some(IdemKey { key: key.into(), fingerprint: fingerprint.into() }) }
}

async fn room(store: &Store) {
    store.put_room(&event(), "{}", NOW).await.unwrap();
}

async fn join_at(store: &Store, batch: &[Join], now: Millis) -> Vec<Joined> {
    store.join(&event(), batch, LIMITS, now).await.unwrap().unwrap().joined
}

async fn crowd(store: &Store, people: usize) {
    join_at(store, &vec![anonymous(); people], NOW).await;
}

async fn read_at(store: &Store, now: Millis) -> Reading {
    store.read(&event(), Known { sessions: true, ..Known::default() }, now).await.unwrap().unwrap()
}

async fn read(store: &Store) -> Reading {
    read_at(store, NOW).await
}

/// Ticks as an origin does, until `now`.
async fn tick_until(store: &Store, now: Millis) {
    let mut at = read_at(store, Millis(0)).await.facts.now;
    while at < now {
        at = at.plus(TICK_MAX_MS).min(now);
        read_at(store, at).await;
    }
}

async fn call_at(store: &Store, count: u64, now: Millis) -> Called {
    let version = read_at(store, now).await.facts.version;
    let limit = Slot(u64::MAX);
    let call = Call { version, now, count, limit, until: now.plus(30_000), ..Call::default() };
    store.call(&event(), &call).await.unwrap().unwrap()
}

async fn call(store: &Store, count: u64) -> Called {
    call_at(store, count, NOW).await
}

async fn enter_at(store: &Store, slot: u64, now: Millis) -> Enter {
    store.enter(&event(), GENERATION, Slot(slot), TERMS, now).await.unwrap().unwrap()
}

async fn leave(store: &Store, slot: u64) -> Leave {
    store.leave(&event(), GENERATION, Slot(slot), NOW).await.unwrap().unwrap()
}

async fn hear(store: &Store, slots: impl IntoIterator<Item = u64>) -> u64 {
    let mut heard = Heard { generation: GENERATION, ..Heard::default() };
    for slot in slots {
        heard.bits.set(slot - 1);
    }
    store.hear(&event(), &heard, NOW).await.unwrap().unwrap()
}

/// Turns so many epochs; who was not heard from stops counting.
async fn turn_epochs(store: &Store, epochs: u64, heard: &[u64]) {
    for _ in 0..epochs {
        hear(store, heard.iter().copied()).await;
        let epoch = read(store).await.facts.epoch;
        store.turn_epoch(&event(), epoch, NOW).await.unwrap().unwrap().unwrap();
    }
}

fn new_tickets(joined: &[Joined]) -> Vec<u64> {
    let number = |joined: &Joined| match joined {
        Joined::New { ticket, .. } => Some(ticket.0),
        _ => None,
    };
    joined.iter().filter_map(number).collect()
}

fn done(called: u64, serving: u64) -> Called {
    Called::Done { called, serving: Slot(serving) }
}

/// What an engine is made of, and what has to live as long as it does.
struct Engine {
    store: Store,
    _server: Option<RedisServer>,
}

fn memory() -> Engine {
    Engine { store: Arc::new(MemoryStore::new()), _server: None }
}

fn redis(guard: Guard) -> Engine {
    let tls = guard == Guard::Tls;
    let server = RedisServer::guarded(guard);
    let mut options = RedisOptions::new(server.url());
    options.ca_file = tls.then(|| server.ca_file());
    options.timeout = Duration::from_secs(10);
    Engine { store: Arc::new(RedisStore::new(options).unwrap()), _server: Some(server) }
}
