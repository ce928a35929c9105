//! A real `workerd` of one test, started by the script that operators use.

use crate::process::{Process, free_port};
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The variable with the path of the program.
pub const WORKERD: &str = "ANTEROOM_WORKERD";
/// The variable with the folder of the built worker.
pub const BUNDLE: &str = "ANTEROOM_EDGE_BUNDLE";

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A workerd that ends with this value.
#[derive(Debug)]
pub struct Workerd {
    // Before the directory that it works in: dropped in this order.
    process: Option<Process>,
    dir: TempDir,
    port: u16,
    bindings: Vec<(String, String)>,
}

impl Workerd {
    /// Starts the edge with these variables and secrets; returns when it answers anything at all. What a binding may be called is
    /// for `deploy/workerd/config.capnp` to say; of those that its script requires, the ones not given here have a value of no use.
    ///
    /// # Panics
    ///
    /// When the variables that say where workerd and the worker are (`cargo xtask test` sets them) are not there, or it does not come
    /// up.
    pub fn start(bindings: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().expect("a temporary directory can be made");
        let usual = [
            ("ORIGIN", "http://127.0.0.1:9"),
            ("ANTEROOM_SECRET", "a-secret-that-signed-nothing-at-all"),
            ("ANTEROOM_EDGE_TOKEN", "a-token-that-opens-nothing"),
        ];
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let bindings = usual.iter().chain(bindings).map(text).collect();
        let mut workerd = Self { dir, port: 0, bindings, process: None };
        // Another process may take a free port before workerd does.
        for _ in 0..5 {
            workerd.port = free_port();
            if workerd.try_launch() {
                return workerd;
            }
        }
        panic!("workerd did not come up; its log: {}", workerd.log());
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The id of the process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// What it and the worker have written to the log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Kills it at once (SIGKILL); what the worker held in memory is gone.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts a killed one again, cold, on the same port; returns when it answers.
    ///
    /// # Panics
    ///
    /// When it does not come back.
    pub fn restart(&mut self) {
        self.kill();
        let since = Instant::now();
        while !self.try_launch() {
            assert!(since.elapsed() < PATIENCE, "workerd did not come back; its log: {}", self.log());
        }
    }

    fn try_launch(&mut self) -> bool {
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/workerd/run");
        let mut command = Command::new(&run);
        // The settings of whoever runs the tests must not leak into them.
        command.env_clear().envs(env::vars_os().filter(|(name, _)| name == "PATH"));
        command
            .env(WORKERD, given(WORKERD))
            .env(BUNDLE, given(BUNDLE))
            .env("ANTEROOM_LISTEN", format!("127.0.0.1:{}", self.port))
            .envs(self.bindings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path());
        let launched = Process::launch(&mut command, &self.log_file(), PATIENCE, || self.answers());
        self.process = launched.unwrap_or_else(|error| panic!("cannot run {}: {error}", run.display()));
        self.process.is_some()
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut line = String::new();
        let request = "GET /.well-known/is-anybody-there HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).is_ok()
            && BufReader::new(stream).read_line(&mut line).is_ok()
            && line.starts_with("HTTP/1.1 ")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

fn given(variable: &str) -> PathBuf {
    match env::var_os(variable) {
        Some(path) => path.into(),
        None => panic!("these tests need {variable}, which `cargo xtask test --only edge` builds and sets"),
    }
}
