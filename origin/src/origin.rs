//! A running origin: its store, its rooms, the tasks that keep them, and its routes.

use crate::api::{self, App};
use crate::clock::Clock;
use crate::config::{Config, RedisTarget, StoreConfig, Tls, Topology};
use crate::error::ApiError;
use crate::gate::{BadUpstream, Gatekeeper, Upstream};
use crate::http::cors;
use crate::http::health::{self, Draining};
use crate::http::plumbing::Plumbing;
use crate::identity::{Pace, UserTokens};
use crate::limit::{ClientAddresses, Limiter};
use crate::metrics::Metrics;
use crate::room::{Host, Rooms};
use crate::secret::Secret;
use crate::store::memory::MemoryStore;
use crate::store::redis::{BadRedisOptions, RedisOptions, RedisStore};
use crate::store::{QueueStore, StoreError};
use anteroom_core::token::TokenKeys;
use anteroom_page::Pages;
use axum::Router;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use url::Url;

/// How often the embedded store is written to its directory.
const SAVE: Duration = Duration::from_millis(500);

/// See the module's comment.
pub struct Origin {
    /// The rooms.
    pub rooms: Arc<Rooms>,
    /// What handlers share.
    pub app: Arc<App>,
    /// Said once the process is on its way out.
    pub draining: Draining,
    limit: Option<Arc<Limiter>>,
    addresses: Arc<ClientAddresses>,
    gate: Arc<Gatekeeper>,
    memory: Option<Arc<MemoryStore>>,
    tasks: Vec<JoinHandle<()>>,
    traced: bool,
}

/// Why an origin did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The Redis of the settings cannot be used.
    #[error("{0}")]
    Redis(#[from] BadRedisOptions),
    /// The site behind the gate cannot be asked.
    #[error("{0}")]
    Upstream(#[from] BadUpstream),
    /// The client for the issuer's keys cannot be made.
    #[error("the keys of user tokens cannot be fetched: {0}")]
    Users(#[from] reqwest::Error),
}

impl Origin {
    /// Starts with these settings. A Redis that is away does not stop the start: the origin recovers when it comes.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let (store, memory): (Arc<dyn QueueStore>, _) = match &config.store {
            StoreConfig::Embedded { state_dir } => {
                let memory = Arc::new(match state_dir {
                    Some(dir) => MemoryStore::open(dir)?,
                    None => MemoryStore::new(),
                });
                (memory.clone(), Some(memory))
            }
            StoreConfig::Redis(target) => (Arc::new(RedisStore::new(redis_options(target, &metrics))?), None),
        };
        let host = Host { store, clock: Clock::new(), tick: config.rooms.tick, metrics: metrics.clone() };
        let rooms = Rooms::new(Arc::new(host));
        let users = match &config.users {
            Some(users) => Some(Arc::new(UserTokens::new(users, Pace::default())?)),
            None => None,
        };
        let secrets: Vec<&[u8]> = config.tokens.secrets.iter().map(|secret| secret.reveal().as_bytes()).collect();
        let limit = config.clients.rate.map(|rate| Arc::new(Limiter::new(rate, &metrics)));
        let addresses = Arc::new(ClientAddresses::new(&config.clients));
        let upstream = config.upstream.as_ref().map(Upstream::new).transpose()?;
        let app = Arc::new(App {
            limiter: limit.clone(),
            rooms: rooms.clone(),
            keys: TokenKeys::new(&secrets).expect("the settings refuse short secrets"),
            passes: config.tokens.passes.clone(),
            users: users.clone(),
            admin: config.access.admin.clone(),
            edge: config.access.edge.clone(),
            unknown: config.rooms.unknown,
            pages: Pages::new(),
            cors_origins: config.clients.cors_origins.clone(),
            metrics: metrics.clone(),
        });
        let mut tasks = vec![tokio::spawn(rooms.clone().watch())];
        if let Some(memory) = &memory {
            tasks.push(tokio::spawn(keep_saving(memory.clone())));
        }
        if let Some(users) = users {
            tasks.push(tokio::spawn(users.keep_fresh()));
        }
        if let Some(limiter) = &limit {
            tasks.push(tokio::spawn(limiter.clone().keep_small()));
        }
        let gate = Gatekeeper::new(app.clone(), addresses.clone(), upstream);
        Ok(Self { rooms, app, draining: Draining::default(), limit, addresses, gate, memory, tasks, traced: false })
    }

    /// The same origin, with a span for each request where `traced`.
    pub fn traced(self, traced: bool) -> Self {
        Self { traced, ..self }
    }

    /// All routes, behind the one layer.
    pub fn router(&self) -> Router {
        let metrics = self.app.metrics.clone();
        let plumbing = Plumbing::new(metrics.clone()).traced(self.traced);
        let limited = match &self.limit {
            Some(limiter) => plumbing.clone().limited(limiter.clone(), self.addresses.clone()),
            None => plumbing.clone(),
        };
        let rooms = self.rooms.clone();
        let operations = health::routes(move || rooms.is_up(), self.draining.clone(), metrics);
        let open = operations.merge(api::admin(self.app.clone())).merge(api::edges(self.app.clone()));
        // The gate limits what takes from the line by itself: pictures of a page are not a crowd.
        let open = health::with_method_fallback(open.merge(self.gate.own())).layer(plumbing.clone());
        let rest = self.gate.site().unwrap_or_else(|| Router::new().fallback(async || ApiError::not_found()));
        let open = open.merge(rest.layer(plumbing.named(if self.gate.has_site() { "site" } else { "unmatched" })));
        let allowed: Arc<[String]> = self.app.cors_origins.as_slice().into();
        let public = health::with_method_fallback(api::public(self.app.clone())).layer(limited);
        let public = match allowed.is_empty() {
            // A status poll has no time to spend on what nobody has asked for.
            true => public,
            false => public.layer(axum::middleware::from_fn_with_state(allowed, cors::let_in)),
        };
        public.merge(open)
    }

    /// Ends the tasks and puts away what is in memory. Call it when no request is in flight any more.
    pub async fn finish(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.rooms.finish().await;
        if let Some(memory) = self.memory {
            let closed = tokio::task::spawn_blocking(move || memory.close()).await;
            if let Ok(Err(error)) = closed {
                tracing::error!(%error, "the line was not saved");
            }
        }
    }
}

/// Saves the embedded store, for ever.
async fn keep_saving(memory: Arc<MemoryStore>) {
    let mut failing = false;
    loop {
        tokio::time::sleep(SAVE).await;
        let store = memory.clone();
        match tokio::task::spawn_blocking(move || store.save()).await {
            Ok(Err(error)) if !std::mem::replace(&mut failing, true) => {
                tracing::error!(%error, "the line cannot be saved; trying on");
            }
            Ok(Ok(())) if std::mem::take(&mut failing) => tracing::info!("the line is saved again"),
            _ => {}
        }
    }
}

/// How to reach the Redis of the settings, its calls timed.
fn redis_options(target: &RedisTarget, metrics: &Arc<Metrics>) -> RedisOptions {
    let Topology::Standalone { host, port, db, tls } = &target.topology else {
        unreachable!("the settings refuse Cluster and Sentinel in this version")
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let scheme = if tls.is_some() { "rediss" } else { "redis" };
    let mut url = Url::parse(&format!("{scheme}://{host}:{port}/{db}")).expect("the settings have parsed these parts");
    // Neither can fail on a URL that has a host.
    let _ = url.set_username(target.user.as_deref().unwrap_or(""));
    let _ = url.set_password(target.password.as_ref().map(Secret::reveal));
    let metrics = metrics.clone();
    RedisOptions {
        ca_file: match tls {
            Some(Tls::Authority(file)) => Some(file.clone()),
            _ => None,
        },
        dangerous_accept_any_certificate: matches!(tls, Some(Tls::DangerousAny)),
        observer: Some(Arc::new(move |script, took| metrics.store_call(script).observe(took))),
        ..RedisOptions::new(url.to_string())
    }
}
