//! The crowd: see [`anteroom_bench::crowd`].

use std::process::ExitCode;

use anteroom_bench::{child::until_stopped, crowd};
use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = crowd::Options::parse();
    match until_stopped(crowd::run(&options)).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crowd: {error:#}");
            ExitCode::from(2)
        }
    }
}
