//! The site behind the gate: connections to it, kept; requests to it, streamed.

use super::{forward, peer, splice};
use crate::config::UpstreamConfig;
use crate::limit::ClientAddresses;
use anteroom_core::code::ErrorCode;
use anteroom_core::gate::{Facts, carry};
use anteroom_core::token::SessionClaims;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, Uri, Version};
use axum::response::Response;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::upgrade::OnUpgrade;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::borrow::Cow;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(15);
/// Most connections that are kept while nobody uses them.
const IDLE_MAX: usize = 256;
/// Silence of a connection after which the system asks whether the other end is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Marks requests that this gate has sent on, so that one which comes back to it is not sent round for ever.
const PASSED_BY: HeaderName = HeaderName::from_static("anteroom-passed-by");

/// See the module's comment.
pub struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Sent>,
    scheme: Scheme,
    authority: Authority,
    first_byte: Duration,
    id: HeaderValue,
}

/// Why the site of the settings cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum BadUpstream {
    /// The file of authorities cannot be used.
    #[error("upstream_ca_file {0}")]
    Authorities(String),
    /// TLS cannot be set up.
    #[error("TLS to the upstream cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The URL has no host.
    #[error("upstream {0:?} is no host to connect to")]
    Url(String),
}

/// An answer of the site.
pub(super) struct Answer {
    /// As it goes to the visitor.
    pub response: Response,
    /// Whether the site said that the visitor is done.
    pub ends_session: bool,
}

impl Upstream {
    /// Prepares to ask the site; connects to nothing yet.
    pub fn new(config: &UpstreamConfig) -> Result<Self, BadUpstream> {
        let no_host = || BadUpstream::Url(config.url.to_string());
        let uri: Uri = config.url.as_str().parse().map_err(|_| no_host())?;
        let (scheme, authority) = uri.scheme().cloned().zip(uri.authority().cloned()).ok_or_else(no_host)?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(config.connect));
        http.set_keepalive(Some(KEEPALIVE));
        let builder = HttpsConnectorBuilder::new();
        let builder = match &config.ca_file {
            Some(path) => builder.with_tls_config(trusting(path)?),
            None if scheme == Scheme::HTTPS => builder.with_platform_verifier(),
            // Never asked anything over TLS: without any authorities the start needs none of the system's.
            None => builder
                .with_tls_config(client_config()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()),
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        let id = HeaderValue::from_str(&format!("{:032x}", fastrand::u128(..))).expect("digits are a header value");
        Ok(Self { client, scheme, authority, first_byte: config.first_byte, id })
    }

    /// Sends a request on and gives the head of the answer; bodies follow in both directions as they come. When the future is
    /// dropped, the request to the site is cancelled.
    ///
    /// `BAD_GATEWAY`: it cannot be reached, or what it says is not HTTP. `GATEWAY_TIMEOUT`: it has the request and does not answer.
    pub(super) async fn ask(
        &self,
        parts: &Parts,
        body: Body,
        facts: &Facts<'_>,
        session: Option<&SessionClaims>,
        addresses: &ClientAddresses,
    ) -> Result<Answer, ErrorCode> {
        if parts.headers.get(PASSED_BY) == Some(&self.id) {
            tracing::error!("upstream leads back to this gate");
            return Err(ErrorCode::BadGateway);
        }
        let visitor = parts.extensions.get::<OnUpgrade>().cloned().filter(|_| facts.upgrade);
        let uri = self.uri(parts, facts)?;
        let mut headers = forward::up(parts, facts, session, peer(parts), addresses, visitor.is_some());
        headers.insert(PASSED_BY, self.id.clone());
        let request = |body: Body| {
            let (sent, progress) = Sent::new(body);
            let mut request = Request::new(sent);
            *request.method_mut() = parts.method.clone();
            *request.version_mut() = Version::HTTP_11;
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers.clone();
            (request, progress)
        };
        let repeatable = parts.method.is_safe() && body.is_end_stream();
        let (first, progress) = request(body);
        let mut answered = self.answered(self.client.request(first), &progress).await;
        // A site may close a connection at the moment in which it is used again. That is no failure of the site's.
        if repeatable && matches!(&answered, Err(Failed::HungUp)) {
            let (again, progress) = request(Body::empty());
            answered = self.answered(self.client.request(again), &progress).await;
        }
        let mut response = answered.map_err(Failed::code)?;
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let ends_session = forward::down(response.headers_mut(), switches);
        match (switches, visitor) {
            (true, Some(visitor)) => splice::splice(visitor, hyper::upgrade::on(&mut response)),
            (true, None) => {
                tracing::warn!("the site speaks another protocol, which nobody has asked it to");
                return Err(ErrorCode::BadGateway);
            }
            _ => {}
        }
        *response.version_mut() = Version::HTTP_11;
        Ok(Answer { response: response.map(Body::new), ends_session })
    }

    /// Waits for the head of the answer for as long as something of the request is still on its way, and for a while after that.
    async fn answered<T, E: std::error::Error + 'static>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
        progress: &Progress,
    ) -> Result<T, Failed> {
        let mut asked = std::pin::pin!(asked);
        loop {
            let left = self.first_byte.saturating_sub(progress.idle());
            match tokio::time::timeout(left.max(Duration::from_millis(1)), &mut asked).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => {
                    tracing::warn!(error = %chain(&error), "the site did not answer");
                    return Err(if hung_up(&error) { Failed::HungUp } else { Failed::Otherwise });
                }
                Err(_) if progress.idle() < self.first_byte => {}
                Err(_) => {
                    tracing::warn!(after_sec = self.first_byte.as_secs(), "the site does not answer in time");
                    return Err(Failed::TooLate);
                }
            }
        }
    }

    fn uri(&self, parts: &Parts, facts: &Facts<'_>) -> Result<Uri, ErrorCode> {
        // Most have nothing of ours in them, and go on exactly as they came.
        let target = match (carry::site_query(facts.query), parts.uri.path_and_query()) {
            (Cow::Borrowed(_), Some(same)) => same.clone(),
            _ => PathAndQuery::try_from(carry::site_target(facts)).map_err(|_| ErrorCode::InvalidRequest)?,
        };
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(target);
        uri.build().map_err(|_| ErrorCode::InvalidRequest)
    }
}

/// Why there is no answer.
enum Failed {
    /// The site closed the connection before it had said anything whole.
    HungUp,
    /// It cannot be reached, or what it says is not HTTP.
    Otherwise,
    /// It has the request and says nothing.
    TooLate,
}

impl Failed {
    fn code(self) -> ErrorCode {
        match self {
            Failed::HungUp | Failed::Otherwise => ErrorCode::BadGateway,
            Failed::TooLate => ErrorCode::GatewayTimeout,
        }
    }
}

fn hung_up(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error
            .downcast_ref::<hyper::Error>()
            .is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
        {
            return true;
        }
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(io, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)) {
            return true;
        }
        next = error.source();
    }
    false
}

fn client_config() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// TLS that trusts the authorities in a file.
fn trusting(path: &std::path::Path) -> Result<ClientConfig, BadUpstream> {
    let wrong = |what: String| BadUpstream::Authorities(format!("{:?} {what}", path.display().to_string()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("is not read: {error}")))?;
    let sections = pem::parse_many(text).map_err(|_| wrong("is not PEM".into()))?;
    let mut roots = RootCertStore::empty();
    for section in sections.into_iter().filter(|section| section.tag() == "CERTIFICATE") {
        let certificate = CertificateDer::from(section.into_contents());
        roots.add(certificate).map_err(|error| wrong(format!("has a certificate that is none: {error}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("has no certificate in it".into()));
    }
    Ok(client_config()?.with_root_certificates(roots).with_no_client_auth())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// How far the sending of a request is.
pub(super) struct Progress {
    start: Instant,
    /// When something was last taken from the visitor, milliseconds after `start`.
    last: AtomicU64,
}

impl Progress {
    /// How long nothing has been on its way.
    fn idle(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    fn note(&self) {
        self.last.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }
}

/// The body of a request, as it passes.
pub(super) struct Sent {
    body: Body,
    progress: Arc<Progress>,
}

impl Sent {
    fn new(body: Body) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress { start: Instant::now(), last: AtomicU64::new(0) });
        (Self { body, progress: progress.clone() }, progress)
    }
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.progress.note();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
