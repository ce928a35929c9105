//! The Anteroom origin: a thin host around [`anteroom_core`].
//!
//! In scope: sockets, timers, stores, secrets, logs, the HTTP API, the command line.
//!
//! Out of scope: what is decided. How many are called, who is ready, what position and estimate are shown is core's.

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod error;
pub mod gate;
pub mod http;
pub mod identity;
pub mod limit;
pub mod metrics;
pub mod origin;
pub mod pass;
pub mod room;
pub mod secret;
pub mod server;
pub mod store;
pub mod telemetry;

pub use demo::demo;
pub use server::serve;
