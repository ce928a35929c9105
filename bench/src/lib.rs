//! Load tools of Anteroom.
//!
//! In scope: a crowd that joins, polls as told, leaves, goes silent and enters over real HTTP, with a verdict on the promises of an
//! honest line; the table of budgets, measured side by side with a bare server; starting and ending the processes both need.
//!
//! Out of scope: anything the server needs at run time. These tools know the server by its published HTTP contract only, and
//! so keep their own wire types: a mistake in the shared ones would otherwise be invisible from here.

pub mod budget;
pub mod child;
pub mod client;
pub mod crowd;
pub mod edge;
pub mod markdown;
pub mod quantile;
pub mod redis;
pub mod server;
pub mod wire;
