//! The connection to Redis: made when first needed, made again when lost, and never waited for longer than the limit.

use super::{BadRedisOptions, RedisOptions};
use crate::store::{StoreError, Stored};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind,
};
use std::time::Duration;

/// How long Redis may leave what was sent unacknowledged before the connection counts as dead.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// One connection to one server, shared by all calls.
pub(super) struct Link {
    client: Client,
    timeout: Duration,
    /// The connection in use with its number, so that only the one that failed is given up.
    current: Mutex<(u64, Option<MultiplexedConnection>)>,
    /// Held by whoever connects; the others wait for it instead of connecting as well.
    connecting: tokio::sync::Mutex<()>,
}

impl Link {
    pub(super) fn new(options: &RedisOptions) -> Result<Self, BadRedisOptions> {
        Ok(Self {
            client: client(options)?,
            timeout: options.timeout,
            current: Mutex::new((0, None)),
            connecting: tokio::sync::Mutex::new(()),
        })
    }

    /// Runs `step` on a connection, within the limit. A connection that failed or did not answer in time is given up; the next call
    /// makes another.
    pub(super) async fn run<T>(
        &self,
        step: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Stored<T> {
        let mut used = None;
        let answer = tokio::time::timeout(self.timeout, async {
            let (number, mut connection) = self.connection().await?;
            used = Some(number);
            step(&mut connection).await
        });
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if let Some(number) = used
                    && (error.is_unrecoverable_error() || error.is_io_error())
                {
                    self.give_up(number);
                }
                Err(store_error(&error))
            }
            Err(_) => {
                if let Some(number) = used {
                    self.give_up(number);
                }
                Err(StoreError::Unavailable(format!("no answer within {} ms", self.timeout.as_millis())))
            }
        }
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), RedisError> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut current = self.current.lock();
        *current = (current.0 + 1, Some(connection.clone()));
        Ok((current.0, connection))
    }

    fn open(&self) -> Option<(u64, MultiplexedConnection)> {
        let current = self.current.lock();
        current.1.clone().map(|connection| (current.0, connection))
    }

    fn give_up(&self, number: u64) {
        let mut current = self.current.lock();
        if current.0 == number {
            current.1 = None;
        }
    }
}

fn client(options: &RedisOptions) -> Result<Client, BadRedisOptions> {
    let scheme = options.url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !matches!(scheme, "redis" | "rediss") {
        return Err(BadRedisOptions::Scheme(scheme.to_owned()));
    }
    // The client's own error could repeat the URL, and with it a password.
    let mut info = options.url.as_str().into_connection_info().map_err(|_| BadRedisOptions::Url)?;
    if let Some(password) = &options.password {
        info = {
            let settings = info.redis_settings().clone().set_password(password);
            info.set_redis_settings(settings)
        };
    }
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(DEAD_AFTER);
    info = info.set_tcp_settings(tcp);

    let ConnectionAddr::TcpTls { insecure, .. } = info.addr() else {
        return match &options.ca_file {
            Some(_) => Err(BadRedisOptions::CaWithoutTls),
            None => Client::open(info).map_err(|_| BadRedisOptions::Url),
        };
    };
    if *insecure && !options.dangerous_accept_any_certificate {
        return Err(BadRedisOptions::Insecure);
    }
    // Fails when the process has chosen one already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut address = info.addr().clone();
    if let ConnectionAddr::TcpTls { insecure, .. } = &mut address {
        *insecure = options.dangerous_accept_any_certificate;
    }
    info = info.set_addr(address);
    let Some(path) = &options.ca_file else {
        return Client::open(info).map_err(|_| BadRedisOptions::Url);
    };
    let bad = |reason: String| BadRedisOptions::CaFile { path: path.clone(), reason };
    let root_cert = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
    Client::build_with_tls(info, certificates).map_err(|error| bad(error.to_string()))
}

/// Outages are what passes by itself or by an operator's hand; the rest is a bug.
fn store_error(error: &RedisError) -> StoreError {
    let outage = match error.kind() {
        ErrorKind::Io | ErrorKind::AuthenticationFailed | ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::MasterNameNotFoundBySentinel | ErrorKind::NoValidReplicasFoundBySentinel => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::NoScript
                | ServerErrorKind::NoPerm
        ),
        ErrorKind::Extension => {
            matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "NOAUTH" | "WRONGPASS" | "BUSY"))
        }
        _ => false,
    };
    if outage { StoreError::Unavailable(error.to_string()) } else { StoreError::Broken(error.to_string()) }
}
