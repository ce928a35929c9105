//! A proxy beside the origin: how it is started, and in what the four rightly differ.

use crate::house::{Got, House, Visitor};
use crate::shop::Shop;
use crate::support::{Client, Store};
use crate::{caddy, envoy, nginx, traefik};
use anteroom_testkit::{Process, free_port};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;

/// How long one may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    Nginx,
    Traefik,
    Caddy,
    Envoy,
}

/// Where it stands: what the configuration is filled in with.
pub struct Place<'a> {
    /// The port.
    pub listen: u16,
    /// Host and port of the origin.
    pub anteroom: &'a str,
    /// Host and port of the site.
    pub site: &'a str,
    /// A folder of its own.
    pub folder: &'a Path,
}

/// A proxy that runs; it ends with this value.
pub struct Running {
    // Before the folder that it works in: dropped in this order.
    _process: Process,
    _folder: TempDir,
    /// `http://host:port`.
    pub base: String,
}

/// A proxy in front of a site, with an origin beside it.
pub struct Behind {
    pub proxy: Proxy,
    pub house: House,
    _running: Running,
}

impl Proxy {
    /// Starts it in front of a site, with an origin beside it that has a room called `sale`.
    pub async fn before(self, settings: Value) -> Behind {
        self.before_with(&[], settings).await
    }

    /// The same with more settings of the origin.
    pub async fn before_with(self, more: &[(&str, &str)], settings: Value) -> Behind {
        let shop = Shop::open().await;
        let site = Store::Embedded.start(&[&[("ANTEROOM_TRUSTED_PROXIES", "127.0.0.0/8")], more].concat()).await;
        let running = self.start(site.base(), &shop.url());
        // What starts it asks the site something, to see whether it answers.
        shop.seen.requests.store(0, Ordering::SeqCst);
        let api = Client::new(site.base());
        api.put("sale", settings).await;
        let house = House { base: running.base.clone(), api, shop, site, front: None };
        Behind { proxy: self, house, _running: running }
    }

    /// Starts it; gives it once it listens.
    pub fn start(self, anteroom: &str, site: &str) -> Running {
        let address = |url: &str| url.trim_start_matches("http://").to_owned();
        let (anteroom, site) = (address(anteroom), address(site));
        start(self.program(), |listen, folder| {
            let place = Place { listen, anteroom: &anteroom, site: &site, folder };
            match self {
                Self::Nginx => nginx::command(&place),
                Self::Traefik => traefik::command(&place),
                Self::Caddy => caddy::command(&place),
                Self::Envoy => envoy::command(&place),
            }
        })
    }

    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
        }
    }

    /// Whether it shows the waiting page under the address that was asked for. The others lead to it.
    fn shows_in_place(self) -> bool {
        self == Self::Nginx
    }

    /// Whether it gives up a check that is not answered within seconds.
    pub fn gives_up(self) -> bool {
        // It waits for half a minute, and that cannot be set.
        self != Self::Traefik
    }

    /// Whether a session that was opened or extended reaches those who keep no cookies.
    pub fn hands_tokens_on(self) -> bool {
        self != Self::Traefik
    }

    /// Whether the site's own `Cache-Control` reaches visitors where no cookie of ours does.
    pub fn keeps_cache_control(self) -> bool {
        self != Self::Traefik
    }
}

impl Behind {
    /// Goes somewhere as a browser does: the site's answer, or the waiting page for that address.
    pub async fn go(&self, visitor: &mut Visitor, to: &str) -> Got {
        let got = visitor.page(to).await;
        self.follow(visitor, to, got).await
    }

    /// What a browser shows that got this answer to a request for `to`: itself, or the waiting page that it leads to.
    pub async fn follow(&self, visitor: &mut Visitor, to: &str, got: Got) -> Got {
        if self.proxy.shows_in_place() || got.header("x-shop").is_some() {
            return got;
        }
        let (path, query) = to.split_once('?').map_or((to, None), |(path, query)| (path, Some(query)));
        let ours = |pair: &&str| pair.starts_with("anteroom_");
        let pairs: Vec<&str> = query.into_iter().flat_map(|query| query.split('&')).collect();
        let theirs: Vec<&str> = pairs.iter().copied().filter(|pair| !ours(pair)).collect();
        let clean = if theirs.is_empty() { path.to_owned() } else { format!("{path}?{}", theirs.join("&")) };
        let escaped = clean.replace('?', "%3F").replace('=', "%3D").replace('&', "%26");
        let leads = got.waits().header("location").unwrap_or_default();
        assert!(got.status == 302 && leads.starts_with(&format!("/gate/wait?to={escaped}")), "{got:?}");
        let leads = leads.to_owned();
        visitor.page(&leads).await
    }
}

/// Starts a program on a free port, in a folder of its own, with the command that is made for both; gives it once it listens.
pub fn start(program: &str, make: impl Fn(u16, &Path) -> Command) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    // Another process may take a free port before it does.
    for _ in 0..5 {
        let port = free_port();
        let mut command = make(port, folder.path());
        let launch = || Process::launch(&mut command, &log, PATIENCE, || answers(port));
        let launched = tokio::task::block_in_place(launch).unwrap_or_else(|error| {
            panic!(
                "these tests need `{program}` on the PATH; `cargo xtask test --only tools --only test` gets it: {error}"
            )
        });
        if let Some(process) = launched {
            return Running { _process: process, _folder: folder, base: format!("http://127.0.0.1:{port}") };
        }
    }
    panic!("{program} did not come up; its log: {}", std::fs::read_to_string(log).unwrap_or_default());
}

/// Whether it knows the way to an asset (Traefik listens before it has read it), or at least that this is no TLS.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut line = String::new();
    stream.write_all(b"GET /assets/is/it/there HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").is_ok()
        && BufReader::new(stream).read_line(&mut line).is_ok()
        && line.starts_with("HTTP/1.1 ")
        && !line.contains("404")
}
