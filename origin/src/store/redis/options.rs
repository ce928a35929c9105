//! Where Redis is, and how to talk to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Told how long each call took, by script or command.
pub type Observer = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

/// Where Redis is and how to talk to it.
pub struct RedisOptions {
    /// `redis://` or `rediss://`, with user and password when wanted.
    pub url: String,
    /// Instead of the one in the URL.
    pub password: Option<String>,
    /// Authority to believe, PEM, instead of the system's. Only with `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// Longest time a call may take, connecting included.
    pub timeout: Duration,
    /// Believes whoever answers. For tests and emergencies.
    pub dangerous_accept_any_certificate: bool,
    /// Told about every call.
    pub observer: Option<Observer>,
}

impl RedisOptions {
    /// Redis at `url`; one second to answer.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            password: None,
            ca_file: None,
            timeout: Duration::from_secs(1),
            dangerous_accept_any_certificate: false,
            observer: None,
        }
    }
}

/// Why options cannot be used. Never repeats the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum BadRedisOptions {
    /// Unknown scheme.
    #[error("the Redis URL begins with {0:?}, not with redis:// or rediss://")]
    Scheme(String),
    /// Cannot be parsed.
    #[error("the Redis URL cannot be understood")]
    Url,
    /// Certificates are not checked, and nobody said that this is wanted.
    #[error("the Redis URL turns off the check of certificates, which must be allowed by a dangerous_ setting")]
    Insecure,
    /// There is nothing to check.
    #[error("a CA file is given for Redis, but the URL does not begin with rediss://")]
    CaWithoutTls,
    /// Unreadable.
    #[error("the CA file {} cannot be used: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
