//! A crowd in front of a waiting room: who comes when, what each person does, and whether the line was honest.

mod fronted;
mod options;
mod person;
mod report;
mod run;
mod story;
mod verdict;

pub use options::{Options, Shape};
pub use run::run;
