//! Reading settings out of JSON, naming what is wrong.

use super::{Feedback, MinWait, Release};
use crate::units::Millis;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display};
use core::ops::RangeInclusive;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Something wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, with dots for what is inside another.
    pub field: String,
    /// What is wrong with it, to be read after the name.
    pub what: String,
}

impl Problem {
    pub(crate) fn new(field: &str, what: impl Into<String>) -> Self {
        Self { field: field.into(), what: what.into() }
    }

    /// Whether the field is none that is known here.
    pub(super) fn is_of_unknown_name(&self) -> bool {
        self.what == UNKNOWN
    }
}

/// What is wrong with a field of an unknown name.
const UNKNOWN: &str = "is not a setting";

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.what) } else { write!(f, "{} {}", self.field, self.what) }
    }
}

/// `2026-11-21T10:00:00Z`, with milliseconds when there are any. Times beyond the year 9999 are written as its last second.
pub fn rfc3339(at: Millis) -> String {
    let seconds = i64::try_from(at.secs()).ok();
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let Some(time) = time.filter(|time| time.year() <= 9999) else { return "9999-12-31T23:59:59Z".into() };
    let (year, month, day) = time.to_calendar_date();
    let (month, (hour, minute, second)) = (u8::from(month), time.to_hms());
    // `time` writes texts with std only.
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    let ms = at.0 % 1000;
    if ms > 0 {
        text.push_str(format!(".{ms:03}").trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// The time that a text in RFC 3339 says, such as `2026-11-21T10:00:00.25+09:00`; `None` when it is none, or before 1970. What is
/// finer than milliseconds is cut off.
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let seconds = u64::try_from(time.unix_timestamp()).ok()?;
    Some(Millis(seconds * 1000 + u64::from(time.millisecond())))
}

/// The name of a value in a table of words.
pub(super) fn name<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// Takes the fields of one JSON object one by one; whatever is left at the end is unknown.
pub(super) struct Fields {
    prefix: String,
    left: Map<String, Value>,
    problems: Vec<Problem>,
}

/// A field that is being read.
pub(super) struct Field {
    name: String,
}

impl Field {
    fn problem(&self, what: impl Into<String>) -> Problem {
        Problem { field: self.name.clone(), what: what.into() }
    }

    pub(super) fn u32(&self, value: &Value, range: RangeInclusive<u32>) -> Result<u32, Problem> {
        let wrong = || {
            self.problem(format!(
                "must be a whole number from {} to {}, not {}",
                range.start(),
                range.end(),
                brief(value)
            ))
        };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).ok_or_else(wrong)?;
        if range.contains(&number) { Ok(number) } else { Err(wrong()) }
    }

    fn texts(&self, value: &Value) -> Result<Vec<String>, Problem> {
        let wrong =
            || self.problem(format!("must be a list of up to 100 texts of 1 to 500 characters, not {}", brief(value)));
        let list = value.as_array().filter(|list| list.len() <= 100).ok_or_else(wrong)?;
        list.iter()
            .map(|item| {
                item.as_str().filter(|text| (1..=500).contains(&text.len())).map(String::from).ok_or_else(wrong)
            })
            .collect()
    }
}

/// A value, short enough for a message.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { text.chars().take(57).chain("...".chars()).collect() } else { text }
}

impl Fields {
    pub(super) fn of(prefix: &str, value: &Value) -> Self {
        let (left, problems) = match value {
            Value::Object(object) => (object.clone(), Vec::new()),
            other => {
                let what = format!(
                    "{}must be a JSON object, not {}",
                    if prefix.is_empty() { "the body " } else { "" },
                    brief(other)
                );
                (Map::new(), Vec::from([Problem::new(prefix.trim_end_matches('.'), what)]))
            }
        };
        Self { prefix: prefix.into(), left, problems }
    }

    fn take<T>(&mut self, name: &str, into: &mut T, read: impl FnOnce(&Field, &Value) -> Result<T, Problem>) {
        let Some(value) = self.left.remove(name) else { return };
        match read(&Field { name: format!("{}{name}", self.prefix) }, &value) {
            Ok(value) => *into = value,
            Err(problem) => self.problems.push(problem),
        }
    }

    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<u32>, into: &mut u32) {
        self.take(name, into, |field, value| field.u32(value, range));
    }

    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        into: &mut Option<T>,
        read: impl FnOnce(&Field, &Value) -> Result<T, Problem>,
    ) {
        self.take(name, into, |field, value| if value.is_null() { Ok(None) } else { read(field, value).map(Some) });
    }

    pub(super) fn flag(&mut self, name: &str, into: &mut bool) {
        self.take(name, into, |field, value| {
            value.as_bool().ok_or_else(|| field.problem(format!("must be true or false, not {}", brief(value))))
        });
    }

    pub(super) fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)], into: &mut T) {
        self.take(name, into, |field, value| {
            let word = value.as_str().unwrap_or("");
            words.iter().find(|(known, _)| *known == word).map(|(_, value)| *value).ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
                field.problem(format!("must be one of {}, not {}", known.join(", "), brief(value)))
            })
        });
    }

    pub(super) fn text(&mut self, name: &str, most: usize, into: &mut Option<String>) {
        self.optional(name, into, |field, value| {
            let text = value.as_str().filter(|text| text.chars().count() <= most);
            text.map(String::from).ok_or_else(|| {
                field.problem(format!("must be a text of up to {most} characters, not {}", brief(value)))
            })
        });
    }

    pub(super) fn texts(&mut self, name: &str, into: &mut Vec<String>) {
        self.take(name, into, |field, value| field.texts(value));
    }

    pub(super) fn time(&mut self, name: &str, into: &mut Option<Millis>) {
        self.optional(name, into, |field, value| {
            value.as_str().and_then(parse_rfc3339).ok_or_else(|| {
                field.problem(format!("must be an RFC 3339 time such as 2026-11-21T10:00:00Z, not {}", brief(value)))
            })
        });
    }

    pub(super) fn inside(&mut self, name: &str, read: impl FnOnce(&mut Fields)) {
        let Some(value) = self.left.remove(name) else { return };
        let mut inner = Fields::of(&format!("{}{name}.", self.prefix), &value);
        read(&mut inner);
        self.problems.extend(inner.finish());
    }

    pub(super) fn release(&mut self, name: &str, into: &mut Release) {
        match self.left.get(name) {
            Some(Value::Object(_)) => {
                let (mut size, mut every_sec) = (0, 0);
                let before = self.problems.len();
                self.inside(name, |release| {
                    release.inside("waves", |waves| {
                        waves.number("size", 1..=1_000_000, &mut size);
                        waves.number("every_sec", 1..=86_400, &mut every_sec);
                    });
                });
                if self.problems.len() == before {
                    if size == 0 || every_sec == 0 {
                        let what = r#"must be "steady" or {"waves": {"size": n, "every_sec": n}}"#;
                        self.problems.push(Problem::new(&format!("{}{name}", self.prefix), what));
                    } else {
                        *into = Release::Waves { size, every_sec };
                    }
                }
            }
            _ => self.word(name, &[("steady", Release::Steady)], into),
        }
    }

    pub(super) fn feedback(&mut self, name: &str, into: &mut Option<Feedback>) {
        match self.left.get(name) {
            None => {}
            Some(Value::Null) => {
                self.left.remove(name);
                *into = None;
            }
            Some(_) => {
                let mut new = into.unwrap_or(Feedback {
                    p95_ms: 800,
                    error_rate: 0.02,
                    min_per_minute: 60,
                    max_per_minute: 6_000,
                });
                self.inside(name, |feedback| {
                    feedback.number("p95_ms", 1..=600_000, &mut new.p95_ms);
                    feedback.take("error_rate", &mut new.error_rate, |field, value| {
                        value
                            .as_f64()
                            .filter(|rate| (0.0..=1.0).contains(rate))
                            .ok_or_else(|| field.problem(format!("must be a number from 0 to 1, not {}", brief(value))))
                    });
                    feedback.number("min_per_minute", 1..=6_000_000, &mut new.min_per_minute);
                    feedback.number("max_per_minute", 1..=6_000_000, &mut new.max_per_minute);
                });
                if new.min_per_minute > new.max_per_minute {
                    let field = format!("{}{name}.min_per_minute", self.prefix);
                    self.problems.push(Problem::new(&field, "is more than max_per_minute"));
                }
                *into = Some(new);
            }
        }
    }

    pub(super) fn min_wait(&mut self, name: &str, into: &mut Vec<MinWait>) {
        let Some(value) = self.left.remove(name) else { return };
        let field = Field { name: format!("{}{name}", self.prefix) };
        let Some(list) = value.as_array().filter(|list| list.len() <= 20) else {
            return self
                .problems
                .push(field.problem(format!("must be a list of up to 20 steps, not {}", brief(&value))));
        };
        let mut steps: Vec<MinWait> = Vec::new();
        let mut problems = Vec::new();
        for (at, item) in list.iter().enumerate() {
            let prefix = format!("{}[{at}].", field.name);
            let mut step = Fields::of(&prefix, item);
            let (mut up_to, mut sec) = (None, None);
            step.optional("up_to", &mut up_to, |field, value| field.u32(value, 1..=100_000_000).map(u64::from));
            step.optional("sec", &mut sec, |field, value| field.u32(value, 0..=3_600));
            let mut wrong = step.finish();
            if sec.is_none() && wrong.is_empty() {
                wrong.push(Problem::new(&format!("{prefix}sec"), "is missing"));
            }
            if let Some(before) = steps.last()
                && before.up_to.is_none_or(|before| up_to.is_some_and(|up_to| up_to <= before))
            {
                wrong.push(Problem::new(
                    &format!("{prefix}up_to"),
                    "must be more than that of the step before, which must have one",
                ));
            }
            steps.push(MinWait { up_to, sec: sec.unwrap_or(0) });
            problems.extend(wrong);
        }
        if problems.is_empty() {
            *into = steps;
        }
        self.problems.extend(problems);
    }

    pub(super) fn theme(&mut self, name: &str, into: &mut BTreeMap<String, String>) {
        self.take(name, into, |field, value| {
            let wrong = || field.problem(format!("must be an object of up to 50 short texts, not {}", brief(value)));
            let object = value.as_object().filter(|object| object.len() <= 50).ok_or_else(wrong)?;
            object
                .iter()
                .map(|(key, value)| match value.as_str() {
                    Some(text) if key.len() <= 50 && text.len() <= 2_000 => Ok((key.clone(), text.to_string())),
                    _ => Err(wrong()),
                })
                .collect()
        });
    }

    /// Every problem, the names nobody asked for among them.
    pub(super) fn finish(self) -> Vec<Problem> {
        let Fields { prefix, left, mut problems } = self;
        problems.extend(left.keys().map(|name| {
            let shown: String = name.chars().take(60).collect();
            Problem::new(&format!("{prefix}{shown}"), UNKNOWN)
        }));
        problems
    }
}
