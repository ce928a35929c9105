//! The table: what was measured, the budget, and whether it was met.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use serde_json::json;

use super::{
    benches, edge,
    latency::join_latency,
    load::{Run, Script},
    memory::memory,
    options::{Options, Part},
    redis_use::{joins, polls},
    stage::{Stage, status_paths},
};
use crate::{
    child::{Child, free_address},
    markdown::Table,
    quantile::median,
};

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// The figure, with its unit.
    pub measured: String,
    /// The budget, in words; empty where there is none.
    pub budget: String,
    /// Whether it was met, where there is a budget.
    pub met: Option<bool>,
}

impl Line {
    /// A figure for information.
    pub fn plain(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { what: what.into(), measured: measured.into(), budget: String::new(), met: None }
    }

    /// A figure with a budget.
    pub fn judged(what: impl Into<String>, measured: impl Into<String>, budget: impl Into<String>, met: bool) -> Self {
        Self { what: what.into(), measured: measured.into(), budget: budget.into(), met: Some(met) }
    }
}

/// Measures and prints. `Ok(false)` means that a budget was missed.
pub async fn run(options: &Options) -> Result<bool> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let mut lines = Vec::new();
    for part in Part::value_variants().iter().copied().filter(|&part| options.wants(part)) {
        // One part that cannot be measured must not cost the figures of the others.
        let measured = match measure(part, options, directory).await {
            Ok(measured) => measured,
            Err(error) => vec![Line::judged(format!("{part:?}"), format!("not measured: {error:#}"), "", false)],
        };
        for Line { what, measured, .. } in &measured {
            eprintln!("  {what}: {measured}");
        }
        lines.extend(measured);
    }
    print_table(options, &lines);
    Ok(lines.iter().all(|line| line.met != Some(false)))
}

async fn measure(part: Part, options: &Options, directory: &Path) -> Result<Vec<Line>> {
    match part {
        Part::Ratios => ratios(options, directory).await,
        Part::Redis => redis_use(options, directory).await,
        Part::Memory => memory(options, directory).await,
        Part::Latency => join_latency(options, directory).await,
        Part::Edge => edge::ratio(options, directory).await,
        Part::Core => benches::lines(options.core_benches.as_deref()),
    }
}

fn print_table(options: &Options, lines: &[Line]) {
    let mut table = Table::new(["what", "measured", "budget", "verdict"]);
    for line in lines {
        let verdict = match line.met {
            Some(true) => "pass",
            Some(false) => "MISS",
            None => "",
        };
        table.row([line.what.clone(), line.measured.clone(), line.budget.clone(), verdict.to_owned()]);
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("\n{cores} cores, shared by client, server and Redis; wrk with 1 thread and 64 connections;");
    println!("{} alternating runs of {} s a side.", options.rounds(), options.seconds());
    if options.quick {
        println!("Quick: a tenth of the people, short runs. Not for a report.");
    }
    println!("\n{table}");
}

/// One side of a comparison.
pub struct Side<'a> {
    /// What is sent.
    pub script: &'a Script,
    /// Where to.
    pub url: String,
}

/// Status and join on both stores, each against the bare server.
async fn ratios(options: &Options, directory: &Path) -> Result<Vec<Line>> {
    let address = free_address()?;
    let mut hello = Child::start(&options.hello, [address.to_string()], [("RUST_BACKTRACE", "0")], directory)?;
    hello.listening(address).await?;
    let hello_url = format!("http://{address}");

    let mut lines = Vec::new();
    for (store, on_redis) in [("embedded", false), ("Redis", true)] {
        eprintln!("Requests a second, {store} ...");
        let stage = if on_redis {
            Stage::on_redis(&options.server, directory).await?
        } else {
            Stage::embedded(&options.server, directory).await?
        };
        stage.room("bench", 300).await?;
        let (issued, tokens) = stage.fill("bench", options.million() / 10, 5000, directory).await?;
        // Both sides pick from equally many prepared requests, so that the client works the same for both.
        let status = Script::get_each(directory, "status", &status_paths(&tokens))?;
        let bare = Script::get_each(directory, "bare", &vec!["/".to_owned(); tokens.len()])?;
        let what = format!("status, {store}, {issued} in line");
        let ours = Side { script: &status, url: stage.server.url().to_owned() };
        lines.extend(compare(options, &what, Side { script: &bare, url: hello_url.clone() }, ours, 0.75).await?);

        let join = Script::post(directory, "join", &json!({ "event_id": "bench" }).to_string())?;
        let get = Script::get(directory)?;
        let ours = Side { script: &join, url: format!("{}/api/v1/queue/join", stage.server.url()) };
        let what = format!("join, {store}");
        lines.extend(compare(options, &what, Side { script: &get, url: hello_url.clone() }, ours, 0.45).await?);
        stage.end().await?;
    }
    hello.end().await?;
    Ok(lines)
}

/// Runs both sides in turn; the ratio is the median of the rounds' own ratios.
pub async fn compare(options: &Options, what: &str, bare: Side<'_>, ours: Side<'_>, budget: f64) -> Result<Vec<Line>> {
    ours.script.run(&ours.url, 1).await?;
    bare.script.run(&bare.url, 1).await?;
    let (mut bare_runs, mut our_runs): (Vec<Run>, Vec<Run>) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds() {
        bare_runs.push(bare.script.run(&bare.url, options.seconds()).await?);
        our_runs.push(ours.script.run(&ours.url, options.seconds()).await?);
    }
    let mut ratios: Vec<f64> = our_runs.iter().zip(&bare_runs).map(|(o, b)| o.per_sec() / b.per_sec()).collect();
    let ratio = median(&mut ratios).context("no round was run")?;
    let bad: u64 = our_runs.iter().map(|run| run.bad_statuses + run.socket_errors).sum();
    let figures = |runs: &[Run]| {
        let of = |figure: fn(&Run) -> f64| median(&mut runs.iter().map(figure).collect::<Vec<_>>()).unwrap_or(0.0);
        format!("{:.0}/s, p50 {:.2} ms, p99 {:.2} ms", of(Run::per_sec), of(|run| run.p50_ms), of(|run| run.p99_ms))
    };
    let mut lines = vec![
        Line::plain(format!("bare hello, beside {what}"), figures(&bare_runs)),
        Line::plain(what, figures(&our_runs)),
        Line::judged(
            format!("{what}: ratio"),
            format!("{ratio:.2} ({:.2} to {:.2})", ratios[0], ratios[ratios.len() - 1]),
            format!(">= {budget}"),
            ratio >= budget,
        ),
    ];
    if bad > 0 {
        lines.push(Line::judged(format!("{what}: failed requests"), bad.to_string(), "0", false));
    }
    Ok(lines)
}

async fn redis_use(options: &Options, directory: &Path) -> Result<Vec<Line>> {
    eprintln!("What joins and polls cost Redis ...");
    let stage = Stage::on_redis(&options.server, directory).await?;
    stage.room("bench", 300).await?;
    let mut lines = joins(options, &stage, directory).await?;
    lines.extend(polls(options, &stage, directory).await?);
    stage.end().await?;
    Ok(lines)
}
