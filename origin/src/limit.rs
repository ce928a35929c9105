//! The rate limit for each client, and how clients are told apart.
//!
//! The address of a client is that of its socket, unless the socket is of a trusted proxy: then it is the right-most hop
//! of `X-Forwarded-For` that is not such a proxy. What stands left of it was written by the client and counts for nothing.

use crate::config::{ClientConfig, RateConfig};
use crate::error::ApiError;
use crate::metrics::Metrics;
use anteroom_core::units::Identity;
use axum::http::{HeaderMap, HeaderName};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Time between the sweeps that forget clients which have all their allowance again.
const SWEEP: Duration = Duration::from_secs(5);

/// Finds the addresses of clients.
#[derive(Clone, Debug, Default)]
pub struct ClientAddresses {
    trusted: Vec<IpNet>,
}

impl ClientAddresses {
    /// Believes `X-Forwarded-For` from proxies in these networks.
    pub fn new(config: &ClientConfig) -> Self {
        Self { trusted: config.trusted_proxies.clone() }
    }

    /// Whether `peer` is a proxy whose word counts.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&peer.to_canonical()))
    }

    /// The address of the client behind `peer`.
    pub fn find(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.trusted.is_empty() {
            return client;
        }
        let values = headers.get_all(X_FORWARDED_FOR).into_iter();
        let mut hops = values.rev().flat_map(|value| value.as_bytes().rsplit(|b| *b == b','));
        while self.trusted.iter().any(|net| net.contains(&client)) {
            // At a hop that is no address, the proxy that wrote it is all we know.
            match hops.next().and_then(parse_hop) {
                Some(hop) => client = hop,
                None => break,
            }
        }
        client
    }
}

/// An address, with or without port, IPv6 with or without brackets.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    V4([u8; 4]),
    /// The first 64 bits: what a single customer is given.
    V6([u8; 8]),
    /// A keyed hash, so that the table holds no names and every entry has the same size.
    Identity(u64),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

type Buckets<C> = RateLimiter<Client, DashMapStateStore<Client>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Lets each client make so many requests a second. Its memory is bounded by the requests of the last few seconds.
pub struct Limiter<C: Clock = DefaultClock> {
    buckets: Buckets<C>,
    clock: C,
    hasher: RandomState,
    dropped_address: Counter,
    dropped_identity: Counter,
}

impl Limiter {
    /// A limiter that counts what it refuses.
    pub fn new(rate: RateConfig, metrics: &Metrics) -> Self {
        Self::with_clock(rate, metrics, DefaultClock::default())
    }

    /// Forgets idle clients now and then, for ever. The host spawns this and aborts it when it stops.
    pub async fn keep_small(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.forget_idle();
        }
    }
}

impl<C: Clock + Clone> Limiter<C> {
    /// As [`Limiter::new`], with a clock of the caller's.
    pub fn with_clock(rate: RateConfig, metrics: &Metrics, clock: C) -> Self {
        let quota = Quota::per_second(rate.per_sec).allow_burst(rate.burst);
        Self {
            buckets: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            clock,
            hasher: RandomState::new(),
            dropped_address: metrics.rate_limited("address"),
            dropped_identity: metrics.rate_limited("identity"),
        }
    }

    /// Counts a request from an address, or refuses it.
    pub fn check_address(&self, address: IpAddr) -> Result<(), ApiError> {
        self.check(address.into(), &self.dropped_address)
    }

    /// Counts a request by somebody known, or refuses it.
    pub fn check_identity(&self, identity: &Identity) -> Result<(), ApiError> {
        self.check(Client::Identity(self.hasher.hash_one(identity.as_str())), &self.dropped_identity)
    }

    fn check(&self, client: Client, dropped: &Counter) -> Result<(), ApiError> {
        self.buckets.check_key(&client).map_err(|not_until| {
            dropped.inc();
            let wait = not_until.wait_time_from(self.clock.now());
            ApiError::rate_limited(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
        })
    }

    /// Forgets clients that have all their allowance again: a new entry for them would say the same.
    pub fn forget_idle(&self) {
        self.buckets.retain_recent();
        if self.buckets.len() < 1024 {
            self.buckets.shrink_to_fit();
        }
    }

    /// How many clients are remembered.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether no client is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse;
    use governor::clock::FakeRelativeClock;
    use std::num::NonZeroU32;

    fn rate(per_sec: u32, burst: u32) -> RateConfig {
        RateConfig { per_sec: NonZeroU32::new(per_sec).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
    }

    fn limiter(per_sec: u32, burst: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limiter::with_clock(rate(per_sec, burst), &Metrics::new(), clock.clone()), clock)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn hole_6_steady_traffic_gets_its_rate_however_often_it_asks() {
        for every_micros in [100, 1_000, 7_000, 19_999] {
            let (limiter, clock) = limiter(50, 100);
            let (mut allowed, asked) = (0, 20_000_000 / every_micros);
            for _ in 0..asked {
                allowed += u64::from(limiter.check_address(ip("192.0.2.1")).is_ok());
                clock.advance(Duration::from_micros(every_micros));
            }
            let due = asked.min(20 * 50 + 100);
            assert!((due - 2..=due).contains(&allowed), "{allowed} of {asked} passed, {due} are due");
        }
        let (limiter, clock) = limiter(50, 1);
        for _ in 0..1_000 {
            assert!(limiter.check_address(ip("192.0.2.1")).is_ok(), "traffic at exactly the rate always passes");
            clock.advance(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_refusal_says_when_and_it_is_true() {
        let (limiter, clock) = limiter(1, 2);
        let client = ip("192.0.2.1");
        assert!(limiter.check_address(client).is_ok() && limiter.check_address(client).is_ok());
        let refused = limiter.check_address(client).unwrap_err().into_response();
        assert_eq!(refused.headers()[RETRY_AFTER], "1");
        assert!(limiter.check_address(ip("192.0.2.2")).is_ok(), "others are not concerned");
        clock.advance(Duration::from_secs(1));
        assert!(limiter.check_address(client).is_ok());
        assert_eq!(limiter.dropped_address.get(), 1);
    }

    #[test]
    fn clients_are_told_apart_by_what_they_cannot_choose() {
        let (limiter, _) = limiter(1, 1);
        let identity = |text| Identity::parse(text).unwrap();
        for (address, allowed) in [
            ("2001:db8:1:2::1", true),
            ("2001:db8:1:2:ffff::9", false),
            ("2001:db8:1:3::1", true),
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
        ] {
            assert_eq!(limiter.check_address(ip(address)).is_ok(), allowed, "{address}");
        }
        assert!(limiter.check_identity(&identity("ann")).is_ok());
        assert!(limiter.check_identity(&identity("ann")).is_err());
        assert!(limiter.check_identity(&identity("bob")).is_ok());
    }

    #[test]
    fn hole_6_a_lying_x_forwarded_for_changes_nothing() {
        let addresses = |trusted: &str| ClientAddresses {
            trusted: trusted.split(' ').filter(|net| !net.is_empty()).map(|net| net.parse().unwrap()).collect(),
        };
        let proxies = "10.0.0.0/8 fd00::/8";
        for (trusted, peer, forwarded, want) in [
            ("", "192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            (proxies, "192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            (proxies, "10.0.0.1", &[], "10.0.0.1"),
            (proxies, "10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            (proxies, "10.0.0.1", &["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
            (proxies, "10.0.0.1", &["1.2.3.4", "198.51.100.7"], "198.51.100.7"),
            (proxies, "10.0.0.1", &["10.9.9.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            (proxies, "10.0.0.1", &["198.51.100.7,10.0.0.3", "10.0.0.2"], "198.51.100.7"),
            (proxies, "10.0.0.1", &["10.0.0.3"], "10.0.0.3"),
            (proxies, "10.0.0.1", &["1.2.3.4, unknown"], "10.0.0.1"),
            (proxies, "10.0.0.1", &["1.2.3.4, , 10.0.0.2"], "10.0.0.2"),
            (proxies, "10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            (proxies, "fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            (proxies, "::ffff:10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(X_FORWARDED_FOR, value.parse().unwrap());
            }
            assert_eq!(addresses(trusted).find(ip(peer), &headers), ip(want), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn idle_clients_are_forgotten_and_busy_ones_are_not() {
        let (limiter, clock) = limiter(50, 100);
        for n in 0..10_000_u32 {
            assert!(limiter.check_address(IpAddr::from(n.to_be_bytes())).is_ok());
        }
        clock.advance(Duration::from_millis(500));
        let busy = ip("192.0.2.1");
        for _ in 0..100 {
            assert!(limiter.check_address(busy).is_ok());
        }
        limiter.forget_idle();
        assert_eq!(limiter.len(), 1);
        assert!(limiter.check_address(busy).is_err());
    }
}
