//! Where a setting comes from: embedded defaults, then a file, then variables. A value is text here, whatever its source,
//! and knows by what name to complain about it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub(super) const DEFAULTS: &str = include_str!("defaults.toml");
const PREFIX: &str = "ANTEROOM_";

/// Every setting there is. Each is described in `defaults.toml`.
pub(super) const SETTINGS: &[&str] = &[
    "listen",
    "log",
    "drain_sec",
    "redis_url",
    "redis_password",
    "redis_password_file",
    "redis_ca_file",
    "dangerous_redis_accept_any_certificate",
    "state_dir",
    "secret",
    "secret_file",
    "pass_key_file",
    "admin_token",
    "edge_token",
    "jwks_url",
    "jwt_issuer",
    "jwt_audience",
    "rooms_unknown",
    "tick_ms",
    "upstream",
    "upstream_connect_sec",
    "upstream_first_byte_sec",
    "upstream_ca_file",
    "trusted_proxies",
    "cors_origins",
    "rate_per_sec",
    "rate_burst",
];

/// Variables with our prefix that are not settings: the commands read them.
const OTHER_VARIABLES: &[&str] = &["ANTEROOM_CONFIG", "ANTEROOM_URL"];

/// Settings whose value must never be shown.
const SECRET: &[&str] = &["redis_password", "secret", "admin_token", "edge_token"];

/// The variables of the process, or of a test.
pub type Variables = BTreeMap<String, String>;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, by the name its source gives it.
    pub setting: String,
    /// The offending value; absent for secrets and for settings that are missing.
    pub value: Option<String>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value:?}: {}", self.setting, self.reason),
            None => write!(f, "{}: {}", self.setting, self.reason),
        }
    }
}

/// Everything that is wrong with the settings, at least one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem(s) in the settings:", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for Problems {}

#[derive(Clone, Debug)]
enum Source {
    Default,
    File(PathBuf),
    Variable,
}

/// The settings as text, and what was found wrong with them so far.
pub(super) struct Settings {
    values: BTreeMap<&'static str, (String, Source)>,
    problems: Vec<Problem>,
}

impl Settings {
    /// Reads all sources. What cannot be read is a problem, and the rest is still read.
    pub fn read(file: Option<&Path>, variables: &Variables) -> Self {
        let mut settings = Self { values: BTreeMap::new(), problems: Vec::new() };
        settings.read_toml(DEFAULTS, &Source::Default);
        if let Some(path) = file {
            match std::fs::read_to_string(path) {
                Ok(text) => settings.read_toml(&text, &Source::File(path.into())),
                Err(error) => {
                    settings.add("configuration file", Some(path.display().to_string()), &format!("not read: {error}"))
                }
            }
        }
        settings.read_variables(variables);
        settings
    }

    fn read_toml(&mut self, text: &str, source: &Source) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            // The message alone: the error's own display quotes the line, and a line may hold a secret.
            Err(error) => {
                let at = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
                let Source::File(path) = source else { unreachable!("a test parses the defaults") };
                let place = format!("{}:{at}", path.display());
                return self.add("configuration file", Some(place), &format!("not TOML: {}", error.message()));
            }
        };
        for (key, value) in table {
            let name = format!("{key}{}", in_file(source));
            let Some(&setting) = SETTINGS.iter().find(|s| **s == key) else {
                self.add(&name, None, "no such setting");
                continue;
            };
            match as_text(&value) {
                Some(text) => drop(self.values.insert(setting, (text, source.clone()))),
                None => self.add(&name, None, "must be a text, a whole number, true or false, or a list of texts"),
            }
        }
    }

    fn read_variables(&mut self, variables: &Variables) {
        for (name, value) in variables.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            let key = name[PREFIX.len()..].to_ascii_lowercase();
            let known = SETTINGS.iter().find(|s| **s == key && name[PREFIX.len()..] == s.to_ascii_uppercase());
            match known {
                Some(_) if value.is_empty() => {}
                Some(&setting) => drop(self.values.insert(setting, (value.clone(), Source::Variable))),
                None if OTHER_VARIABLES.contains(&name.as_str()) || is_service_link(name, value) => {}
                // Not the value: it may be a secret under a misspelt name.
                None => self.add(name, None, "no such setting"),
            }
        }
    }

    /// The text of a setting, if some source has one.
    pub fn text(&self, setting: &'static str) -> Option<&str> {
        debug_assert!(SETTINGS.contains(&setting), "{setting}");
        self.values.get(setting).map(|(text, _)| text.as_str())
    }

    /// The setting parsed, if some source has one and it is right; `None` with a problem noted when it is wrong.
    pub fn parsed<T: FromStr>(&mut self, setting: &'static str, wanted: &str) -> Option<T> {
        self.checked(setting, |text| text.trim().parse().map_err(|_| format!("must be {wanted}")))
    }

    /// As [`Settings::parsed`], with a parser that says what is wrong.
    pub fn checked<T>(&mut self, setting: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match parse(self.text(setting)?) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.wrong(setting, &reason);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub fn number(&mut self, setting: &'static str, low: u64, high: u64) -> Option<u64> {
        self.checked(setting, |text| match text.trim().parse() {
            Ok(number) if (low..=high).contains(&number) => Ok(number),
            _ => Err(format!("must be a whole number from {low} to {high}")),
        })
    }

    /// Notes that the value of `setting` is wrong, or that it is missing.
    pub fn wrong(&mut self, setting: &'static str, reason: &str) {
        let (name, value) = match self.values.get(setting) {
            Some((_, Source::Variable)) | None => (variable(setting), self.text(setting)),
            Some((text, source)) => (format!("{setting}{}", in_file(source)), Some(text.as_str())),
        };
        let value = value.filter(|_| !SECRET.contains(&setting)).map(without_password);
        self.problems.push(Problem { setting: name, value, reason: reason.into() });
    }

    fn add(&mut self, setting: &str, value: Option<String>, reason: &str) {
        self.problems.push(Problem { setting: setting.into(), value, reason: reason.into() });
    }

    /// What was wrong.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// The variable of a setting.
pub(super) fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.to_ascii_uppercase())
}

fn in_file(source: &Source) -> String {
    match source {
        Source::File(path) => format!(" (in {})", path.display()),
        Source::Default | Source::Variable => String::new(),
    }
}

fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(list) => {
            let texts: Option<Vec<_>> = list.iter().map(|item| item.as_str()).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}

/// Whether Kubernetes made this variable: it gives every pod such names for each service near it, and a service called
/// `anteroom` or `anteroom-redis` has our prefix.
fn is_service_link(name: &str, value: &str) -> bool {
    let numbered = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && parts.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
    });
    let address = name.ends_with("_PORT") && value.contains("://");
    numbered || address || name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT")
}

/// A URL without the password in it; other text as it is.
fn without_password(text: &str) -> String {
    let (Some(start), Some(end)) = (text.find("://"), text.rfind('@')) else { return text.into() };
    match text.get(start + 3..end).and_then(|user| user.split_once(':')) {
        Some((user, _)) => format!("{}://{user}:…{}", &text[..start], &text[end..]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_describes_every_setting_and_no_other() {
        let described: Vec<&str> = DEFAULTS
            .lines()
            .filter_map(|line| line.trim_start_matches("# ").split_once(" ="))
            .map(|(key, _)| key)
            .filter(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
            .collect();
        assert_eq!(described.iter().filter(|key| **key == "name").count(), 0);
        let mut want = SETTINGS.to_vec();
        let mut described = described;
        want.sort();
        described.sort();
        assert_eq!(described, want);
        assert_eq!(Settings::read(None, &Variables::new()).into_problems(), []);
    }

    #[test]
    fn variables_that_kubernetes_makes_for_services_are_not_settings() {
        for (name, value, link) in [
            ("ANTEROOM_SERVICE_HOST", "10.0.0.1", true),
            ("ANTEROOM_SERVICE_PORT", "8000", true),
            ("ANTEROOM_SERVICE_PORT_HTTP", "8000", true),
            ("ANTEROOM_PORT", "tcp://10.0.0.1:8000", true),
            ("ANTEROOM_PORT_8000_TCP", "tcp://10.0.0.1:8000", true),
            ("ANTEROOM_PORT_8000_TCP_PROTO", "tcp", true),
            ("ANTEROOM_PORT_8000_TCP_PORT", "8000", true),
            ("ANTEROOM_REDIS_PORT_6379_TCP_ADDR", "10.0.0.2", true),
            ("ANTEROOM_REDIS_SERVICE_HOST", "10.0.0.2", true),
            ("ANTEROOM_PORT", "8000", false),
            ("ANTEROOM_SECRT", "x", false),
            ("ANTEROOM_TICK", "250", false),
        ] {
            assert_eq!(is_service_link(name, value), link, "{name}={value}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, shown) in [
            ("redis://u:p@h:1", "redis://u:…@h:1"),
            ("redis://:p@ss@h", "redis://:…@h"),
            ("redis://h:1/0", "redis://h:1/0"),
            ("plain", "plain"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
