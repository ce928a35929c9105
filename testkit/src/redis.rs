//! A real `redis-server` of one test.

use crate::process::{Process, free_port};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the server asks of those who connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    #[default]
    Open,
    /// A password for the default user.
    Password(String),
    /// A user of its own with a password; the default user is off. The user may do what a room needs and no more.
    User {
        /// Name.
        name: String,
        /// Password.
        password: String,
    },
    /// TLS with a certificate for `localhost`, signed by an authority of this test; no plain port.
    Tls,
}

/// A server that ends with this value. Nothing is kept on its disk: killed and started again it is empty.
#[derive(Debug)]
pub struct RedisServer {
    // Before the directory that it works in: dropped in this order.
    process: Option<Process>,
    dir: TempDir,
    port: u16,
    guard: Guard,
    paused: bool,
}

impl RedisServer {
    /// Starts a server that asks nothing.
    pub fn start() -> Self {
        Self::guarded(Guard::Open)
    }

    /// Starts a server; returns when it answers.
    ///
    /// # Panics
    ///
    /// When there is no `redis-server` on this machine, or it does not come up.
    pub fn guarded(guard: Guard) -> Self {
        let dir = TempDir::new().expect("a temporary directory can be made");
        if guard == Guard::Tls {
            write_certificates(&dir);
        }
        let mut server = Self { dir, port: 0, guard, process: None, paused: false };
        // Another process may take a free port before the server does.
        for _ in 0..5 {
            server.port = free_port();
            if server.try_launch() {
                return server;
            }
        }
        panic!("redis-server did not come up; its log: {}", server.log());
    }

    /// What a client connects to, name and password included.
    pub fn url(&self) -> String {
        let port = self.port;
        match &self.guard {
            Guard::Open => format!("redis://127.0.0.1:{port}/"),
            Guard::Password(password) => format!("redis://:{password}@127.0.0.1:{port}/"),
            Guard::User { name, password } => format!("redis://{name}:{password}@127.0.0.1:{port}/"),
            Guard::Tls => format!("rediss://localhost:{port}/"),
        }
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Certificate of the authority that signed the server's, PEM. Only with [`Guard::Tls`].
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Kills the server at once (SIGKILL); its data is gone.
    pub fn kill(&mut self) {
        self.process = None;
        self.paused = false;
    }

    /// Starts a killed server again, empty, on the same port; returns when it answers.
    pub fn restart(&mut self) {
        self.kill();
        let since = Instant::now();
        while !self.try_launch() {
            assert!(since.elapsed() < PATIENCE, "redis-server did not come back; its log: {}", self.log());
        }
    }

    /// Stops the server in its tracks (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&mut self) {
        self.signal("-STOP");
        self.paused = true;
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self) {
        self.signal("-CONT");
        self.paused = false;
    }

    /// Runs one command as an administrator with `redis-cli`; gives what it printed.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        match &self.guard {
            Guard::Open => cli.args(["-h", "127.0.0.1"]),
            Guard::Password(password) => cli.args(["-h", "127.0.0.1", "-a", password, "--no-auth-warning"]),
            Guard::User { .. } => cli.args(["-h", "127.0.0.1", "--user", "admin", "-a", "admin", "--no-auth-warning"]),
            Guard::Tls => cli.args(["-h", "localhost", "--tls", "--cacert"]).arg(self.ca_file()),
        };
        let output = cli.args(["-p", &self.port.to_string()]).args(arguments).output().expect("redis-cli is installed");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn try_launch(&mut self) -> bool {
        let config = self.dir.path().join("redis.conf");
        fs::write(&config, self.config()).expect("the configuration can be written");
        let mut command = Command::new("redis-server");
        command.arg(&config).current_dir(self.dir.path());
        let launched = Process::launch(&mut command, &self.log_file(), PATIENCE, || self.answers());
        self.process = launched.unwrap_or_else(|error| {
            panic!("these tests need `redis-server` 7 or later on the PATH (apt-get install redis-server): {error}")
        });
        self.process.is_some()
    }

    fn answers(&self) -> bool {
        if self.guard == Guard::Tls {
            return self.cli(&["PING"]) == "PONG";
        }
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let mut line = String::new();
        stream.write_all(b"PING\r\n").is_ok()
            && BufReader::new(stream).read_line(&mut line).is_ok()
            && (line.starts_with("+PONG") || line.starts_with("-NOAUTH"))
    }

    fn config(&self) -> String {
        let mut lines = vec!["bind 127.0.0.1".to_owned(), "save \"\"".to_owned(), "appendonly no".to_owned()];
        match &self.guard {
            Guard::Tls => lines.extend([
                "port 0".to_owned(),
                format!("tls-port {}", self.port),
                "tls-cert-file server.pem".to_owned(),
                "tls-key-file server.key".to_owned(),
                "tls-ca-cert-file ca.pem".to_owned(),
                "tls-auth-clients no".to_owned(),
            ]),
            _ => lines.push(format!("port {}", self.port)),
        }
        match &self.guard {
            Guard::Password(password) => lines.push(format!("requirepass {password}")),
            Guard::User { name, password } => lines.extend([
                "user default off".to_owned(),
                "user admin on >admin ~* &* +@all".to_owned(),
                format!("user {name} on >{password} ~anteroom:* resetchannels -@all +@read +@write +@scripting +@connection +time -@dangerous"),
            ]),
            Guard::Open | Guard::Tls => {}
        }
        lines.join("\n") + "\n"
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("the server runs");
        let status =
            Command::new("kill").args([signal, &process.id().to_string()]).status().expect("kill is installed");
        assert!(status.success(), "kill {signal} failed");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if self.paused {
            self.resume();
        }
        self.kill();
    }
}

/// The certificates of all servers of one test binary: making keys takes time.
fn write_certificates(dir: &TempDir) {
    static MADE: OnceLock<[(&str, String); 3]> = OnceLock::new();
    let files = MADE.get_or_init(|| {
        use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        // A name of its own: a certificate whose issuer is called like itself counts as self-signed.
        params.distinguished_name.push(DnType::CommonName, "Anteroom test authority");
        let ca = params.self_signed(&key).expect("a certificate can be signed");
        let issuer = Issuer::new(params, key);
        let server_key = KeyPair::generate().expect("a key can be made");
        let server = CertificateParams::new(vec!["localhost".to_owned()])
            .and_then(|params| params.signed_by(&server_key, &issuer))
            .expect("a certificate can be signed");
        [("ca.pem", ca.pem()), ("server.pem", server.pem()), ("server.key", server_key.serialize_pem())]
    });
    for (name, content) in files {
        fs::write(dir.path().join(name), content).expect("a certificate can be written");
    }
}
