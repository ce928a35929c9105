//! `/gate/check`: forward authentication for another proxy. It judges the request that the proxy describes. Places and turns are given
//! to programs only, which read this very answer; to people the waiting page gives them.
//!
//! Whoever reaches this address from outside learns and gets what a visit to the site would have shown and given them. What a proxy
//! must not do is take its answer for a request that it did not describe, see [`anteroom_core::gate::check`].

use super::Gatekeeper;
use super::show::{found, show};
use super::site::add;
use super::told::Told;
use super::visit::{Show, Verdict};
use anteroom_core::gate::check::{Refusal, WAIT_PATH};
use anteroom_core::gate::{Client, Facts, Passed, Reads, Scene, carry, escaped, with_ours, with_parameter};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// 200 for a request that may pass; otherwise what this proxy makes of it.
pub(super) async fn check(State(gate): State<Arc<Gatekeeper>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let told = Told::of(&parts);
    let own = told.facts();
    let (facts, refusal) = match told.description().facts(&own) {
        Ok(described) => described,
        Err(code) => {
            let mut response = show(&gate, &own, Reads::Data, Show::plain(Scene::Refused(code), None));
            *response.status_mut() = StatusCode::FORBIDDEN;
            return response;
        }
    };
    let client = refusal.client(&facts);
    let Some(rules) = gate.rules.of(&gate.app.rooms) else {
        return refuse(&gate, &facts, client, refusal, Show::plain(Scene::Held, None));
    };
    match gate.judge(rules.route(&facts), client, &facts, &parts).await {
        Verdict::Show(shown) => refuse(&gate, &facts, client, refusal, shown),
        Verdict::Pass(Passed { passage, given, .. }, _) => {
            let mut response = StatusCode::OK.into_response();
            add(&mut response, passage.session.iter().flat_map(carry::admitted));
            // One cookie: proxies that hand cookies on hand on the first one only, or make one of several.
            let mut cookies = 0;
            let mut is_first = |name: &str| name != "set-cookie" || std::mem::replace(&mut cookies, 1) == 0;
            add(&mut response, given.into_iter().filter(|(name, _)| is_first(name)));
            response.headers_mut().entry(header::CACHE_CONTROL).or_insert(header::HeaderValue::from_static("no-store"));
            response
        }
    }
}

fn refuse(gate: &Gatekeeper, facts: &Facts<'_>, client: Client, refusal: Refusal, shown: Show<'_>) -> Response {
    let refused = matches!(shown.scene, Some(Scene::Refused(_)));
    match refusal {
        Refusal::Answer if client.reads == Reads::Page && !refused => {
            let to = carry::site_target(facts);
            // Whoever has no cookies carries the place in the address.
            found(&with_ours(&with_parameter(WAIT_PATH, "to", &escaped(&to)), |name| facts.parameter(name)))
        }
        Refusal::Answer => show(gate, facts, client.reads, shown),
        Refusal::Status => {
            let status = if refused { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
            let mut response = show(gate, facts, Reads::Data, shown);
            *response.status_mut() = status;
            response
        }
    }
}
