//! The edge on a real Workers runtime, in front of a real origin: `cargo xtask test --only edge` builds the worker and says where
//! it and workerd are.

#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

#[path = "../gate/echo.rs"]
#[allow(dead_code, reason = "the suite of the gate uses the rest")]
mod echo;
#[path = "../gate/house.rs"]
#[allow(dead_code, reason = "the suite of the gate uses the rest")]
mod house;
#[path = "../gate/shop.rs"]
#[allow(dead_code, reason = "the suite of the gate uses the rest")]
mod shop;

mod calls;
mod full_room;
mod outage;
mod positions;
mod reset;
mod start;
mod tokens;
mod transparency;

use anteroom_testkit::workerd::Workerd;
use support::{Client, SECRET, Site, Store};

/// An origin with the edge in front.
pub struct Fronted {
    /// Asks the edge.
    pub edge: Client,
    /// Asks the origin.
    pub origin: Site,
    /// The edge's process.
    pub workerd: Workerd,
}

impl Fronted {
    /// An embedded origin, and the edge with the same secrets.
    pub async fn start() -> Self {
        let origin = Store::Embedded.start(&[]).await;
        let workerd = Workerd::start(&bindings(origin.base()));
        Self { edge: Client::new(&workerd.url()), origin, workerd }
    }
}

/// What the edge needs to know of an origin.
fn bindings(origin: &str) -> [(&str, &str); 3] {
    [("ORIGIN", origin), ("ANTEROOM_SECRET", SECRET), ("ANTEROOM_EDGE_TOKEN", support::EDGE)]
}

/// The edge of an origin, at the gate of a site.
pub fn edge_of(origin: &str, site: &str) -> Workerd {
    let bindings = [&bindings(origin)[..], &[("UPSTREAM", site)]].concat();
    tokio::task::block_in_place(|| Workerd::start(&bindings))
}
