//! A visit: from what a request proves to what becomes of it. Joins and enters through the functions behind the API.

use super::Gatekeeper;
use super::renewal::Session;
use crate::api::Caller;
use crate::api::queue::{self, Heard};
use crate::error::ApiError;
use crate::room::Room;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{
    self, Client, Facts, GuardedRoom, Known, Outcome, Passage, Place, Route, Scene, Shown, Visitor, carry,
};
use anteroom_core::token::SessionClaims;
use axum::http::request::Parts;
use std::sync::Arc;
use std::time::Instant;

/// Headers to add to an answer.
pub(super) type Added = Vec<(&'static str, String)>;

/// What has become of a request.
pub(super) enum Verdict<'g> {
    /// It goes to the site.
    Pass {
        /// How.
        passage: Passage,
        /// The room of its session.
        room: Option<Arc<Room>>,
        /// Headers for the answer: a session handed out.
        added: Added,
        /// The token of that session.
        handed: Option<String>,
        /// Whether the client carries its tokens itself.
        by_hand: bool,
    },
    /// It is answered here.
    Show(Show<'g>),
}

/// What is to be shown, and everything that is known for it.
#[derive(Default)]
pub(super) struct Show<'g> {
    /// What.
    pub scene: Option<Scene>,
    /// The room that it is about.
    pub room: Option<&'g GuardedRoom>,
    /// The place, as it stands.
    pub heard: Option<Heard>,
    /// The waiting token, where no cookie is known to carry it.
    pub by_hand: Option<String>,
    /// Where to go from there; the address that was asked for, if nothing else is said.
    pub to: Option<String>,
    /// The address that it stands at, where that is not `to`.
    pub at: Option<String>,
    /// Headers for the answer: a place handed out.
    pub added: Added,
}

impl<'g> Show<'g> {
    /// A scene without anybody's place.
    pub fn plain(scene: Scene, room: Option<&'g GuardedRoom>) -> Self {
        Self { scene: Some(scene), room, ..Self::default() }
    }
}

/// A place that was given.
pub(super) struct Given {
    /// Its waiting token.
    pub token: String,
    /// Whether its turn is now.
    pub ready: bool,
}

/// Who makes the visit, beside what the headers say.
pub(super) struct Visiting<'a> {
    /// The request.
    pub parts: &'a Parts,
    /// Who asks.
    pub client: Client,
    /// Whether a turn may be taken without being asked for.
    pub may_enter: bool,
}

impl Gatekeeper {
    /// Judges a request that belongs to `route` of `gate`.
    pub(super) async fn judge<'g>(&self, route: Route<'g>, facts: &Facts<'_>, visiting: &Visiting<'_>) -> Verdict<'g> {
        let client = visiting.client;
        let Route::Guarded(guarded) = route else {
            return match gate::decide(route, client, None, Place::None, &self.known(None)) {
                Outcome::Pass(passage) => {
                    Verdict::Pass { passage, room: None, added: Added::new(), handed: None, by_hand: false }
                }
                Outcome::Show(scene) => Verdict::Show(Show::plain(scene, None)),
                // Core joins and enters guarded rooms only.
                Outcome::Join | Outcome::Enter => Verdict::Show(Show::plain(Scene::Held, None)),
            };
        };
        let Some(room) = self.app.rooms.get(guarded.event.as_str()) else {
            return Verdict::Show(Show::plain(Scene::Held, Some(guarded)));
        };
        let mut visitor = Visitor::verify(&Shown::find(facts, &guarded.event), &self.app.keys, &guarded.event);
        // A session that its holder does not know the token of yet: opened by a pass, or extended meanwhile.
        let mut unknown = self.take_pass(&mut visitor, guarded);
        if let Some(session) = visitor.session.take() {
            match self.renewals.look(session) {
                Session::Same(session) => visitor.session = Some(session),
                Session::Longer(session) => (visitor.session, unknown) = (Some(session), true),
                Session::Ended => {}
            }
        }
        let known = self.known(Some(&room));
        let by_hand = visitor.is_told_session(false, client);
        let first = gate::decide(route, client, visitor.session.as_ref(), Place::None, &known);
        if let Outcome::Pass(passage) = first {
            let handed = passage.session.as_ref().filter(|_| unknown);
            return self.pass(room, passage.clone(), handed.cloned(), visitor.session_by_hand);
        }
        let mut token = visitor.place.as_ref().map(|(_, token)| (*token).to_owned());
        let mut added = Added::new();
        let mut fresh = false;
        let place = match &token {
            Some(token) => place_of(&queue::hear(&self.app, token).await),
            None => Place::None,
        };
        let mut next = gate::decide(route, client, visitor.session.as_ref(), place, &known);
        let settings = &*guarded.settings;
        // A place, a turn: no visit takes more steps than these two.
        for _ in 0..2 {
            next = match next {
                Outcome::Join => {
                    let joined = self.join(guarded, visiting.parts).await;
                    let ready = joined.as_ref().map(|given| given.ready && visiting.may_enter).map_err(ApiError::code);
                    if let Ok(given) = joined {
                        added = carry::place_given(&guarded.event, &given.token, settings);
                        (token, fresh) = (Some(given.token), true);
                    }
                    gate::after_join(settings, ready, &known)
                }
                Outcome::Enter if visiting.may_enter => {
                    let caller = self.caller(visiting.parts).await;
                    let entered = queue::admit(&self.app, &caller, token.as_deref(), None).await;
                    let entered = entered.map(|admission| admission.session).map_err(|error| error.code());
                    match gate::after_enter(settings, entered, &known) {
                        Outcome::Pass(passage) => {
                            let handed = passage.session.clone();
                            return self.pass(room, passage, handed, visitor.is_told_session(fresh, client));
                        }
                        other => other,
                    }
                }
                Outcome::Enter => Outcome::Show(Scene::Line),
                Outcome::Pass(passage) => return self.pass(room, passage, None, by_hand),
                Outcome::Show(scene) => {
                    let by_hand = token.clone().filter(|_| fresh || visitor.place_by_hand);
                    return Verdict::Show(self.line(scene, guarded, token, by_hand, added).await);
                }
            };
        }
        let by_hand = token.clone().filter(|_| fresh || visitor.place_by_hand);
        let scene = if let Outcome::Show(scene) = next { scene } else { Scene::Held };
        Verdict::Show(self.line(scene, guarded, token, by_hand, added).await)
    }

    /// What is shown, with the place as it stands where it is about one.
    async fn line<'g>(
        &self,
        scene: Scene,
        room: &'g GuardedRoom,
        token: Option<String>,
        by_hand: Option<String>,
        added: Added,
    ) -> Show<'g> {
        let show = Show { added, by_hand, ..Show::plain(scene, Some(room)) };
        match (scene, token) {
            (Scene::Line, Some(token)) => match queue::hear(&self.app, &token).await {
                Ok(heard) => Show { heard: Some(heard), ..show },
                Err(_) => Show { scene: Some(Scene::Held), ..show },
            },
            (Scene::Ended(_), Some(token)) => Show { heard: queue::hear(&self.app, &token).await.ok(), ..show },
            _ => show,
        }
    }

    /// Believes a pass: what it opens is a session. Whether there is one that its holder has no token of.
    fn take_pass(&self, visitor: &mut Visitor<'_>, room: &GuardedRoom) -> bool {
        let now = self.app.rooms.host().clock.now();
        let mut taken = false;
        for pass in std::mem::take(&mut visitor.passes) {
            let Ok(claims) = self.app.passes.verify(pass, now) else { continue };
            let before = visitor.session.clone();
            let Some(session) = claims.session(now) else { continue };
            visitor.take_session(session, &room.event, true);
            taken |= visitor.session != before;
        }
        taken
    }

    fn pass<'g>(&self, room: Arc<Room>, passage: Passage, handed: Option<SessionClaims>, by_hand: bool) -> Verdict<'g> {
        let now = room.host().clock.now();
        if let Some(session) = passage.session.as_ref().filter(|_| passage.renew) {
            self.renewals.extend(room.clone(), session);
        }
        let handed = handed.map(|session| (self.app.keys.sign_session(&session), session));
        let added = handed.as_ref().map(|(token, session)| carry::session_given(session, token, by_hand, now));
        Verdict::Pass {
            passage,
            room: Some(room),
            added: added.unwrap_or_default(),
            handed: handed.map(|(token, _)| token),
            by_hand,
        }
    }

    /// Gives a place. Joins are what the rate limit is for: whoever has a place or is inside makes as many requests as the site has
    /// pictures.
    pub(super) async fn join(&self, room: &GuardedRoom, parts: &Parts) -> Result<Given, ApiError> {
        self.limit(parts)?;
        let caller = self.caller(parts).await;
        match queue::place(&self.app, &caller, room.event.clone(), None, None).await {
            Ok(place) => Ok(Given { token: place.token, ready: place.ready }),
            // Somebody known comes back without the token: the place is still there.
            Err(error) => match error.field("waiting_token").and_then(|token| token.as_str()) {
                Some(token) if error.code() == ErrorCode::DuplicateRequest => {
                    let ready = matches!(place_of(&queue::hear(&self.app, token).await), Place::Ready | Place::Entered);
                    Ok(Given { token: token.to_owned(), ready })
                }
                _ => Err(error),
            },
        }
    }

    /// Who the request is from. Whoever proves nothing is vouched for by the gate, as visitors are by an edge.
    pub(super) async fn caller(&self, parts: &Parts) -> Caller {
        match self.app.user(&parts.headers).await {
            Some(identity) => Caller::User(identity),
            None => Caller::Edge,
        }
    }

    /// What this host knows at this moment.
    pub(super) fn known(&self, room: Option<&Room>) -> Known {
        let now = self.app.rooms.host().clock.now();
        let Some(room) = room else { return Known { now, generation: None, away_ms: 0 } };
        let (view, moment) = (room.view(), Instant::now());
        let away =
            if room.is_stale(&view, moment) { moment.duration_since(view.read_at).as_millis() as u64 } else { 0 };
        Known { now, generation: Some(view.facts.generation), away_ms: away }
    }
}

/// Where a place stands, by what became of looking it up.
pub(super) fn place_of(heard: &Result<Heard, ApiError>) -> Place {
    match heard {
        Ok(heard) => match heard.reply() {
            Ok(reply) => Place::of(Ok(reply.status)),
            Err(error) => Place::of(Err(error.code())),
        },
        Err(error) => Place::of(Err(error.code())),
    }
}
