//! What becomes of a request at the gate.

use super::request::{Client, Reads};
use super::rooms::Route;
use crate::admission::{Door, door};
use crate::code::ErrorCode;
use crate::settings::{Mode, OnOriginDown, Settings};
use crate::token::SessionClaims;
use crate::units::{Generation, Millis};

/// So long must the origin be away before a room that says `open` lets people through, milliseconds. Shorter outages are waited out.
pub const OPEN_AFTER_MS: u64 = 30_000;
/// So long at most is a session honoured beyond its end while the origin, which alone could extend it, is away, milliseconds. For as
/// long the origin is asked about one that has run out.
pub const GRACE_MS: u64 = 600_000;
/// When to try again where nobody could be given a place, seconds.
pub const HELD_RETRY_SEC: u64 = 5;
/// When to try again at a room that turns everybody away, seconds.
pub const CLOSED_RETRY_SEC: u64 = 30;

/// What a host knows at the moment of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The time.
    pub now: Millis,
    /// The room's generation, if it has ever been heard of.
    pub generation: Option<Generation>,
    /// For how long the origin (where the origin itself is the host: the store) has been away; 0 when it is there, milliseconds.
    pub away_ms: u64,
}

/// What became of the place that a visitor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The visitor holds none.
    None,
    /// In line, or silent and back.
    Waiting,
    /// Called: may enter.
    Ready,
    /// The turn was taken; the session may still be open.
    Entered,
    /// There is no such place any more, and why.
    Over(ErrorCode),
    /// Nobody who knows can be asked.
    Unknown,
}

impl Place {
    /// From the answer to a status request: its `status`, or the code that it was refused with.
    pub fn of(answer: Result<&str, ErrorCode>) -> Self {
        match answer {
            Ok("waiting") => Self::Waiting,
            Ok("ready") => Self::Ready,
            Ok("entered") => Self::Entered,
            Err(code @ (ErrorCode::TokenExpired | ErrorCode::TokenNotFound | ErrorCode::EventNotFound)) => {
                Self::Over(code)
            }
            _ => Self::Unknown,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes to the site.
    Pass(Passage),
    /// Give the visitor a place, then ask [`after_join`].
    Join,
    /// Take the visitor's turn, then ask [`after_enter`].
    Enter,
    /// It is answered here.
    Show(Scene),
}

/// How a request goes to the site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// The session that it goes by; `None` where nothing is guarded.
    pub session: Option<SessionClaims>,
    /// Whether to ask the origin to extend that session, without letting the visitor wait for it.
    pub renew: bool,
}

/// What is shown instead of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// The visitor's place in line.
    Line,
    /// The place is over; who wants joins again.
    Ended(Ended),
    /// The room takes nobody: it rejects ([`ErrorCode::RoomFull`]), or booking has closed ([`ErrorCode::BookingClosed`]).
    Closed(ErrorCode),
    /// The room does not take people yet.
    NotOpen,
    /// No place can be given at the moment; try again.
    Held,
    /// Not inside, and not somebody who would see a place.
    Outside,
    /// Something was wrong with the request, or with the site.
    Refused(ErrorCode),
}

/// Why a place is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The turn was missed, the place passed over in silence, the wait too long, or the session over.
    Lost,
    /// Given up on purpose.
    Left,
}

impl Scene {
    /// What is shown to somebody who was refused a place or a turn with this code.
    pub const fn refused(code: ErrorCode) -> Self {
        match code {
            ErrorCode::RoomFull | ErrorCode::BookingClosed => Scene::Closed(code),
            ErrorCode::JoinNotOpen => Scene::NotOpen,
            ErrorCode::RateLimited => Scene::Refused(code),
            // A room that has just been deleted is unknown to the next request; until then nobody gets in.
            _ => Scene::Held,
        }
    }

    /// The code that a program reads.
    pub const fn code(self) -> ErrorCode {
        match self {
            Scene::Line | Scene::Outside => ErrorCode::NotReady,
            Scene::Ended(Ended::Lost) => ErrorCode::TokenExpired,
            Scene::Ended(Ended::Left) => ErrorCode::TokenNotFound,
            Scene::Closed(code) | Scene::Refused(code) => code,
            Scene::NotOpen => ErrorCode::JoinNotOpen,
            Scene::Held => ErrorCode::Unavailable,
        }
    }

    /// The HTTP status for this client. A page that tells a person what to do next is an answer like any other: proxies put pages of
    /// their own in the place of a 503. A program, which has asked for something else, must see that it did not get it.
    pub const fn status(self, reads: Reads) -> u16 {
        match (reads, self) {
            (Reads::Page, Scene::Refused(_) | Scene::Outside) => self.code().status(),
            (Reads::Page, _) => 200,
            _ => self.code().status(),
        }
    }

    /// Seconds for `Retry-After`, where the scene itself says when. For [`Scene::Line`] it is the pace of the place.
    pub const fn retry_after_sec(self) -> Option<u64> {
        match self {
            Scene::Held | Scene::Outside => Some(HELD_RETRY_SEC),
            Scene::Closed(ErrorCode::RoomFull) => Some(CLOSED_RETRY_SEC),
            _ => None,
        }
    }
}

/// Whether a session admits at `known.now`, and whether it is time to have it extended.
///
/// It admits until it ends, as long as the room has not been reset. One that is being used and that nobody could extend, because the
/// origin has been away since before it ended, admits on, for [`GRACE_MS`] at most.
fn admits(session: &SessionClaims, settings: &Settings, known: &Known) -> Option<Passage> {
    let grace = settings.session_renew && over_ms(session, known) < known.away_ms.min(GRACE_MS);
    if is_of_older(session, known) || session.left_ms(known.now) == 0 && !grace {
        return None;
    }
    let renew = settings.session_renew && session.is_half_over(known.now);
    Some(Passage { session: Some(session.clone()), renew })
}

/// Whether a session that does not admit may last longer than its token says, so that the origin is worth a question: it has run out
/// lately, in a room that extends sessions. An origin that was away gives the lost time back to those who were inside.
pub(super) fn may_last(session: &SessionClaims, settings: &Settings, known: &Known) -> bool {
    settings.session_renew && !is_of_older(session, known) && over_ms(session, known) < GRACE_MS
}

/// Whether a session went with an older generation of its room.
fn is_of_older(session: &SessionClaims, known: &Known) -> bool {
    known.generation.is_some_and(|generation| session.generation < generation)
}

/// For how long a session has been over by its token, milliseconds.
fn over_ms(session: &SessionClaims, known: &Known) -> u64 {
    known.now.since(Millis(session.ends_at.saturating_mul(1000)))
}

/// Whether the room lets everybody through for want of the origin.
fn is_open(settings: &Settings, known: &Known) -> bool {
    settings.on_origin_down == OnOriginDown::Open && known.away_ms >= OPEN_AFTER_MS && settings.mode != Mode::Reject
}

/// What becomes of a request that belongs to `route`, by a client who proves to hold `session` and `place`.
///
/// In this order: what nobody guards passes; a good session passes; a room that rejects turns away; without the origin the room does
/// what it says; a place in line is shown, and its turn taken by programs at once and by persons when they say so; whoever has no
/// place and would see one joins, while the room takes people.
pub(super) fn decide(
    route: Route<'_>,
    client: Client,
    session: Option<&SessionClaims>,
    place: Place,
    known: &Known,
) -> Outcome {
    let room = match route {
        Route::Open | Route::Through(_) => return Outcome::Pass(Passage::default()),
        Route::Refuse(code) => return Outcome::Show(Scene::Refused(code)),
        Route::Guarded(room) => room,
    };
    let settings = &*room.settings;
    if let Some(passage) = session.and_then(|session| admits(session, settings, known)) {
        return Outcome::Pass(passage);
    }
    if settings.mode == Mode::Reject {
        return Outcome::Show(Scene::Closed(ErrorCode::RoomFull));
    }
    if is_open(settings, known) {
        return Outcome::Pass(Passage::default());
    }
    match place {
        Place::Waiting => Outcome::Show(Scene::Line),
        Place::Ready if client.reads == Reads::Data && client.may_enter => Outcome::Enter,
        Place::Entered if client.may_enter => Outcome::Enter,
        Place::Ready | Place::Entered => Outcome::Show(Scene::Line),
        Place::Over(ErrorCode::TokenExpired) => Outcome::Show(Scene::Ended(Ended::Lost)),
        Place::Unknown => Outcome::Show(Scene::Held),
        // The origin would say the same, to each of those who cannot wait for the opening.
        Place::None | Place::Over(_) if client.may_join => match door(settings, known.now) {
            Door::Open => Outcome::Join,
            Door::NotYet { .. } => Outcome::Show(Scene::NotOpen),
            Door::Closed => Outcome::Show(Scene::Closed(ErrorCode::BookingClosed)),
            Door::Full => Outcome::Show(Scene::Closed(ErrorCode::RoomFull)),
        },
        Place::None | Place::Over(_) => Outcome::Show(Scene::Outside),
    }
}

/// What follows when a place was asked for by `client`: whether its turn is now, or the code that it was refused with.
pub(super) fn after_join(
    settings: &Settings,
    client: Client,
    joined: Result<bool, ErrorCode>,
    known: &Known,
) -> Outcome {
    match joined {
        Ok(true) if client.may_enter => Outcome::Enter,
        Ok(_) => Outcome::Show(Scene::Line),
        Err(code) => failed(settings, code, known),
    }
}

/// What follows when a turn was to be taken: the session that it opened, or the code that it was refused with.
pub(super) fn after_enter(settings: &Settings, entered: Result<SessionClaims, ErrorCode>, known: &Known) -> Outcome {
    match entered {
        Ok(session) => Outcome::Pass(Passage { session: Some(session), renew: false }),
        Err(ErrorCode::NotReady) => Outcome::Show(Scene::Line),
        Err(ErrorCode::TokenExpired | ErrorCode::TokenNotFound) => Outcome::Show(Scene::Ended(Ended::Lost)),
        Err(code) => failed(settings, code, known),
    }
}

fn failed(settings: &Settings, code: ErrorCode, known: &Known) -> Outcome {
    match is_open(settings, known) {
        true => Outcome::Pass(Passage::default()),
        false => Outcome::Show(Scene::refused(code)),
    }
}

#[cfg(test)]
pub(super) mod tests;
