//! Load from `wrk`: one thread, 64 connections, requests made from a script.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio::process::Command;

/// Connections of every run.
pub const CONNECTIONS: usize = 64;

/// What to send over and over.
#[derive(Debug, Clone)]
pub struct Script {
    file: PathBuf,
}

/// What a run showed.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    requests: f64,
    duration_us: f64,
    /// Statuses of 400 and more.
    pub bad_statuses: u64,
    /// Connections and answers that failed.
    pub socket_errors: u64,
    /// Middle latency, in milliseconds.
    pub p50_ms: f64,
    /// 99 % were quicker, in milliseconds.
    pub p99_ms: f64,
}

impl Run {
    /// Requests a second.
    pub fn per_sec(&self) -> f64 {
        self.requests / (self.duration_us / 1e6)
    }

    /// Requests that were answered.
    pub fn requests(&self) -> f64 {
        self.requests
    }
}

/// Ends every script: one line of JSON, the only thing read from the output.
const DONE: &str = r#"
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nRUN {"requests":%d,"duration_us":%d,"bad_statuses":%d,"socket_errors":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"#;

impl Script {
    /// GETs these paths in turn. Requests are made before the run starts, so that all lists cost the client the same.
    pub fn get_each(directory: &Path, name: &str, paths: &[String]) -> Result<Self> {
        let list = directory.join(format!("{name}.paths"));
        fs::write(&list, paths.join("\n"))?;
        let text = format!(
            r#"
local requests, next = {{}}, 0
function init(args)
  for path in io.lines({list:?}) do requests[#requests + 1] = wrk.format("GET", path) end
end
function request()
  next = next + 1
  if next > #requests then next = 1 end
  return requests[next]
end
"#
        );
        Self::write(directory, name, &text)
    }

    /// GETs the URL it is given.
    pub fn get(directory: &Path) -> Result<Self> {
        Self::write(directory, "get", "")
    }

    /// POSTs this JSON to the URL it is given.
    pub fn post(directory: &Path, name: &str, json: &str) -> Result<Self> {
        let text = format!(
            "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = [[{json}]]\n"
        );
        Self::write(directory, name, &text)
    }

    fn write(directory: &Path, name: &str, text: &str) -> Result<Self> {
        let file = directory.join(format!("{name}.lua"));
        fs::write(&file, format!("{text}{DONE}"))?;
        Ok(Self { file })
    }

    /// Runs it against a URL for so many seconds.
    pub async fn run(&self, url: &str, seconds: u64) -> Result<Run> {
        let output = Command::new("wrk")
            .args(["--threads", "1", "--connections", &CONNECTIONS.to_string()])
            .args(["--duration", &format!("{seconds}s"), "--timeout", "10s", "--latency", "--script"])
            .arg(&self.file)
            .arg(url)
            .kill_on_drop(true)
            .output()
            .await
            .context("wrk is needed: apt-get install wrk, or cargo xtask bench installs it")?;
        parse(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| format!("wrk against {url}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn parse(output: &str) -> Result<Run> {
    let line = output.lines().find_map(|line| line.strip_prefix("RUN ")).context("no result from wrk")?;
    Ok(serde_json::from_str(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_run_is_found() {
        let output = "Running 1s test\n  Latency 1ms\n\nRUN {\"requests\":2000,\"duration_us\":500000,\"bad_statuses\":1,\
                      \"socket_errors\":0,\"p50_ms\":0.5,\"p99_ms\":2.25}\n";
        let run = parse(output).unwrap();
        assert_eq!((run.per_sec(), run.bad_statuses, run.p99_ms), (4000.0, 1, 2.25));
        assert!(parse("unable to connect").is_err());
    }
}
