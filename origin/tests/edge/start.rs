//! What the edge says when it cannot start, or cannot work with its settings.

use anteroom_testkit::workerd::Workerd;
use std::path::Path;
use std::process::{Command, Output};

fn run(variables: &[(&str, &str)]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/workerd/run");
    let path = std::env::var_os("PATH").unwrap();
    let command = &mut Command::new(script);
    command.env_clear().env("PATH", path).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn everything_that_is_missing_is_named_and_no_secret_is_shown() {
    let output = run(&[
        ("ANTEROOM_SECRET", "hunter2"),
        ("ANTEROOM_WORKERD", "/nowhere/workerd"),
        ("ANTEROOM_EDGE_BUNDLE", "/nowhere/worker"),
    ]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for named in ["ORIGIN is missing", "ANTEROOM_EDGE_TOKEN is missing", "/nowhere/workerd", "/nowhere/worker"] {
        assert!(said.contains(named), "{named} is not named: {said}");
    }
    assert!(!said.contains("ANTEROOM_SECRET is missing") && !said.contains("hunter2"), "{said}");
    let said = String::from_utf8(run(&[("ANTEROOM_SECRET_FILE", "/nowhere/secret")]).stderr).unwrap();
    assert!(said.contains("ANTEROOM_SECRET_FILE: /nowhere/secret"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_makes_no_sense_is_named_and_nobody_gets_past_it() {
    let wrong = [("UPSTREAM", "http://127.0.0.1:9"), ("ANTEROOM_UPSTREAM_FIRST_BYTE_SEC", "a minute")];
    let edge = tokio::task::block_in_place(|| Workerd::start(&wrong));
    assert_eq!(reqwest::get(edge.url()).await.unwrap().status(), 500);
    let log = edge.log();
    assert!(log.contains("ANTEROOM_UPSTREAM_FIRST_BYTE_SEC: \"a minute\" is not a whole number"), "{log}");
}
