//! The program as a process: what it says at the start, how it stops, what it exports.

#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn anteroom() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    // Nothing of the machine that the test happens to run on.
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

struct Server {
    process: Child,
    address: String,
    log: Receiver<String>,
}

impl Server {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut command = anteroom();
        command.arg("serve").env("ANTEROOM_SECRET", SECRET).env("ANTEROOM_LISTEN", "127.0.0.1:0");
        let mut process = command.env("ANTEROOM_DRAIN_SEC", "0").envs(variables.iter().copied()).spawn().unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        let address = log.iter().find_map(|line| {
            let event: serde_json::Value = serde_json::from_str(&line).ok()?;
            event["address"].as_str().map(str::to_owned)
        });
        Self { process, address: address.unwrap(), log }
    }

    fn terminate(mut self) -> (ExitStatus, Vec<String>) {
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        (self.process.wait().unwrap(), self.log.iter().collect())
    }
}

#[test]
fn bad_settings_stop_the_start_with_every_problem_named() {
    let mut command = anteroom();
    command.arg("serve").env("ANTEROOM_TICK_MS", "soon").env("ANTEROOM_LISTEN", "here");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for setting in ["ANTEROOM_TICK_MS = \"soon\"", "ANTEROOM_LISTEN = \"here\"", "ANTEROOM_SECRET: is missing"] {
        assert!(text.contains(setting), "{setting} not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_exits_with_success() {
    let server = Server::start(&[]);
    let answer = reqwest::get(format!("http://{}/healthz", server.address)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let (status, log) = server.terminate();
    assert!(status.success(), "{status} {log:?}");
    assert!(log.iter().any(|line| line.contains("\"stopped\"")), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_to_the_collector_in_the_trace_of_the_caller() {
    let (received, bodies) = channel::<Bytes>();
    let collector = post(async move |body: Bytes| received.send(body).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", collector)).await });
    let server =
        Server::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("ANTEROOM_LOG", "warn,anteroom_origin=info")]);
    let request = reqwest::Client::new().get(format!("http://{}/healthz", server.address));
    let request = request.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let answer = request.send().await.unwrap();
    let traceparent = answer.headers()["traceparent"].to_str().unwrap().to_owned();
    assert!(traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && traceparent.ends_with("-01"));
    let fresh = reqwest::get(format!("http://{}/nothing", server.address)).await.unwrap();
    let fresh_traceparent = fresh.headers()["traceparent"].to_str().unwrap().to_owned();
    let body: serde_json::Value = serde_json::from_str(&fresh.text().await.unwrap()).unwrap();
    assert_eq!(body["error"]["trace_id"], fresh_traceparent[3..35]);
    let (status, log) = server.terminate();
    assert!(status.success(), "{status} {log:?}");
    let mut exported = Vec::new();
    bodies.try_iter().for_each(|body| drop(body.as_ref().read_to_end(&mut exported)));
    let holds = |bytes: &[u8]| exported.windows(bytes.len()).any(|window| window == bytes);
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    for part in [&traceparent[3..35], &traceparent[36..52], "00f067aa0ba902b7", &fresh_traceparent[3..35]] {
        assert!(holds(&unhex(part)), "{part} was not exported");
    }
    assert!(holds(b"GET /healthz") && holds(b"GET unmatched") && holds(b"anteroom"));
}
