//! What is shown instead of the site: a page to a person, JSON to a program.

use super::Visit;
use anteroom_core::gate::{Facts, GuardedRoom, Reads, Scene, told};
use anteroom_core::refusal::Refusal;
use anteroom_core::settings::rfc3339;
use serde_json::Value;
use worker::{Result, web_sys};

/// A scene and what it tells.
pub(super) struct Shown {
    pub(super) scene: Scene,
    /// The status answer of the place, where there is one.
    pub(super) status: Option<Value>,
    /// The token of the place.
    pub(super) token: Option<String>,
    /// Whether the client carries it itself.
    pub(super) by_hand: bool,
    /// Where the visitor wants to go.
    pub(super) to: String,
}

impl Shown {
    pub(super) fn of(scene: Scene) -> Self {
        Self { scene, status: None, token: None, by_hand: false, to: "/".into() }
    }
}

pub(super) fn show(
    visit: &Visit<'_>,
    facts: &Facts<'_>,
    room: Option<&GuardedRoom>,
    shown: Shown,
    given: Vec<(&'static str, String)>,
) -> Result<web_sys::Response> {
    let reads = facts.client().reads;
    match reads {
        Reads::Page => page(visit, room, &shown, given),
        Reads::Data | Reads::Neither => refusal(visit, room, &shown, reads, given),
    }
}

/// What a program is told.
fn refusal(
    visit: &Visit<'_>,
    room: Option<&GuardedRoom>,
    shown: &Shown,
    reads: Reads,
    given: Vec<(&'static str, String)>,
) -> Result<web_sys::Response> {
    let Shown { scene, status, token, .. } = shown;
    let (status, token) = match reads {
        Reads::Data => (status.as_ref(), token.as_deref()),
        _ => (None, None),
    };
    let mut refusal = Refusal::new(scene.code(), told::message(*scene));
    for (name, value) in told::fields(*scene, status, token) {
        refusal = refusal.with(name, value);
    }
    if let (Scene::NotOpen, Some(opens_at)) = (scene, room.and_then(|room| room.settings.schedule.joins_open)) {
        refusal = refusal.with("opens_at", rfc3339(opens_at));
    }
    if let Some(seconds) = told::retry_after_sec(*scene, status) {
        refusal = refusal.retry_after(seconds);
    }
    visit.call.refuse_with(&refusal, given)
}

/// The waiting page. A stand-in: the real one is a crate of its own.
fn page(
    visit: &Visit<'_>,
    room: Option<&GuardedRoom>,
    shown: &Shown,
    given: Vec<(&'static str, String)>,
) -> Result<web_sys::Response> {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let event = room.map(|room| room.event.as_str()).unwrap_or_default();
    let to = escaped(&shown.to);
    let status = shown.status.as_ref().map(Value::to_string).unwrap_or_default();
    let token = shown.token.as_deref().filter(|_| shown.by_hand).unwrap_or_default();
    let html = format!(
        "<!doctype html><title>{event}</title><h1>{}</h1><pre>{}</pre>\
         <form method=post action=/gate/enter><input type=hidden name=event value=\"{event}\">\
         <input type=hidden name=to value=\"{to}\"><input type=hidden name=token value=\"{token}\"><button>Enter</button></form>",
        told::message(shown.scene),
        escaped(&status),
    );
    let mut headers = given;
    headers.push(("content-type", "text/html; charset=utf-8".to_owned()));
    if !headers.iter().any(|(name, _)| *name == "cache-control") {
        headers.push(("cache-control", "no-store".to_owned()));
    }
    if let Some(seconds) = told::retry_after_sec(shown.scene, shown.status.as_ref()) {
        headers.push(("retry-after", seconds.to_string()));
    }
    visit.call.answer(shown.scene.status(Reads::Page), headers, Some(&html))
}
