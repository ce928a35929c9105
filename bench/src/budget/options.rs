//! What to measure, and how long.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Parts of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Requests a second against the bare server, on both stores.
    Ratios,
    /// What joins and polls cost Redis.
    Redis,
    /// Bytes a waiting person.
    Memory,
    /// Joins with few and with many in line.
    Latency,
    /// Requests a second at the edge against a bare worker.
    Edge,
    /// The figures of core's own benches.
    Core,
}

/// Measures the budgets and prints them as a Markdown table; exits with 1 when one is missed.
#[derive(Debug, Clone, Parser)]
#[command(name = "table")]
pub struct Options {
    /// The `anteroom` binary, a release build.
    #[arg(long)]
    pub server: PathBuf,
    /// The `hello` binary beside it.
    #[arg(long)]
    pub hello: PathBuf,
    /// The program workerd.
    #[arg(long)]
    pub workerd: Option<PathBuf>,
    /// The folder of the built edge.
    #[arg(long)]
    pub edge: Option<PathBuf>,
    /// The folder of the built worker that it is compared with.
    #[arg(long)]
    pub bare_worker: Option<PathBuf>,
    /// What `cargo bench -p anteroom-core` printed.
    #[arg(long)]
    pub core_benches: Option<PathBuf>,
    /// Short runs, and a tenth of the people: for a first look, not for a report.
    #[arg(long)]
    pub quick: bool,
    /// Only these parts; may be given several times.
    #[arg(long, value_enum)]
    pub only: Vec<Part>,
    /// Runs of each side, alternating.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Seconds of each run.
    #[arg(long)]
    pub seconds: Option<u64>,
}

impl Options {
    /// Whether this part is wanted.
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Runs of each side.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 }).max(1)
    }

    /// Seconds of each run.
    pub fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 2 } else { 4 }).max(1)
    }

    /// People for the memory figure.
    pub fn million(&self) -> u64 {
        if self.quick { 100_000 } else { 1_000_000 }
    }

    /// People for the long line.
    pub fn long_line(&self) -> u64 {
        self.million() * 10
    }

    /// Seconds of heartbeats before memory is read; the room's `heartbeat_sec` is as long.
    pub fn heartbeat_sec(&self) -> u64 {
        if self.quick { 30 } else { 60 }
    }
}
