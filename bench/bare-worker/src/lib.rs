//! The bare worker that the edge is compared with: the same crate, profile and runtime, one constant answer.
#![cfg(target_family = "wasm")]

use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(_request: Request, _env: Env, _context: Context) -> Result<Response> {
    Response::ok("hello")
}
