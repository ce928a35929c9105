//! The class.

use anteroom_core::board::{self, Board};
use anteroom_core::code::ErrorCode;
use anteroom_core::poll::{Hearing, NEAR_MS};
use anteroom_core::settings::rfc3339;
use anteroom_core::status::{self, FromBoard};
use anteroom_core::token::WaitingClaims;
use anteroom_core::units::{Millis, Slot};
use js_sys::{Error, JSON, Reflect};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = crate::types::TYPES;

/// A place in line: a waiting token and the newest board of its room.
///
/// Times are room time in milliseconds since the epoch. A browser's own clock may be minutes off; `asOfMs` of the newest board,
/// carried on with `performance.now()`, is right to the age of that board.
#[wasm_bindgen]
pub struct Line {
    claims: WaitingClaims,
    board: Board,
    as_of: String,
    hearing: Hearing,
    poll_after_ms: u64,
}

#[wasm_bindgen]
impl Line {
    /// From the JSON text of a board (`GET /api/v1/queue/board`) and the waiting token that the join gave.
    ///
    /// @throws {LineError} `TOKEN_NOT_FOUND`: the text is not a waiting token, or not one for the board's event.
    /// `INVALID_REQUEST`: the text is not a board, or of a format that this code does not know.
    #[wasm_bindgen(constructor)]
    pub fn new(#[wasm_bindgen(js_name = "boardJson")] board: &str, token: &str) -> Result<Line, Error> {
        let claims =
            WaitingClaims::unverified(token).map_err(|bad| error(ErrorCode::TokenNotFound, &bad.to_string()))?;
        let board = read(board, &claims)?;
        let as_of = rfc3339(board.as_of);
        Ok(Self { claims, board, as_of, hearing: Hearing::new(), poll_after_ms: NEAR_MS })
    }

    /// Takes in a newer board. One that is older than the board held, as a cache may give it, is not taken.
    ///
    /// @throws {LineError} As the constructor does; the board held stays.
    pub fn update(&mut self, #[wasm_bindgen(js_name = "boardJson")] board: &str) -> Result<(), Error> {
        let board = read(board, &self.claims)?;
        if !board.is_older_than(&self.board) {
            (self.as_of, self.board) = (rfc3339(board.as_of), board);
        }
        Ok(())
    }

    /// What the board says of this place; null when it cannot tell (the turn was taken or missed, or the room was reset since):
    /// then ask `GET /api/v1/queue/status`, which knows. A time before that of the board counts as the board's.
    ///
    /// @throws {LineError} `TOKEN_NOT_FOUND`: the token is of a generation of the room that is over.
    #[wasm_bindgen(unchecked_return_type = "Status | null")]
    pub fn status(&mut self, #[wasm_bindgen(js_name = "nowMs")] now_ms: f64) -> Result<JsValue, Error> {
        let now = millis(now_ms);
        let stale = self.board.is_stale(now);
        match status::from_board(&self.board, &self.as_of, stale, &self.claims, now) {
            FromBoard::Reply(reply) => {
                self.poll_after_ms = reply.poll_after_ms;
                let json = serde_json::to_string(&reply).expect("texts and numbers always serialise");
                Ok(JSON::parse(&json).expect("what serde_json writes is JSON"))
            }
            FromBoard::Ask => {
                self.poll_after_ms = NEAR_MS;
                Ok(JsValue::NULL)
            }
            FromBoard::Refuse(code) => Err(error(code, "this is not the token of a place in this line")),
        }
    }

    /// Whether to send `GET /api/v1/queue/status` now, so that the server hears that somebody still waits here; then it counts as
    /// sent. True once in each third of the silence after which a place stops counting, so that one may get lost.
    #[wasm_bindgen(js_name = "mustReport")]
    pub fn must_report(&mut self, #[wasm_bindgen(js_name = "nowMs")] now_ms: f64) -> bool {
        let (slot, serving) = (Slot(self.claims.ticket.0), Slot(self.board.serving));
        self.hearing.must_report(slot, serving, millis(now_ms).max(self.board.as_of), self.board.heartbeat_ms)
    }

    /// When to fetch the next board, in milliseconds: what the last `status` said.
    #[wasm_bindgen(getter, js_name = "pollAfterMs")]
    pub fn poll_after_ms(&self) -> f64 {
        self.poll_after_ms as f64
    }

    /// Room time of the board held.
    #[wasm_bindgen(getter, js_name = "asOfMs")]
    pub fn as_of_ms(&self) -> f64 {
        self.board.as_of.0 as f64
    }

    /// The event that the token is for.
    #[wasm_bindgen(getter, js_name = "eventId")]
    pub fn event_id(&self) -> String {
        self.claims.event.as_str().into()
    }

    /// The number that the join gave.
    #[wasm_bindgen(getter)]
    pub fn ticket(&self) -> f64 {
        self.claims.ticket.0 as f64
    }
}

/// Reads the board of the token's event.
fn read(text: &str, claims: &WaitingClaims) -> Result<Board, Error> {
    let bad = |why: &str| error(ErrorCode::InvalidRequest, why);
    let board: Board = serde_json::from_str(text).map_err(|why| bad(&format!("the board cannot be read: {why}")))?;
    if board.format != board::FORMAT {
        return Err(bad(&format!("the board is of format {}, not {}", board.format, board::FORMAT)));
    }
    if board.event_id != claims.event {
        return Err(error(ErrorCode::TokenNotFound, "the token is for another event than the board"));
    }
    Ok(board)
}

/// NaN and what is before the epoch are 0, as casts go.
fn millis(ms: f64) -> Millis {
    Millis(ms as u64)
}

fn error(code: ErrorCode, message: &str) -> Error {
    let error = Error::new(message);
    error.set_name("LineError");
    Reflect::set(&error, &"code".into(), &code.as_str().into()).expect("a new error takes properties");
    error
}
