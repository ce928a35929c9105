//! The request as the site gets it, and its answer as the visitor does: [`anteroom_core::gate::carry`] on real headers.

use super::told::{bytes, latin1};
use crate::http::trace;
use crate::limit::ClientAddresses;
use anteroom_core::gate::{Facts, carry};
use anteroom_core::token::SessionClaims;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use std::net::IpAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers for the site. `upgrade`: whether the protocol that the visitor asks for goes on.
pub(super) fn up(
    parts: &Parts,
    facts: &Facts<'_>,
    session: Option<&SessionClaims>,
    peer: IpAddr,
    addresses: &ClientAddresses,
    upgrade: bool,
) -> HeaderMap {
    let hops = hops(&parts.headers);
    let mut headers = HeaderMap::with_capacity(parts.headers.len() + 8);
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in &parts.headers {
        if *name == header::COOKIE {
            // HTTP/2 sends each in a header of its own; HTTP/1 has one header.
            if let Some(kept) = carry::site_cookies(&latin1(value.as_bytes())) {
                if !cookies.is_empty() {
                    cookies.extend(b"; ");
                }
                cookies.extend(bytes(&kept));
            }
        } else if *name != header::EXPECT && hops.goes_up(name.as_str()) {
            // `Expect` is answered here, when the site begins to read.
            headers.append(name, value.clone());
        }
    }
    if let Some(cookies) = HeaderValue::from_bytes(&cookies).ok().filter(|_| !cookies.is_empty()) {
        headers.insert(header::COOKIE, cookies);
    }
    let host = facts.hosts.first().and_then(|host| HeaderValue::from_str(host).ok());
    if let Some(host) = &host {
        headers.insert(header::HOST, host.clone());
    }
    forwarded(&mut headers, host, peer, addresses);
    for (name, value) in session.map(carry::admitted).unwrap_or_default() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if let Some(trace) = trace::current() {
        headers.insert(trace::TRACEPARENT, trace::header_value(&trace));
    }
    if upgrade {
        keep_upgrade(&parts.headers, &mut headers);
    }
    headers
}

/// What a proxy says about whom it forwards for. What others have said before counts only from proxies that are trusted.
fn forwarded(headers: &mut HeaderMap, host: Option<HeaderValue>, peer: IpAddr, addresses: &ClientAddresses) {
    let peer_text = peer.to_canonical().to_string();
    if addresses.trusts(peer) {
        let before: Vec<&[u8]> = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
        let hops = [before.as_slice(), &[peer_text.as_bytes()]].concat().join(&b", "[..]);
        if let Ok(hops) = HeaderValue::from_bytes(&hops) {
            headers.insert(X_FORWARDED_FOR, hops);
        }
        if !headers.contains_key(X_FORWARDED_PROTO) {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        }
        if let (Some(host), false) = (host, headers.contains_key(X_FORWARDED_HOST)) {
            headers.insert(X_FORWARDED_HOST, host);
        }
        return;
    }
    let told: Vec<HeaderName> = headers.keys().filter(|name| carry::is_forwarded(name.as_str())).cloned().collect();
    for name in told {
        headers.remove(name);
    }
    if let Ok(peer) = HeaderValue::from_str(&peer_text) {
        headers.insert(X_FORWARDED_FOR, peer);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Takes out of the site's answer what is not for the visitor. Whether the site said that the visitor is done.
pub(super) fn down(headers: &mut HeaderMap, upgrade: bool) -> bool {
    let before = std::mem::take(headers);
    let hops = hops(&before);
    let mut ends_session = false;
    for (name, value) in &before {
        if name.as_str() == carry::SESSION_HEADER {
            ends_session |= value.to_str().is_ok_and(carry::ends_session);
        }
        let ours = *name == header::SET_COOKIE && carry::is_our_cookie(&latin1(value.as_bytes()));
        if !ours && hops.comes_down(name.as_str()) {
            headers.append(name, value.clone());
        }
    }
    if upgrade {
        keep_upgrade(&before, headers);
    }
    ends_session
}

fn hops(headers: &HeaderMap) -> carry::Hops {
    carry::Hops::of(headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok()))
}

fn keep_upgrade(from: &HeaderMap, to: &mut HeaderMap) {
    if let Some(protocol) = from.get(header::UPGRADE) {
        to.insert(header::UPGRADE, protocol.clone());
        to.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}
