//! The address of a request, taken apart without copying: it is looked at for every poll.

use std::borrow::Cow;

/// The parts of an absolute URL, as the runtime has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port, if it is not the usual one.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The path alone.
    pub path: &'a str,
    /// The query without its question mark; empty when there is none.
    pub query: &'a str,
}

impl<'a> Address<'a> {
    /// Takes a URL apart. `None` when it is none with a host.
    pub fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let rest = rest.split('#').next().unwrap_or(rest);
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, target) = rest.split_at(at);
        let host = host.rsplit('@').next().unwrap_or(host);
        let target = if target.is_empty() { "/" } else { target };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        (!host.is_empty()).then_some(Self { scheme, host, target, path, query })
    }

    /// The value of the first parameter of a name.
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (url, want) in [
            ("https://shop.example/a/b?x=1&y#z", ("https", "shop.example", "/a/b?x=1&y", "/a/b", "x=1&y")),
            ("http://127.0.0.1:8787/", ("http", "127.0.0.1:8787", "/", "/", "")),
            ("http://[::1]:80/a?b?c", ("http", "[::1]:80", "/a?b?c", "/a", "b?c")),
            ("http://jo@shop.example", ("http", "shop.example", "/", "/", "")),
        ] {
            let Address { scheme, host, target, path, query } = Address::of(url).unwrap();
            assert_eq!((scheme, host, target, path, query), want, "{url}");
        }
        for url in ["", "/a", "http://", "http:///a", "shop.example/a"] {
            assert_eq!(Address::of(url), None, "{url}");
        }
    }

    #[test]
    fn a_parameter_is_found_and_decoded() {
        let address = Address::of("http://a/b?token=t.o.k&event_id=a%3Ab&token=second&empty").unwrap();
        assert_eq!(address.parameter("token").as_deref(), Some("t.o.k"));
        assert_eq!(address.parameter("event_id").as_deref(), Some("a:b"));
        assert_eq!(address.parameter("empty").as_deref(), Some(""));
        assert_eq!(address.parameter("none"), None);
    }
}
