//! The gate over real sockets: a real origin in front of a small real site, visited as browsers, programs and hostile clients do.
//!
//! The tests are functions of a [`house::House`]: an address to visit, the site behind it, and the API of the origin. Whatever else
//! makes one can be held to the same guarantees.

#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod house;
mod shop;

mod carried;
mod check;
mod forms;
mod hostile;
mod life;
mod outage;
mod streams;
