//! A gate, the site behind it, and who visits.

use crate::shop::Shop;
use crate::support::wire::Wire;
use crate::support::{Client, EDGE, SECRET, Site, Store, eventually};
use anteroom_testkit::workerd::Workerd;
use reqwest::header::HeaderMap;
use reqwest::{Method, redirect};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where the gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// In the origin.
    Native,
    /// In the worker, on workerd in front of an origin.
    Edge,
}

/// See the module's comment.
pub struct House {
    /// The address to visit.
    pub base: String,
    /// The origin's API.
    pub api: Client,
    /// The site.
    pub shop: Shop,
    /// What holds it up.
    pub site: Site,
    /// The worker, and the way from it to the origin.
    pub front: Option<(Workerd, Wire)>,
}

impl House {
    /// A gate with a room called `sale`.
    pub async fn open(host: Host, settings: Value) -> Self {
        Self::with_rooms(host, &[("sale", settings)]).await
    }

    /// A gate with these rooms.
    pub async fn with_rooms(host: Host, rooms: &[(&str, Value)]) -> Self {
        Self::set_up(host, Store::Embedded, &[], rooms).await
    }

    /// The origin's own gate, without rooms.
    pub async fn native(store: Store, more: &[(&str, &str)]) -> Self {
        Self::set_up(Host::Native, store, more, &[]).await
    }

    /// A gate in front of an origin, with these settings of either beside the usual ones.
    pub async fn set_up(host: Host, store: Store, more: &[(&str, &str)], rooms: &[(&str, Value)]) -> Self {
        let shop = Shop::open().await;
        Self::before(host, store, more, rooms, shop, None).await
    }

    /// A gate in front of the site at `upstream`, or of the shop.
    async fn before(
        host: Host,
        store: Store,
        more: &[(&str, &str)],
        rooms: &[(&str, Value)],
        shop: Shop,
        upstream: Option<&str>,
    ) -> Self {
        let url = upstream.map_or_else(|| shop.url(), str::to_owned);
        // What is about the site is the gate's, wherever that stands.
        let (mut of_site, settings): (Vec<_>, Vec<_>) =
            more.iter().copied().partition(|(name, _)| name.starts_with("ANTEROOM_UPSTREAM"));
        let settings = match host {
            Host::Native => [&[("ANTEROOM_UPSTREAM", url.as_str())], &of_site[..], &settings].concat(),
            Host::Edge => settings,
        };
        let site = store.start(&settings).await;
        let api = Client::new(site.base());
        // The edge asks for the rooms as it starts, and from then on every few seconds.
        for (event, settings) in rooms {
            api.put(event, settings.clone()).await;
        }
        let front = match host {
            Host::Native => None,
            Host::Edge => {
                let wire = Wire::to(site.base()).await;
                of_site.extend([
                    ("ORIGIN", wire.url()),
                    ("UPSTREAM", url.as_str()),
                    ("ANTEROOM_SECRET", SECRET),
                    ("ANTEROOM_EDGE_TOKEN", EDGE),
                ]);
                Some((tokio::task::block_in_place(|| Workerd::start(&of_site)), wire))
            }
        };
        // What starts the edge asks it something, to see whether it answers.
        shop.seen.requests.store(0, std::sync::atomic::Ordering::SeqCst);
        let base = front.as_ref().map_or_else(|| site.base().to_owned(), |(workerd, _)| workerd.url());
        Self { base, api, shop, site, front }
    }

    /// A gate that guards nothing, in front of another site.
    pub async fn in_front_of(host: Host, upstream: &str) -> Self {
        Self::before(host, Store::Embedded, &[], &[], Shop::open().await, Some(upstream)).await
    }

    /// Changes the settings of a room, and waits until the gate knows them: an edge asks every five seconds.
    pub async fn put(&self, event: &str, settings: Value) {
        let all = self.api.put(event, settings).await;
        let Some((_, wire)) = &self.front else { return };
        eventually("the edge is told", async || {
            self.look_at_board(event).await;
            (wire.told(event).as_ref() == Some(&all)).then_some(())
        })
        .await;
        // The answer has passed the wire; now it has arrived.
        self.look_at_board(event).await;
        self.look_at_board(event).await;
    }

    /// Begins a new generation, and waits until the gate knows it: an edge asks every second.
    pub async fn reset(&self, event: &str) {
        let before = self.look_at_board(event).await["generation"].as_u64();
        self.api.send(self.api.admin("POST", &format!("/rooms/{event}/reset"))).await.ok(200);
        eventually("the gate knows of the reset", async || {
            (self.look_at_board(event).await["generation"].as_u64() > before).then_some(())
        })
        .await;
    }

    /// That the gate answers, and that nothing in it has panicked.
    pub async fn is_well(&self) {
        assert!(self.visitor().data("/is/anybody/there").await.status < 500);
        if let Some((workerd, _)) = &self.front {
            let log = workerd.log();
            for word in ["panicked", "RuntimeError", "could not be answered", "unreachable"] {
                assert!(!log.contains(word), "{log}");
            }
        }
    }

    /// The public board, as the gate has it.
    pub async fn look_at_board(&self, event: &str) -> Value {
        let client = Client::new(&self.base);
        client.get(&format!("/api/v1/queue/board?event_id={event}")).await.body
    }

    /// Somebody with a browser that keeps cookies.
    pub fn visitor(&self) -> Visitor {
        Visitor::of(&self.base)
    }

    /// Sends bytes and gives the answer: everything that comes back until the connection is closed, or until it is whole. workerd
    /// closes no connection because it is asked to.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        exchange(&mut stream, bytes).await
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.base.strip_prefix("http://").unwrap()).await.unwrap()
    }
}

/// Sends bytes and gives the answer to them.
pub async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> String {
    // A server may answer, and close, before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = async { while !is_whole(&answer) && !matches!(stream.read_buf(&mut answer).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether these bytes are a whole answer, with the length it says or with its last piece.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length) || body.ends_with("0\r\n\r\n")
}

/// Somebody who visits.
#[derive(Clone)]
pub struct Visitor {
    base: String,
    http: reqwest::Client,
    pub cookies: BTreeMap<String, String>,
    /// Whether the browser keeps cookies.
    pub keeps: bool,
    pub host: Option<String>,
}

/// What they got.
#[derive(Clone, Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// `Null` when it is not JSON.
    pub body: Value,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// What the site was asked, as it tells.
    pub fn of_the_shop(&self) -> &Value {
        assert_eq!(self.header("x-shop"), Some("open"), "{self:?}");
        &self.body["asked"]
    }

    /// That the site was not asked.
    pub fn waits(&self) -> &Self {
        assert_eq!(self.header("x-shop"), None, "{self:?}");
        self
    }

    pub fn refused(&self, code: &str) -> &Value {
        assert_eq!(self.waits().body["error"]["code"], code, "{self:?}");
        &self.body["error"]
    }

    /// That it is a page of ours about this scene.
    pub fn is_page(&self, scene: &str) -> &Self {
        assert!(self.waits().header("content-type").unwrap_or("").starts_with("text/html"), "{self:?}");
        assert!(self.scene().starts_with(scene), "{scene}: {self:?}");
        self
    }

    fn scene(&self) -> &str {
        self.header("anteroom-scene").unwrap_or("none")
    }

    /// The token that the page carries by hand.
    pub fn by_hand(&self) -> Option<String> {
        let (_, rest) = self.text.split_once("name=\"token\" value=\"")?;
        rest.split('"').next().map(str::to_owned)
    }
}

impl Visitor {
    /// Somebody with a browser that keeps cookies, at this address.
    pub fn of(base: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none());
        // workerd closes a connection that was not used for five seconds, and a request could meet that.
        let http = http.pool_idle_timeout(Duration::from_secs(1)).timeout(Duration::from_secs(20)).build().unwrap();
        Self { base: base.to_owned(), http, cookies: BTreeMap::new(), keeps: true, host: None }
    }

    pub fn without_cookies(self) -> Self {
        Self { keeps: false, ..self }
    }

    pub fn at(self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self }
    }

    pub async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Got {
        let mut request =
            self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(host) = &self.host {
            request = request.header("host", host);
        }
        if !self.cookies.is_empty() {
            let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", jar.join("; "));
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let got = Got { status, headers, text, body };
        self.take_cookies(&got);
        got
    }

    fn take_cookies(&mut self, got: &Got) {
        for cookie in got.cookies() {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if name.starts_with("__Host-") {
                assert!(attributes.contains("Path=/") && attributes.contains("Secure"), "{cookie}");
                let said: Vec<_> = got.headers.get_all("cache-control").iter().collect();
                assert_eq!(said, ["private, no-store"], "{got:?}");
            }
            if !self.keeps || attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Goes somewhere, as a browser does.
    pub async fn page(&mut self, path: &str) -> Got {
        self.ask("GET", path, &BROWSER, None).await
    }

    /// Asks as a program does.
    pub async fn data(&mut self, path: &str) -> Got {
        self.ask("GET", path, &[("accept", "application/json")], None).await
    }

    /// Loads a part of a page.
    pub async fn asset(&mut self, path: &str) -> Got {
        self.ask("GET", path, &[("accept", "image/*"), ("sec-fetch-dest", "image")], None).await
    }

    /// Posts a form of the waiting page.
    pub async fn post(&mut self, form: &str, to: &str, token: Option<&str>) -> Got {
        let escape = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let token = token.map(|token| format!("&token={}", escape(token))).unwrap_or_default();
        let body = format!("event=sale&to={}{token}", escape(to));
        let own = ("content-type", "application/x-www-form-urlencoded");
        let headers = [&BROWSER[..1], &[own, ("sec-fetch-site", "same-origin")]].concat();
        self.ask("POST", &format!("/gate/{form}"), &headers, Some(&body)).await
    }

    /// The token of a cookie of this kind, `wait` or `session`.
    pub fn token(&self, kind: &str) -> Option<&String> {
        self.cookies.get(&format!("__Host-anteroom-{kind}-sale"))
    }

    /// Waits for the turn that the place has, and takes it.
    pub async fn enter(&mut self, house: &House, to: &str) -> Got {
        house.api.ready(self.token("wait").unwrap()).await;
        self.post("enter", to, None).await
    }
}

pub const BROWSER: [(&str, &str); 3] = [
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];

/// A room in which nobody is called unless the test says so.
pub fn held() -> Value {
    json!({"mode": "hold", "min_wait": []})
}

/// A room in which everybody may go in at once.
pub fn quick() -> Value {
    json!({"admit_per_minute": 6_000_000, "burst": 1_000_000, "min_wait": []})
}
