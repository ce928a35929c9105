//! The table of budgets: see [`anteroom_bench::budget`].

use std::process::ExitCode;

use anteroom_bench::{budget, child::until_stopped};
use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = budget::Options::parse();
    match until_stopped(budget::run(&options)).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("table: {error:#}");
            ExitCode::from(2)
        }
    }
}
