//! The waiting token: who was issued what, provable by anybody who has the secret.
//!
//! A JWT signed with HS256. Its header is always the same bytes, so anything else (`alg: none`, another algorithm, another type) is
//! refused before anything is computed; its audience says that it is for waiting, so no other token of ours passes for one.

use crate::units::{EventId, Generation, Identity, Millis, Ticket};
use alloc::borrow::Cow;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use core::fmt;
use serde::{Deserialize, Serialize};

/// `{"typ":"JWT","alg":"HS256"}` in base64url.
pub const HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";
/// The audience of a waiting token.
pub const AUDIENCE: &str = "anteroom:wait";
/// Longest token that is looked at, bytes.
pub const TOKEN_MAX: usize = 2_048;
/// Shortest signing secret, bytes.
pub const SECRET_MIN: usize = 32;

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
    /// itself. Servers use `WaitingKeys::verify`.
    pub fn unverified(token: &str) -> Result<Self, BadToken> {
        if token.len() > TOKEN_MAX {
            return Err(BadToken::Malformed);
        }
        let (message, _signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
        Self::read(payload_of(message)?)
    }

    /// Reads a payload in base64url.
    fn read(payload: &str) -> Result<Self, BadToken> {
        let json = BASE64URL.decode(payload).map_err(|_| BadToken::Malformed)?;
        let payload: Payload<'_> = serde_json::from_slice(&json).map_err(|_| BadToken::OtherPurpose)?;
        if payload.aud != AUDIENCE {
            return Err(BadToken::OtherPurpose);
        }
        Ok(Self {
            event: EventId::parse(payload.evt).map_err(|_| BadToken::Malformed)?,
            generation: payload.r#gen,
            ticket: payload.tkt,
            identity: payload.sub.map(|sub| Identity::parse(&sub)).transpose().map_err(|_| BadToken::Malformed)?,
            issued_at: payload.iat,
        })
    }

    /// Milliseconds since it was issued.
    pub const fn waited_ms(&self, now: Millis) -> u64 {
        now.since(Millis(self.issued_at * 1000))
    }
}

/// Why a text is not a waiting token of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// Not of the form of one.
    Malformed,
    /// Not signed by us.
    Forged,
    /// Signed by us, for another purpose.
    OtherPurpose,
}

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadToken::Malformed => "not a waiting token",
            BadToken::Forged => "the signature is not ours",
            BadToken::OtherPurpose => "not a token for waiting",
        })
    }
}

impl core::error::Error for BadToken {}

/// The payload within header and payload joined by a dot.
fn payload_of(message: &str) -> Result<&str, BadToken> {
    message.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('.')).ok_or(BadToken::Malformed)
}

/// The payload as it is written. Ids borrow from it, since their characters never need an escape.
#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    aud: &'a str,
    evt: &'a str,
    r#gen: Generation,
    tkt: Ticket,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    sub: Option<Cow<'a, str>>,
    iat: u64,
}

#[cfg(feature = "signatures")]
pub use signed::WaitingKeys;

#[cfg(feature = "signatures")]
mod signed {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};

    /// The secrets of waiting tokens: the first signs, all verify, so that a change of secret throws nobody out.
    #[derive(Clone)]
    pub struct WaitingKeys {
        sign: EncodingKey,
        verify: Vec<DecodingKey>,
    }

    impl WaitingKeys {
        /// From one or more secrets of at least [`SECRET_MIN`] bytes; `None` when there is none, or one is shorter.
        pub fn new(secrets: &[impl AsRef<[u8]>]) -> Option<Self> {
            if secrets.iter().any(|secret| secret.as_ref().len() < SECRET_MIN) {
                return None;
            }
            let sign = EncodingKey::from_secret(secrets.first()?.as_ref());
            let verify = secrets.iter().map(|secret| DecodingKey::from_secret(secret.as_ref())).collect();
            Some(Self { sign, verify })
        }

        /// The token: always the same for the same claims and secret.
        pub fn sign(&self, claims: &WaitingClaims) -> String {
            let payload = Payload {
                aud: AUDIENCE,
                evt: claims.event.as_str(),
                r#gen: claims.generation,
                tkt: claims.ticket,
                sub: claims.identity.as_ref().map(|identity| identity.as_str().into()),
                iat: claims.issued_at,
            };
            let json = serde_json::to_vec(&payload).expect("texts and numbers always serialise");
            let mut token = String::with_capacity(HEADER.len() + json.len() * 4 / 3 + 50);
            token.push_str(HEADER);
            token.push('.');
            BASE64URL.encode_string(&json, &mut token);
            let signature = crypto::sign(token.as_bytes(), &self.sign, Algorithm::HS256)
                .expect("any secret makes an HS256 signature");
            token.push('.');
            token.push_str(&signature);
            token
        }

        /// The claims of a token that we signed for waiting. Whether they still count is for the line to say.
        pub fn verify(&self, token: &str) -> Result<WaitingClaims, BadToken> {
            if token.len() > TOKEN_MAX {
                return Err(BadToken::Malformed);
            }
            let (message, signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
            let payload = payload_of(message)?;
            let ours = |key: &DecodingKey| crypto::verify(signature, message.as_bytes(), key, Algorithm::HS256);
            if !self.verify.iter().any(|key| ours(key).unwrap_or(false)) {
                return Err(BadToken::Forged);
            }
            WaitingClaims::read(payload)
        }
    }

    impl fmt::Debug for WaitingKeys {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "WaitingKeys({})", self.verify.len())
        }
    }
}

#[cfg(feature = "signatures")]
#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;
    use std::format;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn claims() -> WaitingClaims {
        WaitingClaims {
            event: EventId::parse("sale").unwrap(),
            generation: Generation(7),
            ticket: Ticket(42),
            identity: Some(Identity::parse("auth0|\"jo\"").unwrap()),
            issued_at: 1_700_000_000,
        }
    }

    #[test]
    fn the_format_is_pinned() {
        let keys = WaitingKeys::new(&[SECRET]).unwrap();
        let token = keys.sign(&claims());
        let payload = token.split('.').nth(1).map(|part| BASE64URL.decode(part).unwrap()).unwrap();
        assert_eq!(
            String::from_utf8(payload).unwrap(),
            r#"{"aud":"anteroom:wait","evt":"sale","gen":7,"tkt":42,"sub":"auth0|\"jo\"","iat":1700000000}"#
        );
        assert_eq!(BASE64URL.decode(HEADER).unwrap(), br#"{"typ":"JWT","alg":"HS256"}"#);
        assert_eq!(keys.verify(&token), Ok(claims()));
        assert_eq!(token.rsplit('.').next().unwrap(), SIGNATURE);
    }

    const SIGNATURE: &str = "Eg28YeOVkB0MgWeqYKRIFfs5MOfuwcSmC6k5f6xP1G8";

    #[test]
    fn a_holder_reads_the_same_without_the_secret() {
        let token = WaitingKeys::new(&[SECRET]).unwrap().sign(&claims());
        assert_eq!(WaitingClaims::unverified(&token), Ok(claims()));
        for bad in ["", "a.b.c", &token[..40], &format!("{HEADER}.e30.x"), &"x".repeat(5_000)] {
            assert!(WaitingClaims::unverified(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_change_of_secret_throws_nobody_out() {
        let old = WaitingKeys::new(&[SECRET]).unwrap();
        let new = WaitingKeys::new(&[&b"another secret of thirty-two bytes"[..], SECRET]).unwrap();
        assert_eq!(new.verify(&old.sign(&claims())), Ok(claims()));
        assert_eq!(old.verify(&new.sign(&claims())), Err(BadToken::Forged));
    }

    #[test]
    fn a_short_secret_makes_no_keys() {
        assert!(WaitingKeys::new(&[&SECRET[..31]]).is_none());
        assert!(WaitingKeys::new(&[&SECRET; 0]).is_none());
    }

    #[test]
    fn nothing_but_our_signature_over_our_form_is_accepted() {
        let keys = WaitingKeys::new(&[SECRET]).unwrap();
        let token = keys.sign(&claims());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let payload = message.split('.').nth(1).unwrap();
        let none = BASE64URL.encode(r#"{"typ":"JWT","alg":"none"}"#);
        for (bad, why) in [
            (String::new(), BadToken::Malformed),
            (format!("{message}."), BadToken::Forged),
            (message.into(), BadToken::Malformed),
            (format!("{none}.{payload}."), BadToken::Malformed),
            (format!("{none}.{payload}.{signature}"), BadToken::Malformed),
            (token[..token.len() - 1].into(), BadToken::Forged),
            (format!("{token}A"), BadToken::Forged),
            ("x".repeat(5_000), BadToken::Malformed),
        ] {
            assert_eq!(keys.verify(&bad), Err(why), "{bad}");
        }
        let other = r#"{"aud":"anteroom:pass","evt":"sale","gen":7,"tkt":42,"iat":1}"#;
        let message = format!("{HEADER}.{}", BASE64URL.encode(other));
        let signature = jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &jsonwebtoken::EncodingKey::from_secret(SECRET),
            jsonwebtoken::Algorithm::HS256,
        )
        .unwrap();
        assert_eq!(keys.verify(&format!("{message}.{signature}")), Err(BadToken::OtherPurpose));
    }

    proptest! {
        #[test]
        fn a_changed_token_is_never_accepted(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
            let keys = WaitingKeys::new(&[SECRET]).unwrap();
            let token = keys.sign(&claims());
            let at = at.index(token.len());
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            prop_assume!(changed != token);
            prop_assert!(keys.verify(&changed).is_err());
        }

        #[test]
        fn hostile_text_never_panics(text in "\\PC{0,300}") {
            let keys = WaitingKeys::new(&[SECRET]).unwrap();
            let dressed = format!("{HEADER}.{text}");
            prop_assert!(keys.verify(&text).is_err() && keys.verify(&dressed).is_err());
        }
    }
}
