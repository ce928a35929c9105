//! The Anteroom origin.

pub mod cli;
pub mod config;
pub mod error;
pub mod http;
pub mod identity;
pub mod limit;
pub mod metrics;
pub mod pass;
pub mod secret;
pub mod server;
pub mod telemetry;

pub use server::{demo, serve};
