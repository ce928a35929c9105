//! The budgets, measured side by side with a bare server on one machine, client included.

mod benches;
mod edge;
mod latency;
mod load;
mod memory;
mod options;
mod redis_use;
mod stage;
mod table;

pub use options::Options;
pub use table::run;
