use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "shop";

/// An issuer on a free port: what it publishes can be changed, and how often it was asked is counted.
struct Issuer {
    url: Url,
    published: Arc<StdMutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(keys: &[Value]) -> Self {
        let published = Arc::new(StdMutex::new((StatusCode::OK, json!({ "keys": keys }).to_string())));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answer, count) = (published.clone(), asked.clone());
        let handler = get(move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            answer.lock().unwrap().clone()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/jwks", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/jwks", handler)).await });
        Self { url, published, asked }
    }

    fn publish(&self, keys: &[Value]) {
        *self.published.lock().unwrap() = (StatusCode::OK, json!({ "keys": keys }).to_string());
    }

    fn fail(&self) {
        *self.published.lock().unwrap() = (StatusCode::INTERNAL_SERVER_ERROR, String::new());
    }

    fn tokens(&self, least: Duration) -> Arc<UserTokens> {
        let config = UserTokenConfig { jwks_url: self.url.clone(), issuer: ISSUER.into(), audience: AUDIENCE.into() };
        let pace = Pace { refresh: Duration::from_secs(3600), least };
        Arc::new(UserTokens::new(&config, pace).unwrap())
    }
}

struct Signer {
    header: Header,
    key: EncodingKey,
    public: Value,
}

impl Signer {
    fn ed(kid: &str, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let public = json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": "EdDSA", "x": x });
        let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { header: Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) }, key, public }
    }

    fn ec(kid: &str) -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref()).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let public = json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y });
        let key = EncodingKey::from_ec_der(der.as_ref());
        Self { header: Header { kid: Some(kid.into()), ..Header::new(Algorithm::ES256) }, key, public }
    }

    fn rsa(kid: &str) -> Self {
        use aws_lc_rs::encoding::AsDer;
        use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
        let public =
            json!({ "kty": "RSA", "kid": kid, "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e) });
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        // jsonwebtoken wants the PKCS#1 key that PKCS#8 wraps; its PEM reader unwraps it.
        let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()));
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        Self { header: Header { kid: Some(kid.into()), ..Header::new(Algorithm::RS256) }, key, public }
    }

    fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.key).unwrap()
    }
}

fn claims(sub: &str) -> Value {
    let now = jsonwebtoken::get_current_timestamp();
    json!({ "sub": sub, "iss": ISSUER, "aud": AUDIENCE, "exp": now + 60 })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn identity(text: &str) -> Result<Identity, UserTokenError> {
    Ok(Identity::parse(text).unwrap())
}

#[tokio::test]
async fn tokens_of_all_three_algorithms_are_believed() {
    let signers = [Signer::rsa("r"), Signer::ec("e"), Signer::ed("d", 1)];
    let issuer = Issuer::start(&signers.each_ref().map(|signer| signer.public.clone())).await;
    let tokens = issuer.tokens(Duration::from_secs(5));
    for signer in &signers {
        assert_eq!(tokens.verify(&signer.sign(&claims("ann"))).await, identity("ann"), "{:?}", signer.header.alg);
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_that_is_not_for_us_is_refused() {
    let signer = Signer::ed("k", 1);
    let imposter = Signer::ed("k", 2);
    let issuer = Issuer::start(std::slice::from_ref(&signer.public)).await;
    let tokens = issuer.tokens(Duration::from_secs(5));
    let now = jsonwebtoken::get_current_timestamp();
    let missing = |name: &str| {
        let mut claims = claims("ann");
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let hmac = jsonwebtoken::encode(
        &Header { kid: Some("k".into()), ..Header::new(Algorithm::HS256) },
        &claims("ann"),
        &EncodingKey::from_secret(signer.public["x"].as_str().unwrap().as_bytes()),
    );
    let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none","kid":"k"}"#);
    let body = URL_SAFE_NO_PAD.encode(claims("ann").to_string());
    for (token, want) in [
        (imposter.sign(&claims("ann")), UserTokenError::WrongSignature),
        (signer.sign(&with(claims("ann"), "exp", json!(now - 60))), UserTokenError::Expired),
        (signer.sign(&with(claims("ann"), "nbf", json!(now + 60))), UserTokenError::Expired),
        (signer.sign(&with(claims("ann"), "iss", json!("https://other"))), UserTokenError::WrongAudience),
        (signer.sign(&with(claims("ann"), "aud", json!("bank"))), UserTokenError::WrongAudience),
        (signer.sign(&with(claims("ann"), "sub", json!(""))), UserTokenError::Malformed),
        (signer.sign(&with(claims("ann"), "sub", json!(7))), UserTokenError::Malformed),
        (signer.sign(&missing("exp")), UserTokenError::Malformed),
        (signer.sign(&missing("aud")), UserTokenError::Malformed),
        (signer.sign(&missing("iss")), UserTokenError::Malformed),
        (signer.sign(&missing("sub")), UserTokenError::Malformed),
        (hmac.unwrap(), UserTokenError::Malformed),
        (format!("{none}.{body}."), UserTokenError::Malformed),
        ("x".into(), UserTokenError::Malformed),
    ] {
        assert_eq!(tokens.verify(&token).await, Err(want), "{token}");
    }
}

#[tokio::test]
async fn a_new_key_is_believed_as_soon_as_a_token_names_it_and_a_withdrawn_one_no_more() {
    let (old, new) = (Signer::ed("old", 1), Signer::ed("new", 2));
    let issuer = Issuer::start(std::slice::from_ref(&old.public)).await;
    let tokens = issuer.tokens(Duration::ZERO);
    assert_eq!(tokens.verify(&old.sign(&claims("ann"))).await, identity("ann"));
    issuer.publish(&[new.public.clone(), old.public.clone()]);
    assert_eq!(tokens.verify(&new.sign(&claims("bob"))).await, identity("bob"));
    assert_eq!(tokens.verify(&old.sign(&claims("ann"))).await, identity("ann"), "rotation throws nobody out");
    issuer.publish(std::slice::from_ref(&new.public));
    assert_eq!(tokens.verify(&Signer::ed("?", 3).sign(&claims("eve"))).await, Err(UserTokenError::UnknownKey));
    assert_eq!(tokens.verify(&old.sign(&claims("ann"))).await, Err(UserTokenError::UnknownKey));
}

#[tokio::test]
async fn tokens_with_unknown_keys_cannot_make_us_flood_the_issuer() {
    let signer = Signer::ed("k", 1);
    let issuer = Issuer::start(std::slice::from_ref(&signer.public)).await;
    let tokens = issuer.tokens(Duration::from_secs(3600));
    let calls = (0..50).map(|n| {
        let (tokens, token) = (tokens.clone(), Signer::ed(&n.to_string(), 9).sign(&claims("eve")));
        tokio::spawn(async move { tokens.verify(&token).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), Err(UserTokenError::UnknownKey));
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn known_keys_stay_good_while_the_issuer_is_away() {
    let signer = Signer::ed("k", 1);
    let issuer = Issuer::start(std::slice::from_ref(&signer.public)).await;
    let tokens = issuer.tokens(Duration::ZERO);
    assert_eq!(tokens.verify(&signer.sign(&claims("ann"))).await, identity("ann"));
    issuer.fail();
    assert_eq!(tokens.verify(&Signer::ed("?", 3).sign(&claims("eve"))).await, Err(UserTokenError::UnknownKey));
    issuer.publish(&[]);
    assert_eq!(tokens.verify(&Signer::ed("?", 3).sign(&claims("eve"))).await, Err(UserTokenError::UnknownKey));
    assert_eq!(tokens.verify(&signer.sign(&claims("ann"))).await, identity("ann"));
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_our_trouble_and_found_later() {
    let signer = Signer::ed("k", 1);
    let issuer = Issuer::start(std::slice::from_ref(&signer.public)).await;
    issuer.fail();
    let tokens = issuer.tokens(Duration::from_millis(1));
    let token = signer.sign(&claims("ann"));
    assert_eq!(tokens.verify(&token).await, Err(UserTokenError::KeysUnavailable));
    issuer.publish(std::slice::from_ref(&signer.public));
    let task = tokio::spawn(tokens.clone().keep_fresh());
    while tokens.keys.load().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(tokens.verify(&token).await, identity("ann"));
    task.abort();
}

#[test]
fn keys_that_we_cannot_use_are_passed_over() {
    let ed = Signer::ed("k", 1).public;
    let keys = [
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "hmac" }),
        json!({ "kty": "new", "kid": "of the future" }),
        json!({ "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "p384" }),
        with(ed.clone(), "use", json!("enc")),
        with(ed.clone(), "alg", json!("RS256")),
        json!("nonsense"),
        ed,
    ];
    let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert_eq!(set.0.len(), 1);
    assert!(set.find(Algorithm::EdDSA, Some("k")).is_some());
    assert!(set.find(Algorithm::EdDSA, None).is_some(), "the only key needs no name");
    assert!(set.find(Algorithm::RS256, Some("k")).is_none(), "a key is for one algorithm");
}

#[test]
fn a_bearer_token_is_found_in_its_header_only() {
    for (value, want) in [
        ("Bearer abc", Some("abc")),
        ("bearer  abc ", Some("abc")),
        ("Bearer ", None),
        ("Bearer", None),
        ("Basic abc", None),
        ("", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        assert_eq!(bearer(&headers), want, "{value:?}");
    }
    assert_eq!(bearer(&HeaderMap::new()), None);
}
