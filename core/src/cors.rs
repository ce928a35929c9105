//! Which pages of other sites may use the public API: from the `Origin` of a request and the operator's list to the headers of the
//! answer, the same at every host.
//!
//! A listed origin may send its visitors' cookies along. `*` lets every site in, but without cookies: otherwise any page could see and
//! give up the place of whoever looks at it.

use alloc::vec::Vec;

/// The answer's headers that a page may read beside the usual ones.
const EXPOSED: &str = "Retry-After, traceparent, X-Idempotency-Cached";
/// Methods of the public API.
const METHODS: &str = "GET, HEAD, POST, DELETE";
/// Headers that the public API reads.
const HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, X-Request-ID, traceparent, tracestate";
/// How long a browser may remember the answer to a preflight, seconds.
const MAX_AGE: &str = "3600";

/// Headers to add to an answer, by their lower-case names. `vary` is added to what there is, the others replace it.
pub type Headers<'a> = Vec<(&'static str, &'a str)>;

/// Whether a request only asks what it may ask: a preflight, to be answered with 204 and [`headers`], and nothing else.
pub fn is_preflight(method: &str, origin: Option<&str>, requested_method: Option<&str>) -> bool {
    method == "OPTIONS" && origin.is_some() && requested_method.is_some()
}

/// The headers that the answer to a request from `origin` gets: none when nobody is allowed in, as without a list.
///
/// `allowed`: origins as a browser writes them (`https://shop.example`), or `*`. O(length of the list).
pub fn headers<'a>(origin: Option<&'a str>, allowed: &[impl AsRef<str>], preflight: bool) -> Headers<'a> {
    let mut headers = Headers::new();
    if allowed.is_empty() {
        return headers;
    }
    let listed = origin.filter(|origin| *origin != "*" && allowed.iter().any(|one| one.as_ref() == *origin));
    let everybody = allowed.iter().any(|one| one.as_ref() == "*");
    // A shared cache must not hand one site's answer to another.
    headers.push(("vary", "Origin"));
    match (listed, origin) {
        (Some(origin), _) => {
            headers.push(("access-control-allow-origin", origin));
            headers.push(("access-control-allow-credentials", "true"));
        }
        (None, Some(_)) if everybody => headers.push(("access-control-allow-origin", "*")),
        _ => return headers,
    }
    if preflight {
        headers.push(("access-control-allow-methods", METHODS));
        headers.push(("access-control-allow-headers", HEADERS));
        headers.push(("access-control-max-age", MAX_AGE));
    } else {
        headers.push(("access-control-expose-headers", EXPOSED));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "https://shop.example";

    fn value<'a>(headers: &Headers<'a>, name: &str) -> Option<&'a str> {
        headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    #[test]
    fn only_listed_origins_may_send_cookies_and_nobody_else_is_let_in_by_a_list() {
        for (allowed, origin, let_in, credentials) in [
            (&[][..], Some(SHOP), None, false),
            (&[SHOP], Some(SHOP), Some(SHOP), true),
            (&[SHOP], Some("https://shop.example.evil.example"), None, false),
            (&[SHOP], Some("http://shop.example"), None, false),
            (&[SHOP], Some("https://shop.example:8443"), None, false),
            (&[SHOP], Some("null"), None, false),
            (&[SHOP], Some(""), None, false),
            (&[SHOP], None, None, false),
            (&["*"], Some("https://evil.example"), Some("*"), false),
            (&["*"], Some("null"), Some("*"), false),
            (&["*"], Some("*"), Some("*"), false),
            (&["*", SHOP], Some(SHOP), Some(SHOP), true),
            (&["*", SHOP], Some("https://evil.example"), Some("*"), false),
        ] {
            for preflight in [false, true] {
                let headers = headers(origin, allowed, preflight);
                let case = std::format!("{allowed:?} {origin:?}");
                assert_eq!(value(&headers, "access-control-allow-origin"), let_in, "{case}");
                assert_eq!(value(&headers, "access-control-allow-credentials").is_some(), credentials, "{case}");
                assert_eq!(value(&headers, "vary").is_some(), !allowed.is_empty(), "{case}");
                let told = let_in.is_some();
                assert_eq!(value(&headers, "access-control-expose-headers").is_some(), told && !preflight, "{case}");
                assert_eq!(value(&headers, "access-control-allow-methods").is_some(), told && preflight, "{case}");
            }
        }
    }

    #[test]
    fn only_a_request_that_asks_what_it_may_ask_is_a_preflight() {
        assert!(is_preflight("OPTIONS", Some(SHOP), Some("POST")));
        assert!(!is_preflight("OPTIONS", Some(SHOP), None));
        assert!(!is_preflight("OPTIONS", None, Some("POST")));
        assert!(!is_preflight("POST", Some(SHOP), Some("POST")));
    }
}
