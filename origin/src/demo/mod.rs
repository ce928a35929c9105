//! `anteroom demo`: the whole thing to try. The gate with its waiting page, in front of a shop that sells nothing.
//!
//! In scope: one room on the embedded store, the shop as a server of its own, simulated people to wait behind, and what is
//! printed at the start.
//!
//! Out of scope: every rule. Visitors meet the same gate as anywhere, and the simulated people use the functions behind the JSON
//! API.

mod crowd;
mod greeting;
mod shop;

#[cfg(test)]
mod tests;

use crate::api::App;
use crate::config::{Config, StoreConfig, UpstreamConfig};
use crate::origin::{Origin, StartError};
use crate::secret::Secret;
use crate::server::{self, ServeError};
use anteroom_core::gate::carry::FIRST_BYTE_SEC;
use anteroom_core::settings::Settings;
use anteroom_core::units::EventId;
use crowd::Crowd;
use greeting::Greeting;
use serde_json::json;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::net::TcpListener;
use url::Url;

/// The event of the demo's room.
const EVENT: &str = "demo";

/// What the demo is like.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// How many simulated people stand in line; `None` = none.
    pub people: Option<NonZeroU32>,
    /// Where the shop listens.
    pub shop: SocketAddr,
}

/// Makes the demo's room.
async fn open_room(app: &App, options: DemoOptions) -> Result<EventId, StartError> {
    let event = EventId::parse(EVENT).expect("the demo's event has a valid id");
    app.rooms.put(&event, &room(options).to_json().to_string()).await?;
    Ok(event)
}

/// A room in which waiting is visible, and being away is felt before one loses patience.
fn room(options: DemoOptions) -> Settings {
    let simulated = "The other people in this line are simulated.";
    let demo = json!({
        "admit_per_minute": 60, "burst": 2, "claim_sec": 60, "session_sec": 300, "heartbeat_sec": 90,
        "gate": {"paths": ["/tickets/*"]},
        "page": {
            "title": "Night of Lanterns", "message": options.people.map(|_| simulated),
            "theme": {"accent": "#b3471a", "background": "#f4eee2", "dark_accent": "#f2a65a", "dark_background": "#14120e"},
        },
    });
    Settings::default().patched(&demo).expect("the demo's settings are valid")
}

/// Opens the shop on a port of its own; gives the address that the gate finds it at.
async fn open_shop(listen: SocketAddr) -> Result<UpstreamConfig, ServeError> {
    let listener: TcpListener = server::listen(listen).await?;
    let address = reachable(listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, shop::routes()).await });
    let url = Url::parse(&format!("http://{address}")).expect("an address makes a URL");
    let (connect, first_byte) = (Duration::from_secs(5), Duration::from_secs(FIRST_BYTE_SEC));
    Ok(UpstreamConfig { url, connect, first_byte, ca_file: None })
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
    if config.upstream.is_some() {
        tracing::warn!("the demo has a shop of its own: upstream is not used");
    }
    let upstream = open_shop(options.shop).await?;
    let shop = upstream.url.clone();
    config.upstream = Some(upstream);
    let origin = Origin::start(&config)?.traced(traced);
    let event = open_room(&origin.app, options).await?;
    let crowd = options.people.map(|people| tokio::spawn(Crowd::new(origin.app.clone(), event, people).keep_coming()));
    let greeting = Greeting { address, shop: &shop, settings: &room(options), admin: made_up.as_ref(), options };
    // Whoever has closed our standard output does not want to read it.
    let _ = write!(std::io::stdout(), "{greeting}");
    let app = origin.router();
    let stopped = server::run(listener, app, server::signalled(), origin.draining.clone(), config.server.drain).await;
    if let Some(crowd) = crowd {
        crowd.abort();
    }
    origin.finish().await;
    Ok(stopped?)
}

/// An address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    SocketAddr::new(ip, address.port())
}
