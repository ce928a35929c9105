//! What cargo built, and where it is.

use std::{env, fs::File, path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::command::{cargo, succeed};

/// With or without optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build.
    Dev,
    /// Quick to run.
    Release,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Builds the server.
pub fn server(profile: Profile) -> Result<PathBuf> {
    build("anteroom-origin", "anteroom", profile)
}

/// Builds one of the tools of `bench/`.
pub fn tool(name: &str, profile: Profile) -> Result<PathBuf> {
    build("anteroom-bench", name, profile)
}

/// Runs the benches of core, showing what they print; answers the file that keeps it, or `None` when they did not run.
pub fn core_benches() -> Result<Option<PathBuf>> {
    println!("Benches of core ...");
    let path = target()?.join("core-benches.txt");
    let mut command = cargo(&["bench", "--quiet", "--package", "anteroom-core"])?;
    let status = command.stdout(Stdio::from(File::create(&path)?)).status()?;
    print!("{}", std::fs::read_to_string(&path)?);
    Ok(status.success().then_some(path))
}

fn build(package: &str, binary: &str, profile: Profile) -> Result<PathBuf> {
    let mut command = cargo(&["build", "--quiet", "--package", package, "--bin", binary])?;
    if profile == Profile::Release {
        command.arg("--release");
    }
    succeed(&mut command)?;
    let path = target()?.join(profile.folder()).join(binary);
    ensure!(path.is_file(), "{} was built, but is not there", path.display());
    Ok(path)
}

/// The folder this very program was built into, two levels up: right wherever the target directory is set to be.
pub fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.ancestors().nth(2).context("the target directory")?.to_owned())
}
