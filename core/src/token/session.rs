//! The session token: who is inside until when. It is what a browser holds after its turn, renewed while it is used.

use crate::units::{EventId, Generation, Identity, Millis, Slot, Ticket};
#[cfg(feature = "signatures")]
use {
    super::{BadToken, SESSION_AUDIENCE},
    alloc::borrow::Cow,
    serde::{Deserialize, Serialize},
};

/// What a session token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionClaims {
    /// The event it admits to, and no other.
    pub event: EventId,
    /// The generation of its room.
    pub generation: Generation,
    /// The slot whose session it is.
    pub slot: Slot,
    /// The ticket that stands in that slot.
    pub ticket: Ticket,
    /// Who is inside, when that is known.
    pub identity: Option<Identity>,
    /// When the origin last said how long the session lasts, in seconds.
    pub renewed_at: u64,
    /// When the session ends, in seconds: never later than the line says.
    pub ends_at: u64,
}

impl SessionClaims {
    /// Milliseconds that are left at `now`; 0 once it is over.
    pub const fn left_ms(&self, now: Millis) -> u64 {
        Millis(self.ends_at.saturating_mul(1000)).since(now)
    }

    /// Whether half of it has passed since the origin last said how long it lasts.
    pub const fn is_half_over(&self, now: Millis) -> bool {
        now.secs().saturating_sub(self.renewed_at) * 2 >= self.ends_at.saturating_sub(self.renewed_at)
    }
}

/// The payload as it is written.
#[cfg(feature = "signatures")]
#[derive(Serialize, Deserialize)]
pub(super) struct Payload<'a> {
    aud: &'a str,
    evt: &'a str,
    r#gen: Generation,
    slot: Slot,
    tkt: Ticket,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    sub: Option<Cow<'a, str>>,
    iat: u64,
    exp: u64,
}

#[cfg(feature = "signatures")]
impl<'a> Payload<'a> {
    pub(super) fn of(claims: &'a SessionClaims) -> Self {
        Self {
            aud: SESSION_AUDIENCE,
            evt: claims.event.as_str(),
            r#gen: claims.generation,
            slot: claims.slot,
            tkt: claims.ticket,
            sub: claims.identity.as_ref().map(|identity| identity.as_str().into()),
            iat: claims.renewed_at,
            exp: claims.ends_at,
        }
    }

    pub(super) fn read(json: &[u8]) -> Result<SessionClaims, BadToken> {
        let payload: Payload<'_> = serde_json::from_slice(json).map_err(|_| BadToken::OtherPurpose)?;
        if payload.aud != SESSION_AUDIENCE {
            return Err(BadToken::OtherPurpose);
        }
        Ok(SessionClaims {
            event: EventId::parse(payload.evt).map_err(|_| BadToken::Malformed)?,
            generation: payload.r#gen,
            slot: payload.slot,
            ticket: payload.tkt,
            identity: payload.sub.map(|sub| Identity::parse(&sub)).transpose().map_err(|_| BadToken::Malformed)?,
            renewed_at: payload.iat,
            ends_at: payload.exp,
        })
    }
}
