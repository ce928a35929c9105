//! The pages through the real router, as a browser walks them.

use super::*;
use crate::config::Variables;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use std::collections::BTreeMap;
use tower::ServiceExt;

const PAGE_MAX: usize = 30 * 1024;

struct House {
    origin: Origin,
    app: Router,
}

impl House {
    async fn open() -> Self {
        let config = Config::demo(None, &Variables::new()).unwrap();
        let origin = Origin::start(&config).unwrap();
        let demo = Demo::open(origin.app.clone(), DemoOptions { people: NonZeroU32::new(40) }).await.unwrap();
        let app = origin.router(demo.routes());
        Self { origin, app }
    }

    fn visitor(&self, keeps_cookies: bool) -> Visitor {
        Visitor { app: self.app.clone(), keeps_cookies, cookies: BTreeMap::new() }
    }

    async fn set(&self, patch: serde_json::Value) {
        let event = EventId::parse(EVENT).unwrap();
        let settings = room().patched(&patch).unwrap().to_json().to_string();
        self.origin.rooms.put(&event, &settings).await.unwrap();
    }

    fn room(&self) -> Arc<crate::room::Room> {
        self.origin.rooms.get(EVENT).unwrap()
    }
}

struct Visitor {
    app: Router,
    keeps_cookies: bool,
    cookies: BTreeMap<String, String>,
}

struct Page {
    path: String,
    status: StatusCode,
    headers: HeaderMap,
    html: String,
}

impl Page {
    /// The value of the field `name` of the page's forms.
    fn field(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.html.split_once(&format!("name=\"{name}\" value=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    }

    /// The text of the element with this id.
    fn text(&self, id: &str) -> &str {
        let (_, rest) = self.html.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id}: {}", self.html));
        rest.split_once('>').and_then(|(_, rest)| rest.split_once('<')).unwrap().0
    }

    fn is_in_state(&self, state: &str) -> bool {
        self.html.contains(&format!("data-state=\"{state}\""))
    }
}

impl Visitor {
    async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, "", &[]).await
    }

    async fn post(&mut self, path: &str, form: &str) -> Page {
        self.send(Method::POST, path, form, &[]).await
    }

    /// Sends, and follows where it leads.
    async fn send(&mut self, method: Method, path: &str, form: &str, extra: &[(&str, &str)]) -> Page {
        let (mut method, mut path, mut form) = (method, path.to_owned(), form.to_owned());
        for _ in 0..5 {
            let mut request = Request::builder().method(method).uri(&path).header("host", "anteroom.test");
            for (name, value) in extra {
                request = request.header(*name, *value);
            }
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if !cookies.is_empty() {
                request = request.header(header::COOKIE, cookies.join("; "));
            }
            let response = self.app.clone().oneshot(request.body(Body::from(form)).unwrap()).await.unwrap();
            let (parts, body) = response.into_parts();
            for set in parts.headers.get_all(header::SET_COOKIE) {
                let set = set.to_str().unwrap();
                assert!(set.starts_with("__Host-") && set.contains("; Path=/;") && !set.contains("Domain"), "{set}");
                assert!(set.ends_with("; Secure; HttpOnly; SameSite=Lax"), "{set}");
                let (name, value) = set.split_once(';').unwrap().0.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
                if set.contains("Max-Age=0;") || !self.keeps_cookies {
                    self.cookies.remove(name);
                }
            }
            assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store", "{path}");
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

    async fn join(&mut self) -> Page {
        let home = self.get("/").await;
        let key = home.field("key").unwrap().to_owned();
        self.post("/join", &format!("key={key}")).await
    }
}

/// Forms carry the token where cookies do not.
fn carried(page: &Page, name: &str) -> String {
    page.field(name).map_or_else(String::new, |value| format!("{name}={value}"))
}

#[tokio::test]
async fn a_visitor_joins_waits_enters_and_is_done_with_or_without_cookies() {
    for keeps_cookies in [true, false] {
        let house = House::open().await;
        house.set(json!({"mode": "hold"})).await;
        house.visitor(true).join().await;
        let mut visitor = house.visitor(keeps_cookies);
        let page = visitor.join().await;
        assert_eq!(page.path.contains("token="), !keeps_cookies, "{}", page.path);
        assert!(page.is_in_state("waiting"), "{}", page.html);
        assert_eq!(
            (page.text("position"), page.text("total"), page.text("behind")),
            ("2", "of 2 in line", "nobody behind you")
        );
        assert_eq!(page.text("eta"), "No estimate yet");
        // Taking the turn before it has come leads back to the line.
        let early = visitor.post("/enter", &carried(&page, "token")).await;
        assert!(early.path.starts_with("/wait") && early.is_in_state("waiting"), "{}", early.path);
        assert_eq!(house.room().call_by_hand(2).await.unwrap(), Some(2));
        let page = visitor.get(&page.path).await;
        assert!(page.is_in_state("ready"), "{}", page.html);
        let shop = visitor.post("/enter", &carried(&page, "token")).await;
        assert_eq!(shop.path.contains("pass="), !keeps_cookies, "{}", shop.path);
        assert!(shop.path.starts_with("/shop") && shop.html.contains("Lantern walk"), "{}", shop.html);
        // Again, as after a press on "back": the same session, and the cookie leads straight to it.
        let again = visitor.get(&page.path).await;
        let again = if keeps_cookies { again } else { visitor.post("/enter", &carried(&again, "token")).await };
        assert_eq!(again.path, shop.path);
        assert_eq!(house.room().view().facts.active + house.room().view().facts.ready, 2);
        let done = visitor.post("/done", &carried(&shop, "pass")).await;
        assert!(done.path == "/?done" && done.html.contains("Thank you"), "{}", done.path);
        assert!(visitor.cookies.is_empty());
        let after = visitor.get(&shop.path).await;
        assert!(!after.html.contains("Lantern walk"), "the session is over: {}", after.path);
    }
}

#[tokio::test]
async fn one_form_and_one_browser_are_one_place() {
    let house = House::open().await;
    house.set(json!({"mode": "hold"})).await;
    let mut visitor = house.visitor(true);
    let home = visitor.get("/").await;
    let form = format!("key={}", home.field("key").unwrap());
    let mut twin = house.visitor(true);
    let (first, second) = tokio::join!(visitor.post("/join", &form), twin.post("/join", &form));
    assert_eq!((first.text("position"), second.text("position")), ("1", "1"), "a double click");
    assert_eq!(visitor.cookies, twin.cookies);
    let other_tab = visitor.post("/join", &format!("key={}", uuid::Uuid::new_v4())).await;
    assert_eq!((other_tab.path.as_str(), other_tab.text("position")), ("/wait", "1"));
    assert!(visitor.get("/").await.html.contains("href=\"/wait\""), "the start leads back to the place");
    house.room().refresh().await.unwrap();
    assert_eq!(house.room().view().facts.issued, 1);
}

#[tokio::test]
async fn leaving_is_a_form_and_joining_again_is_a_new_place() {
    let house = House::open().await;
    house.set(json!({"mode": "hold"})).await;
    let mut visitor = house.visitor(false);
    let page = visitor.join().await;
    assert!(visitor.get("/leave").await.status == StatusCode::METHOD_NOT_ALLOWED, "no GET changes anything");
    let left = visitor.post("/leave", &carried(&page, "token")).await;
    assert!(left.path == "/?left" && left.html.contains("You have left the line"));
    let over = visitor.get(&page.path).await;
    assert!(over.html.contains("You have left the line"), "{}", over.html);
    let again = visitor.post("/join", &format!("key={}", over.field("key").unwrap())).await;
    assert!(again.is_in_state("waiting"));
    assert_ne!(carried(&again, "token"), carried(&page, "token"));
}

#[tokio::test]
async fn a_missed_turn_a_reset_and_nonsense_are_said_and_lead_on() {
    let house = House::open().await;
    house.set(json!({"claim_sec": 1})).await;
    let mut visitor = house.visitor(true);
    assert!(visitor.join().await.is_in_state("ready"), "an empty line adds no wait");
    let missed = loop {
        let page = visitor.get("/wait").await;
        if !page.is_in_state("ready") {
            break page;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(missed.html.contains("Your turn has passed"), "{}", missed.html);
    let late = visitor.post("/enter", "").await;
    assert!(late.html.contains("Your turn has passed"));
    house.room().reset().await.unwrap();
    assert!(visitor.get("/wait").await.html.contains("This is not a place in line"));
    for nonsense in ["nonsense", "a.b.c", "%3Cscript%3Ealert(1)%3C/script%3E", "%00", "%E2%98%83"] {
        let page = house.visitor(true).get(&format!("/wait?token={nonsense}")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.html.contains("This is not a place in line") && !page.html.contains("alert(1)"));
        let page = house.visitor(true).post("/enter", &format!("token={nonsense}")).await;
        assert!(page.html.contains("This is not a place in line"), "{nonsense}: {}", page.path);
    }
}

#[tokio::test]
async fn the_shop_opens_to_an_open_session_of_this_event_only() {
    let house = House::open().await;
    let mut visitor = house.visitor(true);
    assert_eq!(visitor.get("/shop").await.path, "/", "nobody in particular goes to the start");
    house.set(json!({"mode": "hold"})).await;
    visitor.join().await;
    assert_eq!(visitor.get("/shop").await.path, "/wait", "who waits goes back to waiting");
    let waiting_token = visitor.cookies.values().next().unwrap().clone();
    for pass in [waiting_token.as_str(), "nonsense", "a.b.c"] {
        let page = house.visitor(true).get(&format!("/shop?pass={pass}")).await;
        assert!(!page.html.contains("Lantern walk"), "{pass}");
    }
    // A pass of ours for another event.
    let claims = crate::pass::PassClaims {
        event: EventId::parse("other").unwrap(),
        generation: house.room().view().facts.generation,
        slot: anteroom_core::units::Slot(1),
        ticket: anteroom_core::units::Ticket(1),
        identity: None,
        jti: "other.1.1".into(),
        iat: 1,
        exp: u64::MAX >> 12,
        session_ends: u64::MAX >> 12,
    };
    let pass = house.origin.app.passes.sign(&claims);
    let page = house.visitor(true).get(&format!("/shop?pass={pass}")).await;
    assert!(!page.html.contains("Lantern walk"));
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_refused_in_the_one_shape() {
    let house = House::open().await;
    for path in ["/join", "/api/v1/queue/join", "/api/v1/sessions/end"] {
        let page = house.visitor(true).get(path).await;
        assert_eq!(
            (page.status, &page.headers[header::ALLOW]),
            (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
        );
        assert!(page.html.contains("METHOD_NOT_ALLOWED"), "{path}: {}", page.html);
    }
}

#[tokio::test]
async fn forms_of_other_sites_do_nothing() {
    let house = House::open().await;
    for extra in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")]
    {
        for path in ["/join", "/enter", "/leave", "/done"] {
            let page = house.visitor(true).send(Method::POST, path, "", &[extra]).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {extra:?}");
            assert!(page.html.contains("another site") && page.headers.get(header::SET_COOKIE).is_none());
        }
    }
    house.room().refresh().await.unwrap();
    assert_eq!(house.room().view().facts.issued, 0);
}

#[tokio::test]
async fn every_page_is_small_strict_and_nobody_elses() {
    let house = House::open().await;
    house.set(json!({"burst": 1})).await;
    let mut first = house.visitor(true);
    first.join().await;
    let first_token = first.cookies.values().next().unwrap().clone();
    let shop = first.post("/enter", "").await;
    let mut visitor = house.visitor(false);
    let home = visitor.get("/").await;
    let wait = visitor.join().await;
    let ended = visitor.get("/wait?token=x").await;
    let error = visitor.send(Method::POST, "/join", "", &[("origin", "null")]).await;
    let mut nonces = Vec::new();
    for page in [&home, &wait, &ended, &error, &shop] {
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(page.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(page.html.len() < PAGE_MAX, "{}: {} bytes", page.path, page.html.len());
        assert!(!page.html.contains(&first_token), "{} shows somebody else's place", page.path);
        assert!(!page.html.contains(" style=") && !page.html.contains(" onclick="), "{}", page.path);
        for outside in ["src=", "https://", "url(", "@import"] {
            assert!(!page.html.contains(outside), "{} asks for something outside: {outside}", page.path);
        }
        let nonce = page.html.split_once("nonce=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
        assert!(policy.contains(&format!("'nonce-{nonce}'")) && !nonces.contains(&nonce));
        nonces.push(nonce);
    }
    for page in [&home, &wait] {
        assert!(page.html.contains("are simulated"), "{} hides that the others are simulated", page.path);
    }
}

#[tokio::test]
async fn without_a_script_a_position_never_goes_up_and_progress_never_back() {
    let house = House::open().await;
    house.set(json!({"mode": "hold"})).await;
    for _ in 0..4 {
        house.visitor(true).join().await;
    }
    let mut visitor = house.visitor(true);
    let page = visitor.join().await;
    let refresh = page.html.split_once("http-equiv=\"refresh\" content=\"").unwrap().1.split_once('"').unwrap().0;
    let (sec, url) = refresh.split_once(";url=").unwrap();
    assert!((13..=20).contains(&sec.parse::<u64>().unwrap()), "{sec}");
    assert_eq!(url.replace("&amp;", "&").replace("&#x2f;", "/"), "/wait?of=5&best=5");
    for (address, position, progress) in [
        ("/wait?of=9&best=3", "3", "max=\"9\" value=\"6\""),
        ("/wait?of=9&best=70", "5", "max=\"9\" value=\"4\""),
        ("/wait?of=2&best=0", "1", "max=\"2\" value=\"1\""),
        ("/wait?of=-1&best=%22%3E", "5", "max=\"5\" value=\"0\""),
        ("/wait?of=18446744073709551615&best=18446744073709551615", "5", "value=\""),
    ] {
        let page = visitor.get(address).await;
        assert_eq!(page.text("position"), position, "{address}");
        assert!(page.html.contains(progress), "{address}");
    }
}

#[tokio::test]
async fn what_an_operator_says_is_text_not_markup() {
    let pages = Pages::new();
    let response = pages.show("notice.html", false, minijinja::context! { text => "<b onclick=\"x()\">&'" });
    let html = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let html = String::from_utf8(html.to_vec()).unwrap();
    assert!(html.contains("&lt;b onclick=&quot;x()&quot;&gt;&amp;&#x27;"), "{html}");
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
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    crowd.abort();
    assert!(house.room().view().facts.issued >= 30);
}

#[test]
fn the_greeting_says_what_to_open_and_never_a_configured_token() {
    let settings = room();
    let options = DemoOptions { people: None };
    let address = reachable("0.0.0.0:8000".parse().unwrap());
    let secret = Secret::new("swordfish");
    let made_up = Greeting { address, settings: &settings, admin: Some(&secret), options }.to_string();
    assert!(made_up.contains("http://127.0.0.1:8000/\n") && made_up.contains("Bearer swordfish\""), "{made_up}");
    let configured = Greeting { address, settings: &settings, admin: None, options }.to_string();
    assert!(configured.contains("Bearer $ANTEROOM_ADMIN_TOKEN\""), "{configured}");
}
