//! Anteroom on Cloudflare Workers and workerd: a thin host around `anteroom-core`.
//!
//! In scope: verifying tokens before anything reaches the origin; answering status and board requests from a board held in isolate
//! memory; the gate in front of a site; reporting who was heard from in batches; passing the rest of the API to the origin.
//!
//! Out of scope: any rule of the waiting room. What a standing means, which position and estimate to show, when to poll
//! again, what becomes of a request at the gate and which HTTP status carries an error is decided in `anteroom-core`.
//!
//! | module | holds | compiled |
//! |---|---|---|
//! | [`settings`] | the variables and secrets of the worker, checked | everywhere |
//! | [`address`], [`visitor`] | the address of a request, and of whoever makes it | everywhere |
//! | [`lease`] | when to fetch something anew, and which request does it | everywhere |
//! | [`boards`], [`rooms`] | which boards and rooms are held, and for how long the origin has been away | everywhere |
//! | [`status`] | from a token and a board to a status answer | everywhere |
//! | [`reports`], [`renewed`] | what waits to be reported, and what the origin has answered | everywhere |
//! | `host` | requests, responses, fetches, timers | on wasm32 |
//! | `hs256` | the one signature that waiting tokens need | on wasm32 |

pub mod address;
pub mod boards;
pub mod lease;
pub mod renewed;
pub mod reports;
pub mod rooms;
pub mod settings;
pub mod status;
pub mod visitor;

#[cfg(target_family = "wasm")]
mod host;
#[cfg(target_family = "wasm")]
mod hs256;
