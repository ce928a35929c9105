//! The pass: the signed, short-lived proof of admission (`reservation_token` on the wire).
//!
//! A JWT signed with Ed25519, so that anybody with the public key can check one. Here is its form and what it must say; checking the
//! signature over [`Form::message`] is the host's, since each has other means for that.

use super::{BadToken, SessionClaims, TOKEN_MAX};
use crate::units::{EventId, Generation, Identity, Millis, Slot, Ticket};
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `iss` of every pass.
pub const ISSUER: &str = "anteroom";
/// The `aud` of every pass: what tells it from the other tokens.
pub const PASS_AUDIENCE: &str = "anteroom:pass";
/// The `alg` of every pass.
pub const ALGORITHM: &str = "EdDSA";

/// What a pass says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassClaims {
    /// The event it admits to, and no other.
    #[serde(rename = "evt")]
    pub event: EventId,
    /// The life of the room it belongs to.
    #[serde(rename = "gen")]
    pub generation: Generation,
    /// The slot whose turn it is.
    pub slot: Slot,
    /// The ticket that stands in that slot.
    #[serde(rename = "tkt")]
    pub ticket: Ticket,
    /// Who it was given to, if that is known.
    #[serde(rename = "sub", default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Names this pass, for spending it once.
    pub jti: String,
    /// When it was made, seconds since the epoch.
    pub iat: u64,
    /// When it stops being good, seconds since the epoch.
    pub exp: u64,
    /// When the session that it opens ends unless it is extended, seconds since the epoch.
    #[serde(rename = "ses")]
    pub session_ends: u64,
}

impl PassClaims {
    /// The session that a pass proves while it is good; `None` once it has run out.
    pub fn session(&self, now: Millis) -> Option<SessionClaims> {
        (now.secs() < self.exp).then(|| SessionClaims {
            event: self.event.clone(),
            generation: self.generation,
            slot: self.slot,
            ticket: self.ticket,
            identity: self.identity.clone(),
            renewed_at: self.iat,
            ends_at: self.session_ends,
        })
    }
}

/// A text of the form of a pass; nothing of it is believed before its signature is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form<'a> {
    /// The `kid`: which key must have signed it.
    pub key: String,
    /// What was signed.
    pub message: &'a [u8],
    /// The signature over it.
    pub signature: [u8; 64],
    payload: &'a str,
}

impl<'a> Form<'a> {
    /// Takes a text apart. O(length).
    pub fn of(pass: &'a str) -> Result<Self, BadToken> {
        if pass.len() > TOKEN_MAX {
            return Err(BadToken::Malformed);
        }
        let (message, signature) = pass.rsplit_once('.').ok_or(BadToken::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(BadToken::Malformed)?;
        let header: Value = serde_json::from_slice(&decoded(header)?).map_err(|_| BadToken::Malformed)?;
        let (Some(ALGORITHM), Some(key)) = (text(&header, "alg"), text(&header, "kid")) else {
            return Err(BadToken::Malformed);
        };
        let signature = decoded(signature)?.try_into().map_err(|_| BadToken::Malformed)?;
        Ok(Self { key: key.into(), message: message.as_bytes(), signature, payload })
    }

    /// The claims, once the signature has been found to be that of the key it names. Whether the pass has run out is for
    /// [`PassClaims::session`] to say.
    pub fn claims(&self) -> Result<PassClaims, BadToken> {
        let json = decoded(self.payload)?;
        let purpose: Value = serde_json::from_slice(&json).map_err(|_| BadToken::OtherPurpose)?;
        if text(&purpose, "iss") != Some(ISSUER) || text(&purpose, "aud") != Some(PASS_AUDIENCE) {
            return Err(BadToken::OtherPurpose);
        }
        serde_json::from_slice(&json).map_err(|_| BadToken::Malformed)
    }
}

/// A public key out of a JWK set: its `kid` and its 32 bytes.
pub type PublicKey = (String, [u8; 32]);

/// The Ed25519 keys of a JWK set (RFC 8037); others are left out.
pub fn public_keys(jwks: &Value) -> Vec<PublicKey> {
    let keys = jwks.get("keys").and_then(Value::as_array).into_iter().flatten();
    let read = |key: &Value| {
        let ours = text(key, "kty")? == "OKP" && text(key, "crv")? == "Ed25519";
        let bytes: [u8; 32] = decoded(text(key, "x")?).ok()?.try_into().ok()?;
        ours.then_some((text(key, "kid")?.into(), bytes))
    };
    keys.filter_map(read).collect()
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

fn decoded(base64url: &str) -> Result<Vec<u8>, BadToken> {
    BASE64URL.decode(base64url).map_err(|_| BadToken::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::format;

    const HEADER: &str = r#"{"typ":"JWT","alg":"EdDSA","kid":"k"}"#;
    const CLAIMS: &str = concat!(
        r#"{"iss":"anteroom","aud":"anteroom:pass","evt":"sale","gen":1,"slot":7,"tkt":8,"#,
        r#""jti":"sale.1.8","iat":1700000000,"exp":1700000030,"ses":1700000600}"#
    );

    fn pass(header: &str, claims: &str, signature: &[u8]) -> String {
        format!("{}.{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims), BASE64URL.encode(signature))
    }

    #[test]
    fn a_pass_is_read_as_the_origin_writes_it() {
        let pass = pass(HEADER, CLAIMS, &[5; 64]);
        let form = Form::of(&pass).unwrap();
        assert_eq!((&*form.key, form.signature), ("k", [5; 64]));
        assert_eq!(form.message, pass.rsplit_once('.').unwrap().0.as_bytes());
        let claims = form.claims().unwrap();
        let session = claims.session(Millis(1_700_000_029_999)).unwrap();
        assert_eq!((session.event.as_str(), session.slot, session.ticket), ("sale", Slot(7), Ticket(8)));
        assert_eq!((session.renewed_at, session.ends_at), (1_700_000_000, 1_700_000_600));
        assert_eq!(claims.session(Millis(1_700_000_030_000)), None, "over at its last second");
    }

    #[test]
    fn nothing_but_the_form_and_the_purpose_of_a_pass_is_accepted() {
        for (header, claims, signature, why) in [
            (HEADER.replace("EdDSA", "none"), CLAIMS.into(), 64, BadToken::Malformed),
            (HEADER.replace("EdDSA", "HS256"), CLAIMS.into(), 64, BadToken::Malformed),
            (r#"{"typ":"JWT","alg":"EdDSA"}"#.into(), CLAIMS.into(), 64, BadToken::Malformed),
            (HEADER.into(), CLAIMS.into(), 63, BadToken::Malformed),
            (HEADER.into(), CLAIMS.replace("anteroom:pass", "anteroom:wait"), 64, BadToken::OtherPurpose),
            (HEADER.into(), CLAIMS.replace(r#""iss":"anteroom""#, r#""iss":"x""#), 64, BadToken::OtherPurpose),
            (HEADER.into(), CLAIMS.replace(r#""aud":"anteroom:pass","#, ""), 64, BadToken::OtherPurpose),
            (HEADER.into(), CLAIMS.replace(r#""slot":7,"#, ""), 64, BadToken::Malformed),
            (HEADER.into(), CLAIMS.replace(r#""sale""#, r#""a b""#), 64, BadToken::Malformed),
            (HEADER.into(), "null".into(), 64, BadToken::OtherPurpose),
        ] {
            let text = pass(&header, &claims, &std::vec![0; signature]);
            assert_eq!(Form::of(&text).and_then(|form| form.claims()), Err(why), "{header} {claims}");
        }
        for text in ["", "a.b.c", "..", &"x".repeat(5_000), &format!("{}.x", pass(HEADER, CLAIMS, &[0; 64]))] {
            assert!(Form::of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_keys_of_a_set_are_read_and_others_left_out() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x});
        let set =
            json!({"keys": [key, {"kty": "RSA", "kid": "r"}, 7, {"kty": "OKP", "crv": "X25519", "kid": "k", "x": x}]});
        assert_eq!(public_keys(&set), [(String::from("k"), decoded(x).unwrap().try_into().unwrap())]);
        assert!(public_keys(&json!(null)).is_empty() && public_keys(&json!({"keys": {}})).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(text in "\\PC{0,300}", header in "\\PC{0,60}", claims in "\\PC{0,60}") {
            prop_assert!(Form::of(&text).is_err());
            let _ = Form::of(&pass(&header, &claims, &[0; 64]));
            let text = pass(HEADER, &claims, &[0; 64]);
            prop_assert!(Form::of(&text).unwrap().claims().is_err());
        }
    }
}
