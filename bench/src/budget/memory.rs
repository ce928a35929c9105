//! Bytes of Redis for each anonymous person in line, heartbeats included.

use std::path::Path;

use anyhow::Result;

use super::{
    load::Script,
    options::Options,
    stage::{Stage, status_paths},
    table::Line,
};

/// Fills a line, lets people from all over it poll until every bitmap of the heartbeat ring has been written to its end, and
/// divides what Redis uses by the number of people.
pub async fn memory(options: &Options, directory: &Path) -> Result<Vec<Line>> {
    let people = options.million();
    eprintln!("Memory with {people} in line ...");
    let stage = Stage::on_redis(&options.server, directory).await?;
    stage.room("bench", options.heartbeat_sec()).await?;
    // Scripts, connections and the room itself are there before counting begins.
    stage.join("bench", 1000).await?;
    let redis = stage.redis()?;
    let before = redis.used_memory().await?;
    let (issued, tokens) = stage.fill("bench", people, 5000, directory).await?;
    let filled = redis.used_memory().await?;

    eprintln!("  heartbeats ...");
    let polls = Script::get_each(directory, "heartbeats", &status_paths(&tokens))?;
    let begun = tokio::time::Instant::now();
    let ring = options.heartbeat_sec() * 3 / 2;
    while begun.elapsed().as_secs() < ring {
        polls.run(stage.server.url(), 1).await?;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }
    let after = redis.used_memory().await?;
    let keys = redis.key_sizes("anteroom:{bench}:*").await?;
    for (key, bytes) in &keys {
        eprintln!("  {key}: {bytes} bytes");
    }
    let each = |bytes: u64| bytes as f64 / issued as f64;
    let by_keys = each(keys.values().sum());
    let by_total = each(after.saturating_sub(before));
    let worse = by_keys.max(by_total);
    stage.end().await?;
    Ok(vec![
        Line::plain(
            format!("used_memory for each of {issued}, before heartbeats"),
            bytes(each(filled.saturating_sub(before))),
        ),
        Line::plain("the same, with heartbeats", bytes(by_total)),
        Line::plain("keys of the room, MEMORY USAGE", bytes(by_keys)),
        Line::judged(format!("Redis memory a waiting person, at {people}"), bytes(worse), "<= 2 bytes", worse <= 2.0),
    ])
}

fn bytes(n: f64) -> String {
    format!("{n:.3} bytes")
}
