//! An `anteroom serve` of our own, and its admin API.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    child::{Child, free_address},
    client::{Ask, Client},
    wire::{Settings, Stats},
};

/// A running server that ends with this value.
#[derive(Debug)]
pub struct Server {
    url: String,
    admin_token: String,
    secret: String,
    edge_token: String,
    child: Child,
}

impl Server {
    /// Starts the binary on a free port: on Redis when a URL is given, otherwise on the embedded store.
    pub async fn start(binary: &Path, redis_url: Option<&str>, directory: &Path) -> Result<Self> {
        let address = free_address()?;
        let url = format!("http://{address}");
        let (admin_token, secret, edge_token) = (random_hex(), random_hex(), random_hex());
        let mut variables = vec![
            ("ANTEROOM_LISTEN", address.to_string()),
            ("ANTEROOM_SECRET", secret.clone()),
            ("ANTEROOM_EDGE_TOKEN", edge_token.clone()),
            ("ANTEROOM_ADMIN_TOKEN", admin_token.clone()),
            ("ANTEROOM_RATE_PER_SEC", "0".to_owned()),
            ("ANTEROOM_TICK_MS", "250".to_owned()),
        ];
        variables.extend(redis_url.map(|url| ("ANTEROOM_REDIS_URL", url.to_owned())));
        let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
        let mut child = Child::start(binary, ["serve"], variables, directory)?;
        let client = Client::new(&url, 1)?;
        child
            .until(|| async { client.send(Ask::get("/readyz")).await.is_ok_and(|answer| answer.is_success()) })
            .await?;
        Ok(Self { url, admin_token, secret, edge_token, child })
    }

    /// `http://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Bearer token of the admin API.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// What it signs waiting tokens with.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// What an edge shows it.
    pub fn edge_token(&self) -> &str {
        &self.edge_token
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        self.child.last_words()
    }

    /// Its admin API.
    pub fn admin(&self) -> Result<Admin> {
        Admin::new(&self.url, &self.admin_token)
    }

    /// Ends it and waits until it is gone.
    pub async fn end(self) -> Result<()> {
        self.child.end().await
    }
}

/// The admin API of a server.
#[derive(Debug)]
pub struct Admin {
    client: Client,
    token: String,
}

impl Admin {
    /// The admin API at `url`.
    pub fn new(url: &str, token: &str) -> Result<Self> {
        Ok(Self { client: Client::new(url, 2)?, token: token.to_owned() })
    }

    /// Creates or changes a room; answers its full settings.
    pub async fn put_room(&self, event: &str, settings: &Value) -> Result<Settings> {
        let path = format!("/api/v1/admin/rooms/{event}");
        let answer = self.client.send(Ask::put(&path, settings).bearer(&self.token)).await?;
        anyhow::ensure!(answer.is_success(), "PUT {path} {settings}: {}", answer.code());
        Self::settings_of(&answer.json()?)
    }

    /// The room's full settings.
    pub async fn room(&self, event: &str) -> Result<Settings> {
        let path = format!("/api/v1/admin/rooms/{event}");
        let answer = self.client.send(Ask::get(&path).bearer(&self.token)).await?;
        anyhow::ensure!(answer.is_success(), "GET {path}: {}", answer.code());
        Self::settings_of(&answer.json()?)
    }

    /// The room's live numbers.
    pub async fn stats(&self, event: &str) -> Result<Stats> {
        let path = format!("/api/v1/admin/rooms/{event}/stats");
        let answer = self.client.send(Ask::get(&path).bearer(&self.token)).await?;
        anyhow::ensure!(answer.is_success(), "GET {path}: {}", answer.code());
        answer.json()
    }

    /// Settings at the top of the answer, or under `settings` beside other fields.
    fn settings_of(answer: &Value) -> Result<Settings> {
        let settings = answer.get("settings").unwrap_or(answer);
        serde_json::from_value(settings.clone()).context("settings of the room")
    }
}

fn random_hex() -> String {
    format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..))
}
