//! Processes the tools start: on free ports, ended by their own id whatever happens.

use std::{
    ffi::OsStr,
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tokio::{process::Command, time::sleep};

/// A free local address, found by binding port 0 and letting go of it.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").context("a free port")?.local_addr()?)
}

/// A running process that ends with this value. What it prints goes to a file, shown when it fails to start.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    name: String,
    log: PathBuf,
}

impl Child {
    /// Starts `program` with its output in `directory`.
    pub fn start<A, V>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        variables: impl IntoIterator<Item = (V, V)>,
        directory: &Path,
    ) -> Result<Self>
    where
        A: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let log = directory.join(format!("{name}.{:08x}.log", fastrand::u32(..)));
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(program);
        // The settings of whoever runs the tools must not leak into what they measure.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("ANTEROOM_") {
                command.env_remove(variable);
            }
        }
        let process = command
            .args(arguments)
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { process, name, log })
    }

    /// Waits until something listens at `address`.
    pub async fn listening(&mut self, address: SocketAddr) -> Result<()> {
        self.until(|| async move { TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() }).await
    }

    /// Waits until `ready` says so, up to half a minute; fails at once when the process ends first.
    pub async fn until<F: Future<Output = bool>>(&mut self, mut ready: impl FnMut() -> F) -> Result<()> {
        let begun = Instant::now();
        while !ready().await {
            if let Some(status) = self.process.try_wait()? {
                bail!("{} ended with {status} before it was ready:\n{}", self.name, self.last_words());
            }
            if begun.elapsed() > Duration::from_secs(30) {
                bail!("{} was not ready after 30 s:\n{}", self.name, self.last_words());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends the process and waits until it is gone.
    pub async fn end(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    /// The end of what it printed.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Runs `work` until it is done or this process is told to stop. Either way everything `work` holds is dropped, and with it
/// every process it started.
pub async fn until_stopped<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to stop"),
    }
}
