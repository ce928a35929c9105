//! The Workers side: requests, responses, fetches and timers. Carries; decides nothing.

use crate::boards::{Board, Boards, FRESH_MS, Fetched, Held, LEASE_MS, Plan};
use crate::settings::{ORIGIN, SECRET, Settings};
use crate::status::{self, Verdict};
use anteroom_core::code::ErrorCode;
use anteroom_core::refusal::Refusal;
use anteroom_core::trace::{TRACEPARENT, TraceContext, X_REQUEST_ID, is_echoed};
use anteroom_core::units::{EventId, Millis};
use serde::Deserialize;
use std::cell::{OnceCell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use worker::wasm_bindgen::JsCast;
use worker::{
    AbortController, Context, Date, Delay, Env, Error, Fetch, Headers, Method, Request, Response, Result, Url,
    console_error, event, js_sys, web_sys,
};

/// What every path of the API begins with.
const API: &str = "/api/v1/";
const STATUS: &str = "/api/v1/queue/status";
const BOARD: &str = "/api/v1/queue/board";
/// A board that takes longer is given up; shorter than the lease of a fetch.
const FETCH_TIMEOUT_MS: u64 = LEASE_MS - FRESH_MS;
/// Pause between two looks at whether somebody else's fetch is back.
const WAIT_MS: u64 = 10;

thread_local! {
    /// The settings cannot change within the life of an isolate.
    static SETTINGS: OnceCell<Option<Rc<Settings>>> = const { OnceCell::new() };
    /// Never borrowed across an await.
    static BOARDS: RefCell<Boards> = const { RefCell::new(Boards::new()) };
}

/// Answers a request.
#[event(fetch)]
async fn fetch(request: Request, env: Env, ctx: Context) -> Result<Response> {
    crate::hs256::install();
    let call = Call::new(&request)?;
    let url = request.url()?;
    let outcome = match (settings(&env), request.method(), url.path()) {
        (None, ..) => Err(ErrorCode::InternalError.into()),
        (Some(settings), Method::Get, STATUS) => call.status(&settings, request, &url, &ctx).await?,
        (Some(settings), Method::Get, BOARD) => call.board(&settings, request, &url, &ctx).await?,
        (Some(settings), _, path) if path.starts_with(API) => pass_on(&settings, &request).await?,
        _ => Err(ErrorCode::NotFound.into()),
    };
    outcome.or_else(|refusal| call.refuse(&refusal))
}

/// A response, or the refusal to answer with.
type Outcome = std::result::Result<Response, Refusal>;

/// What an answer takes over from its request.
struct Call {
    trace: TraceContext,
    request_id: Option<String>,
}

impl Call {
    fn new(request: &Request) -> Result<Self> {
        let headers = request.headers();
        let trace = headers.get(TRACEPARENT)?.and_then(|parent| TraceContext::continued(parent.as_bytes(), random()));
        let fresh = || TraceContext::new(u128::from(random()) << 64 | u128::from(random()), random(), false);
        Ok(Self {
            trace: trace.unwrap_or_else(fresh),
            request_id: headers.get(X_REQUEST_ID)?.filter(|id| is_echoed(id.as_bytes())),
        })
    }

    async fn status(&self, settings: &Rc<Settings>, request: Request, url: &Url, ctx: &Context) -> Result<Outcome> {
        let (query, authorization) = (parameter(url, "token"), request.headers().get("authorization")?);
        let claims = match status::token(query.as_deref(), authorization.as_deref()) {
            Some(token) => status::verify(&settings.keys, token),
            // A token in a cookie is read by the origin.
            None if request.headers().has("cookie")? => return pass_on(settings, &request).await,
            None => Err(ErrorCode::TokenNotFound),
        };
        let claims = match claims {
            Ok(claims) => claims,
            Err(code) => return Ok(Err(code.into())),
        };
        let (board, stale) = match current(settings, &claims.event, ctx).await {
            Held::Board { board, stale, .. } => (board, stale),
            Held::NoEvent => return Ok(Err(ErrorCode::EventNotFound.into())),
            Held::Nothing => return Ok(Err(ErrorCode::Unavailable.into())),
        };
        match status::answer(&board, stale, &claims, now()) {
            Verdict::Answer(body) => {
                let due = |boards: &mut Boards| boards.must_report(&claims.event, status::slot(&claims), now());
                if with_boards(due) {
                    ctx.wait_until(report(to_origin(settings, &request)?));
                }
                let headers = self.headers()?;
                headers.set("cache-control", "no-store")?;
                Ok(Ok(Response::ok(body)?.with_headers(headers)))
            }
            Verdict::Refuse(code) => Ok(Err(code.into())),
            Verdict::Ask => pass_on(settings, &request).await,
        }
    }

    async fn board(&self, settings: &Rc<Settings>, request: Request, url: &Url, ctx: &Context) -> Result<Outcome> {
        let event = match parameter(url, "event_id").map(|event| EventId::parse(&event)) {
            Some(Ok(event)) => event,
            Some(Err(why)) => return Ok(Err(Refusal::invalid("event_id", why))),
            None => return Ok(Err(ErrorCode::MissingEventId.into())),
        };
        let (board, age_ms) = match current(settings, &event, ctx).await {
            Held::Board { board, age_ms, .. } => (board, age_ms),
            Held::NoEvent => return Ok(Err(ErrorCode::EventNotFound.into())),
            Held::Nothing => return Ok(Err(ErrorCode::Unavailable.into())),
        };
        let headers = self.headers()?;
        headers.set("cache-control", "public, max-age=1, stale-while-revalidate=5")?;
        headers.set("age", &(age_ms / 1000).to_string())?;
        if let Some(etag) = board.etag() {
            headers.set("etag", etag)?;
        }
        let known = request.headers().get("if-none-match")?.is_some_and(|tags| board.matches(&tags));
        let response = if known { Response::empty()?.with_status(304) } else { Response::ok(board.text())? };
        Ok(Ok(response.with_headers(headers)))
    }

    fn refuse(&self, refusal: &Refusal) -> Result<Response> {
        let headers = self.headers()?;
        for (name, value) in refusal.headers() {
            headers.set(name, &value)?;
        }
        let body = refusal.body(self.trace.trace_id().as_str());
        Ok(Response::ok(body)?.with_status(refusal.code().status()).with_headers(headers))
    }

    /// The headers of every answer that is made here.
    fn headers(&self) -> Result<Headers> {
        let headers = Headers::new();
        headers.set("content-type", "application/json")?;
        headers.set(TRACEPARENT, self.trace.header().as_str())?;
        if let Some(id) = &self.request_id {
            headers.set(X_REQUEST_ID, id)?;
        }
        Ok(headers)
    }
}

/// The settings of this isolate. What is wrong with them is logged once.
fn settings(env: &Env) -> Option<Rc<Settings>> {
    let read = || {
        let origin = env.var(ORIGIN).ok().map(|origin| origin.to_string());
        let secret = env.secret(SECRET).ok().map(|secret| secret.to_string());
        Settings::parse(origin.as_deref(), secret.as_deref())
            .inspect_err(|problems| problems.iter().for_each(|problem| console_error!("{problem}")))
            .ok()
            .map(Rc::new)
    };
    SETTINGS.with(|settings| settings.get_or_init(read).clone())
}

/// Good enough to name a trace.
fn random() -> u64 {
    (js_sys::Math::random() * u64::MAX as f64) as u64
}

fn now() -> Millis {
    Millis(Date::now().as_millis())
}

fn with_boards<T>(work: impl FnOnce(&mut Boards) -> T) -> T {
    BOARDS.with_borrow_mut(work)
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// What is known of an event, fetched first where that is due.
///
/// A request never awaits the fetch of another one, since that may be cancelled with it: it looks again after a timer
/// of its own.
async fn current(settings: &Rc<Settings>, event: &EventId, ctx: &Context) -> Held {
    loop {
        match with_boards(|boards| boards.plan(event, now())) {
            Plan::Serve => break,
            Plan::ServeAndFetch => {
                ctx.wait_until(refresh(settings.clone(), event.clone()));
                break;
            }
            Plan::Fetch => {
                refresh(settings.clone(), event.clone()).await;
                break;
            }
            Plan::Wait => Delay::from(Duration::from_millis(WAIT_MS)).await,
        }
    }
    with_boards(|boards| boards.look(event, now()))
}

/// Fetches the board of an event and takes it in.
async fn refresh(settings: Rc<Settings>, event: EventId) {
    let etag = with_boards(|boards| match boards.look(&event, now()) {
        Held::Board { board, .. } => board.etag().map(ToOwned::to_owned),
        _ => None,
    });
    let fetched = fetch_board(&settings, &event, etag).await.unwrap_or_else(|error| {
        console_error!("the board of {event} was not fetched: {error}");
        Fetched::Failed
    });
    with_boards(|boards| boards.settle(&event, fetched, now()));
}

async fn fetch_board(settings: &Settings, event: &EventId, etag: Option<String>) -> Result<Fetched> {
    let request = Request::new(&format!("{}{BOARD}?event_id={event}", settings.origin), Method::Get)?;
    if let Some(etag) = &etag {
        request.headers().set("if-none-match", etag)?;
    }
    let abort = AbortController::default();
    let signal = abort.signal();
    let fetch = async {
        let mut response = Fetch::Request(request).send_with_signal(&signal).await?;
        match response.status_code() {
            200 => {
                let etag = response.headers().get("etag")?;
                let board = Board::read(event, response.text().await?, etag);
                board.map(|board| Fetched::Board(Box::new(board))).map_err(|bad| Error::RustError(bad.to_string()))
            }
            304 => Ok(Fetched::Unchanged),
            // Another 404 is that of something between us and the origin.
            404 if names(&response.text().await?, ErrorCode::EventNotFound) => Ok(Fetched::NoEvent),
            status => Err(Error::RustError(format!("the origin answered {status}"))),
        }
    };
    match within(FETCH_TIMEOUT_MS, fetch).await {
        Some(fetched) => fetched,
        None => {
            abort.abort();
            Err(Error::RustError(format!("the origin did not answer within {FETCH_TIMEOUT_MS} ms")))
        }
    }
}

/// What a future gives, unless that takes longer.
async fn within<T>(ms: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut timer = std::pin::pin!(Delay::from(Duration::from_millis(ms)));
    std::future::poll_fn(|cx| match (future.as_mut().poll(cx), timer.as_mut().poll(cx)) {
        (std::task::Poll::Ready(value), _) => std::task::Poll::Ready(Some(value)),
        (_, std::task::Poll::Ready(())) => std::task::Poll::Ready(None),
        _ => std::task::Poll::Pending,
    })
    .await
}

/// Whether a body is the contract's error of this code.
fn names(body: &str, code: ErrorCode) -> bool {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        error: Inside<'a>,
    }
    #[derive(Deserialize)]
    struct Inside<'a> {
        code: &'a str,
    }
    serde_json::from_str::<Envelope<'_>>(body).is_ok_and(|envelope| envelope.error.code == code.as_str())
}

/// The same request to the origin: method, headers, body and query as they came.
fn to_origin(settings: &Settings, request: &Request) -> Result<Request> {
    let url = request.url()?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("{}{}{query}", settings.origin, url.path());
    // A request has every member that the init of another one may have.
    let as_init: &web_sys::RequestInit = request.inner().unchecked_ref();
    Ok(web_sys::Request::new_with_str_and_init(&target, as_init)?.into())
}

async fn pass_on(settings: &Settings, request: &Request) -> Result<Outcome> {
    Ok(Fetch::Request(to_origin(settings, request)?).send().await.map_err(|error| {
        console_error!("the origin cannot be reached: {error}");
        ErrorCode::Unavailable.into()
    }))
}

/// Passes a poll on as the heartbeat that it is. One that is lost leaves the place alive.
async fn report(poll: Request) {
    let heard = async { Fetch::Request(poll).send().await?.text().await };
    if let Err(error) = heard.await {
        console_error!("a heartbeat did not reach the origin: {error}");
    }
}
