//! A visit: from what a request proves to what becomes of it. Joins and enters through the functions behind the API.

use super::Gatekeeper;
use crate::api::Caller;
use crate::api::queue::{self, Heard};
use crate::error::ApiError;
use crate::room::Room;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{
    Client, End, Facts, Given, GuardedRoom, Known, News, Passed, Place, Route, Scene, Shown, Step, Visit, Visitor,
};
use axum::http::request::Parts;
use std::sync::Arc;
use std::time::Instant;

/// Headers to add to an answer.
pub(super) type Added = Vec<(&'static str, String)>;

/// What has become of a request.
pub(super) enum Verdict<'g> {
    /// It goes to the site; with the room that guards it.
    Pass(Passed, Option<Arc<Room>>),
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

impl Gatekeeper {
    /// Judges a request of `client` that belongs to `route` of `gate`.
    pub(super) async fn judge<'g>(
        &self,
        route: Route<'g>,
        client: Client,
        facts: &Facts<'_>,
        parts: &Parts,
    ) -> Verdict<'g> {
        let guarded = route.guarding();
        let room = guarded.and_then(|guarded| self.app.rooms.get(guarded.event.as_str()));
        if guarded.is_some() && room.is_none() {
            return Verdict::Show(Show::plain(Scene::Held, guarded));
        }
        let visitor = guarded.map_or_else(Visitor::default, |guarded| self.recognise(facts, guarded));
        let mut visit = Visit::begin(route, client, visitor, self.known(room.as_deref()));
        while let Some(step) = visit.next() {
            match step {
                Step::Renew(session) => {
                    let news = match &room {
                        Some(room) => self.renewals.renew(room.clone(), session).await,
                        None => News::None,
                    };
                    visit.renewed(news);
                }
                Step::LookUp(_, token) => {
                    let place = place_of(&queue::hear(&self.app, token).await);
                    visit.found(place);
                }
                Step::Join(room) => {
                    let joined = self.join(room, parts).await;
                    visit.joined(joined.map_err(|error| error.code()));
                }
                Step::Enter(token) => {
                    let entered = queue::admit(&self.app, &self.caller(parts).await, Some(token), None).await;
                    visit.entered(entered.map(|admission| admission.session).map_err(|error| error.code()));
                }
            }
        }
        match visit.end(|session| self.app.keys.sign_session(session)) {
            End::Pass(passed) => {
                let used = passed.passage.session.as_ref().filter(|_| passed.passage.renew);
                if let (Some(room), Some(session)) = (&room, used) {
                    self.renewals.extend(room.clone(), session);
                }
                Verdict::Pass(passed, room)
            }
            End::Show { scene, token, by_hand, given } => {
                let show = Show { by_hand, added: given, ..Show::plain(scene, guarded) };
                Verdict::Show(self.line(show, scene, token).await)
            }
        }
    }

    /// Who the request proves to come from, and what is known of a session beside its token.
    fn recognise<'f>(&self, facts: &Facts<'f>, room: &GuardedRoom) -> Visitor<'f> {
        let now = self.app.rooms.host().clock.now();
        let mut visitor = Visitor::verify(&Shown::find(facts, &room.event), &self.app.keys, &room.event);
        for pass in std::mem::take(&mut visitor.passes) {
            if let Ok(claims) = self.app.passes.verify(pass, now) {
                visitor.take_pass(&claims, &room.event, now);
            }
        }
        if let Some(session) = &visitor.session {
            visitor.learn(self.renewals.news(session, now));
        }
        visitor
    }

    /// What is shown, with the place as it stands where it is about one.
    async fn line<'g>(&self, show: Show<'g>, scene: Scene, token: Option<String>) -> Show<'g> {
        match (scene, token) {
            (Scene::Line, Some(token)) => match queue::hear(&self.app, &token).await {
                Ok(heard) => Show { heard: Some(heard), ..show },
                Err(_) => Show { scene: Some(Scene::Held), ..show },
            },
            (Scene::Ended(_), Some(token)) => Show { heard: queue::hear(&self.app, &token).await.ok(), ..show },
            _ => show,
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
