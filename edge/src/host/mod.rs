//! The Workers side: requests, responses, fetches and timers. Carries; decides nothing.
//!
//! Requests and responses are those of the runtime itself (`web_sys`): each look at a header is a call into JavaScript with a copy of
//! its text, so that a status poll makes as few as it can.

mod answer;
mod api;
mod at_once;
mod cache;
mod form;
mod gate;
mod held;
mod origin;
mod passes;
mod reporter;
mod scene;
mod turns;
mod upstream;

use crate::address::Address;
use crate::settings::Settings;
use answer::Call;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::Own;
use anteroom_core::refusal::Refusal;
use anteroom_core::units::Millis;
use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use worker::wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use worker::{Context, Delay, Env, Result, console_error, js_sys, web_sys, worker_sys};

thread_local! {
    /// The settings cannot change within the life of an isolate.
    static SETTINGS: OnceCell<Option<Rc<Settings>>> = const { OnceCell::new() };
    static RANDOM: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Answers a request: what the runtime calls. Where not even a refusal can be made, it gets the error.
#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen)]
pub fn fetch(request: web_sys::Request, env: Env, ctx: worker_sys::Context) -> JsValue {
    at_once::begin(async { Ok(respond(request, env, Context::new(ctx)).await?.into()) })
}

async fn respond(request: web_sys::Request, env: Env, ctx: Context) -> Result<web_sys::Response> {
    crate::hs256::install();
    let (url, headers) = (request.url(), request.headers());
    let call = Call::new(&headers)?;
    let (Some(settings), Some(address)) = (settings(&env), Address::of(&url)) else {
        return call.refuse(&ErrorCode::InternalError.into());
    };
    let method = request.method();
    let visit = Visit { request: &request, headers: &headers, address, method: &method, settings, ctx: &ctx, call };
    let answered = match Own::of(address.path) {
        Some(Own::Api) => api::answer(&visit).await,
        _ if visit.settings.upstream.is_some() => gate::answer(&visit).await,
        _ => visit.call.refuse(&ErrorCode::NotFound.into()),
    };
    answered.or_else(|error| {
        console_error!("a request could not be answered: {error}");
        visit.call.refuse(&ErrorCode::InternalError.into())
    })
}

/// A request and what it takes to answer it.
struct Visit<'a> {
    request: &'a web_sys::Request,
    headers: &'a web_sys::Headers,
    address: Address<'a>,
    method: &'a str,
    settings: Rc<Settings>,
    ctx: &'a Context,
    call: Call<'a>,
}

impl Visit<'_> {
    /// Goes on with something after the answer. Boxed: what the runtime needs to drive a future exists once in the module, not once for
    /// each.
    fn background(&self, work: impl Future<Output = ()> + 'static) {
        let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
        self.ctx.wait_until(work);
    }
}

/// A response, or the refusal to answer with.
type Outcome = std::result::Result<web_sys::Response, Refusal>;

/// The settings of this isolate. What is wrong with them is logged once.
fn settings(env: &Env) -> Option<Rc<Settings>> {
    let read = || {
        // What workerd takes from an environment that does not have it is null.
        Settings::read(|name| js_sys::Reflect::get(env, &name.into()).ok()?.as_string())
            .inspect_err(|problems| problems.iter().for_each(|problem| console_error!("{problem}")))
            .ok()
            .map(Rc::new)
    };
    SETTINGS.with(|settings| settings.get_or_init(read).clone())
}

/// The time. It stands still while a request computes.
fn now() -> Millis {
    Millis(js_sys::Date::now() as u64)
}

/// Good enough to name a trace, and for nothing that has to be a secret (SplitMix64, Steele, Lea and Flood, 2014). Asks the runtime for
/// randomness once, which it gives to requests only.
fn random() -> u64 {
    let seed = || (js_sys::Math::random() * f64::from(u32::MAX)) as u64;
    RANDOM.with(|state| {
        let next = state.get().unwrap_or_else(|| seed() << 32 | seed()).wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(Some(next));
        let mut z = next;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

async fn pause(ms: u64) {
    Delay::from(Duration::from_millis(ms)).await;
}

/// What a future gives, unless that takes longer.
async fn within<T>(ms: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut timer = std::pin::pin!(pause(ms));
    std::future::poll_fn(|cx| match (future.as_mut().poll(cx), timer.as_mut().poll(cx)) {
        (std::task::Poll::Ready(value), _) => std::task::Poll::Ready(Some(value)),
        (_, std::task::Poll::Ready(())) => std::task::Poll::Ready(None),
        _ => std::task::Poll::Pending,
    })
    .await
}
