//! The steps of `cargo xtask test`, in order. A new one is a line in [`STEPS`].

use anyhow::{Context as _, Result};

use crate::{
    built::{self, Profile},
    command::{at_root, cargo, succeed},
    tools,
};

/// One thing that must succeed.
#[derive(Debug)]
pub struct Step {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it makes sure of.
    pub about: &'static str,
    /// Does it.
    pub run: fn() -> Result<()>,
}

/// Everything, in the order it runs.
pub const STEPS: &[Step] = &[
    Step { name: "tools", about: "programs and targets the tests need", run: tools },
    Step { name: "fmt", about: "the code is formatted", run: fmt },
    Step { name: "clippy", about: "no lint has anything to say", run: clippy },
    Step { name: "doc", about: "the documentation builds without warnings", run: doc },
    Step { name: "no-std", about: "core builds where there is no std", run: no_std },
    Step { name: "wasm", about: "core, page and edge build for WebAssembly", run: wasm },
    Step { name: "test", about: "all suites of the workspace", run: test },
    Step { name: "page-words", about: "the page's script says what the page says", run: page_words },
    Step { name: "crowd-embedded", about: "5,000 people on the embedded store", run: crowd_embedded },
    Step { name: "crowd-redis", about: "5,000 people on a real Redis", run: crowd_redis },
];

fn tools() -> Result<()> {
    tools::ensure(&tools::REDIS)?;
    tools::ensure(&tools::WRK)?;
    tools::ensure(&tools::NODE)?;
    tools::ensure_target(tools::WASM)?;
    tools::ensure_target(tools::NO_STD)
}

fn fmt() -> Result<()> {
    succeed(&mut cargo(&["fmt", "--all", "--check"])?)
}

fn clippy() -> Result<()> {
    succeed(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?)
}

fn doc() -> Result<()> {
    succeed(cargo(&["doc", "--workspace", "--no-deps"])?.env("RUSTDOCFLAGS", "-D warnings"))
}

fn no_std() -> Result<()> {
    succeed(&mut cargo(&["build", "--package", "anteroom-core", "--target", tools::NO_STD])?)
}

fn wasm() -> Result<()> {
    let packages = ["--package", "anteroom-core", "--package", "anteroom-page", "--package", "anteroom-edge"];
    succeed(cargo(&["build", "--target", tools::WASM])?.args(packages))
}

fn test() -> Result<()> {
    succeed(&mut cargo(&["test", "--workspace"])?)
}

fn page_words() -> Result<()> {
    succeed(at_root("node")?.args(["--test", "page/tests/words.mjs"]))
}

fn crowd_embedded() -> Result<()> {
    crowd(&[])
}

fn crowd_redis() -> Result<()> {
    crowd(&["--redis"])
}

/// The crowd's exit status is the verdict on the promises of the line.
fn crowd(options: &[&str]) -> Result<()> {
    let server = built::server(Profile::Dev)?;
    let crowd = built::tool("crowd", Profile::Dev)?;
    let mut command = at_root(crowd)?;
    command.args(["--people", "5000", "--server"]).arg(server).args(options);
    succeed(&mut command).context("the crowd was not content")
}
