//! Pages as they go over the wire: rendered from templates with everything inline, never cached, and allowed nothing
//! but what they bring along.

use super::words::Words;
use crate::error::ApiError;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use minijinja::value::{Serde, Value, merge_maps};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use uuid::Uuid;

const TEMPLATES: [(&str, &str); 9] = [
    ("layout.html", include_str!("assets/layout.html")),
    ("home.html", include_str!("assets/home.html")),
    ("wait.html", include_str!("assets/wait.html")),
    ("ended.html", include_str!("assets/ended.html")),
    ("shop.html", include_str!("assets/shop.html")),
    ("notice.html", include_str!("assets/notice.html")),
    ("style.css", include_str!("assets/style.css")),
    ("wait.js", include_str!("assets/wait.js")),
    ("shop.js", include_str!("assets/shop.js")),
];

/// The pages' templates and texts.
pub struct Pages {
    templates: Environment<'static>,
    /// The texts.
    pub words: Words,
}

impl Pages {
    /// All of them, parsed.
    pub fn new() -> Self {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        templates.set_auto_escape_callback(|name| match name.rsplit('.').next() {
            Some("html") => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        for (name, source) in TEMPLATES {
            templates.add_template(name, source).expect("the built-in templates are well formed");
        }
        let words = Words::english();
        templates.add_global("t", Value::from(Serde(words.all())));
        Self { templates, words }
    }

    /// A page. `simulated`: whether it says that the other people are.
    pub fn show(&self, template: &str, simulated: bool, facts: Value) -> Response {
        // 122 random bits from the system: nobody can guess what would let a script of theirs run.
        let nonce = Uuid::new_v4().simple().to_string();
        let context = merge_maps([context! { nonce => &nonce, simulated }, facts]);
        match self.templates.get_template(template).and_then(|template| template.render(context)) {
            Ok(html) => respond(html, &nonce),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }

    /// What a person sees instead of the JSON of an error: same status, same headers.
    pub fn show_error(&self, error: ApiError) -> Response {
        let errors = &self.words.all()["errors"];
        let text = errors.get(error.code().as_str()).unwrap_or(&errors["other"]);
        let page = self.show("notice.html", false, context! { text => Value::from(Serde(text)) });
        let mut response = error.into_response();
        *response.body_mut() = Body::empty();
        response.headers_mut().extend(page.headers().clone());
        *response.body_mut() = page.into_body();
        response
    }
}

fn respond(html: String, nonce: &str) -> Response {
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = HeaderValue::from_str(&policy).expect("a nonce is letters and digits");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A place carried in the address must not be told to other sites; our own need to see that a form is ours.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    headers.insert(opener, HeaderValue::from_static("same-origin"));
    response
}
