//! Random settings, crowds, clocks and operators: what was promised holds in every room, at every step.

use super::simulation::{BIRTH, Manner, Room};
use crate::admission;
use crate::settings::{Feedback, MinWait, Mode, Release, Settings};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

#[derive(Clone, Debug)]
enum Event {
    Mode(Mode),
    Rate(u32),
    Capacity(Option<u32>),
    Report {
        p95_ms: u32,
    },
    ByHand(u64),
    /// The clock of the second host from now on, against true time.
    Clock(i64),
}

#[derive(Clone, Debug)]
struct Moment {
    ms: u64,
    joins: Vec<Manner>,
    /// Which hosts tick: the first, the second, and whether the first then dawdles between deciding and doing.
    ticks: (bool, bool, bool),
    event: Option<Event>,
}

fn any_manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        5 => Just(Manner::Polite),
        1 => Just(Manner::NoShow),
        1 => (0u64..60_000).prop_map(|after| Manner::Leaver { after }),
        1 => (0u64..60_000).prop_map(|after| Manner::Ghost { after }),
        1 => (0u64..30_000, 0u64..90_000).prop_map(|(after, away)| Manner::Returner { after, away }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        prop::sample::select(vec![Mode::Line, Mode::Line, Mode::Hold, Mode::Passthrough]).prop_map(Event::Mode),
        (1u32..3_000).prop_map(Event::Rate),
        prop::option::of(1u32..30).prop_map(Event::Capacity),
        (0u32..2_000).prop_map(|p95_ms| Event::Report { p95_ms }),
        (0u64..20).prop_map(Event::ByHand),
        (-3_000i64..3_000).prop_map(Event::Clock),
    ]
}

fn any_moment() -> impl Strategy<Value = Moment> {
    let joins = prop_oneof![
        8 => Just(Vec::new()),
        3 => prop::collection::vec(any_manner(), 1..4),
        1 => prop::collection::vec(any_manner(), 4..20),
    ];
    let ticks = (prop::bool::weighted(0.8), prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    // Seldom an outage: nobody ticks, and nobody enters or polls.
    let ms = prop_oneof![200 => 1u64..800, 1 => 3_000u64..60_000];
    (ms, joins, ticks, prop::option::weighted(0.03, any_event())).prop_map(|(ms, joins, ticks, event)| Moment {
        ms,
        joins,
        ticks,
        event,
    })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let release = prop_oneof![
        3 => Just(Release::Steady),
        1 => (1u32..20, 1u32..12).prop_map(|(size, every_sec)| Release::Waves { size, every_sec }),
    ];
    let min_wait = prop_oneof![
        Just(Settings::default().min_wait),
        Just(Vec::new()),
        (1u64..6, 1u64..20, 0u32..4, 0u32..6).prop_map(|(first, more, sec, later)| vec![
            MinWait { up_to: Some(first), sec: 0 },
            MinWait { up_to: Some(first + more), sec },
            MinWait { up_to: None, sec: sec + later },
        ]),
    ];
    let feedback = Feedback { p95_ms: 800, error_rate: 0.02, min_per_minute: 30, max_per_minute: 1_500 };
    (
        (release, min_wait, prop::option::weighted(0.5, 1u32..40), prop_oneof![1u32..100, 100u32..6_000], 1u32..20),
        (6u32..20, 12u32..40, 1u32..3, 1u32..60, prop::option::weighted(0.3, 1u64..40_000), any::<bool>()),
    )
        .prop_map(
            move |((release, min_wait, capacity, rate, burst), (claim, heartbeat, max_wait, session, opens, loop_))| {
                let mut settings = Settings {
                    release,
                    min_wait,
                    capacity,
                    admit_per_minute: rate,
                    burst,
                    claim_sec: claim,
                    heartbeat_sec: heartbeat,
                    max_wait_min: max_wait,
                    session_sec: session,
                    feedback: (loop_ && release == Release::Steady).then_some(feedback),
                    ..Settings::default()
                };
                settings.schedule.opens = opens.map(|ms| BIRTH.plus(ms));
                settings
            },
        )
}

fn happen(room: &mut Room, event: &Event, clock: &mut i64) {
    match event {
        Event::Mode(mode) => room.change(|settings| settings.mode = *mode),
        Event::Rate(rate) => room.change(|settings| settings.admit_per_minute = *rate),
        Event::Capacity(capacity) => room.change(|settings| settings.capacity = *capacity),
        Event::Report { p95_ms } => {
            if let Some(feedback) = room.settings.feedback {
                let rate = admission::rate(room.facts(), &room.settings);
                room.set_rate(admission::regulated(&feedback, rate, f64::from(*p95_ms), 0.0));
            }
        }
        Event::ByHand(count) => room.call_by_hand(*count),
        Event::Clock(ms) => *clock = *ms,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn never_too_many_nobody_overtakes_ghosts_fade_and_nobody_waits_too_long_or_too_short(
        settings in any_settings(),
        moments in prop::collection::vec(any_moment(), 1..500),
    ) {
        let mut room = Room::new(settings);
        let (mut clock, mut dawdling) = (0i64, None);
        for moment in &moments {
            room.now = room.now.plus(moment.ms);
            room.act();
            if !moment.joins.is_empty() {
                room.join(&moment.joins);
            }
            if let Some(event) = &moment.event {
                happen(&mut room, event, &mut clock);
            }
            let (first, second, dawdles) = moment.ticks;
            if let Some(decision) = dawdling.take() {
                room.carry_out(decision);
            }
            if second {
                let off = clock.unsigned_abs();
                room.tick(if clock < 0 { room.now.minus(off) } else { room.now.plus(off) });
            }
            if first && dawdles {
                dawdling = Some(room.decide(room.now));
            } else if first {
                room.tick(room.now);
                room.check_people();
            }
        }
        room.check_calls();
        room.check_never_too_many();
    }
}
