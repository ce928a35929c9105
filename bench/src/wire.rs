//! The published API as a client sees it: only the fields these tools need, everything else ignored.

use anteroom_core::settings::parse_rfc3339;
use anyhow::{Context as _, Result, anyhow};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer};

/// A point in time in milliseconds since 1970, read from RFC 3339 text or from a number (seconds or milliseconds).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Moment(pub f64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Shape {
            Number(f64),
            Text(String),
        }
        match Shape::deserialize(deserializer)? {
            // Seconds stay below this until the year 5138, milliseconds passed it in 1973.
            Shape::Number(n) if n < 1e11 => Ok(Self(n * 1000.0)),
            Shape::Number(n) => Ok(Self(n)),
            Shape::Text(text) => {
                let time = parse_rfc3339(&text);
                time.map(|time| Self(time.0 as f64)).ok_or_else(|| serde::de::Error::custom("not a time in RFC 3339"))
            }
        }
    }
}

/// Answer to a join.
#[derive(Debug, Deserialize)]
pub struct Joined {
    /// Proof of the place in line.
    pub waiting_token: String,
    /// `waiting` or `ready`.
    pub status: String,
    /// Place in line; 1 is the head, 0 is called.
    pub position: Option<u64>,
    /// When to ask for the first time.
    pub poll_after_ms: Option<u64>,
}

/// Answer to a poll.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// `waiting`, `ready`, `entered` or `expired`.
    pub status: String,
    /// Place in line; 1 is the head, 0 is called.
    pub position: Option<u64>,
    /// Estimated wait in seconds.
    pub eta_sec: Option<f64>,
    /// Lower end of the 80 % interval.
    pub eta_low_sec: Option<f64>,
    /// Upper end of the 80 % interval.
    pub eta_high_sec: Option<f64>,
    /// Whether an enter would be granted now.
    #[serde(default)]
    pub ready_for_entry: bool,
    /// End of the claim window: the time of the call plus the room's `claim_sec`.
    pub claim_expires_at: Option<Moment>,
    /// When to ask again.
    pub poll_after_ms: Option<u64>,
}

/// Answer to an enter.
#[derive(Debug, Deserialize)]
pub struct Entered {
    /// The pass.
    pub reservation_token: String,
    /// When the session ends by itself.
    pub session_expires_at: Option<Moment>,
}

/// Every error has this shape.
#[derive(Debug, Deserialize)]
pub struct Problem {
    /// Code and message.
    pub error: ProblemBody,
}

/// The inside of an error.
#[derive(Debug, Deserialize)]
pub struct ProblemBody {
    /// Stable code, for example `NOT_READY`.
    pub code: String,
}

/// Settings of a room, as far as promises can be checked against them.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// Calls a minute.
    pub admit_per_minute: f64,
    /// Calls the bucket holds when full.
    pub burst: f64,
    /// Most people inside at once.
    pub capacity: Option<u64>,
    /// Seconds a called person has to enter.
    pub claim_sec: f64,
    /// `steady`, or waves.
    #[serde(default)]
    pub release: Release,
}

/// How calls are let out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// As the bucket fills.
    #[default]
    Steady,
    /// In groups.
    Waves {
        /// People in a group.
        size: f64,
        /// Seconds between groups.
        every_sec: f64,
    },
}

/// Live numbers of a room.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Tickets handed out.
    pub issued: u64,
    /// The cursor.
    pub serving: u64,
    /// People waiting.
    pub waiting: u64,
    /// Of the tickets, those not heard from.
    pub silent: u64,
    /// Called, not yet entered.
    pub ready: u64,
    /// Inside.
    pub active: u64,
    /// Calls so far.
    pub called_total: u64,
    /// Entries so far.
    pub entered_total: u64,
    /// Turns missed so far.
    pub missed_total: u64,
    /// People who left so far.
    pub left_total: u64,
}

/// What a waiting token says about the place it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Place {
    /// The room's generation.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// The number in line.
    #[serde(rename = "tkt")]
    pub ticket: u64,
}

impl Place {
    /// Reads the payload of a waiting token. The signature is not looked at: the client has no secret, and needs none.
    pub fn of_token(token: &str) -> Result<Self> {
        let payload = token.split('.').nth(1).ok_or_else(|| anyhow!("the waiting token has no payload"))?;
        let bytes = URL_SAFE_NO_PAD.decode(payload).context("payload of the waiting token")?;
        serde_json::from_slice(&bytes).context("claims of the waiting token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_every_notation() {
        for (json, expected) in [
            ("\"2026-01-02T03:04:05.678Z\"", 1_767_323_045_678.0),
            ("1767323045678", 1_767_323_045_678.0),
            ("1767323045.5", 1_767_323_045_500.0),
        ] {
            assert_eq!(serde_json::from_str::<Moment>(json).unwrap(), Moment(expected), "{json}");
        }
    }

    #[test]
    fn a_token_tells_its_ticket() {
        let payload = URL_SAFE_NO_PAD.encode(br#"{"evt":"a","gen":2,"tkt":17,"iat":1}"#);
        let place = Place::of_token(&format!("x.{payload}.y")).unwrap();
        assert_eq!(place, Place { generation: 2, ticket: 17 });
        assert!(Place::of_token("nothing").is_err());
    }

    #[test]
    fn release_in_both_shapes() {
        assert!(matches!(serde_json::from_str("\"steady\"").unwrap(), Release::Steady));
        let waves = serde_json::from_str(r#"{"waves":{"size":10,"every_sec":30}}"#).unwrap();
        assert!(matches!(waves, Release::Waves { size: 10.0, every_sec: 30.0 }));
    }
}
