//! Programs from packages of Debian and Ubuntu.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{folder_of, is_present, runs};
use crate::{
    built,
    command::{at_root, succeed},
};

/// A program, and the package that has it.
#[derive(Debug)]
pub struct Tool {
    program: &'static str,
    package: &'static str,
}

impl Tool {
    /// The name of the program.
    pub fn program(&self) -> &'static str {
        self.program
    }
}

/// The store.
pub const REDIS: Tool = Tool { program: "redis-server", package: "redis-server" };
/// The load generator.
pub const WRK: Tool = Tool { program: "wrk", package: "wrk" };
/// The browser of the tests.
pub const CHROMIUM: Tool = Tool { program: "chromium", package: "chromium" };
/// Its remote control.
pub const CHROMEDRIVER: Tool = Tool { program: "chromedriver", package: "chromium-driver" };
/// Finds the headers of OpenSSL, which worker-build is built with.
const PKG_CONFIG: Tool = Tool { program: "pkg-config", package: "pkg-config" };
const OPENSSL_HEADERS: &str = "libssl-dev";
const KOREAN_FONT: &str = "fonts-nanum";

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

/// Makes sure that programs can be built with OpenSSL.
pub fn ensure_openssl() -> Result<()> {
    ensure(&PKG_CONFIG)?;
    let found =
        |mut command: Command| Ok::<_, anyhow::Error>(command.args(["--exists", "openssl"]).status()?.success());
    if found(at_root("pkg-config")?)? {
        return Ok(());
    }
    println!("the headers of OpenSSL are missing; installing the package {OPENSSL_HEADERS}");
    install(OPENSSL_HEADERS).context("the headers of OpenSSL are needed and could not be installed")?;
    ensure!(found(at_root("pkg-config")?)?, "{OPENSSL_HEADERS} is installed, but pkg-config does not find openssl");
    Ok(())
}

/// Makes sure that there is a font with Korean letters: without one, pictures of the Korean page show boxes.
pub fn ensure_korean() -> Result<()> {
    let found = at_root("fc-list")?.arg(":lang=ko").output();
    // A browser that was installed by hand may have brought no fontconfig; its fonts are not ours to look for.
    if found.is_ok_and(|output| output.stdout.is_empty()) {
        println!("there is no font with Korean letters; installing the package {KOREAN_FONT}");
        install(KOREAN_FONT)
            .context("pictures of the Korean page need a font; install one by hand and run this again")?;
    }
    Ok(())
}

/// A program that is unpacked from its package and not installed: installing it would set up a service and start it on port 80, and the
/// tests want no more than the program, started with configurations of their own. It needs no library that is not on every Debian.
#[derive(Debug)]
pub struct Unpacked {
    program: &'static str,
    package: &'static str,
    /// Where it is below the root of a machine that has it. The first is where it is in the package.
    folders: &'static [&'static str],
    /// What makes it say its version and nothing else.
    version: &'static str,
}

impl Unpacked {
    /// The name of the program.
    pub fn program(&self) -> &'static str {
        self.program
    }
}

/// A proxy beside which the origin runs.
pub const NGINX: Unpacked =
    Unpacked { program: "nginx", package: "nginx", folders: &["usr/sbin", "usr/local/sbin"], version: "-v" };
/// Another.
pub const CADDY: Unpacked =
    Unpacked { program: "caddy", package: "caddy", folders: &["usr/bin", "usr/local/bin"], version: "version" };

/// The folder of its program: where the system has it, or else where [`ensure_unpacked`] puts it.
pub fn unpacked(tool: &Unpacked) -> Result<PathBuf> {
    let has = |folder: &PathBuf| folder.join(tool.program).is_file();
    // An administrator's folders are on nobody else's PATH.
    let system = || tool.folders.iter().map(|folder| Path::new("/").join(folder)).find(has);
    match folder_of(tool.program).or_else(system) {
        Some(folder) => Ok(folder),
        None => Ok(unpacked_at(tool)?.join(tool.folders[0])),
    }
}

/// Makes sure that it is there, unpacking its package when it is not.
pub fn ensure_unpacked(tool: &Unpacked) -> Result<()> {
    let program = unpacked(tool)?.join(tool.program);
    if !program.is_file() {
        println!("{} is missing; unpacking its package without installing it", tool.program);
        unpack(tool).with_context(|| {
            format!("{} is needed and could not be unpacked; install it by hand and run this again", tool.program)
        })?;
    }
    runs(&program, tool.version)
}

fn unpack(tool: &Unpacked) -> Result<()> {
    let folder = unpacked_at(tool)?;
    fs::create_dir_all(&folder)?;
    succeed(apt_get()?.args(["update", "--quiet"]))?;
    succeed(at_root("apt-get")?.args(["download", "--quiet", tool.package]).current_dir(&folder))?;
    for file in fs::read_dir(&folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            succeed(at_root("dpkg-deb")?.arg("--extract").arg(&path).arg(&folder))?;
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn unpacked_at(tool: &Unpacked) -> Result<PathBuf> {
    Ok(built::target()?.join("tools").join(tool.program))
}

/// Installs a package.
pub fn install(package: &str) -> Result<()> {
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
