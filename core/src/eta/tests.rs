use super::*;
use crate::window::STRETCH_MS;
use proptest::prelude::*;

const OPENING: Millis = Millis(1_800_000_000_000);

fn seen(after_ms: u64, supply: Supply) -> Observed {
    let now = OPENING.plus(after_ms);
    Observed { now, since: OPENING, supply_since: OPENING, waiting: 5000, supply, capacity: None }
}

fn per_minute(per_minute: u64, ready_now: f64) -> Supply {
    Supply::Steady { per_minute, ready_now }
}

/// A window of `calls` per second for `secs` seconds from the opening on, with people waiting since long before.
fn called(calls: f64, secs: u64) -> Window {
    let mut window = Window::default();
    window.at(OPENING.minus(STRETCH_MS)).busy_ms = STRETCH_MS;
    for sec in 0..secs {
        let flow = window.at(OPENING.plus(sec * 1000));
        flow.busy_ms += 1000;
        flow.calls += (calls * (sec + 1) as f64) as u64 - (calls * sec as f64) as u64;
    }
    window
}

fn secs(pace: &Pace, position: u64) -> (u64, u64, u64) {
    let eta = pace.estimate(Position(position), pace.at()).unwrap();
    (eta.low_sec, eta.sec, eta.high_sec)
}

#[test]
fn nobody_is_told_a_time_while_nobody_is_called() {
    for supply in [Supply::Stopped, per_minute(0, 3.0), Supply::Waves { size: 0, every_ms: 5, next_at: OPENING }] {
        let pace = Pace::learn(&seen(0, supply), &Window::default());
        assert_eq!(pace.estimate(Position(7), OPENING), None);
    }
}

#[test]
fn who_is_called_or_let_through_waits_no_more() {
    let zero = Eta { sec: 0, low_sec: 0, high_sec: 0, confidence: 1.0 };
    let pace = Pace::learn(&seen(0, Supply::Instant), &Window::default());
    assert_eq!(pace.estimate(Position(7), OPENING), Some(zero));
    let pace = Pace::learn(&seen(0, per_minute(60, 0.0)), &Window::default());
    assert_eq!(pace.estimate(Position(0), OPENING), Some(zero));
}

#[test]
fn the_front_of_a_steady_line_is_the_bucket() {
    let pace = Pace::learn(&seen(0, per_minute(60, 3.0)), &Window::default());
    assert_eq!([1, 3, 4, 13].map(|position| secs(&pace, position).1), [0, 0, 1, 10]);
    let (low, _, high) = secs(&pace, 13);
    assert!(low >= 9 && high <= 11);
    // Four seconds on, without a newer board.
    assert_eq!(pace.estimate(Position(13), OPENING.plus(4000)).unwrap().sec, 6);
    assert_eq!(pace.estimate(Position(13), OPENING.plus(40_000)).unwrap().sec, 0);
}

#[test]
fn the_front_of_waves_is_the_timetable() {
    let supply = Supply::Waves { size: 10, every_ms: 30_000, next_at: OPENING.plus(4_000) };
    let pace = Pace::learn(&seen(0, supply), &Window::default());
    for (position, want) in [(1, 4), (10, 4), (11, 34), (20, 34), (21, 64)] {
        assert_eq!(secs(&pace, position), (want, want, want), "position {position}");
    }
}

#[test]
fn empty_history_is_not_averaged_in() {
    // The mistake of dividing by five minutes when three seconds have passed makes this 100 times too long.
    for rate in [1.0, 10.0, 500.0] {
        for after in [0, 1, 3, 10, 60, 400] {
            let supply = per_minute((rate * 60.0) as u64, 0.0);
            let pace = Pace::learn(&seen(after * 1000, supply), &called(rate, after));
            let got = secs(&pace, 6000).1 as f64;
            assert!((got * rate / 6000.0 - 1.0).abs() < 0.02, "{rate} per second after {after} s: {got}");
        }
    }
}

#[test]
fn a_line_slower_than_its_settings_is_told_by_what_it_did() {
    let pace = Pace::learn(&seen(120_000, per_minute(600, 0.0)), &called(4.0, 120));
    let (low, sec, high) = secs(&pace, 1000);
    assert!((230..=270).contains(&sec) && low <= 250 && high >= 250, "{low} {sec} {high}");
    // Never faster than the settings, which may have been cut a moment ago.
    let cut = Observed { supply_since: OPENING.plus(120_000), ..seen(120_000, per_minute(60, 0.0)) };
    assert_eq!(secs(&Pace::learn(&cut, &called(4.0, 120)), 1000).1, 1000);
    let raised = Observed { supply_since: OPENING.plus(120_000), ..seen(120_000, per_minute(600, 0.0)) };
    assert_eq!(secs(&Pace::learn(&raised, &called(4.0, 120)), 1000).1, 100);
}

#[test]
fn a_trickle_is_no_measure_of_speed() {
    // One join a second, each called at the next tick: the line never moved faster because nobody was there to move.
    let mut window = Window::default();
    for sec in 0..100 {
        let flow = window.at(OPENING.plus(sec * 1000));
        (flow.calls, flow.busy_ms) = (flow.calls + 1, flow.busy_ms + 250);
    }
    let pace = Pace::learn(&seen(100_000, per_minute(6000, 0.0)), &window);
    assert_eq!(secs(&pace, 1000).1, 10);
}

#[test]
fn missed_turns_that_go_back_into_the_bucket_speed_the_line_up() {
    let pace = Pace::learn(&seen(300_000, per_minute(600, 0.0)), &called(11.0, 300));
    assert!((905..=915).contains(&secs(&pace, 10_000).1));
    // What the bucket had saved up before the opening does not.
    let mut window = called(1.0, 60);
    window.at(OPENING).calls += 50;
    assert_eq!(secs(&Pace::learn(&seen(60_000, per_minute(60, 0.0)), &window), 600).1, 600);
}

#[test]
fn a_full_room_moves_as_places_come_free() {
    let capacity = |free| Some(Capacity { limit: 100, free, session_ms: 300_000, renews: true });
    let full = Observed { capacity: capacity(0), ..seen(400_000, per_minute(6000, 10.0)) };
    let (low, sec, high) = secs(&Pace::learn(&full, &called(0.5, 400)), 200);
    assert!((380..=420).contains(&sec) && low < 370 && high > 430, "{low} {sec} {high}");
    // Before anybody came out: at once for those who fit, by the length of a session for the others.
    let fresh = Observed { capacity: capacity(90), ..seen(0, per_minute(6000, 10.0)) };
    let pace = Pace::learn(&fresh, &Window::default());
    assert!(secs(&pace, 80).2 <= 2 && (180..=320).contains(&secs(&pace, 190).1));
}

#[test]
fn losses_ahead_shorten_the_wait_by_the_formula() {
    assert!((drain(1000.0, 1.0, 0.001) - 693.147).abs() < 0.001);
    assert_eq!(drain(1000.0, 2.0, 0.0), 500.0);
    assert!((shrink(1000.0, 1.0, 0.001, drain(1000.0, 1.0, 0.001))).abs() < 1e-6);
    let mut window = called(1.0, 300);
    let flow = window.at(OPENING.plus(150_000));
    (flow.losses, flow.waited_ms) = (200, 5000 * 300_000);
    let pace = Pace::learn(&seen(300_000, per_minute(60, 0.0)), &window);
    assert!((3800..4200).contains(&secs(&pace, 5000).1));
}

#[test]
fn the_form_in_the_board_is_pinned() {
    let capacity = Some(Capacity { limit: 100, free: 40, session_ms: 300_000, renews: true });
    for (supply, capacity, want) in [
        (Supply::Stopped, None, r#"{"at":1800000000000,"how":"stopped","l":0.0,"v":0.00008889}"#),
        (Supply::Instant, None, r#"{"at":1800000000000,"how":"instant","l":0.0,"v":0.00008889}"#),
        (
            per_minute(90, 2.5),
            None,
            r#"{"at":1800000000000,"how":{"steady":{"b":2.5,"r":1.5}},"l":0.0,"v":0.00008889}"#,
        ),
        (
            per_minute(90, 2.5),
            capacity,
            concat!(
                r#"{"at":1800000000000,"how":{"steady":{"b":2.5,"r":1.5,"#,
                r#""f":{"n":48.65,"c":0.3333,"d":0.4,"w":1.0}}},"l":0.0,"v":0.00008889}"#
            ),
        ),
        (
            Supply::Waves { size: 10, every_ms: 30_000, next_at: OPENING },
            None,
            concat!(
                r#"{"at":1800000000000,"how":{"waves":{"size":10.0,"every":30000,"next":1800000000000}},"#,
                r#""l":0.0,"v":0.00008889}"#
            ),
        ),
    ] {
        let pace = Pace::learn(&Observed { capacity, ..seen(0, supply) }, &Window::default());
        assert_eq!(serde_json::to_string(&pace).unwrap(), want);
        assert_eq!(serde_json::from_str::<Pace>(want).unwrap(), pace);
    }
    let eta = Eta { sec: 10, low_sec: 8, high_sec: 13, confidence: 0.9 };
    let want = r#"{"eta_sec":10,"eta_low_sec":8,"eta_high_sec":13,"eta_confidence":0.9}"#;
    assert_eq!(serde_json::to_string(&eta).unwrap(), want);
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(-1.0), Just(f64::MAX), Just(f64::INFINITY), Just(5e-324), 0.0..1e-3, 0.0..1e3, 0.0..1e9]
}

fn pace() -> impl Strategy<Value = Pace> {
    let full =
        prop::option::of((number(), number(), number(), number()).prop_map(|(after, speed, doubt, noise)| Full {
            after,
            speed,
            doubt,
            noise,
        }));
    let steady =
        (number(), number(), full).prop_map(|(ready, rate, full)| Course::Steady(Steady { ready, rate, full }));
    let waves = (number(), any::<u64>(), any::<u64>()).prop_map(|(size, every, next)| Course::Waves {
        size,
        every,
        next: Millis(next),
    });
    (any::<u64>(), prop_oneof![steady, waves], number(), number()).prop_map(|(at, course, loss, drift)| Pace {
        at: Millis(at),
        course,
        loss,
        drift,
    })
}

proptest! {
    #[test]
    fn any_numbers_are_safe_to_estimate_from(pace in pace(), position: u64, now: u64) {
        pace.estimate(Position(position), Millis(now));
    }

    #[test]
    fn who_is_further_back_is_never_told_less(
        rate in 1u64..100_000, ready in 0.0..20.0,
        capacity in prop::option::of((1u64..1000, 0u64..1000, 1000u64..1_000_000)),
        waves in prop::option::of((1u64..1000, 1000u64..100_000, 0u64..100_000)),
        seconds in 0u64..400, moved in 0.0..100.0, lost in 0u64..5000, position in 1u64..100_000, step in 0u64..1000,
    ) {
        let mut window = called(moved, seconds);
        let supply = match waves {
            Some((size, every_ms, next)) => {
                Supply::Waves { size, every_ms, next_at: OPENING.plus(seconds * 1000 + next) }
            }
            None => per_minute(rate, ready),
        };
        let flow = window.at(OPENING.plus(seconds * 1000));
        (flow.losses, flow.waited_ms) = (lost, 5_000_000);
        let capacity = capacity
            .map(|(limit, free, session_ms)| Capacity { limit, free: free.min(limit), session_ms, renews: true });
        let pace = Pace::learn(&Observed { capacity, ..seen(seconds * 1000, supply) }, &window);
        let ((low, sec, high), (_, further, _)) = (secs(&pace, position), secs(&pace, position + step));
        prop_assert!(low <= sec && sec <= high, "{low} {sec} {high}");
        prop_assert!(sec <= further, "{sec} {further}: {pace:?}");
    }
}
