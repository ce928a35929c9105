//! How long a join takes with few and with many in line.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;

use super::{options::Options, stage::Stage, table::Line};
use crate::{
    client::{Ask, Client},
    quantile::{median, quantile},
};

/// People who join at the same time.
const LANES: usize = 8;
/// Joins of each lane in one measurement, so that a line of a thousand does not grow much.
const JOINS: usize = 125;

/// Middle and 99th percentile, in milliseconds.
struct Latency {
    p50: f64,
    p99: f64,
}

/// Few, many, few again: what the machine does meanwhile shows as a difference between the two short lines.
///
/// The servers run one after the other, because the ticks of a long line would slow its neighbour too, and hide the difference.
pub async fn join_latency(options: &Options, directory: &Path) -> Result<Vec<Line>> {
    eprintln!("Join latency ...");
    let rounds = options.rounds() * 4;
    let first = short_lines(options, rounds, directory).await?;
    let (long, people) = long_line(options, rounds, directory).await?;
    let second = short_lines(options, rounds, directory).await?;
    let short = f64::midpoint(first.p50, second.p50);
    let ratio = long.p50 / short;
    let figures = |latency: &Latency| format!("p50 {:.3} ms, p99 {:.3} ms", latency.p50, latency.p99);
    Ok(vec![
        Line::plain("join at 1,000 in line, before", figures(&first)),
        Line::plain("join at 1,000 in line, after", figures(&second)),
        Line::plain(format!("join at {people} in line"), figures(&long)),
        Line::judged("join latency, long line against short (p50)", format!("{ratio:.2}x"), "<= 1.1x", ratio <= 1.1),
        Line::plain("the same for p99", format!("{:.2}x", long.p99 / f64::midpoint(first.p99, second.p99))),
    ])
}

/// A new room of a thousand for every round.
async fn short_lines(options: &Options, rounds: usize, directory: &Path) -> Result<Latency> {
    let stage = Stage::on_redis(&options.server, directory).await?;
    let mut samples = Vec::new();
    for round in 0..rounds {
        let event = format!("short-{round}");
        stage.room(&event, 300).await?;
        stage.join(&event, 1000).await?;
        samples.push(measure(&stage, &event).await?);
    }
    stage.end().await?;
    over_rounds(&samples)
}

async fn long_line(options: &Options, rounds: usize, directory: &Path) -> Result<(Latency, u64)> {
    let stage = Stage::on_redis(&options.server, directory).await?;
    stage.room("long", 300).await?;
    let (issued, _) = stage.fill("long", options.long_line(), 0, directory).await?;
    let mut samples = Vec::new();
    for _ in 0..rounds {
        samples.push(measure(&stage, "long").await?);
    }
    stage.end().await?;
    Ok((over_rounds(&samples)?, issued))
}

/// Medians over the rounds, so that one disturbed round does not decide.
fn over_rounds(samples: &[Latency]) -> Result<Latency> {
    let of = |figure: fn(&Latency) -> f64| {
        median(&mut samples.iter().map(figure).collect::<Vec<_>>()).context("no round was run")
    };
    Ok(Latency { p50: of(|latency| latency.p50)?, p99: of(|latency| latency.p99)? })
}

async fn measure(stage: &Stage, event: &str) -> Result<Latency> {
    let client = Arc::new(Client::new(stage.server.url(), LANES)?);
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (client, body) = (client.clone(), json!({ "event_id": event }));
        lanes.spawn(async move {
            let mut took = Vec::with_capacity(JOINS);
            for join in 0..JOINS + 10 {
                let answer = client.send(Ask::post("/api/v1/queue/join", &body)).await?;
                ensure!(answer.status == 202, "join: {}", answer.code());
                // The first ones open the connection.
                if join >= 10 {
                    took.push(answer.took.as_secs_f64() * 1e3);
                }
            }
            Ok(took)
        });
    }
    let mut all = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        all.extend(lane??);
    }
    let p50 = quantile(&mut all, 0.5).context("no join")?;
    let p99 = quantile(&mut all, 0.99).context("no join")?;
    Ok(Latency { p50, p99 })
}
