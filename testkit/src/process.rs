//! A process of one test, and the port it listens on.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A process that ends with this value, at once (SIGKILL).
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it, with what it says added to the file `log`; returns when it answers. `None`: it has ended, or did not answer within
    /// `patience`. The error is that there is no such program.
    pub fn launch(
        command: &mut Command,
        log: &Path,
        patience: Duration,
        answers: impl Fn() -> bool,
    ) -> io::Result<Option<Self>> {
        let log = File::options().create(true).append(true).open(log).expect("the log can be made");
        let again = log.try_clone().expect("a file handle can be cloned");
        let mut process = Self(command.stdin(Stdio::null()).stdout(again).stderr(log).spawn()?);
        let since = Instant::now();
        while since.elapsed() < patience && !matches!(process.0.try_wait(), Ok(Some(_))) {
            if answers() {
                return Ok(Some(process));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(None)
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports below those that the system hands out by itself (`ip_local_port_range`).
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// A port that nobody listens on, and that nobody is given by chance while its server is dead: the system hands out others, and this
/// process each of its own once. Somebody else may take it before its user does all the same: try again then.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(997);
    loop {
        let next = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
        let port = u16::try_from(PORTS.start + next).expect("the range is one of ports");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
