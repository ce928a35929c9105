//! The Anteroom origin.

pub mod store;
