//! An identity provider: a key, and the key set behind a real socket.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;

/// The `iss` of its tokens.
pub const ISSUER: &str = "https://login.example";
/// The `aud` of its tokens.
pub const AUDIENCE: &str = "tickets";

/// See the module's comment.
pub struct Issuer {
    key: EncodingKey,
    url: String,
}

impl Issuer {
    pub async fn start() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let set =
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "one", "x": x}]});
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let app = Router::new().route("/keys", get(async move || set.to_string()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { key: EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()), url }
    }

    /// What makes an origin believe it.
    pub fn variables(&self) -> [(&str, &str); 3] {
        [("ANTEROOM_JWKS_URL", &self.url), ("ANTEROOM_JWT_ISSUER", ISSUER), ("ANTEROOM_JWT_AUDIENCE", AUDIENCE)]
    }

    /// A good token of `user`.
    pub fn token(&self, user: &str) -> String {
        self.token_with(user, json!({}))
    }

    /// A token of `user` with some claims changed.
    pub fn token_with(&self, user: &str, changed: Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({"sub": user, "iss": ISSUER, "aud": AUDIENCE, "exp": now + 600});
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}
