//! The embedded store on disk: what a crash costs, what a clean end keeps, what the files look like.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use anteroom_core::line::{Heard, Join, JoinLimits, Joined};
use anteroom_core::units::{EventId, Generation, Millis};
use anteroom_origin::store::memory::MemoryStore;
use anteroom_origin::store::{Known, QueueStore, Reading, StoreError};
use std::fs;
use std::sync::Arc;
use tempfile::TempDir;

const NOW: Millis = Millis(1_700_000_000_000);
const LIMITS: JoinLimits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 1_000 };

fn event() -> EventId {
    EventId::parse("sale").unwrap()
}

async fn join(store: &MemoryStore, count: usize) -> Vec<u64> {
    let batch = vec![Join { identity: None, idem: None }; count];
    let batch = store.join(&event(), &batch, LIMITS, NOW).await.unwrap().unwrap();
    let number = |joined: &Joined| match joined {
        Joined::New { ticket, .. } => ticket.0,
        other => panic!("{other:?}"),
    };
    batch.joined.iter().map(number).collect()
}

async fn read(store: &MemoryStore) -> Reading {
    store.read(&event(), Known::default(), NOW).await.unwrap().unwrap()
}

fn heard(ticket: u64) -> Heard {
    let mut heard = Heard { generation: Generation(NOW.secs()), ..Heard::default() };
    heard.bits.set(ticket - 1);
    heard
}

#[tokio::test]
async fn a_crash_hands_no_number_out_twice_and_costs_the_unsaved_nothing_once_they_are_heard_from() {
    let dir = TempDir::new().unwrap();
    let store = MemoryStore::open(dir.path()).unwrap();
    store.put_room(&event(), "{}", NOW).await.unwrap();
    let saved = join(&store, 10).await;
    store.save().unwrap();
    let unsaved = join(&store, 5).await;
    // As after kill -9: neither saved nor closed.
    drop(store);

    let store = MemoryStore::open(dir.path()).unwrap();
    assert_eq!(read(&store).await.facts.waiting, 10, "the saved wait, skipped numbers are nobody's place");
    let next = join(&store, 1).await[0];
    assert!(!saved.contains(&next) && next > *unsaved.last().unwrap(), "{next} was handed out before");
    assert_eq!(store.hear(&event(), &heard(unsaved[2]), NOW).await.unwrap(), Some(1), "a holder has the place back");
    assert_eq!(read(&store).await.facts.waiting, 12);
}

#[tokio::test]
async fn a_clean_restart_skips_no_number() {
    let dir = TempDir::new().unwrap();
    for round in 0..3 {
        let store = MemoryStore::open(dir.path()).unwrap();
        if round == 0 {
            store.put_room(&event(), "{}", NOW).await.unwrap();
        }
        assert_eq!(join(&store, 2).await, [round * 2 + 1, round * 2 + 2]);
        store.close().unwrap();
    }
}

#[tokio::test]
async fn a_crash_after_a_close_that_was_followed_by_joins_still_hands_no_number_out_twice() {
    let dir = TempDir::new().unwrap();
    let store = MemoryStore::open(dir.path()).unwrap();
    store.put_room(&event(), "{}", NOW).await.unwrap();
    join(&store, 2).await;
    store.close().unwrap();
    let late = join(&store, 3).await;
    drop(store);
    let store = MemoryStore::open(dir.path()).unwrap();
    assert!(join(&store, 1).await[0] > late[2]);
}

#[tokio::test]
async fn a_reset_survives_a_crash() {
    let dir = TempDir::new().unwrap();
    let store = MemoryStore::open(dir.path()).unwrap();
    store.put_room(&event(), "{}", NOW).await.unwrap();
    join(&store, 10).await;
    let generation = store.reset(&event(), NOW).await.unwrap().unwrap();
    drop(store);
    let store = MemoryStore::open(dir.path()).unwrap();
    let facts = read(&store).await.facts;
    assert_eq!((facts.generation, facts.issued), (generation, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn saves_joins_and_deletes_at_once_leave_files_that_can_be_read() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(MemoryStore::open(dir.path()).unwrap());
    store.put_room(&event(), "{}", NOW).await.unwrap();
    let gone = EventId::parse("gone").unwrap();
    store.put_room(&gone, "{}", NOW).await.unwrap();
    let savers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::task::spawn_blocking(move || (0..25).for_each(|_| store.save().unwrap()))
        })
        .collect();
    for round in 0..50 {
        join(&store, 3).await;
        if round == 25 {
            assert!(store.delete_room(&gone).await.unwrap());
        }
    }
    for saver in savers {
        saver.await.unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = MemoryStore::open(dir.path()).unwrap();
    assert_eq!(read(&store).await.facts.issued, 150);
    assert_eq!(store.inventory().await.unwrap().rooms, [event()], "a deleted room stays deleted");
}

#[tokio::test]
async fn a_second_process_is_refused_the_directory() {
    let dir = TempDir::new().unwrap();
    let _first = MemoryStore::open(dir.path()).unwrap();
    let error = MemoryStore::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("another process uses this directory"), "{error}");
}

#[test]
fn a_damaged_file_is_named_and_never_replaced() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sale.line.json");
    for content in ["", "{", "[]", "{\"format\":1}", "\u{0}\u{0}"] {
        fs::write(&path, content).unwrap();
        let error = MemoryStore::open(dir.path()).err().unwrap();
        assert!(matches!(error, StoreError::Broken(_)), "{error}");
        assert!(error.to_string().contains("sale.line.json"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    let newer = include_str!("saved_line.v1.json").replace("\"format\":1", "\"format\":2");
    fs::write(&path, newer).unwrap();
    let error = MemoryStore::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("sale.line.json: format 2 is not 1"), "{error}");
}

/// The file was written by the first version of the format and must be read for as long as there is that format. What came to the
/// numbers since is nought in it, and written from then on.
#[tokio::test]
async fn the_format_of_a_saved_line_is_pinned() {
    let dir = TempDir::new().unwrap();
    let pinned = include_str!("saved_line.v1.json");
    let path = dir.path().join("sale.line.json");
    if std::env::var_os("ANTEROOM_WRITE_PINS").is_some() {
        write_pin().await;
        return;
    }
    fs::write(&path, pinned).unwrap();
    let store = MemoryStore::open(dir.path()).unwrap();
    store.save().unwrap();
    let since = pinned.replace(",\"mark_at\"", ",\"given_back\":0,\"mark_at\"");
    assert_eq!(fs::read_to_string(&path).unwrap(), since);
    let reading = store.read(&event(), Known { sessions: true, ..Known::default() }, NOW).await.unwrap().unwrap();
    assert_eq!((reading.facts.issued, reading.facts.serving, reading.facts.waiting), (15, 4, 10));
    assert_eq!(reading.sessions.unwrap().len(), 1);
    assert_eq!(reading.settings.unwrap(), "{\"claim_sec\":30}");
}

/// Makes a line with something in every part of it, and writes it beside this file.
async fn write_pin() {
    use anteroom_core::line::{Call, EnterTerms, IdemKey};
    use anteroom_core::units::{Identity, Slot};
    let dir = TempDir::new().unwrap();
    let store = MemoryStore::open(dir.path()).unwrap();
    let (event, generation) = (event(), Generation(NOW.secs()));
    store.put_room(&event, "{\"claim_sec\":30}", NOW).await.unwrap();
    join(&store, 14).await;
    let idem = Some(IdemKey { key: "caller:key".into(), fingerprint: "print".into() });
    let known = Join { identity: Some(Identity::parse("ümit").unwrap()), idem };
    store.join(&event, &[known], LIMITS, NOW).await.unwrap();
    store.leave(&event, generation, Slot(7), NOW).await.unwrap();
    let version = read(&store).await.facts.version;
    let call = Call { version, now: NOW, count: 4, limit: Slot(15), until: NOW.plus(30_000), ..Call::default() };
    store.call(&event, &call).await.unwrap();
    let terms = EnterTerms { session_ms: 60_000, pass_ttl_ms: 30_000 };
    store.enter(&event, generation, Slot(2), terms, NOW).await.unwrap();
    store.hear(&event, &heard(9), NOW).await.unwrap();
    store.save().unwrap();
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/saved_line.v1.json");
    fs::copy(dir.path().join("sale.line.json"), target).unwrap();
}
