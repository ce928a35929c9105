use super::*;
use crate::gate::decide::tests::{NOW, PERSON, PROGRAM, THERE, session};
use crate::gate::decide::{Ended, GRACE_MS, OPEN_AFTER_MS};
use crate::gate::request::{Facts, Reads};
use crate::gate::rooms::Gate;
use crate::settings::Settings;
use crate::units::{EventId, Generation, Millis, Ticket};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a host answers, step by step.
#[derive(Clone, Debug)]
struct Answers {
    news: News,
    place: Place,
    joined: Result<bool, ErrorCode>,
    entered: Result<SessionClaims, ErrorCode>,
}

/// Everything that was asked, and what became of it.
#[derive(Debug, PartialEq)]
struct Story {
    steps: Vec<&'static str>,
    end: End,
}

fn event() -> EventId {
    EventId::parse("sale").unwrap()
}

fn inside(left_sec: i64) -> Visitor<'static> {
    Visitor { session: Some(session(left_sec)), ..Visitor::default() }
}

fn in_line() -> Visitor<'static> {
    let claims =
        WaitingClaims { event: event(), generation: Generation(7), ticket: Ticket(9), identity: None, issued_at: 0 };
    Visitor { place: Some((claims, "old")), ..Visitor::default() }
}

fn answers() -> Answers {
    Answers { news: News::None, place: Place::Waiting, joined: Ok(false), entered: Err(ErrorCode::NotReady) }
}

fn visit(settings: Value, method: &str, client: Client, visitor: Visitor<'_>, known: Known, says: &Answers) -> Story {
    let settings = Settings::default().patched(&settings).unwrap();
    let gate = Gate::new([(event(), Arc::new(settings))]);
    let mut facts = Facts::new(method, "/tickets");
    facts.header("host", "shop.example");
    let mut visit = Visit::begin(gate.route(&facts), client, visitor, known);
    let mut steps = Vec::new();
    while let Some(step) = visit.next() {
        assert!(steps.len() < 4, "too many steps: {steps:?}");
        match step {
            Step::Renew(session) => {
                assert_eq!(session.left_ms(NOW), 0);
                steps.push("renew");
                visit.found(Place::Entered);
                visit.joined(Ok(Given { token: "stray".into(), ready: true }));
                visit.entered(Ok(self::session(600)));
                visit.renewed(says.news.clone());
            }
            Step::LookUp(claims, token) => {
                assert_eq!((claims.ticket, token), (Ticket(9), "old"));
                steps.push("look up");
                // What was not asked for changes nothing.
                visit.renewed(News::Extended(session(600)));
                visit.joined(Ok(Given { token: "stray".into(), ready: true }));
                visit.entered(Ok(session(600)));
                visit.found(says.place);
            }
            Step::Join(room) => {
                assert_eq!(room.event, event());
                steps.push("join");
                visit.renewed(News::Extended(session(600)));
                visit.found(Place::Entered);
                visit.entered(Ok(session(600)));
                visit.joined(says.joined.map(|ready| Given { token: "new".into(), ready }));
            }
            Step::Enter(token) => {
                assert_eq!(token, if steps.contains(&"join") { "new" } else { "old" });
                steps.push("enter");
                visit.renewed(News::Extended(session(600)));
                visit.found(Place::Entered);
                visit.joined(Ok(Given { token: "stray".into(), ready: true }));
                visit.entered(says.entered.clone());
            }
        }
    }
    Story { steps, end: visit.end(|session| std::format!("session {}", session.ends_at as i64 - NOW.secs() as i64)) }
}

fn passed(session: Option<SessionClaims>, handed: Option<(&str, bool)>) -> End {
    let mut passed = Passed { passage: Passage { session, renew: false }, ..Passed::default() };
    if let (Some((token, by_hand)), Some(session)) = (handed, &passed.passage.session) {
        passed.given = carry::session_given(session, token, by_hand, NOW);
        (passed.handed, passed.by_hand) = (Some(token.to_string()), by_hand);
    }
    End::Pass(passed)
}

fn shown(scene: Scene, token: Option<&str>, by_hand: bool) -> End {
    let fresh = token == Some("new");
    let given = if fresh { carry::place_given(&event(), "new", &Settings::default()) } else { Vec::new() };
    let token = token.map(ToString::to_string);
    let by_hand = token.clone().filter(|_| by_hand);
    End::Show { scene, token, by_hand, given }
}

#[test]
fn every_visit_takes_the_steps_that_it_needs() {
    let called = || Answers { joined: Ok(true), entered: Ok(session(600)), ..answers() };
    let on = |place| Answers { place, ..called() };
    let refused = |code| Answers { joined: Err(code), entered: Err(code), ..answers() };
    for (name, client, visitor, says, steps, end) in [
        ("inside", PERSON, inside(500), answers(), vec![], passed(Some(session(500)), None)),
        ("newcomer", PERSON, Visitor::default(), answers(), vec!["join"], shown(Scene::Line, Some("new"), true)),
        (
            "nobody before",
            PERSON,
            Visitor::default(),
            called(),
            vec!["join", "enter"],
            passed(Some(session(600)), Some(("session 600", false))),
        ),
        (
            "a program, nobody before it",
            PROGRAM,
            Visitor::default(),
            called(),
            vec!["join", "enter"],
            passed(Some(session(600)), Some(("session 600", true))),
        ),
        ("waiting", PERSON, in_line(), answers(), vec!["look up"], shown(Scene::Line, Some("old"), false)),
        (
            "a called person is asked",
            PERSON,
            in_line(),
            on(Place::Ready),
            vec!["look up"],
            shown(Scene::Line, Some("old"), false),
        ),
        (
            "a called program",
            PROGRAM,
            in_line(),
            on(Place::Ready),
            vec!["look up", "enter"],
            passed(Some(session(600)), Some(("session 600", false))),
        ),
        (
            "the cookie was lost",
            PERSON,
            in_line(),
            on(Place::Entered),
            vec!["look up", "enter"],
            passed(Some(session(600)), Some(("session 600", false))),
        ),
        (
            "left, and back",
            PERSON,
            in_line(),
            on(Place::Over(ErrorCode::TokenNotFound)),
            vec!["look up", "join", "enter"],
            passed(Some(session(600)), Some(("session 600", false))),
        ),
        (
            "missed",
            PERSON,
            in_line(),
            on(Place::Over(ErrorCode::TokenExpired)),
            vec!["look up"],
            shown(Scene::Ended(Ended::Lost), Some("old"), false),
        ),
        (
            "no place to be had",
            PERSON,
            Visitor::default(),
            refused(ErrorCode::Unavailable),
            vec!["join"],
            shown(Scene::Held, None, false),
        ),
        (
            "the turn is another's",
            PERSON,
            Visitor { place_by_hand: true, ..in_line() },
            Answers { place: Place::Entered, ..refused(ErrorCode::Forbidden) },
            vec!["look up", "enter"],
            shown(Scene::Held, Some("old"), true),
        ),
    ] {
        assert_eq!(visit(json!({}), "GET", client, visitor, THERE, &says), Story { steps, end }, "{name}");
    }
    let asks = Client { may_join: false, may_enter: false, ..PROGRAM };
    let end = shown(Scene::Line, Some("old"), false);
    assert_eq!(
        visit(json!({}), "GET", asks, in_line(), THERE, &on(Place::Ready)),
        Story { steps: vec!["look up"], end }
    );
}

#[test]
fn a_session_that_its_holder_has_no_token_of_is_handed_out() {
    let visitor = || Visitor { session_is_new: true, ..inside(500) };
    let handed = |by_hand| passed(Some(session(500)), Some(("session 500", by_hand)));
    assert_eq!(visit(json!({}), "GET", PERSON, visitor(), THERE, &answers()).end, handed(false));
    let carried = Visitor { session_by_hand: true, ..visitor() };
    assert_eq!(visit(json!({}), "GET", PERSON, carried, THERE, &answers()).end, handed(true));
}

#[test]
fn whoever_has_run_out_lately_is_let_in_if_the_origin_says_so_and_goes_on_like_anybody_else_if_not() {
    let on =
        |settings, visitor, known, news| visit(settings, "GET", PERSON, visitor, known, &Answers { news, ..answers() });
    let extended = || News::Extended(session(600));
    let story = |steps, end| Story { steps, end };
    let handed = |by_hand| passed(Some(session(600)), Some(("session 600", by_hand)));
    let line = || shown(Scene::Line, Some("new"), true);
    assert_eq!(on(json!({}), inside(-1), THERE, extended()), story(vec!["renew"], handed(false)));
    let carried = Visitor { session_by_hand: true, ..inside(0) };
    assert_eq!(on(json!({}), carried, THERE, extended()), story(vec!["renew"], handed(true)));
    assert_eq!(on(json!({"mode": "reject"}), inside(-599), THERE, extended()), story(vec!["renew"], handed(false)));
    for news in [News::None, News::Over, News::Extended(session(-1))] {
        assert_eq!(on(json!({}), inside(-1), THERE, news.clone()), story(vec!["renew", "join"], line()), "{news:?}");
        let both = Visitor { place: in_line().place, ..inside(-1) };
        let end = shown(Scene::Line, Some("old"), false);
        assert_eq!(on(json!({}), both, THERE, news), story(vec!["renew", "look up"], end));
    }
    // Nobody is asked about one who would not be let in anyway, or is let in without a question.
    assert_eq!(on(json!({}), inside(-600), THERE, extended()), story(vec!["join"], line()));
    assert_eq!(on(json!({"session_renew": false}), inside(-1), THERE, extended()), story(vec!["join"], line()));
    let reset = Known { generation: Some(Generation(8)), ..THERE };
    assert_eq!(on(json!({}), inside(-1), reset, extended()), story(vec!["join"], line()));
    let away = Known { away_ms: 2_000, ..THERE };
    assert_eq!(on(json!({}), inside(-1), away, extended()).steps, Vec::<&str>::new(), "the origin is away");
    assert_eq!(on(json!({}), inside(-2), away, extended()), story(vec!["renew"], handed(false)), "it may be back");
}

#[test]
fn what_nobody_guards_takes_no_step() {
    let story = Story { steps: vec![], end: passed(None, None) };
    assert_eq!(visit(json!({}), "OPTIONS", PERSON, Visitor::default(), THERE, &answers()), story);
    let gate = Gate::new([]);
    let refused = Visit::begin(gate.route(&Facts::new("GET", "/")), PERSON, Visitor::default(), THERE);
    assert!(refused.next().is_none());
    assert!(matches!(refused.end(|_| String::new()), End::Show { scene: Scene::Refused(_), .. }));
}

#[test]
fn whoever_does_not_take_the_steps_gets_nobody_in() {
    let gate = Gate::new([(event(), Arc::new(Settings::default()))]);
    let mut facts = Facts::new("GET", "/");
    facts.header("host", "shop.example");
    for visitor in [Visitor::default(), in_line(), inside(-1)] {
        let visit = Visit::begin(gate.route(&facts), PERSON, visitor, THERE);
        assert!(matches!(visit.end(|_| String::new()), End::Show { scene: Scene::Held, .. }));
    }
}

fn code() -> impl Strategy<Value = ErrorCode> {
    prop::sample::select(ErrorCode::ALL)
}

fn place() -> impl Strategy<Value = Place> {
    let sure = [Place::None, Place::Waiting, Place::Ready, Place::Entered, Place::Unknown];
    prop_oneof![prop::sample::select(sure.to_vec()), code().prop_map(Place::Over)]
}

fn session_of(left: std::ops::Range<i64>) -> impl Strategy<Value = SessionClaims> {
    (left, 5u64..10)
        .prop_map(|(left, generation)| SessionClaims { generation: Generation(generation), ..session(left) })
}

fn anything() -> impl Strategy<Value = Answers> {
    let news = prop_oneof![Just(News::None), Just(News::Over), session_of(-900..900).prop_map(News::Extended)];
    let joined = prop_oneof![any::<bool>().prop_map(Ok), code().prop_map(Err)];
    let entered = prop_oneof![session_of(1..900).prop_map(Ok), code().prop_map(Err)];
    (news, place(), joined, entered).prop_map(|(news, place, joined, entered)| Answers { news, place, joined, entered })
}

proptest! {
    #[test]
    fn every_visit_ends_and_only_a_session_a_turn_or_an_open_room_passes(
        settings in (
            prop::sample::select(vec!["line", "hold", "reject", "passthrough"]),
            prop::sample::select(vec!["hold", "open"]),
            any::<bool>(),
        ),
        client in (0..3usize, any::<bool>(), any::<bool>()),
        shown in prop::option::of(session_of(-2000..2000)),
        flags in any::<[bool; 4]>(),
        known in (prop::option::of(5u64..10), prop_oneof![Just(0), 0u64..2_000_000]),
        says in anything(),
    ) {
        let (mode, down, renew) = settings;
        let (reads, may_join, may_enter) = client;
        let client = Client { reads: [Reads::Page, Reads::Data, Reads::Neither][reads], may_join, may_enter };
        let [has_place, session_is_new, session_by_hand, place_by_hand] = flags;
        let place = in_line().place.filter(|_| has_place);
        let visitor = Visitor { session: shown.clone(), session_is_new, session_by_hand, place, place_by_hand, ..Visitor::default() };
        let known = Known { generation: known.0.map(Generation), away_ms: known.1, ..THERE };
        let settings = json!({"mode": mode, "on_origin_down": down, "session_renew": renew});
        let Story { steps, end } = visit(settings, "GET", client, visitor, known, &says);
        let order = ["renew", "look up", "join", "enter"];
        let mut left = order.iter();
        prop_assert!(steps.iter().all(|step| left.any(|known| known == step)), "each once, in order: {steps:?}");
        prop_assert!(may_join || !steps.contains(&"join"));
        prop_assert!(may_enter || !steps.contains(&"enter"));
        match end {
            End::Pass(Passed { passage: Passage { session: Some(session), .. }, handed, .. }) => {
                if steps.contains(&"enter") {
                    prop_assert_eq!(says.entered, Ok(session));
                    prop_assert!(handed.is_some());
                } else {
                    let extended = steps == ["renew"];
                    match says.news {
                        News::Extended(news) if extended => prop_assert_eq!(&session, &news),
                        _ => prop_assert_eq!(Some(&session), shown.as_ref()),
                    }
                    prop_assert!(known.generation.is_none_or(|known| session.generation >= known));
                    let over_ms = NOW.since(Millis(session.ends_at * 1000));
                    prop_assert!(session.left_ms(NOW) > 0 || renew && over_ms < known.away_ms.min(GRACE_MS));
                    prop_assert_eq!(handed.is_some(), session_is_new || extended);
                }
            }
            End::Pass(passed) => {
                prop_assert!(mode == "passthrough" || down == "open" && known.away_ms >= OPEN_AFTER_MS && mode != "reject");
                prop_assert!(passed.handed.is_none() && passed.given.is_empty());
            }
            End::Show { token, given, .. } => {
                let joined = steps.contains(&"join") && says.joined.is_ok();
                let want = if joined { Some("new") } else { has_place.then_some("old") };
                prop_assert_eq!(token.as_deref(), want);
                prop_assert_eq!(!given.is_empty(), joined);
            }
        }
    }
}
