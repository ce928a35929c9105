//! Programs from npm: those of `e2e/package.json`, as its lock file says.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::is_present;
use crate::command::{at_root, root, succeed};

/// The oldest Node.js that runs all of them.
const NODE_LEAST: u32 = 20;

/// The folder of the package that names them.
pub fn package() -> Result<PathBuf> {
    Ok(root()?.join("e2e"))
}

/// The file of an installed package.
pub fn file(path: &str) -> Result<PathBuf> {
    Ok(package()?.join("node_modules").join(path))
}

/// Makes sure that they are installed as the lock file says.
pub fn ensure() -> Result<()> {
    ensure_node()?;
    let package = package()?;
    let lock = fs::read(package.join("package-lock.json")).context("e2e/package-lock.json")?;
    // A copy of the lock file that was installed from: npm's own record of it does not say that the install was completed.
    let stamp = file(".installed")?;
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    println!("installing the npm packages of e2e/");
    let words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
    succeed(at_root("npm")?.args(words).current_dir(&package))?;
    fs::write(&stamp, lock).with_context(|| stamp.display().to_string())
}

fn ensure_node() -> Result<()> {
    if !is_present("node") || !is_present("npm") {
        bail!("Node.js {NODE_LEAST} or later with npm is needed (nodejs.org, or a package of your system)");
    }
    let output = at_root("node")?.arg("--version").output().context("node --version")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    ensure!(major >= Some(NODE_LEAST), "Node.js {NODE_LEAST} or later is needed, and this is {version}");
    Ok(())
}
