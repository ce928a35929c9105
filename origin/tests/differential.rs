//! Memory against Redis: random sequences of every operation of a store, with clocks that jump and step back, with callers that decide
//! on what they read long ago, must give equal answers and leave equal lines, step by step.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use anteroom_core::line::{Call, EnterTerms, Heard, IdemKey, Join, JoinLimits, Restore};
use anteroom_core::units::{EventId, Generation, Identity, Millis, Slot, Ticket};
use anteroom_origin::store::memory::MemoryStore;
use anteroom_origin::store::redis::{RedisOptions, RedisStore};
use anteroom_origin::store::{Known, QueueStore, Reading};
use anteroom_testkit::redis::RedisServer;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use std::sync::atomic::{AtomicU64, Ordering};

/// Compares the answer of an operation on both stores.
macro_rules! same {
    ($pair:expr, $method:ident($($argument:expr),* $(,)?)) => {{
        let memory = $pair.memory.$method(&$pair.event, $($argument),*).await.unwrap();
        let redis = $pair.redis.$method(&$pair.event, $($argument),*).await.unwrap();
        prop_assert_eq!(&memory, &redis, "{} (memory left, Redis right)", stringify!($method));
        memory
    }};
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Anonymous(u8),
    Identified(u8),
    Keyed(u8, u8),
    Both(u8, u8, u8),
}

/// Which slot: an odd number picks one that is inside or was called lately, where there is any; an even one is taken modulo a little more
/// than has been issued, so that unknown ones occur.
type Pick = u32;

#[derive(Clone, Debug)]
enum Op {
    Put,
    Delete,
    Reset,
    Join {
        who: Vec<Who>,
        places: u64,
        idem_ttl_ms: u64,
        mark_every_ms: u64,
    },
    Hear {
        remembered: bool,
        strange: bool,
        runs: Vec<(Pick, u16)>,
    },
    TurnEpoch {
        stale: bool,
    },
    Sweep,
    Call {
        remembered: bool,
        count: u64,
        limit: Option<Pick>,
        lapse: Option<Pick>,
        claim_ms: u64,
        level: u64,
        refund: u64,
        marks_back: u64,
    },
    Enter {
        slot: Pick,
        strange: bool,
        session_ms: u64,
    },
    Leave {
        slot: Pick,
        strange: bool,
    },
    Extend {
        slot: Pick,
        strange: bool,
        by_ms: u64,
    },
    End {
        slot: Pick,
        strange: bool,
    },
    Trim {
        to: Pick,
        aligned: bool,
    },
    Restore {
        generation: u8,
        more: u64,
        users: Vec<(u8, Pick)>,
    },
    /// An origin reads and remembers: what follows may be decided on it.
    Remember,
    /// An origin reads what it does not know yet.
    ReadOn {
        sessions: bool,
    },
}

#[derive(Clone, Debug)]
struct Step {
    /// Milliseconds that the caller's clock has moved.
    clock: i64,
    op: Op,
    /// Whether both lines are read and compared afterwards. Reading settles a line, so not always.
    look: bool,
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => (1u8..120).prop_map(Who::Anonymous),
        2 => (0u8..6).prop_map(Who::Identified),
        1 => (0u8..4, 0u8..2).prop_map(|(key, print)| Who::Keyed(key, print)),
        1 => (0u8..6, 0u8..4, 0u8..2).prop_map(|(id, key, print)| Who::Both(id, key, print)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let strange = || prop::bool::weighted(0.05);
    let one_of = |values: &[u64]| prop::sample::select(values.to_vec());
    let join = (prop::collection::vec(who(), 1..6), 1u64..3, one_of(&[1, 3_000, 60_000]), one_of(&[0, 1_000]));
    let hear = (prop::bool::weighted(0.3), strange(), prop::collection::vec((any::<Pick>(), 1u16..150), 0..5));
    let count = prop_oneof![0u64..8, 0u64..200, Just(u64::MAX)];
    let call = (
        (prop::bool::weighted(0.2), count, prop::option::weighted(0.3, any::<Pick>())),
        (prop::option::weighted(0.1, any::<Pick>()), one_of(&[1, 2_000, 9_000, 60_000])),
        (0u64..1_000_000, 0u64..40, one_of(&[0, 2_000, 50_000])),
    );
    let restore = (0u8..3, prop_oneof![Just(0u64), 1u64..300], prop::collection::vec((0u8..6, any::<Pick>()), 0..3));
    prop_oneof![
        1 => Just(Op::Put),
        1 => Just(Op::Delete),
        1 => Just(Op::Reset),
        16 => join.prop_map(|(who, places, idem_ttl_ms, mark_every_ms)| {
            Op::Join { who, places, idem_ttl_ms, mark_every_ms }
        }),
        10 => hear.prop_map(|(remembered, strange, runs)| Op::Hear { remembered, strange, runs }),
        10 => strange().prop_map(|stale| Op::TurnEpoch { stale }),
        2 => Just(Op::Sweep),
        16 => call.prop_map(|((remembered, count, limit), (lapse, claim_ms), (level, refund, marks_back))| {
            Op::Call { remembered, count, limit, lapse, claim_ms, level, refund, marks_back }
        }),
        14 => (any::<Pick>(), strange(), one_of(&[1, 4_000, 60_000]))
            .prop_map(|(slot, strange, session_ms)| Op::Enter { slot, strange, session_ms }),
        8 => (any::<Pick>(), strange()).prop_map(|(slot, strange)| Op::Leave { slot, strange }),
        3 => (any::<Pick>(), strange(), 0u64..20_000)
            .prop_map(|(slot, strange, by_ms)| Op::Extend { slot, strange, by_ms }),
        2 => (any::<Pick>(), strange()).prop_map(|(slot, strange)| Op::End { slot, strange }),
        4 => (any::<Pick>(), prop::bool::weighted(0.9)).prop_map(|(to, aligned)| Op::Trim { to, aligned }),
        3 => restore.prop_map(|(generation, more, users)| Op::Restore { generation, more, users }),
        5 => Just(Op::Remember),
        5 => any::<bool>().prop_map(|sessions| Op::ReadOn { sessions }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly in half seconds, so that things end in the very millisecond in which something else happens.
    let clock = prop_oneof![
        3 => Just(0i64),
        5 => (1i64..8).prop_map(|halves| halves * 500),
        2 => 1i64..3_000,
        2 => -4_000i64..0,
        2 => (6i64..140).prop_map(|halves| halves * 500),
        // An outage of a day.
        1 => 3_001i64..90_000_000,
    ];
    (clock, op(), prop::bool::weighted(0.7)).prop_map(|(clock, op, look)| Step { clock, op, look })
}

struct Pair<'a> {
    memory: &'a MemoryStore,
    redis: &'a RedisStore,
    event: EventId,
}

impl Pair<'_> {
    /// Reads everything, compares it, and checks what must hold of any line.
    async fn look(&self, now: Millis) -> Result<Option<Reading>, TestCaseError> {
        let reading = same!(self, read(Known { sessions: true, ..Known::default() }, now));
        let Some(reading) = reading else { return Ok(None) };
        let facts = &reading.facts;
        let (gone, left) = reading.bitmaps.as_ref().expect("an unknown generation brings the bitmaps");
        let bit = |slot: u64| slot - facts.base;
        prop_assert_eq!(gone.count(bit(facts.issued), u64::MAX), 0, "nobody is born gone");
        prop_assert_eq!(left.count(bit(facts.issued), u64::MAX), 0, "nobody is born left");
        let live = facts.issued - facts.serving - gone.count(bit(facts.serving), bit(facts.issued));
        prop_assert_eq!(facts.waiting, live, "waiting is what the bits say");
        let ready: u64 = reading.waves.iter().flatten().map(|wave| wave.called - wave.claimed).sum();
        prop_assert_eq!(facts.ready, ready, "ready is what the waves say");
        prop_assert_eq!(facts.active, reading.sessions.iter().flatten().count() as u64, "active is the open sessions");
        Ok(Some(reading))
    }
}

/// Slots whose session or claim window is open: few among many, so that random ones would seldom meet them twice.
fn open_slots(reading: &Reading) -> Vec<u64> {
    let inside = reading.sessions.iter().flatten().map(|(slot, _)| *slot);
    let called = reading.waves.iter().flatten().flat_map(|wave| [wave.from.0, wave.last.0]);
    inside.chain(called).collect()
}

fn known(reading: Option<&Reading>, sessions: bool) -> Known {
    reading.map_or(Known { sessions, ..Known::default() }, |reading| Known {
        generation: reading.facts.generation,
        version: reading.facts.version,
        bits: reading.facts.bits,
        settings: reading.facts.settings,
        mark_at: reading.joins.last().map_or(Millis(0), |mark| mark.at),
        sessions,
    })
}

fn identity(number: u8) -> Identity {
    Identity::parse(&format!("ümit {number}")).unwrap()
}

fn joins(who: &[Who]) -> Vec<Join> {
    let idem = |key: u8, print: u8| {
        Some(IdemKey { key: format!("caller {{x}}:{key}"), fingerprint: format!("a print, with spaces {print}") })
    };
    who.iter()
        .flat_map(|who| {
            let (count, join) = match *who {
                Who::Anonymous(count) => (count, Join { identity: None, idem: None }),
                Who::Identified(id) => (1, Join { identity: Some(identity(id)), idem: None }),
                Who::Keyed(key, print) => (1, Join { identity: None, idem: idem(key, print) }),
                Who::Both(id, key, print) => (1, Join { identity: Some(identity(id)), idem: idem(key, print) }),
            };
            std::iter::repeat_n(join, count.into())
        })
        .collect()
}

async fn play(pair: &Pair<'_>, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut clock = 1_700_000_000_000_i64;
    same!(pair, put_room("{}", Millis(clock as u64)));
    let mut remembered: Option<Reading> = None;
    let mut current = pair.look(Millis(clock as u64)).await?;
    for Step { clock: moved, op, look } in steps {
        clock += moved;
        let now = Millis(clock as u64);
        let facts = current.as_ref().map(|reading| reading.facts.clone()).unwrap_or_default();
        let open = current.as_ref().map(open_slots).unwrap_or_default();
        let slot = |pick: Pick| match (pick % 2, open.len()) {
            (1, 1..) => Slot(open[pick as usize / 2 % open.len()]),
            _ => Slot(u64::from(pick / 2) % (facts.issued + 3)),
        };
        let generation = |strange: bool| Generation(facts.generation.0.saturating_sub(u64::from(strange)));
        let old = |wanted: bool| if wanted { remembered.as_ref().map(|reading| &reading.facts) } else { None };
        match op.clone() {
            Op::Put => {
                same!(pair, put_room(&format!("{{\"at\":{clock}}}"), now));
            }
            Op::Delete => {
                same!(pair, delete_room());
            }
            Op::Reset => {
                same!(pair, reset(now));
            }
            Op::Join { who, places, idem_ttl_ms, mark_every_ms } => {
                let limits = JoinLimits { places_per_user: places, idem_ttl_ms, mark_every_ms };
                same!(pair, join(&joins(&who), limits, now));
            }
            Op::Hear { remembered, strange, runs } => {
                let base = old(remembered).unwrap_or(&facts).base + if strange { 64 } else { 0 };
                let mut heard = Heard { generation: generation(strange), base, ..Heard::default() };
                for (pick, length) in runs {
                    let from = slot(pick).0.max(base + 1) - base - 1;
                    heard.bits.set_range(from, from + u64::from(length));
                }
                same!(pair, hear(&heard, now));
            }
            Op::TurnEpoch { stale } => {
                same!(pair, turn_epoch(facts.epoch + u64::from(stale), now));
            }
            Op::Sweep => {
                same!(pair, sweep(now));
            }
            Op::Call { remembered, count, limit, lapse, claim_ms, level, refund, marks_back } => {
                let call = Call {
                    version: old(remembered).unwrap_or(&facts).version,
                    now,
                    lapse_to: lapse.map_or(Slot(0), slot),
                    count,
                    limit: limit.map_or(Slot(u64::MAX), slot),
                    until: now.plus(claim_ms),
                    level,
                    cost: 60_000,
                    level_at: now,
                    refund,
                    wave_at: now.minus(7),
                    rate: level % 100,
                    marks_from: now.minus(marks_back),
                };
                same!(pair, call(&call));
            }
            Op::Enter { slot: pick, strange, session_ms } => {
                let terms = EnterTerms { session_ms, pass_ttl_ms: 1_500 };
                same!(pair, enter(generation(strange), slot(pick), terms, now));
            }
            Op::Leave { slot: pick, strange } => {
                same!(pair, leave(generation(strange), slot(pick), now));
            }
            Op::Extend { slot: pick, strange, by_ms } => {
                same!(pair, extend_session(generation(strange), slot(pick), now.plus(by_ms), now));
            }
            Op::End { slot: pick, strange } => {
                same!(pair, end_session(generation(strange), slot(pick), now));
            }
            Op::Trim { to, aligned } => {
                let to = slot(to).0;
                same!(pair, trim(if aligned { to / 64 * 64 } else { to }));
            }
            Op::Restore { generation, more, users } => {
                let Some(Reading { facts: was, bitmaps: Some((gone, left)), waves, sessions, .. }) = remembered.clone()
                else {
                    continue;
                };
                let restore = Restore {
                    generation: Generation(was.generation.0 + u64::from(generation) - 1),
                    base: was.base,
                    known: was.issued,
                    issued: was.issued + more,
                    serving: was.serving,
                    gone,
                    left,
                    settled_at: if more % 3 == 2 { Millis(0) } else { was.settled_at },
                    waves: waves.unwrap_or_default(),
                    active: sessions.unwrap_or_default(),
                    level: was.level,
                    level_at: was.level_at,
                    totals: [was.called_total, was.entered_total, was.missed_total, was.left_total],
                    users: users.iter().map(|(id, pick)| (identity(*id), Ticket(slot(*pick).0))).collect(),
                };
                same!(pair, restore("{\"restored\":true}", &restore, now));
            }
            Op::Remember => remembered = pair.look(now).await?,
            Op::ReadOn { sessions } => {
                same!(pair, read(known(remembered.as_ref(), sessions), now));
            }
        }
        if *look {
            current = pair.look(now).await?;
        }
    }
    // What no reading shows, the next decisions do.
    for _ in 0..6 {
        let now = Millis(clock as u64);
        let Some(reading) = pair.look(now).await? else { break };
        same!(pair, turn_epoch(reading.facts.epoch, now));
    }
    pair.look(Millis(clock as u64)).await?;
    same!(pair, delete_room());
    Ok(())
}

#[test]
fn every_operation_gives_the_same_on_memory_and_on_redis() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3_000);
    let server = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let memory = MemoryStore::new();
    let mut options = RedisOptions::new(server.url());
    // A busy machine is no outage.
    options.timeout = std::time::Duration::from_secs(20);
    let redis = RedisStore::new(options).unwrap();
    let number = AtomicU64::new(0);
    let regressions = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential.regressions");
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        max_shrink_iters: 4_000,
        ..Config::default()
    });
    let outcome = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
        let event = EventId::parse(&format!("case-{}", number.fetch_add(1, Ordering::Relaxed))).unwrap();
        runtime.block_on(play(&Pair { memory: &memory, redis: &redis, event }, &steps))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
