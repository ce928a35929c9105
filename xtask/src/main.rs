//! Chores of the workspace: `cargo xtask test`, `cargo xtask demo`, `cargo xtask crowd`, `cargo xtask bench`.
//!
//! Kept small and quick to compile, because it is the first thing that is built on a new machine: it runs cargo and the tools of
//! `bench/`, and does nothing itself that they can do.

mod browser;
mod built;
mod command;
mod demo;
mod e2e;
mod steps;
mod suite;
mod tools;
mod worker;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Chores of the Anteroom workspace")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Install what the tests need, then check and test everything.
    Test(suite::Options),
    /// One step of the tests, in this process.
    #[command(hide = true)]
    Step { name: String },
    /// Show the demonstration; with `--edge` behind the worker on workerd.
    Demo(demo::Options),
    /// Run a crowd against a server started for it (embedded, or `--redis`; with `--edge` through the worker on workerd), or against
    /// `--url`.
    #[command(disable_help_flag = true)]
    Crowd {
        /// Passed on to the crowd; `--help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Measure the budgets side by side with a bare server and print the table.
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on to the table; `--help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Test(options) => suite::run(&options),
        Chore::Step { name } => suite::step(&name),
        Chore::Demo(options) => demo::run(&options),
        Chore::Crowd { options } => crowd(&options),
        Chore::Bench { options } => bench(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn crowd(options: &[String]) -> Result<bool> {
    let profile = built::Profile::Release;
    let elsewhere = options.iter().any(|option| {
        matches!(option.as_str(), "--help" | "-h" | "--server")
            || option.starts_with("--url")
            || option.starts_with("--server=")
    });
    let crowd = built::tool("crowd", profile)?;
    let mut command = command::at_root(&crowd)?;
    if !elsewhere {
        if options.iter().any(|option| option == "--redis") {
            tools::apt::ensure(&tools::apt::REDIS)?;
        }
        command.arg("--server").arg(built::server(profile)?);
    }
    // Here it is a switch; the crowd itself is told where things are.
    let through_edge = options.iter().any(|option| option == "--edge");
    if through_edge {
        tools::ensure_workers()?;
        command.arg("--workerd").arg(tools::workerd()?).arg("--edge").arg(worker::edge()?.folder);
    }
    Err(command::become_it(command.args(options.iter().filter(|option| *option != "--edge"))))
}

fn bench(options: &[String]) -> Result<bool> {
    let profile = built::Profile::Release;
    let table = built::tool("table", profile)?;
    let mut command = command::at_root(&table)?;
    if !options.iter().any(|option| matches!(option.as_str(), "--help" | "-h")) {
        tools::apt::ensure(&tools::apt::REDIS)?;
        tools::apt::ensure(&tools::apt::WRK)?;
        command.arg("--server").arg(built::server(profile)?);
        command.arg("--hello").arg(built::tool("hello", profile)?);
        if wants(options, "edge") {
            tools::ensure_workers()?;
            command.arg("--workerd").arg(tools::workerd()?);
            command.arg("--edge").arg(worker::edge()?.folder);
            command.arg("--bare-worker").arg(worker::bare()?.folder);
        }
        if wants(options, "core")
            && let Some(output) = built::core_benches()?
        {
            command.arg("--core-benches").arg(output);
        }
    }
    Err(command::become_it(command.args(options)))
}

/// Whether a part of the table was asked for, by name or with all.
fn wants(options: &[String], part: &str) -> bool {
    let only = |option: &String| option == "--only" || option.starts_with("--only=");
    !options.iter().any(only) || options.iter().any(|option| option.trim_start_matches("--only=") == part)
}
