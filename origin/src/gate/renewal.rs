//! Sessions that are being used, extended while their visitors are served.
//!
//! A request that finds half of its session over starts one call to the store, and goes on. When the answer comes in time, its visitor
//! gets the new cookie with this answer, otherwise with the next one: until then it is remembered here that the session lasts. Only
//! one whose session has run out by its token waits for the answer, which says whether it has a session at all.

use crate::api::edge;
use crate::room::Room;
use anteroom_core::gate::{GRACE_MS, News};
use anteroom_core::token::SessionClaims;
use anteroom_core::units::{EventId, Generation, Millis, Slot};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Least time between two attempts to extend one session that could not be extended.
const PAUSE: Duration = Duration::from_secs(2);
/// So many are remembered before those that are over are looked for.
const SWEEP_AT: usize = 1_024;

type Key = (EventId, Generation, Slot);

/// See the module's comment.
#[derive(Default)]
pub(super) struct Renewals {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    sessions: HashMap<Key, Entry>,
    sweep_at: usize,
}

struct Entry {
    state: State,
    /// From then on it says nothing any more.
    until: Millis,
}

enum State {
    /// The store is being asked.
    Asking,
    /// It said so, at a second.
    Ends { at: u64, said_at: u64 },
    /// It did not extend it: none is open, or it could not be asked. Asked again after a while.
    Not { since: Instant, over: bool },
    /// The session was ended on purpose.
    Ended,
}

impl Renewals {
    /// What is known of a session that somebody shows. What its token says holds until it ends, unless it was ended on purpose.
    pub fn news(&self, shown: &SessionClaims, now: Millis) -> News {
        match self.known.lock().state(&key(shown)) {
            Some(State::Ended) => News::Over,
            Some(State::Not { over: true, .. }) if shown.left_ms(now) == 0 => News::Over,
            Some(&State::Ends { at, said_at }) if at > shown.ends_at => {
                News::Extended(SessionClaims { ends_at: at, renewed_at: said_at, ..shown.clone() })
            }
            _ => News::None,
        }
    }

    /// Has the session extended, unless that is being done.
    pub fn extend(self: &Arc<Self>, room: Arc<Room>, session: &SessionClaims) {
        let (key, now) = (key(session), room.host().clock.now());
        if self.known.lock().begin(&key, until(session, now), now) {
            tokio::spawn(self.clone().ask(room, session.clone()));
        }
    }

    /// Has a session extended that has run out by its token; the visitor waits for what has become of it.
    pub async fn renew(self: &Arc<Self>, room: Arc<Room>, session: &SessionClaims) -> News {
        if self.known.lock().may_ask(&key(session)) {
            // A task of its own: what the store answers is remembered, though the visitor may have gone.
            let asked = tokio::spawn(self.clone().ask(room.clone(), session.clone()));
            if let Err(error) = asked.await {
                tracing::error!(%error, "a session was not asked about");
            }
        }
        self.news(session, room.host().clock.now())
    }

    async fn ask(self: Arc<Self>, room: Arc<Room>, session: SessionClaims) {
        let key = key(&session);
        let ends = room.extend_session(key.1, key.2, edge::until(&room)).await;
        let now = room.host().clock.now();
        let not = |over| (State::Not { since: Instant::now(), over }, until(&session, now));
        let (state, until) = match ends {
            Ok(Some(ends)) => (State::Ends { at: ends.secs(), said_at: now.secs() }, ends),
            Ok(None) => not(true),
            Err(error) => {
                tracing::debug!(%error, "a session was not extended");
                not(false)
            }
        };
        self.known.lock().put(key, Entry { state, until }, now);
    }

    /// Has the session ended, and lets nobody in by it from now on.
    pub fn end(self: &Arc<Self>, room: Arc<Room>, session: &SessionClaims) {
        let (key, now) = (key(session), room.host().clock.now());
        let until = Millis(session.ends_at * 1000).plus(GRACE_MS);
        self.known.lock().put(key.clone(), Entry { state: State::Ended, until }, now);
        tokio::spawn(async move {
            match room.end_session(key.1, key.2).await {
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a session that was to end ends when its time is over"),
            }
        });
    }
}

impl Known {
    /// Whether to ask now.
    fn begin(&mut self, key: &Key, until: Millis, now: Millis) -> bool {
        let begins = self.may_ask(key) && !matches!(self.state(key), Some(State::Asking));
        if begins {
            self.put(key.clone(), Entry { state: State::Asking, until }, now);
        }
        begins
    }

    /// Whether an answer is to be expected that is not known yet.
    fn may_ask(&self, key: &Key) -> bool {
        match self.state(key) {
            Some(State::Ended) => false,
            Some(State::Not { since, .. }) => since.elapsed() >= PAUSE,
            _ => true,
        }
    }

    fn state(&self, key: &Key) -> Option<&State> {
        self.sessions.get(key).map(|entry| &entry.state)
    }

    fn put(&mut self, key: Key, entry: Entry, now: Millis) {
        let ended = self.sessions.get(&key).is_some_and(|known| matches!(known.state, State::Ended));
        if !ended || matches!(entry.state, State::Ended) {
            self.sessions.insert(key, entry);
        }
        if self.sessions.len() >= self.sweep_at.max(SWEEP_AT) {
            self.sessions.retain(|_, entry| entry.until > now);
            self.sweep_at = self.sessions.len() * 2;
        }
    }
}

fn key(session: &SessionClaims) -> Key {
    (session.event.clone(), session.generation, session.slot)
}

/// Until when what is known of a session that was not extended may be of use.
fn until(session: &SessionClaims, now: Millis) -> Millis {
    Millis(session.ends_at.saturating_mul(1000)).max(now).plus(GRACE_MS)
}
