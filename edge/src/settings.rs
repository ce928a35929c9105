//! What the worker is told: where the origin is and which secrets sign waiting tokens.

use anteroom_core::token::{SECRET_MIN, TokenKeys};

/// The variable with the URL of the origin.
pub const ORIGIN: &str = "ORIGIN";
/// The secret with the signing secrets of waiting tokens, the same comma list as at the origin.
pub const SECRET: &str = "ANTEROOM_SECRET";

/// Settings that make sense.
#[derive(Clone, Debug)]
pub struct Settings {
    /// URL of the origin without a slash at the end; paths of the API are appended.
    pub origin: String,
    /// What waiting tokens are verified with.
    pub keys: TokenKeys,
}

impl Settings {
    /// Reads both; the error lists every problem, each naming the setting and never the secret.
    pub fn parse(origin: Option<&str>, secret: Option<&str>) -> Result<Self, Vec<String>> {
        match (parse_origin(origin), parse_secret(secret)) {
            (Ok(origin), Ok(keys)) => Ok(Self { origin, keys }),
            (origin, keys) => Err([origin.err(), keys.err()].into_iter().flatten().collect()),
        }
    }
}

fn parse_origin(origin: Option<&str>) -> Result<String, String> {
    let origin = origin.unwrap_or_default().trim().trim_end_matches('/');
    if origin.is_empty() {
        return Err(format!("{ORIGIN}: missing; the URL of the origin"));
    }
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let plain = |rest: &str| !rest.starts_with('/') && !rest.contains(|c: char| matches!(c, '?' | '#') || c <= ' ');
    match rest {
        Some(rest) if plain(rest) => Ok(origin.into()),
        _ => Err(format!("{ORIGIN}: {origin:?} is not an http or https URL without query")),
    }
}

fn parse_secret(secret: Option<&str>) -> Result<TokenKeys, String> {
    let secrets: Vec<&str> =
        secret.unwrap_or_default().split(',').map(str::trim).filter(|secret| !secret.is_empty()).collect();
    if secrets.is_empty() {
        return Err(format!("{SECRET}: missing; the secrets of the origin, separated by commas"));
    }
    TokenKeys::new(&secrets).ok_or_else(|| format!("{SECRET}: each secret needs at least {SECRET_MIN} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn an_origin_and_its_secrets_are_read_as_the_origin_reads_them() {
        let settings =
            Settings::parse(Some("https://queue.example/room/ "), Some(&format!("{LONG}, old-{LONG}"))).unwrap();
        assert_eq!(settings.origin, "https://queue.example/room");
        assert_eq!(format!("{:?}", settings.keys), "TokenKeys(2)");
    }

    #[test]
    fn every_problem_is_listed_and_no_secret_is_shown() {
        for (origin, secret, want) in [
            (None, Some(LONG), &["ORIGIN: missing"][..]),
            (Some(""), None, &["ORIGIN: missing", "ANTEROOM_SECRET: missing"]),
            (Some("queue.example"), Some(LONG), &["ORIGIN: \"queue.example\" is not"]),
            (Some("ftp://queue.example"), Some(LONG), &["ORIGIN: "]),
            (Some("https:///"), Some(LONG), &["ORIGIN: "]),
            (Some("https://queue.example?x"), Some(" , "), &["ORIGIN: ", "ANTEROOM_SECRET: missing"]),
            (Some("https://queue.example"), Some("hunter2"), &["ANTEROOM_SECRET: each"]),
        ] {
            let problems = Settings::parse(origin, secret).unwrap_err();
            assert_eq!(problems.len(), want.len(), "{problems:?}");
            for (problem, want) in problems.iter().zip(want) {
                assert!(problem.starts_with(want) && !problem.contains("hunter2"), "{problem}");
            }
        }
    }
}
