//! Which room a request is for: hosts, paths, what goes through, and the most specific of several.

use super::path::{Pattern, Readings};
use super::request::Facts;
use crate::code::ErrorCode;
use crate::settings::{Mode, Problem, Settings};
use crate::units::EventId;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// All rooms, ready to be looked through. Made anew when the settings of one change.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    rooms: Vec<GuardedRoom>,
}

/// A room, and which requests it guards.
#[derive(Clone, Debug)]
pub struct GuardedRoom {
    /// The event.
    pub event: EventId,
    /// Its settings.
    pub settings: Arc<Settings>,
    hosts: Vec<Host>,
    paths: Vec<Pattern>,
    bypass: Vec<Pattern>,
}

/// Where a request belongs.
#[derive(Clone, Copy, Debug)]
pub enum Route<'a> {
    /// No room guards it: straight to the site.
    Open,
    /// This room would guard it, but lets it through: a bypass, or the room only measures.
    Through(&'a GuardedRoom),
    /// This room guards it.
    Guarded(&'a GuardedRoom),
    /// It is not a request that a site could be asked.
    Refuse(ErrorCode),
}

impl<'a> Route<'a> {
    /// The room that guards it.
    pub const fn guarding(self) -> Option<&'a GuardedRoom> {
        match self {
            Route::Guarded(room) => Some(room),
            Route::Open | Route::Through(_) | Route::Refuse(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    /// `.example.com`: its subdomains.
    Below(String),
    Exactly(String),
}

impl Gate {
    /// The gate of these rooms. Patterns that [`problems`] would refuse guard nothing.
    pub fn new(rooms: impl IntoIterator<Item = (EventId, Arc<Settings>)>) -> Self {
        let patterns = |texts: &[String]| texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        let rooms = rooms.into_iter().map(|(event, settings)| GuardedRoom {
            hosts: settings.gate.hosts.iter().filter_map(|text| Host::parse(text).ok()).collect(),
            paths: patterns(&settings.gate.paths),
            bypass: patterns(&settings.gate.bypass_paths),
            event,
            settings,
        });
        Self { rooms: rooms.collect() }
    }

    /// The room of an event.
    pub fn room(&self, event: &str) -> Option<&GuardedRoom> {
        self.rooms.iter().find(|room| room.event.as_str() == event)
    }

    /// Where a request belongs. Of several rooms that guard it, the one whose host is named most exactly, then the one whose path is,
    /// then the first by name.
    ///
    /// Where there are rooms, a host that none of them names is not served at all: otherwise whoever makes up a host would get to a
    /// site that does not look at it. To serve one without a line, name it in a room of mode `passthrough`. O(rooms).
    pub fn route(&self, facts: &Facts<'_>) -> Route<'_> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if facts.method.is_empty() || facts.method.len() > 40 || !facts.method.bytes().all(is_token) {
            return Route::Refuse(ErrorCode::InvalidRequest);
        }
        if matches!(facts.method, "CONNECT" | "TRACE") {
            return Route::Refuse(ErrorCode::MethodNotAllowed);
        }
        let host = match facts.hosts.as_slice() {
            [host] => host_name(host),
            _ => None,
        };
        let Some(host) = host else { return Route::Refuse(ErrorCode::InvalidRequest) };
        if self.rooms.is_empty() {
            return Route::Open;
        }
        let mut here = self.rooms.iter().filter_map(|room| Some((room.host_rank(&host)?, room))).peekable();
        if here.peek().is_none() {
            return Route::Refuse(ErrorCode::NotFound);
        }
        // `OPTIONS *` is about the server as a whole.
        let path = if facts.path == "*" && facts.method == "OPTIONS" { "/" } else { facts.path };
        let Some(path) = Readings::of(path) else { return Route::Refuse(ErrorCode::InvalidRequest) };
        let best = here
            .filter_map(|(host, room)| Some((host, room.path_rank(&path)?, Reverse(&room.event), room)))
            .max_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)));
        let Some((.., room)) = best else { return Route::Open };
        let through = room.settings.mode == Mode::Passthrough
            || room.settings.gate.bypass_methods.iter().any(|method| method == facts.method)
            || room.bypass.iter().any(|pattern| pattern.lets_through(&path));
        if through { Route::Through(room) } else { Route::Guarded(room) }
    }
}

impl GuardedRoom {
    /// How exactly the room names a host; `None` when it does not.
    fn host_rank(&self, name: &str) -> Option<usize> {
        let rank = |host: &Host| match host {
            Host::Any => Some(0),
            Host::Below(suffix) => name.ends_with(suffix.as_str()).then_some(suffix.len()),
            Host::Exactly(host) => (host == name).then_some(usize::MAX),
        };
        self.hosts.iter().filter_map(rank).max()
    }

    /// How exactly the room names a path; `None` when it does not.
    fn path_rank(&self, path: &Readings) -> Option<(usize, bool)> {
        self.paths.iter().filter(|pattern| pattern.guards(path)).map(Pattern::rank).max()
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Host::Any);
        }
        let wrong = "must be a host name without port, *.name, or *";
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let parsed = host_name(name).filter(|parsed| parsed.len() == name.trim_end_matches('.').len()).ok_or(wrong)?;
        Ok(if below { Host::Below(format!(".{parsed}")) } else { Host::Exactly(parsed) })
    }
}

/// What is wrong with the settings of a gate.
pub fn problems(gate: &crate::settings::Gate) -> Vec<Problem> {
    let is_method =
        |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    let hosts = gate.hosts.iter().map(|text| ("gate.hosts", text, Host::parse(text).err()));
    let paths = gate.paths.iter().map(|text| ("gate.paths", text, Pattern::parse(text).err()));
    let bypass = gate.bypass_paths.iter().map(|text| ("gate.bypass_paths", text, Pattern::parse(text).err()));
    let methods = gate.bypass_methods.iter().map(|text| {
        ("gate.bypass_methods", text, (!is_method(text)).then_some("must be a method in capitals, such as OPTIONS"))
    });
    let all = hosts.chain(paths).chain(bypass).chain(methods);
    all.filter_map(|(field, text, why)| Some(Problem::new(field, format!("has {text:?}, which {}", why?)))).collect()
}

/// The name in a `Host` header: in lower case, without its port. `None` when it is no host at all. Anything that a site could take for
/// a user, a path or a second name is not one.
fn host_name(text: &str) -> Option<String> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            (&text[..end + 2], &rest[end + 1..])
        }
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let digits = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if !(port.is_empty() || port.strip_prefix(':').is_some_and(digits)) {
        return None;
    }
    let inner = name.trim_start_matches('[').trim_end_matches(']');
    let allowed = |byte: u8| match name.starts_with('[') {
        true => byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'),
        false => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let formed = !inner.is_empty() && inner.len() <= 253 && inner.bytes().all(allowed) && !name.contains("..");
    (formed && !name.is_empty() && !name.starts_with('.')).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn gate(rooms: &[(&str, Value)]) -> Gate {
        Gate::new(rooms.iter().map(|(event, gate)| {
            let settings = Settings::default().patched(&json!({ "gate": gate })).unwrap();
            (EventId::parse(event).unwrap(), Arc::new(settings))
        }))
    }

    fn asked(gate: &Gate, method: &str, host: &str, target: &str) -> String {
        let mut facts = Facts::new(method, target);
        facts.header("host", host);
        match gate.route(&facts) {
            Route::Open => "open".into(),
            Route::Through(room) => format!("through {}", room.event),
            Route::Guarded(room) => format!("guarded {}", room.event),
            Route::Refuse(code) => code.as_str().into(),
        }
    }

    #[test]
    fn the_most_specific_room_wins() {
        let gate = gate(&[
            ("all", json!({"bypass_paths": ["/assets/*"]})),
            ("tickets", json!({"paths": ["/tickets/*"]})),
            ("vip", json!({"paths": ["/tickets/vip/*", "/vip"]})),
            ("fan", json!({"hosts": ["*.fan.example"], "paths": ["/*"]})),
            ("club", json!({"hosts": ["club.fan.example"], "paths": ["/*"]})),
            ("twin-b", json!({"paths": ["/twin"]})),
            ("twin-a", json!({"paths": ["/twin"]})),
        ]);
        for (host, target, want) in [
            ("shop.example", "/", "guarded all"),
            ("shop.example", "/tickets/1?to=/assets/x", "guarded tickets"),
            ("shop.example", "/TICKETS/vip/", "guarded vip"),
            ("shop.example", "/vip/", "guarded vip"),
            ("shop.example", "/assets/a.css", "through all"),
            ("shop.example", "/assets/../tickets/1", "guarded tickets"),
            ("a.fan.example:8443", "/tickets/1", "guarded fan"),
            ("CLUB.fan.example.", "/tickets/1", "guarded club"),
            ("fan.example", "/tickets/1", "guarded tickets"),
            ("shop.example", "/twin", "guarded twin-a"),
            ("shop.example", "/a%zz", "INVALID_REQUEST"),
        ] {
            assert_eq!(asked(&gate, "GET", host, target), want, "{host} {target}");
        }
        assert_eq!(asked(&gate, "OPTIONS", "shop.example", "/tickets/1"), "through tickets");
        assert_eq!(asked(&gate, "OPTIONS", "shop.example", "*"), "through all");
        assert_eq!(asked(&gate, "HEAD", "shop.example", "/tickets/1"), "guarded tickets");
        assert_eq!(asked(&gate, "BREW", "shop.example", "/tickets/1"), "guarded tickets");
    }

    #[test]
    fn what_no_room_guards_is_open() {
        let some = gate(&[("sale", json!({"paths": ["/tickets/*"]}))]);
        assert_eq!(asked(&some, "GET", "shop.example", "/about"), "open");
        assert_eq!(asked(&gate(&[]), "GET", "shop.example", "/about"), "open");
    }

    #[test]
    fn a_host_that_no_room_names_is_not_served() {
        let gate = gate(&[("sale", json!({"hosts": ["shop.example", "*.shop.example"]}))]);
        for (host, want) in [
            ("shop.example", "guarded sale"),
            ("www.shop.example", "guarded sale"),
            ("notshop.example", "NOT_FOUND"),
            ("127.0.0.1", "NOT_FOUND"),
            ("[::1]:80", "NOT_FOUND"),
        ] {
            assert_eq!(asked(&gate, "GET", host, "/"), want, "{host}");
        }
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        let gate = gate(&[("sale", json!({}))]);
        for host in [
            "",
            ":80",
            "a b",
            "shop.example@evil",
            "shop.example:80@evil",
            "shop.example/x",
            "a,b",
            "a:b:c",
            "a:123456",
            "[::1",
            "[x]",
            "..",
            ".a",
            "a..b",
            "shop.example\u{0}",
            "münchen.example",
        ] {
            assert_eq!(asked(&gate, "GET", host, "/"), "INVALID_REQUEST", "{host}");
        }
        let mut facts = Facts::new("GET", "/");
        assert!(matches!(gate.route(&facts), Route::Refuse(ErrorCode::InvalidRequest)), "none at all");
        facts.header("host", "shop.example");
        facts.header("host", "shop.example");
        assert!(matches!(gate.route(&facts), Route::Refuse(ErrorCode::InvalidRequest)), "twice");
    }

    #[test]
    fn a_method_that_is_none_is_refused() {
        let gate = gate(&[("sale", json!({}))]);
        for (method, want) in [("", "INVALID_REQUEST"), ("G T", "INVALID_REQUEST"), ("TRACE", "METHOD_NOT_ALLOWED")] {
            assert_eq!(asked(&gate, method, "shop.example", "/"), want, "{method}");
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let said = |gate: Value| -> Vec<String> {
            let problems = Settings::default().patched(&json!({ "gate": gate })).unwrap_err();
            problems.iter().map(|problem| format!("{problem}")).collect()
        };
        assert_eq!(
            said(json!({"hosts": ["shop.example:80"], "paths": ["tickets"], "bypass_methods": ["get"]})),
            [
                r#"gate.hosts has "shop.example:80", which must be a host name without port, *.name, or *"#,
                r#"gate.paths has "tickets", which must begin with a slash"#,
                r#"gate.bypass_methods has "get", which must be a method in capitals, such as OPTIONS"#,
            ]
        );
        assert_eq!(said(json!({"bypass_paths": ["/a/../b"], "hosts": ["*.", "*.*"]})).len(), 3);
    }

    proptest! {
        #[test]
        fn nothing_gets_past_a_room_that_guards_everything(
            method in "[A-Z]{1,8}", host in "\\PC{0,40}", target in "\\PC{0,60}", odd in "/[a-z/.%25;\\\\?]{0,40}",
        ) {
            let gate = gate(&[("sale", json!({"bypass_methods": []}))]);
            for target in [target, odd] {
                let route = asked(&gate, &method, &host, &target);
                prop_assert!(!route.starts_with("open") && !route.starts_with("through"), "{route}");
            }
        }
    }
}
