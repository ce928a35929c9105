//! When sessions end now, as the origin has answered to reports: for the next request of each visitor.
//!
//! A session that has run out by its token is asked about while its visitor waits ([`Renewed::plan`]), by one request at a time, and once
//! it is known to be over not again.

use crate::lease::Plan;
use crate::reports::TIMEOUT_MS;
use anteroom_core::gate::News;
use anteroom_core::relay::{Answer, RoomAnswer};
use anteroom_core::token::SessionClaims;
use anteroom_core::units::{EventId, Generation, Millis, Ticket};

/// So many sessions are remembered at most. Two that fall on one place push each other out: the origin is asked again then.
const SESSIONS_MAX: usize = 16_384;
/// So long an answer is news, milliseconds: a session is asked about again after it.
const NEWS_MS: u64 = 10_000;
/// A question that was not answered is not asked again for so long, milliseconds.
const PAUSE_MS: u64 = 2_000;

/// What is remembered of sessions, by the remainder of the ticket: those who are inside have numbers close together.
#[derive(Debug, Default)]
pub struct Renewed {
    entries: Vec<Option<Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    event: EventId,
    generation: Generation,
    ticket: Ticket,
    said: Said,
    /// When that was.
    at: Millis,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    /// It ends then.
    Ends(Millis),
    /// It is not open.
    Over,
    /// Nothing so far: a request is asking.
    Asking,
    /// Nothing: it could not be asked.
    Nothing,
}

impl Said {
    fn of(end: Option<Millis>) -> Self {
        end.map_or(Self::Over, Self::Ends)
    }
}

impl Renewed {
    /// Nothing remembered.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Takes in the answer to a report.
    pub fn learn(&mut self, answer: &Answer, now: Millis) {
        for room in &answer.rooms {
            for (ticket, end) in &room.sessions {
                self.put(&room.event_id, room.generation, *ticket, Said::of(*end), now);
            }
        }
    }

    /// What to do for a visitor whose session has run out by its token: ask ([`Plan::Fetch`]), then [`Renewed::settle`]; look again in a
    /// moment; or go on with the news there is. A question that was never settled holds nobody up for longer than [`TIMEOUT_MS`].
    pub fn plan(&mut self, session: &SessionClaims, now: Millis) -> Plan {
        match self.find(session) {
            Some(Entry { said: Said::Asking, at, .. }) if now.since(*at) < TIMEOUT_MS => return Plan::Wait,
            Some(Entry { said: Said::Nothing, at, .. }) if now.since(*at) < PAUSE_MS => return Plan::Serve,
            _ if self.news(session) == News::Over => return Plan::Serve,
            _ => {}
        }
        self.put(&session.event, session.generation, session.ticket, Said::Asking, now);
        Plan::Fetch
    }

    /// Takes in the answer to a question about one session; `None` when there was none. Whoever is not in it is not inside.
    pub fn settle(&mut self, session: &SessionClaims, answer: Option<&Answer>, now: Millis) {
        let of_room = |room: &&RoomAnswer| room.event_id == session.event && room.generation == session.generation;
        let end = |answer: &Answer| {
            let mut sessions = answer.rooms.iter().filter(of_room).flat_map(|room| &room.sessions);
            sessions.find(|(ticket, _)| *ticket == session.ticket).and_then(|(_, end)| *end)
        };
        let said = answer.map_or(Said::Nothing, |answer| Said::of(end(answer)));
        self.put(&session.event, session.generation, session.ticket, said, now);
    }

    /// A session has ended by the word of its site.
    pub fn end(&mut self, session: &SessionClaims, now: Millis) {
        self.put(&session.event, session.generation, session.ticket, Said::Over, now);
    }

    /// What is new about a session. A token made after the answer knows better.
    pub fn news(&self, session: &SessionClaims) -> News {
        match self.find(session) {
            Some(Entry { said: Said::Over, at, .. }) if session.renewed_at <= at.secs() => News::Over,
            Some(Entry { said: Said::Ends(end), at, .. }) if end.secs() > session.ends_at => {
                News::Extended(SessionClaims { renewed_at: at.secs(), ends_at: end.secs(), ..session.clone() })
            }
            _ => News::None,
        }
    }

    /// Whether the origin has been asked about a session lately, so that there is no need to ask again. A short one is asked about
    /// more often: it must not end meanwhile.
    pub fn is_known(&self, session: &SessionClaims, now: Millis) -> bool {
        let length_ms = session.ends_at.saturating_sub(session.renewed_at).saturating_mul(1000);
        let answered = |entry: &Entry| matches!(entry.said, Said::Ends(_) | Said::Over);
        self.find(session).is_some_and(|entry| answered(entry) && now.since(entry.at) < NEWS_MS.min(length_ms / 4))
    }

    fn put(&mut self, event: &EventId, generation: Generation, ticket: Ticket, said: Said, now: Millis) {
        if self.entries.is_empty() {
            self.entries.resize(SESSIONS_MAX, None);
        }
        if let Some(entry) = self.entries.get_mut(place(ticket)) {
            *entry = Some(Entry { event: event.clone(), generation, ticket, said, at: now });
        }
    }

    fn find(&self, session: &SessionClaims) -> Option<&Entry> {
        let entry = self.entries.get(place(session.ticket))?.as_ref()?;
        let same =
            entry.ticket == session.ticket && entry.generation == session.generation && entry.event == session.event;
        same.then_some(entry)
    }
}

fn place(ticket: Ticket) -> usize {
    ticket.0 as usize % SESSIONS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use anteroom_core::units::Slot;

    const NOW: Millis = Millis(1_795_219_200_000);

    fn session(ticket: u64) -> SessionClaims {
        SessionClaims {
            event: EventId::parse("sale").unwrap(),
            generation: Generation(7),
            slot: Slot(ticket),
            ticket: Ticket(ticket),
            identity: None,
            renewed_at: NOW.secs() - 300,
            ends_at: NOW.secs() + 300,
        }
    }

    fn answer(sessions: Vec<(Ticket, Option<Millis>)>) -> Answer {
        let room = RoomAnswer { event_id: EventId::parse("sale").unwrap(), generation: Generation(7), sessions };
        Answer { rooms: vec![room] }
    }

    #[test]
    fn a_session_that_was_extended_is_known_to_last_longer() {
        let mut renewed = Renewed::new();
        assert_eq!(renewed.news(&session(1)), News::None);
        renewed.learn(&answer(vec![(Ticket(1), Some(NOW.plus(600_999)))]), NOW);
        let News::Extended(claims) = renewed.news(&session(1)) else { panic!("not extended") };
        assert_eq!((claims.renewed_at, claims.ends_at), (NOW.secs(), NOW.secs() + 600));
        assert_eq!(renewed.news(&claims), News::None, "the new token says it already");
        assert!(renewed.is_known(&claims, NOW.plus(9_999)) && !renewed.is_known(&claims, NOW.plus(10_000)));
        assert_eq!(renewed.news(&SessionClaims { generation: Generation(8), ..session(1) }), News::None);
    }

    #[test]
    fn a_short_session_is_asked_about_again_before_it_ends() {
        let mut renewed = Renewed::new();
        renewed.learn(&answer(vec![(Ticket(1), Some(NOW.plus(4_000)))]), NOW);
        let short = SessionClaims { renewed_at: NOW.secs(), ends_at: NOW.secs() + 4, ..session(1) };
        assert!(renewed.is_known(&short, NOW.plus(999)) && !renewed.is_known(&short, NOW.plus(2_000)));
    }

    #[test]
    fn a_session_that_is_over_is_known_to_be_unless_its_token_is_newer() {
        let mut renewed = Renewed::new();
        renewed.learn(&answer(vec![(Ticket(1), None)]), NOW);
        renewed.end(&session(2), NOW);
        assert_eq!((renewed.news(&session(1)), renewed.news(&session(2))), (News::Over, News::Over));
        let newer = SessionClaims { renewed_at: NOW.secs() + 1, ..session(1) };
        assert_eq!(renewed.news(&newer), News::None);
    }

    #[test]
    fn a_session_that_has_run_out_is_asked_about_by_one_request_and_once_it_is_over_not_again() {
        let mut renewed = Renewed::new();
        let out = SessionClaims { ends_at: NOW.secs() - 1, ..session(1) };
        assert_eq!(renewed.plan(&out, NOW), Plan::Fetch);
        assert_eq!(renewed.plan(&out, NOW.plus(TIMEOUT_MS - 1)), Plan::Wait);
        assert!(!renewed.is_known(&session(1), NOW), "nothing was said yet");
        assert_eq!(renewed.plan(&out, NOW.plus(TIMEOUT_MS)), Plan::Fetch, "whoever asked is gone");
        renewed.settle(&out, None, NOW.plus(5_000));
        assert_eq!((renewed.plan(&out, NOW.plus(6_999)), renewed.news(&out)), (Plan::Serve, News::None));
        assert_eq!(renewed.plan(&out, NOW.plus(7_000)), Plan::Fetch);
        renewed.settle(&out, Some(&answer(vec![(Ticket(1), Some(NOW.plus(600_000)))])), NOW.plus(7_001));
        let News::Extended(longer) = renewed.news(&out) else { panic!("it was extended") };
        assert_eq!(longer.ends_at, NOW.secs() + 600);
        // And much later, when that is over as well.
        let later = NOW.plus(700_000);
        assert_eq!(renewed.plan(&longer, later), Plan::Fetch);
        renewed.settle(&longer, Some(&answer(vec![])), later);
        assert_eq!((renewed.news(&longer), renewed.plan(&longer, later.plus(600_000))), (News::Over, Plan::Serve));
    }

    #[test]
    fn an_answer_of_another_generation_says_that_a_session_is_over() {
        let mut renewed = Renewed::new();
        let old = SessionClaims { generation: Generation(6), ..session(1) };
        renewed.plan(&old, NOW);
        renewed.settle(&old, Some(&answer(vec![(Ticket(1), Some(NOW.plus(1)))])), NOW);
        assert_eq!(renewed.news(&old), News::Over);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_never_taken_for_somebody_elses() {
        let mut renewed = Renewed::new();
        for ticket in 0..SESSIONS_MAX as u64 + 5 {
            renewed.learn(&answer(vec![(Ticket(ticket), None)]), NOW);
        }
        assert_eq!(renewed.entries.len(), SESSIONS_MAX);
        assert_eq!((renewed.news(&session(4)), renewed.news(&session(5))), (News::None, News::Over));
    }
}
