//! The configurations of `deploy/proxies`: each real program with its very file, in front of a real origin and a small site. A
//! behaviour is written once, for all of them.
#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

/// Makes each behaviour a test behind every proxy.
macro_rules! behind_every_proxy {
    ($($behaviour:ident),* $(,)?) => {
        behind_every_proxy!(@behind nginx, Nginx, $($behaviour),*);
        behind_every_proxy!(@behind traefik, Traefik, $($behaviour),*);
        behind_every_proxy!(@behind caddy, Caddy, $($behaviour),*);
        behind_every_proxy!(@behind envoy, Envoy, $($behaviour),*);
    };
    (@behind $module:ident, $proxy:ident, $($behaviour:ident),*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $behaviour() {
                    super::$behaviour(crate::proxy::Proxy::$proxy).await;
                }
            )*
        }
    };
}

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

#[path = "../gate/echo.rs"]
#[allow(dead_code, reason = "the suite of the gate uses the rest")]
mod echo;
#[path = "../gate/house.rs"]
#[allow(dead_code, reason = "the suite of the gate uses the rest")]
mod house;
#[path = "../gate/shop.rs"]
#[allow(dead_code, reason = "the suite of the gate uses the rest")]
mod shop;

mod caddy;
mod envoy;
mod nginx;
mod proxy;
mod traefik;

mod hostile;
mod https;
mod methods;
mod outage;
mod programs;
mod visits;
