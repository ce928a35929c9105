//! The waiting page: what a person sees who is not let in yet, the same at every host.
//!
//! In scope: the scenes of the page in every language, its looks (an operator's title, message, colours, logo or whole
//! template), the headers it goes out with, and the check of an operator's settings for it.
//!
//! Out of scope: who waits and how long (`anteroom-core`), sockets, cookies, clocks, randomness. The nonce and `now` are
//! arguments.
//!
//! ```
//! use anteroom_core::settings::Page;
//! use anteroom_core::units::Millis;
//! use anteroom_page::{Ask, Pages, Scene};
//!
//! let pages = Pages::new();
//! let look = pages.look("lanterns", &Page { title: Some("Night of Lanterns".into()), ..anteroom_core::settings::Settings::default().page });
//! let ask = Ask { to: "/tickets/1?x=2", token: None, languages: &["ko-KR"], nonce: "c2VjcmV0", now: Millis(0), seen: None };
//! let page = pages.render(&look, &Scene::Closed, &ask);
//! assert_eq!(page.status, 200);
//! assert!(page.html.contains("<html lang=\"ko\""));
//! ```

mod bounds;
mod facts;
mod language;
mod look;
mod pages;
mod sample;
mod scene;
mod template;
mod theme;
mod words;

pub use language::accepted;
pub use look::Look;
pub use pages::{Pages, Rendered};
pub use scene::{Ask, Ended, Line, Scene, Seen};
pub use words::Words;
