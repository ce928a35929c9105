//! Any address of the site: judged, and shown the waiting page or passed on.

use super::Gatekeeper;
use super::show::show;
use super::told::Told;
use super::visit::{Show, Verdict};
use crate::error::ApiError;
use anteroom_core::gate::{News, Own, Passed, Route, Scene, carry};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// A request that is for no address of ours.
pub(super) async fn visit(State(gate): State<Arc<Gatekeeper>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let told = Told::of(&parts);
    let facts = told.facts();
    let client = facts.client();
    // Ours, though we have nothing there: never asked of the site.
    if Own::of(facts.path).is_some() {
        return ApiError::not_found().into_response();
    }
    let (Some(upstream), Some(rules)) = (&gate.upstream, gate.rules.of(&gate.app.rooms)) else {
        return show(&gate, &facts, client.reads, Show::plain(Scene::Held, None));
    };
    let route = rules.route(&facts);
    let (passed, room) = match gate.judge(route, client, &facts, &parts).await {
        Verdict::Show(shown) => return show(&gate, &facts, client.reads, shown),
        Verdict::Pass(passed, room) => (passed, room),
    };
    let Passed { passage, given: mut added, by_hand, .. } = passed;
    let mut response = match upstream.ask(&parts, body, &facts, passage.session.as_ref(), &gate.addresses).await {
        Ok(response) => response,
        Err(code) => {
            let of = match route {
                Route::Guarded(room) | Route::Through(room) => Some(room),
                Route::Open | Route::Refuse(_) => None,
            };
            let shown = Show { added, ..Show::plain(Scene::Refused(code), of) };
            return show(&gate, &facts, client.reads, shown);
        }
    };
    if let (Some(session), Some(room)) = (passage.session, room) {
        if response.ends_session {
            added = carry::forgotten(&session.event);
            gate.renewals.end(room, &session);
        } else if added.is_empty() {
            // Extended while the site was at work.
            let now = room.host().clock.now();
            if let News::Extended(session) = gate.renewals.news(&session, now) {
                let token = gate.app.keys.sign_session(&session);
                added = carry::session_given(&session, &token, by_hand, now);
            }
        }
    }
    add(&mut response.response, added);
    response.response
}

/// Adds headers of ours to an answer.
pub(super) fn add(response: &mut Response<Body>, added: impl IntoIterator<Item = (&'static str, String)>) {
    let headers = response.headers_mut();
    for (name, value) in added {
        let Ok(value) = HeaderValue::from_str(&value) else { continue };
        let name = HeaderName::from_static(name);
        if name == header::SET_COOKIE {
            headers.append(name, value);
        } else {
            if name == header::CACHE_CONTROL {
                // What a cache between us and the visitor could hold on to.
                headers.remove(header::EXPIRES);
                headers.remove(header::PRAGMA);
            }
            headers.insert(name, value);
        }
    }
}
