//! Redis URLs, parsed into which kind of Redis is meant.

use crate::secret::Secret;
use std::path::PathBuf;
use url::Url;

/// Which Redis to use, and as whom.
#[derive(Clone, Debug)]
pub struct RedisTarget {
    /// One server, a cluster, or servers watched by sentinels.
    pub topology: Topology,
    /// The ACL user; absent: the default user.
    pub user: Option<String>,
    /// The password; absent: none is sent.
    pub password: Option<Secret>,
}

/// How the Redis servers stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Standalone {
        /// Name or address; IPv6 without brackets.
        host: String,
        /// Port, 6379 unless said.
        port: u16,
        /// Database number.
        db: u32,
        /// How to be sure of the server; absent: no TLS.
        tls: Option<Tls>,
    },
    /// A cluster, found through any of these nodes.
    Cluster {
        /// Host and port of each.
        nodes: Vec<(String, u16)>,
    },
    /// Servers watched by sentinels.
    Sentinel {
        /// Host and port of each sentinel.
        sentinels: Vec<(String, u16)>,
        /// Name under which the sentinels know the primary.
        master: String,
    },
}

/// Which certificate to take from a Redis server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// One that an authority of the system vouches for.
    #[default]
    System,
    /// One that an authority in this PEM file vouches for.
    Authority(PathBuf),
    /// Any.
    DangerousAny,
}

impl RedisTarget {
    /// Parses one of the four URL forms. The error says what is wrong and quotes nothing of the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
        match scheme {
            "redis" | "rediss" => parse_standalone(text, scheme == "rediss"),
            "redis+cluster" => {
                let (user, password, rest) = split_user(rest)?;
                let nodes = parse_nodes(rest.trim_end_matches('/'), 6379)?;
                Ok(Self { topology: Topology::Cluster { nodes }, user, password })
            }
            "redis+sentinel" => {
                let (user, password, rest) = split_user(rest)?;
                let (nodes, master) = rest.split_once('/').unwrap_or((rest, ""));
                if master.is_empty() || master.contains('/') {
                    return Err("must end in /master-name".into());
                }
                let sentinels = parse_nodes(nodes, 26379)?;
                Ok(Self { topology: Topology::Sentinel { sentinels, master: master.into() }, user, password })
            }
            _ => Err(FORMS.into()),
        }
    }
}

const FORMS: &str = "must begin with redis://, rediss://, redis+cluster:// or redis+sentinel://";

fn parse_standalone(text: &str, tls: bool) -> Result<RedisTarget, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("has no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let db = match url.path().trim_start_matches('/') {
        "" => 0,
        db => db.parse().map_err(|_| "must have a database number after the host, or nothing")?,
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have no ? or # part".into());
    }
    Ok(RedisTarget {
        topology: Topology::Standalone { host, port: url.port().unwrap_or(6379), db, tls: tls.then(Tls::default) },
        user: if url.username().is_empty() { None } else { Some(decoded(url.username())?) },
        password: url.password().map(decoded).transpose()?.map(Secret::new),
    })
}

type User<'a> = (Option<String>, Option<Secret>, &'a str);

fn split_user(rest: &str) -> Result<User<'_>, String> {
    let Some((user, rest)) = rest.rsplit_once('@') else { return Ok((None, None, rest)) };
    let (user, password) = user.split_once(':').map_or((user, None), |(user, password)| (user, Some(password)));
    let user = if user.is_empty() { None } else { Some(decoded(user)?) };
    Ok((user, password.map(decoded).transpose()?.map(Secret::new), rest))
}

fn parse_nodes(text: &str, default_port: u16) -> Result<Vec<(String, u16)>, String> {
    text.split(',')
        .map(|node| {
            let url = Url::parse(&format!("redis://{node}")).map_err(|_| "must list host:port,host:port")?;
            let host = url.host_str().filter(|h| !h.is_empty() && matches!(url.path(), "" | "/"));
            let host = host.ok_or("must list host:port,host:port")?;
            Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), url.port().unwrap_or(default_port)))
        })
        .collect()
}

/// Undoes percent-encoding, in which a user or password with `@`, `:` or `/` must be written.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'%', None) => return Err("has a % in user or password that is not followed by two hex digits".into()),
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "has a user or password that is not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standalone(host: &str, port: u16, db: u32, tls: bool) -> Topology {
        Topology::Standalone { host: host.into(), port, db, tls: tls.then_some(Tls::System) }
    }

    #[test]
    fn each_form_of_url_is_told_apart() {
        let nodes = || vec![("a".to_owned(), 1), ("b".to_owned(), 2)];
        for (text, topology, user, password) in [
            ("redis://localhost", standalone("localhost", 6379, 0, false), None, None),
            ("redis://h:7/3", standalone("h", 7, 3, false), None, None),
            ("rediss://h", standalone("h", 6379, 0, true), None, None),
            ("redis://[::1]:7", standalone("::1", 7, 0, false), None, None),
            ("redis://:p%40ss@h", standalone("h", 6379, 0, false), None, Some("p@ss")),
            ("redis://bob:x@h/", standalone("h", 6379, 0, false), Some("bob"), Some("x")),
            ("redis+cluster://a:1,b:2", Topology::Cluster { nodes: nodes() }, None, None),
            (
                "redis+sentinel://u:p@a:1,b:2/main",
                Topology::Sentinel { sentinels: nodes(), master: "main".into() },
                Some("u"),
                Some("p"),
            ),
        ] {
            let target = RedisTarget::parse(text).unwrap();
            assert_eq!(target.topology, topology, "{text}");
            assert_eq!(target.user.as_deref(), user, "{text}");
            assert_eq!(target.password.as_ref().map(Secret::reveal), password, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_redis_url_is_refused_without_quoting_it() {
        for text in [
            "",
            "localhost:6379",
            "http://hunter2",
            "redis://",
            "redis://h/hunter2",
            "redis://h/1?x=hunter2",
            "redis://:hunter2%zz@h",
            "redis://h:99999",
            "redis+sentinel://a:1,b:2",
            "redis+sentinel://a:1/x/y",
            "redis+cluster://",
            "redis+cluster://a:1,,b:2",
        ] {
            let reason = RedisTarget::parse(text).unwrap_err();
            assert!(!reason.contains("hunter2"), "{text}: {reason}");
        }
    }
}
