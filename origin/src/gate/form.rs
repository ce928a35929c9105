//! What the waiting page posts: take the turn, give up the place, join again. All of them lead back to the site, where the next look
//! shows what has become of it; so a reload repeats nothing.

use super::Gatekeeper;
use super::show::{see_other, show};
use super::site::add;
use super::told::Told;
use super::visit::{Added, Show, place_of};
use crate::api::queue;
use crate::error::ApiError;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{
    Ended, FORM_MAX, Facts, Form, Given, GuardedRoom, Own, Place, Scene, Shown, TOKEN_PARAMETER, Visitor, carry,
    with_parameter,
};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Does what the address says that the form was posted to.
pub(super) async fn answer(State(gate): State<Arc<Gatekeeper>>, request: Request) -> Response {
    answered(&gate, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answered(gate: &Gatekeeper, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    gate.limit(&parts)?;
    let told = Told::of(&parts);
    // A browser sends our cookies along with what another site makes it post.
    if !told.facts().is_own_form() {
        return Err(ApiError::new(ErrorCode::Forbidden, "The form was posted from another site"));
    }
    let body = axum::body::to_bytes(body, FORM_MAX).await;
    let body = body.map_err(|_| ApiError::invalid("body", "is longer than a form of ours, or was cut off"))?;
    let form = Form::read(&String::from_utf8_lossy(&body));
    let rules = gate.rules.of(&gate.app.rooms).ok_or_else(|| ApiError::unavailable("the rooms are not known yet"))?;
    let room = rules.room(&form.event).ok_or_else(crate::api::no_room)?;
    let told = told.carrying(form.token.clone());
    let facts = told.facts();
    let visitor = Visitor::verify(&Shown::find(&facts, &room.event), &gate.app.keys, &room.event);
    let posted = Posted { gate, parts: &parts, form: &form, room, facts: &facts, visitor: &visitor };
    match Own::of(facts.path) {
        Some(Own::Leave) => Ok(posted.leave().await),
        Some(Own::Join) => Ok(posted.join().await),
        _ => Ok(posted.enter().await),
    }
}

/// A form that one of our own pages has posted, the room it is about, and who posts it.
struct Posted<'a> {
    gate: &'a Gatekeeper,
    parts: &'a Parts,
    form: &'a Form,
    room: &'a GuardedRoom,
    facts: &'a Facts<'a>,
    visitor: &'a Visitor<'a>,
}

impl Posted<'_> {
    /// Takes the turn. Whoever may not enter yet, or any more, goes back as well, and sees why.
    async fn enter(&self) -> Response {
        let Some((_, token)) = self.visitor.place else { return self.back(None, Added::new()) };
        let by_hand = self.visitor.place_by_hand;
        let caller = self.gate.caller(self.parts).await;
        let Ok(admission) = queue::admit(&self.gate.app, &caller, Some(token), None).await else {
            return self.back(by_hand.then_some(token), Added::new());
        };
        let now = self.gate.app.rooms.host().clock.now();
        let session = self.gate.app.keys.sign_session(&admission.session);
        let given = carry::session_given(&admission.session, &session, by_hand, now);
        self.back(by_hand.then_some(&session), given)
    }

    /// Gives up the place, the turn or the session.
    async fn leave(&self) -> Response {
        if let Some((_, token)) = self.visitor.place
            && let Err(error) = queue::give_up(&self.gate.app, token).await
            // There may be nothing to give up any more.
            && error.code() != ErrorCode::TokenNotFound
        {
            return self.show(Show::plain(Scene::Held, Some(self.room)));
        }
        if let Some(session) = &self.visitor.session
            && let Some(room) = self.gate.app.rooms.get(self.room.event.as_str())
        {
            self.gate.renewals.end(room, session);
        }
        let added = carry::forgotten(&self.room.event);
        self.show(Show { added, to: self.to(), ..Show::plain(Scene::Ended(Ended::Left), Some(self.room)) })
    }

    /// Gives another place to whoever has none any more. Posted twice, it is the same place.
    async fn join(&self) -> Response {
        if let Some((_, token)) = self.visitor.place
            && matches!(place_of(&queue::hear(&self.gate.app, token).await), Place::Waiting | Place::Ready)
        {
            return self.back(self.visitor.place_by_hand.then_some(token), Added::new());
        }
        match self.gate.join(self.room, self.parts).await {
            Ok(Given { token, .. }) => {
                let carried = self.visitor.is_told_place(self.facts).then_some(token.as_str());
                self.back(carried, carry::place_given(&self.room.event, &token, &self.room.settings))
            }
            Err(error) => {
                let scene = Scene::refused(error.code());
                self.show(Show { to: self.to(), ..Show::plain(scene, Some(self.room)) })
            }
        }
    }

    /// Back to the site; with the token in the address where no cookie carries it.
    fn back(&self, token: Option<&str>, added: Added) -> Response {
        let mut response = match token {
            Some(token) => see_other(&with_parameter(&self.form.to, TOKEN_PARAMETER, token)),
            None => see_other(&self.form.to),
        };
        add(&mut response, added);
        response
    }

    fn show(&self, shown: Show<'_>) -> Response {
        show(self.gate, self.facts, self.facts.client().reads, shown)
    }

    fn to(&self) -> Option<String> {
        Some(self.form.to.clone())
    }
}
