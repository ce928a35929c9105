//! A redis-server of our own, and what it says about itself.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::child::{Child, free_address};

/// A redis-server on a free port that keeps nothing on disk and ends with this value.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    child: Child,
}

impl Redis {
    /// Starts one with its log in `directory`.
    pub async fn start(directory: &Path) -> Result<Self> {
        let address = free_address()?;
        let arguments = [
            "--bind".to_owned(),
            address.ip().to_string(),
            "--port".to_owned(),
            address.port().to_string(),
            "--save".to_owned(),
            String::new(),
            "--appendonly".to_owned(),
            "no".to_owned(),
            "--dir".to_owned(),
            directory.display().to_string(),
        ];
        let mut child = Child::start(Path::new("redis-server"), arguments, [("LC_ALL", "C")], directory)
            .context("redis-server is needed: apt-get install redis-server, or cargo xtask test installs it")?;
        child.listening(address).await?;
        Ok(Self { address, child })
    }

    /// For `ANTEROOM_REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it and waits until it is gone.
    pub async fn end(self) -> Result<()> {
        self.child.end().await
    }

    /// Runs one command and returns what `redis-cli` prints, one reply element a line.
    pub async fn command(&self, words: &[&str]) -> Result<String> {
        let output = Command::new("redis-cli")
            .args(["-h", &self.address.ip().to_string(), "-p", &self.address.port().to_string()])
            .args(words)
            .output()
            .await
            .context("redis-cli")?;
        anyhow::ensure!(output.status.success(), "redis-cli {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Calls of every command so far, those inside scripts included, our own questions left out.
    pub async fn command_counts(&self) -> Result<BTreeMap<String, u64>> {
        Ok(parse_command_counts(&self.command(&["INFO", "commandstats"]).await?))
    }

    /// `used_memory` in bytes.
    pub async fn used_memory(&self) -> Result<u64> {
        let info = self.command(&["INFO", "memory"]).await?;
        let value = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("used_memory")?;
        Ok(value.trim().parse()?)
    }

    /// Keys that match a pattern, each with the bytes `MEMORY USAGE` counts for it.
    pub async fn key_sizes(&self, pattern: &str) -> Result<BTreeMap<String, u64>> {
        let mut sizes = BTreeMap::new();
        for key in self.command(&["KEYS", pattern]).await?.lines().filter(|key| !key.is_empty()) {
            // A key may expire between the two questions; then there is nothing to count.
            if let Ok(bytes) = self.command(&["MEMORY", "USAGE", key, "SAMPLES", "0"]).await?.trim().parse() {
                sizes.insert(key.to_owned(), bytes);
            }
        }
        Ok(sizes)
    }
}

/// Sum of the calls that ran a script or function.
pub fn script_calls(counts: &BTreeMap<String, u64>) -> u64 {
    ["eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro"].iter().filter_map(|name| counts.get(*name)).sum()
}

/// Sum of all calls.
pub fn all_calls(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().sum()
}

fn parse_command_counts(info: &str) -> BTreeMap<String, u64> {
    info.lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = rest.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            Some((name.to_owned(), calls))
        })
        .filter(|(name, _)| !matches!(name.as_str(), "info" | "keys" | "memory|usage"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_counts_leave_our_own_questions_out() {
        let info = "# Commandstats\r\ncmdstat_evalsha:calls=12,usec=9,x=1\r\ncmdstat_info:calls=3,usec=1\r\n\
                    cmdstat_config|get:calls=2,usec=1\r\n";
        let counts = parse_command_counts(info);
        assert_eq!(script_calls(&counts), 12);
        assert_eq!(all_calls(&counts), 14);
    }
}
