//! The site behind the demo's gate: a shop of three pages that sells nothing. A server of its own on a port of its own, as any site
//! is; all it knows of the waiting room is a header that says who is inside, and one that it answers when somebody is done.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use std::fmt::Write as _;
use std::sync::Arc;
use upon::fmt::Formatter;
use upon::{Engine, Value};

const TEMPLATES: [(&str, &str); 5] = [
    ("top.html", include_str!("assets/top.html")),
    ("bottom.html", include_str!("assets/bottom.html")),
    ("home.html", include_str!("assets/home.html")),
    ("tickets.html", include_str!("assets/tickets.html")),
    ("thanks.html", include_str!("assets/thanks.html")),
];
const STYLE: &str = include_str!("assets/style.css");
/// What may be bought, and for how much.
const SEATS: [(&str, &str); 3] = [("Lantern walk", "28"), ("Quay, standing", "42"), ("Quay, seated", "64")];
/// Says who is inside.
const TICKET: HeaderName = HeaderName::from_static("anteroom-ticket");
/// Says that the visitor is done.
const SESSION: HeaderName = HeaderName::from_static("anteroom-session");

/// The shop's routes. Everything below `/tickets` is what people queue for.
pub fn routes() -> Router {
    let mut pages = Engine::new();
    pages.set_default_formatter(&escaped);
    for (name, source) in TEMPLATES {
        pages.add_template(name, source.trim_end()).expect("the shop's templates are well formed");
    }
    Router::new()
        .route("/", get(home))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css")], STYLE)))
        .route("/tickets", get(tickets))
        .route("/tickets/order", post(order))
        .route("/thanks", get(thanks))
        .with_state(Arc::new(pages))
}

type Pages = State<Arc<Engine<'static>>>;

async fn home(State(pages): Pages) -> Response {
    show(&pages, "home.html", &Value::from([("", ()); 0]))
}

/// The page that people wait for.
async fn tickets(State(pages): Pages, headers: HeaderMap) -> Response {
    let number = headers.get(TICKET).and_then(|value| value.to_str().ok());
    let seats: Value = SEATS.iter().map(|&(name, price)| Value::from([("name", name), ("price", price)])).collect();
    show(&pages, "tickets.html", &Value::from([("number", number.into()), ("seats", seats)]))
}

/// Takes the order. The visitor is done: the gate is told, and the next person may come in. The page that follows can be reloaded
/// without ordering again.
async fn order(form: String) -> Response {
    let chosen = url::form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "seat");
    let Some((seat, _)) = SEATS.iter().find(|(name, _)| chosen.as_ref().is_some_and(|(_, seat)| seat == name)) else {
        return Redirect::to("/tickets").into_response();
    };
    let seat: String = url::form_urlencoded::byte_serialize(seat.as_bytes()).collect();
    ([(SESSION, HeaderValue::from_static("end"))], Redirect::to(&format!("/thanks?seat={seat}"))).into_response()
}

#[derive(Deserialize)]
struct Bought {
    seat: Option<String>,
}

async fn thanks(State(pages): Pages, Query(bought): Query<Bought>) -> Response {
    let seat = SEATS.iter().map(|(name, _)| *name).find(|name| bought.seat.as_deref() == Some(*name));
    show(&pages, "thanks.html", &Value::from([("seat", seat)]))
}

fn show(pages: &Engine<'static>, template: &str, facts: &Value) -> Response {
    match pages.template(template).render_from(facts).to_string() {
        Ok(html) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the demo's shop cannot be shown");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What is put into a page stays text.
fn escaped(f: &mut Formatter<'_>, value: &Value) -> upon::fmt::Result {
    let Value::String(text) = value else { return upon::fmt::default(f, value) };
    for character in text.chars() {
        match character {
            '&' => f.write_str("&amp;")?,
            '<' => f.write_str("&lt;")?,
            '>' => f.write_str("&gt;")?,
            '"' => f.write_str("&quot;")?,
            '\'' => f.write_str("&#x27;")?,
            other => f.write_char(other)?,
        }
    }
    Ok(())
}
