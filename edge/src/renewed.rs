//! When sessions end now, as the origin has answered to reports: for the next request of each visitor.

use anteroom_core::gate::News;
use anteroom_core::relay::Answer;
use anteroom_core::token::SessionClaims;
use anteroom_core::units::{EventId, Generation, Millis, Ticket};

/// So many sessions are remembered at most. Two that fall on one place push each other out: the origin is asked again then.
const SESSIONS_MAX: usize = 16_384;
/// So long an answer is news, milliseconds: a session is asked about again after it.
const NEWS_MS: u64 = 10_000;

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
    /// When it ends; `None` = it is not open.
    end: Option<Millis>,
    answered_at: Millis,
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
                self.put(&room.event_id, room.generation, *ticket, *end, now);
            }
        }
    }

    /// A session has ended by the word of its site.
    pub fn end(&mut self, session: &SessionClaims, now: Millis) {
        self.put(&session.event, session.generation, session.ticket, None, now);
    }

    /// What is new about a session. A token made after the answer knows better.
    pub fn news(&self, session: &SessionClaims) -> News {
        match self.find(session) {
            Some(Entry { end: None, answered_at, .. }) if session.renewed_at <= answered_at.secs() => News::Over,
            Some(Entry { end: Some(end), answered_at, .. }) if end.secs() > session.ends_at => {
                News::Extended(SessionClaims { renewed_at: answered_at.secs(), ends_at: end.secs(), ..session.clone() })
            }
            _ => News::None,
        }
    }

    /// Whether the origin has been asked about a session lately, so that there is no need to ask again. A short one is asked about
    /// more often: it must not end meanwhile.
    pub fn is_known(&self, session: &SessionClaims, now: Millis) -> bool {
        let length_ms = session.ends_at.saturating_sub(session.renewed_at).saturating_mul(1000);
        self.find(session).is_some_and(|entry| now.since(entry.answered_at) < NEWS_MS.min(length_ms / 4))
    }

    fn put(&mut self, event: &EventId, generation: Generation, ticket: Ticket, end: Option<Millis>, now: Millis) {
        if self.entries.is_empty() {
            self.entries.resize(SESSIONS_MAX, None);
        }
        if let Some(entry) = self.entries.get_mut(place(ticket)) {
            *entry = Some(Entry { event: event.clone(), generation, ticket, end, answered_at: now });
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
    use anteroom_core::relay::RoomAnswer;
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
    fn what_is_remembered_is_bounded_and_never_taken_for_somebody_elses() {
        let mut renewed = Renewed::new();
        for ticket in 0..SESSIONS_MAX as u64 + 5 {
            renewed.learn(&answer(vec![(Ticket(ticket), None)]), NOW);
        }
        assert_eq!(renewed.entries.len(), SESSIONS_MAX);
        assert_eq!((renewed.news(&session(4)), renewed.news(&session(5))), (News::None, News::Over));
    }
}
