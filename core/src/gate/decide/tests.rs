use super::*;
use crate::gate::request::Facts;
use crate::gate::rooms::Gate;
use crate::units::{EventId, Slot, Ticket};
use alloc::sync::Arc;
use proptest::prelude::*;
use serde_json::{Value, json};

pub(in crate::gate) const NOW: Millis = Millis(1_800_000_000_000);
pub(in crate::gate) const THERE: Known = Known { now: NOW, generation: Some(Generation(7)), away_ms: 0 };
pub(in crate::gate) const PERSON: Client = Client { reads: Reads::Page, may_join: true, may_enter: true };
pub(in crate::gate) const PROGRAM: Client = Client { reads: Reads::Data, may_join: true, may_enter: true };
const PICTURE: Client = Client { reads: Reads::Neither, may_join: false, may_enter: true };

fn gate(settings: Value) -> Gate {
    let settings = Settings::default().patched(&settings).unwrap();
    Gate::new([(EventId::parse("sale").unwrap(), Arc::new(settings))])
}

pub(in crate::gate) fn session(left_sec: i64) -> SessionClaims {
    SessionClaims {
        event: EventId::parse("sale").unwrap(),
        generation: Generation(7),
        slot: Slot(3),
        ticket: Ticket(3),
        identity: None,
        renewed_at: (NOW.secs() as i64 + left_sec - 600) as u64,
        ends_at: (NOW.secs() as i64 + left_sec) as u64,
    }
}

fn decided(
    settings: Value,
    method: &str,
    client: Client,
    session: Option<&SessionClaims>,
    place: Place,
    known: Known,
) -> Outcome {
    let gate = gate(settings);
    let mut facts = Facts::new(method, "/tickets");
    facts.header("host", "shop.example");
    decide(gate.route(&facts), client, session, place, &known)
}

fn visit(settings: Value, client: Client, place: Place, known: Known) -> Outcome {
    decided(settings, "GET", client, None, place, known)
}

fn inside(settings: Value, session: SessionClaims, known: Known) -> Option<bool> {
    match decided(settings, "GET", PERSON, Some(&session), Place::None, known) {
        Outcome::Pass(passage) => Some(passage.renew),
        _ => None,
    }
}

#[test]
fn everybody_gets_what_their_place_is_worth() {
    use Outcome::{Enter, Join, Show};
    for (client, place, want) in [
        (PERSON, Place::None, Join),
        (PROGRAM, Place::None, Join),
        (PICTURE, Place::None, Show(Scene::Outside)),
        (PERSON, Place::Waiting, Show(Scene::Line)),
        (PROGRAM, Place::Waiting, Show(Scene::Line)),
        (PICTURE, Place::Waiting, Show(Scene::Line)),
        (PERSON, Place::Ready, Show(Scene::Line)),
        (PROGRAM, Place::Ready, Enter),
        (PICTURE, Place::Ready, Show(Scene::Line)),
        (PERSON, Place::Entered, Enter),
        (PERSON, Place::Over(ErrorCode::TokenExpired), Show(Scene::Ended(Ended::Lost))),
        (PERSON, Place::Over(ErrorCode::TokenNotFound), Join),
        (PICTURE, Place::Over(ErrorCode::TokenNotFound), Show(Scene::Outside)),
        (PERSON, Place::Unknown, Show(Scene::Held)),
    ] {
        assert_eq!(visit(json!({}), client, place, THERE), want, "{client:?} {place:?}");
    }
}

#[test]
fn before_the_opening_and_after_the_end_nobody_is_given_a_place_and_places_stay() {
    let [past, future] = ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"];
    for (schedule, want) in [
        (json!({"joins_open": future}), Outcome::Show(Scene::NotOpen)),
        (json!({"closes": past}), Outcome::Show(Scene::Closed(ErrorCode::BookingClosed))),
        (json!({"joins_open": past, "closes": future}), Outcome::Join),
    ] {
        let visit = |client, place| visit(json!({"schedule": schedule}), client, place, THERE);
        for place in [Place::None, Place::Over(ErrorCode::TokenNotFound)] {
            assert_eq!(visit(PERSON, place), want, "{schedule}");
            assert_eq!(visit(PICTURE, place), Outcome::Show(Scene::Outside), "{schedule}");
        }
        assert_eq!(visit(PERSON, Place::Waiting), Outcome::Show(Scene::Line), "{schedule}");
        assert_eq!(visit(PROGRAM, Place::Ready), Outcome::Enter, "{schedule}");
    }
}

#[test]
fn for_whoever_only_asks_no_turn_is_taken() {
    let asks = Client { may_enter: false, ..PROGRAM };
    for place in [Place::Ready, Place::Entered] {
        assert_eq!(visit(json!({}), asks, place, THERE), Outcome::Show(Scene::Line));
    }
    assert_eq!(after_join(&Settings::default(), asks, Ok(true), &THERE), Outcome::Show(Scene::Line));
}

#[test]
fn what_is_not_guarded_passes_and_a_room_that_rejects_turns_away() {
    let nothing = Outcome::Pass(Passage::default());
    assert_eq!(visit(json!({"mode": "passthrough"}), PERSON, Place::None, THERE), nothing);
    assert_eq!(decided(json!({}), "OPTIONS", PERSON, None, Place::None, THERE), nothing);
    let full = Outcome::Show(Scene::Closed(ErrorCode::RoomFull));
    assert_eq!(visit(json!({"mode": "reject"}), PERSON, Place::Ready, THERE), full);
    assert_eq!(inside(json!({"mode": "reject"}), session(500), THERE), Some(false), "who is inside stays");
    assert_eq!(visit(json!({"mode": "hold"}), PERSON, Place::None, THERE), Outcome::Join);
}

#[test]
fn a_session_admits_until_it_ends_and_is_extended_from_half_of_it_on() {
    for (left, renew) in [(600, Some(false)), (301, Some(false)), (300, Some(true)), (1, Some(true)), (0, None)] {
        assert_eq!(inside(json!({}), session(left), THERE), renew, "{left}");
    }
    assert_eq!(inside(json!({"session_renew": false}), session(100), THERE), Some(false));
    let reset = Known { generation: Some(Generation(8)), ..THERE };
    assert_eq!(inside(json!({}), session(500), reset), None, "everybody out");
    let behind = Known { generation: Some(Generation(6)), ..THERE };
    assert_eq!(inside(json!({}), session(500), behind), Some(false), "the host has not heard of the reset");
    let nothing = Known { generation: None, ..THERE };
    assert_eq!(inside(json!({}), session(500), nothing), Some(false));
}

#[test]
fn nobody_inside_is_thrown_out_because_the_origin_is_away() {
    let away = |sec: u64| Known { away_ms: sec * 1000, ..THERE };
    assert_eq!(inside(json!({}), session(-100), away(120)), Some(true), "ran out since");
    assert_eq!(inside(json!({}), session(-130), away(120)), None, "ran out before");
    assert_eq!(inside(json!({}), session(-601), away(900)), None, "not for ever");
    assert_eq!(inside(json!({"session_renew": false}), session(-100), away(120)), None, "nothing extends it");
}

#[test]
fn without_the_origin_a_room_does_what_it_says() {
    let away = |sec: u64| Known { away_ms: sec * 1000, ..THERE };
    let open = || json!({"on_origin_down": "open"});
    let nothing = Outcome::Pass(Passage::default());
    for place in [Place::None, Place::Waiting, Place::Unknown] {
        assert_eq!(visit(open(), PERSON, place, away(30)), nothing);
        assert_ne!(visit(open(), PERSON, place, away(29)), nothing);
        assert_ne!(visit(json!({}), PERSON, place, away(300)), nothing);
    }
    let settings = |settings: Value| Settings::default().patched(&settings).unwrap();
    let down = Err(ErrorCode::Unavailable);
    assert_eq!(after_join(&settings(json!({})), PERSON, down, &away(300)), Outcome::Show(Scene::Held));
    assert_eq!(after_join(&settings(open()), PERSON, down, &away(3)), Outcome::Show(Scene::Held));
    assert_eq!(after_join(&settings(open()), PERSON, down, &away(300)), nothing);
    assert_eq!(after_enter(&settings(open()), Err(ErrorCode::Unavailable), &away(300)), nothing);
}

#[test]
fn what_follows_a_join_and_a_turn() {
    let settings = Settings::default();
    for (code, want) in [
        (ErrorCode::JoinNotOpen, Scene::NotOpen),
        (ErrorCode::BookingClosed, Scene::Closed(ErrorCode::BookingClosed)),
        (ErrorCode::RoomFull, Scene::Closed(ErrorCode::RoomFull)),
        (ErrorCode::RateLimited, Scene::Refused(ErrorCode::RateLimited)),
        (ErrorCode::Unavailable, Scene::Held),
        (ErrorCode::EventNotFound, Scene::Held),
    ] {
        assert_eq!(after_join(&settings, PERSON, Err(code), &THERE), Outcome::Show(want), "{code}");
    }
    assert_eq!(after_join(&settings, PERSON, Ok(true), &THERE), Outcome::Enter);
    assert_eq!(after_join(&settings, PERSON, Ok(false), &THERE), Outcome::Show(Scene::Line));
    let passage = Passage { session: Some(session(600)), renew: false };
    assert_eq!(after_enter(&settings, Ok(session(600)), &THERE), Outcome::Pass(passage));
    for (code, want) in [
        (ErrorCode::NotReady, Scene::Line),
        (ErrorCode::TokenExpired, Scene::Ended(Ended::Lost)),
        (ErrorCode::Unavailable, Scene::Held),
    ] {
        assert_eq!(after_enter(&settings, Err(code), &THERE), Outcome::Show(want), "{code}");
    }
}

#[test]
fn a_program_is_never_told_that_it_got_what_it_asked_for() {
    for scene in [
        Scene::Line,
        Scene::Ended(Ended::Lost),
        Scene::Ended(Ended::Left),
        Scene::Closed(ErrorCode::RoomFull),
        Scene::Closed(ErrorCode::BookingClosed),
        Scene::NotOpen,
        Scene::Held,
        Scene::Outside,
        Scene::Refused(ErrorCode::BadGateway),
    ] {
        assert!(scene.status(Reads::Data) >= 400 && scene.status(Reads::Neither) >= 400, "{scene:?}");
        assert_eq!(scene.status(Reads::Data), scene.code().status());
    }
    assert_eq!(Scene::Line.status(Reads::Page), 200);
    assert_eq!(Scene::Held.status(Reads::Page), 200);
    assert_eq!(Scene::Refused(ErrorCode::BadGateway).status(Reads::Page), 502);
}

proptest! {
    #[test]
    fn only_a_good_session_or_an_open_room_passes(
        mode in prop::sample::select(std::vec!["line", "hold", "reject"]),
        down in prop::sample::select(std::vec!["hold", "open"]),
        renew: bool, reads in 0..3, may_join: bool, left in -2000i64..2000, generation in 5u64..10,
        known in prop::option::of(5u64..10), away_ms in 0u64..2_000_000, place in 0..6, has_session: bool,
    ) {
        let client =
            Client { reads: [Reads::Page, Reads::Data, Reads::Neither][reads as usize], may_join, may_enter: true };
        let places = [
            Place::None, Place::Waiting, Place::Ready, Place::Entered, Place::Unknown,
            Place::Over(ErrorCode::TokenExpired),
        ];
        let session = SessionClaims { generation: Generation(generation), ..session(left) };
        let known = Known { generation: known.map(Generation), away_ms, ..THERE };
        let settings = json!({"mode": mode, "on_origin_down": down, "session_renew": renew});
        let session = has_session.then_some(&session);
        let outcome = decided(settings, "GET", client, session, places[place as usize], known);
        if let Outcome::Pass(passage) = outcome {
            match passage.session {
                Some(session) => {
                    prop_assert!(known.generation.is_none_or(|known| session.generation >= known));
                    prop_assert!(left > 0 || renew && (-left as u64) * 1000 < away_ms.min(GRACE_MS));
                }
                None => prop_assert!(down == "open" && away_ms >= OPEN_AFTER_MS && mode != "reject"),
            }
        }
    }
}
