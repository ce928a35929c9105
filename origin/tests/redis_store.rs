//! What holds of Redis alone: outages, reloaded scripts, keys, and how long a script may hold everybody up.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use anteroom_core::bitmap::Bitmap;
use anteroom_core::line::{
    Call, Called, Enter, EnterTerms, Heard, IdemKey, Join, JoinLimits, Joined, Restore, Session,
};
use anteroom_core::units::{EventId, Generation, Identity, Millis, Slot};
use anteroom_origin::store::redis::{RedisOptions, RedisStore};
use anteroom_origin::store::{Known, QueueStore, StoreError, Stored};
use anteroom_testkit::redis::{Guard, RedisServer};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const NOW: Millis = Millis(1_700_000_000_000);
const GENERATION: Generation = Generation(1_700_000_000);
const LIMITS: JoinLimits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 1_000 };
/// The limit of a call in these tests, and how much longer it may look on a machine that is busy.
const TIMEOUT: Duration = Duration::from_millis(500);
const SLACK: Duration = Duration::from_secs(2);

fn event() -> EventId {
    EventId::parse("sale").unwrap()
}

fn store_at(url: String) -> RedisStore {
    let mut options = RedisOptions::new(url);
    options.timeout = TIMEOUT;
    RedisStore::new(options).unwrap()
}

async fn join(store: &RedisStore, count: usize) -> Stored<Vec<u64>> {
    let batch = vec![Join { identity: None, idem: None }; count];
    let batch = store.join(&event(), &batch, LIMITS, NOW).await?.unwrap();
    let number = |joined: &Joined| match joined {
        Joined::New { ticket, .. } => ticket.0,
        other => panic!("{other:?}"),
    };
    Ok(batch.joined.iter().map(number).collect())
}

/// Retries while the store is away: what an origin does at each tick.
async fn until_available<T>(mut step: impl AsyncFnMut() -> Stored<T>) -> T {
    let since = Instant::now();
    loop {
        match step().await {
            Ok(value) => return value,
            Err(StoreError::Unavailable(_)) if since.elapsed() < Duration::from_secs(15) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn assert_unavailable<T: std::fmt::Debug>(call: impl Future<Output = Stored<T>>) {
    let since = Instant::now();
    let answer = call.await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert!(since.elapsed() < TIMEOUT + SLACK, "took {:?}", since.elapsed());
}

#[tokio::test]
async fn redis_absent_at_the_start_is_an_outage_that_ends_by_itself() {
    let mut server = RedisServer::start();
    server.kill();
    let store = store_at(server.url());
    assert_unavailable(store.clock()).await;
    assert_unavailable(store.put_room(&event(), "{}", NOW)).await;
    server.restart();
    // No connection was lost, so the very next call is answered.
    assert!(store.clock().await.unwrap() > NOW);
}

#[tokio::test]
async fn a_redis_that_hangs_is_an_outage_within_the_limit() {
    let mut server = RedisServer::start();
    let store = store_at(server.url());
    store.put_room(&event(), "{}", NOW).await.unwrap();
    server.pause();
    assert_unavailable(join(&store, 1)).await;
    assert_unavailable(store.clock()).await;
    server.resume();
    until_available(async || store.clock().await).await;
    let tickets = until_available(async || join(&store, 1).await).await;
    assert!(tickets[0] <= 2, "the unanswered join may have happened, at most once");
}

#[tokio::test]
async fn an_emptied_redis_shows_another_name_and_the_line_comes_back_with_no_ticket_twice() {
    let mut server = RedisServer::start();
    let store = store_at(server.url());
    store.put_room(&event(), "{\"v\":1}", NOW).await.unwrap();
    let before = join(&store, 10).await.unwrap();
    let first = store.inventory().await.unwrap();
    assert_eq!(store.inventory().await.unwrap(), first);
    let was = store.read(&event(), Known { sessions: true, ..Known::default() }, NOW).await.unwrap().unwrap();

    server.kill();
    assert_unavailable(join(&store, 1)).await;
    assert_unavailable(store.inventory()).await;
    server.restart();
    let second = until_available(async || store.inventory().await).await;
    assert_ne!(second.store_id, first.store_id);
    assert_eq!(second.rooms, []);
    assert_eq!(store.read(&event(), Known::default(), NOW).await.unwrap(), None);

    let (gone, left) = was.bitmaps.unwrap();
    let (known, issued) = (was.facts.issued, was.facts.issued + 1_000);
    let known = Restore { generation: was.facts.generation, known, issued, gone, left, ..Restore::default() };
    assert!(store.restore(&event(), "{\"v\":1}", &known, NOW).await.unwrap());
    assert_eq!(store.inventory().await.unwrap().rooms, [event()]);
    let after = join(&store, 10).await.unwrap();
    assert!(after.iter().all(|ticket| !before.contains(ticket)));
    let reading = store.read(&event(), Known::default(), NOW).await.unwrap().unwrap();
    assert_eq!((reading.facts.waiting, reading.settings.as_deref()), (20, Some("{\"v\":1}")));
}

#[tokio::test]
async fn places_outlive_the_origin_that_handed_them_out() {
    let server = RedisServer::start();
    let first = store_at(server.url());
    first.put_room(&event(), "{}", NOW).await.unwrap();
    assert_eq!(join(&first, 2).await.unwrap(), [1, 2]);
    let name = first.inventory().await.unwrap();
    drop(first);
    let second = store_at(server.url());
    assert_eq!(join(&second, 1).await.unwrap(), [3]);
    assert_eq!(second.inventory().await.unwrap(), name);
}

#[tokio::test]
async fn scripts_are_loaded_again_when_redis_has_forgotten_them() {
    let server = RedisServer::start();
    let store = store_at(server.url());
    store.put_room(&event(), "{}", NOW).await.unwrap();
    assert_eq!(join(&store, 1).await.unwrap(), [1]);
    assert_eq!(server.cli(&["SCRIPT", "FLUSH"]), "OK");
    assert_eq!(join(&store, 1).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_line_of_before_time_was_given_back_goes_on_whichever_script_comes_first() {
    let server = RedisServer::start();
    let (store, event) = (store_at(server.url()), event());
    let terms = EnterTerms { session_ms: 60_000, pass_ttl_ms: 30_000 };
    for (script, outage) in [("read_line", 0), ("enter_line", 1), ("extend_session", 90_000), ("call_next", 90_000)] {
        store.delete_room(&event).await.unwrap();
        store.put_room(&event, "{}", NOW).await.unwrap();
        join(&store, 3).await.unwrap();
        call(&store, 2).await;
        store.enter(&event, GENERATION, Slot(1), terms, NOW).await.unwrap().unwrap();
        assert_eq!(server.cli(&["HDEL", "anteroom:{sale}:line", "given_back"]), "1");
        let now = NOW.plus(outage);
        match script {
            "enter_line" => {
                let second = store.enter(&event, GENERATION, Slot(2), terms, now).await.unwrap().unwrap();
                assert!(matches!(second, Enter::Entered(session) if session.ends_at == now.plus(60_000)));
            }
            "extend_session" => {
                let ends = store.extend_session(&event, GENERATION, Slot(1), Millis(0), now).await.unwrap();
                assert_eq!(ends, Some(Some(now.plus(60_000))));
            }
            "call_next" => {
                let version = server.cli(&["HGET", "anteroom:{sale}:line", "version"]).parse().unwrap();
                let call = Call { version, now, count: 1, limit: Slot(3), until: now.plus(10_000), ..Call::default() };
                let called = store.call(&event, &call).await.unwrap().unwrap();
                assert_eq!(called, Called::Done { called: 1, serving: Slot(3) });
            }
            _ => {}
        }
        let known = Known { sessions: true, ..Known::default() };
        let reading = store.read(&event, known, now).await.unwrap().unwrap();
        assert_eq!(reading.facts.given_back, if outage > 1 { outage } else { 0 }, "{script}");
        let given_back = reading.facts.given_back;
        assert_eq!(reading.sessions.unwrap()[0].1.ends_at, NOW.plus(60_000 + given_back), "{script}");
        assert!(reading.waves.unwrap().iter().all(|wave| wave.until == NOW.plus(10_000 + given_back)), "{script}");
    }
}

/// As a line of any length: what is given back is one number.
#[tokio::test]
async fn giving_an_outage_back_costs_the_same_with_one_inside_and_with_three_hundred_thousand() {
    let server = RedisServer::start();
    let mut options = RedisOptions::new(server.url());
    options.timeout = Duration::from_secs(20);
    let store = RedisStore::new(options).unwrap();
    let session = Session { entered_at: NOW, ends_at: NOW.plus(600_000), pass_at: NOW };
    for inside in [1, 300_000] {
        let mut left = Bitmap::new();
        left.set_range(0, inside);
        let known = Restore {
            generation: GENERATION,
            known: inside,
            issued: inside,
            serving: inside,
            left,
            active: (1..=inside).map(|slot| (slot, session)).collect(),
            ..Restore::default()
        };
        store.delete_room(&event()).await.unwrap();
        store.restore(&event(), "{}", &known, NOW).await.unwrap();
        store.read(&event(), Known::default(), NOW).await.unwrap();
        server.cli(&["CONFIG", "RESETSTAT"]);
        let now = NOW.plus(3_600_000);
        let ends = store.extend_session(&event(), GENERATION, Slot(1), Millis(0), now).await.unwrap();
        assert_eq!(ends, Some(Some(now.plus(600_000))));
        let micros = counted(&server, "evalsha", "usec");
        println!("an hour given back to {inside} inside: {micros} us of script");
        assert!(micros < 10_000, "{inside} inside: {micros} us");
        let facts = store.read(&event(), Known::default(), now).await.unwrap().unwrap().facts;
        assert_eq!((facts.active, facts.given_back), (inside, 3_600_000));
    }
}

#[tokio::test]
async fn a_wrong_password_is_an_outage_that_ends_when_it_is_put_right() {
    let server = RedisServer::guarded(Guard::Password("right".into()));
    let mut options = RedisOptions::new(format!("redis://127.0.0.1:{}/", server.port()));
    options.password = Some("wrong".into());
    options.timeout = TIMEOUT;
    let store = RedisStore::new(options).unwrap();
    assert_unavailable(store.clock()).await;
    assert_eq!(server.cli(&["CONFIG", "SET", "requirepass", "wrong"]), "OK");
    assert!(store.clock().await.unwrap() > NOW);
}

/// Hole 14: nothing is half done.
#[tokio::test]
async fn out_of_memory_and_read_only_are_outages_and_change_nothing() {
    let server = RedisServer::start();
    let store = store_at(server.url());
    store.put_room(&event(), "{}", NOW).await.unwrap();
    join(&store, 3).await.unwrap();
    let before = server.cli(&["HGETALL", "anteroom:{sale}:line"]);

    assert_eq!(server.cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    assert_unavailable(join(&store, 1)).await;
    assert_unavailable(store.read(&event(), Known::default(), NOW)).await;
    assert_unavailable(store.reset(&event(), NOW)).await;
    assert_eq!(server.cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");

    assert_eq!(server.cli(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    assert_unavailable(join(&store, 1)).await;
    assert_eq!(server.cli(&["REPLICAOF", "NO", "ONE"]), "OK");

    assert_eq!(server.cli(&["HGETALL", "anteroom:{sale}:line"]), before);
    assert_eq!(join(&store, 1).await.unwrap(), [4]);
}

#[tokio::test]
async fn keys_that_are_not_ours_are_a_bug_and_not_an_outage() {
    let server = RedisServer::start();
    let store = store_at(server.url());
    assert_eq!(server.cli(&["SET", "anteroom:{sale}:line", "x"]), "OK");
    let answer = join(&store, 1).await;
    assert!(matches!(answer, Err(StoreError::Broken(_))), "{answer:?}");
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused_unless_that_is_allowed() {
    let server = RedisServer::guarded(Guard::Tls);
    assert_unavailable(store_at(server.url()).clock()).await;
    let mut options = RedisOptions::new(server.url());
    options.dangerous_accept_any_certificate = true;
    assert!(RedisStore::new(options).unwrap().clock().await.unwrap() > NOW);
}

#[test]
fn bad_options_are_named_and_the_password_is_not() {
    let error = |url: &str, ca: Option<&str>| {
        let mut options = RedisOptions::new(url);
        options.ca_file = ca.map(Into::into);
        RedisStore::new(options).err().unwrap().to_string()
    };
    for (url, ca, want) in [
        ("http://u:s3cret@h/", None, "begins with \"http\""),
        ("redis://u:s3cret@h:port/", None, "cannot be understood"),
        ("rediss://u:s3cret@h/#insecure", None, "dangerous_"),
        ("redis://u:s3cret@h/", Some("/nowhere.pem"), "does not begin with rediss://"),
        ("rediss://u:s3cret@h/", Some("/nowhere.pem"), "/nowhere.pem"),
    ] {
        let text = error(url, ca);
        assert!(text.contains(want) && !text.contains("s3cret"), "{text}");
    }
}

/// So that a Cluster can hold each room on one node and any number of rooms on many.
#[tokio::test]
async fn all_keys_of_a_room_share_its_hash_tag_and_none_is_left_behind() {
    let server = RedisServer::start();
    let names = Arc::new(Mutex::new(BTreeSet::new()));
    let mut options = RedisOptions::new(server.url());
    let seen = names.clone();
    options.observer = Some(Arc::new(move |name, _| {
        seen.lock().unwrap().insert(name);
    }));
    let store = RedisStore::new(options).unwrap();
    let event = event();
    store.clock().await.unwrap();
    store.inventory().await.unwrap();
    store.put_room(&event, "{}", NOW).await.unwrap();
    join(&store, 500).await.unwrap();
    let idem = Some(IdemKey { key: "a {b} c".into(), fingerprint: "f".into() });
    let known = Join { identity: Some(Identity::parse("{x}").unwrap()), idem };
    store.join(&event, &[known], LIMITS, NOW).await.unwrap();
    let mut heard = Heard { generation: GENERATION, ..Heard::default() };
    heard.bits.set_range(0, 400);
    for epoch in 0..6 {
        store.hear(&event, &heard, NOW).await.unwrap();
        store.turn_epoch(&event, epoch, NOW).await.unwrap();
    }
    store.sweep(&event, NOW).await.unwrap();
    heard.bits.set_range(400, 450);
    store.hear(&event, &heard, NOW).await.unwrap();
    let version = store.read(&event, Known::default(), NOW).await.unwrap().unwrap().facts.version;
    let call = Call { version, now: NOW, count: 200, limit: Slot(500), until: NOW.plus(10), ..Call::default() };
    store.call(&event, &call).await.unwrap();
    let terms = EnterTerms { session_ms: 60_000, pass_ttl_ms: 30_000 };
    store.enter(&event, GENERATION, Slot(5), terms, NOW).await.unwrap();
    store.enter(&event, GENERATION, Slot(6), terms, NOW).await.unwrap();
    store.leave(&event, GENERATION, Slot(7), NOW).await.unwrap();
    store.extend_session(&event, GENERATION, Slot(5), NOW.plus(90_000), NOW).await.unwrap();
    store.end_session(&event, GENERATION, Slot(6), NOW).await.unwrap();
    store.read(&event, Known::default(), NOW.plus(11)).await.unwrap();
    assert_eq!(server.cli(&["EXISTS", "anteroom:{sale}:waves", "anteroom:{sale}:claims"]), "0", "the wave is over");
    store.trim(&event, 64).await.unwrap();
    let more = Restore { generation: GENERATION, issued: 900, ..Restore::default() };
    store.restore(&event, "{}", &more, NOW).await.unwrap();
    store.bind_key("k", "f", 1_000, NOW).await.unwrap();

    let keys = || -> BTreeSet<String> { server.cli(&["KEYS", "*"]).lines().map(str::to_owned).collect() };
    let own = |key: &&String| key.starts_with("anteroom:{sale}:");
    let others: Vec<String> = keys().into_iter().filter(|key| !own(&key)).collect();
    assert_eq!(others, ["anteroom:bound:k", "anteroom:rooms", "anteroom:store"]);
    assert!(!keys().iter().any(|key| key.contains(":work:")), "{:?}", keys());
    store.reset(&event, NOW).await.unwrap();
    let left: Vec<String> = keys().iter().filter(own).map(|key| key["anteroom:{sale}:".len()..].to_owned()).collect();
    assert_eq!(left, ["idem:a {b} c", "line", "settings"]);
    store.delete_room(&event).await.unwrap();
    assert_eq!(keys().iter().filter(own).count(), 1, "the record of a key runs out by itself");
    assert!(server.cli(&["PTTL", "anteroom:{sale}:idem:a {b} c"]).parse::<i64>().unwrap() > 0);

    let scripts = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../lua")).unwrap();
    let scripts = scripts.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    let missing: Vec<String> =
        scripts.filter(|name| name != "room" && !names.lock().unwrap().contains(name.as_str())).collect();
    assert_eq!(missing, [] as [&str; 0], "scripts that no call was observed of");
}

/// A line of `size` places, `left` of which have left, as if long at work.
async fn long_line(store: &RedisStore, size: u64, left: impl Fn(&mut Bitmap)) {
    let mut bits = Bitmap::new();
    left(&mut bits);
    let known = Restore {
        generation: GENERATION,
        known: size,
        issued: size,
        gone: bits.clone(),
        left: bits,
        ..Restore::default()
    };
    store.delete_room(&event()).await.unwrap();
    store.restore(&event(), "{}", &known, NOW).await.unwrap();
}

async fn call(store: &RedisStore, count: u64) -> Called {
    let version = store.read(&event(), Known::default(), NOW).await.unwrap().unwrap().facts.version;
    let limit = Slot(u64::MAX);
    let call = Call { version, now: NOW, count, limit, until: NOW.plus(10_000), ..Call::default() };
    store.call(&event(), &call).await.unwrap().unwrap()
}

/// What Redis has counted of a command since its counters were reset: `usec`, `calls`.
fn counted(server: &RedisServer, command: &str, what: &str) -> u64 {
    let stats = server.cli(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:"))).unwrap_or_default();
    let field = line.split(',').find_map(|field| field.strip_prefix(what)?.strip_prefix('='));
    field.map_or(0, |number| number.parse().unwrap())
}

/// Hole 15, and the trap of adding up what is missing: bounded rounds and no loop over people, whatever is gone.
#[tokio::test]
async fn calling_many_past_a_desert_holds_nobody_up() {
    let server = RedisServer::start();
    let mut options = RedisOptions::new(server.url());
    options.timeout = Duration::from_secs(20);
    let store = RedisStore::new(options).unwrap();
    // Every hundredth place is live.
    let desert = |bits: &mut Bitmap| (0..1_000_000).step_by(100).for_each(|at| bits.set_range(at, at + 99));
    for (what, size, left, count, serving) in [
        ("50,000 of a full line", 1_000_000, &(|_: &mut Bitmap| {}) as &dyn Fn(&mut Bitmap), 50_000, 50_000),
        ("9,999 of a line with 99 % gone", 1_000_000, &desert, 9_999, 999_900),
        ("1 behind a million gone", 1_000_001, &|bits: &mut Bitmap| bits.set_range(0, 1_000_000), 1, 1_000_001),
    ] {
        long_line(&store, size, left).await;
        server.cli(&["CONFIG", "RESETSTAT"]);
        let called = call(&store, count).await;
        assert_eq!(called, Called::Done { called: count, serving: Slot(serving) }, "{what}");
        let (micros, counts) = (counted(&server, "evalsha", "usec"), counted(&server, "bitcount", "calls"));
        println!("calling {what}: {micros} us of script with its read, {counts} counts");
        assert!(micros < 20_000, "{what}: {micros} us");
        assert!(counts < 100, "{what}: {counts} counts");
    }
}

/// A batch of anonymous joins is one increment, in a short line and in a long one.
#[tokio::test]
async fn a_batch_of_joins_costs_the_same_for_one_and_for_thousands_of_people() {
    let server = RedisServer::start();
    let mut options = RedisOptions::new(server.url());
    options.timeout = Duration::from_secs(20);
    let store = RedisStore::new(options).unwrap();
    let mut figures = Vec::new();
    for (line, batch) in [(1_000, 1), (1_000, 64), (1_000, 10_000), (10_000_000, 64)] {
        long_line(&store, line, |_| {}).await;
        join(&store, batch).await.unwrap();
        server.cli(&["CONFIG", "RESETSTAT"]);
        for _ in 0..200 {
            join(&store, batch).await.unwrap();
        }
        assert_eq!(counted(&server, "evalsha", "calls"), 200, "one script a batch");
        let micros = counted(&server, "evalsha", "usec") as f64 / 200.0;
        println!("{batch} joins at once, {line} in line: {micros:.1} us of script");
        figures.push(micros);
    }
    let dearest = figures.iter().copied().fold(0.0, f64::max);
    assert!(dearest < 1_000.0, "{figures:?}");
}

/// Budget: two bytes a person, heartbeats of every epoch included.
#[tokio::test]
async fn a_million_anonymous_people_take_less_than_two_bytes_each() {
    const PEOPLE: u64 = 1_000_000;
    let server = RedisServer::start();
    let mut options = RedisOptions::new(server.url());
    options.timeout = Duration::from_secs(20);
    let store = RedisStore::new(options).unwrap();
    store.put_room(&event(), "{}", NOW).await.unwrap();
    for _ in 0..100 {
        join(&store, (PEOPLE / 100) as usize).await.unwrap();
    }
    let mut heard = Heard { generation: GENERATION, ..Heard::default() };
    heard.bits.set_range(0, PEOPLE);
    for epoch in 0..6 {
        store.hear(&event(), &heard, NOW).await.unwrap();
        store.turn_epoch(&event(), epoch, NOW).await.unwrap();
    }
    // One who leaves from the very end makes both bitmaps as long as they get.
    store.leave(&event(), GENERATION, Slot(PEOPLE), NOW).await.unwrap();
    store.hear(&event(), &heard, NOW).await.unwrap();
    let facts = store.read(&event(), Known::default(), NOW).await.unwrap().unwrap().facts;
    assert_eq!(facts.waiting, PEOPLE - 1);
    let keys = server.cli(&["KEYS", "anteroom:{sale}:*"]);
    let bytes: u64 = keys.lines().map(|key| server.cli(&["MEMORY", "USAGE", key]).parse::<u64>().unwrap()).sum();
    println!("{:.3} bytes a person", bytes as f64 / PEOPLE as f64);
    assert!(bytes <= 2 * PEOPLE, "{bytes} bytes");
}
