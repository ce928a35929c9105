//! `cargo xtask demo`: the demonstration, and with `--edge` the same shop behind the worker on workerd.

use std::{
    fmt::Write as _,
    fs::File,
    io::Read as _,
    net::{SocketAddr, TcpListener, TcpStream},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{
    built::{self, Profile},
    command::{at_root, become_it},
    tools, worker,
};

/// How the demonstration is shown.
#[derive(Debug, Args)]
pub struct Options {
    /// Behind the edge: the worker on workerd, in front of the demo's origin and its shop.
    #[arg(long)]
    edge: bool,
    /// Where visitors come in, with `--edge`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", requires = "edge")]
    listen: SocketAddr,
    /// Passed on to `anteroom demo`.
    #[arg(last = true)]
    options: Vec<String>,
}

/// Shows it until it is stopped.
pub fn run(options: &Options) -> Result<bool> {
    let server = built::server(Profile::Release)?;
    if !options.edge {
        return Err(become_it(at_root(server)?.arg("demo").args(&options.options)));
    }
    ensure!(TcpListener::bind(options.listen).is_ok(), "{} is taken; --listen chooses another address", options.listen);
    tools::ensure_workers()?;
    let bundle = worker::edge()?;
    let (origin, shop) = (free()?, free()?);
    let (secret, token) = (random()?, random()?);
    let mut demo = at_root(server)?;
    demo.arg("demo").args(["--shop", &shop.to_string()]).args(&options.options);
    demo.env("ANTEROOM_LISTEN", origin.to_string()).env("ANTEROOM_SECRET", &secret).env("ANTEROOM_EDGE_TOKEN", &token);
    let mut demo = demo.spawn().context("anteroom demo")?;
    let mut edge = at_root("deploy/workerd/run")?;
    edge.env("ORIGIN", format!("http://{origin}")).env("UPSTREAM", format!("http://{shop}"));
    edge.env("ANTEROOM_SECRET", &secret).env("ANTEROOM_EDGE_TOKEN", &token);
    edge.env("ANTEROOM_LISTEN", options.listen.to_string());
    edge.env("ANTEROOM_WORKERD", tools::workerd()?).env("ANTEROOM_EDGE_BUNDLE", bundle.folder);
    let result = answers(&mut demo, origin).and_then(|()| {
        let mut edge = edge.spawn().context("deploy/workerd/run")?;
        let result = answers(&mut edge, options.listen).and_then(|()| {
            println!("\n  Behind the edge: open http://{}/ (the worker on workerd).\n", options.listen);
            first_to_end(&mut demo, &mut edge)
        });
        stop(&mut edge);
        result
    });
    stop(&mut demo);
    result.map(|()| true)
}

/// An address on this machine that nobody uses.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// 32 random bytes in hex.
fn random() -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

/// Waits until somebody listens there.
fn answers(child: &mut Child, address: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status} before it listened on {address}");
        }
        ensure!(begun.elapsed() < Duration::from_secs(30), "nobody listens on {address}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Ctrl-C reaches both, as they are of our group.
fn first_to_end(demo: &mut Child, edge: &mut Child) -> Result<()> {
    loop {
        if demo.try_wait()?.is_some() || edge.try_wait()?.is_some() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn stop(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}
