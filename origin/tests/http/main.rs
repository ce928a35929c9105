//! The contract over HTTP: the real router behind a real socket, asked by a real client, on the embedded store and on a real Redis.

#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod admin;
mod admission;
mod bad_input;
mod forgery;
mod idempotency;
mod identity;
mod operations;
mod passes;
mod queue;
