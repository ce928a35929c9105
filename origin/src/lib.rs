//! The Anteroom origin.
