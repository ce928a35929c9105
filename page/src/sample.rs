//! A scene of every kind, to try an operator's template on before anybody has to look at it.

use crate::look::Look;
use crate::pages::Pages;
use crate::scene::{Ask, Ended, Line, Scene};
use anteroom_core::code::ErrorCode;
use anteroom_core::settings::rfc3339;
use anteroom_core::status::StatusReply;
use anteroom_core::units::{Generation, Millis, Ticket};

const NOW: Millis = Millis(1_790_000_000_000);

/// Renders every scene with the operator's template and looks for what nobody can do without.
///
/// # Errors
///
/// The first thing that is wrong, to be read after the name of the setting.
pub(crate) fn try_out(pages: &Pages, look: &Look) -> Result<(), String> {
    let ask = Ask { to: "/tickets/1?x=2", token: Some("token"), languages: &[], nonce: "nonce", now: NOW, seen: None };
    let with = |status: &StatusReply<'_>, name: &str, needed: &[Needed]| {
        let scene = Scene::Line(Line {
            status,
            generation: Generation(1),
            ticket: Ticket(42),
            heartbeat_sec: 300,
            refresh_url: "/tickets/1?x=2",
        });
        shows(pages, look, &scene, &ask, name, needed)
    };
    let waiting = waiting();
    with(&waiting, "somebody who waits", &[Needed::News])?;
    with(&StatusReply { mode: "hold", ..waiting.clone() }, "a paused line", &[Needed::News])?;
    let opens_at = Some(rfc3339(Millis(NOW.0 + 60_000)));
    with(&StatusReply { opens_at, ..waiting.clone() }, "somebody who waits for the opening", &[Needed::News])?;
    let until = Some(rfc3339(Millis(NOW.0 + 60_000)));
    let ready = StatusReply {
        status: "ready",
        position: 0,
        ready_for_entry: true,
        claim_expires_at: until,
        message: Some("A message"),
        ..waiting.clone()
    };
    with(&ready, "somebody whose turn has come", &[Needed::Form("/gate/enter")])?;
    with(
        &StatusReply { status: "entered", position: 0, ..waiting },
        "somebody who has gone in",
        &[Needed::Form("/gate/enter")],
    )?;
    for ended in Ended::ALL {
        shows(pages, look, &Scene::Ended(*ended), &ask, "a place that is no more", &[Needed::Form("/gate/join")])?;
    }
    let opens_at = Millis(NOW.0 + 60_000);
    shows(pages, look, &Scene::NotOpen { opens_at }, &ask, "an event that is not open yet", &[Needed::News])?;
    shows(pages, look, &Scene::Held { retry_after_sec: 5 }, &ask, "somebody without a place", &[Needed::News])?;
    shows(pages, look, &Scene::Closed, &ask, "a closed event", &[])?;
    shows(pages, look, &Scene::Refused(ErrorCode::InternalError), &ask, "an error", &[])
}

/// Somebody in the middle of a line that moves.
fn waiting() -> StatusReply<'static> {
    StatusReply {
        status: "waiting",
        position: 1_234,
        eta_sec: Some(720),
        eta_low_sec: Some(600),
        eta_high_sec: Some(1_000),
        eta_confidence: Some(0.8),
        waiting_time: 75,
        ready_for_entry: false,
        claim_expires_at: None,
        poll_after_ms: 10_000,
        total_waiting: 5_678,
        mode: "line",
        opens_at: None,
        message: None,
        as_of: "2026-09-21T13:46:40Z",
        stale: false,
    }
}

/// What a page cannot do without.
enum Needed {
    /// The script, or a refresh.
    News,
    /// A form that posts there.
    Form(&'static str),
}

fn shows(
    pages: &Pages,
    look: &Look,
    scene: &Scene<'_>,
    ask: &Ask<'_>,
    name: &str,
    needed: &[Needed],
) -> Result<(), String> {
    let page = pages.render(look, scene, ask);
    if let Some(problem) = page.problem {
        return Err(format!("does not work for {name}: {problem}"));
    }
    for needed in needed {
        let (there, what) = match needed {
            Needed::News => {
                let there = page.html.contains("http-equiv=\"refresh\"") && page.html.contains("id=\"live\"");
                (there, "never asks for news: include head.html and script.html".to_owned())
            }
            Needed::Form(action) => {
                (page.html.contains(&format!("action=\"{action}\"")), format!("has no form that posts to {action}"))
            }
        };
        if !there {
            return Err(format!("{what}, in the page for {name}"));
        }
    }
    Ok(())
}
