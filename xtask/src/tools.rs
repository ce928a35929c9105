//! Programs and targets that must be on the machine, and how they come there.
//!
//! What the tests call is found first in `target/tools/` and `e2e/node_modules/`, and then as the PATH says: [`equip`] gives a command
//! the PATH and the variables for it, so that no tool looks for another one on the network.

pub mod apt;
pub mod crates;
pub mod npm;
pub mod pypi;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{at_root, succeed};

/// The target without std that core is built for.
pub const NO_STD: &str = "thumbv7m-none-eabi";
/// The target of the edge and the browser.
pub const WASM: &str = "wasm32-unknown-unknown";

/// Gives a command the PATH on which it finds our tools before others, and the variables by which those find each other.
pub fn equip(command: &mut Command) -> Result<&mut Command> {
    let mut folders = Vec::new();
    for tool in crates::ALL {
        folders.push(crates::bin(tool)?);
    }
    folders.push(npm::file(".bin")?);
    for tool in pypi::ALL {
        folders.push(pypi::folder(tool)?);
    }
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    // Last: it may be a folder of the system's, with programs of every kind that are not the ones on the PATH.
    for tool in [&apt::NGINX, &apt::CADDY] {
        folders.push(apt::unpacked(tool)?);
    }
    command
        .env("PATH", env::join_paths(folders)?)
        .env("WASM_BINDGEN_BIN", crates::bin(&crates::WASM_BINDGEN)?.join("wasm-bindgen"))
        .env("WASM_OPT_BIN", npm::file("binaryen/bin/wasm-opt")?)
        .env("ESBUILD_BIN", npm::file("esbuild/bin/esbuild")?)
        // Telemetry and looks for newer versions: nothing that a test should wait for.
        .env("WRANGLER_SEND_METRICS", "false");
    Ok(command)
}

/// Makes sure that workers can be built and run.
pub fn ensure_workers() -> Result<()> {
    ensure_target(WASM)?;
    npm::ensure()?;
    apt::ensure_openssl()?;
    crates::ensure(&crates::WASM_BINDGEN)?;
    crates::ensure(&crates::WORKER_BUILD)
}

/// The program of workerd itself. What npm calls by that name starts it as a child, which would outlive whoever is killed.
pub fn workerd() -> Result<PathBuf> {
    let processor = match env::consts::ARCH {
        "x86_64" => "64",
        "aarch64" => "arm64",
        other => bail!("there is no workerd for {other}"),
    };
    let system = if env::consts::OS == "macos" { "darwin" } else { env::consts::OS };
    npm::file(&format!("@cloudflare/workerd-{system}-{processor}/bin/workerd"))
}

/// Makes sure that the standard library for a target is there.
pub fn ensure_target(target: &str) -> Result<()> {
    let mut rustc = at_root("rustc")?;
    let output = rustc.args(["--print", "target-libdir", "--target", target]).output().context("rustc")?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && Path::new(&folder).is_dir() {
        return Ok(());
    }
    if !is_present("rustup") {
        bail!("the target {target} is missing, and without rustup it cannot be added");
    }
    succeed(at_root("rustup")?.args(["target", "add", target]))
}

/// The folder on the PATH that has this program.
pub fn folder_of(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).find(|folder| folder.join(program).is_file())
}

fn is_present(program: &str) -> bool {
    folder_of(program).is_some()
}

/// Makes sure that a program runs on this machine: a file that is there may be for another one.
fn runs(program: &Path, version: &str) -> Result<()> {
    let output = at_root(program)?.arg(version).output().with_context(|| program.display().to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} does not run: {}", program.display(), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn nothing_but_our_own_tools_comes_before_what_the_path_says() {
        let mut command = Command::new("true");
        equip(&mut command).unwrap();
        let path = command.get_envs().find(|(name, _)| *name == OsStr::new("PATH")).unwrap().1.unwrap();
        let given: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap()).collect();
        let folders: Vec<_> = env::split_paths(path).collect();
        let at = folders.windows(given.len()).position(|some| some == given).expect("the PATH is there as it was");
        let root = crate::command::root().unwrap();
        let target = crate::built::target().unwrap();
        for folder in &folders[..at] {
            assert!(folder.starts_with(&root) || folder.starts_with(&target), "{}", folder.display());
        }
    }
}
