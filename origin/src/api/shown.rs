//! What a request shows to prove something: tokens in its query, its headers, its cookies.

use crate::identity::bearer;
use axum::http::{HeaderMap, Uri, header};
use std::borrow::Cow;

/// Names of the cookies that hold waiting tokens: this and the event.
pub const COOKIE: &str = "__Host-anteroom-wait-";

/// The waiting token that a request shows: in the query, as bearer, or in the cookie of the event (or the only one).
pub(crate) fn waiting_token<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    if let Some(token) = query_value(uri, "token").filter(|token| !token.is_empty()) {
        return Some(token);
    }
    if let Some(token) = bearer(headers) {
        return Some(token.into());
    }
    cookie(headers, COOKIE, query_value(uri, "event_id").as_deref()).map(Cow::Borrowed)
}

/// The value of the cookie whose name is `prefix` and `event`, or of the first one of any event.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, prefix: &str, event: Option<&str>) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(prefix)?.split_once('='))
        .find(|(name, _)| event.is_none_or(|event| *name == event))
        .map(|(_, token)| token)
}

pub(crate) fn query_value<'a>(uri: &'a Uri, name: &str) -> Option<Cow<'a, str>> {
    let query = uri.query()?;
    // Tokens and ids need no escapes, and every poll comes through here.
    if !query.contains(['%', '+']) {
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        return pairs.find(|(key, _)| *key == name).map(|(_, value)| Cow::Borrowed(value));
    }
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}
