//! The gate over real sockets: a real origin in front of a small real site, visited as browsers, programs and hostile clients do.
//!
//! One list of behaviours for both hosts of the gate: most tests are functions of a [`house::Host`] and run against the origin's own gate
//! and against the worker on workerd. A test that runs on one host only, or asks less of one, says why.

#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod echo;
mod house;
mod shop;

mod carried;
mod check;
mod forms;
mod hostile;
mod life;
mod outage;
mod random;
mod sessions;
mod sockets;
mod streams;
mod wait;
