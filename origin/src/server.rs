//! The server as a function of its settings and a listener; and how it stops.

use crate::config::Config;
use crate::http::health::Draining;
use crate::origin::{Origin, StartError};
use axum::Router;
use axum::serve::ListenerExt;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long requests in flight may take to finish once no new connection is taken.
const FINISH: Duration = Duration::from_secs(20);

/// Why the server did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours to listen on.
    #[error("cannot listen on {address}: {cause}; ANTEROOM_LISTEN chooses another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// Something the settings name cannot be used.
    #[error("{0}")]
    Start(#[from] StartError),
    /// Nothing more can be accepted.
    #[error("the server failed: {0}")]
    Accept(#[from] io::Error),
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Give load balancers time to look elsewhere, then finish what is in flight.
    Drain,
    /// Finish what is in flight.
    AtOnce,
}

/// Serves with these settings until a signal stops it. `traced`: whether spans are exported.
pub async fn serve(config: Config, traced: bool) -> Result<(), ServeError> {
    let listener = listen(config.server.listen).await?;
    let origin = Origin::start(&config)?.traced(traced);
    let stopped = run(listener, origin.router(), signalled(), origin.draining.clone(), config.server.drain).await;
    origin.finish().await;
    Ok(stopped?)
}

/// Listens on `address`.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|cause| ServeError::Listen { address, cause })
}

/// Serves `app` until `stop` says how to stop, then stops that way.
pub async fn run(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = Stop> + Send + 'static,
    draining: Draining,
    drain: Duration,
) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "listening");
    let (closed, closing) = oneshot::channel();
    let until = async move {
        let stop = stop.await;
        draining.begin();
        tracing::info!(?stop, "stopping");
        if stop == Stop::Drain {
            tokio::time::sleep(drain).await;
        }
        // Nobody hears this when the server has ended by itself.
        let _ = closed.send(());
    };
    // Answers are small and whole: waiting to fill a packet only delays them.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
    });
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(until).into_future();
    let overdue = async {
        match closing.await {
            Ok(()) => tokio::time::sleep(FINISH).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = server => result?,
        () = overdue => tracing::warn!("requests still in flight were cut off"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Ends with the first signal that asks the process to stop: SIGTERM drains, SIGINT (Ctrl-C) does not wait.
pub async fn signalled() -> Stop {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => Stop::Drain,
        _ = tokio::signal::ctrl_c() => Stop::AtOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::health;
    use crate::metrics::Metrics;
    use axum::routing::get;
    use std::sync::Arc;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;

    async fn get_text(address: SocketAddr, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    #[tokio::test]
    async fn draining_says_so_then_finishes_what_is_in_flight() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let draining = Draining::default();
        let (started, finish, terminate) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (started.clone(), finish.clone());
        let slow = get(async move || {
            tell.notify_one();
            wait.notified().await;
            "finished"
        });
        let metrics = Arc::new(Metrics::new());
        let app = health::routes(|| true, draining.clone(), metrics).route("/slow", slow);
        let signal = terminate.clone();
        let stop = async move {
            signal.notified().await;
            Stop::Drain
        };
        let server = tokio::spawn(run(listener, app, stop, draining.clone(), Duration::from_millis(300)));
        let request = tokio::spawn(get_text(address, "/slow"));
        started.notified().await;
        assert!(get_text(address, "/readyz").await.unwrap().starts_with("HTTP/1.1 200"));
        let asked = Instant::now();
        terminate.notify_one();
        while !draining.has_begun() {
            tokio::task::yield_now().await;
        }
        assert!(get_text(address, "/readyz").await.unwrap().starts_with("HTTP/1.1 503"));
        while get_text(address, "/healthz").await.is_ok_and(|text| !text.is_empty()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(asked.elapsed() >= Duration::from_millis(250), "connections were taken while draining");
        assert!(!server.is_finished(), "a request is in flight");
        finish.notify_one();
        assert!(request.await.unwrap().unwrap().ends_with("finished"));
        server.await.unwrap().unwrap();
    }
}
