//! Writes every scene in every language to a folder, with the headers it goes out with, to be looked at and to be
//! checked in a browser: `cargo run -p anteroom-page --example scenes -- FOLDER`, then `e2e/tests/page.test.mjs`.

use anteroom_core::code::ErrorCode;
use anteroom_core::settings::{Page, Settings, rfc3339};
use anteroom_core::status::StatusReply;
use anteroom_core::units::{Generation, Millis, Ticket};
use anteroom_page::{Ask, Ended, Line, Pages, Scene};
use serde_json::json;
use std::error::Error;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("which folder?")?);
    fs::create_dir_all(&folder)?;
    let pages = Pages::new();
    let plain = Settings::default().page;
    let titled = Page { title: Some("Night of Lanterns".into()), ..plain };
    let own = Page {
        title: Some("Café Zugabe – das große Konzert".into()),
        message: Some("Doors open at 19:00.\nPlease have your booking number ready.".into()),
        theme: [("accent", "#ffcc00"), ("background", "#fff8e0"), ("radius", "6px"), ("font", "serif"), ("logo", LOGO)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..titled.clone()
    };
    let now = Millis(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?);
    let in_sec = |sec: u64| rfc3339(Millis(now.0 + sec * 1000));
    let as_of = in_sec(0);
    let waiting = StatusReply {
        status: "waiting",
        position: 1_234,
        eta_sec: Some(720),
        eta_low_sec: Some(600),
        eta_high_sec: Some(1_000),
        eta_confidence: Some(0.8),
        waiting_time: 75,
        ready_for_entry: false,
        claim_expires_at: None,
        poll_after_ms: 2_000,
        total_waiting: 5_678,
        mode: "line",
        opens_at: None,
        message: None,
        as_of: &as_of,
        stale: false,
    };
    let unknown = StatusReply { eta_sec: None, eta_low_sec: None, eta_high_sec: None, ..waiting.clone() };
    let ready = StatusReply {
        status: "ready",
        position: 0,
        ready_for_entry: true,
        claim_expires_at: Some(in_sec(110)),
        ..waiting.clone()
    };
    let lines = [
        ("waiting", waiting.clone()),
        (
            "front",
            StatusReply {
                position: 3,
                eta_sec: Some(14),
                eta_low_sec: Some(8),
                eta_high_sec: Some(25),
                ..waiting.clone()
            },
        ),
        (
            "far",
            StatusReply {
                position: 1_234_567,
                total_waiting: 9_876_543,
                eta_sec: Some(9_600),
                eta_low_sec: Some(7_300),
                eta_high_sec: Some(12_000),
                ..waiting.clone()
            },
        ),
        ("stale", StatusReply { stale: true, ..unknown.clone() }),
        (
            "paused",
            StatusReply {
                mode: "hold",
                message: Some("The stage is being dried. We expect to go on at 18:30."),
                ..unknown.clone()
            },
        ),
        ("before", StatusReply { opens_at: Some(in_sec(3_725)), ..unknown.clone() }),
        ("ready", ready.clone()),
        ("entered", StatusReply { status: "entered", ..ready.clone() }),
    ];
    let mut scenes: Vec<(String, Scene<'_>)> = Vec::new();
    for (name, status) in &lines {
        let line = Line {
            status,
            generation: Generation(1),
            ticket: Ticket(20_417),
            heartbeat_sec: 300,
            refresh_url: "/tickets/1?x=2",
        };
        scenes.push(((*name).to_owned(), Scene::Line(line)));
    }
    for ended in Ended::ALL {
        scenes.push((format!("ended-{ended:?}").to_lowercase(), Scene::Ended(*ended)));
    }
    scenes.push(("closed".into(), Scene::Closed));
    scenes.push(("not_open".into(), Scene::NotOpen { opens_at: Millis(now.0 + 754_000) }));
    scenes.push(("not_open_days".into(), Scene::NotOpen { opens_at: Millis(now.0 + 300_000_000) }));
    scenes.push(("held".into(), Scene::Held { retry_after_sec: 5 }));
    for code in [ErrorCode::Unavailable, ErrorCode::InternalError, ErrorCode::EventNotFound] {
        scenes.push((format!("refused-{code}").to_lowercase(), Scene::Refused(code)));
    }

    let mut index = serde_json::Map::new();
    for tag in pages.languages() {
        for (look, page) in [("", &titled), ("-own", &own)] {
            let look_of = pages.look("lanterns", page);
            for (name, scene) in &scenes {
                let ask = Ask {
                    to: "/tickets/1?x=2",
                    token: None,
                    languages: &[tag],
                    nonce: "Zm9yYnJvd3NlcnM",
                    now,
                    seen: None,
                };
                let page = pages.render(&look_of, scene, &ask);
                if let Some(problem) = page.problem {
                    return Err(format!("{name}: {problem}").into());
                }
                let file = format!("{name}{look}.{tag}.html");
                let headers: serde_json::Map<_, _> =
                    page.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
                index.insert(
                    file.clone(),
                    json!({ "status": page.status, "headers": headers, "bytes": page.html.len() }),
                );
                fs::write(folder.join(file), page.html)?;
            }
        }
    }
    fs::write(
        folder.join("statuses.json"),
        serde_json::to_string_pretty(
            &lines.iter().map(|(name, status)| json!({"name": name, "status": status})).collect::<Vec<_>>(),
        )?,
    )?;
    fs::write(folder.join("index.json"), serde_json::to_string_pretty(&index)?)?;
    println!("{} pages in {}", index.len(), folder.display());
    Ok(())
}

const LOGO: &str = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCAxMjAgNDAiPjxyZWN0IHdpZHRoPSI0MCIgaGVpZ2h0PSI0MCIgcng9IjEwIiBmaWxsPSIjYjM0NzFhIi8+PHBhdGggZD0iTTEyIDEwaDE2djRsLTUgNiA1IDZ2NEgxMnYtNGw1LTYtNS02eiIgZmlsbD0iI2ZmZiIvPjxwYXRoIGQ9Ik01MiAxNGg2MHY0SDUyek01MiAyNGg0MHY0SDUyeiIgZmlsbD0iI2IzNDcxYSIvPjwvc3ZnPg==";
