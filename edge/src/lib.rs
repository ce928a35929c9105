//! Anteroom on Cloudflare Workers and workerd: a thin host around `anteroom-core`.
//!
//! In scope: verifying waiting tokens before anything reaches the origin; answering status and board requests from a
//! board held in isolate memory; passing everything else of the API to the origin.
//!
//! Out of scope: any rule of the waiting room. What a standing means, which position and estimate to show, when to poll
//! again and which HTTP status carries an error is decided in `anteroom-core`.
//!
//! | module | holds | compiled |
//! |---|---|---|
//! | [`settings`] | the variables and secrets of the worker, checked | everywhere |
//! | [`boards`] | which boards are held, which to serve and which to fetch | everywhere |
//! | [`status`] | from a token and a board to a status answer | everywhere |
//! | `host` | requests, responses, fetches, timers | on wasm32 |
//! | `hs256` | the one signature that waiting tokens need | on wasm32 |

pub mod boards;
pub mod settings;
pub mod status;

#[cfg(target_family = "wasm")]
mod host;
#[cfg(target_family = "wasm")]
mod hs256;
