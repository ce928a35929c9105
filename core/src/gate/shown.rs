//! The tokens that a request shows: in cookies of a room's own, in a header, as bearer, in the query.

use super::request::{Client, Facts, Reads};
#[cfg(feature = "signatures")]
use crate::token::TokenKeys;
use crate::token::{PassClaims, SessionClaims, WaitingClaims};
use crate::units::{EventId, Millis};
use alloc::string::String;
use alloc::vec::Vec;

/// What the names of cookies with waiting tokens begin with; the event follows.
pub const WAIT_COOKIE: &str = "__Host-anteroom-wait-";
/// What the names of cookies with session tokens begin with; the event follows.
pub const SESSION_COOKIE: &str = "__Host-anteroom-session-";
/// The parameter of a query that carries a token where cookies are blocked.
pub const TOKEN_PARAMETER: &str = "anteroom_token";
/// Most cookies of one name that are looked at: a jar can hold more than one, and a request any number.
const SAME_MAX: usize = 3;

/// The name of a room's cookie. An event's colon, which no cookie's name may have, is written as a tilde, which no event has.
pub fn cookie_name(prefix: &str, event: &EventId) -> String {
    String::from(prefix) + &name_of(event.as_str())
}

fn name_of(event: &str) -> String {
    event.replace(':', "~")
}

/// The values of the cookies of a name, at most a few.
pub fn cookies<'a>(facts: &Facts<'a>, name: &str) -> Vec<&'a str> {
    cookies_in(facts.cookies.iter().copied(), |key| key == name)
}

fn cookies_in<'a>(jars: impl Iterator<Item = &'a str>, is_wanted: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let pairs = jars.flat_map(|jar| jar.split(';'));
    let values = pairs.filter_map(|pair| pair.trim().split_once('=').filter(|(key, _)| is_wanted(key)));
    let unquoted = |value: &'a str| value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    values.map(|(_, value)| unquoted(value)).filter(|value| !value.is_empty()).take(SAME_MAX).collect()
}

/// The token of an `Authorization` of the scheme `Bearer`.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The JWT of an `Authorization` of the scheme `Bearer`, if what is there has the form of one. At a gate it may be the site's own business,
/// in any form and bytes.
pub fn bearer_jwt(authorization: &str) -> Option<&str> {
    let is_part = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    bearer(authorization).filter(|token| token.split('.').count() == 3 && token.split('.').all(is_part))
}

/// The waiting token that a request of the queue API shows: the parameter `token` of its query, else a bearer token, else what the cookies
/// (`Cookie` headers) keep for `event`, or where none is named for any. Of several cookies the one counts that counts at the gate
/// ([`Visitor::verify`]), so that a page and its polls speak of one place. Whether it is any good is for the caller to see.
#[cfg(feature = "signatures")]
pub fn waiting_token<'a>(
    parameter: Option<&'a str>,
    authorization: Option<&'a str>,
    jars: impl IntoIterator<Item = &'a str>,
    event: Option<&str>,
    keys: &TokenKeys,
) -> Option<&'a str> {
    let carried = parameter.filter(|token| !token.is_empty()).or_else(|| authorization.and_then(bearer));
    carried.or_else(|| {
        let event = event.map(name_of);
        let kept = cookies_in(jars.into_iter(), |key| {
            let of = key.strip_prefix(WAIT_COOKIE);
            of.is_some_and(|of| event.as_ref().is_none_or(|event| of == event))
        });
        match kept.as_slice() {
            [] => None,
            [only] => Some(*only),
            several => best_place(several, keys, |_| true).map(|(_, token)| token).or(Some(several[0])),
        }
    })
}

/// Of several waiting tokens, of those that we have signed and that are wanted: in the newest generation the place nearest to the front.
#[cfg(feature = "signatures")]
fn best_place<'a>(
    tokens: &[&'a str],
    keys: &TokenKeys,
    is_wanted: impl Fn(&WaitingClaims) -> bool,
) -> Option<(WaitingClaims, &'a str)> {
    let signed = tokens.iter().filter_map(|token| keys.verify(token).ok().map(|claims| (claims, *token)));
    signed
        .filter(|(claims, _)| is_wanted(claims))
        .min_by_key(|(claims, _)| (core::cmp::Reverse(claims.generation), claims.ticket))
}

/// What a request shows for a room; nothing is believed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown<'a> {
    /// From the room's session cookies.
    pub sessions: Vec<&'a str>,
    /// From the room's waiting cookies.
    pub places: Vec<&'a str>,
    /// Carried by the client itself, best first: `Anteroom-Token`, a bearer token, the query.
    pub carried: Vec<&'a str>,
}

impl<'a> Shown<'a> {
    /// What the request shows for the room of an event. O(length of the headers).
    pub fn find(facts: &Facts<'a>, event: &EventId) -> Self {
        let carried =
            [facts.token.map(str::trim), facts.authorization.and_then(bearer_jwt), facts.parameter(TOKEN_PARAMETER)];
        Self {
            sessions: cookies(facts, &cookie_name(SESSION_COOKIE, event)),
            places: cookies(facts, &cookie_name(WAIT_COOKIE, event)),
            carried: carried.into_iter().flatten().filter(|token| !token.is_empty()).collect(),
        }
    }
}

/// What the origin has said of a session since its token was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// It lasts longer: its claims as they are now.
    Extended(SessionClaims),
    /// It is over.
    Over,
}

/// Who a visitor proves to be, in one room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visitor<'a> {
    /// The session that a token of ours names.
    pub session: Option<SessionClaims>,
    /// Whether the client carries the session itself, so that no cookie need be set.
    pub session_by_hand: bool,
    /// Whether the client has no token yet that says so of the session: a pass has opened it, or it was extended since.
    pub session_is_new: bool,
    /// The place that a token of ours names, and that token.
    pub place: Option<(WaitingClaims, &'a str)>,
    /// Whether the client carries the place itself: its cookies may be blocked.
    pub place_by_hand: bool,
    /// Texts that are neither, and may be passes: for whoever has the public keys to look at.
    pub passes: Vec<&'a str>,
}

impl<'a> Visitor<'a> {
    /// Believes what our secrets have signed for this event, and nothing else. Of several sessions the one that lasts longest counts,
    /// of several places the one that the client carries itself, then the earliest. At most nine signatures are checked.
    #[cfg(feature = "signatures")]
    pub fn verify(shown: &Shown<'a>, keys: &TokenKeys, event: &EventId) -> Self {
        let mut visitor = Self::default();
        for token in &shown.carried {
            if let Ok(claims) = keys.verify_session(token) {
                visitor.take_session(claims, event, true);
            } else if let Ok(claims) = keys.verify(token) {
                if visitor.place.is_none() && claims.event == *event {
                    visitor.place = Some((claims, token));
                    visitor.place_by_hand = true;
                }
            } else {
                visitor.passes.push(token);
            }
        }
        for token in &shown.sessions {
            if let Ok(claims) = keys.verify_session(token) {
                visitor.take_session(claims, event, false);
            }
        }
        let kept = best_place(&shown.places, keys, |claims| claims.event == *event);
        match (&visitor.place, kept) {
            // The cookie has it too: nothing need be carried any more.
            (Some((carried, _)), Some((kept, _))) if *carried == kept => visitor.place_by_hand = false,
            (None, Some(kept)) => visitor.place = Some(kept),
            _ => {}
        }
        visitor
    }

    /// Whether the token of a session is told to the client itself, beside the cookie: to one that carries its tokens, and to a program
    /// that has joined with this very request (`joined`), which may keep no cookies and carries on with what it is told.
    pub fn is_told_session(&self, joined: bool, client: Client) -> bool {
        self.session_by_hand || self.place_by_hand || joined && client.reads == Reads::Data
    }

    /// Whether the token of a place that a form gives is told in the address it leads to: where the last one was carried, and where
    /// the browser has shown that it keeps no cookie at all.
    pub fn is_told_place(&self, facts: &Facts<'_>) -> bool {
        self.place_by_hand || facts.cookies.is_empty()
    }

    /// Believes a pass that the host has verified: what it opens is a session.
    pub fn take_pass(&mut self, pass: &PassClaims, event: &EventId, now: Millis) {
        if let Some(session) = pass.session(now) {
            self.session_is_new |= self.take_session(session, event, true);
        }
    }

    /// Takes in what the origin has said of the session since its token was made.
    pub fn learn(&mut self, news: News) {
        match news {
            News::None => {}
            News::Extended(session) => (self.session, self.session_is_new) = (Some(session), true),
            News::Over => self.session = None,
        }
    }

    /// Believes a session, unless it is of another event or a longer one is known.
    fn take_session(&mut self, claims: SessionClaims, event: &EventId, by_hand: bool) -> bool {
        let better = |known: &SessionClaims| (claims.generation, claims.ends_at) > (known.generation, known.ends_at);
        let taken = claims.event == *event && self.session.as_ref().is_none_or(better);
        if taken {
            (self.session, self.session_by_hand) = (Some(claims), by_hand);
        }
        taken
    }
}

#[cfg(feature = "signatures")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Generation, Slot, Ticket};
    use proptest::prelude::*;
    use std::{format, vec};

    fn keys() -> TokenKeys {
        TokenKeys::new(&["0123456789abcdef0123456789abcdef"]).unwrap()
    }

    fn event(text: &str) -> EventId {
        EventId::parse(text).unwrap()
    }

    fn place(of: &str, ticket: u64) -> String {
        let (generation, ticket) = (Generation(1), Ticket(ticket));
        keys().sign(&WaitingClaims { event: event(of), generation, ticket, identity: None, issued_at: 5 })
    }

    fn session(of: &str, ends_at: u64) -> String {
        keys().sign_session(&SessionClaims {
            event: event(of),
            generation: Generation(1),
            slot: Slot(3),
            ticket: Ticket(3),
            identity: None,
            renewed_at: 5,
            ends_at,
        })
    }

    /// The ticket of the place, whether it is carried by hand, the end of the session, and how many texts may be passes.
    fn seen(target: &str, headers: &[(&str, String)]) -> (Option<u64>, bool, Option<u64>, usize) {
        let mut facts = Facts::new("GET", target);
        headers.iter().for_each(|(name, value)| facts.header(name, value));
        let sale = event("sale");
        let visitor = Visitor::verify(&Shown::find(&facts, &sale), &keys(), &sale);
        let ticket = visitor.place.map(|(claims, _)| claims.ticket.0);
        (ticket, visitor.place_by_hand, visitor.session.map(|session| session.ends_at), visitor.passes.len())
    }

    #[test]
    fn a_place_is_found_wherever_it_is_carried() {
        let token = place("sale", 7);
        let cookie = ("cookie", format!("a=b; __Host-anteroom-wait-sale={token}; c"));
        for (target, headers, by_hand) in [
            ("/", vec![cookie.clone()], false),
            ("/", vec![("cookie", "x=1".into()), ("cookie", format!("__Host-anteroom-wait-sale=\"{token}\""))], false),
            ("/", vec![("anteroom-token", token.clone())], true),
            ("/", vec![("authorization", format!("bearer  {token}"))], true),
            (&format!("/?a=1&anteroom_token={token}"), vec![], true),
            (&format!("/?a=1&anteroom_token={token}"), vec![cookie.clone()], false),
        ] {
            assert_eq!(seen(target, &headers), (Some(7), by_hand, None, 0), "{target} {headers:?}");
        }
    }

    #[test]
    fn tokens_of_other_rooms_and_strangers_prove_nothing() {
        let (other, forged) = (place("other", 7), format!("{}x", place("sale", 7)));
        for value in [
            format!("__Host-anteroom-wait-other={other}"),
            format!("__Host-anteroom-wait-sale={other}"),
            format!("__Host-anteroom-wait-sale={forged}"),
            format!("__Host-anteroom-session-sale={}", place("sale", 7)),
            format!("__Host-anteroom-wait-sale={}", session("sale", 9)),
            format!("anteroom-wait-sale={}", place("sale", 7)),
            format!("__host-anteroom-wait-sale={}", place("sale", 7)),
            "__Host-anteroom-wait-sale=".into(),
            ";;;=;==;\u{7f}".into(),
        ] {
            assert_eq!(seen("/", &[("cookie", value.clone())]), (None, false, None, 0), "{value}");
        }
        assert_eq!(seen("/", &[("anteroom-token", session("other", 9))]), (None, false, None, 0));
        assert_eq!(seen("/", &[("anteroom-token", "a.b.c".into())]), (None, false, None, 1));
        assert_eq!(seen("/", &[("authorization", "Bearer of-the-site".into())]), (None, false, None, 0));
    }

    #[test]
    fn of_several_the_best_counts() {
        let jar = [1, 2, 3].map(|end| format!("__Host-anteroom-session-sale={}", session("sale", 10 + end))).join("; ");
        assert_eq!(seen("/", &[("cookie", jar)]), (None, false, Some(13), 0));
        let jar = [9, 4, 6].map(|ticket| format!("__Host-anteroom-wait-sale={}", place("sale", ticket))).join(";");
        assert_eq!(seen("/", &[("cookie", jar.clone())]).0, Some(4));
        assert_eq!(seen("/", &[("cookie", jar), ("anteroom-token", place("sale", 5))]), (Some(5), true, None, 0));
    }

    #[test]
    fn bearer_tokens_that_may_be_ours_have_the_form_of_a_jwt() {
        for (authorization, want) in [
            ("Bearer a-_9.b.c", Some("a-_9.b.c")),
            ("bearer  a.b. ", Some("a.b.")),
            ("Bearer a.b", None),
            ("Bearer a.b.c.d", None),
            ("Bearer a.b.\u{220}", None),
            ("Bearer a.b.c\u{1b}", None),
            ("Bearer a.b.c d", None),
            ("Basic a.b.c", None),
            ("Bearer", None),
            ("", None),
        ] {
            assert_eq!(bearer_jwt(authorization), want, "{authorization:?}");
        }
    }

    #[test]
    fn a_poll_speaks_of_the_place_that_the_page_is_about() {
        let [seven, four, other] = [place("sale:vip", 7), place("sale:vip", 4), place("other", 1)];
        let jar = format!(
            "a=b; __Host-anteroom-wait-other={other}; __Host-anteroom-wait-sale~vip={seven};__Host-anteroom-wait-sale~vip=\"{four}\""
        );
        let forged = format!("__Host-anteroom-wait-sale~vip={four}x");
        let bearer = format!("bearer  {seven} ");
        for (parameter, authorization, jars, event, want) in [
            (Some(&*other), Some(&*bearer), vec![&*jar], Some("sale:vip"), Some(&*other)),
            (Some(""), Some(&bearer), vec![&jar], Some("sale:vip"), Some(&seven)),
            (None, Some("Basic x"), vec![&jar], Some("sale:vip"), Some(&four)),
            (None, Some("Bearer"), vec![&jar], Some("other"), Some(&other)),
            (None, None, vec![&jar], Some("sale"), None),
            (None, None, vec![&jar], Some("no event\n"), None),
            (None, None, vec![&jar], None, Some(&other)),
            (None, None, vec!["x=1", &forged, &jar], Some("sale:vip"), Some(&four)),
            (None, None, vec!["x=1", &forged], Some("sale:vip"), forged.split_once('=').map(|(_, token)| token)),
            (None, None, vec![";;=;__Host-anteroom-wait-sale~vip="], Some("sale:vip"), None),
            (None, None, vec![], None, None),
        ] {
            let got = waiting_token(parameter, authorization, jars.iter().copied(), event, &keys());
            assert_eq!(got, want, "{parameter:?} {authorization:?} {jars:?} {event:?}");
        }
    }

    #[test]
    fn tokens_are_told_to_whoever_has_no_other_way_to_carry_them() {
        let program = Client { reads: Reads::Data, may_join: true, may_enter: true };
        let person = Client { reads: Reads::Page, may_join: true, may_enter: true };
        let (nobody, carrier) = (Visitor::default(), Visitor { place_by_hand: true, ..Visitor::default() });
        let inside = Visitor { session_by_hand: true, ..Visitor::default() };
        for (visitor, joined, client, told) in [
            (&nobody, true, program, true),
            (&nobody, true, person, false),
            (&nobody, false, program, false),
            (&carrier, false, person, true),
            (&inside, false, person, true),
        ] {
            assert_eq!(visitor.is_told_session(joined, client), told, "{visitor:?} {joined} {client:?}");
        }
        let mut facts = Facts::new("POST", "/gate/join");
        assert!(
            nobody.is_told_place(&facts) && !inside.is_told_place(&Facts { cookies: vec!["a=b"], ..facts.clone() })
        );
        facts.header("cookie", "a=b");
        assert!(!nobody.is_told_place(&facts) && carrier.is_told_place(&facts));
    }

    #[test]
    fn an_event_with_a_colon_has_a_cookie_that_browsers_take() {
        assert_eq!(cookie_name(WAIT_COOKIE, &event("a:b.c_d-e")), "__Host-anteroom-wait-a~b.c_d-e");
    }

    proptest! {
        #[test]
        fn any_headers_are_looked_through(jar in "\\PC{0,300}", bearer in "\\PC{0,100}", target in "\\PC{0,100}") {
            let headers = [("cookie", jar), ("authorization", bearer)];
            let seen = seen(&target, &headers);
            prop_assert_eq!((seen.0, seen.2), (None, None));
        }
    }
}
