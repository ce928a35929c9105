//! What the gate has to know of a request.

use super::accept::{self, Wanted};
use alloc::vec::Vec;

/// The facts of a request, borrowed from the host. Made with what the request line says, then told the headers one by one.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// The method, as it came.
    pub method: &'a str,
    /// The path, as it came, without the query.
    pub path: &'a str,
    /// The query without its question mark; empty when there is none.
    pub query: &'a str,
    /// Values of `Host`, or what the host takes for it; more than one is refused.
    pub hosts: Vec<&'a str>,
    /// Values of `Cookie`.
    pub cookies: Vec<&'a str>,
    /// `Accept`; several are one list.
    pub accept: Vec<&'a str>,
    /// `Accept-Language`.
    pub accept_language: Option<&'a str>,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `Anteroom-Token`: a token of ours where cookies cannot be used and `Authorization` is the site's.
    pub token: Option<&'a str>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Mode`.
    pub fetch_mode: Option<&'a str>,
    /// `Sec-Fetch-Dest`.
    pub fetch_dest: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// `Sec-Purpose`, `Purpose` or `X-Moz`: a page that is loaded in advance.
    pub purpose: Option<&'a str>,
    /// Whether it asks to open a websocket (`Upgrade`): the one protocol that is switched to.
    pub upgrade: bool,
}

/// Who asks, and what it can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it can read.
    pub reads: Reads,
    /// Whether it may be given a place in line: it will see it, or says by name that it reads JSON.
    pub may_join: bool,
    /// Whether a turn may be taken for it. Not for a proxy that only asks.
    pub may_enter: bool,
}

/// What a client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A page, shown to a person.
    Page,
    /// JSON.
    Data,
    /// Neither: a picture, a script, a socket. It gets the status and JSON that nobody reads.
    Neither,
}

impl<'a> Facts<'a> {
    /// The headers that matter, in lower case.
    pub const HEADERS: [&'static str; 14] = [
        "host",
        "cookie",
        "accept",
        "accept-language",
        "authorization",
        "anteroom-token",
        "origin",
        "sec-fetch-mode",
        "sec-fetch-dest",
        "sec-fetch-site",
        "sec-purpose",
        "purpose",
        "x-moz",
        "upgrade",
    ];

    /// The facts of a request line. `target` is the path with its query, if there is one.
    pub fn new(method: &'a str, target: &'a str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method, path, query, ..Self::default() }
    }

    /// Takes in a header; its name is in lower case. Others than [`Facts::HEADERS`] change nothing. Of a header that must not be
    /// repeated the first counts, but for `Host`, where a second one is remembered.
    pub fn header(&mut self, name: &str, value: &'a str) {
        let first = |slot: &mut Option<&'a str>| *slot = slot.or(Some(value));
        match name {
            "host" => self.hosts.push(value),
            "cookie" => self.cookies.push(value),
            "accept" => self.accept.push(value),
            "accept-language" => first(&mut self.accept_language),
            "authorization" => first(&mut self.authorization),
            "anteroom-token" => first(&mut self.token),
            "origin" => first(&mut self.origin),
            "sec-fetch-mode" => first(&mut self.fetch_mode),
            "sec-fetch-dest" => first(&mut self.fetch_dest),
            "sec-fetch-site" => first(&mut self.fetch_site),
            "sec-purpose" | "purpose" | "x-moz" => first(&mut self.purpose),
            // Others go on as plain HTTP, which is what a server may make of them: `h2c` above all would be a way to the site on which
            // the gate reads nothing.
            "upgrade" => self.upgrade |= value.trim().eq_ignore_ascii_case("websocket"),
            _ => {}
        }
    }

    /// The facts of a visit to `target` by whoever makes this request: for pages of the gate's own that speak for another address.
    pub fn visiting(&self, target: &'a str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method: "GET", path, query, ..self.clone() }
    }

    /// Who asks.
    ///
    /// Browsers say what they load (`Sec-Fetch-*`); others are known by what they accept. Only somebody who will see the place gets
    /// one: a person before a page, or a program that accepts `application/json` by name. A bare `*/*`, which every script tag and
    /// every `curl` sends, is answered in JSON and joins nothing; so do `HEAD`, pages loaded in advance, and sockets.
    pub fn client(&self) -> Client {
        let (html, json) = (self.wants("text/html"), self.wants("application/json"));
        let html = html.max(Wanted { by_name: false, ..self.wants("application/xhtml+xml") });
        let navigates = self.fetch_mode.is_some_and(|mode| mode.eq_ignore_ascii_case("navigate"))
            || self.fetch_dest.is_some_and(|dest| ["document", "iframe", "frame"].contains(&dest));
        let loads_part = self.fetch_dest.is_some_and(|dest| !dest.is_empty() && dest != "empty");
        let reads = if self.upgrade {
            Reads::Neither
        } else if navigates {
            Reads::Page
        } else if loads_part {
            Reads::Neither
        } else if self.fetch_mode.is_none() && html.by_name && html.quality >= json.quality {
            Reads::Page
        } else if json.quality > 0 {
            Reads::Data
        } else if html.quality > 0 {
            Reads::Page
        } else {
            Reads::Neither
        };
        let may_join = self.purpose.is_none()
            && match reads {
                Reads::Page => matches!(self.method, "GET" | "POST"),
                Reads::Data => json.by_name && matches!(self.method, "GET" | "POST" | "PUT" | "PATCH" | "DELETE"),
                Reads::Neither => false,
            };
        Client { reads, may_join, may_enter: true }
    }

    /// The languages of whoever asks, best first.
    pub fn languages(&self) -> Vec<&'a str> {
        accept::languages(self.accept_language)
    }

    /// Whether a form was posted by a page of this very site, or by no page at all (a program). `SameSite` cookies alone would let in
    /// the neighbours: sites on other ports and subdomains.
    pub fn is_own_form(&self) -> bool {
        if let Some(site) = self.fetch_site {
            return matches!(site, "same-origin" | "none");
        }
        let Some(origin) = self.origin else { return true };
        let origin = origin.split_once("://").map(|(_, host)| host);
        matches!((origin, self.hosts.as_slice()), (Some(origin), [host]) if origin.eq_ignore_ascii_case(host))
    }

    /// The value of a parameter of the query, unless it is empty. Escapes are left as they are: none of our values needs one.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value)
    }

    fn wants(&self, media: &str) -> Wanted {
        let each = self.accept.iter().map(|accept| accept::wanted(Some(accept), media));
        each.max().unwrap_or_else(|| accept::wanted(None, media))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

    fn client(method: &'static str, headers: &[(&str, &'static str)]) -> (Reads, bool) {
        let mut facts = Facts::new(method, "/");
        headers.iter().for_each(|(name, value)| facts.header(name, value));
        let client = facts.client();
        (client.reads, client.may_join)
    }

    #[test]
    fn everybody_gets_what_they_can_read_and_only_who_sees_a_place_gets_one() {
        let navigation = ("sec-fetch-mode", "navigate");
        let fetch = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
        for (method, headers, want) in [
            // A browser that goes somewhere, old and new.
            ("GET", &[("accept", BROWSER)][..], (Reads::Page, true)),
            ("GET", &[("accept", BROWSER), navigation, ("sec-fetch-dest", "document")], (Reads::Page, true)),
            ("POST", &[("accept", BROWSER), navigation], (Reads::Page, true)),
            ("HEAD", &[("accept", BROWSER)], (Reads::Page, false)),
            ("GET", &[("accept", BROWSER), navigation, ("sec-purpose", "prefetch;prerender")], (Reads::Page, false)),
            ("GET", &[("accept", BROWSER), ("purpose", "prefetch")], (Reads::Page, false)),
            ("GET", &[("accept", "text/html;q=0.4, application/json;q=0.5")], (Reads::Data, true)),
            ("GET", &[("accept", "application/json;q=0.4, text/html;q=0.5")], (Reads::Page, true)),
            ("GET", &[("accept", "application/xhtml+xml")], (Reads::Page, true)),
            // Programs.
            ("GET", &[("accept", "application/json, text/plain, */*")], (Reads::Data, true)),
            ("DELETE", &[("accept", "application/json")], (Reads::Data, true)),
            ("BREW", &[("accept", "application/json")], (Reads::Data, false)),
            ("GET", &[("accept", "*/*")], (Reads::Data, false)),
            ("GET", &[], (Reads::Data, false)),
            ("GET", &[("accept", "<garbage>;;;=,")], (Reads::Data, false)),
            // A script of a page.
            ("GET", &[("accept", "*/*"), fetch[0], fetch[1]], (Reads::Data, false)),
            ("POST", &[("accept", "application/json"), fetch[0], fetch[1]], (Reads::Data, true)),
            // Parts of a page, old and new; a socket.
            ("GET", &[("accept", "image/avif,image/webp,image/*;q=0.8")], (Reads::Neither, false)),
            ("GET", &[("accept", "*/*"), ("sec-fetch-dest", "script")], (Reads::Neither, false)),
            ("GET", &[("accept", "image/*,*/*;q=0.8"), ("sec-fetch-dest", "image")], (Reads::Neither, false)),
            ("GET", &[("accept", "text/css,*/*;q=0.1")], (Reads::Data, false)),
            ("GET", &[("upgrade", "WebSocket"), ("sec-fetch-mode", "websocket")], (Reads::Neither, false)),
            ("GET", &[("upgrade", "h2c"), ("accept", "application/json")], (Reads::Data, true)),
        ] {
            assert_eq!(client(method, headers), want, "{method} {headers:?}");
        }
    }

    #[test]
    fn several_accept_headers_are_one_list() {
        assert_eq!(client("GET", &[("accept", "text/plain"), ("accept", "application/json")]), (Reads::Data, true));
    }

    #[test]
    fn only_our_own_pages_may_post() {
        let host = ("host", "127.0.0.1:8000");
        for (sent, own) in [
            (&[host][..], true),
            (&[host, ("origin", "http://127.0.0.1:8000")], true),
            (&[host, ("origin", "http://127.0.0.1:3000")], false),
            (&[host, ("origin", "https://evil.example")], false),
            (&[host, ("origin", "null")], false),
            (&[("origin", "http://127.0.0.1:8000")], false),
            (&[host, host, ("origin", "http://127.0.0.1:8000")], false),
            (&[host, ("sec-fetch-site", "same-origin")], true),
            (&[host, ("sec-fetch-site", "same-site")], false),
            (&[host, ("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:8000")], false),
        ] {
            let mut facts = Facts::new("POST", "/gate/leave");
            sent.iter().for_each(|(name, value)| facts.header(name, value));
            assert_eq!(facts.is_own_form(), own, "{sent:?}");
        }
    }

    #[test]
    fn a_parameter_is_found_among_others() {
        let facts = Facts::new("GET", "/a?x=1&anteroom_token=t.o.k&y&anteroom_token=other");
        assert_eq!((facts.path, facts.parameter("anteroom_token")), ("/a", Some("t.o.k")));
        assert_eq!((facts.parameter("y"), facts.parameter("z")), (None, None));
    }
}
