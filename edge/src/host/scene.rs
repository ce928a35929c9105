//! What is shown instead of the site: a page to a person, JSON to a program.

use super::{Visit, now};
use anteroom_core::gate::{self, Facts, GuardedRoom, Reads, Scene, carry, told};
use anteroom_core::refusal::Refusal;
use anteroom_core::settings::{Settings, rfc3339};
use anteroom_core::status::StatusReply;
use anteroom_core::token::WaitingClaims;
use anteroom_core::units::EventId;
use anteroom_page::{Ask, Ended, Line, Look, Pages, Seen};
use serde_json::Value;
use std::cell::{OnceCell, RefCell};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use worker::wasm_bindgen::JsCast;
use worker::{Result, console_error, js_sys, web_sys};

/// A scene and what it tells.
#[derive(Default)]
pub(super) struct Shown {
    /// What; where nobody can say, that no place can be given.
    pub(super) scene: Option<Scene>,
    /// The place, and its status answer where there is one.
    pub(super) place: Option<WaitingClaims>,
    pub(super) status: Option<Value>,
    /// The waiting token, where no cookie is known to carry it.
    pub(super) by_hand: Option<String>,
    /// Where to go from there; the address that was asked for, if nothing else is said.
    pub(super) to: Option<String>,
    /// The address that it stands at, where that is not `to`.
    pub(super) at: Option<String>,
    /// Headers of the answer: what is handed out.
    pub(super) given: Vec<(&'static str, String)>,
}

impl Shown {
    pub(super) fn of(scene: Scene) -> Self {
        Self { scene: Some(scene), ..Self::default() }
    }

    /// Seconds until another look makes sense, where somebody can say.
    fn retry_after_sec(&self, scene: Scene) -> Option<u64> {
        told::retry_after_sec(scene, self.status.as_ref())
    }
}

pub(super) fn show(
    visit: &Visit<'_>,
    facts: &Facts<'_>,
    room: Option<&GuardedRoom>,
    mut shown: Shown,
) -> Result<web_sys::Response> {
    let scene = shown.scene.unwrap_or(Scene::Held);
    // The address is the site's: a cache must know that it is shown differently to others.
    shown.given.push(("vary", "Cookie, Accept, Accept-Language".to_owned()));
    match facts.client().reads {
        Reads::Page => page(visit, facts, room, scene, shown),
        Reads::Data => refusal(visit, room, scene, shown),
        Reads::Neither => refusal(visit, room, scene, Shown { status: None, by_hand: None, ..shown }),
    }
}

/// What a program is told.
fn refusal(visit: &Visit<'_>, room: Option<&GuardedRoom>, scene: Scene, shown: Shown) -> Result<web_sys::Response> {
    let mut refusal = Refusal::new(scene.code(), told::message(scene));
    for (name, value) in told::fields(scene, shown.status.as_ref(), shown.by_hand.as_deref()) {
        refusal = refusal.with(name, value);
    }
    if let (Scene::NotOpen, Some(opens_at)) = (scene, joins_open(room)) {
        refusal = refusal.with("opens_at", rfc3339(opens_at));
    }
    if let Some(seconds) = shown.retry_after_sec(scene) {
        refusal = refusal.retry_after(seconds);
    }
    visit.call.refuse_with(&refusal, shown.given)
}

thread_local! {
    static PAGES: OnceCell<Pages> = const { OnceCell::new() };
    /// How each room wants its page, with the settings it was made from.
    static LOOKS: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

type Kept = (EventId, Arc<Settings>, Rc<Look>);

/// The page that a person sees.
fn page(
    visit: &Visit<'_>,
    facts: &Facts<'_>,
    room: Option<&GuardedRoom>,
    scene: Scene,
    shown: Shown,
) -> Result<web_sys::Response> {
    let to = shown.to.clone().unwrap_or_else(|| carry::site_target(facts));
    let at = shown.at.as_deref().unwrap_or(&to);
    let status = shown.status.as_ref().and_then(reply);
    let before = carry::seen(facts).map(|(best, of)| Seen { best, of });
    let refresh_url = status.as_ref().map(|status| {
        let seen = Seen::with(before, status);
        carry::next_look(at, shown.by_hand.as_deref(), Some((seen.best, seen.of)))
    });
    let held = anteroom_page::Scene::Held { retry_after_sec: gate::HELD_RETRY_SEC };
    let of_page = match scene {
        Scene::Line => match (&status, &shown.place, &refresh_url, room) {
            (Some(status), Some(claims), Some(refresh_url), Some(room)) => anteroom_page::Scene::Line(Line {
                status,
                generation: claims.generation,
                ticket: claims.ticket,
                heartbeat_sec: room.settings.heartbeat_sec,
                refresh_url,
            }),
            _ => held,
        },
        Scene::Held => held,
        Scene::Ended(gate::Ended::Left) => anteroom_page::Scene::Ended(Ended::Left),
        Scene::Ended(gate::Ended::Lost) => anteroom_page::Scene::Ended(lost(&shown)),
        Scene::Closed(_) => anteroom_page::Scene::Closed,
        // Without a time it has opened this moment.
        Scene::NotOpen => joins_open(room).map_or(held, |opens_at| anteroom_page::Scene::NotOpen { opens_at }),
        Scene::Outside => anteroom_page::Scene::Refused(scene.code()),
        Scene::Refused(code) => anteroom_page::Scene::Refused(code),
    };
    let (languages, nonce) = (facts.languages(), nonce()?);
    let ask = Ask {
        to: &to,
        token: shown.by_hand.as_deref(),
        languages: &languages,
        nonce: &nonce,
        now: now(),
        seen: before,
    };
    let host = visit.address.host;
    let rendered = PAGES.with(|pages| {
        let pages = pages.get_or_init(Pages::new);
        let look = room.map_or_else(|| Rc::new(pages.look(host, &Settings::default().page)), |room| look(pages, room));
        pages.render(&look, &of_page, &ask)
    });
    if let Some(problem) = rendered.problem {
        let event = room.map_or("no room", |room| room.event.as_str());
        console_error!("the template of {event} cannot be shown, the built-in page is: {problem}");
    }
    let answer_status = scene.status(Reads::Page);
    let retry = shown.retry_after_sec(scene).filter(|_| answer_status != 200);
    let mut headers: Vec<_> = rendered.headers;
    headers.retain(|(name, _)| {
        !shown.given.iter().any(|(other, _)| other == name) && (retry.is_none() || *name != "retry-after")
    });
    headers.extend(shown.given);
    headers.extend(retry.map(|seconds| ("retry-after", seconds.to_string())));
    visit.call.answer(answer_status, headers, Some(&rendered.html))
}

fn look(pages: &Pages, room: &GuardedRoom) -> Rc<Look> {
    LOOKS.with_borrow_mut(|looks| {
        if let Some((.., look)) =
            looks.iter().find(|(event, settings, _)| *event == room.event && Arc::ptr_eq(settings, &room.settings))
        {
            return look.clone();
        }
        let look = Rc::new(pages.look(room.event.as_str(), &room.settings.page));
        looks.retain(|(event, ..)| *event != room.event);
        looks.push((room.event.clone(), room.settings.clone(), look.clone()));
        look
    })
}

/// A status answer as it came from the origin, or was made here; `None` when it is none.
fn reply(status: &Value) -> Option<StatusReply<'_>> {
    let number = |name: &str| status.get(name).and_then(Value::as_u64);
    let text = |name: &str| status.get(name).and_then(Value::as_str);
    Some(StatusReply {
        status: ["waiting", "ready", "entered"].into_iter().find(|word| text("status") == Some(word))?,
        position: number("position")?,
        eta_sec: number("eta_sec"),
        eta_low_sec: number("eta_low_sec"),
        eta_high_sec: number("eta_high_sec"),
        eta_confidence: status.get("eta_confidence").and_then(Value::as_f64),
        waiting_time: number("waiting_time").unwrap_or_default(),
        ready_for_entry: status.get("ready_for_entry").and_then(Value::as_bool).unwrap_or_default(),
        claim_expires_at: text("claim_expires_at").map(Into::into),
        poll_after_ms: number("poll_after_ms")?,
        total_waiting: number("total_waiting").or(number("position"))?,
        mode: text("mode").unwrap_or("line"),
        opens_at: text("opens_at").map(Into::into),
        message: text("message"),
        as_of: text("as_of").unwrap_or_default(),
        stale: status.get("stale").and_then(Value::as_bool).unwrap_or_default(),
    })
}

/// Why the place is over, as far as a board can tell.
fn lost(shown: &Shown) -> Ended {
    match (&shown.place, shown.status.as_ref().and_then(|status| status.get("status")?.as_str())) {
        (_, Some("entered")) => Ended::Over,
        (Some(_), _) => Ended::Missed,
        (None, _) => Ended::Unknown,
    }
}

fn joins_open(room: Option<&GuardedRoom>) -> Option<anteroom_core::units::Millis> {
    room.and_then(|room| room.settings.schedule.joins_open)
}

/// 128 random bits.
fn nonce() -> Result<String> {
    let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let mut bytes = [0; 16];
    scope.crypto()?.get_random_values_with_u8_array(&mut bytes)?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
