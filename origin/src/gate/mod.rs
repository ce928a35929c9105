//! The gate in front of a site: guarded requests wait, others and those of visitors inside go through.
//!
//! In scope: carrying requests between visitors, [`anteroom_core::gate`], the line and the site; the addresses under `/gate/`; forward
//! authentication for other proxies.
//!
//! Out of scope: every rule. Who waits, who passes and what goes through is core's; places and turns are given by the functions behind
//! the API.

mod check;
mod form;
mod forward;
mod renewal;
mod rules;
mod show;
mod site;
mod splice;
mod told;
mod upstream;
mod visit;
mod wait;

pub use upstream::{BadUpstream, Upstream};

use crate::api::App;
use crate::error::ApiError;
use crate::limit::ClientAddresses;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::routing::{any, post};
use renewal::Renewals;
use rules::Rules;
use show::Looks;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What the gate's handlers share.
pub struct Gatekeeper {
    app: Arc<App>,
    addresses: Arc<ClientAddresses>,
    upstream: Option<Upstream>,
    rules: Rules,
    renewals: Arc<Renewals>,
    looks: Looks,
}

impl Gatekeeper {
    /// A gate in front of `upstream`; without one it only answers those who ask.
    pub fn new(app: Arc<App>, addresses: Arc<ClientAddresses>, upstream: Option<Upstream>) -> Arc<Self> {
        Arc::new(Self {
            app,
            addresses,
            upstream,
            rules: Rules::default(),
            renewals: Arc::default(),
            looks: Looks::default(),
        })
    }

    /// The gate's own addresses.
    pub fn own(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/gate/check", any(check::check))
            .route("/gate/check/", any(check::check))
            .route("/gate/check/{*path}", any(check::check))
            .route("/gate/wait", any(wait::wait))
            .route("/gate/enter", post(form::answer))
            .route("/gate/leave", post(form::answer))
            .route("/gate/join", post(form::answer))
            .with_state(self.clone())
    }

    /// Everything else, where there is a site.
    pub fn site(self: &Arc<Self>) -> Option<Router> {
        self.upstream.as_ref().map(|_| Router::new().fallback(site::visit).with_state(self.clone()))
    }

    /// Whether there is a site behind it.
    pub fn has_site(&self) -> bool {
        self.upstream.is_some()
    }

    /// Counts a request of this client, or refuses it.
    fn limit(&self, parts: &Parts) -> Result<(), ApiError> {
        let Some(limiter) = &self.app.limiter else { return Ok(()) };
        limiter.check_address(self.addresses.find(peer(parts), &parts.headers))
    }
}

/// The other end of the connection.
fn peer(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip())
}
