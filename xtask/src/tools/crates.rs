//! Programs that cargo installs: into `target/tools/<name>-<version>/`, so that a change of version installs anew and nothing on the
//! machine is touched.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    built,
    command::{cargo, succeed},
};

/// A program on crates.io, and which of its versions.
#[derive(Debug)]
pub struct Crate {
    name: &'static str,
    version: Version,
}

impl Crate {
    /// Its name on crates.io.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

#[derive(Debug)]
enum Version {
    /// This one.
    Exactly(&'static str),
    /// That of this dependency in Cargo.lock.
    Of(&'static str),
}

/// Makes a worker out of a crate.
pub const WORKER_BUILD: Crate = Crate { name: "worker-build", version: Version::Exactly("0.8.7") };
/// Joins WebAssembly and JavaScript. Only the version that the crates were built with can read them.
pub const WASM_BINDGEN: Crate = Crate { name: "wasm-bindgen-cli", version: Version::Of("wasm-bindgen") };
/// Makes an npm package out of a crate, and runs its tests in a browser.
pub const WASM_PACK: Crate = Crate { name: "wasm-pack", version: Version::Exactly("0.15.1") };

/// All of them.
pub const ALL: [&Crate; 3] = [&WASM_BINDGEN, &WORKER_BUILD, &WASM_PACK];

/// The folder of its programs, whether or not they are there yet.
pub fn bin(tool: &Crate) -> Result<PathBuf> {
    Ok(root(tool.name, &version(tool)?)?.join("bin"))
}

/// Makes sure that it is there, installing it when it is not.
///
/// Without the lock file that it was published with: the dependencies of some releases, as locked, do not build any more.
pub fn ensure(tool: &Crate) -> Result<()> {
    let (name, version) = (tool.name, version(tool)?);
    let root = root(name, &version)?;
    // Written last by cargo, so that a broken-off install does not count.
    if root.join(".crates.toml").is_file() {
        return Ok(());
    }
    println!("{name} {version} is missing; building it takes a few minutes");
    let mut command = cargo(&["install", "--quiet", name, "--version", &format!("={version}"), "--root"])?;
    // They share most dependencies, and so a target directory. Used for seconds, they need not be fast.
    command.arg(&root).env("CARGO_TARGET_DIR", built::target()?.join("tools/build"));
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
    command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16").env("CARGO_PROFILE_RELEASE_STRIP", "true");
    succeed(&mut command).with_context(|| format!("{name} {version} is needed and could not be installed"))
}

/// Removes what installing left behind, once nothing is missing.
pub fn tidy() -> Result<()> {
    let folder = built::target()?.join("tools/build");
    if folder.is_dir() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

fn root(name: &str, version: &str) -> Result<PathBuf> {
    Ok(built::target()?.join("tools").join(format!("{name}-{version}")))
}

fn version(tool: &Crate) -> Result<String> {
    let dependency = match tool.version {
        Version::Exactly(version) => return Ok(version.to_owned()),
        Version::Of(dependency) => dependency,
    };
    let output = cargo(&["pkgid", dependency])?.output().context("cargo pkgid")?;
    ensure!(output.status.success(), "{dependency}: {}", String::from_utf8_lossy(&output.stderr).trim());
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match id.rsplit_once(['@', '#', ':']) {
        Some((_, version)) => Ok(version.to_owned()),
        None => bail!("{id} has no version"),
    }
}
