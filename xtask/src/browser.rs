//! The package for single-page apps: built, weighed, tested in a real browser, and its types checked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    built,
    command::{at_root, root, succeed},
    tools::{self, npm},
    worker::gzipped,
};

/// The folder of the package.
const PACKAGE: &str = "browser";
/// The name on npm.
const NAME: &str = "anteroom-browser";

/// Builds it for pages without a bundler (`web`) and for bundlers; answers the folder that holds both.
pub fn build() -> Result<PathBuf> {
    let out = built::target()?.join("browser");
    for target in ["web", "bundler"] {
        let folder = out.join(target);
        // Not left to wasm-pack, which keeps files of former builds.
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        let mut command = at_root("wasm-pack")?;
        command.args(["build", "--mode", "no-install", "--profile", "wasm", "--out-name", "anteroom"]);
        command.args(["--target", target, "--out-dir"]).arg(&folder);
        // Whatever follows the path is for cargo.
        command.arg(PACKAGE);
        run(&mut command)?;
        // Its ignore-everything file would keep the package out of any archive.
        let _ = fs::remove_file(folder.join(".gitignore"));
    }
    package(&out)?;
    let files = ["anteroom.js", "anteroom_bg.wasm"].map(|file| out.join("web").join(file));
    println!("browser: {:.1} KB gzipped", gzipped(&files)? as f64 / 1000.0);
    Ok(out)
}

/// Runs its tests in a headless Chromium.
pub fn test() -> Result<()> {
    let driver = tools::folder_of("chromedriver").context("there is no chromedriver")?.join("chromedriver");
    let mut command = at_root("wasm-pack")?;
    command.args(["test", "--mode", "no-install", "--headless", "--chrome", "--chromedriver"]).arg(driver).arg(PACKAGE);
    // The defaults give a browser that starts beside a compiler too little time.
    command.env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60").env("WASM_BINDGEN_TEST_TIMEOUT", "300");
    run(&mut command)
}

/// Checks a small app in TypeScript against the types of the built package.
pub fn check_types() -> Result<()> {
    let out = build()?;
    let app = npm::package()?.join("typescript");
    // Where the app's import of the package looks.
    let link = npm::file(NAME)?;
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(&out, &link).with_context(|| link.display().to_string())?;
    run(at_root("tsc")?.arg("--project").arg(app))
}

/// One npm package over both builds.
fn package(out: &Path) -> Result<()> {
    for target in ["web", "bundler"] {
        let _ = fs::remove_file(out.join(target).join("package.json"));
        let _ = fs::remove_file(out.join(target).join("README.md"));
    }
    let source = root()?.join("browser");
    for file in ["package.json", "README.md"] {
        fs::copy(source.join(file), out.join(file)).with_context(|| file.to_owned())?;
    }
    Ok(())
}

fn run(command: &mut std::process::Command) -> Result<()> {
    succeed(tools::equip(command)?).context("is everything there? cargo xtask test --only tools")
}
