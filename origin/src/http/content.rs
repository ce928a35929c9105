//! What a request carries, parsed: bodies, query strings and path parameters whose refusals are all [`ApiError`]s.

use crate::error::ApiError;
use anteroom_core::code::ErrorCode;
use anteroom_core::units::EventId;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

/// Longest body that is read.
pub const BODY_MAX: usize = 64 * 1024;
/// Most characters of a message about content, which may quote it.
const MESSAGE_MAX: usize = 240;

/// A JSON body of up to [`BODY_MAX`] bytes.
#[derive(Clone, Copy, Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        check_content_type(request.headers())?;
        parse_json(&read_body(request).await?).map(Self)
    }
}

/// A JSON body if there is one: absent and empty bodies are `None`, whatever their content type. It may come as `text/plain`, as what a
/// page sends while it is being closed does, so use it only where the body alone proves what the sender may do.
#[derive(Clone, Copy, Debug)]
pub struct OptionalJsonBody<T>(pub Option<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let text = essence(request.headers()).is_some_and(|essence| essence.eq_ignore_ascii_case(b"text/plain"));
        let content_type = if text { Ok(()) } else { check_content_type(request.headers()) };
        let bytes = read_body(request).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        content_type?;
        parse_json(&bytes).map(|value| Self(Some(value)))
    }
}

/// The query string.
#[derive(Clone, Copy, Debug)]
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(params) = Query::try_from_uri(&parts.uri)
            .map_err(|rejection| ApiError::invalid("query", bounded(rejection.body_text())))?;
        Ok(Self(params))
    }
}

/// The event that the path names.
#[derive(Clone, Debug)]
pub struct EventPath(pub EventId);

impl<S: Send + Sync> FromRequestParts<S> for EventPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::invalid("event_id", "is not UTF-8"))?;
        EventId::parse(&text).map(Self).map_err(|reason| ApiError::invalid("event_id", reason))
    }
}

/// Parses a JSON object, and names the field when it does not fit.
///
/// Only an object: serde would fill a structure from a list as well, field by field in the order of our source.
/// The path to the field costs a second parse, so it is looked for only after the first one has failed.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::invalid("body", "must be a JSON object"));
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if !error.is_data() {
        return Err(not_json(error));
    }
    let found = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(bytes));
    let Err(found) = found else { return Err(not_json(error)) };
    let path = found.path().to_string();
    let field = if path == "." { "body" } else { &path };
    Err(ApiError::invalid(&format!("{}:", bounded(field.into())), bounded(without_place(found.inner()))))
}

fn not_json(error: serde_json::Error) -> ApiError {
    ApiError::invalid("body", format!("is not JSON: {}", bounded(error.to_string())))
}

/// The place in the text is of no use to somebody who is told the field.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

fn bounded(text: String) -> String {
    match text.char_indices().nth(MESSAGE_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// JSON may come without a content type, but not under another one: a form of another site can post those without asking.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(essence) = essence(headers) else { return Ok(()) };
    let json = essence.eq_ignore_ascii_case(b"application/json")
        || essence.len() > 12
            && essence[..12].eq_ignore_ascii_case(b"application/")
            && essence[essence.len() - 5..].eq_ignore_ascii_case(b"+json");
    if json { Ok(()) } else { Err(ApiError::invalid("Content-Type", "must be application/json")) }
}

/// The content type without its parameters.
fn essence(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
    Some(value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii())
}

async fn read_body(request: Request) -> Result<Bytes, ApiError> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    // A body that says it is too long is refused before any of it is read.
    if length.is_some_and(|length| length > BODY_MAX as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(request.into_body(), BODY_MAX).await.map_err(|error| {
        if error.into_inner().is::<LengthLimitError>() { too_large() } else { ApiError::invalid("body", "was cut off") }
    })
}

fn too_large() -> ApiError {
    ApiError::new(ErrorCode::PayloadTooLarge, format!("The body is longer than {BODY_MAX} bytes"))
}
