//! The golden tokens of core, verified by the worker: its own HMAC in WebAssembly says what native code says.

use crate::support::{Client, Store};
use anteroom_testkit::workerd::Workerd;
use serde_json::Value;

const TOKENS: &str = include_str!("../../../core/tests/vectors/tokens.json");

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_accepts_exactly_the_tokens_that_native_code_accepts() {
    let file: Value = serde_json::from_str(TOKENS).unwrap();
    let secrets: Vec<&str> = file["secrets"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let origin = Store::Embedded.start(&[]).await;
    let workerd = Workerd::start(&[("ORIGIN", origin.base()), ("ANTEROOM_SECRET", &secrets.join(","))]);
    let edge = Client::new(&workerd.url());
    for vector in file["tokens"].as_array().unwrap() {
        // Nobody knows their event: only a token that was verified comes so far that it matters.
        let want = if vector.get("claims").is_some() { "EVENT_NOT_FOUND" } else { "TOKEN_NOT_FOUND" };
        let reply = edge.status(vector["token"].as_str().unwrap()).await;
        assert_eq!(reply.body["error"]["code"], want, "{}", vector["about"]);
    }
}
