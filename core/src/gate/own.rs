//! Addresses of the gate's own on the visitors' host, and the forms that are posted to them.

use super::carry::{SEEN_PARAMETER, site_query};
use super::path::decoded;
use super::shown::TOKEN_PARAMETER;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Longest form, bytes.
pub const FORM_MAX: usize = 16 * 1024;
/// Longest way back, bytes; a longer one leads to the start.
const WAY_BACK_MAX: usize = 4_096;
/// Where the contract's addresses are.
const API: [&str; 10] = [
    "/api/v1/queue/",
    "/api/v1/events/",
    "/api/v1/passes/",
    "/api/v1/sessions/",
    "/api/v1/reservations",
    "/api/v1/payment/",
    "/api/v1/admin/",
    "/api/v1/edge/",
    "/api/v1/.well-known/",
    "/.well-known/jwks.json",
];

/// An address of the gate's own: it is never guarded and never asked of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// The HTTP API.
    Api,
    /// Forward authentication for another proxy.
    Check,
    /// The waiting page for a proxy that cannot show it in place: `?to=` says what for.
    Wait,
    /// A form: takes the turn.
    Enter,
    /// A form: gives up the place.
    Leave,
    /// A form: joins again.
    Join,
}

impl Own {
    /// Whether a path, without its query, is the gate's own. Exact: another spelling belongs to the site, and is guarded there.
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/gate/check" => Some(Own::Check),
            "/gate/wait" => Some(Own::Wait),
            "/gate/enter" => Some(Own::Enter),
            "/gate/leave" => Some(Own::Leave),
            "/gate/join" => Some(Own::Join),
            // Envoy appends the path it asks about.
            _ if path.starts_with("/gate/check/") => Some(Own::Check),
            _ => API.iter().any(|prefix| path.starts_with(prefix)).then_some(Own::Api),
        }
    }
}

/// What a form of the waiting page posts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The event.
    pub event: String,
    /// Where to go afterwards: safe, see [`way_back`].
    pub to: String,
    /// The token, where the page carries it by hand.
    pub token: Option<String>,
}

impl Form {
    /// Reads a form (`application/x-www-form-urlencoded`). What is missing or cannot be read is empty. O(length).
    pub fn read(body: &str) -> Self {
        let field = |name: &str| {
            let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.find(|(key, _)| *key == name)?.1.replace('+', " ");
            decoded(value.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok()).filter(|value| !value.is_empty())
        };
        Self {
            event: field("event").unwrap_or_default(),
            to: way_back(&field("to").unwrap_or_default()),
            token: field("token"),
        }
    }
}

/// A way back that leads nowhere else: a path of this very site with its query, without what is ours in it. Anything that a browser
/// could take for another site, and our own forms, become the start.
pub fn way_back(to: &str) -> String {
    let (path, query) = to.split_once('?').unwrap_or((to, ""));
    let fine = path.starts_with('/')
        && !path.starts_with("//")
        && to.len() <= WAY_BACK_MAX
        && !to.contains(['\\', '#'])
        && to.bytes().all(|byte| byte > 0x20 && byte != 0x7f)
        && Own::of(path).is_none();
    if !fine {
        return "/".into();
    }
    joined(path, &site_query(query))
}

/// A way back out of a query, in which it is escaped.
pub fn way_back_of(parameter: Option<&str>) -> String {
    let text = parameter.and_then(|text| decoded(text.as_bytes())).and_then(|bytes| String::from_utf8(bytes).ok());
    way_back(text.as_deref().unwrap_or(""))
}

/// `target` with one more parameter, whose value needs no escapes.
pub fn with_parameter(target: &str, name: &str, value: &str) -> String {
    let separator = if target.contains('?') { '&' } else { '?' };
    let mut out = String::from(target);
    out.push(separator);
    out.push_str(name);
    out.push('=');
    out.push_str(value);
    out
}

/// `to` with the parameters of ours that a visit to it carries on: `ours` says the value of one.
pub fn with_ours<'a>(to: &str, ours: impl Fn(&str) -> Option<&'a str>) -> String {
    [TOKEN_PARAMETER, SEEN_PARAMETER].into_iter().fold(to.into(), |target: String, name| match ours(name) {
        Some(value) => with_parameter(&target, name, value),
        None => target,
    })
}

/// The text as the value of a parameter.
pub fn escaped(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', char::from(HEX[usize::from(byte >> 4)]), char::from(HEX[usize::from(byte & 15)])]);
        }
    }
    out
}

pub(super) fn joined(path: &str, query: &str) -> String {
    let parts: Vec<Cow<'_, str>> =
        if query.is_empty() { Vec::from([path.into()]) } else { Vec::from([path.into(), "?".into(), query.into()]) };
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    #[test]
    fn only_our_very_own_addresses_are_ours() {
        for (path, own) in [
            ("/gate/check", Some(Own::Check)),
            ("/gate/check/tickets/1", Some(Own::Check)),
            ("/gate/wait", Some(Own::Wait)),
            ("/gate/enter", Some(Own::Enter)),
            ("/api/v1/queue/status", Some(Own::Api)),
            ("/api/v1/reservations", Some(Own::Api)),
            ("/.well-known/jwks.json", Some(Own::Api)),
            ("/gate", None),
            ("/gate/", None),
            ("/GATE/enter", None),
            ("//gate/enter", None),
            ("/gate/checks", None),
            ("/api/v1/orders", None),
            ("/api/v2/queue/status", None),
            ("/.well-known/acme-challenge/x", None),
        ] {
            assert_eq!(Own::of(path), own, "{path}");
        }
    }

    #[test]
    fn a_way_back_leads_to_this_site_only() {
        for (to, want) in [
            ("/tickets/1?a=b&c", "/tickets/1?a=b&c"),
            ("/tickets/1?anteroom_token=x&a=b&anteroom_seen=1.2", "/tickets/1?a=b"),
            ("/", "/"),
            ("", "/"),
            ("tickets", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("https://evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("/gate/leave", "/"),
            ("/a#b", "/"),
            ("/a b", "/"),
        ] {
            assert_eq!(way_back(to), want, "{to}");
        }
        assert_eq!(way_back_of(Some("%2Ftickets%3Fa=b")), "/tickets?a=b");
        let visited = with_ours("/tickets?a=b", |name| (name == TOKEN_PARAMETER).then_some("t.o.k"));
        assert_eq!(
            (visited.as_str(), way_back(&visited).as_str()),
            ("/tickets?a=b&anteroom_token=t.o.k", "/tickets?a=b")
        );
        assert_eq!(way_back_of(Some("%2F%2Fevil.example")), "/");
        assert_eq!(way_back_of(Some("%zz")), "/");
    }

    #[test]
    fn a_form_is_read() {
        let form = Form::read("event=sale&to=%2Ftickets%3Fa%3Db%2Bc&token=a.b.c&more=1");
        assert_eq!(form.event, "sale");
        assert_eq!(form.to, "/tickets?a=b+c");
        assert_eq!(form.token.as_deref(), Some("a.b.c"));
        assert_eq!(Form::read("event=%ff&token=&&=&x"), Form { to: "/".into(), ..Form::default() });
    }

    proptest! {
        #[test]
        fn any_form_is_read_and_leads_nowhere_else(body in "\\PC{0,200}", to in "[/\\\\a-z:.\\t%?#@ ]{0,20}") {
            for to in [Form::read(&body).to, Form::read(&format!("to={to}")).to, way_back(&to)] {
                prop_assert!(to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'), "{to}");
            }
        }

        #[test]
        fn what_is_escaped_comes_back(text in "\\PC{0,60}") {
            prop_assert_eq!(decoded(escaped(&text).as_bytes()), Some(text.into_bytes()));
        }
    }
}
