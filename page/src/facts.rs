//! What a template is told about a scene. `README.md` beside this crate lists it for those who write templates.

use crate::look::Look;
use crate::scene::{Ask, Ended, Line, Scene, Seen};
use crate::template::trusted;
use crate::words::{Words, size};
use anteroom_core::code::ErrorCode;
use anteroom_core::settings::{parse_rfc3339, rfc3339};
use anteroom_core::status::StatusReply;
use anteroom_core::units::Millis;
use serde_json::json;
use upon::Value;

const SCRIPT: &str = include_str!(concat!(env!("OUT_DIR"), "/wait.js"));
/// Longest that a page without script leaves somebody alone with the button that takes the turn, seconds.
const UNDISTURBED_SEC: u64 = 15;
/// Longest and shortest pause of a page without script that counts down to the opening, seconds.
const COUNTDOWN_SEC: (u64, u64) = (5, 60);

/// Every `state` there is: what `is` says yes or no to.
const STATES: [&str; 10] =
    ["waiting", "paused", "before", "ready", "entered", "ended", "closed", "not_open", "held", "refused"];

/// Names and values, for templates. Where a name comes twice, the last one wins.
type Pairs = Vec<(&'static str, Value)>;

macro_rules! facts {
    ($($name:ident $(=> $value:expr)?),* $(,)?) => {
        vec![$((stringify!($name), facts!(@ $name $($value)?))),*]
    };
    (@ $name:ident) => { Value::from($name) };
    (@ $name:ident $value:expr) => { Value::from($value) };
}

fn map(pairs: Pairs) -> Value {
    Value::Map(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn number(n: u64) -> Value {
    Value::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

/// What a page is made of.
pub(crate) struct Facts {
    pub(crate) context: Value,
    /// HTTP status.
    pub(crate) status: u16,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
    /// Which scene it is, for scripts that ask whether it is another by now.
    pub(crate) mark: String,
}

impl Facts {
    pub(crate) fn of(look: &Look, scene: &Scene<'_>, ask: &Ask<'_>, words: &Words, nonce: &str) -> Self {
        let common = Common { look, ask, words };
        let told = match scene {
            Scene::Line(line) if line.status.status == "entered" => common.entered(),
            Scene::Line(line) => common.line(line),
            Scene::Ended(ended) => common.ended(*ended),
            Scene::Closed => Told::notice("closed", words, "/closed"),
            Scene::NotOpen { opens_at } => common.not_open(*opens_at),
            Scene::Held { retry_after_sec } => common.held((*retry_after_sec).max(1)),
            Scene::Refused(code) => common.refused(*code),
        };
        // While a page is open the status says whether there is a message; a page that began otherwise would jump.
        let message = match scene {
            Scene::Line(line) => line.status.message.filter(|message| !message.trim().is_empty()),
            _ => look.message.as_deref(),
        };
        let Told { scene, state, facts, status, retry_after, mark } = told;
        let mut all = common.everywhere(nonce, message);
        let in_line = scene == "line" && state != "entered";
        let is = map(STATES.map(|name| (name, Value::Bool(name == state))).into());
        all.extend(facts! { scene, state, is, in_line });
        all.extend(facts);
        Self { context: map(all), status, retry_after, mark }
    }
}

struct Told {
    scene: &'static str,
    state: &'static str,
    facts: Pairs,
    status: u16,
    retry_after: Option<u64>,
    mark: String,
}

impl Told {
    fn new(scene: &'static str, state: &'static str, facts: Pairs) -> Self {
        Self { scene, state, facts, status: 200, retry_after: None, mark: scene.to_owned() }
    }

    /// A heading and a text.
    fn notice(scene: &'static str, words: &Words, at: &str) -> Self {
        let text = |name: &str| words.text(&[at, "/", name].concat());
        let (heading, text) = (text("title"), text("text"));
        Self::new(scene, scene, facts! { page_title => heading, heading, text })
    }

    fn with(mut self, more: Pairs) -> Self {
        self.facts.extend(more);
        self
    }
}

struct Common<'a> {
    look: &'a Look,
    ask: &'a Ask<'a>,
    words: &'a Words,
}

impl Common<'_> {
    fn everywhere(&self, nonce: &str, message: Option<&str>) -> Pairs {
        let Self { look, ask, words } = self;
        facts! {
            lang => words.tag(),
            dir => words.dir(),
            t => words.shown(),
            nonce,
            event => look.event.as_str(),
            title => look.title.as_str(),
            message => message.unwrap_or_default(),
            logo => look.logo.as_deref(),
            style => trusted(look.style.clone()),
            script => trusted(SCRIPT.to_owned()),
            to => ask.to,
            token => ask.token,
            // What only some scenes have.
            reason => "", heading => "", text => "", page_title => "", next => (), button => (), retry => false,
            refresh => (), island => (), opens => "", opens_at => "", opens_text => "", sizes => map(facts! { opens => "s" }),
        }
    }

    fn island(&self, scene: &str, mark: &str, more: serde_json::Value) -> Value {
        let mut island = json!({
            "scene": scene,
            "mark": mark,
            "to": self.ask.to,
            "token": self.ask.token,
            "title": self.look.title,
            "now": self.ask.now.0,
            "words": self.words.part("/live"),
        });
        if let (Some(island), serde_json::Value::Object(more)) = (island.as_object_mut(), more) {
            island.extend(more);
        }
        trusted(quiet(&island.to_string()))
    }

    fn line(&self, line: &Line<'_>) -> Told {
        let Self { look, ask, words } = self;
        let status = line.status;
        let Seen { best, of } = Seen::with(ask.seen, status);
        let opens_at = status.opens_at.as_deref().and_then(parse_rfc3339);
        let state = match status.status {
            "ready" => "ready",
            _ if status.mode == "hold" => "paused",
            _ if opens_at.is_some_and(|opens_at| opens_at > ask.now) => "before",
            _ => "waiting",
        };
        let left =
            status.claim_expires_at.as_deref().and_then(parse_rfc3339).map_or(0, |until| until.since(ask.now) / 1000);
        let poll_sec = status.poll_after_ms.div_ceil(1000).max(1);
        let refresh_sec = if state == "ready" { poll_sec.max(UNDISTURBED_SEC.min(left + 1)) } else { poll_sec };
        let behind = status.total_waiting.saturating_sub(status.position);
        let (eta, range) = self.estimate(status);
        let position = words.grouped(best);
        let left = words.clock(left);
        let opens = words.clock(opens_at.map_or(0, |at| at.since(ask.now) / 1000));
        let island = self.island(
            "line",
            "line",
            json!({
                "url": format!("/api/v1/queue/status?event_id={}", look.event),
                "key": format!("anteroom.{}.{}.{}", look.event, line.generation.0, line.ticket.0),
                "of": of,
                "best": best,
                "status": status,
            }),
        );
        let headings = ["waiting", "paused", "before", "ready"]
            .map(|state| map(facts! { state, text => words.text(&["/heading/", state].concat()) }));
        let page_title = match state {
            "ready" => words.text("/live/title_ready").to_owned(),
            "before" => words.text("/live/title_before").to_owned(),
            "paused" => words.count("/live/title_paused", best),
            _ => words.count("/live/title", best),
        };
        let context = facts! {
            page_title,
            heading => words.text(&["/heading/", state].concat()),
            headings => Value::List(headings.into()),
            refresh => map(facts! { sec => number(refresh_sec), url => line.refresh_url }),
            sizes => map(facts! { position => size(&position), left => size(&left), opens => size(&opens) }),
            position,
            total => words.count("/live/of", status.total_waiting.max(best)),
            behind => match behind {
                0 => words.text("/live/first").to_owned(),
                n => words.count("/live/behind", n),
            },
            progress => map(facts! { max => number(of), value => number(of.saturating_sub(best)) }),
            eta,
            range,
            before => match best {
                0 => words.text("/live/before_any").to_owned(),
                n => words.count("/live/before", n),
            },
            left,
            opens,
            opens_at => status.opens_at.as_deref().unwrap_or_default(),
            opens_text => opens_at.map(written).unwrap_or_default(),
            waited => words.clock(status.waiting_time),
            number => words.grouped(line.ticket.0),
            keep => words.fill("/page/keep", "time", &words.about(line.heartbeat_sec.into())),
            connection => if status.stale { words.text("/live/stale") } else { "" },
            island,
        };
        Told::new("line", state, context)
    }

    fn estimate(&self, status: &StatusReply<'_>) -> (String, String) {
        let words = self.words;
        match (status.eta_sec, status.eta_low_sec, status.eta_high_sec) {
            (Some(eta), Some(low), Some(high)) => {
                let eta = match eta {
                    0 => words.text("/live/soon").to_owned(),
                    sec => words.fill("/live/eta", "time", &words.about(sec)),
                };
                (eta, words.fill("/live/likely", "range", &words.range(low, high)))
            }
            _ => (words.text("/live/unknown").to_owned(), words.text("/live/unknown_why").to_owned()),
        }
    }

    fn entered(&self) -> Told {
        let button = map(facts! { action => "/gate/enter", text => self.words.text("/entered/button") });
        Told { state: "entered", ..Told::notice("line", self.words, "/entered").with(facts! { button }) }
    }

    fn ended(&self, ended: Ended) -> Told {
        let text = match ended {
            Ended::Unknown => "/page/join",
            _ => "/page/again",
        };
        let button = map(facts! { action => "/gate/join", text => self.words.text(text) });
        let at = ["/ended/", ended.name()].concat();
        Told::notice("ended", self.words, &at).with(facts! { reason => ended.name(), button })
    }

    fn not_open(&self, opens_at: Millis) -> Told {
        let left = opens_at.since(self.ask.now) / 1000;
        let opens = self.words.clock(left);
        let (least, most) = COUNTDOWN_SEC;
        // Everybody counts down to the same second, and not everybody may ask in it. Without randomness of our own, the
        // nonce tells them apart.
        let spread = self.ask.nonce.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 5;
        let mark = format!("not_open-{}", opens_at.0);
        let more = facts! {
            refresh => map(facts! { sec => number((left + 1).clamp(least, most) + spread), url => self.ask.to }),
            sizes => map(facts! { opens => size(&opens) }),
            opens,
            opens_at => rfc3339(opens_at),
            opens_text => written(opens_at),
            island => self.island("not_open", &mark, json!({ "opens": opens_at.0 })),
        };
        Told { mark, ..Told::notice("not_open", self.words, "/not_open").with(more) }
    }

    fn held(&self, retry_after_sec: u64) -> Told {
        let more = facts! {
            refresh => map(facts! { sec => number(retry_after_sec), url => self.ask.to }),
            next => self.words.fill("/held/next", "time", &self.words.about(retry_after_sec)),
            island => self.island("held", "held", json!({ "retry": retry_after_sec })),
        };
        let told = Told::notice("held", self.words, "/held").with(more);
        Told { retry_after: Some(retry_after_sec), ..told }
    }

    fn refused(&self, code: ErrorCode) -> Told {
        let title = self.words.text("/errors/title");
        let text = match self.words.text(&["/errors/", code.as_str()].concat()) {
            "" => self.words.text("/errors/OTHER"),
            text => text,
        };
        let context = facts! { page_title => title, heading => title, text, reason => code.as_str(), retry => true };
        Told { status: code.status(), ..Told::new("refused", "refused", context) }
    }
}

/// "2026-11-21 10:00 UTC": the same in every language, until a script says it in the person's own time.
fn written(at: Millis) -> String {
    let text = rfc3339(at);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => text,
    }
}

/// JSON that can stand in a script element: nothing in it ends the element, begins a comment or ends a line.
fn quiet(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        match character {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text
}
