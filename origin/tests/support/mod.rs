//! What the suites over HTTP share: origins on either store, a client that holds every answer to what holds for all answers, and
//! waiting for a condition.

#![allow(dead_code, unused_imports, reason = "each suite uses its part")]

pub mod client;
pub mod issuer;
pub mod process;
pub mod wire;

#[allow(unused_imports, reason = "each suite uses its part")]
pub use client::{Client, token_of};

use anteroom_origin::config::{Config, Variables};
use anteroom_origin::origin::Origin;
use anteroom_origin::server;
use anteroom_testkit::redis::RedisServer;
use axum::Router;
use std::future::pending;
use std::ops::Deref;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Signs waiting tokens.
pub const SECRET: &str = "a-secret-for-tests-of-32-bytes-or-more";
/// The operator's.
pub const ADMIN: &str = "an-operators-token";
/// An edge's.
pub const EDGE: &str = "the-token-of-an-edge";
/// Longest wait for a condition.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where an origin under test keeps its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Embedded,
    Redis,
}

/// An origin in this process, behind a real socket, on a store of its own.
pub struct Site {
    client: Client,
    pub origin: Origin,
    pub redis: Option<RedisServer>,
}

impl Deref for Site {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Store {
    /// Starts an origin with these settings beside the usual ones; gives it once it is ready.
    pub async fn start(self, more: &[(&str, &str)]) -> Site {
        let redis = (self == Store::Redis).then(RedisServer::start);
        let mut variables = variables(more);
        if let Some(redis) = &redis {
            variables.insert("ANTEROOM_REDIS_URL".into(), redis.url());
        }
        let config = Config::load(None, &variables).unwrap();
        let origin = Origin::start(&config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()));
        let (app, draining) = (origin.router(), origin.draining.clone());
        tokio::spawn(server::run(listener, app, pending(), draining, Duration::ZERO));
        client.is_ready().await;
        Site { client, origin, redis }
    }
}

/// The settings of every origin under test, changed and added to by `more`. A value of "" takes one away.
pub fn variables(more: &[(&str, &str)]) -> Variables {
    let usual = [
        ("ANTEROOM_SECRET", SECRET),
        ("ANTEROOM_ADMIN_TOKEN", ADMIN),
        ("ANTEROOM_EDGE_TOKEN", EDGE),
        ("ANTEROOM_LISTEN", "127.0.0.1:0"),
        ("ANTEROOM_TICK_MS", "25"),
        ("ANTEROOM_RATE_PER_SEC", "0"),
        ("ANTEROOM_DRAIN_SEC", "0"),
    ];
    usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Asks until the answer is there.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs so many at once and gives what came of each.
pub async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    make: impl Fn(usize) -> F,
) -> Vec<T> {
    let tasks: Vec<_> = (0..count).map(|number| tokio::spawn(make(number))).collect();
    let mut done = Vec::with_capacity(count);
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

#[allow(unused_macros, reason = "each suite uses its part")]
/// Makes each function a test on the embedded store and one on a Redis of its own.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::support::Store::Embedded).await;
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::support::Store::Redis).await;
            })*
        }
    };
}

#[allow(unused_macros, reason = "each suite uses its part")]
/// Makes each function a test of the origin's own gate and one of the edge's, on workerd in front of an origin. The latter exist with
/// the feature `edge-tests` only: `cargo xtask test --only edge`.
macro_rules! on_both_hosts {
    ($($name:ident),* $(,)?) => {
        mod native {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::house::Host::Native).await;
            })*
        }
        #[cfg(feature = "edge-tests")]
        mod edge {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::house::Host::Edge).await;
            })*
        }
    };
}
