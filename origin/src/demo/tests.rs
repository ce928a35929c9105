//! The demo as a visitor walks it: the gate and the shop behind it, over the real router.

use super::*;
use crate::config::Variables;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use std::collections::BTreeMap;
use std::sync::Arc;
use tower::ServiceExt;

const OPTIONS: DemoOptions =
    DemoOptions { people: NonZeroU32::new(40), shop: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0) };

struct House {
    origin: Origin,
    app: Router,
}

impl House {
    async fn open() -> Self {
        let mut config = Config::demo(None, &Variables::new()).unwrap();
        config.upstream = Some(open_shop(OPTIONS.shop).await.unwrap());
        let origin = Origin::start(&config).unwrap();
        open_room(&origin.app, OPTIONS).await.unwrap();
        let app = origin.router();
        Self { origin, app }
    }

    fn visitor(&self) -> Visitor {
        Visitor { app: self.app.clone(), cookies: BTreeMap::new() }
    }

    async fn set(&self, patch: serde_json::Value) {
        let event = EventId::parse(EVENT).unwrap();
        let settings = room(OPTIONS).patched(&patch).unwrap().to_json().to_string();
        self.origin.rooms.put(&event, &settings).await.unwrap();
    }

    fn room(&self) -> Arc<crate::room::Room> {
        self.origin.rooms.get(EVENT).unwrap()
    }

    /// Waits until the store knows so many people inside.
    async fn inside(&self, people: u64) {
        let begun = std::time::Instant::now();
        while self.room().view().facts.active != people {
            assert!(begun.elapsed().as_secs() < 30, "{} inside, not {people}", self.room().view().facts.active);
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.room().refresh().await.unwrap();
        }
    }
}

struct Visitor {
    app: Router,
    cookies: BTreeMap<String, String>,
}

struct Page {
    path: String,
    status: StatusCode,
    headers: HeaderMap,
    html: String,
}

impl Visitor {
    async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, "").await
    }

    /// Sends, and follows where it leads.
    async fn send(&mut self, method: Method, path: &str, form: &str) -> Page {
        let (mut method, mut path, mut form) = (method, path.to_owned(), form.to_owned());
        for _ in 0..5 {
            let mut request = Request::builder().method(method).uri(&path).header("host", "shop.test");
            request = request.header("accept", "text/html,*/*;q=0.8");
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if !cookies.is_empty() {
                request = request.header(header::COOKIE, cookies.join("; "));
            }
            let response = self.app.clone().oneshot(request.body(Body::from(form)).unwrap()).await.unwrap();
            let (parts, body) = response.into_parts();
            for set in parts.headers.get_all(header::SET_COOKIE) {
                let set = set.to_str().unwrap();
                let (name, value) = set.split_once(';').unwrap().0.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
                if set.contains("Max-Age=0") {
                    self.cookies.remove(name);
                }
            }
            if parts.status != StatusCode::SEE_OTHER {
                let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let html = String::from_utf8(bytes.to_vec()).unwrap();
                return Page { path, status: parts.status, headers: parts.headers, html };
            }
            path = parts.headers[header::LOCATION].to_str().unwrap().to_owned();
            (method, form) = (Method::GET, String::new());
        }
        panic!("going round in circles at {path}");
    }
}

const ENTER: &str = "event=demo&to=%2Ftickets";

#[tokio::test]
async fn a_visitor_looks_around_waits_buys_and_makes_room_for_the_next() {
    let house = House::open().await;
    house.set(json!({"mode": "hold"})).await;
    let mut visitor = house.visitor();
    let home = visitor.get("/").await;
    assert!(home.html.contains("href=\"/tickets\"") && visitor.cookies.is_empty(), "the start is open to all");
    assert_eq!(visitor.get("/style.css").await.headers[header::CONTENT_TYPE], "text/css");
    let waiting = visitor.get("/tickets").await;
    assert_eq!((waiting.status, waiting.path.as_str()), (StatusCode::OK, "/tickets"));
    assert!(waiting.html.contains("You are in line") && waiting.html.contains("are simulated"), "{}", waiting.html);
    assert_eq!(waiting.headers[header::CACHE_CONTROL], "private, no-store");
    let early = visitor.send(Method::POST, "/gate/enter", ENTER).await;
    assert!(early.html.contains("You are in line"), "before the turn, the form leads back to the line");
    assert_eq!(house.room().call_by_hand(1).await.unwrap(), Some(1));
    let inside = visitor.send(Method::POST, "/gate/enter", ENTER).await;
    assert!(inside.path == "/tickets" && inside.html.contains("you had number 1"), "{}", inside.html);
    house.inside(1).await;
    let thanks = visitor.send(Method::POST, "/tickets/order", "seat=Quay%2C+seated").await;
    assert!(thanks.path.starts_with("/thanks") && thanks.html.contains("Quay, seated is yours"), "{}", thanks.html);
    assert!(visitor.cookies.is_empty(), "{:?}", visitor.cookies);
    house.inside(0).await;
    assert!(visitor.get("/tickets").await.html.contains("You are in line"), "a second visit is a new place");
}

#[tokio::test]
async fn a_quiet_shop_adds_no_wait() {
    let house = House::open().await;
    let inside = house.visitor().get("/tickets").await;
    assert!(inside.html.contains("Choose your ticket"), "{}", inside.html);
}

#[tokio::test]
async fn an_order_of_nothing_leads_back_to_the_tickets() {
    let house = House::open().await;
    let mut visitor = house.visitor();
    for form in ["", "seat=", "seat=Moon", "%%%"] {
        let page = visitor.send(Method::POST, "/tickets/order", form).await;
        assert!(page.path == "/tickets" && page.html.contains("Choose your ticket"), "{form}: {}", page.path);
    }
    assert!(!house.visitor().get("/thanks?seat=%3Cb%3E").await.html.contains("<b>"));
}

#[tokio::test]
async fn simulated_people_keep_a_line_going() {
    let house = House::open().await;
    house.set(json!({"admit_per_minute": 6000, "burst": 3})).await;
    let event = EventId::parse(EVENT).unwrap();
    let crowd = Crowd::new(house.origin.app.clone(), event, NonZeroU32::new(30).unwrap());
    let crowd = tokio::spawn(crowd.keep_coming());
    let begun = std::time::Instant::now();
    while house.room().view().facts.entered_total < 3 {
        assert!(begun.elapsed().as_secs() < 60, "nobody entered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    crowd.abort();
    assert!(house.room().view().facts.issued >= 30);
}

#[test]
fn the_waiting_page_looks_like_the_shop() {
    let problems = anteroom_page::Pages::new().check(&room(OPTIONS).page);
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn the_greeting_says_what_to_open_and_never_a_configured_token() {
    let options = DemoOptions { people: None, ..OPTIONS };
    let settings = room(options);
    let address = reachable("0.0.0.0:8000".parse().unwrap());
    let shop = Url::parse("http://127.0.0.1:4321").unwrap();
    let secret = Secret::new("swordfish");
    let greeting = |admin| Greeting { address, shop: &shop, settings: &settings, admin, options }.to_string();
    let made_up = greeting(Some(&secret));
    assert!(made_up.contains("http://127.0.0.1:8000/ ") && made_up.contains("Bearer swordfish\""), "{made_up}");
    assert!(made_up.contains("http://127.0.0.1:4321/"));
    assert!(greeting(None).contains("Bearer $ANTEROOM_ADMIN_TOKEN\""));
}
