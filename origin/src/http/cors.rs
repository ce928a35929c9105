//! The layer that lets pages of other sites use the public API: [`anteroom_core::cors`] carried to the headers. It stands around
//! everything else, so that a page can read refusals as well.

use anteroom_core::cors;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Adds the headers for the origins that are allowed in, and answers preflights.
pub async fn let_in(State(allowed): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let origin = text_of(request.headers(), header::ORIGIN);
    let requested = text_of(request.headers(), header::ACCESS_CONTROL_REQUEST_METHOD);
    let preflight = cors::is_preflight(request.method().as_str(), origin.as_deref(), requested.as_deref());
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    for (name, value) in cors::headers(origin.as_deref(), &allowed, preflight) {
        // An origin that is no header value did not come in one.
        let Ok(value) = HeaderValue::from_str(value) else { continue };
        let name = HeaderName::from_static(name);
        if name == header::VARY {
            response.headers_mut().append(name, value);
        } else {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
