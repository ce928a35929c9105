//! Commands, run at the root of the workspace.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// The root of the workspace.
pub fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("the workspace of xtask")?.to_owned())
}

/// A command at the root, without standard input.
pub fn at_root(program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new(program);
    command.current_dir(root()?).stdin(Stdio::null());
    Ok(command)
}

/// Cargo at the root, with these words.
pub fn cargo(words: &[&str]) -> Result<Command> {
    let mut command = at_root(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))?;
    command.args(words);
    Ok(command)
}

/// Runs it; an unsuccessful end is an error that shows the command.
pub fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", words(command)))?;
    ensure!(status.success(), "{} ended with {status}", words(command));
    Ok(())
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
