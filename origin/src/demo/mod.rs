//! `anteroom demo`: a waiting room to try, with pages, in front of a shop that sells nothing.
//!
//! In scope: one room on the embedded store, its pages, simulated people to wait behind, and what is printed at the
//! start.
//!
//! Out of scope: every rule. Pages and simulated people join, ask, enter and leave through the functions behind the
//! JSON API, so what they show is what any client gets.

mod crowd;
mod form;
mod greeting;
mod page;
mod pages;
mod words;

#[cfg(test)]
mod tests;

use crate::api::App;
use crate::config::{Config, StoreConfig};
use crate::origin::{Origin, StartError};
use crate::secret::Secret;
use crate::server::{self, ServeError};
use anteroom_core::settings::Settings;
use anteroom_core::units::EventId;
use axum::Router;
use crowd::Crowd;
use greeting::Greeting;
use page::Pages;
use serde_json::json;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

/// The event of the demo's room.
const EVENT: &str = "demo";

/// What the demo is like.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// How many simulated people stand in line; `None` = none.
    pub people: Option<NonZeroU32>,
}

/// The demo's room and pages, on an origin.
pub struct Demo {
    app: Arc<App>,
    event: EventId,
    pages: Pages,
    options: DemoOptions,
}

impl Demo {
    /// Makes the room.
    pub async fn open(app: Arc<App>, options: DemoOptions) -> Result<Arc<Self>, StartError> {
        let event = EventId::parse(EVENT).expect("the demo's event has a valid id");
        app.rooms.put(&event, &room().to_json().to_string()).await?;
        Ok(Arc::new(Self { app, event, pages: Pages::new(), options }))
    }

    /// The pages.
    pub fn routes(self: &Arc<Self>) -> Router {
        pages::routes(self.clone())
    }

    /// Simulated people come and go until this is dropped.
    pub async fn keep_busy(self: Arc<Self>) {
        if let Some(people) = self.options.people {
            Crowd::new(self.app.clone(), self.event.clone(), people).keep_coming().await;
        }
    }
}

/// A room in which waiting is visible, and being away is felt before one loses patience.
fn room() -> Settings {
    let demo = json!({
        "admit_per_minute": 60, "burst": 2, "claim_sec": 60, "session_sec": 300, "heartbeat_sec": 90,
        "page": {"title": "Night of Lanterns"},
    });
    Settings::default().patched(&demo).expect("the demo's settings are valid")
}

/// Serves the demonstration until a signal stops it.
pub async fn demo(mut config: Config, traced: bool, options: DemoOptions) -> Result<(), ServeError> {
    let listener = server::listen(config.server.listen).await?;
    let address = reachable(listener.local_addr()?);
    if !matches!(config.store, StoreConfig::Embedded { state_dir: None }) {
        tracing::warn!("the demo keeps its line in memory: redis_url and state_dir are not used");
        config.store = StoreConfig::Embedded { state_dir: None };
    }
    let made_up = config.access.admin.is_none().then(Secret::random);
    if let Some(token) = &made_up {
        config.access.admin = Some(token.clone());
    }
    let origin = Origin::start(&config)?.traced(traced);
    let demo = Demo::open(origin.app.clone(), options).await?;
    let app = origin.router(demo.routes());
    let crowd = tokio::spawn(demo.keep_busy());
    let greeting = Greeting { address, settings: &room(), admin: made_up.as_ref(), options };
    // Whoever has closed our standard output does not want to read it.
    let _ = write!(std::io::stdout(), "{greeting}");
    let stopped = server::run(listener, app, server::signalled(), origin.draining.clone(), config.server.drain).await;
    crowd.abort();
    origin.finish().await;
    Ok(stopped?)
}

/// An address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    SocketAddr::new(ip, address.port())
}
