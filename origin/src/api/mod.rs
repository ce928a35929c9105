//! The HTTP API: the whole URL map on one screen, what its handlers share, and who a caller is.

mod admin;
mod board;
pub(crate) mod edge;
mod issue;
pub(crate) mod passes;
pub(crate) mod queue;
pub(crate) mod shown;

use crate::config::UnknownRooms;
use crate::error::ApiError;
use crate::identity::{UserTokens, bearer};
use crate::limit::Limiter;
use crate::metrics::Metrics;
use crate::pass::PassKeys;
use crate::room::{Found, Room, Rooms};
use crate::secret::Secret;
use crate::store::StoreError;
use anteroom_core::code::ErrorCode;
use anteroom_core::relay;
use anteroom_core::token::TokenKeys;
use anteroom_core::units::{EventId, Identity};
use anteroom_page::Pages;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;
use std::sync::Arc;

/// Shown by an edge, so that it may say who a caller is.
pub const EDGE_TOKEN: HeaderName = HeaderName::from_static("anteroom-edge-token");

/// What all handlers share.
pub struct App {
    /// The rooms.
    pub rooms: Arc<Rooms>,
    /// For waiting tokens.
    pub keys: TokenKeys,
    /// For passes.
    pub passes: PassKeys,
    /// Whose user tokens are believed.
    pub users: Option<Arc<UserTokens>>,
    /// The operator's bearer token; absent: no admin API.
    pub admin: Option<Secret>,
    /// The bearer token of edges; absent: none is believed.
    pub edge: Option<Secret>,
    /// The rate limit; absent: none.
    pub limiter: Option<Arc<Limiter>>,
    /// What a join for an unknown event does.
    pub unknown: UnknownRooms,
    /// Sites whose pages may use the public API.
    pub cors_origins: Vec<String>,
    /// The waiting page.
    pub pages: Pages,
    /// Everything counted.
    pub metrics: Arc<Metrics>,
}

/// The routes that people and backends use.
pub fn public(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/v1/queue/join", post(queue::join))
        .route("/api/v1/queue/status", get(queue::status))
        .route("/api/v1/queue/enter", post(queue::enter))
        .route("/api/v1/queue/leave", post(queue::leave).delete(queue::leave))
        .route("/api/v1/queue/board", get(board::show))
        .route("/api/v1/passes/verify", post(passes::verify))
        .route("/api/v1/sessions/end", post(passes::end_session))
        .route("/.well-known/jwks.json", get(passes::jwks))
        .route("/api/v1/.well-known/jwks.json", get(passes::jwks))
        .with_state(app)
}

/// The routes that operators use.
pub fn admin(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/v1/admin/rooms", get(admin::list))
        .route("/api/v1/admin/rooms/{event_id}", get(admin::show).put(admin::put).delete(admin::delete))
        .route("/api/v1/admin/rooms/{event_id}/stats", get(admin::stats))
        .route("/api/v1/admin/rooms/{event_id}/call", post(admin::call))
        .route("/api/v1/admin/rooms/{event_id}/sweep", post(admin::sweep))
        .route("/api/v1/admin/rooms/{event_id}/reset", post(admin::reset))
        .route("/api/v1/admin/rooms/{event_id}/feedback", post(admin::feedback))
        .layer(axum::middleware::from_fn_with_state(app.clone(), admin::guard))
        .with_state(app)
}

/// The routes that edges use.
pub fn edges(app: Arc<App>) -> Router {
    Router::new()
        .route(relay::ROOMS_PATH, get(edge::rooms))
        .route(relay::REPORTS_PATH, post(edge::reports))
        .layer(axum::middleware::from_fn_with_state(app.clone(), edge::guard))
        .with_state(app)
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// An edge: it vouches for its visitor, who has proved nothing.
    Edge,
    /// The bearer of a believed user token.
    User(Identity),
}

impl App {
    /// Who the request is from. A bearer token that is wrong is refused where user tokens are believed, and means nothing where not. An
    /// edge hands on what its visitor shows, which may be the site's own business.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let shown = headers.get(EDGE_TOKEN).and_then(|value| value.to_str().ok());
        if let Some(shown) = shown {
            let edge = self.edge.as_ref().is_some_and(|edge| edge.matches(shown));
            if !edge {
                return Err(ApiError::unauthenticated());
            }
            return Ok(self.user(headers).await.map_or(Caller::Edge, Caller::User));
        }
        match (&self.users, bearer(headers)) {
            (Some(users), Some(token)) => match users.verify(token).await {
                Ok(identity) => {
                    // Somebody known is limited wherever the requests come from.
                    self.limiter.as_ref().map_or(Ok(()), |limiter| limiter.check_identity(&identity))?;
                    Ok(Caller::User(identity))
                }
                Err(error @ crate::identity::UserTokenError::KeysUnavailable) => Err(ApiError::unavailable(error)),
                Err(_) => Err(ApiError::unauthenticated()),
            },
            _ => Ok(Caller::Anonymous),
        }
    }

    /// Who a request at a gate is from, if it proves that. Its `Authorization` may be the site's own business: what is not believed
    /// is nobody's fault.
    pub(crate) async fn user(&self, headers: &HeaderMap) -> Option<Identity> {
        let (users, token) = (self.users.as_ref()?, bearer(headers)?);
        users.verify(token).await.ok()
    }

    /// The room of an event.
    pub(crate) async fn room(&self, event: &EventId) -> Result<Arc<Room>, ApiError> {
        match self.rooms.find(event).await? {
            Found::Room(room) => Ok(room),
            Found::None => Err(no_room()),
        }
    }
}

/// `EVENT_NOT_FOUND`.
pub(crate) fn no_room() -> ApiError {
    ApiError::new(ErrorCode::EventNotFound, "There is no waiting room for this event")
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => ApiError::unavailable(error),
            StoreError::Broken(_) => ApiError::internal(error),
        }
    }
}

/// A JSON answer that is somebody's own: never cached.
pub(crate) fn personal(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("answers are structures of texts and numbers");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
