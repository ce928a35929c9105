//! User tokens: whom to believe that they are who they say.
//!
//! The keys come from the issuer's key set (JWKS). They are fetched in the background, and once more when a token names a
//! key that is not known yet, but never more often than every few seconds whatever tokens come. While the key set cannot
//! be fetched, the keys of the last time stay good.

use crate::config::UserTokenConfig;
use anteroom_core::gate;
use anteroom_core::units::Identity;
use arc_swap::ArcSwapOption;
use axum::http::{HeaderMap, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

/// Longest key set that is read.
const KEY_SET_MAX: usize = 1 << 20;
/// How far the issuer's clock may be from ours, seconds.
const LEEWAY_SEC: u64 = 5;

/// The token of an `Authorization: Bearer` header; `None` when there is no such header or it is of another scheme.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    gate::bearer(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// Why a user token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserTokenError {
    /// It is not a JWT of an accepted algorithm with the claims it needs.
    #[error("malformed")]
    Malformed,
    /// It names a key that the issuer does not publish.
    #[error("unknown_key")]
    UnknownKey,
    /// The signature is not of the key it names.
    #[error("wrong_signature")]
    WrongSignature,
    /// It is from another issuer, or for somebody else.
    #[error("wrong_audience")]
    WrongAudience,
    /// Its time is over, or has not come.
    #[error("expired")]
    Expired,
    /// The issuer's keys could never be fetched: nobody can be believed or refused.
    #[error("keys_unavailable")]
    KeysUnavailable,
}

/// How often the key set is fetched.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time between fetches in the background.
    pub refresh: Duration,
    /// Least time between two fetches, whoever asks.
    pub least: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { refresh: Duration::from_secs(300), least: Duration::from_secs(5) }
    }
}

/// Verifies user tokens of one issuer.
pub struct UserTokens {
    jwks_url: Url,
    pace: Pace,
    http: reqwest::Client,
    validations: [(Algorithm, Validation); 3],
    keys: ArcSwapOption<KeySet>,
    last_fetch: Mutex<Option<Instant>>,
}

struct KeySet(Vec<UserKey>);

struct UserKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct UserClaims {
    sub: String,
}

impl UserTokens {
    /// Prepares for the issuer; fetches nothing yet. Fails when the system's certificates cannot be read.
    pub fn new(config: &UserTokenConfig, pace: Pace) -> Result<Self, reqwest::Error> {
        let redirect = reqwest::redirect::Policy::limited(2);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).redirect(redirect).build()?;
        let validations = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].map(|algorithm| {
            let mut validation = Validation::new(algorithm);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation.set_issuer(&[&config.issuer]);
            validation.set_audience(&[&config.audience]);
            validation.validate_nbf = true;
            validation.leeway = LEEWAY_SEC;
            (algorithm, validation)
        });
        let (keys, last_fetch) = (ArcSwapOption::empty(), Mutex::new(None));
        Ok(Self { jwks_url: config.jwks_url.clone(), pace, http, validations, keys, last_fetch })
    }

    /// Fetches the key set now and then, for ever. The host spawns this and aborts it when it stops.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            self.refresh(None).await;
            // Without any keys nobody can be identified, so ask again soon.
            let wait = if self.keys.load().is_some() { self.pace.refresh } else { self.pace.least };
            tokio::time::sleep(wait).await;
        }
    }

    /// Who the bearer of this token is.
    pub async fn verify(&self, token: &str) -> Result<Identity, UserTokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| UserTokenError::Malformed)?;
        let accepted = self.validations.iter().find(|(algorithm, _)| *algorithm == header.alg);
        let (algorithm, validation) = accepted.ok_or(UserTokenError::Malformed)?;
        let kid = header.kid.as_deref();
        let known = |keys: &Option<Arc<KeySet>>| keys.as_ref().and_then(|keys| keys.find(*algorithm, kid));
        let mut key = known(&self.keys.load());
        if key.is_none() {
            let seen = self.keys.load_full();
            self.refresh(Some(seen)).await;
            key = known(&self.keys.load());
        }
        let Some(key) = key else {
            let none = self.keys.load().is_none();
            return Err(if none { UserTokenError::KeysUnavailable } else { UserTokenError::UnknownKey });
        };
        let claims =
            jsonwebtoken::decode::<UserClaims>(token, &key, validation).map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => UserTokenError::WrongSignature,
                ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => UserTokenError::Expired,
                ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => UserTokenError::WrongAudience,
                _ => UserTokenError::Malformed,
            })?;
        Identity::parse(&claims.claims.sub).map_err(|_| UserTokenError::Malformed)
    }

    /// Fetches the key set unless that was done a moment ago, or by somebody else while we waited for our turn: `seen` is
    /// the set that was not enough.
    async fn refresh(&self, seen: Option<Option<Arc<KeySet>>>) {
        let mut last = self.last_fetch.lock().await;
        let same =
            |seen: &Option<Arc<KeySet>>| seen.as_ref().map(Arc::as_ptr) == self.keys.load().as_ref().map(Arc::as_ptr);
        if seen.is_some_and(|seen| !same(&seen)) || last.is_some_and(|at| at.elapsed() < self.pace.least) {
            return;
        }
        let fetched = self.fetch().await;
        *last = Some(Instant::now());
        match fetched {
            Ok(keys) => self.keys.store(Some(Arc::new(keys))),
            Err(error) => tracing::warn!(%error, "the key set for user tokens was not fetched; known keys stay good"),
        }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let mut response = self.http.get(self.jwks_url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > KEY_SET_MAX {
                return Err(FetchError::TooLong);
            }
        }
        KeySet::parse(&body)
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{}", without_url(.0))]
    Http(#[from] reqwest::Error),
    #[error("longer than {KEY_SET_MAX} bytes")]
    TooLong,
    #[error("not a key set: {0}")]
    NotKeys(#[from] serde_json::Error),
    #[error("no key in it is for RS256, ES256 or EdDSA signatures")]
    NoUsableKey,
}

/// The whole chain of causes, as the first alone says only that something failed.
fn without_url(error: &reqwest::Error) -> String {
    let mut text = String::from("request failed");
    let mut cause = std::error::Error::source(error);
    if let Some(status) = error.status() {
        text = format!("answered {status}");
    }
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl KeySet {
    fn parse(body: &[u8]) -> Result<Self, FetchError> {
        #[derive(Deserialize)]
        struct Raw {
            keys: Vec<serde_json::Value>,
        }
        let raw: Raw = serde_json::from_slice(body)?;
        // One key of a kind that we do not know must not cost us the others.
        let keys = raw.keys.into_iter().filter_map(|key| UserKey::of(&serde_json::from_value(key).ok()?));
        let keys: Vec<UserKey> = keys.collect();
        if keys.is_empty() { Err(FetchError::NoUsableKey) } else { Ok(Self(keys)) }
    }

    /// The key by its id; a token without one is believed only if there is no choice.
    fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Option<DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| key.algorithm == algorithm);
        match kid {
            Some(kid) => fitting.find(|key| key.kid.as_deref() == Some(kid)).map(|key| key.key.clone()),
            None => fitting.next().filter(|_| fitting.next().is_none()).map(|key| key.key.clone()),
        }
    }
}

impl UserKey {
    fn of(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            _ => return None,
        };
        let for_it = jwk.common.key_algorithm.is_none_or(|named| named == algorithm.into());
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        let key = DecodingKey::from_jwk(jwk).ok().filter(|_| for_it && signs)?;
        Some(Self { kid: jwk.common.key_id.clone(), algorithm, key })
    }
}

#[cfg(test)]
mod tests;
