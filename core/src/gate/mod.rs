//! The gate: what becomes of a request to a guarded site.
//!
//! Every host does the same steps, and only carries between them:
//!
//! 1. [`Own::of`]: is the address one of the gate's own?
//! 2. [`Facts`] of the request, and [`Gate::route`]: which room guards it, if any.
//! 3. [`Shown`] and [`Visitor`]: which session or place it proves.
//! 4. [`Visit`]: what to do next, until the request goes to the site or a [`Scene`] is shown.
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
mod visit;

pub use decide::{CLOSED_RETRY_SEC, Ended, GRACE_MS, HELD_RETRY_SEC, Known, OPEN_AFTER_MS, Passage, Place, Scene};
pub use own::{FORM_MAX, Form, Own, escaped, way_back, way_back_of, with_ours, with_parameter};
pub use path::{PATH_MAX, Pattern, Readings};
pub use request::{Client, Facts, Reads};
pub use rooms::{Gate, GuardedRoom, Route, problems};
#[cfg(feature = "signatures")]
pub use shown::waiting_token;
pub use shown::{
    News, SESSION_COOKIE, Shown, TOKEN_PARAMETER, Visitor, WAIT_COOKIE, bearer, bearer_jwt, cookie_name, cookies,
};
pub use visit::{End, Given, Passed, Step, Visit};
