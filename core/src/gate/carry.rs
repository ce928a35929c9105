//! What goes from the visitor to the site and back, and what does not.

use super::decide::GRACE_MS;
use super::own::{joined, with_parameter};
use super::request::Facts;
use super::shown::{SESSION_COOKIE, TOKEN_PARAMETER, WAIT_COOKIE, cookie_name};
use crate::settings::Settings;
use crate::token::SessionClaims;
use crate::units::{EventId, Millis};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The answer's header by which the site says that a visitor is done; its value is `end`.
pub const SESSION_HEADER: &str = "anteroom-session";
/// What the names of our parameters in a query begin with.
const PARAMETERS: &str = "anteroom_";
/// What the names of our headers begin with: from outside none is believed, and none of the site's reaches the visitor.
const HEADERS: &str = "anteroom-";
/// The parameter that remembers what a page without script has shown.
pub const SEEN_PARAMETER: &str = "anteroom_seen";
/// So long a host waits for the site's answer, unless its settings say otherwise, seconds.
pub const FIRST_BYTE_SEC: u64 = 60;
/// The longest wait for it that a host may be set to, seconds.
pub const FIRST_BYTE_MAX_SEC: u64 = 3_600;
/// Headers that are between two neighbours (RFC 9110, 7.6.1), whether or not `Connection` names them.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers that `Connection` names beside the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hops(Vec<String>);

impl Hops {
    /// From the values of `Connection`. What a message cannot do without stays, whoever names it.
    pub fn of<'a>(connection: impl IntoIterator<Item = &'a str>) -> Self {
        let names = connection.into_iter().flat_map(|value| value.split(','));
        let names = names.map(|name| name.trim().to_ascii_lowercase());
        let kept = ["", "host", "content-length", "content-type", "cookie", "set-cookie", "cache-control"];
        Self(names.filter(|name| !kept.contains(&name.as_str())).collect())
    }

    /// Whether a header, its name in lower case, goes on to the site. `cookie` goes through [`site_cookies`] as well.
    pub fn goes_up(&self, name: &str) -> bool {
        !self.ends_here(name)
    }

    /// Whether a header of the site's answer, its name in lower case, goes on to the visitor. `set-cookie` is asked about with
    /// [`is_our_cookie`] as well.
    pub fn comes_down(&self, name: &str) -> bool {
        !self.ends_here(name)
    }

    fn ends_here(&self, name: &str) -> bool {
        HOP_BY_HOP.contains(&name) || begins(name, HEADERS) || self.0.iter().any(|named| named == name)
    }
}

/// Whether a header, its name in lower case, tells a site of proxies before it: of whom they forwarded for, and what was asked of them.
/// From anybody but a trusted proxy it is made up, and a site may believe any of the family.
pub fn is_forwarded(name: &str) -> bool {
    let is = |known: &&str| begins(name, known) && name.len() == known.len();
    ["forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip"].iter().any(is)
        || begins(name, "x-forwarded-")
        || begins(name, "x-original-")
}

/// Whether the name of a header begins like that for a site to which everything but letters and digits is the same: whatever is behind
/// CGI, WSGI and their like makes a variable of the name, and so takes `anteroom_identity` and `anteroom.identity` for
/// `anteroom-identity`.
fn begins(name: &str, prefix: &str) -> bool {
    let read = name.bytes().map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'-' });
    name.len() >= prefix.len() && read.zip(prefix.bytes()).all(|(read, known)| read == known)
}

/// The cookies of the site, ours taken out; `None` when none is left.
pub fn site_cookies(header: &str) -> Option<Cow<'_, str>> {
    let is_ours = |pair: &&str| {
        let name = pair.trim().split('=').next().unwrap_or("");
        name.starts_with(WAIT_COOKIE) || name.starts_with(SESSION_COOKIE)
    };
    if !header.split(';').any(|pair| is_ours(&pair)) {
        return Some(header.into());
    }
    let kept: Vec<&str> = header.split(';').map(str::trim).filter(|pair| !pair.is_empty() && !is_ours(pair)).collect();
    (!kept.is_empty()).then(|| kept.join("; ").into())
}

/// The query of the site, our parameters taken out; the rest is as it came.
pub fn site_query(query: &str) -> Cow<'_, str> {
    let is_ours = |pair: &&str| pair.starts_with(PARAMETERS);
    if !query.split('&').any(|pair| is_ours(&pair)) {
        return query.into();
    }
    query.split('&').filter(|pair| !is_ours(pair)).collect::<Vec<_>>().join("&").into()
}

/// What the site is asked for: the path as it came, and its query without ours.
pub fn site_target(facts: &Facts<'_>) -> String {
    joined(facts.path, &site_query(facts.query))
}

/// What the site is told of whoever is inside: headers that nobody outside can set. Bytes that no header may have are escaped.
pub fn admitted(session: &SessionClaims) -> Vec<(&'static str, String)> {
    let mut headers =
        Vec::from([("anteroom-event", session.event.to_string()), ("anteroom-ticket", session.ticket.0.to_string())]);
    headers.extend(
        session.identity.as_ref().map(|identity| ("anteroom-identity", super::own::escaped(identity.as_str()))),
    );
    headers
}

/// Whether a `Set-Cookie` of the site is for a cookie that is ours: nobody else sets one.
pub fn is_our_cookie(set_cookie: &str) -> bool {
    let name = set_cookie.trim_start();
    name.starts_with(WAIT_COOKIE) || name.starts_with(SESSION_COOKIE)
}

/// Whether the site has said that the visitor is done.
pub fn ends_session(value: &str) -> bool {
    value.trim().eq_ignore_ascii_case("end")
}

/// A `Set-Cookie` of ours: for this host only, out of reach of scripts and of other sites' requests. A `max_age_sec` of 0 takes the
/// cookie away. An answer that carries one is nobody else's: see [`PRIVATE`].
pub fn set_cookie(name: &str, value: &str, max_age_sec: u64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age_sec}")
}

/// `Cache-Control` of every answer that sets a cookie of ours: a cache that kept it would hand out somebody's place.
pub const PRIVATE: &str = "private, no-store";

/// The answer's header that hands a token to a client without cookies; it shows it in the header of the same name.
pub const TOKEN_HEADER: &str = "anteroom-token";

/// Headers of an answer that hands out a place: its cookie, which lasts as long as the longest wait.
pub fn place_given(event: &EventId, token: &str, settings: &Settings) -> Vec<(&'static str, String)> {
    let cookie = set_cookie(&cookie_name(WAIT_COOKIE, event), token, settings.max_wait_ms() / 1000);
    Vec::from([("set-cookie", cookie), ("cache-control", PRIVATE.into())])
}

/// Headers of an answer that hands out a session, just opened or extended: its cookie, which outlives the session by as long as the
/// gate may honour it ([`GRACE_MS`]), since a browser shows none that is over; the place's cookie is taken away; and where the client
/// carries its tokens itself, the token.
pub fn session_given(claims: &SessionClaims, token: &str, by_hand: bool, now: Millis) -> Vec<(&'static str, String)> {
    let kept_sec = (claims.left_ms(now) + GRACE_MS).div_ceil(1000);
    let mut headers = Vec::from([
        ("set-cookie", set_cookie(&cookie_name(SESSION_COOKIE, &claims.event), token, kept_sec)),
        ("set-cookie", set_cookie(&cookie_name(WAIT_COOKIE, &claims.event), "", 0)),
        ("cache-control", PRIVATE.into()),
    ]);
    headers.extend(by_hand.then(|| (TOKEN_HEADER, token.into())));
    headers
}

/// Headers of an answer after which the client is nobody to the room: left, or done.
pub fn forgotten(event: &EventId) -> Vec<(&'static str, String)> {
    let gone = |prefix| ("set-cookie", set_cookie(&cookie_name(prefix, event), "", 0));
    Vec::from([gone(SESSION_COOKIE), gone(WAIT_COOKIE), ("cache-control", PRIVATE.into())])
}

/// What a page without script has shown: the best position and the longest way, so that none gets worse.
pub fn seen(facts: &Facts<'_>) -> Option<(u64, u64)> {
    let (best, of) = facts.parameter(SEEN_PARAMETER)?.split_once('.')?;
    Some((best.parse().ok()?, of.parse().ok()?))
}

/// Where a page without script goes next: the address it stands at, which carries the token where no cookie does, and what it has
/// shown.
pub fn next_look(at: &str, token: Option<&str>, seen: Option<(u64, u64)>) -> String {
    let mut target = at.to_string();
    if let Some(token) = token {
        target = with_parameter(&target, TOKEN_PARAMETER, token);
    }
    if let Some((best, of)) = seen {
        target = with_parameter(&target, SEEN_PARAMETER, &format!("{best}.{of}"));
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Generation, Identity, Slot, Ticket};
    use proptest::prelude::*;

    #[test]
    fn what_is_between_neighbours_ends_here() {
        let hops = Hops::of(["keep-alive, X-Secret", "close,Content-Length"]);
        for name in ["connection", "keep-alive", "te", "transfer-encoding", "upgrade", "x-secret", "close"] {
            assert!(!hops.goes_up(name) && !hops.comes_down(name), "{name}");
        }
        for name in ["anteroom-event", "anteroom-token", "anteroom-edge-token", "anteroom-session", "anteroom_identity"]
        {
            assert!(!hops.goes_up(name) && !hops.comes_down(name), "{name}");
        }
        for name in ["host", "content-length", "range", "accept-encoding", "x-other", "sec-websocket-key", "anteroom"] {
            assert!(hops.goes_up(name) && hops.comes_down(name), "{name}");
        }
    }

    #[test]
    fn what_proxies_say_is_known_by_its_name() {
        for name in [
            "forwarded",
            "x-real-ip",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-original-uri",
            "x_real_ip",
            "x_forwarded-for",
        ] {
            assert!(is_forwarded(name), "{name}");
        }
        assert!(!is_forwarded("forward") && !is_forwarded("x-request-id") && !is_forwarded("host"));
    }

    #[test]
    fn the_site_gets_its_own_cookies_and_parameters_only() {
        for (header, want) in [
            ("a=1; b=2", Some("a=1; b=2")),
            ("a=1;  __Host-anteroom-wait-sale=x;b=2;", Some("a=1; b=2")),
            ("__Host-anteroom-session-sale=x; __Host-anteroom-wait-sale", None),
            ("", Some("")),
        ] {
            assert_eq!(site_cookies(header).as_deref(), want, "{header}");
        }
        for (query, want) in
            [("a=1&b", "a=1&b"), ("a=1&anteroom_token=x&b=%20&&", "a=1&b=%20&&"), ("anteroom_seen=1.2", ""), ("", "")]
        {
            assert_eq!(site_query(query), want, "{query}");
        }
        assert_eq!(site_target(&Facts::new("GET", "/a%2Fb?anteroom_token=x")), "/a%2Fb");
        assert_eq!(site_target(&Facts::new("GET", "/a?b=c")), "/a?b=c");
    }

    #[test]
    fn our_cookies_are_ours() {
        assert!(is_our_cookie("__Host-anteroom-wait-sale=x; Path=/"));
        assert!(is_our_cookie(" __Host-anteroom-session-x=y"));
        assert!(!is_our_cookie("session=__Host-anteroom-wait-sale"));
        let text = set_cookie("__Host-anteroom-wait-sale", "a.b.c", 60);
        assert_eq!(text, "__Host-anteroom-wait-sale=a.b.c; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60");
        assert!(ends_session(" End ") && !ends_session("ended"));
    }

    #[test]
    fn what_is_handed_out_is_kept_by_nobody_else() {
        let session = SessionClaims { identity: None, ..session() };
        let given = session_given(&session, "t.o.k", true, Millis(400_500));
        assert_eq!(
            given,
            [
                ("set-cookie", set_cookie("__Host-anteroom-session-sale", "t.o.k", 600 + 600)),
                ("set-cookie", set_cookie("__Host-anteroom-wait-sale", "", 0)),
                ("cache-control", "private, no-store".into()),
                ("anteroom-token", "t.o.k".into()),
            ]
        );
        assert!(session_given(&session, "t.o.k", false, Millis(0)).iter().all(|(name, _)| *name != TOKEN_HEADER));
        let event = EventId::parse("sale").unwrap();
        let place = place_given(&event, "t.o.k", &Settings::default());
        assert_eq!(place[0].1, set_cookie("__Host-anteroom-wait-sale", "t.o.k", 7_200));
        for headers in [given, place, forgotten(&event)] {
            assert!(headers.contains(&("cache-control", "private, no-store".into())));
        }
    }

    fn session() -> SessionClaims {
        SessionClaims {
            event: EventId::parse("sale").unwrap(),
            generation: Generation(1),
            slot: Slot(7),
            ticket: Ticket(7),
            identity: Some(Identity::parse("jö b").unwrap()),
            renewed_at: 400,
            ends_at: 1_000,
        }
    }

    #[test]
    fn the_site_is_told_who_is_inside() {
        let want = [("anteroom-event", "sale"), ("anteroom-ticket", "7"), ("anteroom-identity", "j%C3%B6%20b")];
        assert_eq!(admitted(&session()), want.map(|(name, value)| (name, value.to_string())));
    }

    #[test]
    fn a_page_without_script_remembers() {
        let next = next_look("/a?b=c", Some("t.o.k"), Some((7, 9)));
        assert_eq!(next, "/a?b=c&anteroom_token=t.o.k&anteroom_seen=7.9");
        assert_eq!(seen(&Facts::new("GET", &next)), Some((7, 9)));
        assert_eq!(next_look("/a", None, None), "/a");
        for query in ["", "anteroom_seen=7", "anteroom_seen=x.9", "anteroom_seen=-1.9"] {
            assert_eq!(seen(&Facts { query, ..Facts::default() }), None, "{query}");
        }
    }

    proptest! {
        #[test]
        fn nothing_of_ours_reaches_the_site(header in "(__Host-anteroom-(wait|session)-a=x|b=c|;| |,){0,8}") {
            let kept = site_cookies(&header).unwrap_or_default();
            let ours = kept.split(';').any(is_our_cookie);
            prop_assert!(!ours, "{kept}");
        }
    }
}
