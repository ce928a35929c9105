//! What the waiting page posts: take the turn, give up the place, join again. All of them lead back to the site, where the next look
//! shows what has become of it; so a reload repeats nothing.

use super::gate::leading_to;
use super::scene::{self, Shown as Showing};
use super::{Visit, now, turns};
use crate::rooms::Rooms;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{
    Ended, FORM_MAX, Facts, Form, Given, GuardedRoom, Own, Place, Scene, Shown, TOKEN_PARAMETER, Visitor, carry,
    with_parameter,
};
use anteroom_core::refusal::Refusal;
use serde_json::Value;
use worker::js_sys::futures::JsFuture;
use worker::{Result, web_sys};

pub(super) async fn answer(visit: &Visit<'_>, rooms: &Rooms, facts: &Facts<'_>, own: Own) -> Result<web_sys::Response> {
    // A browser sends our cookies along with what another site makes it post.
    if !facts.is_own_form() {
        return visit.call.refuse(&Refusal::new(ErrorCode::Forbidden, "The form was posted from another site"));
    }
    let Some(form) = read(visit).await? else {
        return visit
            .call
            .refuse(&Refusal::invalid("body", "is longer than a form of ours, or does not say how long it is"));
    };
    let Some(room) = rooms.gate.room(&form.event) else {
        return visit.call.refuse(&ErrorCode::EventNotFound.into());
    };
    let mut facts = facts.clone();
    facts.token = form.token.as_deref().or(facts.token);
    let shown = Shown::find(&facts, &room.event);
    let visitor = Visitor::verify(&shown, &visit.settings.keys, &room.event);
    let posted = Posted { visit, room, form: &form, facts: &facts, visitor: &visitor };
    match own {
        Own::Leave => posted.leave().await,
        Own::Join => posted.join().await,
        _ => posted.enter().await,
    }
}

/// A form that one of our own pages has posted, and the room it is about.
struct Posted<'a> {
    visit: &'a Visit<'a>,
    room: &'a GuardedRoom,
    form: &'a Form,
    facts: &'a Facts<'a>,
    visitor: &'a Visitor<'a>,
}

impl Posted<'_> {
    /// Takes the turn. Whoever may not enter yet, or any more, goes back as well, and sees why.
    async fn enter(&self) -> Result<web_sys::Response> {
        let Some((_, token)) = &self.visitor.place else { return self.back(None, Vec::new()) };
        let by_hand = self.visitor.place_by_hand;
        let Ok(session) = turns::enter(self.visit, token).await else {
            return self.back(by_hand.then_some(token), Vec::new());
        };
        let token = self.visit.settings.keys.sign_session(&session);
        self.back(by_hand.then_some(&token), carry::session_given(&session, &token, by_hand, now()))
    }

    /// Gives up the place, the turn or the session.
    async fn leave(&self) -> Result<web_sys::Response> {
        if let Some((_, token)) = &self.visitor.place
            && let Err(code) = turns::leave(self.visit, token).await
            // There may be nothing to give up any more.
            && code != ErrorCode::TokenNotFound
        {
            return scene::show(self.visit, self.facts, Some(self.room), Showing::of(Scene::Held));
        }
        if let Some(session) = &self.visitor.session {
            turns::end(self.visit, session.clone());
        }
        let shown = Showing {
            to: Some(self.form.to.clone()),
            given: carry::forgotten(&self.room.event),
            ..Showing::of(Scene::Ended(Ended::Left))
        };
        scene::show(self.visit, self.facts, Some(self.room), shown)
    }

    /// Gives another place to whoever has none any more. Posted twice, it is the same place.
    async fn join(&self) -> Result<web_sys::Response> {
        let by_hand = self.visitor.place_by_hand;
        if let Some((_, token)) = &self.visitor.place
            && let Ok(status) = turns::status(self.visit, token).await
            && let Some(said) = status.get("status").and_then(Value::as_str)
            && matches!(Place::of(Ok(said)), Place::Waiting | Place::Ready)
        {
            return self.back(by_hand.then_some(token), Vec::new());
        }
        match turns::join(self.visit, &self.room.event).await {
            Ok((Given { token, .. }, _)) => {
                let carried = self.visitor.is_told_place(self.facts).then_some(token.as_str());
                self.back(carried, carry::place_given(&self.room.event, &token, &self.room.settings))
            }
            Err(code) => {
                let shown = Showing { to: Some(self.form.to.clone()), ..Showing::of(Scene::refused(code)) };
                scene::show(self.visit, self.facts, Some(self.room), shown)
            }
        }
    }

    /// Back to the site; with the token in the address where no cookie carries it.
    fn back(&self, token: Option<&str>, given: Vec<(&'static str, String)>) -> Result<web_sys::Response> {
        let to = token.map(|token| with_parameter(&self.form.to, TOKEN_PARAMETER, token));
        self.visit.call.answer(303, leading_to(to.as_deref().unwrap_or(&self.form.to), given), None)
    }
}

/// The form in the body; `None` when it is longer than a form may be.
async fn read(visit: &Visit<'_>) -> Result<Option<Form>> {
    let length = visit.headers.get("content-length")?.and_then(|length| length.parse::<usize>().ok());
    if length.is_none_or(|length| length > FORM_MAX) {
        return Ok(None);
    }
    let body = JsFuture::from(visit.request.text()?).await?.as_string().unwrap_or_default();
    Ok(Some(Form::read(&body)))
}
