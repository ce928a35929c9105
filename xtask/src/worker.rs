//! Workers made out of crates: what runs on Cloudflare and on workerd.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    command::{at_root, root, succeed},
    tools,
};

/// A worker that was built: `index.js` and `index_bg.wasm` in one folder.
#[derive(Debug)]
pub struct Bundle {
    /// The folder.
    pub folder: PathBuf,
    /// Size of both files after `gzip -9`, bytes.
    pub gzipped: u64,
}

/// Builds the edge into `edge/build`, where `wrangler.toml` expects it.
pub fn edge() -> Result<Bundle> {
    build("edge")
}

/// Builds the worker that the edge is compared with.
pub fn bare() -> Result<Bundle> {
    build("bench/bare-worker")
}

/// The size of some files together after `gzip -9`, bytes.
pub fn gzipped(files: &[impl AsRef<Path>]) -> Result<u64> {
    let mut sum = 0;
    for file in files.iter().map(AsRef::as_ref) {
        let output = at_root("gzip")?.args(["-9", "--stdout"]).arg(file).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "gzip {}: {}", file.display(), output.status);
        sum += output.stdout.len() as u64;
    }
    Ok(sum)
}

fn build(package: &str) -> Result<Bundle> {
    let mut command = at_root("worker-build")?;
    succeed(tools::equip(command.args([package, "--profile", "wasm"]))?)
        .context("is everything there? cargo xtask test --only tools")?;
    let folder = root()?.join(package).join("build");
    let files = ["index.js", "index_bg.wasm"].map(|file| folder.join(file));
    let gzipped = gzipped(&files)?;
    println!("{package}: {:.1} KB gzipped", gzipped as f64 / 1000.0);
    Ok(Bundle { folder, gzipped })
}
