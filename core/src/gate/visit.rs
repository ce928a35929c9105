//! A visit, step by step: from what a request proves to what becomes of it.
//!
//! A machine without any I/O of its own. The host asks it for the [`Step`] to take, takes it, says what came of it, and asks again until
//! there is none; [`Visit::end`] is then what becomes of the request. Each step is taken at most once, in the order of [`Step`]: sessions
//! are asked about, places looked up, given, and entered, never twice for one request. An answer to a step that is not due changes
//! nothing.

use super::carry;
use super::decide::{Known, Outcome, Passage, Place, Scene, after_enter, after_join, decide, may_last};
use super::request::Client;
use super::rooms::{GuardedRoom, Route};
use super::shown::{News, Visitor};
use crate::code::ErrorCode;
use crate::token::{SessionClaims, WaitingClaims};
use alloc::string::String;
use alloc::vec::Vec;

/// What a host is to do.
#[derive(Clone, Copy, Debug)]
pub enum Step<'v> {
    /// Ask the origin to extend this session, which has run out by its token; then [`Visit::renewed`].
    Renew(&'v SessionClaims),
    /// Look up where the place of these claims, and of this token, stands; then [`Visit::found`].
    LookUp(&'v WaitingClaims, &'v str),
    /// Give the visitor a place in this room; then [`Visit::joined`].
    Join(&'v GuardedRoom),
    /// Take the turn of the place of this token; then [`Visit::entered`].
    Enter(&'v str),
}

/// A place that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its waiting token.
    pub token: String,
    /// Whether its turn is now.
    pub ready: bool,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It goes to the site.
    Pass(Passed),
    /// It is answered here.
    Show {
        /// With what.
        scene: Scene,
        /// The waiting token of the visitor's place.
        token: Option<String>,
        /// The same token, where no cookie is known to carry it.
        by_hand: Option<String>,
        /// Headers of the answer: a place handed out.
        given: Vec<(&'static str, String)>,
    },
}

/// How a request goes to the site, and what its answer hands out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// How it goes.
    pub passage: Passage,
    /// The token of a session that is handed out: just opened, or extended.
    pub handed: Option<String>,
    /// Whether the client carries its tokens itself.
    pub by_hand: bool,
    /// Headers of the answer: that session.
    pub given: Vec<(&'static str, String)>,
}

/// See the module's comment.
#[derive(Debug)]
pub struct Visit<'a> {
    route: Route<'a>,
    client: Client,
    visitor: Visitor<'a>,
    known: Known,
    /// The token of a place given meanwhile.
    fresh: Option<String>,
    due: Due,
}

#[derive(Debug)]
enum Due {
    Renew,
    LookUp,
    Join,
    Enter,
    Pass { passage: Passage, hands_out: bool, by_hand: bool },
    Show(Scene),
}

impl<'a> Visit<'a> {
    /// The visit of `client`, who has proved to be `visitor`, to an address that belongs to `route`, by a host that knows `known`.
    pub fn begin(route: Route<'a>, client: Client, visitor: Visitor<'a>, known: Known) -> Self {
        let mut visit = Self { route, client, visitor, known, fresh: None, due: Due::Renew };
        let may_last = match (route, &visit.visitor.session) {
            (Route::Guarded(room), Some(session)) => may_last(session, &room.settings, &visit.known),
            _ => false,
        };
        visit.due = match visit.inside() {
            Some(inside) => inside,
            None if may_last => Due::Renew,
            None => visit.outside(),
        };
        visit
    }

    /// What to do now; `None` when nothing is left to do.
    pub fn next(&self) -> Option<Step<'_>> {
        match self.due {
            Due::Renew => self.visitor.session.as_ref().map(Step::Renew),
            Due::LookUp => self.visitor.place.as_ref().map(|(claims, token)| Step::LookUp(claims, token)),
            Due::Join => self.route.guarding().map(Step::Join),
            Due::Enter => self.token().map(Step::Enter),
            Due::Pass { .. } | Due::Show(_) => None,
        }
    }

    /// What the origin says of the session; nothing, where it cannot be asked.
    pub fn renewed(&mut self, news: News) {
        if matches!(self.due, Due::Renew) {
            self.visitor.learn(news);
            self.due = self.inside().unwrap_or_else(|| self.outside());
        }
    }

    /// Where the visitor's place stands.
    pub fn found(&mut self, place: Place) {
        if matches!(self.due, Due::LookUp) {
            self.due = self.follow(self.decide(place));
        }
    }

    /// The place that the visitor was given, or the code that it was refused with.
    pub fn joined(&mut self, joined: Result<Given, ErrorCode>) {
        if let (Due::Join, Some(room)) = (&self.due, self.route.guarding()) {
            let ready = joined.as_ref().map(|given| given.ready).map_err(|code| *code);
            self.fresh = joined.ok().map(|given| given.token);
            self.due = self.follow(after_join(&room.settings, self.client, ready, &self.known));
        }
    }

    /// The session that the turn has opened, or the code that it was refused with.
    pub fn entered(&mut self, entered: Result<SessionClaims, ErrorCode>) {
        if let (Due::Enter, Some(room)) = (&self.due, self.route.guarding()) {
            self.due = match after_enter(&room.settings, entered, &self.known) {
                Outcome::Pass(passage) => {
                    let by_hand = self.visitor.is_told_session(self.fresh.is_some(), self.client);
                    Due::Pass { passage, hands_out: true, by_hand }
                }
                other => self.follow(other),
            };
        }
    }

    /// What becomes of the request; `sign` makes the token of a session. Before the last step nobody gets in.
    pub fn end(self, sign: impl FnOnce(&SessionClaims) -> String) -> End {
        let scene = match self.due {
            Due::Pass { passage, hands_out, by_hand } => {
                let session = passage.session.as_ref().filter(|_| hands_out);
                let handed = session.map(|session| (session, sign(session)));
                let given = handed
                    .as_ref()
                    .map(|(session, token)| carry::session_given(session, token, by_hand, self.known.now));
                let (given, handed) = (given.unwrap_or_default(), handed.map(|(_, token)| token));
                return End::Pass(Passed { passage, handed, by_hand, given });
            }
            Due::Show(scene) => scene,
            Due::Renew | Due::LookUp | Due::Join | Due::Enter => Scene::Held,
        };
        let given = match (&self.fresh, self.route.guarding()) {
            (Some(token), Some(room)) => carry::place_given(&room.event, token, &room.settings),
            _ => Vec::new(),
        };
        let token = self.token().map(Into::into);
        let by_hand = token.clone().filter(|_| self.fresh.is_some() || self.visitor.place_by_hand);
        End::Show { scene, token, by_hand, given }
    }

    /// The waiting token of the visitor's place.
    fn token(&self) -> Option<&str> {
        let shown = self.visitor.place.as_ref().map(|(_, token)| *token);
        self.fresh.as_deref().or(shown)
    }

    /// The way in for whoever needs no place for it.
    fn inside(&self) -> Option<Due> {
        match self.decide(Place::None) {
            Outcome::Pass(passage) => Some(Due::Pass {
                passage,
                hands_out: self.visitor.session_is_new,
                by_hand: self.visitor.session_by_hand,
            }),
            _ => None,
        }
    }

    fn outside(&self) -> Due {
        match self.visitor.place {
            Some(_) => Due::LookUp,
            None => self.follow(self.decide(Place::None)),
        }
    }

    fn decide(&self, place: Place) -> Outcome {
        decide(self.route, self.client, self.visitor.session.as_ref(), place, &self.known)
    }

    fn follow(&self, outcome: Outcome) -> Due {
        match outcome {
            Outcome::Pass(passage) => {
                let by_hand = self.visitor.is_told_session(false, self.client);
                Due::Pass { passage, hands_out: false, by_hand }
            }
            Outcome::Join => Due::Join,
            Outcome::Enter => Due::Enter,
            Outcome::Show(scene) => Due::Show(scene),
        }
    }
}

#[cfg(test)]
mod tests;
