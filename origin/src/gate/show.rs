//! What is shown instead of the site: a page for people, JSON for programs, and ways from one address to another.

use super::Gatekeeper;
use super::site::add;
use super::visit::Show;
use crate::error::ApiError;
use anteroom_core::gate::{Facts, Reads, Scene, carry, told};
use anteroom_core::settings::rfc3339;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The answer for a client who reads `reads`.
pub(super) fn show(gate: &Gatekeeper, facts: &Facts<'_>, reads: Reads, shown: Show<'_>) -> Response {
    let scene = shown.scene.unwrap_or(Scene::Held);
    let mut response = match reads {
        Reads::Page => page(gate, facts, scene, &shown),
        Reads::Data | Reads::Neither => data(scene, reads, &shown),
    };
    add(&mut response, shown.added);
    let headers = response.headers_mut();
    // The address is the site's: a cache must know that it is shown differently to others.
    headers.append(header::VARY, HeaderValue::from_static("Cookie, Accept, Accept-Language"));
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
    if let Some(seconds) = told::retry_after_sec(scene, status.as_ref()) {
        error = error.retry_after(seconds);
    }
    let mut response = error.into_response();
    *response.status_mut() = StatusCode::from_u16(scene.status(reads)).unwrap_or(StatusCode::FORBIDDEN);
    response
}

/// The page that a person sees.
fn page(gate: &Gatekeeper, facts: &Facts<'_>, scene: Scene, shown: &Show<'_>) -> Response {
    let _ = gate;
    let to = shown.to.clone().unwrap_or_else(|| carry::site_target(facts));
    let event = shown.room.map_or("", |room| room.event.as_str());
    let token = shown.by_hand.as_deref().unwrap_or("");
    let position = shown.heard.as_ref().and_then(|heard| Some(heard.reply().ok()?.position));
    let status = shown.heard.as_ref().and_then(|heard| Some(heard.reply().ok()?.status)).unwrap_or("");
    let escape = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let html = format!(
        "<!doctype html><title>Waiting room</title><main data-scene=\"{scene:?}\" data-status=\"{status}\" \
         data-position=\"{}\"><form method=post><input name=event value=\"{event}\"><input name=to value=\"{}\">\
         <input name=token value=\"{}\"></form></main>",
        position.map_or(String::new(), |position| position.to_string()),
        escape(&to),
        escape(token),
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = StatusCode::from_u16(scene.status(Reads::Page)).unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if let Some(seconds) = told::retry_after_sec(scene, None).or((response.status() == 503).then_some(5)) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
