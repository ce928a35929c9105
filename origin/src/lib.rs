//! The Anteroom origin.

pub mod config;
pub mod identity;
pub mod pass;
pub mod secret;
