//! What a request shows to prove something: tokens in its query, its headers, its cookies.

use anteroom_core::gate;
use anteroom_core::token::TokenKeys;
use axum::http::{HeaderMap, Uri, header};
use std::borrow::Cow;

/// The waiting token that a request shows ([`gate::waiting_token`]).
pub(crate) fn waiting_token(keys: &TokenKeys, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let texts = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let (parameter, event) = (query_value(uri, "token"), query_value(uri, "event_id"));
    let authorization = texts(header::AUTHORIZATION).next();
    let shown = gate::waiting_token(parameter.as_deref(), authorization, texts(header::COOKIE), event.as_deref(), keys);
    shown.map(str::to_owned)
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
