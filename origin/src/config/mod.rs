//! Settings of the server: one structure per concern, parsed from all sources together and never invalid afterwards.
//!
//! In scope: reading `defaults.toml`, a file and `ANTEROOM_*` variables, checking each value and how they go together,
//! and reporting every problem at once.
//!
//! Out of scope: settings of rooms, which live in the store and change while the server runs.

mod redis_url;
mod source;

pub use redis_url::{RedisTarget, Tls, Topology};
pub use source::{Problem, Problems, Variables};

use crate::pass::PassKeys;
use crate::secret::{Secret, Secrets};
use anteroom_core::gate::carry::FIRST_BYTE_MAX_SEC;
use anteroom_core::line::TICK_MAX_MS;
use ipnet::IpNet;
use source::Settings;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// Fewest bytes of a secret that signs waiting tokens.
const SIGNING_SECRET_MIN: usize = 32;
/// Fewest bytes of a bearer token that nobody is warned of.
const BEARER_MIN: usize = 16;
const LATER: &str = "not in this version";

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listening, logging, stopping.
    pub server: ServerConfig,
    /// Where the line lives.
    pub store: StoreConfig,
    /// What waiting tokens and passes are signed with.
    pub tokens: TokenConfig,
    /// Whose user tokens are believed; absent: nobody's.
    pub users: Option<UserTokenConfig>,
    /// Who may use the admin and the internal API.
    pub access: AccessConfig,
    /// What holds for all rooms.
    pub rooms: RoomsConfig,
    /// The site that the gate stands in front of; absent: none.
    pub upstream: Option<UpstreamConfig>,
    /// What a single client may do.
    pub clients: ClientConfig,
}

/// Listening, logging, stopping.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Log level or directives.
    pub log: String,
    /// How long requests are still taken after SIGTERM.
    pub drain: Duration,
}

/// Where the line lives.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// In this process.
    Embedded {
        /// Where it is kept across restarts; absent: it is not.
        state_dir: Option<PathBuf>,
    },
    /// In Redis.
    Redis(RedisTarget),
}

/// What waiting tokens and passes are signed with.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// For waiting tokens.
    pub secrets: Secrets,
    /// For passes.
    pub passes: PassKeys,
}

/// Whose user tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTokenConfig {
    /// Where the issuer publishes its keys.
    pub jwks_url: Url,
    /// The `iss` that a token must carry.
    pub issuer: String,
    /// The `aud` that a token must carry.
    pub audience: String,
}

/// Bearer tokens of the operator and of edges.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// For the admin API; absent: it answers 404.
    pub admin: Option<Secret>,
    /// For the internal API; absent: no edge is believed.
    pub edge: Option<Secret>,
}

/// What holds for all rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomsConfig {
    /// What a join for an unknown event does.
    pub unknown: UnknownRooms,
    /// Time between ticks.
    pub tick: Duration,
}

/// What a join for an unknown event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownRooms {
    /// It is refused.
    Reject,
    /// It makes a room with default settings.
    Create,
}

/// The site behind the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Where it is: scheme, host and port.
    pub url: Url,
    /// Longest wait for a connection, TLS included.
    pub connect: Duration,
    /// Longest wait for the head of an answer while nothing of the request is left to send.
    pub first_byte: Duration,
    /// PEM file of the authorities to trust for `https`; absent: those of the system.
    pub ca_file: Option<PathBuf>,
}

/// What a single client may do, and how it is told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Networks of the proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Sites whose pages may use the public API: origins such as `https://shop.example`, or `*` for all.
    pub cors_origins: Vec<String>,
    /// The rate limit; absent: none.
    pub rate: Option<RateConfig>,
}

/// A rate limit for each client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateConfig {
    /// Requests a second.
    pub per_sec: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

impl Config {
    /// The settings for `anteroom serve`, or everything that is wrong with them.
    pub fn load(file: Option<&Path>, variables: &Variables) -> Result<Self, Problems> {
        Self::read(Settings::read(file, variables), None)
    }

    /// The settings for `anteroom demo`: as for `serve`, with a secret of the moment when none is set.
    pub fn demo(file: Option<&Path>, variables: &Variables) -> Result<Self, Problems> {
        Self::read(Settings::read(file, variables), Some(Secret::random()))
    }

    fn read(mut settings: Settings, fallback: Option<Secret>) -> Result<Self, Problems> {
        let server = read_server(&mut settings);
        let store = read_store(&mut settings);
        let tokens = read_tokens(&mut settings, fallback);
        let users = read_users(&mut settings);
        let access = read_access(&mut settings);
        let rooms = read_rooms(&mut settings);
        let clients = read_clients(&mut settings);
        let upstream = read_upstream(&mut settings);
        let problems = settings.into_problems();
        match (server, store, tokens, rooms, clients) {
            (Some(server), Some(store), Some(tokens), Some(rooms), Some(clients)) if problems.is_empty() => {
                Ok(Self { server, store, tokens, users, access, rooms, upstream, clients })
            }
            _ => Err(Problems(problems)),
        }
    }

    /// What is allowed but risky, for the log at start.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        match &self.store {
            StoreConfig::Embedded { state_dir: None } => {
                warnings.push("state_dir is not set: the line is in memory only, and a restart empties it".into());
            }
            StoreConfig::Redis(RedisTarget {
                topology: Topology::Standalone { tls: Some(Tls::DangerousAny), .. },
                ..
            }) => {
                warnings.push("dangerous_redis_accept_any_certificate: anybody in between can change the line".into());
            }
            _ => {}
        }
        if let Some(users) = &self.users
            && users.jwks_url.scheme() == "http"
            && !is_loopback(&users.jwks_url)
        {
            warnings.push("jwks_url is http: anybody in between can be any user".into());
        }
        for (setting, token) in [("admin_token", &self.access.admin), ("edge_token", &self.access.edge)] {
            if token.as_ref().is_some_and(|token| token.reveal().len() < BEARER_MIN) {
                warnings.push(format!("{setting} is short enough to be guessed; `anteroom token secret` makes one"));
            }
        }
        if self.rooms.unknown == UnknownRooms::Create {
            warnings.push("rooms_unknown is \"create\": anybody can make rooms".into());
        }
        if self.clients.trusted_proxies.iter().any(|net| net.prefix_len() == 0) {
            warnings.push("trusted_proxies trusts every address: clients choose which address is counted".into());
        }
        warnings
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn read_server(settings: &mut Settings) -> Option<ServerConfig> {
    let listen = settings.parsed("listen", "an address and a port, such as 0.0.0.0:8000 or [::]:8000");
    let log = settings.checked("log", |text| match text.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must be error, warn, info, debug, trace or off, or a list of target=level".into()),
    });
    let drain = settings.number("drain_sec", 0, 300);
    Some(ServerConfig { listen: listen?, log: log?, drain: Duration::from_secs(drain?) })
}

fn read_store(settings: &mut Settings) -> Option<StoreConfig> {
    let state_dir = settings.text("state_dir").map(PathBuf::from);
    let password = read_secret_text(settings, "redis_password", "redis_password_file");
    let any = settings.parsed("dangerous_redis_accept_any_certificate", "true or false");
    let authority = settings.text("redis_ca_file").map(PathBuf::from);
    if settings.text("redis_url").is_none() {
        for setting in ["redis_password", "redis_password_file", "redis_ca_file"] {
            if settings.text(setting).is_some() {
                settings.wrong(setting, "is of no use without redis_url");
            }
        }
        return Some(StoreConfig::Embedded { state_dir });
    }
    if state_dir.is_some() {
        settings.wrong("state_dir", "is where the embedded store keeps the line, but redis_url is set: choose one");
    }
    let mut target = settings.checked("redis_url", RedisTarget::parse)?;
    if let Some(password) = password {
        if target.password.is_some() {
            settings.wrong("redis_url", "has a password, and redis_password or redis_password_file gives one too");
        }
        target.password = Some(Secret::new(password));
    }
    if let Some(authority) = &authority
        && let Err(error) = std::fs::metadata(authority)
    {
        settings.wrong("redis_ca_file", &format!("not read: {error}"));
    }
    let any = any?;
    match &mut target.topology {
        Topology::Standalone { tls: Some(tls), .. } => match (authority, any) {
            (Some(_), true) => {
                let reason = "contradicts redis_ca_file: with it no certificate is checked";
                settings.wrong("dangerous_redis_accept_any_certificate", reason);
            }
            (Some(path), false) => *tls = Tls::Authority(path),
            (None, true) => *tls = Tls::DangerousAny,
            (None, false) => {}
        },
        Topology::Standalone { tls: None, .. } => {
            if authority.is_some() {
                settings.wrong("redis_ca_file", "is of no use unless redis_url begins with rediss://");
            }
            if any {
                let reason = "is of no use unless redis_url begins with rediss://";
                settings.wrong("dangerous_redis_accept_any_certificate", reason);
            }
        }
        Topology::Cluster { .. } | Topology::Sentinel { .. } => {
            settings.wrong("redis_url", &format!("clusters and sentinels are {LATER}"));
        }
    }
    Some(StoreConfig::Redis(target))
}

/// The text of a secret that is given itself or as the name of a file, but not both.
fn read_secret_text(settings: &mut Settings, itself: &'static str, file: &'static str) -> Option<String> {
    if settings.text(itself).is_some() && settings.text(file).is_some() {
        settings.wrong(file, &format!("contradicts {itself}: choose one"));
    }
    match settings.text(itself) {
        Some(text) => Some(text.to_owned()),
        None => settings.checked(file, |path| match std::fs::read_to_string(path) {
            Ok(text) if text.trim_end().is_empty() => Err("the file is empty".into()),
            Ok(text) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) => Err(format!("not read: {error}")),
        }),
    }
}

fn read_tokens(settings: &mut Settings, fallback: Option<Secret>) -> Option<TokenConfig> {
    let given = settings.text("secret").is_some() || settings.text("secret_file").is_some();
    let setting = if settings.text("secret").is_some() { "secret" } else { "secret_file" };
    let text = read_secret_text(settings, "secret", "secret_file");
    let secrets = match (text, fallback) {
        (Some(text), _) => parse_secrets(settings, setting, &text),
        (None, Some(fallback)) if !given => Some(Secrets::new(fallback, [])),
        (None, _) if given => None,
        (None, _) => {
            settings.wrong("secret", "is missing; `anteroom token secret` makes one");
            None
        }
    };
    let given = settings.text("pass_key_file").is_some();
    let passes = settings.checked("pass_key_file", |path| {
        let pem = std::fs::read_to_string(path).map_err(|error| format!("not read: {error}"))?;
        PassKeys::from_pem(&pem).map_err(|error| error.to_string())
    });
    let secrets = secrets?;
    let passes = if given { passes? } else { PassKeys::derive(&secrets) };
    Some(TokenConfig { secrets, passes })
}

fn parse_secrets(settings: &mut Settings, setting: &'static str, text: &str) -> Option<Secrets> {
    let mut list = Vec::new();
    for (at, secret) in text.split(',').map(str::trim).enumerate() {
        if secret.len() < SIGNING_SECRET_MIN {
            let which = if text.contains(',') { format!("secret {} of the list ", at + 1) } else { String::new() };
            let reason = format!("{which}has {} bytes, at least {SIGNING_SECRET_MIN} are needed", secret.len());
            settings.wrong(setting, &reason);
            return None;
        }
        list.push(Secret::new(secret));
    }
    let mut list = list.into_iter();
    list.next().map(|first| Secrets::new(first, list))
}

fn read_users(settings: &mut Settings) -> Option<UserTokenConfig> {
    const ALL: [&str; 3] = ["jwks_url", "jwt_issuer", "jwt_audience"];
    let jwks_url = settings.checked("jwks_url", |text| match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("must be an http or https URL".into()),
    });
    if ALL.iter().any(|setting| settings.text(setting).is_some()) {
        for missing in ALL {
            if settings.text(missing).is_none() {
                settings.wrong(missing, "is missing; jwks_url, jwt_issuer and jwt_audience go together");
            }
        }
    }
    Some(UserTokenConfig {
        jwks_url: jwks_url?,
        issuer: settings.text("jwt_issuer")?.into(),
        audience: settings.text("jwt_audience")?.into(),
    })
}

fn read_access(settings: &mut Settings) -> AccessConfig {
    let mut bearer = |setting| {
        settings.checked(setting, |text| {
            if !text.bytes().all(|b| b.is_ascii_graphic()) {
                return Err("must be visible ASCII, as it goes into a header".into());
            }
            Ok(Secret::new(text))
        })
    };
    let access = AccessConfig { admin: bearer("admin_token"), edge: bearer("edge_token") };
    if let (Some(admin), Some(edge)) = (&access.admin, &access.edge)
        && admin.matches(edge.reveal())
    {
        settings.wrong("edge_token", "is the same as admin_token, so every edge would be an operator");
    }
    access
}

fn read_rooms(settings: &mut Settings) -> Option<RoomsConfig> {
    let unknown = settings.checked("rooms_unknown", |text| match text {
        "reject" => Ok(UnknownRooms::Reject),
        "create" => Ok(UnknownRooms::Create),
        _ => Err("must be \"reject\" or \"create\"".into()),
    });
    let tick = settings.number("tick_ms", 10, TICK_MAX_MS);
    Some(RoomsConfig { unknown: unknown?, tick: Duration::from_millis(tick?) })
}

fn read_upstream(settings: &mut Settings) -> Option<UpstreamConfig> {
    let given = settings.text("upstream").is_some();
    let url = settings.checked("upstream", |text| {
        let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let bare = url.filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none());
        let bare = bare.filter(|url| url.username().is_empty() && url.password().is_none());
        bare.ok_or_else(|| "must be http://host:port or https://host, without path, user or query".into())
    });
    let connect = settings.number("upstream_connect_sec", 1, 60);
    let first_byte = settings.number("upstream_first_byte_sec", 1, FIRST_BYTE_MAX_SEC);
    let ca_file = settings.text("upstream_ca_file").map(PathBuf::from);
    if ca_file.is_some() && !given {
        settings.wrong("upstream_ca_file", "is of no use without upstream");
    } else if ca_file.is_some() && url.as_ref().is_some_and(|url| url.scheme() == "http") {
        settings.wrong("upstream_ca_file", "is of no use unless upstream begins with https://");
    }
    let (connect, first_byte) = (Duration::from_secs(connect?), Duration::from_secs(first_byte?));
    Some(UpstreamConfig { url: url?, connect, first_byte, ca_file })
}

fn read_clients(settings: &mut Settings) -> Option<ClientConfig> {
    let trusted_proxies = settings.checked("trusted_proxies", |text| {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                let network = part.parse::<IpNet>().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
                network.ok_or_else(|| format!("{part:?} is not a network such as 10.0.0.0/8 or an address"))
            })
            .collect::<Result<Vec<_>, _>>()
    });
    let cors_origins = settings.checked("cors_origins", |text| {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(read_cors_origin).collect::<Result<Vec<_>, _>>()
    });
    let most = u64::from(u32::MAX);
    let per_sec = settings.number("rate_per_sec", 0, most).and_then(|n| u32::try_from(n).ok());
    let burst = settings.number("rate_burst", 0, most).and_then(|n| u32::try_from(n).ok());
    let rate = match (per_sec.map(NonZeroU32::new)?, burst.map(NonZeroU32::new)?) {
        (None, _) => None,
        (Some(_), None) => {
            settings.wrong("rate_burst", "must be at least 1 while rate_per_sec is not 0");
            None
        }
        (Some(per_sec), Some(burst)) => Some(RateConfig { per_sec, burst }),
    };
    Some(ClientConfig { trusted_proxies: trusted_proxies?, cors_origins: cors_origins?, rate })
}

/// An origin as a browser writes it in its requests: what is compared with what it sends.
fn read_cors_origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let bare = url.filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none());
    match bare.filter(|url| url.username().is_empty() && url.password().is_none()) {
        Some(url) => Ok(url.origin().ascii_serialization()),
        None => Err(format!("{text:?} is not an origin such as https://shop.example, nor *")),
    }
}

#[cfg(test)]
mod tests;
