//! The settings of a room: parsed once at the boundary, never invalid afterwards.
//!
//! [`Settings::patched`] takes any subset of the settings as JSON and gives the whole, or every problem at once, each naming the
//! field. [`Settings::to_json`] writes the whole in the shape it is read.

mod read;

pub use read::{Problem, parse_rfc3339, rfc3339};

use crate::units::Millis;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use read::Fields;
use serde_json::{Map, Value, json};

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The line.
    Line,
    /// Everybody at once; measure only.
    Passthrough,
    /// Queue everybody, call nobody.
    Hold,
    /// Closed page.
    Reject,
}

/// How the called are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// One after another as the rate bucket fills.
    Steady,
    /// `size` together every `every_sec`; the wave is the bucket then, and `admit_per_minute` does not apply.
    Waves {
        /// Most people in a wave.
        size: u32,
        /// Seconds from one wave to the next.
        every_sec: u32,
    },
}

/// How places are given to those who came before the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First come, first served.
    Fifo,
}

/// What an edge does once its cache has run out and the origin is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOriginDown {
    /// Keep people waiting.
    Hold,
    /// Let people through.
    Open,
}

/// Least seconds in line for those who join at a position up to `up_to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinWait {
    /// Last position of the step; `None` = all further ones.
    pub up_to: Option<u64>,
    /// Seconds.
    pub sec: u32,
}

/// When a room takes people and lets them in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Joins before are answered `JOIN_NOT_OPEN`.
    pub joins_open: Option<Millis>,
    /// Nobody is called before.
    pub opens: Option<Millis>,
    /// Joins from then on are answered `BOOKING_CLOSED`.
    pub closes: Option<Millis>,
}

/// The closed loop on what the protected site reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feedback {
    /// The 95th percentile of its response time should stay below, milliseconds.
    pub p95_ms: u32,
    /// Its share of failed requests should stay below, 0 to 1.
    pub error_rate: f64,
    /// The loop never goes below so many calls per minute.
    pub min_per_minute: u32,
    /// The loop never goes above so many calls per minute.
    pub max_per_minute: u32,
}

/// Which requests the gate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Host names, `*` for any.
    pub hosts: Vec<String>,
    /// Path patterns that are protected.
    pub paths: Vec<String>,
    /// Path patterns that go through.
    pub bypass_paths: Vec<String>,
    /// Methods that go through.
    pub bypass_methods: Vec<String>,
}

/// What the waiting page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Heading; `None` = the event's name.
    pub title: Option<String>,
    /// The operator's message.
    pub message: Option<String>,
    /// Colours, logo: names to values.
    pub theme: BTreeMap<String, String>,
    /// Languages offered, best first.
    pub languages: Vec<String>,
    /// The operator's own template, up to 40,000 characters; `None` = the built-in one.
    pub template: Option<String>,
}

/// The settings of a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Who is let in.
    pub mode: Mode,
    /// Speed of the rate bucket, 1 to 6,000,000.
    pub admit_per_minute: u32,
    /// Size of the rate bucket, 1 to 1,000,000.
    pub burst: u32,
    /// Steady or in waves.
    pub release: Release,
    /// Most people inside at once, 1 to 10,000,000; `None` = unlimited.
    pub capacity: Option<u32>,
    /// Length of a session, 1 s to 7 days.
    pub session_sec: u32,
    /// Whether activity extends a session.
    pub session_renew: bool,
    /// How long a called person has to enter, 1 s to 1 day.
    pub claim_sec: u32,
    /// Life of a reservation token, 1 s to 1 hour.
    pub pass_ttl_sec: u32,
    /// Silence after which a place stops counting, 2 s to 1 day.
    pub heartbeat_sec: u32,
    /// Least time in line by position at join: steps with rising `up_to`, only the last may be without.
    pub min_wait: Vec<MinWait>,
    /// After this a ticket lapses, 1 minute to 7 days; counted from the opening for those who came before it.
    pub max_wait_min: u32,
    /// Opening times.
    pub schedule: Schedule,
    /// How places are given.
    pub order: Order,
    /// Places one identity may hold, 1 to 100.
    pub places_per_user: u32,
    /// Whether `user_id` in a join's body is an identity.
    pub trust_user_id: bool,
    /// The closed loop, when on.
    pub feedback: Option<Feedback>,
    /// What an edge does without the origin.
    pub on_origin_down: OnOriginDown,
    /// Which requests the gate is for.
    pub gate: Gate,
    /// What the waiting page says.
    pub page: Page,
}

impl Default for Settings {
    fn default() -> Self {
        let any = |text: &str| Vec::from([String::from(text)]);
        Self {
            mode: Mode::Line,
            admit_per_minute: 600,
            burst: 10,
            release: Release::Steady,
            capacity: None,
            session_sec: 600,
            session_renew: true,
            claim_sec: 120,
            pass_ttl_sec: 30,
            heartbeat_sec: 300,
            min_wait: Vec::from([
                MinWait { up_to: Some(10), sec: 0 },
                MinWait { up_to: Some(50), sec: 2 },
                MinWait { up_to: None, sec: 5 },
            ]),
            max_wait_min: 120,
            schedule: Schedule::default(),
            order: Order::Fifo,
            places_per_user: 1,
            trust_user_id: false,
            feedback: None,
            on_origin_down: OnOriginDown::Hold,
            gate: Gate { hosts: any("*"), paths: any("/*"), bypass_paths: Vec::new(), bypass_methods: any("OPTIONS") },
            page: Page {
                title: None,
                message: None,
                theme: BTreeMap::new(),
                languages: ["en", "ko"].map(String::from).to_vec(),
                template: None,
            },
        }
    }
}

impl Settings {
    /// These settings with those in `patch` changed. `patch` must be a JSON object; fields it does not name keep their value, and so do
    /// the fields of `schedule`, `gate` and `page` that it does not name. All problems at once.
    pub fn patched(&self, patch: &Value) -> Result<Settings, Vec<Problem>> {
        let (new, problems) = self.with(patch);
        if problems.is_empty() { Ok(new) } else { Err(problems) }
    }

    /// Settings that an origin has written, which may be of a newer version than this code: what it does not know by name is left out.
    /// What it knows and cannot understand is refused as ever.
    pub fn of_origin(written: &Value) -> Result<Settings, Vec<Problem>> {
        let (settings, mut problems) = Self::default().with(written);
        problems.retain(|problem| !problem.is_of_unknown_name());
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    fn with(&self, patch: &Value) -> (Settings, Vec<Problem>) {
        let mut new = self.clone();
        let mut fields = Fields::of("", patch);
        fields.word("mode", &MODES, &mut new.mode);
        fields.number("admit_per_minute", 1..=6_000_000, &mut new.admit_per_minute);
        fields.number("burst", 1..=1_000_000, &mut new.burst);
        fields.release("release", &mut new.release);
        fields.optional("capacity", &mut new.capacity, |field, value| field.u32(value, 1..=10_000_000));
        fields.number("session_sec", 1..=604_800, &mut new.session_sec);
        fields.flag("session_renew", &mut new.session_renew);
        fields.number("claim_sec", 1..=86_400, &mut new.claim_sec);
        fields.number("pass_ttl_sec", 1..=3_600, &mut new.pass_ttl_sec);
        fields.number("heartbeat_sec", 2..=86_400, &mut new.heartbeat_sec);
        fields.min_wait("min_wait", &mut new.min_wait);
        fields.number("max_wait_min", 1..=10_080, &mut new.max_wait_min);
        fields.inside("schedule", |schedule| {
            schedule.time("joins_open", &mut new.schedule.joins_open);
            schedule.time("opens", &mut new.schedule.opens);
            schedule.time("closes", &mut new.schedule.closes);
        });
        fields.word("order", &ORDERS, &mut new.order);
        fields.number("places_per_user", 1..=100, &mut new.places_per_user);
        fields.flag("trust_user_id", &mut new.trust_user_id);
        fields.feedback("feedback", &mut new.feedback);
        fields.word("on_origin_down", &ORIGIN_DOWN, &mut new.on_origin_down);
        fields.inside("gate", |gate| {
            gate.texts("hosts", &mut new.gate.hosts);
            gate.texts("paths", &mut new.gate.paths);
            gate.texts("bypass_paths", &mut new.gate.bypass_paths);
            gate.texts("bypass_methods", &mut new.gate.bypass_methods);
        });
        fields.inside("page", |page| {
            page.text("title", 200, &mut new.page.title);
            page.text("message", 2_000, &mut new.page.message);
            page.theme("theme", &mut new.page.theme);
            page.texts("languages", &mut new.page.languages);
            page.text("template", 40_000, &mut new.page.template);
        });
        let mut problems = fields.finish();
        new.check(&mut problems);
        (new, problems)
    }

    /// What no single field can tell.
    fn check(&self, problems: &mut Vec<Problem>) {
        let Schedule { joins_open, opens, closes } = self.schedule;
        let mut in_order = |earlier: Option<Millis>, later: Option<Millis>, field: &str, what: &str| {
            if let (Some(earlier), Some(later)) = (earlier, later)
                && earlier > later
            {
                problems.push(Problem::new(field, what));
            }
        };
        in_order(joins_open, opens, "schedule.opens", "is before schedule.joins_open");
        in_order(opens, closes, "schedule.closes", "is before schedule.opens");
        in_order(joins_open, closes, "schedule.closes", "is before schedule.joins_open");
        problems.extend(crate::gate::problems(&self.gate));
        if let Release::Waves { size, .. } = self.release
            && self.capacity.is_some_and(|capacity| size > capacity)
        {
            problems
                .push(Problem::new("release.waves.size", "is more than capacity: no wave could ever be let in whole"));
        }
        if self.feedback.is_some() && self.release != Release::Steady {
            problems.push(Problem::new("feedback", "works on steady release only"));
        }
        let least = self.min_wait.iter().map(|step| step.sec).max().unwrap_or(0);
        if u64::from(least) >= u64::from(self.max_wait_min) * 60 {
            problems
                .push(Problem::new("min_wait", "waits at least as long as max_wait_min, so every ticket would lapse"));
        }
    }

    /// The whole, in the shape it is read.
    pub fn to_json(&self) -> Value {
        let time = |at: Option<Millis>| at.map(rfc3339);
        let mut min_wait = Vec::new();
        for step in &self.min_wait {
            let mut object = Map::new();
            if let Some(up_to) = step.up_to {
                object.insert("up_to".into(), up_to.into());
            }
            object.insert("sec".into(), step.sec.into());
            min_wait.push(Value::Object(object));
        }
        json!({
            "mode": read::name(&MODES, self.mode),
            "admit_per_minute": self.admit_per_minute,
            "burst": self.burst,
            "release": match self.release {
                Release::Steady => json!("steady"),
                Release::Waves { size, every_sec } => json!({"waves": {"size": size, "every_sec": every_sec}}),
            },
            "capacity": self.capacity,
            "session_sec": self.session_sec,
            "session_renew": self.session_renew,
            "claim_sec": self.claim_sec,
            "pass_ttl_sec": self.pass_ttl_sec,
            "heartbeat_sec": self.heartbeat_sec,
            "min_wait": min_wait,
            "max_wait_min": self.max_wait_min,
            "schedule": {
                "joins_open": time(self.schedule.joins_open),
                "opens": time(self.schedule.opens),
                "closes": time(self.schedule.closes),
            },
            "order": read::name(&ORDERS, self.order),
            "places_per_user": self.places_per_user,
            "trust_user_id": self.trust_user_id,
            "feedback": self.feedback.map(|feedback| json!({
                "p95_ms": feedback.p95_ms,
                "error_rate": feedback.error_rate,
                "min_per_minute": feedback.min_per_minute,
                "max_per_minute": feedback.max_per_minute,
            })),
            "on_origin_down": read::name(&ORIGIN_DOWN, self.on_origin_down),
            "gate": {
                "hosts": self.gate.hosts,
                "paths": self.gate.paths,
                "bypass_paths": self.gate.bypass_paths,
                "bypass_methods": self.gate.bypass_methods,
            },
            "page": {
                "title": self.page.title,
                "message": self.page.message,
                "theme": self.page.theme,
                "languages": self.page.languages,
                "template": self.page.template,
            },
        })
    }

    /// Most calls per minute, before the feedback loop: the rate of the bucket, or of the waves.
    pub fn calls_per_minute(&self) -> f64 {
        match self.release {
            Release::Steady => f64::from(self.admit_per_minute),
            Release::Waves { size, every_sec } => f64::from(size) * 60.0 / f64::from(every_sec),
        }
    }

    /// The heartbeat time in milliseconds.
    pub const fn heartbeat_ms(&self) -> u64 {
        self.heartbeat_sec as u64 * 1000
    }

    /// The claim window in milliseconds.
    pub const fn claim_ms(&self) -> u64 {
        self.claim_sec as u64 * 1000
    }

    /// The longest wait in milliseconds.
    pub const fn max_wait_ms(&self) -> u64 {
        self.max_wait_min as u64 * 60_000
    }
}

const MODES: [(&str, Mode); 4] =
    [("line", Mode::Line), ("passthrough", Mode::Passthrough), ("hold", Mode::Hold), ("reject", Mode::Reject)];
const ORDERS: [(&str, Order); 1] = [("fifo", Order::Fifo)];
const ORIGIN_DOWN: [(&str, OnOriginDown); 2] = [("hold", OnOriginDown::Hold), ("open", OnOriginDown::Open)];

impl Mode {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        read::name(&MODES, self)
    }
}

#[cfg(test)]
mod tests;
