//! Taking replies of scripts apart.

use crate::store::{Reading, StoreError, Stored};
use anteroom_core::bitmap::Bitmap;
use anteroom_core::line::{Facts, JoinMark, Session, Wave};
use anteroom_core::units::{Generation, Millis, Slot};
use anteroom_core::window::{Flow, Window};
use redis::Value;
use std::collections::HashMap;

/// A reply of one script, read from left to right.
pub(super) struct Reply {
    script: &'static str,
    values: std::vec::IntoIter<Value>,
}

type Fact = (&'static str, fn(&mut Facts) -> &mut u64);

/// The numbers of a line in the order in which `read_line` replies them.
pub(super) const FACTS: [Fact; 26] = [
    ("generation", |facts| &mut facts.generation.0),
    ("base", |facts| &mut facts.base),
    ("issued", |facts| &mut facts.issued),
    ("serving", |facts| &mut facts.serving),
    ("waiting", |facts| &mut facts.waiting),
    ("ready", |facts| &mut facts.ready),
    ("active", |facts| &mut facts.active),
    ("called_total", |facts| &mut facts.called_total),
    ("entered_total", |facts| &mut facts.entered_total),
    ("missed_total", |facts| &mut facts.missed_total),
    ("left_total", |facts| &mut facts.left_total),
    ("epoch", |facts| &mut facts.epoch),
    ("epoch_at", |facts| &mut facts.epoch_at.0),
    ("level", |facts| &mut facts.level),
    ("level_at", |facts| &mut facts.level_at.0),
    ("refund", |facts| &mut facts.refund),
    ("wave_at", |facts| &mut facts.wave_at.0),
    ("rate", |facts| &mut facts.rate),
    ("now", |facts| &mut facts.now.0),
    ("settled_at", |facts| &mut facts.settled_at.0),
    ("given_back", |facts| &mut facts.given_back),
    ("mark_at", |facts| &mut facts.mark_at.0),
    ("born_at", |facts| &mut facts.born_at.0),
    ("version", |facts| &mut facts.version),
    ("bits", |facts| &mut facts.bits),
    ("settings", |facts| &mut facts.settings),
];

impl Reply {
    pub(super) fn new(script: &'static str, value: Value) -> Stored<Self> {
        match value {
            Value::Array(values) => Ok(Self { script, values: values.into_iter() }),
            other => Err(StoreError::Broken(format!("{script} replied {other:?}"))),
        }
    }

    pub(super) fn broken(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Broken(format!("{} replied {what}", self.script))
    }

    /// The next value as a number.
    pub(super) fn number(&mut self) -> Stored<u64> {
        let value = self.values.next();
        self.as_number(value.as_ref())
    }

    /// The next value as a time.
    pub(super) fn millis(&mut self) -> Stored<Millis> {
        self.number().map(Millis)
    }

    /// The next value as a session.
    pub(super) fn session(&mut self) -> Stored<Session> {
        Ok(Session { entered_at: self.millis()?, ends_at: self.millis()?, pass_at: self.millis()? })
    }

    /// The rest of a reply of `read_line`.
    pub(super) fn reading(mut self) -> Stored<Reading> {
        let facts = self.facts()?;
        Ok(Reading {
            bitmaps: match (self.bytes()?, self.bytes()?) {
                (Some(gone), Some(left)) => Some((Bitmap::from_bytes(&gone), Bitmap::from_bytes(&left))),
                _ => None,
            },
            waves: self.waves(&facts)?,
            joins: self.joins()?,
            window: self.window()?,
            sessions: self.sessions(&facts)?,
            settings: match self.bytes()? {
                Some(text) => Some(String::from_utf8(text).map_err(|error| self.broken(error))?),
                None => None,
            },
            facts,
        })
    }

    fn facts(&mut self) -> Stored<Facts> {
        let values = self.list()?.unwrap_or_default();
        if values.len() != FACTS.len() {
            return Err(self.broken(format_args!("{} facts", values.len())));
        }
        let mut facts = Facts { generation: Generation(0), ..Facts::default() };
        for ((_, field), value) in FACTS.iter().zip(&values) {
            *field(&mut facts) = self.as_number(Some(value))?;
        }
        Ok(facts)
    }

    fn waves(&mut self, facts: &Facts) -> Stored<Option<Vec<Wave>>> {
        let (waves, claims) = (self.list()?, self.list()?.unwrap_or_default());
        let Some(waves) = waves else { return Ok(None) };
        let mut claimed = HashMap::new();
        for pair in claims.chunks(2) {
            claimed.insert(self.as_number(pair.first())?, self.as_number(pair.get(1))?);
        }
        let mut found = Vec::with_capacity(waves.len());
        for wave in &waves {
            let [from, last, called_at, until, called] = self.as_numbers(wave, ':')?;
            let wave = Wave {
                from: Slot(from),
                last: Slot(last),
                called_at: Millis(called_at),
                until: Millis(until),
                called,
                claimed: claimed.get(&last).copied().unwrap_or(0),
            };
            found.push(wave.shown(facts));
        }
        Ok(Some(found))
    }

    /// Marks as entries of a stream: `[["<at>-<n>", ["i", issued, "w", waiting]], …]`.
    fn joins(&mut self) -> Stored<Vec<JoinMark>> {
        let mut marks = Vec::new();
        for entry in self.list()?.unwrap_or_default() {
            let Value::Array(parts) = &entry else { return Err(self.broken(format_args!("the mark {entry:?}"))) };
            let [id, Value::Array(fields)] = parts.as_slice() else {
                return Err(self.broken(format_args!("the mark {entry:?}")));
            };
            let [at, _] = self.as_numbers(id, '-')?;
            let (issued, waiting) = (self.as_number(fields.get(1))?, self.as_number(fields.get(3))?);
            marks.push(JoinMark { at: Millis(at), issued, waiting });
        }
        Ok(marks)
    }

    fn window(&mut self) -> Stored<Window> {
        let mut window = Window::default();
        for entry in self.list()?.unwrap_or_default() {
            let [stretch, calls, entries, losses, busy_ms, waited_ms] = self.as_numbers(&entry, ' ')?;
            window.put(stretch, Flow { calls, entries, losses, busy_ms, waited_ms });
        }
        Ok(window)
    }

    fn sessions(&mut self, facts: &Facts) -> Stored<Option<Vec<(u64, Session)>>> {
        let Some(entries) = self.list()? else { return Ok(None) };
        let mut sessions = Vec::with_capacity(entries.len());
        for entry in &entries {
            let [slot, entered_at, ends_at, pass_at] = self.as_numbers(entry, ':')?;
            let session =
                Session { entered_at: Millis(entered_at), ends_at: Millis(ends_at), pass_at: Millis(pass_at) };
            sessions.push((slot, session.shown(facts)));
        }
        Ok(Some(sessions))
    }

    fn list(&mut self) -> Stored<Option<Vec<Value>>> {
        match self.values.next() {
            None | Some(Value::Nil) => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(other) => Err(self.broken(format_args!("{other:?} for a list"))),
        }
    }

    fn bytes(&mut self) -> Stored<Option<Vec<u8>>> {
        match self.values.next() {
            None | Some(Value::Nil) => Ok(None),
            Some(Value::BulkString(bytes)) => Ok(Some(bytes)),
            Some(other) => Err(self.broken(format_args!("{other:?} for a text"))),
        }
    }

    fn as_number(&self, value: Option<&Value>) -> Stored<u64> {
        let number = match value {
            Some(Value::Int(number)) => u64::try_from(*number).ok(),
            Some(Value::BulkString(text)) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        number.ok_or_else(|| self.broken(format_args!("{value:?} for a number")))
    }

    /// A text of `N` numbers.
    fn as_numbers<const N: usize>(&self, value: &Value, separator: char) -> Stored<[u64; N]> {
        let Value::BulkString(text) = value else { return Err(self.broken(format_args!("{value:?} for numbers"))) };
        let text = std::str::from_utf8(text).map_err(|error| self.broken(error))?;
        let numbers: Option<Vec<u64>> = text.split(separator).map(|number| number.parse().ok()).collect();
        numbers
            .and_then(|numbers| numbers.try_into().ok())
            .ok_or_else(|| self.broken(format_args!("{text:?} for {N} numbers")))
    }
}
