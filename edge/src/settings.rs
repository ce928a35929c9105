//! What the worker is told: where the origin and the site are, and the secrets it shares with the origin.

use crate::visitor::Trusted;
use anteroom_core::gate::carry::{FIRST_BYTE_MAX_SEC, FIRST_BYTE_SEC};
use anteroom_core::token::{SECRET_MIN, TokenKeys};

/// The variable with the URL of the origin.
pub const ORIGIN: &str = "ORIGIN";
/// The variable with the URL of the site behind the gate; absent: there is no gate, only the API.
pub const UPSTREAM: &str = "UPSTREAM";
/// The variable that says whose word counts for the address of a visitor.
pub const TRUSTED: &str = "TRUSTED";
/// The variable with the longest wait for the site's answer, seconds: the same as natively.
pub const FIRST_BYTE: &str = "ANTEROOM_UPSTREAM_FIRST_BYTE_SEC";
/// The secret with the signing secrets of waiting tokens, the same comma list as at the origin.
pub const SECRET: &str = "ANTEROOM_SECRET";
/// The secret that the origin knows its edges by.
pub const EDGE_TOKEN: &str = "ANTEROOM_EDGE_TOKEN";

/// Settings that make sense.
#[derive(Clone, Debug)]
pub struct Settings {
    /// URL of the origin without a slash at the end; paths of the API are appended.
    pub origin: String,
    /// URL of the site without a slash at the end; the visitors' paths are appended.
    pub upstream: Option<String>,
    /// Whose word counts for the address of a visitor.
    pub trusted: Trusted,
    /// Longest wait for the head of the site's answer, milliseconds.
    pub first_byte_ms: u64,
    /// What waiting and session tokens are verified with.
    pub keys: TokenKeys,
    /// Shown to the origin's internal API; absent: heartbeats are passed on one by one.
    pub edge_token: Option<EdgeToken>,
}

/// What an edge shows to its origin; never printed.
#[derive(Clone)]
pub struct EdgeToken(String);

impl EdgeToken {
    /// The text, for the header and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for EdgeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EdgeToken(…)")
    }
}

impl Settings {
    /// Reads them, each by its name. The error lists every problem, naming the setting and never a secret.
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let given = |name| value(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let (upstream, edge_token) = (given(UPSTREAM), given(EDGE_TOKEN));
        let gate_needs_token = match (&upstream, &edge_token) {
            (Some(_), None) => {
                Err(format!("{EDGE_TOKEN}: missing; the gate in front of {UPSTREAM} asks the origin with it"))
            }
            _ => Ok(()),
        };
        let origin = given(ORIGIN).ok_or_else(|| format!("{ORIGIN}: missing; the URL of the origin"));
        let origin = origin.and_then(|text| url(ORIGIN, &text));
        let upstream = upstream.map(|text| url(UPSTREAM, &text)).transpose();
        let (trusted, keys) = (trusted(given(TRUSTED).as_deref()), keys(given(SECRET).as_deref()));
        let (first_byte, edge_token) = (first_byte(given(FIRST_BYTE)), edge_token.map(token).transpose());
        match (origin, upstream, trusted, first_byte, keys, edge_token, gate_needs_token) {
            (Ok(origin), Ok(upstream), Ok(trusted), Ok(first_byte_ms), Ok(keys), Ok(edge_token), Ok(())) => {
                Ok(Self { origin, upstream, trusted, first_byte_ms, keys, edge_token })
            }
            (origin, upstream, trusted, first_byte, keys, edge_token, gate) => {
                let site = [origin.err(), upstream.err(), trusted.err(), first_byte.err()];
                let problems = site.into_iter().chain([keys.err(), edge_token.err(), gate.err()]);
                Err(problems.flatten().collect())
            }
        }
    }
}

fn url(name: &str, text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |rest: &str| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && !rest.contains(|c: char| matches!(c, '?' | '#' | '@' | '\\') || c <= ' ')
    };
    match rest {
        Some(rest) if plain(rest) => Ok(url.into()),
        // A user and password in it are not for the log.
        _ if url.contains('@') => Err(format!("{name}: must be an http or https URL without user, password and query")),
        _ => Err(format!("{name}: {url:?} is not an http or https URL without user, password and query")),
    }
}

fn trusted(word: Option<&str>) -> Result<Trusted, String> {
    let Some(word) = word else { return Ok(Trusted::default()) };
    let known = Trusted::WORDS.iter().find(|(known, _)| *known == word);
    known.map(|(_, trusted)| *trusted).ok_or_else(|| {
        let words = Trusted::WORDS.map(|(word, _)| word).join(" or ");
        format!("{TRUSTED}: {word:?} is not {words}")
    })
}

fn first_byte(text: Option<String>) -> Result<u64, String> {
    let Some(text) = text else { return Ok(FIRST_BYTE_SEC * 1000) };
    let seconds = text.parse().ok().filter(|seconds| (1..=FIRST_BYTE_MAX_SEC).contains(seconds));
    seconds.map(|seconds: u64| seconds * 1000).ok_or_else(|| {
        format!("{FIRST_BYTE}: {text:?} is not a whole number of seconds from 1 to {FIRST_BYTE_MAX_SEC}")
    })
}

fn keys(secrets: Option<&str>) -> Result<TokenKeys, String> {
    let secrets: Vec<&str> =
        secrets.unwrap_or_default().split(',').map(str::trim).filter(|secret| !secret.is_empty()).collect();
    if secrets.is_empty() {
        return Err(format!("{SECRET}: missing; the secrets of the origin, separated by commas"));
    }
    TokenKeys::new(&secrets).ok_or_else(|| format!("{SECRET}: each secret needs at least {SECRET_MIN} bytes"))
}

fn token(text: String) -> Result<EdgeToken, String> {
    let fits = text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(EdgeToken(text)).ok_or_else(|| format!("{EDGE_TOKEN}: has characters that no header may have"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef0123456789abcdef";

    fn read(given: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        Settings::read(|name| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn an_origin_and_its_secrets_are_all_that_the_api_needs() {
        let secrets = format!("{LONG}, old-{LONG}");
        let settings = read(&[(ORIGIN, "https://queue.example/room/ "), (SECRET, &secrets), (UPSTREAM, " ")]).unwrap();
        assert_eq!((settings.origin.as_str(), settings.upstream), ("https://queue.example/room", None));
        assert_eq!(format!("{:?}", settings.keys), "TokenKeys(2)");
        assert!(settings.edge_token.is_none() && settings.trusted == Trusted::Runtime);
        assert_eq!(settings.first_byte_ms, 60_000);
    }

    #[test]
    fn a_gate_has_a_site_behind_it_and_shows_the_origin_who_it_is() {
        let given =
            [(ORIGIN, "http://origin"), (SECRET, LONG), (UPSTREAM, "http://shop:8080"), (EDGE_TOKEN, "hunter2")];
        let settings = read(&given).unwrap();
        assert_eq!(settings.upstream.as_deref(), Some("http://shop:8080"));
        assert_eq!(settings.edge_token.as_ref().map(EdgeToken::reveal), Some("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
        let given = [given[0], given[1], (TRUSTED, "x-forwarded-for")];
        assert_eq!(read(&given).unwrap().trusted, Trusted::Forwarded);
        let given = [given[0], given[1], (FIRST_BYTE, " 90")];
        assert_eq!(read(&given).unwrap().first_byte_ms, 90_000);
    }

    #[test]
    fn every_problem_is_listed_and_no_secret_is_shown() {
        let url = "is not an http or https URL";
        for (given, want) in [
            (&[(SECRET, LONG)][..], &["ORIGIN: missing"][..]),
            (&[(ORIGIN, "")], &["ORIGIN: missing", "ANTEROOM_SECRET: missing"]),
            (&[(ORIGIN, "queue.example"), (SECRET, LONG)], &[&format!("ORIGIN: \"queue.example\" {url}")]),
            (&[(ORIGIN, "ftp://queue.example"), (SECRET, LONG)], &["ORIGIN: "]),
            (&[(ORIGIN, "https:///"), (SECRET, LONG)], &["ORIGIN: "]),
            (&[(ORIGIN, "https://jo:hunter2@queue.example"), (SECRET, LONG)], &["ORIGIN: must"]),
            (&[(ORIGIN, "https://queue.example?x"), (SECRET, " , ")], &["ORIGIN: ", "ANTEROOM_SECRET: missing"]),
            (&[(ORIGIN, "https://queue.example"), (SECRET, "hunter2")], &["ANTEROOM_SECRET: each"]),
            (
                &[(UPSTREAM, "shop"), (TRUSTED, "everybody"), (FIRST_BYTE, "0")],
                &[
                    "ORIGIN: missing",
                    &format!("UPSTREAM: \"shop\" {url}"),
                    "TRUSTED: \"everybody\" is not runtime or x-forwarded-for",
                    "ANTEROOM_UPSTREAM_FIRST_BYTE_SEC: \"0\" is not a whole number of seconds from 1 to 3600",
                    "ANTEROOM_SECRET: missing",
                    "ANTEROOM_EDGE_TOKEN: missing",
                ],
            ),
            (
                &[(ORIGIN, "http://a"), (SECRET, LONG), (FIRST_BYTE, "1m")],
                &["ANTEROOM_UPSTREAM_FIRST_BYTE_SEC: \"1m\""],
            ),
            (&[(ORIGIN, "http://a"), (SECRET, LONG), (FIRST_BYTE, "3601")], &["ANTEROOM_UPSTREAM_FIRST_BYTE_SEC: "]),
            (&[(ORIGIN, "http://a"), (SECRET, LONG), (EDGE_TOKEN, "hunter2 x")], &["ANTEROOM_EDGE_TOKEN: has"]),
        ] {
            let problems = read(given).unwrap_err();
            assert_eq!(problems.len(), want.len(), "{problems:?}");
            for (problem, want) in problems.iter().zip(want) {
                assert!(problem.starts_with(want) && !problem.contains("hunter2"), "{problem}");
            }
        }
    }
}
