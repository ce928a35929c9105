//! `/gate/wait?to=…`: the waiting page for proxies that ask at `/gate/check`. It is what a visit to the address in `to` would be, but
//! that whoever may go in is sent there.

use super::Gatekeeper;
use super::show::{see_other, show};
use super::site::add;
use super::told::Told;
use super::visit::{Show, Verdict};
use anteroom_core::gate::check::WAIT_PATH;
use anteroom_core::gate::{Scene, TOKEN_PARAMETER, escaped, way_back, way_back_of, with_ours, with_parameter};
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;

/// The page, or the way in.
pub(super) async fn wait(State(gate): State<Arc<Gatekeeper>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let told = Told::of(&parts);
    let own = told.facts();
    let client = own.client();
    // nginx cannot escape an address, so it says it in a header.
    let to = match (own.parameter("to"), told.header("x-original-uri")) {
        (None, Some(uri)) => way_back(uri),
        (to, _) => way_back_of(to),
    };
    let Some(rules) = gate.rules.of(&gate.app.rooms) else {
        return show(&gate, &own, client.reads, Show::plain(Scene::Held, None));
    };
    // What is ours may stand in either address: in this one, or in the one it leads to.
    let asked = told.header("x-original-uri").map(|uri| own.visiting(uri));
    let ours = |name: &str| own.parameter(name).or_else(|| asked.as_ref()?.parameter(name));
    let carried = ours(TOKEN_PARAMETER);
    let visited = with_ours(&to, ours);
    let facts = own.visiting(&visited);
    match gate.judge(rules.route(&facts), client, &facts, &parts).await {
        Verdict::Show(shown) => {
            // A proxy that says the address in a header shows the page in place.
            let at = own.parameter("to").map(|_| with_parameter(WAIT_PATH, "to", &escaped(&to)));
            show(&gate, &facts, client.reads, Show { at, ..shown })
        }
        Verdict::Pass(passed, _) => {
            // Without a new session the one that is there is carried on.
            let token = passed.handed.as_deref().or(carried).filter(|_| passed.by_hand);
            let to = token.map_or_else(|| to.clone(), |token| with_parameter(&to, TOKEN_PARAMETER, token));
            let mut response = see_other(&to);
            add(&mut response, passed.given);
            response
        }
    }
}
