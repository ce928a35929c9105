//! The public board: one for everybody, cached everywhere.

use super::App;
use super::queue::event_id;
use super::shown::query_value;
use crate::error::ApiError;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use std::sync::Arc;

/// The board of an event; a browser that has it is told so.
pub async fn show(State(app): State<Arc<App>>, headers: HeaderMap, uri: Uri) -> Result<Response, ApiError> {
    let event = event_id(query_value(&uri, "event_id").as_deref())?;
    let room = app.room(&event).await?;
    let view = room.view();
    let board = view.board(&event);
    let same = is_known(&headers, &board.etag);
    let mut response = Response::new(if same { Body::empty() } else { Body::from(board.body.clone()) });
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=1, stale-while-revalidate=5"));
    headers.insert(header::ETAG, HeaderValue::from_str(&board.etag).expect("numbers and dashes are a header value"));
    Ok(response)
}

/// Whether whoever asks has what this tag stands for.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|shown| names(shown.as_bytes(), etag.as_bytes()))
}

/// Whether an `If-None-Match` names this tag. A proxy that compresses has made it a weak one, which is good enough (RFC 9110, 13.1.2).
fn names(shown: &[u8], etag: &[u8]) -> bool {
    let mut tags = shown.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
}
