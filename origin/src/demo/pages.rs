//! The pages' routes: a start, a place to wait, a shop behind it. Everything that changes something is a form that is
//! posted and then leads to a page, so it works without a script, and a reload repeats nothing.
//!
//! A place is carried in a cookie. Where the browser keeps none, it is carried in the address and in the forms: a
//! person whose cookies are blocked waits like everybody else.

use super::Demo;
use super::form::OwnForm;
use super::words::{clock, grouped};
use crate::api::queue::{self, Heard};
use crate::api::shown::{self, query_value};
use crate::api::{Caller, passes};
use crate::error::ApiError;
use anteroom_core::code::ErrorCode;
use anteroom_core::line::Standing;
use anteroom_core::token::WaitingClaims;
use anteroom_core::units::{Millis, Position, Slot};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::context;
use minijinja::value::{Serde, Value};
use std::sync::Arc;
use uuid::Uuid;

/// Names of the cookies that hold the pass of an open session: this and the event.
const SESSION_COOKIE: &str = "__Host-anteroom-session-";
/// Longest that a page without script leaves somebody alone with the button that takes the turn, seconds.
const UNDISTURBED_SEC: u64 = 15;

/// All of them.
pub fn routes(demo: Arc<Demo>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/join", post(join))
        .route("/wait", get(wait))
        .route("/enter", post(enter))
        .route("/leave", post(leave))
        .route("/shop", get(shop))
        .route("/done", post(done))
        .with_state(demo)
}

type Shared = State<Arc<Demo>>;

/// A token that came with a request, and whether the browser did not keep it in a cookie.
struct Carried {
    token: String,
    by_hand: bool,
}

impl Carried {
    /// The token in a form or an address, if there is one; otherwise the one in the cookie.
    fn find(given: Option<String>, headers: &HeaderMap, cookie: &str, demo: &Demo) -> Option<Self> {
        let kept = shown::cookie(headers, cookie, Some(demo.event.as_str()));
        match given {
            Some(token) => Some(Self { by_hand: kept != Some(&token), token }),
            None => kept.map(|token| Self { token: token.to_owned(), by_hand: false }),
        }
    }

    /// What forms and addresses must carry.
    fn by_hand(&self) -> Option<&str> {
        self.by_hand.then_some(self.token.as_str())
    }

    /// Takes the cookies away, unless they are about something else.
    fn forget(&self, response: Response, demo: &Demo) -> Response {
        if self.by_hand {
            return response;
        }
        let response = with_cookie(response, demo, shown::COOKIE, "", 0);
        with_cookie(response, demo, SESSION_COOKIE, "", 0)
    }

    /// `path` for whoever carries this.
    fn back_to(&self, path: &str, name: &str) -> String {
        match self.by_hand() {
            Some(token) => {
                // Whatever was shown goes back as it came, and as nothing else.
                let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
                format!("{path}?{name}={token}")
            }
            None => path.to_owned(),
        }
    }
}

fn query(uri: &Uri, name: &str) -> Option<String> {
    query_value(uri, name).filter(|value| !value.is_empty()).map(Into::into)
}

async fn home(State(demo): Shared, headers: HeaderMap, uri: Uri) -> Response {
    let show = async {
        let room = demo.app.room(&demo.event).await?;
        let words = &demo.pages.words;
        let banner = ["left", "done", "over"].into_iter().find(|name| query_value(&uri, name).is_some());
        let inside = match Carried::find(None, &headers, SESSION_COOKIE, &demo) {
            Some(pass) => session(&demo, &pass.token).await?.is_some(),
            None => false,
        };
        let place = match Carried::find(None, &headers, shown::COOKIE, &demo) {
            Some(carried) => is_live(&demo, &carried.token).await,
            None => false,
        };
        let view = room.view();
        let waiting = view.facts.waiting;
        let eta = view.pace.estimate(Position(waiting + 1), room.host().clock.now());
        let facts = context! {
            banner => banner.map(|name| words.text(&format!("/home/{name}"))),
            inside,
            place,
            key => Uuid::new_v4().to_string(),
            waiting => match waiting {
                0 => words.text("/home/nobody").to_owned(),
                n => words.count("/home/waiting", n),
            },
            wait => eta.filter(|_| waiting > 0).map(|eta| {
                words.text("/home/wait").replace("{time}", &words.about(eta.sec.max(1)))
            }),
        };
        Ok(demo.pages.show("home.html", demo.options.people.is_some(), facts))
    };
    show.await.unwrap_or_else(|error| demo.pages.show_error(error))
}

/// Gives a place, unless the browser has one that is still good. The key in the form makes a second click the same
/// place.
async fn join(State(demo): Shared, headers: HeaderMap, form: Result<OwnForm, ApiError>) -> Response {
    let give = async {
        let form = form?;
        if let Some(carried) = Carried::find(form.field("token"), &headers, shown::COOKIE, &demo)
            && is_live(&demo, &carried.token).await
        {
            return Ok(see_other(&carried.back_to("/wait", "token")));
        }
        let key = form.field("key").and_then(|key| Uuid::try_parse(&key).ok());
        let place = queue::place(&demo.app, &Caller::Anonymous, demo.event.clone(), None, key).await?;
        let max_age = u64::from(demo.app.room(&demo.event).await?.view().settings.max_wait_min) * 60;
        // The address is for browsers that do not keep the cookie; with those that do, the page takes it out again.
        let carried = Carried { token: place.token, by_hand: true };
        Ok(with_cookie(see_other(&carried.back_to("/wait", "token")), &demo, shown::COOKIE, &carried.token, max_age))
    };
    give.await.unwrap_or_else(|error| demo.pages.show_error(error))
}

async fn wait(State(demo): Shared, headers: HeaderMap, uri: Uri) -> Response {
    let given = query(&uri, "token");
    let in_address = given.is_some();
    let Some(carried) = Carried::find(given, &headers, shown::COOKIE, &demo) else { return see_other("/") };
    if in_address && !carried.by_hand {
        return see_other("/wait");
    }
    let heard = match queue::hear(&demo.app, &carried.token).await {
        Ok(heard) if heard.claims.event == demo.event => heard,
        Err(error) if error.code() != ErrorCode::TokenNotFound => return demo.pages.show_error(error),
        _ => return show_ended(&demo, "unknown", &carried),
    };
    let state = match heard.standing {
        Standing::Waiting | Standing::Silent | Standing::Ready { .. } => {
            return show_line(&demo, &carried, &heard, &uri);
        }
        Standing::Entered => {
            let (claims, slot) = (&heard.claims, Slot(heard.claims.ticket.0));
            match passes::session_end(&demo.app, &claims.event, claims.generation, slot).await {
                Ok(Some(_)) if is_inside(&demo, &headers, claims) => return see_other("/shop"),
                Ok(Some(_)) => "entered",
                Ok(None) => "over",
                Err(error) => return demo.pages.show_error(error),
            }
        }
        Standing::Missed => "missed",
        Standing::PassedOver => "passed",
        Standing::Left => "left",
        Standing::Unknown => "unknown",
    };
    show_ended(&demo, state, &carried)
}

/// The page of somebody who waits or may enter.
fn show_line(demo: &Demo, carried: &Carried, heard: &Heard, uri: &Uri) -> Response {
    let reply = match heard.reply() {
        Ok(reply) => reply,
        Err(error) => return demo.pages.show_error(error),
    };
    let words = &demo.pages.words;
    // Without a script the address remembers what the page has shown: a position does not go up, progress not back.
    let shown = |name| query_value(uri, name).and_then(|text| text.parse::<u64>().ok());
    let best = shown("best").unwrap_or(u64::MAX).clamp(reply.position.min(1), reply.position);
    let of = shown("of").unwrap_or(0).clamp(best.max(1), 1 << 40);
    let behind = reply.total_waiting.saturating_sub(reply.position);
    let left = match heard.standing {
        Standing::Ready { until, .. } => until.since(heard.now) / 1000,
        _ => 0,
    };
    let poll_sec = reply.poll_after_ms.div_ceil(1000);
    let refresh_sec = if reply.ready_for_entry { poll_sec.max(UNDISTURBED_SEC.min(left + 1)) } else { poll_sec };
    let mut refresh_url = format!("/wait?of={of}&best={best}");
    if let Some(token) = carried.by_hand() {
        refresh_url.push_str("&token=");
        refresh_url.push_str(token);
    }
    let (eta, range) = match (reply.eta_sec, reply.eta_low_sec, reply.eta_high_sec) {
        (Some(0), Some(low), Some(high)) => (words.text("/live/soon").to_owned(), words.range(low, high)),
        (Some(eta), Some(low), Some(high)) => {
            (words.text("/live/eta").replace("{time}", &words.about(eta)), words.range(low, high))
        }
        _ => (words.text("/live/unknown").to_owned(), String::new()),
    };
    let range = match range.as_str() {
        "" => words.text("/live/unknown_why").to_owned(),
        range => words.text("/live/likely").replace("{range}", range),
    };
    let heartbeat = heard.settings().heartbeat_sec;
    let live = context! {
        status => Value::from(Serde(&reply)),
        words => Value::from(Serde(&words.all()["live"])),
        url => format!("/api/v1/queue/status?event_id={}", demo.event),
        token => carried.by_hand(),
        key => format!("{}.{}.{}", demo.event, heard.claims.generation.0, heard.claims.ticket.0),
        of,
        best,
    };
    let facts = context! {
        state => reply.status,
        title => match reply.ready_for_entry {
            true => words.text("/live/title_ready").to_owned(),
            false => words.count("/live/title", best),
        },
        refresh => context! { sec => refresh_sec, url => refresh_url },
        token => carried.by_hand(),
        position => grouped(best),
        total => words.count("/live/of", reply.total_waiting.max(best)),
        behind => match behind {
            0 => words.text("/live/first").to_owned(),
            n => words.count("/live/behind", n),
        },
        progress => context! { max => of, value => of - best },
        eta,
        range,
        left => clock(left),
        waited => clock(reply.waiting_time),
        number => grouped(heard.claims.ticket.0),
        keep => words.count("/wait/keep", heartbeat.into()),
        connection => if reply.stale { words.text("/live/stale") } else { "" },
        live,
    };
    demo.pages.show("wait.html", demo.options.people.is_some(), facts)
}

fn show_ended(demo: &Demo, state: &str, carried: &Carried) -> Response {
    let facts = context! {
        state,
        text => Value::from(Serde(&demo.pages.words.all()["ended"][state])),
        token => carried.by_hand(),
        key => Uuid::new_v4().to_string(),
    };
    demo.pages.show("ended.html", false, facts)
}

/// Takes the turn. Whatever stands in the way, the waiting page says.
async fn enter(State(demo): Shared, headers: HeaderMap, form: Result<OwnForm, ApiError>) -> Response {
    let take = async {
        let form = form?;
        let missing = || ApiError::new(ErrorCode::MissingToken, "There is no place in line to enter from");
        let carried = Carried::find(form.field("token"), &headers, shown::COOKIE, &demo).ok_or_else(missing)?;
        match queue::admit(&demo.app, &Caller::Anonymous, Some(&carried.token), None).await {
            Ok(admission) => {
                let left = admission.ends_at.since(demo.app.rooms.host().clock.now()).div_ceil(1000);
                let pass = Carried { token: admission.pass, by_hand: true };
                Ok(with_cookie(see_other(&pass.back_to("/shop", "pass")), &demo, SESSION_COOKIE, &pass.token, left))
            }
            Err(error)
                if matches!(error.code(), ErrorCode::NotReady | ErrorCode::TokenExpired | ErrorCode::TokenNotFound) =>
            {
                Ok(see_other(&carried.back_to("/wait", "token")))
            }
            Err(error) => Err(error),
        }
    };
    take.await.unwrap_or_else(|error| demo.pages.show_error(error))
}

async fn leave(State(demo): Shared, headers: HeaderMap, form: Result<OwnForm, ApiError>) -> Response {
    let give_up = async {
        let form = form?;
        let Some(carried) = Carried::find(form.field("token"), &headers, shown::COOKIE, &demo) else {
            return Ok(see_other("/"));
        };
        match queue::give_up(&demo.app, &carried.token).await {
            Err(error) if error.code() != ErrorCode::TokenNotFound => Err(error),
            _ => Ok(carried.forget(see_other("/?left"), &demo)),
        }
    };
    give_up.await.unwrap_or_else(|error| demo.pages.show_error(error))
}

/// What is behind the waiting room: only for a pass of ours whose session is open.
async fn shop(State(demo): Shared, headers: HeaderMap, uri: Uri) -> Response {
    let show = async {
        let given = query(&uri, "pass");
        let in_address = given.is_some();
        let Some(pass) = Carried::find(given, &headers, SESSION_COOKIE, &demo) else { return Ok(see_other("/wait")) };
        if in_address && !pass.by_hand {
            return Ok(see_other("/shop"));
        }
        let Some(ends_at) = session(&demo, &pass.token).await? else { return Ok(see_other("/?over")) };
        let left_sec = ends_at.since(demo.app.rooms.host().clock.now()).div_ceil(1000);
        let facts = context! { left_sec, left => clock(left_sec), pass => pass.by_hand() };
        Ok(demo.pages.show("shop.html", false, facts))
    };
    show.await.unwrap_or_else(|error| demo.pages.show_error(error))
}

async fn done(State(demo): Shared, headers: HeaderMap, form: Result<OwnForm, ApiError>) -> Response {
    let end = async {
        let form = form?;
        let Some(pass) = Carried::find(form.field("pass"), &headers, SESSION_COOKIE, &demo) else {
            return Ok(see_other("/"));
        };
        match passes::end(&demo.app, &pass.token).await {
            Err(error) if error.code() != ErrorCode::TokenNotFound => Err(error),
            _ => Ok(pass.forget(see_other("/?done"), &demo)),
        }
    };
    end.await.unwrap_or_else(|error| demo.pages.show_error(error))
}

/// When the session ends that a pass for this event has opened. The pass itself runs out soon after it is given, as
/// it is passed around; in the cookie it only says which session is meant, and whether that is open is for the store
/// to say.
async fn session(demo: &Demo, pass: &str) -> Result<Option<Millis>, ApiError> {
    match demo.app.passes.verify_even_expired(pass) {
        Ok(claims) if claims.event == demo.event => {
            passes::session_end(&demo.app, &claims.event, claims.generation, claims.slot).await
        }
        _ => Ok(None),
    }
}

/// Whether the browser keeps the pass that the turn of a place has given.
fn is_inside(demo: &Demo, headers: &HeaderMap, place: &WaitingClaims) -> bool {
    let pass = Carried::find(None, headers, SESSION_COOKIE, demo);
    let pass = pass.and_then(|pass| demo.app.passes.verify_even_expired(&pass.token).ok());
    pass.is_some_and(|pass| {
        (&pass.event, pass.generation, pass.ticket) == (&place.event, place.generation, place.ticket)
    })
}

/// Whether a waiting token stands for a place that is waiting or called.
async fn is_live(demo: &Demo, token: &str) -> bool {
    let heard = queue::hear(&demo.app, token).await;
    heard.is_ok_and(|heard| {
        heard.claims.event == demo.event
            && matches!(heard.standing, Standing::Waiting | Standing::Silent | Standing::Ready { .. })
    })
}

fn see_other(to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, to);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_cookie(mut response: Response, demo: &Demo, prefix: &str, value: &str, max_age: u64) -> Response {
    let event = &demo.event;
    let cookie = format!("{prefix}{event}={value}; Path=/; Max-Age={max_age}; Secure; HttpOnly; SameSite=Lax");
    let cookie = HeaderValue::from_str(&cookie).expect("ids and tokens are made of characters that a header takes");
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}
