//! What a page's form posts: its fields, and that it was one of our pages that posted it.

use crate::error::ApiError;
use anteroom_core::code::ErrorCode;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Uri, header};

/// Longest form, bytes.
const FORM_MAX: usize = 16 * 1024;

/// The fields of a form that one of our own pages has posted. Others are refused: a browser sends our cookies along
/// with what another site makes it post.
pub struct OwnForm(Bytes);

impl OwnForm {
    /// The value of a field, unless it is empty.
    pub fn field(&self, name: &str) -> Option<String> {
        let mut fields = url::form_urlencoded::parse(&self.0);
        fields.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
    }
}

impl<S: Send + Sync> FromRequest<S> for OwnForm {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, ApiError> {
        if !is_own(request.headers(), request.uri()) {
            return Err(ApiError::new(ErrorCode::Forbidden, "The form was posted from another site"));
        }
        let body = axum::body::to_bytes(request.into_body(), FORM_MAX).await;
        body.map(Self).map_err(|_| ApiError::invalid("body", "is longer than a form of ours, or was cut off"))
    }
}

/// Whether a post comes from our own origin, or from no page at all (a program). `SameSite` cookies alone would let in
/// the neighbours: sites on other ports and subdomains.
fn is_own(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| host.is_some_and(|host| origin.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_may_post() {
        let host = ("host", "127.0.0.1:8000");
        for (sent, own) in [
            (vec![host], true),
            (vec![host, ("origin", "http://127.0.0.1:8000")], true),
            (vec![host, ("origin", "http://127.0.0.1:3000")], false),
            (vec![host, ("origin", "https://evil.example")], false),
            (vec![host, ("origin", "null")], false),
            (vec![("origin", "http://127.0.0.1:8000")], false),
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:8000")], false),
        ] {
            let headers = sent.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(is_own(&headers.collect(), &Uri::from_static("/join")), own, "{sent:?}");
        }
    }
}
