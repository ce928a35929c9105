//! The waiting token: who was issued what.

use super::{AUDIENCE, BadToken, TOKEN_MAX, json_of, payload_of};
use crate::units::{EventId, Generation, Identity, Millis, Ticket};
use alloc::borrow::Cow;
use serde::{Deserialize, Serialize};

/// What a waiting token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingClaims {
    /// The event.
    pub event: EventId,
    /// The generation of its room.
    pub generation: Generation,
    /// The number.
    pub ticket: Ticket,
    /// Who holds it, when that is known.
    pub identity: Option<Identity>,
    /// When it was issued, in seconds.
    pub issued_at: u64,
}

impl WaitingClaims {
    /// What a waiting token says, **whoever signed it**: for its holder's own page, which has no secret and nobody to deceive but
    /// itself. Servers use `TokenKeys::verify`.
    pub fn unverified(token: &str) -> Result<Self, BadToken> {
        if token.len() > TOKEN_MAX {
            return Err(BadToken::Malformed);
        }
        let (message, _signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
        Payload::read(&json_of(payload_of(message)?)?)
    }

    /// Milliseconds since it was issued.
    pub const fn waited_ms(&self, now: Millis) -> u64 {
        now.since(Millis(self.issued_at.saturating_mul(1000)))
    }
}

/// The payload as it is written. Ids borrow from it, since their characters never need an escape.
#[derive(Serialize, Deserialize)]
pub(super) struct Payload<'a> {
    aud: &'a str,
    evt: &'a str,
    r#gen: Generation,
    tkt: Ticket,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    sub: Option<Cow<'a, str>>,
    iat: u64,
}

impl<'a> Payload<'a> {
    #[cfg(feature = "signatures")]
    pub(super) fn of(claims: &'a WaitingClaims) -> Self {
        Self {
            aud: AUDIENCE,
            evt: claims.event.as_str(),
            r#gen: claims.generation,
            tkt: claims.ticket,
            sub: claims.identity.as_ref().map(|identity| identity.as_str().into()),
            iat: claims.issued_at,
        }
    }

    pub(super) fn read(json: &[u8]) -> Result<WaitingClaims, BadToken> {
        let payload: Payload<'_> = serde_json::from_slice(json).map_err(|_| BadToken::OtherPurpose)?;
        if payload.aud != AUDIENCE {
            return Err(BadToken::OtherPurpose);
        }
        Ok(WaitingClaims {
            event: EventId::parse(payload.evt).map_err(|_| BadToken::Malformed)?,
            generation: payload.r#gen,
            ticket: payload.tkt,
            identity: payload.sub.map(|sub| Identity::parse(&sub)).transpose().map_err(|_| BadToken::Malformed)?,
            issued_at: payload.iat,
        })
    }
}
