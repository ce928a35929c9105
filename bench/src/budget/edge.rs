//! The edge on workerd against a worker that only says hello, both on the same workerd.

use std::path::Path;

use anyhow::Result;

use super::{
    load::Script,
    options::Options,
    stage::{Stage, status_paths},
    table::{Line, Side, compare},
};
use crate::edge::start;

/// Different tokens that are asked about.
const TOKENS: usize = 5_000;

/// What the comparison runs on.
#[derive(Debug)]
struct Workers<'a> {
    workerd: &'a Path,
    edge: &'a Path,
    bare: &'a Path,
}

/// The ratio, or why there is none.
pub async fn ratio(options: &Options, directory: &Path) -> Result<Vec<Line>> {
    let (Some(workerd), Some(edge), Some(bare)) = (&options.workerd, &options.edge, &options.bare_worker) else {
        return Ok(vec![Line::plain("status at the edge", "not measured: no workers given")]);
    };
    let workers = Workers { workerd, edge, bare };
    eprintln!("Requests a second at the edge ...");
    let stage = Stage::embedded(&options.server, directory).await?;
    stage.room("bench", 300).await?;
    let tokens = stage.join("bench", TOKENS).await?;
    let (edge, edge_url) = start(workers.workerd, workers.edge, &stage.server, directory).await?;
    let (bare, bare_url) = start(workers.workerd, workers.bare, &stage.server, directory).await?;

    let status = Script::get_each(directory, "edge-status", &status_paths(&tokens))?;
    let hello = Script::get_each(directory, "edge-bare", &vec!["/".to_owned(); tokens.len()])?;
    let ours = Side { script: &status, url: edge_url };
    let bare_side = Side { script: &hello, url: bare_url };
    let what = format!("status at the edge on workerd, {TOKENS} in line");
    // Once over all tokens first: the first poll of each is passed on to the origin.
    ours.script.run(&ours.url, options.seconds()).await?;
    let lines = compare(options, &what, bare_side, ours, 0.75).await?;
    edge.end().await?;
    bare.end().await?;
    stage.end().await?;
    Ok(lines)
}
