//! The waiting room as people meet it: a real browser before real processes (`e2e/tests/`).

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    built::{self, Profile},
    command::{at_root, cargo, succeed},
    tools::{self, npm},
    worker,
};

/// The file about pages that come from no host.
const PAGES: &str = "page.test.mjs";
/// So many files at once: most of a visit is waiting.
const AT_ONCE: &str = "--test-concurrency=3";
/// How long a whole file may take, milliseconds. Each test has a shorter limit of its own, which says its name.
const LIMIT: &str = "--test-timeout=900000";

/// At the origin's own gate, and what the page does when nobody answers well.
pub fn native() -> Result<()> {
    let scenes = built::target()?.join("e2e/scenes");
    let mut command = cargo(&["run", "--quiet", "--package", "anteroom-page", "--example", "scenes", "--"])?;
    succeed(command.arg(&scenes))?;
    succeed(visits("native")?.env("ANTEROOM_SCENES", scenes).args(files(|_| true)?))
}

/// At the worker on workerd.
pub fn edge() -> Result<()> {
    let bundle = worker::edge()?;
    let mut command = visits("edge")?;
    command.env("ANTEROOM_WORKERD", tools::workerd()?).env("ANTEROOM_EDGE_BUNDLE", bundle.folder);
    succeed(command.args(files(|name| name != PAGES)?))
}

fn visits(host: &str) -> Result<Command> {
    let mut command = at_root("node")?;
    command.args(["--test", "--test-reporter=spec", LIMIT, AT_ONCE]);
    command.env("ANTEROOM_E2E_HOST", host).env("ANTEROOM_SERVER", built::server(Profile::Dev)?);
    command.env("ANTEROOM_E2E_SHOTS", built::target()?.join("e2e/screenshots"));
    Ok(command)
}

/// The files with tests, by name. Named one by one: how Node.js reads a folder or a pattern depends on its version.
fn files(wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let folder = npm::package()?.join("tests");
    let mut files = Vec::new();
    for file in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let name = file?.file_name();
        if name.to_str().is_some_and(|name| name.ends_with(".test.mjs") && wanted(name)) {
            files.push(folder.join(name));
        }
    }
    files.sort();
    Ok(files)
}
