//! The gate: what becomes of a request to a guarded site.
//!
//! Every host does the same steps, and only carries between them:
//!
//! 1. [`Own::of`]: is the address one of the gate's own?
//! 2. [`Facts`] of the request, and [`Gate::route`]: which room guards it, if any.
//! 3. [`Shown`] and [`Visitor::verify`]: which session or place it proves.
//! 4. Where there is a place, its standing, from the board or the line: [`Place`].
//! 5. [`decide`]: an [`Outcome`]. The host passes the request on, shows a [`Scene`], or gives a place or takes a turn and asks
//!    [`after_join`] or [`after_enter`] what follows.
//!
//! [`carry`] says which headers, cookies and parameters go to the site and back.
//!
//! Everything here is total: no bytes from outside panic, and none pass that should not. What costs more than a look through the
//! request says so.

pub mod accept;
pub mod carry;
pub mod check;
mod decide;
mod own;
mod path;
mod request;
mod rooms;
mod shown;
pub mod told;

pub use decide::{
    CLOSED_RETRY_SEC, Ended, GRACE_MS, HELD_RETRY_SEC, Known, OPEN_AFTER_MS, Outcome, Passage, Place, Scene,
    after_enter, after_join, decide,
};
pub use own::{FORM_MAX, Form, Own, escaped, way_back, way_back_of, with_ours, with_parameter};
pub use path::{PATH_MAX, Pattern, Readings};
pub use request::{Client, Facts, Reads};
pub use rooms::{Gate, GuardedRoom, Route, problems};
#[cfg(feature = "signatures")]
pub use shown::Visitor;
pub use shown::{SESSION_COOKIE, Shown, TOKEN_PARAMETER, WAIT_COOKIE, cookie_name, cookies};
