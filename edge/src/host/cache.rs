//! What outlives an isolate: the boards and rooms of a data centre, in the Cache API, for one that starts cold. Nothing personal.
//!
//! A cache of its own name, since the default one is shared with what `fetch` keeps, which somebody outside might ask for. Where there
//! is no Cache API, as on workerd without a configuration for it, nothing is kept and nothing fails.

use super::now;
use anteroom_core::units::Millis;
use std::cell::RefCell;
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{self, Array, Function, Promise, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{Result, web_sys};

const NAME: &str = "anteroom";
/// Never asked over a network: the name exists nowhere.
const PREFIX: &str = "https://anteroom.invalid";
const KEPT_AT: &str = "anteroom-kept-at";
/// So often a thing is kept anew, milliseconds.
const EVERY_MS: u64 = 5_000;
/// So long a thing is kept, seconds.
const FOR_SEC: u64 = 86_400;

thread_local! {
    static LAST: RefCell<Vec<(String, Millis)>> = const { RefCell::new(Vec::new()) };
    /// Found out once, that there is no such cache.
    static MISSING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Something that was kept.
pub(super) struct Kept {
    pub(super) body: String,
    pub(super) etag: Option<String>,
    pub(super) at: Millis,
}

/// Whether to keep the thing again.
pub(super) fn is_due(path: &str, now: Millis) -> bool {
    !MISSING.get() && LAST.with_borrow(|last| !last.iter().any(|(kept, at)| kept == path && now.since(*at) < EVERY_MS))
}

/// Keeps a thing, if that is possible.
pub(super) async fn keep(path: &str, body: String, etag: Option<&str>, now: Millis) {
    if !is_due(path, now) {
        return;
    }
    LAST.with_borrow_mut(|last| {
        last.retain(|(_, at)| now.since(*at) < EVERY_MS);
        last.push((path.into(), now));
    });
    if put(path, &body, etag, now).await.is_err() {
        MISSING.set(true);
    }
}

/// The thing as it was last kept, if it was.
pub(super) async fn recall(path: &str) -> Option<Kept> {
    if MISSING.get() {
        return None;
    }
    match find(path).await {
        Ok(kept) => kept.filter(|kept| kept.at <= now()),
        Err(_) => {
            MISSING.set(true);
            None
        }
    }
}

async fn put(path: &str, body: &str, etag: Option<&str>, now: Millis) -> Result<()> {
    let headers = web_sys::Headers::new()?;
    headers.set("cache-control", &format!("max-age={FOR_SEC}"))?;
    headers.set(KEPT_AT, &now.0.to_string())?;
    if let Some(etag) = etag {
        // Not as an `ETag`, which the cache would act on.
        headers.set("anteroom-etag", etag)?;
    }
    let init = web_sys::ResponseInit::new();
    init.set_headers_headers(&headers);
    let response = web_sys::Response::new_with_opt_str_and_init(Some(body), &init)?;
    call(&open().await?, "put", &[format!("{PREFIX}{path}").into(), response.into()]).await?;
    Ok(())
}

async fn find(path: &str) -> Result<Option<Kept>> {
    let found = call(&open().await?, "match", &[format!("{PREFIX}{path}").into()]).await?;
    if found.is_undefined() {
        return Ok(None);
    }
    let response: web_sys::Response = found.dyn_into()?;
    let headers = response.headers();
    let (at, etag) = (headers.get(KEPT_AT)?, headers.get("anteroom-etag")?);
    let body = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    Ok(at.and_then(|at| at.parse().ok()).map(|at| Kept { body, etag, at: Millis(at) }))
}

async fn open() -> Result<JsValue> {
    let caches = Reflect::get(&js_sys::global(), &"caches".into())?;
    call(&caches, "open", &[NAME.into()]).await
}

/// Calls a method that gives a promise; whatever it throws is an error here.
async fn call(object: &JsValue, method: &str, arguments: &[JsValue]) -> Result<JsValue> {
    let method: Function = Reflect::get(object, &method.into())?.dyn_into()?;
    let arguments: Array = arguments.iter().collect();
    let promise: Promise = Reflect::apply(&method, object, &arguments)?.dyn_into()?;
    Ok(JsFuture::from(promise).await?)
}
