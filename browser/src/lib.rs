//! A place in line, worked out in the browser.
//!
//! In scope: a class for single-page apps that takes a public board and a waiting token and gives position, estimate and pacing, by
//! the same code as origin and edge. Its types for TypeScript.
//!
//! Out of scope: any rule of the waiting room (`anteroom-core` has them), requests, timers, clocks, and whether a token is genuine: a
//! browser has no secret, and its user has nobody to deceive but themselves.

#[cfg(target_family = "wasm")]
mod line;
pub mod types;

#[cfg(target_family = "wasm")]
pub use line::Line;
