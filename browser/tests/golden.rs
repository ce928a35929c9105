//! The golden vectors of core, in WebAssembly in a browser: the same text and the same bits as native code gives.
#![cfg(target_family = "wasm")]
#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

#[path = "../../core/tests/golden/scenes.rs"]
mod scenes;

use anteroom_browser::Line;
use anteroom_core::token::HEADER;
use anteroom_core::units::Millis;
use js_sys::{Error, JSON, Reflect};
use scenes::{Asked, Scene};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const LINES: &str = include_str!("../../core/tests/vectors/lines.json");
const FLOATS: &str = include_str!("../../core/tests/vectors/floats.txt");
const TOKENS: &str = include_str!("../../core/tests/vectors/tokens.json");

fn committed() -> Vec<Scene> {
    serde_json::from_str(LINES).unwrap()
}

/// A token that says this; a browser cannot tell whether it is signed.
fn token(asked: &Asked) -> String {
    let Asked { event, generation, ticket, issued_at, .. } = asked;
    let payload =
        format!(r#"{{"aud":"anteroom:wait","evt":"{event}","gen":{generation},"tkt":{ticket},"iat":{issued_at}}}"#);
    let window = js_sys::global();
    let btoa = js_sys::Function::from(Reflect::get(&window, &"btoa".into()).unwrap());
    let base64 = btoa.call1(&window, &payload.into()).unwrap().as_string().unwrap();
    format!("{HEADER}.{}.x", base64.replace('+', "-").replace('/', "_").trim_end_matches('='))
}

fn code(error: &Error) -> String {
    Reflect::get(error, &"code".into()).unwrap().as_string().unwrap()
}

fn refused(result: Result<Line, Error>) -> Error {
    match result {
        Ok(_) => panic!("not refused"),
        Err(error) => error,
    }
}

#[wasm_bindgen_test]
fn boards_and_answers_are_those_of_native_code() {
    let text = scenes::text();
    for (number, (committed, here)) in LINES.lines().zip(text.lines()).enumerate() {
        assert_eq!(committed, here, "line {}", number + 1);
    }
    assert_eq!(LINES.len(), text.len());
}

#[wasm_bindgen_test]
fn the_functions_under_the_estimate_are_bit_for_bit_those_of_native_code() {
    assert_eq!(FLOATS, scenes::floats());
}

#[wasm_bindgen_test]
fn a_committed_board_gives_the_committed_answers() {
    for scene in committed() {
        for asked in &scene.asked {
            let answer = scenes::answer(&scene.board, &asked.claims(), Millis(asked.now));
            assert_eq!(answer, asked.answer, "{}: ticket {} at {}", scene.name, asked.ticket, asked.now);
        }
    }
}

#[wasm_bindgen_test]
fn the_class_gives_what_native_code_gives() {
    for scene in committed() {
        for asked in &scene.asked {
            let answer = match Line::new(&scene.board, &token(asked)) {
                Ok(mut line) => match line.status(asked.now as f64) {
                    Ok(status) if status.is_null() => "ask".to_owned(),
                    Ok(status) => String::from(JSON::stringify(&status).unwrap()),
                    Err(error) => code(&error),
                },
                Err(error) => code(&error),
            };
            // JavaScript writes 1.0 as 1; otherwise numbers are written alike.
            let committed = asked.answer.replace("\"eta_confidence\":1.0", "\"eta_confidence\":1");
            let committed = committed.replace("\"eta_confidence\":0.0,", "\"eta_confidence\":0,");
            assert_eq!(answer, committed, "{}: ticket {} at {}", scene.name, asked.ticket, asked.now);
        }
    }
}

#[wasm_bindgen_test]
fn pacing_is_that_of_the_last_status_and_the_server_hears_once_in_each_third() {
    let scenes = committed();
    let scene = scenes.iter().find(|scene| scene.name == "three hundred").unwrap();
    let asked = scene.asked.iter().find(|asked| asked.ticket == 256).unwrap();
    let mut line = Line::new(&scene.board, &token(asked)).unwrap();
    let now = asked.now as f64;
    let status = line.status(now).unwrap();
    let told = Reflect::get(&status, &"poll_after_ms".into()).unwrap().as_f64().unwrap();
    assert_eq!(line.poll_after_ms(), told);
    let third = 100_000.0;
    let reports = (0..3_000).filter(|tenth| line.must_report(now + f64::from(*tenth) * third / 1_000.0)).count();
    assert!((3..=4).contains(&reports), "{reports} in three thirds");
    let mut called = Line::new(&scene.board, &token(&scene.asked[0])).unwrap();
    assert!(!called.must_report(now), "whoever was called need not be heard");
}

#[wasm_bindgen_test]
fn a_newer_board_is_taken_and_an_older_one_is_not() {
    let scene = &committed()[3];
    let mut line = Line::new(&scene.board, &token(&scene.asked[0])).unwrap();
    let as_of = scenes::NOW.0;
    let at = |ms: u64| scene.board.replace(&format!("\"as_of\":{as_of}"), &format!("\"as_of\":{ms}"));
    line.update(&at(as_of + 250)).unwrap();
    assert_eq!(line.as_of_ms(), (as_of + 250) as f64);
    line.update(&at(as_of - 250)).unwrap();
    assert_eq!(line.as_of_ms(), (as_of + 250) as f64);
    assert_eq!((line.event_id().as_str(), line.ticket()), ("sale", scene.asked[0].ticket as f64));
}

#[wasm_bindgen_test]
fn what_is_not_a_board_or_a_token_is_refused_with_a_code_of_the_api() {
    let scene = &committed()[3];
    let good = token(&scene.asked[0]);
    for bad in ["", "{}", "[]", &scene.board[1..], &scene.board.replace("\"format\":1", "\"format\":2")] {
        let error = refused(Line::new(bad, &good));
        assert_eq!((code(&error).as_str(), String::from(error.name()).as_str()), ("INVALID_REQUEST", "LineError"));
    }
    let other = scene.board.replace("\"event_id\":\"sale\"", "\"event_id\":\"other\"");
    for (board, token) in [(&scene.board, ""), (&scene.board, "a.b.c"), (&other, &good)] {
        assert_eq!(code(&refused(Line::new(board, token))), "TOKEN_NOT_FOUND");
    }
    let mut line = Line::new(&scene.board, &good).unwrap();
    assert_eq!(code(&line.update("x").unwrap_err()), "INVALID_REQUEST");
    line.status(f64::NAN).unwrap();
}

#[wasm_bindgen_test]
fn the_payload_of_a_committed_token_is_read_without_its_secret() {
    let file: serde_json::Value = serde_json::from_str(TOKENS).unwrap();
    for vector in file["tokens"].as_array().unwrap() {
        let read = anteroom_core::token::WaitingClaims::unverified(vector["token"].as_str().unwrap());
        if let Some(claims) = vector.get("claims") {
            let read = read.unwrap();
            assert_eq!(claims["event"], read.event.as_str());
            assert_eq!(claims["generation"], read.generation.0);
            assert_eq!(claims["ticket"], read.ticket.0);
            assert_eq!(claims["issued_at"], read.issued_at);
            assert_eq!(claims.get("identity").and_then(|id| id.as_str()), read.identity.as_ref().map(|id| id.as_str()));
        }
    }
}
