//! What crowd comes, and to which room.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde_json::{Map, Value, json};

/// How arrivals spread over `--over`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Most at once, then fewer and fewer: the opening of a sale.
    Burst,
    /// Evenly.
    Even,
}

/// Drives a waiting room over real HTTP with people who join, poll as they are told, leave, go silent and enter; prints what
/// happened; exits with 1 when a promise of the line was broken.
#[derive(Debug, Clone, Parser)]
#[command(name = "crowd")]
pub struct Options {
    /// A server that already runs, as http://host:port. Its clock and ours must agree.
    #[arg(long, conflicts_with_all = ["server", "redis"], required_unless_present = "server")]
    pub url: Option<String>,
    /// An `anteroom` binary to start on a free port, on the embedded store.
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// Start that binary on a redis-server of its own instead.
    #[arg(long, requires = "server")]
    pub redis: bool,
    /// A workerd to start in front of that server: the crowd talks to the edge, and the server counts what comes through.
    #[arg(long, requires_all = ["server", "edge"])]
    pub workerd: Option<PathBuf>,
    /// The folder of the built worker that it runs.
    #[arg(long, requires = "workerd")]
    pub edge: Option<PathBuf>,
    /// Bearer token of the admin API of `--url`, to set the room up and to read its numbers.
    #[arg(long, env = "ANTEROOM_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// The room; a new one for every run unless named.
    #[arg(long)]
    pub event: Option<String>,
    /// How many come.
    #[arg(long, default_value_t = 5000)]
    pub people: usize,
    /// Seconds within which they come.
    #[arg(long, default_value_t = 10.0)]
    pub over: f64,
    /// How they come.
    #[arg(long, value_enum, default_value = "burst")]
    pub shape: Shape,
    /// Percent who give up and leave the line.
    #[arg(long, default_value_t = 5.0)]
    pub leavers: f64,
    /// Percent who stop polling without leaving.
    #[arg(long, default_value_t = 5.0)]
    pub silent: f64,
    /// Percent who are called but never enter.
    #[arg(long, default_value_t = 2.0)]
    pub no_show: f64,
    /// Percent who send their join (with an idempotency key) and their enter twice at the same time.
    #[arg(long, default_value_t = 5.0)]
    pub doubled: f64,
    /// Seconds inside before the session is ended, in rooms with a capacity.
    #[arg(long, default_value_t = 3.0)]
    pub dwell: f64,
    /// Calls a minute of the room; by default such that the line takes about 75 s.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Bucket size of the room; by default a second's worth of calls, at least 10.
    #[arg(long)]
    pub burst: Option<u64>,
    /// Most people inside at once; unlimited unless given.
    #[arg(long)]
    pub capacity: Option<u64>,
    /// Room settings as JSON, laid over those made from the options above.
    #[arg(long, value_parser = parse_settings, default_value = "{}")]
    pub settings: Value,
    /// Take the room as it is: read its settings instead of putting them.
    #[arg(long, requires = "event")]
    pub keep_settings: bool,
    /// Seconds after which whoever is not done counts as unfinished; by default what the options need and 120 more.
    #[arg(long)]
    pub max_time: Option<f64>,
    /// Most connections at once.
    #[arg(long, default_value_t = 128)]
    pub connections: usize,
    /// Statuses that are retried without blame, for runs in which faults are injected: `503,429`, `0` for lost connections.
    #[arg(long, value_delimiter = ',')]
    pub tolerate: Vec<u16>,
    /// Seed of everything random.
    #[arg(long)]
    pub seed: Option<u64>,
}

impl Options {
    /// The settings to put before the crowd comes.
    pub fn room(&self) -> Value {
        let rate = self.rate.unwrap_or((self.people as f64 * 0.8).max(60.0)).round();
        let mut room = json!({
            "mode": "line",
            "admit_per_minute": rate as u64,
            "burst": self.burst.unwrap_or(((rate / 60.0).round() as u64).max(10)),
            "capacity": self.capacity,
            // A board has room for 64 turns. With many more of them open, the edge says the times of calls less exactly than the verdict
            // needs.
            "claim_sec": if self.workerd.is_some() { 12 } else { 45 },
            "heartbeat_sec": 60,
            "min_wait": [],
        });
        if let (Some(room), Some(over)) = (room.as_object_mut(), self.settings.as_object()) {
            room.extend(over.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>());
        }
        room
    }

    /// The limit of the run in seconds, given the calls a minute and the claim window.
    pub fn time_limit(&self, calls_per_minute: f64, claim_sec: f64) -> f64 {
        let line = self.people as f64 * 60.0 / calls_per_minute.max(1.0);
        self.max_time.unwrap_or(self.over + line + claim_sec + 120.0)
    }

    /// Seconds after the start at which the person at `share` (0 to 1) of the crowd arrives.
    pub fn arrival(&self, share: f64) -> f64 {
        match self.shape {
            Shape::Even => self.over * share,
            Shape::Burst => self.over * share.powi(3),
        }
    }
}

fn parse_settings(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(settings @ Value::Object(_)) => Ok(settings),
        Ok(_) => Err("settings are a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_settings_win() {
        let options =
            Options::parse_from(["crowd", "--url", "http://h:1", "--people", "100", "--settings", r#"{"burst":3}"#]);
        let room = options.room();
        assert_eq!((room["burst"].as_u64(), room["admit_per_minute"].as_u64()), (Some(3), Some(80)));
    }

    #[test]
    fn a_burst_comes_early() {
        let options = Options::parse_from(["crowd", "--url", "http://h:1", "--over", "10"]);
        assert!(options.arrival(0.5) < 2.0 && options.arrival(1.0) == 10.0);
    }
}
