//! Faults that we promise to survive, made for real: processes killed, a Redis that is away, stopped, emptied.

#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod emptied;
mod full_room;
mod outage;
mod restart;
mod two_origins;

use serde_json::Value;
use support::Client;

/// Status and position of each token, as a client sees them; the poll is a heartbeat.
async fn standings(client: &Client, tokens: &[String]) -> Vec<(u16, Value, Value)> {
    let mut seen = Vec::with_capacity(tokens.len());
    for token in tokens {
        let reply = client.status(token).await;
        seen.push((reply.status, reply.body["status"].clone(), reply.body["position"].clone()));
    }
    seen
}

/// So many places, in order.
async fn join_many(client: &Client, event: &str, count: usize) -> Vec<String> {
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        tokens.push(client.token(event).await);
    }
    tokens
}
