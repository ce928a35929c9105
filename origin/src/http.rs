//! What every request passes through, and what handlers are given instead of raw requests.

pub mod content;
pub mod cors;
pub mod health;
pub mod plumbing;
pub mod trace;
