//! Real servers for the tests of Anteroom.
//!
//! In scope: starting a server on a free port in a directory of its own, waiting until it answers, killing, pausing and restarting
//! it. Out of scope: clients, and anything that a shipped binary uses.

mod process;
pub use process::{Process, free_port};

pub mod redis;
pub mod workerd;
