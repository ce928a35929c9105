//! The tokens that are given out: for a place, for a turn, for a session. Each says the same however often it is asked for.

use super::App;
use anteroom_core::line::Session;
use anteroom_core::token::{PassClaims, SessionClaims, WaitingClaims};
use anteroom_core::units::{EventId, Generation, Identity, Millis, Slot, Ticket};

/// The waiting token of a place.
pub(super) fn waiting(
    app: &App,
    event: &EventId,
    generation: Generation,
    ticket: Ticket,
    identity: Option<Identity>,
    joined_at: Millis,
) -> String {
    app.keys.sign(&WaitingClaims { event: event.clone(), generation, ticket, identity, issued_at: joined_at.secs() })
}

/// The reservation token of a turn that was taken. `session_ms` is how long the room's settings make a session.
pub(super) fn pass(app: &App, claims: &WaitingClaims, session: Session, ttl_ms: u64, session_ms: u64) -> String {
    // A session that is extended while its pass is good does not change the pass.
    let ends_at = session.ends_at.min(session.pass_at.plus(session_ms));
    app.passes.sign(&PassClaims {
        event: claims.event.clone(),
        generation: claims.generation,
        slot: Slot(claims.ticket.0),
        ticket: claims.ticket,
        identity: claims.identity.clone(),
        // One for each turn, however often its token is issued.
        jti: format!("{}.{}.{}", claims.event, claims.generation.0, claims.ticket.0),
        iat: session.pass_at.secs(),
        exp: session.pass_at.plus(ttl_ms).0.div_ceil(1000),
        session_ends: ends_at.secs(),
    })
}

/// The claims of the session that a turn has opened.
pub(super) fn session(claims: &WaitingClaims, session: Session) -> SessionClaims {
    SessionClaims {
        event: claims.event.clone(),
        generation: claims.generation,
        slot: Slot(claims.ticket.0),
        ticket: claims.ticket,
        identity: claims.identity.clone(),
        renewed_at: session.pass_at.secs(),
        ends_at: session.ends_at.secs(),
    }
}
