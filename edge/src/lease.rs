//! When to ask the origin again for something that is held, and who of many requests does it.
//!
//! A thing is asked for at most once in a while, with one request in flight, however many people want it. Nobody waits for an
//! answer while a usable one is held. A fetch belongs to the request that started it and may die with it, so that the right to fetch
//! is a lease of [`LEASE_MS`]: a fetch that never returns holds nobody up for longer.

use anteroom_core::units::Millis;

/// After this a fetch that has not returned counts as failed, milliseconds.
pub const LEASE_MS: u64 = 3_000;
/// Least time between two fetches, milliseconds.
const AGAIN_MS: u64 = 1_000;
/// So long after it was last asked an origin that did not answer is believed to be away, milliseconds.
const AWAY_KNOWN_MS: u64 = 10_000;

/// How old a thing may be.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// Younger than this it is not asked for, milliseconds.
    pub fresh_ms: u64,
    /// Younger than this it is served while the next one is fetched; beyond it the next one is waited for, unless the origin is
    /// known to be away.
    pub usable_ms: u64,
}

/// What to do for a request that needs the thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Go on with what is held.
    Serve,
    /// Go on with what is held, and fetch the next one meanwhile.
    ServeAndFetch,
    /// Fetch it first.
    Fetch,
    /// Another request is fetching it: ask again in a moment.
    Wait,
}

/// The right to fetch one thing, and what came of it lately.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    /// When the origin last answered.
    answered_at: Option<Millis>,
    asked_at: Option<Millis>,
    in_flight: bool,
    /// Since when it has not answered.
    away_since: Option<Millis>,
}

impl Lease {
    /// Never asked.
    pub const fn new() -> Self {
        Self { answered_at: None, asked_at: None, in_flight: false, away_since: None }
    }

    /// What to do for a request at `now`. After [`Plan::Fetch`] and [`Plan::ServeAndFetch`] the caller must fetch and
    /// [`Lease::settle`].
    pub fn plan(&mut self, ages: Ages, now: Millis) -> Plan {
        let since = |at: Option<Millis>| at.map_or(u64::MAX, |at| now.since(at));
        let (age, asked) = (since(self.answered_at), since(self.asked_at));
        if age < ages.fresh_ms {
            return Plan::Serve;
        }
        let busy = self.in_flight && asked < LEASE_MS;
        if self.in_flight && !busy {
            self.miss();
        }
        // While the origin is known to be away, what is old is as good as it gets. It may be back if nobody has tried for a while.
        let away = self.away_since.is_some() && asked < AWAY_KNOWN_MS;
        let usable = self.answered_at.is_some() && (age < ages.usable_ms || away);
        if !busy && asked >= AGAIN_MS {
            (self.asked_at, self.in_flight) = (Some(now), true);
            return if usable { Plan::ServeAndFetch } else { Plan::Fetch };
        }
        if usable || !busy { Plan::Serve } else { Plan::Wait }
    }

    /// Notes whether the origin has answered.
    pub fn settle(&mut self, answered: bool, now: Millis) {
        self.in_flight = false;
        if answered {
            (self.answered_at, self.away_since) = (Some(now), None);
        } else {
            self.miss();
        }
    }

    /// Notes an answer of the past, from a cache: it is usable at once and no longer fresh.
    pub fn recall(&mut self, answered_at: Millis) {
        self.answered_at = self.answered_at.max(Some(answered_at));
    }

    /// Milliseconds since the origin last answered; `None` when it never has.
    pub fn age_ms(&self, now: Millis) -> Option<u64> {
        self.answered_at.map(|at| now.since(at))
    }

    /// For how long the origin has not answered; 0 while it does, milliseconds. Known only by asking: it counts from the first
    /// request that failed.
    pub fn away_ms(&self, now: Millis) -> u64 {
        self.away_since.map_or(0, |since| now.since(since))
    }

    /// When it was last asked.
    pub const fn asked_at(&self) -> Option<Millis> {
        self.asked_at
    }

    fn miss(&mut self) {
        self.away_since = self.away_since.or(self.asked_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_219_200_000);
    const AGES: Ages = Ages { fresh_ms: 5_000, usable_ms: 60_000 };

    fn answered(at: Millis) -> Lease {
        let mut lease = Lease::new();
        assert_eq!(lease.plan(AGES, at), Plan::Fetch);
        lease.settle(true, at);
        lease
    }

    #[test]
    fn one_fetch_is_in_flight_and_only_those_who_hold_nothing_wait_for_it() {
        let mut lease = Lease::new();
        assert_eq!(lease.plan(AGES, NOW), Plan::Fetch);
        assert_eq!(lease.plan(AGES, NOW.plus(1)), Plan::Wait);
        lease.settle(true, NOW.plus(50));
        assert_eq!(lease.plan(AGES, NOW.plus(51)), Plan::Serve);
        assert_eq!(lease.plan(AGES, NOW.plus(5_050)), Plan::ServeAndFetch);
        assert_eq!(lease.plan(AGES, NOW.plus(7_000)), Plan::Serve);
        lease.settle(true, NOW.plus(7_000));
        // Nobody asked for a while: what is held is not good enough any more.
        assert_eq!(lease.plan(AGES, NOW.plus(67_000)), Plan::Fetch);
        assert_eq!(lease.plan(AGES, NOW.plus(67_001)), Plan::Wait);
    }

    #[test]
    fn a_fetch_that_dies_with_its_request_holds_nobody_up_for_longer_than_the_lease() {
        let mut lease = Lease::new();
        assert_eq!(lease.plan(AGES, NOW), Plan::Fetch);
        assert_eq!(lease.plan(AGES, NOW.plus(LEASE_MS - 1)), Plan::Wait);
        assert_eq!(lease.plan(AGES, NOW.plus(LEASE_MS)), Plan::Fetch);
        assert_eq!(lease.away_ms(NOW.plus(LEASE_MS)), LEASE_MS, "it has not answered since");
    }

    #[test]
    fn while_the_origin_is_away_it_is_asked_once_a_second_and_nobody_waits() {
        let mut lease = answered(NOW);
        for second in 100..200 {
            let now = NOW.plus(second * 1_000);
            let first = if second == 100 { Plan::Fetch } else { Plan::ServeAndFetch };
            assert_eq!(lease.plan(AGES, now), first);
            lease.settle(false, now.plus(10));
            assert_eq!(lease.plan(AGES, now.plus(10)), Plan::Serve);
            assert_eq!(lease.away_ms(now), (second - 100) * 1_000, "since the first time it did not answer");
        }
        lease.settle(true, NOW.plus(200_000));
        assert_eq!(lease.away_ms(NOW.plus(200_000)), 0);
    }

    #[test]
    fn an_origin_that_was_away_is_asked_first_when_nobody_has_tried_for_a_while() {
        let mut lease = answered(NOW);
        lease.plan(AGES, NOW.plus(100_000));
        lease.settle(false, NOW.plus(100_010));
        assert_eq!(lease.plan(AGES, NOW.plus(109_000)), Plan::ServeAndFetch);
        lease.settle(false, NOW.plus(109_010));
        assert_eq!(lease.plan(AGES, NOW.plus(119_000)), Plan::Fetch, "it may have come back");
    }

    #[test]
    fn what_a_cache_remembers_is_served_and_renewed() {
        let mut lease = Lease::new();
        lease.recall(NOW.minus(30_000));
        assert_eq!(lease.plan(AGES, NOW), Plan::ServeAndFetch);
        let mut lease = answered(NOW);
        lease.recall(NOW.minus(30_000));
        assert_eq!(lease.age_ms(NOW), Some(0), "what came from the origin itself is newer");
    }
}
