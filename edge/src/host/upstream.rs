//! The site behind the gate: the visitor's request to it, and its answer back. Bodies stream through untouched, both ways.

use super::{Visit, origin, within};
use crate::visitor::Trusted;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{Facts, carry};
use anteroom_core::token::SessionClaims;
use worker::js_sys::{Array, Function, Reflect};
use worker::wasm_bindgen::JsCast;
use worker::{Result, console_error, web_sys};

/// What the site has said.
pub(super) struct Answer {
    response: web_sys::Response,
    /// Whether it has said that the visitor is done.
    pub(super) ends_session: bool,
    hops: carry::Hops,
}

/// Asks the site. The error is that it cannot be reached, or not in time.
pub(super) async fn ask(
    visit: &Visit<'_>,
    upstream: &str,
    facts: &Facts<'_>,
    session: Option<&SessionClaims>,
) -> Result<std::result::Result<Answer, ErrorCode>> {
    let (abort, limit_ms) = (web_sys::AbortController::new()?, visit.settings.first_byte_ms);
    let asked = async {
        let again = matches!(visit.method, "GET" | "HEAD") && visit.request.body().is_none();
        let first = origin::fetch(&request(visit, upstream, facts, session)?, Some(&abort.signal())).await;
        match first {
            // The site may have closed a kept connection at the very moment it was used again.
            Err(_) if again => origin::fetch(&request(visit, upstream, facts, session)?, Some(&abort.signal())).await,
            other => other,
        }
    };
    let response = match within(limit_ms, asked).await {
        Some(Ok(response)) => response,
        Some(Err(error)) => {
            console_error!("the site cannot be reached: {error}");
            return Ok(Err(ErrorCode::BadGateway));
        }
        None => {
            abort.abort();
            console_error!("the site did not answer within {limit_ms} ms");
            return Ok(Err(ErrorCode::GatewayTimeout));
        }
    };
    if response.status() < 200 && !is_socket(visit.headers)? {
        console_error!("the site has answered {} unasked", response.status());
        return Ok(Err(ErrorCode::BadGateway));
    }
    let headers = response.headers();
    let ends_session = headers.get(carry::SESSION_HEADER)?.is_some_and(|value| carry::ends_session(&value));
    let hops = carry::Hops::of(headers.get("connection")?.as_deref());
    Ok(Ok(Answer { response, ends_session, hops }))
}

fn request(
    visit: &Visit<'_>,
    upstream: &str,
    facts: &Facts<'_>,
    session: Option<&SessionClaims>,
) -> Result<web_sys::Request> {
    let request = origin::copy(visit.request, &format!("{upstream}{}", carry::site_target(facts)))?;
    let headers = request.headers();
    let hops = carry::Hops::of(headers.get("connection")?.as_deref());
    let socket = is_socket(&headers)?;
    for name in names(&headers) {
        // What `Expect` asks for is between neighbours, and the runtime does not understand the site's leave to send.
        let kept = hops.goes_up(&name) && name != "expect" || socket && name == "upgrade";
        let believed = !carry::is_forwarded(&name) || visit.settings.trusted == Trusted::Forwarded;
        if !(kept && believed) {
            headers.delete(&name)?;
        }
    }
    if let Some(cookies) = headers.get("cookie")?.map(|jar| one_jar("cookie", jar)) {
        match carry::site_cookies(&cookies) {
            Some(cookies) => headers.set("cookie", &cookies)?,
            None => headers.delete("cookie")?,
        }
    }
    origin::forward(visit, &headers)?;
    for (name, value) in [("x-forwarded-host", visit.address.host), ("x-forwarded-proto", visit.address.scheme)] {
        // A proxy in front that is trusted knows better.
        if !headers.has(name)? {
            headers.set(name, value)?;
        }
    }
    for (name, value) in session.map(carry::admitted).unwrap_or_default() {
        headers.set(name, &value)?;
    }
    Ok(request)
}

/// Whether a socket is asked for. The runtime opens one for a request that says so, and speaks no other protocol.
fn is_socket(headers: &web_sys::Headers) -> Result<bool> {
    Ok(headers.get("upgrade")?.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")))
}

impl Answer {
    /// The site's answer for the visitor, with our own headers: what is between neighbours taken out, and cookies of ours that the site
    /// had no business to set.
    pub(super) fn for_visitor(self, upstream: &str, ours: Vec<(&'static str, String)>) -> Result<web_sys::Response> {
        // A response has every member that the init of another one may have, its socket included.
        let init = self.response.unchecked_ref();
        let response = web_sys::Response::new_with_opt_readable_stream_and_init(self.response.body().as_ref(), init)?;
        let headers = response.headers();
        for name in names(&headers) {
            if !self.hops.comes_down(&name) {
                headers.delete(&name)?;
            }
        }
        let cookies = set_cookies(&headers)?;
        if cookies.iter().any(|cookie| carry::is_our_cookie(cookie)) {
            headers.delete("set-cookie")?;
            for cookie in cookies.iter().filter(|cookie| !carry::is_our_cookie(cookie)) {
                headers.append("set-cookie", cookie)?;
            }
        }
        if let Some(location) = headers.get("location")?
            && let Some(here) = at_home(&location, upstream)
        {
            headers.set("location", here)?;
        }
        for (name, value) in &ours {
            match *name {
                "set-cookie" => headers.append(name, value)?,
                _ => headers.set(name, value)?,
            }
        }
        Ok(response)
    }
}

/// The value of a header; of `Cookie` as one jar. The runtime joins several headers of a name with commas, which is wrong for this one,
/// where ours could be taken for the end of another cookie.
pub(super) fn one_jar(name: &str, value: String) -> String {
    match name {
        "cookie" if value.contains(", __Host-anteroom-") => value.replace(", __Host-anteroom-", "; __Host-anteroom-"),
        _ => value,
    }
}

/// The path of a redirection to the site itself: the site knows itself by another name than the visitors do.
fn at_home<'a>(location: &'a str, upstream: &str) -> Option<&'a str> {
    let path = location.strip_prefix(upstream)?;
    path.starts_with('/').then_some(path)
}

/// The names of all headers, in lower case, in one call.
fn names(headers: &web_sys::Headers) -> Vec<String> {
    let joined = Array::from(&headers.keys()).join("\n");
    String::from(joined).split('\n').filter(|name| !name.is_empty()).map(Into::into).collect()
}

fn set_cookies(headers: &web_sys::Headers) -> Result<Vec<String>> {
    if !headers.has("set-cookie")? {
        return Ok(Vec::new());
    }
    let method: Function = Reflect::get(headers, &"getSetCookie".into())?.dyn_into()?;
    let cookies: Array = method.call0(headers)?.unchecked_into();
    Ok(cookies.iter().filter_map(|cookie| cookie.as_string()).collect())
}
