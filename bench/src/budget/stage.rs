//! A server with a room, and the people to put into it.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;

use super::load::Script;
use crate::{
    client::{Ask, Client},
    redis::Redis,
    server::{Admin, Server},
    wire::Joined,
};

/// A server under load, with the Redis it stands on, if any.
#[derive(Debug)]
pub struct Stage {
    /// Its Redis.
    pub redis: Option<Redis>,
    /// Itself.
    pub server: Server,
    /// Its admin API.
    pub admin: Admin,
}

impl Stage {
    /// On the embedded store.
    pub async fn embedded(binary: &Path, directory: &Path) -> Result<Self> {
        let server = Server::start(binary, None, directory).await?;
        Ok(Self { redis: None, admin: server.admin()?, server })
    }

    /// On a redis-server of its own.
    pub async fn on_redis(binary: &Path, directory: &Path) -> Result<Self> {
        let redis = Redis::start(directory).await?;
        let server = Server::start(binary, Some(&redis.url()), directory).await?;
        Ok(Self { redis: Some(redis), admin: server.admin()?, server })
    }

    /// Its Redis, which it must have.
    pub fn redis(&self) -> Result<&Redis> {
        self.redis.as_ref().context("this stage has no Redis")
    }

    /// A room in which the line hardly moves, so that it is as long at the end of a run as at its beginning.
    pub async fn room(&self, event: &str, heartbeat_sec: u64) -> Result<()> {
        let settings = json!({
            "mode": "line", "admit_per_minute": 1, "burst": 1, "claim_sec": 600, "min_wait": [],
            "heartbeat_sec": heartbeat_sec,
        });
        self.admin.put_room(event, &settings).await?;
        Ok(())
    }

    /// Joins so many people one by one and answers their tokens.
    pub async fn join(&self, event: &str, people: usize) -> Result<Vec<String>> {
        let client = std::sync::Arc::new(Client::new(self.server.url(), 32)?);
        let mut joins = JoinSet::new();
        for lane in 0..32 {
            let (client, body) = (client.clone(), json!({ "event_id": event }));
            let share = people / 32 + usize::from(lane < people % 32);
            joins.spawn(async move {
                let mut tokens = Vec::with_capacity(share);
                for _ in 0..share {
                    let answer = client.send(Ask::post("/api/v1/queue/join", &body)).await?;
                    ensure!(answer.status == 202, "join: {}", answer.code());
                    tokens.push(answer.json::<Joined>()?.waiting_token);
                }
                Ok(tokens)
            });
        }
        let mut tokens = Vec::with_capacity(people);
        while let Some(lane) = joins.join_next().await {
            tokens.extend(lane??);
        }
        Ok(tokens)
    }

    /// Joins anonymous people as fast as it goes until the line is at least so long; answers how many tickets are out.
    ///
    /// `spread` tokens are taken along the way, evenly over the line, the last one at its very end.
    pub async fn fill(&self, event: &str, people: u64, spread: usize, directory: &Path) -> Result<(u64, Vec<String>)> {
        let join = Script::post(directory, "fill", &json!({ "event_id": event }).to_string())?;
        let url = format!("{}/api/v1/queue/join", self.server.url());
        let mut tokens = self.join(event, spread / 20).await?;
        let mut issued = self.admin.stats(event).await?.issued;
        let mut next_report = people / 4;
        while issued < people {
            let run = join.run(&url, 1).await?;
            ensure!(run.bad_statuses == 0, "{} joins were refused\n{}", run.bad_statuses, self.server.last_words());
            // So that it ends: the line may not grow while joins are answered.
            let before = std::mem::replace(&mut issued, self.admin.stats(event).await?.issued);
            ensure!(issued > before, "the line does not grow beyond {issued}");
            let due = (spread as u64 * issued.min(people) / people) as usize;
            tokens.extend(self.join(event, due.saturating_sub(tokens.len())).await?);
            if issued >= next_report {
                eprintln!("  {issued} in line");
                next_report += people / 4;
            }
        }
        tokens.extend(self.join(event, 1).await?);
        Ok((self.admin.stats(event).await?.issued, tokens))
    }

    /// Ends the server and its Redis.
    pub async fn end(self) -> Result<()> {
        self.server.end().await?;
        match self.redis {
            Some(redis) => redis.end().await,
            None => Ok(()),
        }
    }
}

/// Paths that ask for the status of each token.
pub fn status_paths(tokens: &[String]) -> Vec<String> {
    tokens.iter().map(|token| format!("/api/v1/queue/status?token={token}")).collect()
}
