//! Forward authentication: which request another proxy asks about, and what it does with a refusal.
//!
//! Each kind of proxy describes the request in its own way. Some of these headers can be written by the visitor where the proxy in use
//! does not set them, so a description never wins over another one: all that are there must agree, or nothing is admitted.

use super::request::{Client, Facts, Reads};
use crate::code::ErrorCode;

/// The address that is asked.
pub const CHECK_PATH: &str = "/gate/check";
/// The address of the waiting page, for proxies that cannot show it in place.
pub const WAIT_PATH: &str = "/gate/wait";

/// What the headers of a check say about the request that it is about.
#[derive(Clone, Debug, Default)]
pub struct Description<'a> {
    original_uri: Option<&'a str>,
    original_method: Option<&'a str>,
    forwarded_uri: Option<&'a str>,
    forwarded_method: Option<&'a str>,
    forwarded_host: Option<&'a str>,
    contradicted: bool,
}

/// What the proxy does with an answer that does not admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It looks at the status only, 401 or 403, and has a page of its own to show: nginx.
    Status,
    /// It hands the answer to the visitor as it is: Traefik, Caddy, Envoy.
    Answer,
}

impl<'a> Description<'a> {
    /// The headers that matter, in lower case.
    pub const HEADERS: [&'static str; 5] =
        ["x-original-uri", "x-original-method", "x-forwarded-uri", "x-forwarded-method", "x-forwarded-host"];

    /// Takes in a header; its name is in lower case. Others than [`Description::HEADERS`] change nothing.
    pub fn header(&mut self, name: &str, value: &'a str) {
        let slot = match name {
            "x-original-uri" => &mut self.original_uri,
            "x-original-method" => &mut self.original_method,
            "x-forwarded-uri" => &mut self.forwarded_uri,
            "x-forwarded-method" => &mut self.forwarded_method,
            "x-forwarded-host" => &mut self.forwarded_host,
            _ => return,
        };
        self.contradicted |= slot.is_some_and(|there| there != value);
        *slot = Some(value);
    }

    /// The request that is asked about, and what becomes of a refusal. `own`: the facts of the check itself.
    ///
    /// [`ErrorCode::InvalidRequest`] when nothing says what it is about, or when two things say otherwise.
    pub fn facts(&self, own: &Facts<'a>) -> Result<(Facts<'a>, Refusal), ErrorCode> {
        let nginx = self.original_uri.map(|uri| (self.original_method.unwrap_or("GET"), uri, None));
        let forwarded =
            self.forwarded_uri.map(|uri| (self.forwarded_method.unwrap_or("GET"), uri, self.forwarded_host));
        let mut judged: Option<Facts<'a>> = None;
        for (method, target, host) in [nginx, forwarded].into_iter().flatten() {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let hosts = host.map_or_else(|| own.hosts.clone(), |host| [host].into());
            agree(&mut judged, Facts { method, path, query, hosts, ..own.clone() })?;
        }
        // Envoy appends the path it asks about, and asks with the method of the visitor.
        if let Some(path) = own.path.strip_prefix(CHECK_PATH).filter(|path| path.starts_with('/')) {
            agree(&mut judged, Facts { path, ..own.clone() })?;
        }
        let refusal = if self.original_uri.is_some() { Refusal::Status } else { Refusal::Answer };
        match judged {
            Some(facts) if !self.contradicted => Ok((facts, refusal)),
            _ => Err(ErrorCode::InvalidRequest),
        }
    }
}

impl Refusal {
    /// What a check may do for whoever makes the request that it is about. O(length of the headers).
    ///
    /// A program reads the answer of the check itself, where that is handed to it: there it is given its place, and its turn is taken,
    /// as at any gate. It knows no other address. Everybody else is shown the waiting page, which does both; until then a check is a
    /// question and changes nothing.
    pub fn client(self, facts: &Facts<'_>) -> Client {
        let client = facts.client();
        let reads_it = self == Refusal::Answer && client.reads == Reads::Data;
        Client { may_join: client.may_join && reads_it, may_enter: client.may_enter && reads_it, ..client }
    }
}

fn agree<'a>(known: &mut Option<Facts<'a>>, said: Facts<'a>) -> Result<(), ErrorCode> {
    let same = |known: &Facts<'_>| {
        (known.method, known.path, known.query, &known.hosts) == (said.method, said.path, said.query, &said.hosts)
    };
    match known {
        Some(known) if !same(known) => Err(ErrorCode::InvalidRequest),
        _ => {
            *known = Some(said);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn judged(
        method: &'static str,
        target: &'static str,
        headers: &[(&str, &'static str)],
    ) -> Result<String, ErrorCode> {
        let mut own = Facts::new(method, target);
        let mut description = Description::default();
        for (name, value) in headers {
            own.header(name, value);
            description.header(name, value);
        }
        let (facts, refusal) = description.facts(&own)?;
        Ok(format!("{} {:?} {}?{} {refusal:?}", facts.method, facts.hosts, facts.path, facts.query))
    }

    const HOST: (&str, &str) = ("host", "shop.example");

    #[test]
    fn each_proxy_is_understood_in_its_own_way() {
        let nginx = [HOST, ("x-original-uri", "/a?b=c"), ("x-original-method", "POST")];
        assert_eq!(judged("GET", "/gate/check", &nginx).unwrap(), r#"POST ["shop.example"] /a?b=c Status"#);
        let traefik = [
            ("host", "anteroom:8000"),
            ("x-forwarded-uri", "/a?b=c"),
            ("x-forwarded-method", "PUT"),
            ("x-forwarded-host", "shop.example"),
        ];
        assert_eq!(judged("GET", "/gate/check", &traefik).unwrap(), r#"PUT ["shop.example"] /a?b=c Answer"#);
        assert_eq!(judged("DELETE", "/gate/check/a?b=c", &[HOST]).unwrap(), r#"DELETE ["shop.example"] /a?b=c Answer"#);
        assert_eq!(judged("GET", "/gate/check/", &[HOST]).unwrap(), r#"GET ["shop.example"] /? Answer"#);
    }

    #[test]
    fn a_visitor_who_describes_another_request_is_not_admitted_by_it() {
        let traefik = [("host", "anteroom:8000"), ("x-forwarded-uri", "/a"), ("x-forwarded-host", "shop.example")];
        for added in [
            ("x-original-uri", "/assets/x"),
            ("x-original-uri", "/a"),
            ("x-forwarded-uri", "/assets/x"),
            ("x-forwarded-host", "other.example"),
        ] {
            let headers = [&traefik[..], &[added]].concat();
            assert_eq!(judged("GET", "/gate/check", &headers), Err(ErrorCode::InvalidRequest), "{added:?}");
        }
        let nginx = [HOST, ("x-original-uri", "/a"), ("x-original-method", "POST")];
        for added in [("x-forwarded-uri", "/assets/x"), ("x-forwarded-uri", "/a")] {
            let headers = [&nginx[..], &[added]].concat();
            assert_eq!(judged("GET", "/gate/check", &headers), Err(ErrorCode::InvalidRequest), "{added:?}");
        }
        for added in [("x-original-uri", "/assets/x"), ("x-forwarded-uri", "/assets/x")] {
            assert_eq!(judged("GET", "/gate/check/a", &[HOST, added]), Err(ErrorCode::InvalidRequest), "{added:?}");
        }
    }

    #[test]
    fn only_programs_that_read_the_answer_of_a_check_get_something_by_it() {
        for (accept, refusal, gets) in [
            ("application/json", Refusal::Answer, (true, true)),
            ("*/*", Refusal::Answer, (false, true)),
            ("application/json", Refusal::Status, (false, false)),
            ("text/html", Refusal::Answer, (false, false)),
            ("text/html", Refusal::Status, (false, false)),
            ("image/*", Refusal::Answer, (false, false)),
        ] {
            let mut facts = Facts::new("GET", "/tickets");
            facts.header("accept", accept);
            let client = refusal.client(&facts);
            assert_eq!((client.may_join, client.may_enter), gets, "{accept} {refusal:?}");
        }
    }

    #[test]
    fn a_check_of_nothing_admits_nothing() {
        assert_eq!(judged("GET", "/gate/check", &[HOST]), Err(ErrorCode::InvalidRequest));
        assert_eq!(judged("GET", "/gate/check", &[HOST, ("x-original-method", "GET")]), Err(ErrorCode::InvalidRequest));
    }
}
