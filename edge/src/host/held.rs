//! What this isolate holds: boards and rooms, fetched when that is due.
//!
//! A request never awaits the fetch of another one, since that may be cancelled with it: it looks again after a timer of its own.

use super::origin::Ask;
use super::{Visit, api, cache, now, pause};
use crate::boards::{Board, Boards, Fetched, Held};
use crate::lease::{LEASE_MS, Plan};
use crate::rooms::{self, Rooms};
use crate::settings::Settings;
use anteroom_core::code::ErrorCode;
use anteroom_core::relay;
use anteroom_core::units::EventId;
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;
use worker::{Error, Result, console_error};

/// What takes longer is given up; shorter than the lease of a fetch.
const FETCH_TIMEOUT_MS: u64 = LEASE_MS - 1_000;
/// Pause between two looks at whether somebody else's fetch is back.
pub(super) const WAIT_MS: u64 = 10;

thread_local! {
    // Neither is ever borrowed across an await.
    static BOARDS: RefCell<Boards> = const { RefCell::new(Boards::new()) };
    static ROOMS: RefCell<rooms::Held> = const { RefCell::new(rooms::Held::new()) };
}

pub(super) fn with_boards<T>(work: impl FnOnce(&mut Boards) -> T) -> T {
    BOARDS.with_borrow_mut(work)
}

fn with_rooms<T>(work: impl FnOnce(&mut rooms::Held) -> T) -> T {
    ROOMS.with_borrow_mut(work)
}

/// What is known of an event, fetched first where that is due and the request can wait.
pub(super) async fn board(visit: &Visit<'_>, event: &EventId, patient: bool) -> Held {
    loop {
        match with_boards(|boards| boards.plan(event, now())) {
            Plan::Serve => break,
            Plan::Fetch if patient => {
                if recall_board(event).await {
                    visit.background(refresh_board(visit.settings.clone(), event.clone()));
                } else {
                    refresh_board(visit.settings.clone(), event.clone()).await;
                }
                break;
            }
            Plan::ServeAndFetch | Plan::Fetch => {
                visit.background(refresh_board(visit.settings.clone(), event.clone()));
                break;
            }
            Plan::Wait if patient => pause(WAIT_MS).await,
            Plan::Wait => break,
        }
    }
    with_boards(|boards| boards.look(event, now()))
}

/// The rooms, fetched first where none are held. `None` while none have ever been heard of.
pub(super) async fn rooms(visit: &Visit<'_>) -> Option<Rc<Rooms>> {
    loop {
        match with_rooms(|rooms| rooms.plan(now())) {
            Plan::Serve => break,
            Plan::Fetch if known_rooms().is_none() => {
                if recall_rooms().await {
                    visit.background(refresh_rooms(visit.settings.clone()));
                } else {
                    refresh_rooms(visit.settings.clone()).await;
                }
                break;
            }
            Plan::ServeAndFetch | Plan::Fetch => {
                visit.background(refresh_rooms(visit.settings.clone()));
                break;
            }
            Plan::Wait if known_rooms().is_none() => pause(WAIT_MS).await,
            Plan::Wait => break,
        }
    }
    known_rooms()
}

/// The rooms as they are held, without looking for newer ones.
pub(super) fn known_rooms() -> Option<Rc<Rooms>> {
    with_rooms(|rooms| rooms.look())
}

/// Keeps the rooms up to date for those who need only a look at them, where they can be asked for at all.
pub(super) fn renew_rooms(visit: &Visit<'_>) {
    if visit.settings.edge_token.is_some()
        && matches!(with_rooms(|rooms| rooms.plan(now())), Plan::Fetch | Plan::ServeAndFetch)
    {
        visit.background(refresh_rooms(visit.settings.clone()));
    }
}

async fn refresh_board(settings: Rc<Settings>, event: EventId) {
    let etag = with_boards(|boards| match boards.look(&event, now()) {
        Held::Board { board, .. } => board.etag().map(ToOwned::to_owned),
        _ => None,
    });
    let (fetched, text) = match fetch_board(&settings, &event, etag).await {
        Ok(fetched) => fetched,
        Err(error) => {
            console_error!("the board of {event} was not fetched: {error}");
            (Fetched::Failed, None)
        }
    };
    let etag = match &fetched {
        Fetched::Board(board) => board.etag().map(ToOwned::to_owned),
        _ => None,
    };
    with_boards(|boards| boards.settle(&event, fetched, now()));
    if let Some(text) = text {
        cache::keep(&board_path(&event), text, etag.as_deref(), now()).await;
    }
}

async fn fetch_board(settings: &Settings, event: &EventId, etag: Option<String>) -> Result<(Fetched, Option<String>)> {
    let path = board_path(event);
    let mut ask = Ask::get(settings, &path)?;
    if let Some(etag) = &etag {
        ask = ask.header("if-none-match", etag)?;
    }
    let answer = ask.send(FETCH_TIMEOUT_MS).await?;
    match answer.status {
        200 => {
            let kept = cache::is_due(&path, now()).then(|| answer.body.clone());
            let board = Board::read(event, answer.body, answer.etag);
            let board = board.map_err(|bad| Error::RustError(bad.to_string()))?;
            Ok((Fetched::Board(Box::new(board)), kept))
        }
        304 => Ok((Fetched::Unchanged, None)),
        // Another 404 is that of something between us and the origin.
        404 if names(&answer.body, ErrorCode::EventNotFound) => Ok((Fetched::NoEvent, None)),
        status => Err(Error::RustError(format!("the origin answered {status}"))),
    }
}

async fn recall_board(event: &EventId) -> bool {
    if !matches!(with_boards(|boards| boards.look(event, now())), Held::Nothing) {
        return false;
    }
    let Some(kept) = cache::recall(&board_path(event)).await else { return false };
    let Ok(board) = Board::read(event, kept.body, kept.etag) else { return false };
    with_boards(|boards| boards.recall(event, board, kept.at));
    now().since(kept.at) < crate::boards::USABLE_MS
}

fn board_path(event: &EventId) -> String {
    format!("{}?event_id={event}", api::BOARD)
}

async fn refresh_rooms(settings: Rc<Settings>) {
    let etag = known_rooms().and_then(|rooms| rooms.etag.clone());
    let (fetched, kept) = match fetch_rooms(&settings, etag).await {
        Ok(Some((rooms, text))) => (Ok(Some(rooms)), text),
        Ok(None) => (Ok(None), None),
        Err(error) => {
            console_error!("the rooms were not fetched: {error}");
            (Err(()), None)
        }
    };
    let etag = match &fetched {
        Ok(Some(rooms)) => rooms.etag.clone(),
        _ => None,
    };
    with_rooms(|rooms| rooms.settle(fetched, now()));
    if let Some(text) = kept {
        cache::keep(relay::ROOMS_PATH, text, etag.as_deref(), now()).await;
    }
}

async fn fetch_rooms(settings: &Settings, etag: Option<String>) -> Result<Option<(Rooms, Option<String>)>> {
    let mut ask = Ask::get(settings, relay::ROOMS_PATH)?.with_edge_token()?;
    if let Some(etag) = &etag {
        ask = ask.header("if-none-match", etag)?;
    }
    let answer = ask.send(FETCH_TIMEOUT_MS).await?;
    match answer.status {
        200 => {
            let rooms = Rooms::read(&answer.body, answer.etag).map_err(|bad| Error::RustError(bad.to_string()))?;
            Ok(Some((rooms, Some(answer.body))))
        }
        304 => Ok(None),
        status => Err(Error::RustError(format!("the origin answered {status}"))),
    }
}

async fn recall_rooms() -> bool {
    let Some(kept) = cache::recall(relay::ROOMS_PATH).await else { return false };
    let Ok(rooms) = Rooms::read(&kept.body, kept.etag) else { return false };
    with_rooms(|held| held.recall(rooms, kept.at));
    true
}

/// Whether a body is the contract's error of this code.
fn names(body: &str, code: ErrorCode) -> bool {
    code_of(body).is_some_and(|named| named == code.as_str())
}

/// The code of the contract's error that a body is.
fn code_of(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    Some(body.get("error")?.get("code")?.as_str()?.to_owned())
}
