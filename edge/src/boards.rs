//! The boards that this isolate holds, one lease each.

use crate::lease::{Ages, Lease, Plan};
use anteroom_core::board::{self, Board as PublicBoard};
use anteroom_core::poll::Hearing;
use anteroom_core::settings::rfc3339;
use anteroom_core::units::{EventId, Millis, Slot};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// Up to this age in milliseconds a board is served while the next one is fetched; beyond it the next one is waited for.
///
/// People's polls reach one isolate after another. Who asks again when told to, at the front after 1.75 s or more
/// ([`NEAR_MS`](anteroom_core::poll::NEAR_MS)), must not meet a board of before the last one: its number would go up. So this and the
/// origin's usual tick (250 ms) are no more than that together.
pub const USABLE_MS: u64 = 1_500;
/// A board whose room time has stood still for so long is stale, milliseconds.
pub const STILL_MS: u64 = 5_000;
const AGES: Ages = Ages { fresh_ms: 1_000, usable_ms: USABLE_MS };
/// Most events held. Anybody can ask for boards of events that do not exist.
pub const EVENTS_MAX: usize = 1_024;

/// A board as the origin published it.
#[derive(Clone, Debug)]
pub struct Board {
    public: PublicBoard,
    text: String,
    etag: Option<String>,
    as_of: String,
}

impl Board {
    /// Reads the origin's board of `event`.
    pub fn read(event: &EventId, text: String, etag: Option<String>) -> Result<Self, BadBoard> {
        let public: PublicBoard = serde_json::from_str(&text).map_err(BadBoard::Unreadable)?;
        match (public.format, &public.event_id) {
            (board::FORMAT, of) if of == event => Ok(Self { as_of: rfc3339(public.as_of), public, text, etag }),
            (board::FORMAT, _) => Err(BadBoard::OtherEvent),
            (format, _) => Err(BadBoard::OtherFormat(format)),
        }
    }

    /// What it says.
    pub fn public(&self) -> &PublicBoard {
        &self.public
    }

    /// The JSON, as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The entity tag it came with.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// When it is of, RFC 3339.
    pub fn as_of(&self) -> &str {
        &self.as_of
    }

    /// Whether an `If-None-Match` names this board.
    pub fn matches(&self, if_none_match: &str) -> bool {
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let own = self.etag().map(strong);
        if_none_match.split(',').any(|tag| tag.trim() == "*" || own.as_deref() == Some(&strong(tag)))
    }

    fn is_older_than(&self, other: &Board) -> bool {
        self.public.is_older_than(&other.public)
    }
}

/// Why a text is not the board that was asked for.
#[derive(Debug)]
pub enum BadBoard {
    /// It cannot be read.
    Unreadable(serde_json::Error),
    /// It is of a format that this edge does not know.
    OtherFormat(u32),
    /// It is the board of another event.
    OtherEvent,
}

impl fmt::Display for BadBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadBoard::Unreadable(error) => write!(f, "the board cannot be read: {error}"),
            BadBoard::OtherFormat(format) => write!(f, "the board is of format {format}, not {}", board::FORMAT),
            BadBoard::OtherEvent => f.write_str("the board is of another event"),
        }
    }
}

/// What came of a fetch.
#[derive(Debug)]
pub enum Fetched {
    /// A board.
    Board(Box<Board>),
    /// The board that is held is still the newest.
    Unchanged,
    /// There is no such event.
    NoEvent,
    /// The origin did not answer, or not with a board.
    Failed,
}

/// What is held for an event.
#[derive(Clone, Debug)]
pub enum Held {
    /// Nothing yet.
    Nothing,
    /// The origin says that there is no such event.
    NoEvent,
    /// A board.
    Board {
        /// It.
        board: Rc<Board>,
        /// Whether the room's time has stood still for too long.
        stale: bool,
        /// Milliseconds since the origin last sent or confirmed it.
        age_ms: u64,
    },
}

#[derive(Default)]
struct Room {
    known: Known,
    lease: Lease,
    hearing: Hearing,
}

#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    NoEvent,
    Board {
        board: Rc<Board>,
        /// When its room time was first seen, by our clock, which need not agree with the room's.
        moved_at: Millis,
    },
}

/// The boards of all events asked for.
#[derive(Default)]
pub struct Boards {
    rooms: BTreeMap<EventId, Room>,
}

impl Boards {
    /// None held.
    pub const fn new() -> Self {
        Self { rooms: BTreeMap::new() }
    }

    /// What to do for a request at `now`. After [`Plan::Fetch`] and [`Plan::ServeAndFetch`] the caller must fetch and
    /// [`Boards::settle`].
    pub fn plan(&mut self, event: &EventId, now: Millis) -> Plan {
        self.room(event).lease.plan(AGES, now)
    }

    /// Takes in what came of a fetch. A board older than the one held is not taken, unless that one is stale.
    pub fn settle(&mut self, event: &EventId, fetched: Fetched, now: Millis) {
        let room = self.room(event);
        room.lease.settle(!matches!(fetched, Fetched::Failed), now);
        match (fetched, &room.known) {
            (Fetched::Failed | Fetched::Unchanged, _) => {}
            (Fetched::NoEvent, _) => room.known = Known::NoEvent,
            (Fetched::Board(new), Known::Board { board, moved_at })
                if new.public.as_of == board.public.as_of && new.public.generation == board.public.generation
                    || new.is_older_than(board) && now.since(*moved_at) <= STILL_MS => {}
            (Fetched::Board(new), _) => room.known = Known::Board { board: Rc::new(*new), moved_at: now },
        }
    }

    /// Takes in a board that a cache kept, if none is held.
    pub fn recall(&mut self, event: &EventId, board: Board, kept_at: Millis) {
        let room = self.room(event);
        if matches!(room.known, Known::Nothing) {
            room.lease.recall(kept_at);
            room.known = Known::Board { board: Rc::new(board), moved_at: kept_at };
        }
    }

    /// What is held for an event.
    pub fn look(&self, event: &EventId, now: Millis) -> Held {
        let Some(room) = self.rooms.get(event) else { return Held::Nothing };
        match &room.known {
            Known::Nothing => Held::Nothing,
            Known::NoEvent => Held::NoEvent,
            Known::Board { board, moved_at } => Held::Board {
                board: board.clone(),
                stale: now.since(*moved_at) > STILL_MS,
                age_ms: room.lease.age_ms(now).unwrap_or(0),
            },
        }
    }

    /// For how long the room's origin has been away, or has been seen with its room time standing still; 0 while all is well,
    /// milliseconds.
    pub fn away_ms(&self, event: &EventId, now: Millis) -> u64 {
        let Some(room) = self.rooms.get(event) else { return 0 };
        let still_ms = match &room.known {
            Known::Board { moved_at, .. } => {
                // A board that nobody has asked about for a while stands still because of that.
                let seen_ms = now.since(*moved_at).saturating_sub(room.lease.age_ms(now).unwrap_or(u64::MAX));
                (seen_ms > STILL_MS).then(|| now.since(*moved_at))
            }
            _ => None,
        };
        room.lease.away_ms(now).max(still_ms.unwrap_or(0))
    }

    /// Whether the poll of a holder must be passed on as a heartbeat, and notes that it was.
    pub fn must_report(&mut self, event: &EventId, slot: Slot, now: Millis) -> bool {
        match self.rooms.get_mut(event) {
            Some(Room { known: Known::Board { board, .. }, hearing, .. }) => {
                hearing.must_report(slot, Slot(board.public.serving), now, board.public.heartbeat_ms)
            }
            _ => false,
        }
    }

    /// The room of an event; when there are too many, in place of one without a board that was longest not asked for.
    fn room(&mut self, event: &EventId) -> &mut Room {
        if self.rooms.len() >= EVENTS_MAX && !self.rooms.contains_key(event) {
            let least = |room: &Room| (matches!(room.known, Known::Board { .. }), room.lease.asked_at());
            let victim = self.rooms.iter().min_by_key(|(_, room)| least(room)).map(|(event, _)| event.clone());
            victim.map(|victim| self.rooms.remove(&victim));
        }
        self.rooms.entry(event.clone()).or_default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use anteroom_core::eta::{Observed, Pace, Supply};
    use anteroom_core::line::{Call, Join, JoinLimits, Line};
    use anteroom_core::poll;
    use anteroom_core::rank::Rank;
    use anteroom_core::sketch::Sketch;
    use anteroom_core::units::Generation;

    /// 2026-11-21T00:00:00Z
    pub(crate) const NOW: Millis = Millis(1_795_219_200_000);
    pub(crate) const GENERATION: Generation = Generation(7);

    fn sale() -> EventId {
        EventId::parse("sale").unwrap()
    }

    /// 202 tickets, of which 2 have left; the first 20 have been called and may enter for two minutes.
    pub(crate) fn line() -> Line {
        let mut line = Line::new(GENERATION, NOW.minus(60_000));
        let limits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 1_000 };
        let joins = vec![Join { identity: None, idem: None }; 202];
        line.join(&joins, limits, NOW.minus(40_000));
        for slot in [100, 199] {
            line.leave(GENERATION, Slot(slot), NOW.minus(1_000));
        }
        let version = line.facts().version;
        let until = NOW.plus(120_000);
        line.call(&Call { version, now: NOW, count: 20, limit: Slot(202), until, ..Call::default() });
        line
    }

    pub(crate) fn board(line: &Line) -> Board {
        let facts = line.facts();
        let observed = Observed {
            now: facts.now,
            since: facts.born_at,
            supply_since: facts.born_at,
            waiting: facts.waiting,
            supply: Supply::Steady { per_minute: 600, ready_now: 0.0 },
            capacity: None,
        };
        let rank = Rank::build(line.gone());
        let public = PublicBoard {
            format: board::FORMAT,
            event_id: sale(),
            generation: facts.generation,
            version: facts.version,
            as_of: facts.now,
            mode: "line".into(),
            opens_at: None,
            message: None,
            issued: facts.issued,
            serving: facts.serving,
            waiting: facts.waiting,
            heartbeat_ms: 300_000,
            patience_ms: 120_000,
            turns: PublicBoard::turns(line.waves().iter().copied()),
            pace: Pace::learn(&observed, line.window()),
            sketch: Sketch::build(line.gone(), &rank, facts.base, Slot(facts.serving), Slot(facts.issued)),
        };
        let text = serde_json::to_string(&public).unwrap();
        Board::read(&sale(), text, Some("\"7-1\"".into())).unwrap()
    }

    fn board_as_of(now: Millis) -> Fetched {
        let mut board = board(&line());
        board.public.as_of = now;
        Fetched::Board(Box::new(board))
    }

    fn held(boards: &Boards, now: Millis) -> (Millis, bool, u64) {
        match boards.look(&sale(), now) {
            Held::Board { board, stale, age_ms } => (board.public().as_of, stale, age_ms),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_board_is_fetched_at_most_once_a_second_however_many_ask() {
        let mut boards = Boards::new();
        let mut fetches = Vec::new();
        for ms in 0..10_000 {
            let now = NOW.plus(ms);
            match boards.plan(&sale(), now) {
                Plan::Fetch | Plan::ServeAndFetch => {
                    fetches.push(ms);
                    boards.settle(&sale(), board_as_of(now), now);
                }
                Plan::Serve => assert!(held(&boards, now).2 < AGES.fresh_ms),
                Plan::Wait => panic!("nothing to wait for"),
            }
        }
        assert_eq!(fetches, (0..10).map(|second| second * 1_000).collect::<Vec<_>>());
    }

    #[test]
    fn whoever_asks_when_told_to_meets_no_older_board_in_another_isolate() {
        const TICK_MS: u64 = 250;
        let pause = poll::NEAR_MS - poll::NEAR_MS / 8;
        for isolates in 1..5 {
            let mut held_by: Vec<_> = (0..isolates).map(|_| Boards::new()).collect();
            let mut last = Millis(0);
            for poll in 0..40 {
                let (at, now) = (poll % isolates, NOW.plus(poll as u64 * pause));
                let boards = &mut held_by[at];
                let plan = boards.plan(&sale(), now);
                // The worst that the origin has.
                let newest = || board_as_of(now.minus(TICK_MS));
                if plan == Plan::Fetch {
                    boards.settle(&sale(), newest(), now);
                }
                let (as_of, stale, _) = held(boards, now);
                assert!(as_of >= last && !stale, "{isolates} isolates, poll {poll}");
                last = as_of;
                if plan == Plan::ServeAndFetch {
                    boards.settle(&sale(), newest(), now);
                }
            }
        }
    }

    #[test]
    fn while_the_origin_is_away_the_last_board_is_served_marked_stale_without_waiting() {
        let mut boards = Boards::new();
        boards.plan(&sale(), NOW);
        boards.settle(&sale(), board_as_of(NOW), NOW);
        for second in 1..=120 {
            let now = NOW.plus(second * 1_000);
            assert_eq!(boards.plan(&sale(), now), Plan::ServeAndFetch);
            assert_eq!(boards.plan(&sale(), now), Plan::Serve);
            boards.settle(&sale(), Fetched::Failed, now);
            assert_eq!(held(&boards, now), (NOW, second > 5, second * 1_000));
            assert_eq!(boards.away_ms(&sale(), now), (second - 1) * 1_000);
        }
        let back = NOW.plus(121_000);
        boards.plan(&sale(), back);
        boards.settle(&sale(), board_as_of(back), back);
        assert_eq!(held(&boards, back), (back, false, 0));
        assert_eq!(boards.away_ms(&sale(), back), 0);
    }

    #[test]
    fn a_board_of_a_cache_serves_until_the_origin_has_answered() {
        let mut boards = Boards::new();
        boards.recall(&sale(), board(&line()), NOW.minus(60_000));
        assert_eq!(held(&boards, NOW), (NOW, true, 60_000));
        assert_eq!(boards.plan(&sale(), NOW), Plan::Fetch, "too old to be shown while the origin may answer");
        boards.settle(&sale(), Fetched::Failed, NOW.plus(10));
        assert_eq!(boards.plan(&sale(), NOW.plus(10)), Plan::Serve);
        boards.settle(&sale(), board_as_of(NOW.plus(1_000)), NOW.plus(1_000));
        boards.recall(&sale(), board(&line()), NOW);
        assert_eq!(held(&boards, NOW.plus(1_000)), (NOW.plus(1_000), false, 0));
    }

    #[test]
    fn an_origin_that_is_away_from_the_start_is_asked_once_a_second() {
        let mut boards = Boards::new();
        assert_eq!(boards.plan(&sale(), NOW), Plan::Fetch);
        boards.settle(&sale(), Fetched::Failed, NOW);
        assert_eq!(boards.plan(&sale(), NOW.plus(1)), Plan::Serve);
        assert!(matches!(boards.look(&sale(), NOW.plus(1)), Held::Nothing));
        assert_eq!(boards.plan(&sale(), NOW.plus(AGES.fresh_ms)), Plan::Fetch);
    }

    #[test]
    fn a_board_whose_room_time_stands_still_is_stale_though_the_origin_answers() {
        let mut boards = Boards::new();
        for second in 0..=6 {
            let now = NOW.plus(second * 1_000);
            boards.plan(&sale(), now);
            boards.settle(&sale(), if second % 2 == 0 { board_as_of(NOW) } else { Fetched::Unchanged }, now);
            assert_eq!(held(&boards, now), (NOW, second > 5, 0));
            assert_eq!(boards.away_ms(&sale(), now), if second > 5 { second * 1_000 } else { 0 });
        }
        assert_eq!(boards.away_ms(&sale(), NOW.plus(600_000)), 600_000);
        boards.settle(&sale(), board_as_of(NOW.plus(600_000)), NOW.plus(600_000));
        assert_eq!(boards.away_ms(&sale(), NOW.plus(900_000)), 0, "nobody asked");
    }

    #[test]
    fn a_board_of_an_origin_that_lags_behind_does_not_replace_a_newer_one() {
        let mut boards = Boards::new();
        boards.settle(&sale(), board_as_of(NOW), NOW);
        boards.settle(&sale(), board_as_of(NOW.minus(300)), NOW.plus(1_000));
        assert_eq!(held(&boards, NOW.plus(1_000)).0, NOW);
        // But when time there has really gone back, the board is taken in the end.
        boards.settle(&sale(), board_as_of(NOW.minus(300)), NOW.plus(5_001));
        assert_eq!(held(&boards, NOW.plus(5_001)), (NOW.minus(300), false, 0));
    }

    #[test]
    fn an_event_that_is_not_there_is_remembered_until_it_is() {
        let mut boards = Boards::new();
        boards.settle(&sale(), Fetched::NoEvent, NOW);
        assert_eq!(boards.plan(&sale(), NOW.plus(999)), Plan::Serve);
        assert!(matches!(boards.look(&sale(), NOW), Held::NoEvent));
        boards.settle(&sale(), board_as_of(NOW), NOW.plus(1_000));
        assert_eq!(held(&boards, NOW.plus(1_000)).0, NOW);
    }

    #[test]
    fn asking_for_events_that_do_not_exist_pushes_no_board_out() {
        let mut boards = Boards::new();
        boards.plan(&sale(), NOW);
        boards.settle(&sale(), board_as_of(NOW), NOW);
        for n in 0..2 * EVENTS_MAX as u64 {
            let event = EventId::parse(&format!("e{n}")).unwrap();
            boards.plan(&event, NOW.plus(n));
            boards.settle(&event, Fetched::NoEvent, NOW.plus(n));
        }
        assert_eq!(boards.rooms.len(), EVENTS_MAX);
        assert_eq!(held(&boards, NOW).0, NOW);
    }

    #[test]
    fn each_waiting_holder_is_reported_once_in_a_third_of_the_heartbeat_time() {
        let mut boards = Boards::new();
        assert!(!boards.must_report(&sale(), Slot(50), NOW), "no board, no line");
        boards.settle(&sale(), board_as_of(NOW), NOW);
        let reports = |boards: &mut Boards, slot| {
            (0..300).filter(|second| boards.must_report(&sale(), Slot(slot), NOW.plus(second * 1_000))).count()
        };
        assert!((3..=4).contains(&reports(&mut boards, 50)), "once at once, then once a third");
        assert_eq!(reports(&mut boards, 10), 0, "called already");
    }

    #[test]
    fn only_the_board_that_was_asked_for_is_read() {
        let text = board(&line()).text;
        let other = EventId::parse("other").unwrap();
        assert!(matches!(Board::read(&other, text.clone(), None), Err(BadBoard::OtherEvent)));
        let future = text.replacen("\"format\":1", "\"format\":2", 1);
        assert!(matches!(Board::read(&sale(), future, None), Err(BadBoard::OtherFormat(2))));
        for garbage in ["", "{}", "<html>", &text[1..]] {
            assert!(matches!(Board::read(&sale(), garbage.into(), None), Err(BadBoard::Unreadable(_))), "{garbage}");
        }
        let read = Board::read(&sale(), text.clone(), None).unwrap();
        assert_eq!(read.text(), text, "passed on as it came");
    }

    #[test]
    fn an_entity_tag_is_recognised_as_caches_write_it() {
        let board = board(&line());
        for (header, want) in [
            ("\"7-1\"", true),
            ("\"x\", W/\"7-1\"", true),
            ("*", true),
            ("\"7-2\"", false),
            ("", false),
            ("7-1", false),
        ] {
            assert_eq!(board.matches(header), want, "{header}");
        }
    }
}
