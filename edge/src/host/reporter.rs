//! Sends the reports of this isolate.

use super::origin::{self, Ask};
use super::{Visit, held, now, pause};
use crate::boards::Board;
use crate::lease::Plan;
use crate::renewed::Renewed;
use crate::reports::{Reports, TIMEOUT_MS, Turn};
use crate::settings::Settings;
use crate::status;
use anteroom_core::gate::News;
use anteroom_core::relay::{self, Answer, Report, RoomReport};
use anteroom_core::token::{SessionClaims, WaitingClaims};
use std::cell::RefCell;
use std::rc::Rc;
use worker::js_sys::futures::JsFuture;
use worker::{Error, Result, console_error, web_sys};

/// After so long a request leaves what is still to be sent to a later one: runtimes do not let it live for ever.
const STAY_MS: u64 = 15_000;

thread_local! {
    // Neither is ever borrowed across an await.
    static REPORTS: RefCell<Reports> = const { RefCell::new(Reports::new()) };
    static RENEWED: RefCell<Renewed> = const { RefCell::new(Renewed::new()) };
}

/// The holder of a place was heard from.
pub(super) fn heard(visit: &Visit<'_>, claims: &WaitingClaims, board: &Board) {
    let due = held::with_boards(|boards| boards.must_report(&claims.event, status::slot(claims), now()));
    if !due {
        return;
    }
    if visit.settings.edge_token.is_none() {
        match origin::heartbeat(visit) {
            Ok(poll) => visit.background(pass_on(poll)),
            Err(error) => console_error!("a heartbeat could not be made: {error}"),
        }
        return;
    }
    REPORTS.with_borrow_mut(|reports| {
        let room = (&claims.event, claims.generation);
        reports.hear(room, claims.ticket, claims.identity.as_ref(), board.public().heartbeat_ms, now());
    });
    send(visit);
}

/// A session is being used and is to be extended.
pub(super) fn renew(visit: &Visit<'_>, session: &SessionClaims) {
    if RENEWED.with_borrow(|renewed| renewed.is_known(session, now())) {
        return;
    }
    REPORTS.with_borrow_mut(|reports| {
        let room = (&session.event, session.generation);
        reports.renew(room, session.ticket, session.left_ms(now()), now());
    });
    send(visit);
}

/// What the origin has said of a session since its token was made.
pub(super) fn news(session: &SessionClaims) -> News {
    RENEWED.with_borrow(|renewed| renewed.news(session))
}

/// What has become of a session that has run out by its token: the origin is asked while the visitor waits.
pub(super) async fn renewed(visit: &Visit<'_>, session: &SessionClaims) -> News {
    loop {
        match RENEWED.with_borrow_mut(|renewed| renewed.plan(session, now())) {
            Plan::Fetch => break,
            Plan::Wait => pause(held::WAIT_MS).await,
            Plan::Serve | Plan::ServeAndFetch => return news(session),
        }
    }
    let room = RoomReport {
        event_id: session.event.clone(),
        generation: session.generation,
        heard: Vec::new(),
        known: Vec::new(),
        renew: vec![session.ticket],
    };
    let answer = post(&visit.settings, &Report { rooms: vec![room] }).await;
    let answer = answer.inspect_err(|error| console_error!("a session could not be asked about: {error}")).ok();
    RENEWED.with_borrow_mut(|renewed| renewed.settle(session, answer.as_ref(), now()));
    news(session)
}

/// A session has ended by the word of its site.
pub(super) fn ended(session: &SessionClaims) {
    RENEWED.with_borrow_mut(|renewed| renewed.end(session, now()));
}

/// Takes the turn to send, if nobody has it.
fn send(visit: &Visit<'_>) {
    if let Some(turn) = REPORTS.with_borrow_mut(|reports| reports.turn(now())) {
        visit.background(take_turns(visit.settings.clone(), turn));
    }
}

async fn take_turns(settings: Rc<Settings>, first: Turn) {
    let (started, mut turn) = (now(), first);
    loop {
        if turn.wait_ms > 0 {
            pause(turn.wait_ms).await;
        }
        let Some(sent) = REPORTS.with_borrow_mut(|reports| reports.take(turn, now())) else { return };
        let arrived = match post(&settings, &sent.report).await {
            Ok(answer) => {
                RENEWED.with_borrow_mut(|renewed| renewed.learn(&answer, now()));
                true
            }
            Err(error) => {
                console_error!("a report did not reach the origin: {error}");
                false
            }
        };
        let (dropped, next) = REPORTS.with_borrow_mut(|reports| {
            reports.settle(sent, arrived, now());
            let stays = now().since(started) < STAY_MS;
            (reports.dropped(), stays.then(|| reports.turn(now())).flatten())
        });
        if dropped > 0 {
            console_error!("{dropped} heartbeats and renewals were not reported: the origin was away for too long");
        }
        match next {
            Some(next) => turn = next,
            None => return,
        }
    }
}

async fn post(settings: &Settings, report: &Report) -> Result<Answer> {
    let json = serde_json::to_string(report)?;
    let answer = Ask::post(settings, relay::REPORTS_PATH, &json)?.with_edge_token()?.send(TIMEOUT_MS).await?;
    match answer.status {
        200 => Ok(serde_json::from_str(&answer.body)?),
        status => Err(Error::RustError(format!("the origin answered {status}"))),
    }
}

/// Passes a poll on as the heartbeat that it is. One that is lost leaves the place alive.
async fn pass_on(poll: web_sys::Request) {
    let heard = async {
        let response = origin::fetch(&poll, None).await?;
        Ok::<_, Error>(JsFuture::from(response.text()?).await?)
    };
    if let Err(error) = heard.await {
        console_error!("a heartbeat did not reach the origin: {error}");
    }
}
