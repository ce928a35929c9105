//! The line as one record per person, and everything about it by looking at every person: slow, and obviously right.

use crate::line::{
    Call, Called, Enter, EnterTerms, Facts, Join, JoinLimits, Joined, Leave, Line, OUTAGE_MS, Restore, Session,
    Standing,
};
use crate::units::{Generation, Identity, Millis, Slot, Ticket};
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

/// What became of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    InLine,
    /// By the wave of that index.
    Called(usize),
    Lapsed,
    PassedOver,
    Entered,
    Left,
}

#[derive(Clone, Debug)]
struct Person {
    fate: Fate,
    silent: bool,
    /// The epoch of the last sign of life; `None` = never a sign, or so long ago that the line was brought back since.
    heard: Option<u64>,
}

#[derive(Clone, Debug)]
struct Wave {
    from: u64,
    called_at: Millis,
    until: Millis,
    settled: bool,
}

#[derive(Clone, Debug)]
struct Record {
    generation: Generation,
    fingerprint: String,
    ticket: Ticket,
    position: u64,
    joined_at: Millis,
    expires_at: Millis,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    people: Vec<Person>,
    waves: Vec<Wave>,
    sessions: BTreeMap<u64, Session>,
    users: Vec<(Identity, Ticket)>,
    records: BTreeMap<String, Record>,
    /// The numbers that are not counted from `people`.
    told: Facts,
}

impl Model {
    pub(super) fn new(generation: Generation, now: Millis) -> Self {
        let told =
            Facts { generation, now, born_at: now, epoch_at: now, settled_at: now, version: 1, ..Facts::default() };
        Model {
            people: Vec::new(),
            waves: Vec::new(),
            sessions: BTreeMap::new(),
            users: Vec::new(),
            records: BTreeMap::new(),
            told,
        }
    }

    /// What the line's numbers must be; those it does not know (mark_at, bits, settings) are taken from the line.
    pub(super) fn facts(&self, line: &Facts) -> Facts {
        let count =
            |wanted: &dyn Fn(&Person) -> bool| self.people.iter().filter(|person| wanted(person)).count() as u64;
        Facts {
            issued: self.people.len() as u64,
            waiting: count(&|person| person.fate == Fate::InLine && !person.silent),
            ready: count(&|person| matches!(person.fate, Fate::Called(wave) if !self.waves[wave].settled)),
            active: self.sessions.len() as u64,
            mark_at: line.mark_at,
            bits: line.bits,
            settings: line.settings,
            ..self.told.clone()
        }
    }

    pub(super) fn serving(&self) -> u64 {
        self.told.serving
    }

    pub(super) fn base(&self) -> u64 {
        self.told.base
    }

    pub(super) fn issued(&self) -> u64 {
        self.people.len() as u64
    }

    pub(super) fn is_live(&self, slot: u64) -> bool {
        self.standing(slot) == Standing::Waiting
    }

    pub(super) fn standing(&self, slot: u64) -> Standing {
        if slot == 0 || slot > self.issued() {
            return Standing::Unknown;
        }
        if slot <= self.told.base {
            return Standing::Missed;
        }
        let person = &self.people[slot as usize - 1];
        match person.fate {
            Fate::InLine if person.silent => Standing::Silent,
            Fate::InLine => Standing::Waiting,
            // What was settled stays closed, even where a line is brought back by a host whose clock is behind.
            Fate::Called(wave) if !self.waves[wave].settled && self.waves[wave].until > self.told.now => {
                Standing::Ready { called_at: self.waves[wave].called_at, until: self.waves[wave].until }
            }
            Fate::Called(_) | Fate::Lapsed => Standing::Missed,
            Fate::PassedOver => Standing::PassedOver,
            Fate::Entered => Standing::Entered,
            Fate::Left => Standing::Left,
        }
    }

    /// After an outage, every end is that much later.
    pub(super) fn advance(&mut self, now: Millis) -> Millis {
        self.told.now = self.told.now.max(now);
        let unticked = self.told.now.since(self.told.settled_at);
        if unticked > OUTAGE_MS {
            self.waves.iter_mut().filter(|wave| !wave.settled).for_each(|wave| wave.until = wave.until.plus(unticked));
            self.sessions.values_mut().for_each(|session| session.ends_at = session.ends_at.plus(unticked));
            self.told.settled_at = self.told.now;
            self.told.given_back += unticked;
            self.told.version += 1;
        }
        self.told.now
    }

    fn session(&self, slot: u64) -> Option<Session> {
        self.sessions.get(&slot).copied().filter(|session| session.ends_at > self.told.now)
    }

    fn holds(&self, slot: u64) -> bool {
        matches!(self.standing(slot), Standing::Waiting | Standing::Silent | Standing::Ready { .. })
            || self.session(slot).is_some()
    }

    pub(super) fn join(&mut self, batch: &[Join], limits: JoinLimits, now: Millis) -> Vec<Joined> {
        self.advance(now);
        let mut waiting = (1..=self.issued()).filter(|slot| self.is_live(*slot)).count() as u64;
        batch.iter().map(|join| self.join_one(join, limits, &mut waiting)).collect()
    }

    fn join_one(&mut self, join: &Join, limits: JoinLimits, waiting: &mut u64) -> Joined {
        let now = self.told.now;
        if let Some(idem) = &join.idem
            && let Some(record) = self.records.get(&idem.key)
            && record.generation == self.told.generation
            && record.expires_at > now
        {
            return if record.fingerprint == idem.fingerprint {
                Joined::Repeat { ticket: record.ticket, position: record.position, joined_at: record.joined_at }
            } else {
                Joined::Conflict
            };
        }
        if let Some(identity) = &join.identity {
            let held = self.users.iter().filter(|(who, ticket)| who == identity && self.holds(ticket.0));
            let held: Vec<Ticket> = held.map(|(_, ticket)| *ticket).collect();
            if held.len() as u64 >= limits.places_per_user {
                return Joined::Duplicate { ticket: *held.iter().max().unwrap() };
            }
        }
        self.people.push(Person { fate: Fate::InLine, silent: false, heard: Some(self.told.epoch) });
        let ticket = Ticket(self.issued());
        *waiting += 1;
        let position = *waiting;
        if let Some(identity) = &join.identity {
            let kept: Vec<_> =
                self.users.iter().filter(|(who, old)| who != identity || self.holds(old.0)).cloned().collect();
            self.users = kept;
            self.users.push((identity.clone(), ticket));
        }
        if let Some(idem) = &join.idem {
            let record = Record {
                generation: self.told.generation,
                fingerprint: idem.fingerprint.clone(),
                ticket,
                position,
                joined_at: now,
                expires_at: now.plus(limits.idem_ttl_ms),
            };
            self.records.insert(idem.key.clone(), record);
        }
        Joined::New { ticket, position }
    }

    /// Each of `slots` gives a sign of life; how many are back.
    pub(super) fn hear(&mut self, slots: &[u64], now: Millis) -> u64 {
        self.advance(now);
        let mut back = 0;
        for slot in slots {
            if *slot > self.told.base && *slot <= self.issued() {
                let person = &mut self.people[*slot as usize - 1];
                person.heard = Some(self.told.epoch);
                back += u64::from(person.fate == Fate::InLine && person.silent);
                person.silent &= person.fate != Fate::InLine;
            }
        }
        back
    }

    pub(super) fn turn_epoch(&mut self, epoch: u64, now: Millis) -> Option<u64> {
        let now = self.advance(now);
        if epoch != self.told.epoch {
            return None;
        }
        self.told.epoch += 1;
        self.told.epoch_at = now;
        Some(self.silence(4))
    }

    pub(super) fn sweep(&mut self, now: Millis) -> u64 {
        self.advance(now);
        self.silence(3)
    }

    /// Who was last heard from more than `epochs` epochs ago is silent.
    fn silence(&mut self, epochs: u64) -> u64 {
        self.told.version += 1;
        let mut dropped = 0;
        for person in self.people.iter_mut().filter(|person| person.fate == Fate::InLine && !person.silent) {
            person.silent = person.heard.is_none_or(|heard| heard + epochs < self.told.epoch);
            dropped += u64::from(person.silent);
        }
        dropped
    }

    pub(super) fn call(&mut self, call: &Call) -> Called {
        if call.version != self.told.version {
            return Called::Stale { version: self.told.version };
        }
        let now = self.advance(call.now);
        while self.told.serving < call.lapse_to.0.min(self.issued()) {
            self.told.serving += 1;
            let person = &mut self.people[self.told.serving as usize - 1];
            if person.fate == Fate::InLine {
                person.fate = if person.silent { Fate::PassedOver } else { Fate::Lapsed };
                self.told.missed_total += u64::from(!person.silent);
            }
        }
        let from = self.told.serving + 1;
        let callable = (from..=call.limit.0.min(self.issued())).filter(|slot| self.is_live(*slot));
        let called: Vec<u64> = callable.take(call.count as usize).collect();
        if let Some(last) = called.last() {
            let open = self.waves.iter().filter(|wave| !wave.settled).map(|wave| wave.until).max();
            let until = open.map_or(call.until, |open| open.max(call.until));
            self.waves.push(Wave { from, called_at: now, until, settled: false });
            for slot in from..=*last {
                let person = &mut self.people[slot as usize - 1];
                if person.fate == Fate::InLine {
                    person.fate = if person.silent { Fate::PassedOver } else { Fate::Called(self.waves.len() - 1) };
                }
            }
            self.told.serving = *last;
        }
        let told = &mut self.told;
        told.called_total += called.len() as u64;
        if call.count == 0 || !called.is_empty() {
            told.level = call.level.saturating_sub(called.len() as u64 * call.cost);
            told.level_at = call.level_at;
            told.refund = told.refund.saturating_sub(call.refund);
            told.wave_at = call.wave_at;
        }
        told.rate = call.rate;
        told.version += 1;
        Called::Done { called: called.len() as u64, serving: Slot(told.serving) }
    }

    pub(super) fn enter(&mut self, generation: Generation, slot: u64, terms: EnterTerms, now: Millis) -> Enter {
        let now = self.advance(now);
        if generation != self.told.generation {
            return Enter::Unknown;
        }
        if let Some(mut session) = self.session(slot) {
            if now.since(session.pass_at) >= terms.pass_ttl_ms {
                session.pass_at = now;
                self.sessions.insert(slot, session);
            }
            return Enter::Again(session);
        }
        match self.standing(slot) {
            Standing::Unknown => Enter::Unknown,
            Standing::Waiting | Standing::Silent => Enter::NotReady,
            Standing::Missed => Enter::Missed,
            Standing::PassedOver => Enter::PassedOver,
            Standing::Left => Enter::Left,
            Standing::Entered => Enter::Over,
            Standing::Ready { .. } => {
                self.people[slot as usize - 1].fate = Fate::Entered;
                self.told.entered_total += 1;
                let session = Session { entered_at: now, ends_at: now.plus(terms.session_ms), pass_at: now };
                self.sessions.insert(slot, session);
                Enter::Entered(session)
            }
        }
    }

    pub(super) fn leave(&mut self, generation: Generation, slot: u64, now: Millis) -> Leave {
        self.advance(now);
        let standing = self.standing(slot);
        if generation != self.told.generation || standing == Standing::Unknown {
            return Leave::Unknown;
        }
        match standing {
            Standing::Waiting | Standing::Silent | Standing::Ready { .. } => {
                self.told.refund += u64::from(matches!(standing, Standing::Ready { .. }));
                self.told.left_total += 1;
                self.people[slot as usize - 1].fate = Fate::Left;
                Leave::Left
            }
            Standing::Entered | Standing::Missed if self.end_session(generation, slot, now) => Leave::Left,
            _ => Leave::Already,
        }
    }

    pub(super) fn extend_session(
        &mut self,
        generation: Generation,
        slot: u64,
        until: Millis,
        now: Millis,
    ) -> Option<Millis> {
        self.advance(now);
        let mut session = self.session(slot).filter(|_| generation == self.told.generation)?;
        session.ends_at = session.ends_at.max(until);
        self.sessions.insert(slot, session);
        Some(session.ends_at)
    }

    pub(super) fn end_session(&mut self, generation: Generation, slot: u64, now: Millis) -> bool {
        self.advance(now);
        if generation != self.told.generation {
            return false;
        }
        let open = self.session(slot).is_some();
        self.sessions.remove(&slot);
        open
    }

    pub(super) fn settle(&mut self, now: Millis) {
        let now = self.advance(now);
        for (at, wave) in self.waves.iter_mut().enumerate().filter(|(_, wave)| !wave.settled && wave.until <= now) {
            wave.settled = true;
            let missed = self.people.iter().filter(|person| person.fate == Fate::Called(at)).count() as u64;
            self.told.missed_total += missed;
            self.told.refund += missed;
        }
        self.sessions.retain(|_, session| session.ends_at > now);
        self.told.settled_at = now;
    }

    pub(super) fn trim(&mut self, base: u64) -> bool {
        let open = self.waves.iter().filter(|wave| !wave.settled).map(|wave| wave.from - 1).min();
        let legal = base.is_multiple_of(64) && base > self.told.base && base <= open.unwrap_or(self.told.serving);
        if legal {
            self.told.base = base;
            self.told.version += 1;
        }
        legal
    }

    pub(super) fn skip_to(&mut self, issued: u64) {
        for person in self.people.iter_mut().filter(|person| !person.silent) {
            person.heard = Some(self.told.epoch);
        }
        let nobody = Person { fate: Fate::InLine, silent: true, heard: None };
        self.people.resize(self.people.len().max(issued as usize), nobody);
        self.told.version += 1;
    }

    pub(super) fn reset(&mut self, now: Millis) -> Generation {
        let now = self.advance(now);
        let generation = Generation(now.secs().max(self.told.generation.0 + 1));
        let version = self.told.version + 1;
        *self = Model::new(generation, now);
        self.told.version = version;
        generation
    }

    /// Brings this line to what `then` knew of it, as [`known`] tells it, with `issued` numbers handed out.
    pub(super) fn restore(&mut self, then: &Model, issued: u64, now: Millis) -> bool {
        let now = self.advance(now);
        let untouched = self.people.is_empty();
        if then.told.generation < self.told.generation && !untouched {
            return false;
        }
        if untouched || then.told.generation > self.told.generation {
            let version = self.told.version;
            *self = then.clone();
            self.records.clear();
            let kept = then.told.clone();
            self.told = Facts {
                epoch: 0,
                epoch_at: now,
                refund: 0,
                wave_at: Millis(0),
                rate: 0,
                now,
                born_at: now,
                settled_at: kept.settled_at.min(now),
                given_back: 0,
                version,
                ..kept
            };
            self.advance(now);
            self.skip_to(issued);
            return true;
        }
        let mut changed = false;
        for user in &then.users {
            if !self.users.contains(user) {
                self.users.push(user.clone());
                changed = true;
            }
        }
        if issued > self.issued() {
            self.skip_to(issued);
            changed = true;
        }
        changed
    }
}

/// What an origin that has read all of `line` can tell about it, when numbers up to `issued` may have been handed out.
pub(super) fn known(line: &Line, issued: u64) -> Restore {
    let facts = line.facts();
    let users = line.users.iter().flat_map(|(who, tickets)| tickets.iter().map(|ticket| (who.clone(), *ticket)));
    Restore {
        generation: facts.generation,
        base: facts.base,
        known: facts.issued,
        issued: issued.max(facts.issued),
        serving: facts.serving,
        gone: line.gone().clone(),
        left: line.left().clone(),
        settled_at: facts.settled_at,
        waves: line.waves().into(),
        active: line.active().collect(),
        level: facts.level,
        level_at: facts.level_at,
        totals: [facts.called_total, facts.entered_total, facts.missed_total, facts.left_total],
        users: users.collect(),
    }
}
