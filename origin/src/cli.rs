//! The `anteroom` command.

mod rooms;
mod token;

use crate::config::{Config, Variables};
use crate::demo::DemoOptions;
use clap::{Args, Parser, Subcommand};
use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

/// A virtual waiting room: lets in as many people as the site can take, and keeps everyone else in an honest line.
#[derive(Debug, Parser)]
#[command(name = "anteroom", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole thing at work: embedded store, a demo room, the gate in front of a small shop. Needs nothing installed
    Demo(DemoArgs),
    /// Run the server
    Serve(ServeArgs),
    /// Create, list, change and steer rooms of a running server
    Rooms(rooms::RoomsArgs),
    /// Mint keys and secrets, look into tokens
    Token(token::TokenArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// TOML file of settings; ANTEROOM_ variables win over it
    #[arg(long, env = "ANTEROOM_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The site to stand in front of, such as http://127.0.0.1:3000; the same as ANTEROOM_UPSTREAM
    #[arg(long, value_name = "URL", env = "ANTEROOM_UPSTREAM")]
    upstream: Option<String>,
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How many simulated people stand in line
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    people: u32,
    /// No simulated people: the first one to come is let in at once
    #[arg(long, conflicts_with = "people")]
    no_crowd: bool,
    /// Where the shop behind the gate listens; port 0 = any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    shop: SocketAddr,
}

/// Why a command failed, in words for the person who gave it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl Failure {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = &mut std::io::stdout();
    let result = match cli.command {
        Command::Demo(args) => {
            let people = NonZeroU32::new(if args.no_crowd { 0 } else { args.people });
            let options = DemoOptions { people, shop: args.shop };
            start(&args.config, None, Config::demo, |config, traced| crate::demo(config, traced, options))
        }
        Command::Serve(args) => start(&args.config, args.upstream, Config::load, crate::serve),
        Command::Rooms(args) => block_on(rooms::run(args, out)),
        Command::Token(args) => token::run(args, out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            eprintln!("anteroom: {text}");
            ExitCode::FAILURE
        }
    }
}

type Load = fn(Option<&std::path::Path>, &Variables) -> Result<Config, crate::config::Problems>;

fn start<F>(
    args: &ConfigArgs,
    upstream: Option<String>,
    load: Load,
    run: impl FnOnce(Config, bool) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), crate::server::ServeError>>,
{
    // Names and values that are not UTF-8 are no settings of ours.
    let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let mut variables: Variables = variables.collect();
    variables.extend(upstream.map(|upstream| ("ANTEROOM_UPSTREAM".to_owned(), upstream)));
    let config = load(args.config.as_deref(), &variables).map_err(Failure::of)?;
    let telemetry = crate::telemetry::start(&config.server.log).map_err(Failure::of)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let result = block_on(async { run(config, telemetry.exports_spans()).await.map_err(Failure::of) });
    telemetry.finish();
    result
}

fn block_on(future: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Runtime::new().map_err(Failure::of)?.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
