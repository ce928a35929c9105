//! What the waiting page posts: take the turn, give up the place, join again. All of them lead back to the site, where the next look
//! shows what has become of it; so a reload repeats nothing.

use super::Gatekeeper;
use super::show::{see_other, show};
use super::site::add;
use super::told::Told;
use super::visit::{Show, place_of};
use crate::api::queue;
use crate::error::ApiError;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{
    Ended, FORM_MAX, Facts, Form, Gate, GuardedRoom, Place, Scene, Shown, TOKEN_PARAMETER, Visitor, carry,
    with_parameter,
};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

type Shared = State<Arc<Gatekeeper>>;

/// A form that one of our own pages has posted, and the room it is about.
struct Posted {
    parts: Parts,
    told: Told,
    form: Form,
    gate: Arc<Gate>,
}

impl Posted {
    /// Reads a form. Others' are refused: a browser sends our cookies along with what another site makes it post.
    async fn read(gate: &Gatekeeper, request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        gate.limit(&parts)?;
        let told = Told::of(&parts);
        if !told.facts().is_own_form() {
            return Err(ApiError::new(ErrorCode::Forbidden, "The form was posted from another site"));
        }
        let body = axum::body::to_bytes(body, FORM_MAX).await;
        let body = body.map_err(|_| ApiError::invalid("body", "is longer than a form of ours, or was cut off"))?;
        let form = Form::read(&String::from_utf8_lossy(&body));
        let told = told.carrying(form.token.clone());
        let rules =
            gate.rules.of(&gate.app.rooms).ok_or_else(|| ApiError::unavailable("the rooms are not known yet"))?;
        Ok(Self { parts, told, form, gate: rules })
    }

    fn room(&self) -> Result<&GuardedRoom, ApiError> {
        self.gate.room(&self.form.event).ok_or_else(crate::api::no_room)
    }

    fn facts(&self) -> Facts<'_> {
        self.told.facts()
    }

    fn visitor<'a>(&self, gate: &Gatekeeper, facts: &Facts<'a>, room: &GuardedRoom) -> Visitor<'a> {
        Visitor::verify(&Shown::find(facts, &room.event), &gate.app.keys, &room.event)
    }

    /// Back to the site; with the token in the address where no cookie carries it.
    fn back(&self, token: Option<&str>) -> Response {
        match token {
            Some(token) => see_other(&with_parameter(&self.form.to, TOKEN_PARAMETER, token)),
            None => see_other(&self.form.to),
        }
    }
}

/// Takes the turn. Whoever may not enter yet, or any more, goes back as well, and sees why.
pub(super) async fn enter(State(gate): Shared, request: Request) -> Response {
    let posted = match Posted::read(&gate, request).await {
        Ok(posted) => posted,
        Err(error) => return error.into_response(),
    };
    let take = async {
        let room = posted.room()?;
        let facts = posted.facts();
        let visitor = posted.visitor(&gate, &facts, room);
        let Some((_, token)) = visitor.place else { return Ok(posted.back(None)) };
        let by_hand = visitor.place_by_hand;
        let caller = gate.caller(&posted.parts).await;
        let Ok(admission) = queue::admit(&gate.app, &caller, Some(token), None).await else {
            return Ok(posted.back(by_hand.then_some(token)));
        };
        let now = gate.app.rooms.host().clock.now();
        let session = gate.app.keys.sign_session(&admission.session);
        let mut response = posted.back(by_hand.then_some(&session));
        add(&mut response, carry::session_given(&admission.session, &session, by_hand, now));
        Ok::<_, ApiError>(response)
    };
    take.await.unwrap_or_else(IntoResponse::into_response)
}

/// Gives up the place, the turn or the session.
pub(super) async fn leave(State(gate): Shared, request: Request) -> Response {
    let posted = match Posted::read(&gate, request).await {
        Ok(posted) => posted,
        Err(error) => return error.into_response(),
    };
    let leave = async {
        let room = posted.room()?;
        let facts = posted.facts();
        let client = facts.client();
        let visitor = posted.visitor(&gate, &facts, room);
        if let Some((_, token)) = visitor.place {
            match queue::give_up(&gate.app, token).await {
                Err(error) if error.code() != ErrorCode::TokenNotFound => {
                    return Ok(show(&gate, &facts, client.reads, Show::plain(Scene::Held, Some(room))));
                }
                // There is nothing to give up any more.
                _ => {}
            }
        }
        if let (Some(session), Some(room)) = (visitor.session, gate.app.rooms.get(room.event.as_str())) {
            gate.renewals.end(room, &session);
        }
        let shown = Show { to: Some(posted.form.to.clone()), ..Show::plain(Scene::Ended(Ended::Left), Some(room)) };
        let mut response = show(&gate, &facts, client.reads, shown);
        add(&mut response, carry::forgotten(&room.event));
        Ok::<_, ApiError>(response)
    };
    leave.await.unwrap_or_else(IntoResponse::into_response)
}

/// Gives another place to whoever has none any more. Posted twice, it is the same place.
pub(super) async fn join(State(gate): Shared, request: Request) -> Response {
    let posted = match Posted::read(&gate, request).await {
        Ok(posted) => posted,
        Err(error) => return error.into_response(),
    };
    let join = async {
        let room = posted.room()?;
        let facts = posted.facts();
        let client = facts.client();
        let visitor = posted.visitor(&gate, &facts, room);
        let (by_hand, told) = (visitor.place_by_hand, visitor.is_told_place(&facts));
        if let Some((_, token)) = visitor.place
            && matches!(place_of(&queue::hear(&gate.app, token).await), Place::Waiting | Place::Ready)
        {
            return Ok(posted.back(by_hand.then_some(token)));
        }
        match gate.join(room, &posted.parts).await {
            Ok(given) => {
                let mut response = posted.back(told.then_some(&given.token));
                add(&mut response, carry::place_given(&room.event, &given.token, &room.settings));
                Ok(response)
            }
            Err(error) => {
                let scene = Scene::refused(error.code());
                let shown = Show { to: Some(posted.form.to.clone()), ..Show::plain(scene, Some(room)) };
                Ok::<_, ApiError>(show(&gate, &facts, client.reads, shown))
            }
        }
    };
    join.await.unwrap_or_else(IntoResponse::into_response)
}
