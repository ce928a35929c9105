//! Commands that reach Redis for joins and for polls.

use std::{path::Path, time::Duration};

use anyhow::Result;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    load::{CONNECTIONS, Script},
    options::Options,
    stage::{Stage, status_paths},
    table::Line,
};
use crate::redis::{all_calls, script_calls};

/// Script calls for each join while 64 clients join. Ticks are not taken off: the figure is what Redis really gets.
pub async fn joins(options: &Options, stage: &Stage, directory: &Path) -> Result<Vec<Line>> {
    let join = Script::post(directory, "join", &json!({ "event_id": "bench" }).to_string())?;
    let url = format!("{}/api/v1/queue/join", stage.server.url());
    join.run(&url, 1).await?;
    let before = stage.redis()?.command_counts().await?;
    let run = join.run(&url, options.seconds() * 2).await?;
    let after = stage.redis()?.command_counts().await?;
    let calls = (script_calls(&after) - script_calls(&before)) as f64 / run.requests();
    Ok(vec![Line::judged(
        format!("script calls to Redis per join, {CONNECTIONS} clients"),
        format!("{calls:.4} ({:.0} joins/s)", run.per_sec()),
        "<= 0.1",
        calls <= 0.1,
    )])
}

/// Commands for each poll: those of a time with polls, less those of an idle time as long.
pub async fn polls(options: &Options, stage: &Stage, directory: &Path) -> Result<Vec<Line>> {
    let tokens = stage.join("bench", 5000).await?;
    let script = Script::get_each(directory, "status", &status_paths(&tokens))?;
    sleep(Duration::from_secs(2)).await;
    let seconds = options.seconds() * 2;

    let (before, begun) = (stage.redis()?.command_counts().await?, Instant::now());
    sleep(Duration::from_secs(seconds)).await;
    let idle = per_sec(&before, &stage.redis()?.command_counts().await?, begun);

    let (before, begun) = (stage.redis()?.command_counts().await?, Instant::now());
    let run = script.run(stage.server.url(), seconds).await?;
    let busy = per_sec(&before, &stage.redis()?.command_counts().await?, begun);

    let extra = busy - idle;
    let per_poll = extra.max(0.0) / run.per_sec();
    // Heartbeats are merged with a few commands a second whatever the number of polls.
    let met = extra <= 50.0 && run.bad_statuses == 0;
    Ok(vec![
        Line::plain("commands to Redis, idle", format!("{idle:.1}/s")),
        Line::judged(
            format!("commands to Redis for {:.0} polls/s, above idle", run.per_sec()),
            format!("{extra:.1}/s = {per_poll:.6} a poll"),
            "0 a poll",
            met,
        ),
    ])
}

type Counts = std::collections::BTreeMap<String, u64>;

fn per_sec(before: &Counts, after: &Counts, begun: Instant) -> f64 {
    (all_calls(after) - all_calls(before)) as f64 / begun.elapsed().as_secs_f64()
}
