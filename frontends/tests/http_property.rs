//! Any key and any value come back as they went in, in every form they can take.

mod http_support;

use http_support::{Client, Server, request, unbase64};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use tokio::runtime::Builder;

/// Bytes in general, and text in particular: the two differ in JSON.
fn bytes(min: usize, max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), min..max),
        vec(any::<char>(), min..max).prop_map(|text| text.into_iter().collect::<String>().into()),
        vec(prop::sample::select(&b"%/?#&+=\\\" \0ab"[..]), min..max),
    ]
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// Returns the bytes that JSON gives under one of two names.
fn named(item: &Value, name: &str) -> Vec<u8> {
    if let Some(text) = item[name].as_str() {
        return text.into();
    }
    let text = item[format!("{name}_base64")].as_str().expect("one of the names is there");
    let decoded = unbase64(text);
    assert!(std::str::from_utf8(&decoded).is_err(), "text is given as text");
    decoded
}

async fn json(client: &mut Client, bytes: &[u8]) -> Value {
    client.send(bytes).await;
    serde_json::from_slice(&client.body().await).expect("JSON")
}

async fn round_trip(client: &mut Client, key: &[u8], value: &[u8]) {
    let target = format!("/kv/{}", escaped(key));
    let text = std::str::from_utf8(value);
    let written = match text {
        Ok(text) => {
            let body = serde_json::json!({ "value": text }).to_string();
            request("PUT", &target, &["content-type: application/json"], &body)
        }
        Err(_) => {
            let head = ["content-type: application/octet-stream"];
            let length = format!("content-length: {}", value.len());
            let mut all = request("PUT", &target, &[head[0], &length], "");
            all.extend_from_slice(value);
            all
        }
    };
    let done = json(client, &written).await;
    let read = json(client, &request("GET", &target, &[], "")).await;
    assert_eq!(done, read);
    assert_eq!((named(&read, "key"), named(&read, "value")), (key.to_vec(), value.to_vec()));

    let accept = ["accept: application/octet-stream"];
    client.send(request("GET", &target, &accept, "")).await;
    assert_eq!(client.body().await, value);

    let prefix = format!("/kv?limit=1&prefix={}", escaped(key));
    let listed = json(client, &request("GET", &prefix, &[], "")).await;
    assert_eq!(named(&listed["items"][0], "key"), key);
    let gone = json(client, &request("DELETE", &target, &[], "")).await;
    assert_eq!((named(&gone, "key"), &gone["deleted"]), (key.to_vec(), &Value::Bool(true)));
}

#[test]
fn any_key_and_value_come_back_as_they_went_in() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (server, client) = runtime.block_on(async {
        let server = Server::start().await;
        let client = server.connect().await;
        (server, std::cell::RefCell::new(client))
    });
    // The seed is fixed, so that a failure is the same everywhere.
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::default()));
    let outcome = runner.run(&(bytes(1, 40), bytes(0, 400)), |(key, value)| {
        runtime.block_on(round_trip(&mut client.borrow_mut(), &key, &value));
        Ok(())
    });
    runtime.block_on(server.stop());
    outcome.unwrap();
}
