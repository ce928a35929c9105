//! The decisions of the Anteroom waiting room.
//!
//! In scope: the line and its positions, the public board, the estimate, admission, pacing of polls, the claims of tokens and
//! what makes one acceptable, wire types and the mapping from outcome to HTTP status.
//!
//! Out of scope: clocks, randomness, sockets, storage, logging, secrets. `now` and seeds are arguments.
//!
//! One definition serves every host: native code in the origin, WASM at the edge and in the browser.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod admission;
pub mod bitmap;
pub mod board;
pub mod code;
pub mod cors;
pub mod eta;
pub mod gate;
pub mod line;
pub mod poll;
pub mod rank;
pub mod refusal;
pub mod relay;
pub mod settings;
pub mod sketch;
pub mod status;
pub mod token;
pub mod trace;
pub mod units;
pub mod window;
