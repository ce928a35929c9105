//! The answer to "where am I?", the same at every host.

use crate::board::Board;
use crate::code::ErrorCode;
use crate::eta::{Eta, Pace};
use crate::line::Standing;
use crate::poll::{self, Outlook};
use crate::settings::rfc3339;
use crate::token::WaitingClaims;
use crate::units::{Millis, Position, Slot, Ticket};
use alloc::string::String;
use serde::Serialize;

/// What a host knows of a room beside the one who asks.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// How the line moves.
    pub pace: &'a Pace,
    /// The room's mode, as in its settings.
    pub mode: &'a str,
    /// When calling starts, if that is ahead.
    pub opens_at: Option<Millis>,
    /// What the operator has to say to those who wait.
    pub message: Option<&'a str>,
    /// Silence after which a place is lost or a turn is missed, whichever is shorter, milliseconds.
    pub patience_ms: u64,
    /// People in line.
    pub waiting: u64,
    /// When the host's knowledge is of, RFC 3339.
    pub as_of: &'a str,
    /// Whether that is older than it should be.
    pub stale: bool,
}

/// Body of a status answer.
#[derive(Clone, Debug, Serialize)]
pub struct StatusReply<'a> {
    /// `waiting`, `ready` or `entered`.
    pub status: &'static str,
    /// 1 is the head of the line; 0 once called.
    pub position: u64,
    /// Seconds until the call; null when nobody can know.
    pub eta_sec: Option<u64>,
    /// One wait in ten is shorter.
    pub eta_low_sec: Option<u64>,
    /// One wait in ten is longer.
    pub eta_high_sec: Option<u64>,
    /// Chance that the estimate is right to a quarter.
    pub eta_confidence: Option<f64>,
    /// Seconds since the join.
    pub waiting_time: u64,
    /// Whether the person may enter now.
    pub ready_for_entry: bool,
    /// When the turn is missed, RFC 3339.
    pub claim_expires_at: Option<String>,
    /// When to ask again, milliseconds.
    pub poll_after_ms: u64,
    /// People in line.
    pub total_waiting: u64,
    /// The room's mode: in `hold` nobody is called for now.
    pub mode: &'a str,
    /// Before this nobody is called, RFC 3339; null once it is past.
    pub opens_at: Option<String>,
    /// What the operator has to say to those who wait.
    pub message: Option<&'a str>,
    /// When this is of, RFC 3339.
    pub as_of: &'a str,
    /// Whether the store has been out of reach since.
    pub stale: bool,
}

/// The estimate and the pause until the next poll for somebody at `position`.
pub fn outlook(position: Position, ticket: Ticket, around: &Around<'_>, now: Millis) -> (Option<Eta>, u64) {
    let eta = around.pace.estimate(position, now);
    let outlook = match (eta, around.opens_at) {
        (Some(eta), _) => Outlook::Estimated(eta),
        (None, Some(opens_at)) => Outlook::Opens(opens_at.since(now)),
        (None, None) => Outlook::Held,
    };
    let seed = ticket.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ now.0;
    (eta, poll::poll_after_ms(position, &outlook, around.patience_ms, seed))
}

/// The answer for somebody who stands at `standing`, `position`. An error code where the place is no more.
pub fn reply<'a>(
    standing: Standing,
    position: Position,
    ticket: Ticket,
    waited_ms: u64,
    around: &Around<'a>,
    now: Millis,
) -> Result<StatusReply<'a>, ErrorCode> {
    let (status, position, until) = match standing {
        Standing::Waiting | Standing::Silent => ("waiting", position, None),
        Standing::Ready { until, .. } => ("ready", Position(0), Some(until)),
        Standing::Entered => ("entered", Position(0), None),
        Standing::Missed | Standing::PassedOver => return Err(ErrorCode::TokenExpired),
        Standing::Left | Standing::Unknown => return Err(ErrorCode::TokenNotFound),
    };
    let (eta, poll_after_ms) = outlook(position, ticket, around, now);
    // Whoever has entered waits for nothing.
    let eta = eta.filter(|_| standing != Standing::Entered);
    Ok(StatusReply {
        status,
        position: position.0,
        eta_sec: eta.map(|eta| eta.sec),
        eta_low_sec: eta.map(|eta| eta.low_sec),
        eta_high_sec: eta.map(|eta| eta.high_sec),
        eta_confidence: eta.map(|eta| eta.confidence),
        waiting_time: waited_ms / 1000,
        ready_for_entry: until.is_some(),
        claim_expires_at: until.map(rfc3339),
        poll_after_ms,
        // Whoever joined after the host last looked is in line too: nobody is fifth of four.
        total_waiting: around.waiting.max(position.0),
        mode: around.mode,
        opens_at: around.opens_at.filter(|opens_at| *opens_at > now).map(rfc3339),
        message: around.message,
        as_of: around.as_of,
        stale: around.stale,
    })
}

/// What a board says to the holder of a token.
#[allow(clippy::large_enum_variant, reason = "used up where it is made: a box would cost every poll an allocation")]
#[derive(Clone, Debug)]
pub enum FromBoard<'a> {
    /// This.
    Reply(StatusReply<'a>),
    /// That there is no such place.
    Refuse(ErrorCode),
    /// Nothing: the origin must be asked.
    Ask,
}

/// The answer that `board` gives to the holder of `claims` at `now`. `as_of` is its time as text, `stale` whether it is older than
/// it should be.
///
/// The origin is asked where a board would have to guess: about a place whose turn seems to be over, since a board knows neither
/// who entered nor who left, and about a token of a generation that this board has not heard of yet. Nobody goes on polling in
/// either state, so that the origin hears little of it. A clock behind that of the room counts as the room's.
///
/// On a stale board no open turn runs out: perhaps nobody ticks the room, and then all that time is given back
/// ([`crate::line::OUTAGE_MS`]). It is shown as if that were now.
pub fn from_board<'a>(
    board: &'a Board,
    as_of: &'a str,
    stale: bool,
    claims: &WaitingClaims,
    now: Millis,
) -> FromBoard<'a> {
    if claims.event != board.event_id || claims.generation < board.generation {
        return FromBoard::Refuse(ErrorCode::TokenNotFound);
    }
    if claims.generation > board.generation {
        return FromBoard::Ask;
    }
    let (slot, now) = (Slot(claims.ticket.0), now.max(board.as_of));
    let away = if stale { now.since(board.as_of) } else { 0 };
    let standing = board.standing(slot, now.minus(away)).later(away);
    if standing == Standing::Missed {
        return FromBoard::Ask;
    }
    let around = Around {
        pace: &board.pace,
        mode: &board.mode,
        opens_at: board.opens_at,
        message: board.message.as_deref(),
        patience_ms: board.patience_ms,
        waiting: board.waiting,
        as_of,
        stale,
    };
    match reply(standing, board.position(slot), claims.ticket, claims.waited_ms(now), &around, now) {
        Ok(reply) => FromBoard::Reply(reply),
        Err(code) => FromBoard::Refuse(code),
    }
}
