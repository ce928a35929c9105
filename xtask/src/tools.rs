//! Programs and targets that must be on the machine, and how they come there.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::command::{at_root, succeed};

/// A program, and the Debian or Ubuntu package that has it.
#[derive(Debug)]
pub struct Tool {
    program: &'static str,
    package: &'static str,
}

/// The store.
pub const REDIS: Tool = Tool { program: "redis-server", package: "redis-server" };
/// The load generator.
pub const WRK: Tool = Tool { program: "wrk", package: "wrk" };

/// What runs the page's script outside of a browser.
pub const NODE: Tool = Tool { program: "node", package: "nodejs" };

/// The target without std that core is built for.
pub const NO_STD: &str = "thumbv7m-none-eabi";
/// The target of the edge.
pub const WASM: &str = "wasm32-unknown-unknown";

/// Makes sure that the program is there, installing it when it is not.
pub fn ensure(tool: &Tool) -> Result<()> {
    if is_present(tool.program) {
        return Ok(());
    }
    println!("{} is missing; installing the package {}", tool.program, tool.package);
    install(tool.package).with_context(|| {
        format!("{} is needed and could not be installed; install it by hand and run this again", tool.program)
    })?;
    if !is_present(tool.program) {
        bail!("the package {} is installed, but there is no {} on the PATH", tool.package, tool.program);
    }
    Ok(())
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

fn install(package: &str) -> Result<()> {
    if !is_present("apt-get") {
        bail!("there is no apt-get on this machine");
    }
    succeed(apt_get()?.args(["update", "--quiet"]))?;
    succeed(apt_get()?.args(["install", "--yes", "--quiet", "--no-install-recommends", package]))
}

fn apt_get() -> Result<Command> {
    let id = Command::new("id").arg("-u").stdin(Stdio::null()).output().context("id -u")?;
    let is_root = String::from_utf8_lossy(&id.stdout).trim() == "0";
    let mut command = if is_root {
        at_root("env")?
    } else if is_present("sudo") {
        // Never asks: without the right, a clear refusal is better than a prompt nobody sees.
        let mut sudo = at_root("sudo")?;
        sudo.args(["-n", "env"]);
        sudo
    } else {
        bail!("installing needs root, and there is no sudo");
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}

fn is_present(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
