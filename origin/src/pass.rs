//! Passes: the signed, short-lived proofs of admission (`reservation_token` on the wire), and the keys behind them.
//!
//! A pass is a JWT signed with Ed25519, so that anybody with the public half can check one and only we can make one. Both
//! signature and encoding are deterministic: the same claims give the same pass, on every origin with the same keys, so a
//! repeated enter needs no memory to answer alike.
//!
//! Out of scope: whether a pass was spent, which the store knows.

use crate::secret::Secrets;
use anteroom_core::token::PassClaims;
use anteroom_core::token::pass::{ISSUER, PASS_AUDIENCE};
use anteroom_core::units::Millis;
use aws_lc_rs::hkdf;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

#[derive(Serialize)]
struct SignedClaims<'a> {
    iss: &'static str,
    aud: &'static str,
    #[serde(flatten)]
    claims: &'a PassClaims,
}

/// Why a text is not a good pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// It is not a JWT of the right algorithm, or a claim is missing or of the wrong type.
    #[error("malformed")]
    Malformed,
    /// It names a key that is not ours, or no key.
    #[error("unknown_key")]
    UnknownKey,
    /// The signature is not of the key it names.
    #[error("wrong_signature")]
    WrongSignature,
    /// It is ours, and was made for something else.
    #[error("wrong_purpose")]
    WrongPurpose,
    /// Its time is over.
    #[error("expired")]
    Expired,
}

/// Why keys could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassKeyError {
    /// The text is not PEM.
    #[error("is not PEM")]
    NotPem,
    /// There is no key in it.
    #[error("has no private key in it")]
    Empty,
    /// A section is something else than an unencrypted PKCS#8 private key.
    #[error("section {number} is {tag:?}, wanted an unencrypted \"PRIVATE KEY\"")]
    WrongSection {
        /// Which section, from 1.
        number: usize,
        /// What it says it is.
        tag: String,
    },
    /// A key is not an Ed25519 key.
    #[error("key {number} is not an Ed25519 key in PKCS#8")]
    WrongKey {
        /// Which section, from 1.
        number: usize,
    },
}

/// The keys of passes: the first signs, all verify. Cheap to clone.
#[derive(Clone)]
pub struct PassKeys {
    keys: Arc<[PassKey]>,
    validation: Arc<Validation>,
}

struct PassKey {
    kid: String,
    pair: Ed25519KeyPair,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl PassKeys {
    /// Reads one or several PKCS#8 private keys.
    pub fn from_pem(text: &str) -> Result<Self, PassKeyError> {
        let sections = pem::parse_many(text).map_err(|_| PassKeyError::NotPem)?;
        let mut keys: Vec<PassKey> = Vec::with_capacity(sections.len());
        for (at, section) in sections.iter().enumerate() {
            let number = at + 1;
            if section.tag() != "PRIVATE KEY" {
                return Err(PassKeyError::WrongSection { number, tag: section.tag().into() });
            }
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(section.contents());
            let key = PassKey::new(pair.map_err(|_| PassKeyError::WrongKey { number })?);
            if !keys.iter().any(|known| known.kid == key.kid) {
                keys.push(key);
            }
        }
        if keys.is_empty() { Err(PassKeyError::Empty) } else { Ok(Self::of(keys)) }
    }

    /// One new random key.
    pub fn generate() -> Self {
        Self::of(vec![PassKey::new(Ed25519KeyPair::generate().expect("the system gives randomness"))])
    }

    /// Keys that follow from the signing secrets, one each in the same order: origins that share their secrets agree, and
    /// rotating the secrets rotates the keys. A key tells nothing about its secret (HKDF-SHA256).
    pub fn derive(secrets: &Secrets) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"anteroom");
        let keys = secrets.iter().map(|secret| {
            let mut seed = [0; 32];
            let derived = salt.extract(secret.reveal().as_bytes());
            let derived = derived.expand(&[b"pass key 1"], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut seed));
            derived.expect("32 bytes are within what HKDF gives");
            PassKey::new(Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed"))
        });
        Self::of(keys.collect())
    }

    fn of(keys: Vec<PassKey>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[PASS_AUDIENCE]);
        // Time is an argument here, so that a test has its own; see `verify`.
        validation.validate_exp = false;
        Self { keys: keys.into(), validation: Arc::new(validation) }
    }

    /// The pass that says these claims; always the same for the same claims and keys.
    pub fn sign(&self, claims: &PassClaims) -> String {
        let key = &self.keys[0];
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let claims = SignedClaims { iss: ISSUER, aud: PASS_AUDIENCE, claims };
        jsonwebtoken::encode(&header, &claims, &key.encoding)
            .expect("a key that was read can sign, claims are plain JSON")
    }

    /// The claims of a pass that is ours and not over at `now`.
    pub fn verify(&self, pass: &str, now: Millis) -> Result<PassClaims, PassError> {
        let claims = self.verify_even_expired(pass)?;
        if now.secs() >= claims.exp { Err(PassError::Expired) } else { Ok(claims) }
    }

    /// The claims of a pass that is ours, over or not: for ending a session.
    pub fn verify_even_expired(&self, pass: &str) -> Result<PassClaims, PassError> {
        let header = jsonwebtoken::decode_header(pass).map_err(|_| PassError::Malformed)?;
        if header.alg != Algorithm::EdDSA {
            return Err(PassError::Malformed);
        }
        let key = self.keys.iter().find(|key| Some(&key.kid) == header.kid.as_ref()).ok_or(PassError::UnknownKey)?;
        let decoded = jsonwebtoken::decode::<PassClaims>(pass, &key.decoding, &self.validation);
        decoded.map(|token| token.claims).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => PassError::WrongSignature,
            ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience | ErrorKind::MissingRequiredClaim(_) => {
                PassError::WrongPurpose
            }
            _ => PassError::Malformed,
        })
    }

    /// The public halves as a JSON Web Key Set.
    pub fn jwks_json(&self) -> String {
        let keys = self.keys.iter().map(|key| {
            serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": key.public_text(),
            })
        });
        serde_json::json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
    }

    /// The private keys as PEM, to be kept secret.
    pub fn to_pem(&self) -> String {
        let sections = self.keys.iter().map(|key| {
            let der = key.pair.to_pkcs8v1().expect("a key that was read can be written");
            pem::Pem::new("PRIVATE KEY", der.as_ref())
        });
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_many_config(&sections.collect::<Vec<_>>(), config)
    }
}

impl PassKey {
    fn new(pair: Ed25519KeyPair) -> Self {
        let der = pair.to_pkcs8v1().expect("a key pair can be written");
        let encoding = EncodingKey::from_ed_der(der.as_ref());
        let decoding = DecodingKey::from_ed_der(pair.public_key().as_ref());
        let mut key = Self { kid: String::new(), pair, encoding, decoding };
        key.kid = key.thumbprint();
        key
    }

    fn public_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref())
    }

    /// RFC 7638: SHA-256 over the required members in lexicographic order.
    fn thumbprint(&self) -> String {
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.public_text());
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes()).as_ref())
    }
}

impl fmt::Debug for PassKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<&str> = self.keys.iter().map(|key| key.kid.as_str()).collect();
        f.debug_struct("PassKeys").field("kids", &kids).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use anteroom_core::units::{EventId, Generation, Identity, Slot, Ticket};

    fn fixed(seed: u8) -> PassKeys {
        PassKeys::of(vec![PassKey::new(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())])
    }

    fn claims() -> PassClaims {
        PassClaims {
            event: EventId::parse("sale").unwrap(),
            generation: Generation(1),
            slot: Slot(7),
            ticket: Ticket(7),
            identity: None,
            jti: "sale.1.7".into(),
            iat: 1_700_000_000,
            exp: 1_700_000_030,
            session_ends: 1_700_000_600,
        }
    }

    const AT: Millis = Millis(1_700_000_010_000);

    fn parts(pass: &str) -> Vec<String> {
        pass.split('.').map(|part| String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(part).unwrap()).into()).collect()
    }

    /// A token over any header and claims, signed by `keys`.
    fn forge(keys: &PassKeys, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = keys.keys[0].pair.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    #[test]
    fn the_format_of_a_pass_is_pinned() {
        let keys = fixed(1);
        let pass = keys.sign(&claims());
        let parts = parts(&pass);
        assert_eq!(parts[0], r#"{"typ":"JWT","alg":"EdDSA","kid":"KID"}"#.replace("KID", &keys.keys[0].kid));
        let want = concat!(
            r#"{"iss":"anteroom","aud":"anteroom:pass","evt":"sale","gen":1,"slot":7,"tkt":7,"#,
            r#""jti":"sale.1.7","iat":1700000000,"exp":1700000030,"ses":1700000600}"#
        );
        assert_eq!(parts[1], want);
        assert_eq!(keys.keys[0].kid, PINNED_KID);
        assert_eq!(pass.rsplit('.').next().unwrap(), PINNED_SIGNATURE);
    }

    const PINNED_KID: &str = "UDDReOZl1ipXAfp9wYsm13sDBMK5og--QWdBjzuf6o4";
    const PINNED_SIGNATURE: &str =
        "JiKdxCL-aWG2fOrwbV9_rx8ALzMGAhI1LRlnNQAtL8_rHpRp72B62K_Z6Kd1fmrnnaSDrcpfbVtZD_k0pirsBw";

    #[test]
    fn a_thumbprint_is_that_of_rfc_8037() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = PassKey::new(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap());
        assert_eq!(key.public_text(), x);
        assert_eq!(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn the_same_claims_give_the_same_pass_and_it_verifies() {
        let keys = PassKeys::generate();
        let claims = PassClaims { identity: Some(Identity::parse("auth0|münchen").unwrap()), ..claims() };
        let pass = keys.sign(&claims);
        assert_eq!(pass, keys.sign(&claims));
        assert_eq!(keys.verify(&pass, AT), Ok(claims));
    }

    #[test]
    fn a_pass_is_over_at_its_last_second_unless_that_is_allowed() {
        let keys = fixed(1);
        let pass = keys.sign(&claims());
        assert_eq!(keys.verify(&pass, Millis(1_700_000_029_999)), Ok(claims()));
        assert_eq!(keys.verify(&pass, Millis(1_700_000_030_000)), Err(PassError::Expired));
        assert_eq!(keys.verify_even_expired(&pass), Ok(claims()));
    }

    #[test]
    fn a_pass_cannot_be_made_or_changed_without_the_key() {
        let keys = fixed(1);
        let (header, body) = (&parts(&keys.sign(&claims()))[0].clone(), &parts(&keys.sign(&claims()))[1].clone());
        let other = fixed(2);
        let signed = keys.sign(&claims());
        let cut = &signed[..signed.len() - 1];
        let moved =
            signed.replacen(&URL_SAFE_NO_PAD.encode(body), &URL_SAFE_NO_PAD.encode(body.replace(":7", ":8")), 1);
        let none = header.replace("EdDSA", "none");
        let hmac = header.replace("EdDSA", "HS256");
        let unkeyed = r#"{"typ":"JWT","alg":"EdDSA"}"#;
        for (pass, want) in [
            (forge(&other, header, body), PassError::WrongSignature),
            (other.sign(&claims()), PassError::UnknownKey),
            (moved, PassError::WrongSignature),
            (forge(&keys, &none, body), PassError::Malformed),
            (forge(&keys, &hmac, body), PassError::Malformed),
            (forge(&keys, unkeyed, body), PassError::UnknownKey),
            (forge(&keys, header, &body.replace(PASS_AUDIENCE, "anteroom:wait")), PassError::WrongPurpose),
            (forge(&keys, header, &body.replace(r#""iss":"anteroom""#, r#""iss":"x""#)), PassError::WrongPurpose),
            (forge(&keys, header, &body.replace(r#""aud":"anteroom:pass","#, "")), PassError::WrongPurpose),
            (forge(&keys, header, &body.replace(r#""slot":7,"#, "")), PassError::Malformed),
            (forge(&keys, header, &body.replace(r#""sale""#, r#""a b""#)), PassError::Malformed),
            (forge(&keys, header, "null"), PassError::Malformed),
            (String::new(), PassError::Malformed),
            ("a.b.c".into(), PassError::Malformed),
            (format!("{signed}.x"), PassError::Malformed),
        ] {
            assert_eq!(keys.verify(&pass, AT), Err(want), "{pass}");
        }
        assert!(keys.verify(cut, AT).is_err());
    }

    #[test]
    fn rotation_keeps_passes_of_the_older_key() {
        let (old, new) = (fixed(1), fixed(2));
        let both = PassKeys::from_pem(&format!("{}{}", new.to_pem(), old.to_pem())).unwrap();
        assert_eq!(both.verify(&old.sign(&claims()), AT), Ok(claims()));
        assert_eq!(both.sign(&claims()), new.sign(&claims()));
        assert_eq!(old.verify(&both.sign(&claims()), AT), Err(PassError::UnknownKey));
        let jwks: serde_json::Value = serde_json::from_str(&both.jwks_json()).unwrap();
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
        assert_eq!(jwks["keys"][0]["kid"], new.keys[0].kid.as_str());
        assert!(!both.jwks_json().contains("\"d\""));
    }

    #[test]
    fn derived_keys_follow_from_the_secrets_and_rotate_with_them() {
        let (a, b) = (Secret::new("a".repeat(32)), Secret::new("b".repeat(32)));
        let before = PassKeys::derive(&Secrets::new(a.clone(), []));
        let after = PassKeys::derive(&Secrets::new(b, [a]));
        assert_eq!(after.verify(&before.sign(&claims()), AT), Ok(claims()));
        assert_ne!(after.keys[0].kid, before.keys[0].kid);
        assert_eq!(before.keys[0].kid, PINNED_DERIVED_KID);
    }

    const PINNED_DERIVED_KID: &str = "VC4MWpMBF828Ik5LdqWGxkXlHeCtJTLWsCmBVNmnh8E";

    #[test]
    fn keys_are_read_as_openssl_writes_them_and_nothing_else_is() {
        let pem = fixed(1).to_pem();
        assert_eq!(PassKeys::from_pem(&pem).unwrap().sign(&claims()), fixed(1).sign(&claims()));
        // What `openssl genpkey -algorithm ed25519` writes: PKCS#8 version 1, 48 bytes.
        assert_eq!(pem::parse(&pem).unwrap().contents().len(), 48);
        assert_eq!(PassKeys::from_pem("").unwrap_err(), PassKeyError::Empty);
        assert_eq!(PassKeys::from_pem("-----BEGIN X-----\n!\n-----END Y-----").unwrap_err(), PassKeyError::NotPem);
        let public = pem.replace("PRIVATE KEY", "PUBLIC KEY");
        let wrong = PassKeyError::WrongSection { number: 1, tag: "PUBLIC KEY".into() };
        assert_eq!(PassKeys::from_pem(&public).unwrap_err(), wrong);
        let junk = pem::encode(&pem::Pem::new("PRIVATE KEY", vec![1, 2, 3]));
        let wrong = PassKeyError::WrongKey { number: 2 };
        assert_eq!(PassKeys::from_pem(&format!("{pem}{junk}")).unwrap_err(), wrong);
    }
}
