//! An origin as a process of its own: the real program, to be killed.

use super::{Client, variables};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running `anteroom serve`; it is killed when this goes.
pub struct Process {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    client: Client,
}

impl Deref for Process {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Process {
    /// Starts the program with these settings beside the usual ones; gives it once it listens.
    pub fn start(more: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        // Nothing of the machine that the test happens to run on.
        command.env_clear().arg("serve").envs(variables(more));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, stderr) = (log.clone(), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                lines.lock().unwrap().push(line);
            }
        });
        let mut process = Self { child, log, client: Client::new("") };
        let since = Instant::now();
        let address = loop {
            if let Some(address) = process.log().iter().find_map(|line| line["address"].as_str().map(str::to_owned)) {
                break address;
            }
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none() && since.elapsed() < Duration::from_secs(20), "no start: {:?}", process.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        process.client = Client::new(&format!("http://{address}"));
        process
    }

    /// What it has logged, one JSON object a line.
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// How many lines of the log are of this level and contain this text.
    pub fn logged(&self, level: &str, text: &str) -> usize {
        self.log().iter().filter(|line| line["level"] == level && line.to_string().contains(text)).count()
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().unwrap()
    }

    /// Stops it where it is (SIGSTOP): its sockets stay open, and nobody answers.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
