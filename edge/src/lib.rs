//! Anteroom on Workers and workerd.
