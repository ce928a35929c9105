//! When sessions end now, as the origin has answered to reports: for the next request of each visitor.

use anteroom_core::relay::Answer;
use anteroom_core::token::SessionClaims;
use anteroom_core::units::{EventId, Generation, Millis, Ticket};
use std::collections::{BTreeMap, VecDeque};

/// Most sessions that are remembered; of more, those answered first are forgotten, and asked about again.
const SESSIONS_MAX: usize = 16_384;
/// So long an answer is news, milliseconds: a session is asked about again after it.
const NEWS_MS: u64 = 10_000;

type Key = (EventId, Generation, Ticket);

/// What is remembered of sessions.
#[derive(Debug, Default)]
pub struct Renewed {
    /// When each ends, `None` = not open, and when that was answered.
    ends: BTreeMap<Key, (Option<Millis>, Millis)>,
    order: VecDeque<Key>,
}

/// What the origin has said of a session since its token was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// It lasts longer: its claims as they are now.
    Extended(SessionClaims),
    /// It is over.
    Over,
}

impl Renewed {
    /// Nothing remembered.
    pub const fn new() -> Self {
        Self { ends: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Takes in the answer to a report.
    pub fn learn(&mut self, answer: &Answer, now: Millis) {
        for room in &answer.rooms {
            for (ticket, end) in &room.sessions {
                let key = (room.event_id.clone(), room.generation, *ticket);
                if self.ends.insert(key.clone(), (*end, now)).is_none() {
                    self.order.push_back(key);
                }
            }
        }
        while self.ends.len() > SESSIONS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ends.remove(&oldest);
        }
    }

    /// A session has ended by the word of its site.
    pub fn end(&mut self, session: &SessionClaims, now: Millis) {
        let room = anteroom_core::relay::RoomAnswer {
            event_id: session.event.clone(),
            generation: session.generation,
            sessions: vec![(session.ticket, None)],
        };
        self.learn(&Answer { rooms: vec![room] }, now);
    }

    /// What is new about a session. A token made after the answer knows better.
    pub fn news(&self, session: &SessionClaims) -> News {
        let key = (session.event.clone(), session.generation, session.ticket);
        match self.ends.get(&key) {
            Some((None, answered_at)) if session.renewed_at <= answered_at.secs() => News::Over,
            Some((Some(end), answered_at)) if end.secs() > session.ends_at => {
                News::Extended(SessionClaims { renewed_at: answered_at.secs(), ends_at: end.secs(), ..session.clone() })
            }
            _ => News::None,
        }
    }

    /// Whether the origin has been asked about a session lately, so that there is no need to ask again.
    pub fn is_known(&self, session: &SessionClaims, now: Millis) -> bool {
        let key = (session.event.clone(), session.generation, session.ticket);
        self.ends.get(&key).is_some_and(|(_, answered_at)| now.since(*answered_at) < NEWS_MS)
    }
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
    fn a_session_that_is_over_is_known_to_be_unless_its_token_is_newer() {
        let mut renewed = Renewed::new();
        renewed.learn(&answer(vec![(Ticket(1), None)]), NOW);
        renewed.end(&session(2), NOW);
        assert_eq!((renewed.news(&session(1)), renewed.news(&session(2))), (News::Over, News::Over));
        let newer = SessionClaims { renewed_at: NOW.secs() + 1, ..session(1) };
        assert_eq!(renewed.news(&newer), News::None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut renewed = Renewed::new();
        for ticket in 0..SESSIONS_MAX as u64 + 5 {
            renewed.learn(&answer(vec![(Ticket(ticket), None)]), NOW);
        }
        assert_eq!((renewed.ends.len(), renewed.order.len()), (SESSIONS_MAX, SESSIONS_MAX));
        assert_eq!((renewed.news(&session(4)), renewed.news(&session(5))), (News::None, News::Over));
    }
}
