//! Tokens that the secrets of a deployment sign: the waiting token, which says who was issued what, and the session token, which
//! says who is inside until when. Provable by anybody who has the secrets, kept by nobody.
//!
//! And the form and the claims of a pass ([`pass`]), which a key of its own signs.
//!
//! The first two are JWTs signed with HS256. The header is always the same bytes, so anything else (`alg: none`, another algorithm, another
//! type) is refused before anything is computed; the audience says what a token is for, so that none passes for another.

pub mod pass;
mod session;
mod waiting;

pub use pass::PassClaims;
pub use session::SessionClaims;
pub use waiting::WaitingClaims;

use alloc::vec::Vec;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use core::fmt;

/// `{"typ":"JWT","alg":"HS256"}` in base64url.
pub const HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";
/// The audience of a waiting token.
pub const AUDIENCE: &str = "anteroom:wait";
/// The audience of a session token.
pub const SESSION_AUDIENCE: &str = "anteroom:session";
/// Longest token that is looked at, bytes.
pub const TOKEN_MAX: usize = 2_048;
/// Shortest signing secret, bytes.
pub const SECRET_MIN: usize = 32;

/// Why a text is not a token of ours.
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
            BadToken::Malformed => "not a token of this form",
            BadToken::Forged => "the signature is not ours",
            BadToken::OtherPurpose => "not a token for this purpose",
        })
    }
}

impl core::error::Error for BadToken {}

/// The payload within header and payload joined by a dot.
fn payload_of(message: &str) -> Result<&str, BadToken> {
    message.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('.')).ok_or(BadToken::Malformed)
}

/// The JSON of a payload in base64url.
fn json_of(payload: &str) -> Result<Vec<u8>, BadToken> {
    BASE64URL.decode(payload).map_err(|_| BadToken::Malformed)
}

#[cfg(feature = "signatures")]
pub use keys::TokenKeys;

#[cfg(feature = "signatures")]
mod keys {
    use super::*;
    use alloc::string::String;
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
    use serde::Serialize;

    /// The secrets of tokens: the first signs, all verify, so that a change of secret throws nobody out.
    #[derive(Clone)]
    pub struct TokenKeys {
        sign: EncodingKey,
        verify: Vec<DecodingKey>,
    }

    impl TokenKeys {
        /// From one or more secrets of at least [`SECRET_MIN`] bytes; `None` when there is none, or one is shorter.
        pub fn new(secrets: &[impl AsRef<[u8]>]) -> Option<Self> {
            if secrets.iter().any(|secret| secret.as_ref().len() < SECRET_MIN) {
                return None;
            }
            let sign = EncodingKey::from_secret(secrets.first()?.as_ref());
            let verify = secrets.iter().map(|secret| DecodingKey::from_secret(secret.as_ref())).collect();
            Some(Self { sign, verify })
        }

        /// The waiting token: always the same for the same claims and secret.
        pub fn sign(&self, claims: &WaitingClaims) -> String {
            self.seal(&waiting::Payload::of(claims))
        }

        /// The claims of a token that we signed for waiting. Whether they still count is for the line to say.
        pub fn verify(&self, token: &str) -> Result<WaitingClaims, BadToken> {
            waiting::Payload::read(&self.open(token)?)
        }

        /// The session token: always the same for the same claims and secret.
        pub fn sign_session(&self, claims: &SessionClaims) -> String {
            self.seal(&session::Payload::of(claims))
        }

        /// The claims of a token that we signed for a session. Whether it is over is for the clock to say.
        pub fn verify_session(&self, token: &str) -> Result<SessionClaims, BadToken> {
            session::Payload::read(&self.open(token)?)
        }

        fn seal(&self, payload: &impl Serialize) -> String {
            let json = serde_json::to_vec(payload).expect("texts and numbers always serialise");
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

        /// The payload of a token that we signed.
        fn open(&self, token: &str) -> Result<Vec<u8>, BadToken> {
            if token.len() > TOKEN_MAX {
                return Err(BadToken::Malformed);
            }
            let (message, signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
            let payload = payload_of(message)?;
            let ours = |key: &DecodingKey| crypto::verify(signature, message.as_bytes(), key, Algorithm::HS256);
            if !self.verify.iter().any(|key| ours(key).unwrap_or(false)) {
                return Err(BadToken::Forged);
            }
            json_of(payload)
        }
    }

    impl fmt::Debug for TokenKeys {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "TokenKeys({})", self.verify.len())
        }
    }
}

#[cfg(feature = "signatures")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{EventId, Generation, Identity, Slot, Ticket};
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
        let keys = TokenKeys::new(&[SECRET]).unwrap();
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

    #[test]
    fn a_session_token_is_none_for_waiting_and_the_other_way_round() {
        let keys = TokenKeys::new(&[SECRET]).unwrap();
        let session = SessionClaims {
            event: EventId::parse("sale").unwrap(),
            generation: Generation(7),
            slot: Slot(40),
            ticket: Ticket(42),
            identity: None,
            renewed_at: 1_700_000_000,
            ends_at: 1_700_000_600,
        };
        let token = keys.sign_session(&session);
        let payload = token.split('.').nth(1).map(|part| BASE64URL.decode(part).unwrap()).unwrap();
        assert_eq!(
            String::from_utf8(payload).unwrap(),
            r#"{"aud":"anteroom:session","evt":"sale","gen":7,"slot":40,"tkt":42,"iat":1700000000,"exp":1700000600}"#
        );
        assert_eq!(keys.verify_session(&token), Ok(session));
        assert_eq!(keys.verify(&token), Err(BadToken::OtherPurpose));
        assert_eq!(keys.verify_session(&keys.sign(&claims())), Err(BadToken::OtherPurpose));
    }

    const SIGNATURE: &str = "Eg28YeOVkB0MgWeqYKRIFfs5MOfuwcSmC6k5f6xP1G8";

    #[test]
    fn a_holder_reads_the_same_without_the_secret() {
        let token = TokenKeys::new(&[SECRET]).unwrap().sign(&claims());
        assert_eq!(WaitingClaims::unverified(&token), Ok(claims()));
        for bad in ["", "a.b.c", &token[..40], &format!("{HEADER}.e30.x"), &"x".repeat(5_000)] {
            assert!(WaitingClaims::unverified(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_change_of_secret_throws_nobody_out() {
        let old = TokenKeys::new(&[SECRET]).unwrap();
        let new = TokenKeys::new(&[&b"another secret of thirty-two bytes"[..], SECRET]).unwrap();
        assert_eq!(new.verify(&old.sign(&claims())), Ok(claims()));
        assert_eq!(old.verify(&new.sign(&claims())), Err(BadToken::Forged));
    }

    #[test]
    fn a_short_secret_makes_no_keys() {
        assert!(TokenKeys::new(&[&SECRET[..31]]).is_none());
        assert!(TokenKeys::new(&[&SECRET; 0]).is_none());
    }

    #[test]
    fn nothing_but_our_signature_over_our_form_is_accepted() {
        let keys = TokenKeys::new(&[SECRET]).unwrap();
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
            let keys = TokenKeys::new(&[SECRET]).unwrap();
            let token = keys.sign(&claims());
            let at = at.index(token.len());
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            prop_assume!(changed != token);
            prop_assert!(keys.verify(&changed).is_err());
        }

        #[test]
        fn hostile_text_never_panics(text in "\\PC{0,300}") {
            let keys = TokenKeys::new(&[SECRET]).unwrap();
            let dressed = format!("{HEADER}.{text}");
            prop_assert!(keys.verify(&text).is_err() && keys.verify(&dressed).is_err() && keys.verify_session(&dressed).is_err());
        }
    }
}
