//! What this isolate has to report to the origin: who was heard from, and whose session is to be extended. Gathered, and sent as one
//! report for many people, off the path of their requests.
//!
//! There is no timer beside the requests: one request lives a little longer than its answer to send what has gathered
//! ([`Reports::turn`]). Should it die before, its turn is a lease, and a later request takes over. A report that does not arrive is
//! merged back and sent again, until what it says is no longer true.

use anteroom_core::relay::{REPORT_MAX, Report, RoomReport};
use anteroom_core::units::{EventId, Generation, ID_MAX, Identity, Millis, Ticket};
use std::collections::BTreeMap;

/// Nothing waits longer than this to be sent while the origin answers, milliseconds.
pub const PERIOD_MS: u64 = 5_000;
/// After this a report that has not been answered counts as failed, milliseconds.
pub const TIMEOUT_MS: u64 = 4_000;
/// Longest pause after reports that failed, milliseconds.
const PAUSE_MAX_MS: u64 = 8_000;
/// Most people that wait to be reported. More than ten reports in a row have failed then.
const PENDING_MAX: usize = 65_536;
/// Most of a report in bytes of JSON, below the longest body that an origin takes.
const BYTES_MAX: usize = 60_000;
/// What a ticket takes in a report at most: twenty digits, a comma.
const TICKET_BYTES: usize = 21;
/// What a ticket with its identity takes beside that identity.
const KNOWN_BYTES: usize = TICKET_BYTES + 6;
/// Longest identity, bytes.
const IDENTITY_MAX: usize = 255;
/// What a room takes beside its event.
const ROOM_BYTES: usize = 120;

/// A request's turn to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// How long to wait before it sends, milliseconds.
    pub wait_ms: u64,
    number: u64,
}

/// What waits to be reported.
#[derive(Debug, Default)]
pub struct Reports {
    rooms: Vec<(EventId, Generation)>,
    /// By the place of the room in `rooms`. One map for everything, since each kind of map is a large part of the module.
    pending: BTreeMap<(usize, Kind, Ticket), Entry>,
    /// When the most urgent of them is to be sent.
    due_at: Option<Millis>,
    /// The latest turn given: its number, and when it sends.
    turn: Option<(u64, Millis)>,
    turns: u64,
    /// Since when a report is on its way.
    sending: Option<Millis>,
    failures: u32,
    dropped: u64,
}

/// Sessions come first in a report: one that ends costs more than a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Renew,
    Heard,
}

#[derive(Clone, Debug)]
struct Entry {
    identity: Option<Identity>,
    /// After this it is not true any more, or too late.
    until: Millis,
}

/// A report on its way, with what is needed to merge it back.
#[derive(Debug)]
pub struct Sent {
    /// What the origin gets.
    pub report: Report,
    kept: Vec<((usize, Kind, Ticket), Entry)>,
}

impl Reports {
    /// Nothing to report.
    pub const fn new() -> Self {
        Self {
            rooms: Vec::new(),
            pending: BTreeMap::new(),
            due_at: None,
            turn: None,
            turns: 0,
            sending: None,
            failures: 0,
            dropped: 0,
        }
    }

    /// The holder of a ticket was heard from.
    pub fn hear(
        &mut self,
        room: (&EventId, Generation),
        ticket: Ticket,
        identity: Option<&Identity>,
        heartbeat_ms: u64,
        now: Millis,
    ) {
        let entry = Entry { identity: identity.cloned(), until: now.plus(heartbeat_ms) };
        if self.add_in(room, Kind::Heard, ticket, entry) {
            self.hurry(now.plus(PERIOD_MS.min(heartbeat_ms / 30)));
        }
    }

    /// The session of a ticket is being used and is to be extended; it has `left_ms` to go.
    pub fn renew(&mut self, room: (&EventId, Generation), ticket: Ticket, left_ms: u64, now: Millis) {
        let entry = Entry { identity: None, until: now.plus(left_ms.max(PERIOD_MS)) };
        if self.add_in(room, Kind::Renew, ticket, entry) {
            self.hurry(now.plus(PERIOD_MS.min(left_ms / 4)));
        }
    }

    /// Gives whoever asks the turn to send, if something waits and nobody else has it. Ask after every [`Reports::hear`] and
    /// [`Reports::renew`].
    pub fn turn(&mut self, now: Millis) -> Option<Turn> {
        let due_at = self.due_at?;
        let at = if self.pending.len() >= REPORT_MAX && self.failures == 0 { now } else { due_at.max(now) };
        // Whoever waits has the turn until a moment after it should have sent, unless something is more urgent.
        let taken = self.turn.is_some_and(|(_, taken_at)| taken_at <= at && now < taken_at.plus(1_000));
        if taken || self.is_sending(now) {
            return None;
        }
        let wait_ms = at.since(now);
        self.turns += 1;
        self.turn = Some((self.turns, at));
        Some(Turn { wait_ms, number: self.turns })
    }

    /// What to send now that the turn has come; `None` when it has been taken over, or nothing is left. After it the caller must
    /// [`Reports::settle`].
    pub fn take(&mut self, turn: Turn, now: Millis) -> Option<Sent> {
        if self.turn.is_some_and(|(number, _)| number != turn.number) || self.is_sending(now) {
            return None;
        }
        self.turn = None;
        let sent = self.pack(now);
        self.due_at = (!self.pending.is_empty()).then_some(now);
        if sent.report.rooms.is_empty() {
            return None;
        }
        self.sending = Some(now);
        Some(sent)
    }

    /// Takes in whether the report has arrived; merges it back if not.
    pub fn settle(&mut self, sent: Sent, arrived: bool, now: Millis) {
        self.sending = None;
        if arrived {
            self.failures = 0;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        for (key, entry) in sent.kept {
            self.add(key, entry);
        }
        let pause_ms = (500_u64 << self.failures.min(10)).min(PAUSE_MAX_MS);
        self.due_at = (!self.pending.is_empty()).then(|| now.plus(pause_ms));
    }

    /// How many were not reported since the last call, because they waited too long or there were too many.
    pub fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn is_sending(&self, now: Millis) -> bool {
        self.sending.is_some_and(|since| now.since(since) < TIMEOUT_MS + 1_000)
    }

    fn hurry(&mut self, at: Millis) {
        // After a failure the pause counts.
        if self.failures == 0 || self.due_at.is_none() {
            self.due_at = Some(self.due_at.map_or(at, |due_at| due_at.min(at)));
        }
    }

    /// The number of a room. Rooms are few, and those that nobody reports of any more cost nothing.
    fn place_of(&mut self, (event, generation): (&EventId, Generation)) -> usize {
        let known = self.rooms.iter().position(|(known, of)| known == event && *of == generation);
        known.unwrap_or_else(|| {
            self.rooms.push((event.clone(), generation));
            self.rooms.len() - 1
        })
    }

    fn add_in(&mut self, room: (&EventId, Generation), kind: Kind, ticket: Ticket, entry: Entry) -> bool {
        let place = self.place_of(room);
        self.add((place, kind, ticket), entry)
    }

    /// Whether it is new, and there was room for it. What is there already is the newer.
    fn add(&mut self, key: (usize, Kind, Ticket), entry: Entry) -> bool {
        if self.pending.len() >= PENDING_MAX {
            self.dropped += 1;
            return false;
        }
        if self.pending.contains_key(&key) {
            return false;
        }
        self.pending.insert(key, entry);
        true
    }

    /// Takes out what one report can hold.
    fn pack(&mut self, now: Millis) -> Sent {
        let mut sent = Sent { report: Report::default(), kept: Vec::new() };
        let (mut tickets, mut bytes, mut last) = (0, 0, None);
        while tickets + 2 <= REPORT_MAX
            && bytes + ROOM_BYTES + ID_MAX + KNOWN_BYTES + 2 * IDENTITY_MAX <= BYTES_MAX
            && let Some((key, entry)) = self.pending.pop_first()
        {
            let (place, kind, ticket) = key;
            let Some((event, generation)) = self.rooms.get(place).filter(|_| entry.until >= now) else {
                self.dropped += 1;
                continue;
            };
            if last != Some(place) {
                last = Some(place);
                bytes += ROOM_BYTES + event.as_str().len();
                sent.report.rooms.push(RoomReport {
                    event_id: event.clone(),
                    generation: *generation,
                    heard: Vec::new(),
                    known: Vec::new(),
                    renew: Vec::new(),
                });
            }
            let Some(room) = sent.report.rooms.last_mut() else { continue };
            match kind {
                Kind::Renew => room.renew.push(ticket),
                Kind::Heard => room.heard.push(ticket),
            }
            (tickets, bytes) = (tickets + 1, bytes + TICKET_BYTES);
            if let Some(identity) = &entry.identity {
                room.known.push((ticket, identity.clone()));
                // Quotes are escaped.
                (tickets, bytes) = (tickets + 1, bytes + KNOWN_BYTES + 2 * identity.as_str().len());
            }
            sent.kept.push((key, entry));
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const NOW: Millis = Millis(1_795_219_200_000);
    const HEARTBEAT: u64 = 300_000;
    const GENERATION: Generation = Generation(7);

    fn sale() -> EventId {
        EventId::parse("sale").unwrap()
    }

    fn hear(reports: &mut Reports, tickets: impl IntoIterator<Item = u64>, now: Millis) {
        for ticket in tickets {
            reports.hear((&sale(), GENERATION), Ticket(ticket), None, HEARTBEAT, now);
        }
    }

    fn tickets(sent: &Sent) -> Vec<u64> {
        sent.report.rooms.iter().flat_map(|room| &room.heard).map(|ticket| ticket.0).collect()
    }

    #[test]
    fn what_gathers_within_five_seconds_goes_in_one_report_sent_by_one_request() {
        let mut reports = Reports::new();
        assert_eq!(reports.turn(NOW), None, "nothing to report");
        hear(&mut reports, [5], NOW);
        let turn = reports.turn(NOW).unwrap();
        assert_eq!(turn.wait_ms, PERIOD_MS);
        hear(&mut reports, [9, 5, 7], NOW.plus(1_000));
        assert_eq!(reports.turn(NOW.plus(1_000)), None, "somebody has the turn");
        let sent = reports.take(turn, NOW.plus(5_000)).unwrap();
        assert_eq!(tickets(&sent), [5, 7, 9]);
        hear(&mut reports, [11], NOW.plus(5_001));
        assert_eq!(reports.turn(NOW.plus(5_001)), None, "one report at a time");
        reports.settle(sent, true, NOW.plus(5_050));
        assert_eq!(reports.turn(NOW.plus(5_051)).unwrap().wait_ms, PERIOD_MS - 50);
    }

    #[test]
    fn a_short_heartbeat_and_a_session_about_to_end_are_reported_sooner() {
        let mut reports = Reports::new();
        reports.hear((&sale(), GENERATION), Ticket(1), None, 2_000, NOW);
        assert_eq!(reports.turn(NOW).unwrap().wait_ms, 66);
        let mut reports = Reports::new();
        hear(&mut reports, [1], NOW);
        let slow = reports.turn(NOW).unwrap();
        reports.renew((&sale(), GENERATION), Ticket(2), 4_000, NOW);
        let quick = reports.turn(NOW).unwrap();
        assert_eq!(quick.wait_ms, 1_000);
        let sent = reports.take(quick, NOW.plus(1_000)).unwrap();
        assert_eq!(sent.report.rooms[0].renew, [Ticket(2)]);
        reports.settle(sent, true, NOW.plus(1_010));
        assert!(reports.take(slow, NOW.plus(5_000)).is_none(), "sent already");
    }

    #[test]
    fn a_full_report_is_sent_at_once_and_what_is_over_follows() {
        let mut reports = Reports::new();
        hear(&mut reports, 1..=REPORT_MAX as u64 + 10, NOW);
        let turn = reports.turn(NOW).unwrap();
        assert_eq!(turn.wait_ms, 0);
        let sent = reports.take(turn, NOW).unwrap();
        let (first, bytes) = (tickets(&sent), serde_json::to_string(&sent.report).unwrap().len());
        assert!(first.len() > 2_000 && first.len() <= REPORT_MAX && bytes < 64 * 1024, "{} {bytes}", first.len());
        reports.settle(sent, true, NOW);
        let mut rest = BTreeSet::new();
        while let Some(turn) = reports.turn(NOW) {
            assert_eq!(turn.wait_ms, 0);
            let sent = reports.take(turn, NOW).unwrap();
            rest.extend(tickets(&sent));
            reports.settle(sent, true, NOW);
        }
        assert_eq!(first.len() + rest.len(), REPORT_MAX + 10);
    }

    #[test]
    fn no_report_is_longer_than_the_origin_takes_whatever_people_are_called() {
        let mut reports = Reports::new();
        let identity = Identity::parse(&"\"".repeat(255)).unwrap();
        for ticket in 0..1_000 {
            reports.hear((&sale(), GENERATION), Ticket(u64::MAX - ticket), Some(&identity), HEARTBEAT, NOW);
        }
        let mut seen = 0;
        while let Some(turn) = reports.turn(NOW.plus(PERIOD_MS)) {
            let sent = reports.take(turn, NOW.plus(PERIOD_MS)).unwrap();
            assert!(serde_json::to_string(&sent.report).unwrap().len() < 64 * 1024);
            seen += sent.report.rooms[0].known.len();
            reports.settle(sent, true, NOW.plus(PERIOD_MS));
        }
        assert_eq!(seen, 1_000);
    }

    #[test]
    fn a_report_that_does_not_arrive_is_sent_again_less_and_less_often() {
        let mut reports = Reports::new();
        hear(&mut reports, [1, 2], NOW);
        let mut now = NOW;
        let mut pauses = Vec::new();
        for round in 0..6 {
            let turn = reports.turn(now).unwrap();
            now = now.plus(turn.wait_ms);
            pauses.push(turn.wait_ms);
            let sent = reports.take(turn, now).unwrap();
            assert_eq!(tickets(&sent), (1..=2 + round).collect::<Vec<_>>());
            reports.settle(sent, false, now);
            hear(&mut reports, [3 + round], now);
        }
        assert_eq!(pauses, [5_000, 1_000, 2_000, 4_000, 8_000, 8_000]);
        let turn = reports.turn(now).unwrap();
        let sent = reports.take(turn, now.plus(turn.wait_ms)).unwrap();
        reports.settle(sent, true, now.plus(turn.wait_ms));
        assert_eq!((reports.turn(now.plus(60_000)), reports.dropped()), (None, 0));
    }

    #[test]
    fn nobody_is_reported_as_heard_after_the_heartbeat_time_and_what_is_left_out_is_counted() {
        let mut reports = Reports::new();
        hear(&mut reports, [1], NOW);
        hear(&mut reports, [2], NOW.plus(200_000));
        let late = NOW.plus(HEARTBEAT + 1);
        let turn = reports.turn(late).unwrap();
        assert_eq!(tickets(&reports.take(turn, late).unwrap()), [2]);
        assert_eq!((reports.dropped(), reports.dropped()), (1, 0));
        let mut reports = Reports::new();
        hear(&mut reports, 1..=PENDING_MAX as u64 + 3, NOW);
        assert_eq!((reports.pending.len(), reports.dropped()), (PENDING_MAX, 3));
    }

    #[test]
    fn a_request_that_dies_with_its_turn_or_its_report_stops_nobody() {
        let mut reports = Reports::new();
        hear(&mut reports, [1], NOW);
        let lost = reports.turn(NOW).unwrap();
        hear(&mut reports, [2], NOW.plus(5_500));
        assert_eq!(reports.turn(NOW.plus(5_500)), None);
        let next = reports.turn(NOW.plus(6_000)).unwrap();
        assert_eq!(next.wait_ms, 0);
        assert!(reports.take(lost, NOW.plus(6_000)).is_none(), "come back after all");
        let sent = reports.take(next, NOW.plus(6_000)).unwrap();
        assert_eq!(tickets(&sent), [1, 2]);
        // The report is never settled.
        hear(&mut reports, [3], NOW.plus(6_001));
        assert_eq!(reports.turn(NOW.plus(6_000 + TIMEOUT_MS)), None);
        assert!(reports.turn(NOW.plus(7_000 + TIMEOUT_MS)).is_some());
    }

    #[test]
    fn people_who_poll_as_told_cost_the_origin_few_requests() {
        // Ten thousand people, one poll in ten seconds each.
        let (mut reports, mut hearing) = (Reports::new(), anteroom_core::poll::Hearing::new());
        let (mut polls, mut requests, mut turn) = (0, 0, None::<(Turn, Millis)>);
        for step in 0..60_000_u64 {
            let now = NOW.plus(step * 10);
            for ticket in (1 + step % 1_000..=10_000).step_by(1_000) {
                polls += 1;
                if hearing.must_report(anteroom_core::units::Slot(ticket), Default::default(), now, HEARTBEAT) {
                    hear(&mut reports, [ticket], now);
                    turn = turn.or(reports.turn(now).map(|turn| (turn, now.plus(turn.wait_ms))));
                }
            }
            if let Some((due, _)) = turn.take_if(|(_, at)| *at <= now)
                && let Some(sent) = reports.take(due, now)
            {
                requests += 1;
                reports.settle(sent, true, now);
            }
        }
        assert!(requests * 1_000 <= polls, "{requests} reports for {polls} polls");
    }
}
