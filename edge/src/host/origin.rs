//! Requests to the origin.

use super::{Outcome, Visit, within};
use crate::settings::{EdgeToken, Settings};
use crate::visitor::{self, Said};
use anteroom_core::code::ErrorCode;
use anteroom_core::refusal::Refusal;
use anteroom_core::trace::TRACEPARENT;
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{self, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{Error, Result, console_error, web_sys};

/// Shown to the origin by an edge, and taken away from everybody else.
pub(super) const EDGE_TOKEN: &str = "anteroom-edge-token";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// An answer that has arrived whole.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    pub(super) body: String,
}

/// The same request to the origin, as a response or a refusal. Method, headers, body and query go as they came, but for what nobody
/// outside may say.
pub(super) async fn pass_on(visit: &Visit<'_>) -> Result<Outcome> {
    let target = format!("{}{}", visit.settings.origin, visit.address.target);
    let request = copy(visit.request, &target)?;
    let headers = request.headers();
    headers.delete(EDGE_TOKEN)?;
    forward(visit, &headers)?;
    Ok(fetch(&request, None).await.map_err(|error| {
        console_error!("the origin cannot be reached: {error}");
        Refusal::new(ErrorCode::Unavailable, "The waiting room cannot be reached right now")
    }))
}

/// The same poll to the origin, as the heartbeat that it is.
pub(super) fn heartbeat(visit: &Visit<'_>) -> Result<web_sys::Request> {
    let request = copy(visit.request, &format!("{}{}", visit.settings.origin, visit.address.target))?;
    request.headers().delete(EDGE_TOKEN)?;
    forward(visit, &request.headers())?;
    Ok(request)
}

/// Says whose request it is, and of which trace.
pub(super) fn forward(visit: &Visit<'_>, headers: &web_sys::Headers) -> Result<()> {
    match address(visit)? {
        Some(address) => headers.set(FORWARDED_FOR, &address)?,
        None => headers.delete(FORWARDED_FOR)?,
    }
    Ok(headers.set(TRACEPARENT, visit.call.trace.header().as_str())?)
}

/// The visitor's address as the next hop is told it.
fn address(visit: &Visit<'_>) -> Result<Option<String>> {
    let of = |object: &JsValue, name: &str| Reflect::get(object, &name.into()).ok();
    let cf = of(visit.request, "cf").filter(JsValue::is_object);
    let cf = cf.as_ref();
    let said = Said {
        peer: cf.and_then(|cf| of(cf, "clientIp")?.as_string()),
        on_cloudflare: cf.and_then(|cf| of(cf, "colo")).is_some_and(|colo| colo.is_string()),
        connecting: visit.headers.get("cf-connecting-ip")?,
        forwarded: visit.headers.get(FORWARDED_FOR)?,
    };
    Ok(visitor::forwarded_for(&said, visit.settings.trusted))
}

/// A request of our own to the origin.
pub(super) struct Ask<'a> {
    settings: &'a Settings,
    path: &'a str,
    init: web_sys::RequestInit,
    headers: web_sys::Headers,
}

impl<'a> Ask<'a> {
    pub(super) fn get(settings: &'a Settings, path: &'a str) -> Result<Self> {
        let (init, headers) = (web_sys::RequestInit::new(), web_sys::Headers::new()?);
        Ok(Self { settings, path, init, headers })
    }

    pub(super) fn post(settings: &'a Settings, path: &'a str, json: &str) -> Result<Self> {
        let ask = Self::get(settings, path)?.header("content-type", "application/json")?;
        ask.init.set_method("POST");
        ask.init.set_body(&json.into());
        Ok(ask)
    }

    pub(super) fn header(self, name: &str, value: &str) -> Result<Self> {
        self.headers.set(name, value)?;
        Ok(self)
    }

    /// Shows that it comes from an edge of this origin.
    pub(super) fn with_edge_token(self) -> Result<Self> {
        match self.settings.edge_token.as_ref().map(EdgeToken::reveal) {
            Some(token) => self.header(EDGE_TOKEN, token),
            None => Ok(self),
        }
    }

    /// For a visitor.
    pub(super) fn on_behalf_of(self, visit: &Visit<'_>) -> Result<Self> {
        forward(visit, &self.headers)?;
        Ok(self)
    }

    /// The answer, unless it takes longer.
    pub(super) async fn send(self, timeout_ms: u64) -> Result<Answer> {
        self.init.set_headers_headers(&self.headers);
        let url = format!("{}{}", self.settings.origin, self.path);
        let request = web_sys::Request::new_with_str_and_init(&url, &self.init)?;
        let abort = web_sys::AbortController::new()?;
        let fetched = async {
            let response = fetch(&request, Some(&abort.signal())).await?;
            let body = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
            Ok(Answer { status: response.status(), etag: response.headers().get("etag")?, body })
        };
        within(timeout_ms, fetched).await.unwrap_or_else(|| {
            abort.abort();
            Err(Error::RustError(format!("the origin did not answer within {timeout_ms} ms")))
        })
    }
}

/// The request to another address. A request has every member that the init of another one may have.
pub(super) fn copy(request: &web_sys::Request, url: &str) -> Result<web_sys::Request> {
    Ok(web_sys::Request::new_with_str_and_init(url, request.unchecked_ref())?)
}

/// The response to a request, as soon as its headers are there.
pub(super) async fn fetch(
    request: &web_sys::Request,
    signal: Option<&web_sys::AbortSignal>,
) -> Result<web_sys::Response> {
    let init = web_sys::RequestInit::new();
    init.set_signal(signal);
    let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let response = JsFuture::from(scope.fetch_with_request_and_init(request, &init)).await?;
    Ok(response.unchecked_into())
}
