//! What is shown instead of the site: a page for people, JSON for programs, and ways from one address to another.

use super::Gatekeeper;
use super::site::add;
use super::visit::Show;
use crate::error::ApiError;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{self, Facts, GuardedRoom, Reads, Scene, carry, told};
use anteroom_core::line::Standing;
use anteroom_core::settings::{Settings, rfc3339};
use anteroom_core::units::EventId;
use anteroom_page::{Ask, Ended, Line, Look, Pages, Seen};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// How each room wants its pages.
#[derive(Default)]
pub(super) struct Looks(Mutex<HashMap<EventId, Own>>);

struct Own {
    /// Settings are put in place whole: others are others by their address.
    settings: Arc<Settings>,
    look: Arc<Look>,
}

impl Looks {
    fn of(&self, room: &GuardedRoom, pages: &Pages) -> Arc<Look> {
        if let Some(own) = self.0.lock().get(&room.event)
            && Arc::ptr_eq(&own.settings, &room.settings)
        {
            return own.look.clone();
        }
        let look = Arc::new(pages.look(room.event.as_str(), &room.settings.page));
        self.0.lock().insert(room.event.clone(), Own { settings: room.settings.clone(), look: look.clone() });
        look
    }
}

/// The answer for a client who reads `reads`.
pub(super) fn show(gate: &Gatekeeper, facts: &Facts<'_>, reads: Reads, shown: Show<'_>) -> Response {
    let scene = shown.scene.unwrap_or(Scene::Held);
    let mut response = match reads {
        Reads::Page => page(gate, facts, scene, &shown),
        Reads::Data | Reads::Neither => data(scene, reads, &shown),
    };
    if let Some(seconds) = retry_after_sec(scene, &shown).filter(|_| response.status() != StatusCode::OK) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    // The address is the site's: a cache must know that it is shown differently to others.
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Cookie, Accept, Accept-Language"));
    add(&mut response, shown.added);
    response
}

/// See other: another address, to be looked at.
pub(super) fn see_other(to: &str) -> Response {
    leading(StatusCode::SEE_OTHER, to)
}

/// Found: as [`see_other`], for proxies that know no 303.
pub(super) fn found(to: &str) -> Response {
    leading(StatusCode::FOUND, to)
}

fn leading(status: StatusCode, to: &str) -> Response {
    let mut response = status.into_response();
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, to);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Seconds until another look makes sense, where somebody can say.
fn retry_after_sec(scene: Scene, shown: &Show<'_>) -> Option<u64> {
    match scene {
        Scene::Line => {
            let poll_after_ms = shown.heard.as_ref()?.reply().ok()?.poll_after_ms;
            Some(poll_after_ms.div_ceil(1000).max(1))
        }
        other => other.retry_after_sec(),
    }
}

/// The refusal that a program reads.
fn data(scene: Scene, reads: Reads, shown: &Show<'_>) -> Response {
    let status = shown.heard.as_ref().and_then(|heard| serde_json::to_value(heard.reply().ok()?).ok());
    let mut error = ApiError::new(scene.code(), told::message(scene));
    for (name, value) in told::fields(scene, status.as_ref(), shown.by_hand.as_deref()) {
        error = error.with(name, value);
    }
    if let (Scene::NotOpen, Some(at)) = (scene, shown.room.and_then(|room| room.settings.schedule.joins_open)) {
        error = error.with("opens_at", rfc3339(at));
    }
    let mut response = error.into_response();
    *response.status_mut() = StatusCode::from_u16(scene.status(reads)).unwrap_or(StatusCode::FORBIDDEN);
    response
}

/// The page that a person sees.
fn page(gate: &Gatekeeper, facts: &Facts<'_>, scene: Scene, shown: &Show<'_>) -> Response {
    let pages = &gate.app.pages;
    let look = match shown.room {
        Some(room) => gate.looks.of(room, pages),
        // Of no room: the site is all that has a name.
        None => {
            let host = facts.hosts.first().copied().unwrap_or_default();
            Arc::new(pages.look(host, &Settings::default().page))
        }
    };
    let to = shown.to.clone().unwrap_or_else(|| carry::site_target(facts));
    let at = shown.at.as_deref().unwrap_or(&to);
    let reply = shown.heard.as_ref().and_then(|heard| Some((heard, heard.reply().ok()?)));
    let before = carry::seen(facts).map(|(best, of)| Seen { best, of });
    let refresh_url = reply.as_ref().map(|(_, status)| {
        let seen = Seen::with(before, status);
        carry::next_look(at, shown.by_hand.as_deref(), Some((seen.best, seen.of)))
    });
    let scene_of_page = match (scene, &reply, &refresh_url) {
        (Scene::Line, Some((heard, status)), Some(refresh_url)) => anteroom_page::Scene::Line(Line {
            status,
            generation: heard.claims.generation,
            ticket: heard.claims.ticket,
            heartbeat_sec: heard.settings().heartbeat_sec,
            refresh_url,
        }),
        (Scene::Line | Scene::Held, ..) => anteroom_page::Scene::Held { retry_after_sec: gate::HELD_RETRY_SEC },
        (Scene::Ended(gate::Ended::Left), ..) => anteroom_page::Scene::Ended(Ended::Left),
        (Scene::Ended(gate::Ended::Lost), ..) => anteroom_page::Scene::Ended(lost(shown)),
        (Scene::Closed(_), ..) => anteroom_page::Scene::Closed,
        (Scene::NotOpen, ..) => match shown.room.and_then(|room| room.settings.schedule.joins_open) {
            Some(opens_at) => anteroom_page::Scene::NotOpen { opens_at },
            // It has opened this moment.
            None => anteroom_page::Scene::Held { retry_after_sec: gate::HELD_RETRY_SEC },
        },
        (Scene::Outside, ..) => anteroom_page::Scene::Refused(ErrorCode::NotReady),
        (Scene::Refused(code), ..) => anteroom_page::Scene::Refused(code),
    };
    let (languages, nonce) = (facts.languages(), nonce());
    let now = gate.app.rooms.host().clock.now();
    let ask = Ask { to: &to, token: shown.by_hand.as_deref(), languages: &languages, nonce: &nonce, now, seen: before };
    let rendered = pages.render(&look, &scene_of_page, &ask);
    if let Some(problem) = rendered.problem {
        let event = shown.room.map(|room| room.event.as_str());
        tracing::warn!(event, problem, "the room's template cannot be shown; the built-in page is");
    }
    let mut response = Response::new(Body::from(rendered.html));
    *response.status_mut() = StatusCode::from_u16(scene.status(Reads::Page)).unwrap_or(StatusCode::FORBIDDEN);
    for (name, value) in rendered.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// Why the place is over, as far as it is known.
fn lost(shown: &Show<'_>) -> Ended {
    match shown.heard.as_ref().map(|heard| heard.standing) {
        Some(Standing::Entered) => Ended::Over,
        Some(standing) => Ended::of(standing).unwrap_or(Ended::Over),
        None => Ended::Unknown,
    }
}

/// 128 random bits.
fn nonce() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
