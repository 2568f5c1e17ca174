//! HTTP against a model: whatever is sent is answered in JSON that can be understood, and what was
//! accepted is there.
//!
//! An input is the bytes of one connection, or a list of requests whose outcomes are known.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use raftkv_frontends::http::{Options, serve_connection};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use super::http_support::{Memory, unbase64};
use super::input::Input;

/// Every code of an error; one more is a change of the interface.
const CODES: &str = "\
    head_too_large internal invalid_body invalid_condition invalid_json invalid_key \
    invalid_query key_too_long link_too_long loading malformed_request method_not_allowed \
    misdirected no_leader no_space not_found not_leader overloaded precondition_failed \
    stalled stopping timeout too_large unknown_route unsupported_media_type uri_too_long \
    wrong_type";

/// So low that short inputs reach them.
const MAX_VALUE_BYTES: usize = 200;
const MAX_PAGE_BYTES: usize = 300;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.coin() {
        let sent = input.rest();
        let received = exchange(&Memory::new(), sent);
        // The answer to HEAD has a length and no body; only who has sent it knows where it ends.
        if !sent.windows(4).any(|bytes| bytes == b"HEAD") {
            responses(&received);
        }
    } else {
        let mut store = Store { kv: Memory::new(), keys: BTreeMap::new(), index: 0 };
        for _ in 0..4 {
            if !input.is_empty() {
                store.request(&mut input);
            }
        }
        store.list(b"", None, 2);
    }
}

/// Sends bytes over a connection, and returns all that comes back.
fn exchange(kv: &Memory, sent: &[u8]) -> Vec<u8> {
    thread_local! {
        static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
    }
    let options = Options {
        max_value_bytes: MAX_VALUE_BYTES,
        max_page_bytes: MAX_PAGE_BYTES,
        ..Options::default()
    };
    let (client, server) = tokio::io::duplex(64 << 10);
    let client = async move {
        let (mut reader, mut writer) = tokio::io::split(client);
        let mut received = Vec::new();
        // An end in the middle of what is sent is the server's right.
        let write = writer.write_all(sent);
        let read = async {
            // Nothing waits for a clock, so a server that says nothing for a while has nothing to
            // say. To close before would be to take the request back.
            while let Some(Ok(1..)) = soon(reader.read_buf(&mut received)).await {}
        };
        let _ = tokio::join!(write, read);
        let _ = writer.shutdown().await;
        reader.read_to_end(&mut received).await.unwrap();
        received
    };
    let conversation =
        async { tokio::join!(client, serve_connection(server, kv.clone(), options)).0 };
    RUNTIME.with(|runtime| {
        let runtime =
            runtime.get_or_init(|| Builder::new_current_thread().enable_time().build().unwrap());
        runtime.block_on(conversation)
    })
}

/// Returns what comes of a future within a few turns of the others.
async fn soon<T>(future: impl Future<Output = T>) -> Option<T> {
    let turns = async {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        output = future => Some(output),
        () = turns => None,
    }
}

struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body is JSON")
    }

    /// Returns the code of an error.
    fn code(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

/// Reads all responses, each of which must be one that a client can act on.
fn responses(mut bytes: &[u8]) -> Vec<Response> {
    let mut responses = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("a head ends");
        let head = std::str::from_utf8(&bytes[..end + 2]).expect("a head is text").to_owned();
        bytes = &bytes[end + 4..];
        let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        let status: u16 = status.and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        let body = bytes[..length].to_vec();
        bytes = &bytes[length..];
        if status == 100 {
            continue;
        }
        let response = Response { status, head, body };
        check(&response);
        responses.push(response);
    }
    responses
}

fn check(response: &Response) {
    let Response { status, head, body } = response;
    assert!(head.contains("\r\ncache-control: no-store\r\n"), "{head}");
    match status {
        304 => assert!(body.is_empty()),
        500 => panic!("a bug answers: {}", body.escape_ascii()),
        400.. => {
            assert!(
                CODES.split(' ').any(|code| code == response.code()),
                "{head}{}",
                body.escape_ascii()
            );
            assert!(response.json()["message"].as_str().is_some_and(|text| !text.is_empty()));
        }
        _ => {
            assert_eq!(*status, 200);
            if head.contains("\r\ncontent-type: application/json\r\n") {
                response.json();
            }
        }
    }
}

fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n");
    [format!("{head}{headers}\r\n").as_bytes(), body].concat()
}

/// Returns the requests that read a key, in both forms.
fn reads(key: &[u8]) -> [Vec<u8>; 2] {
    ["", "accept: application/octet-stream\r\n"].map(|form| request("GET", &path(key), form, b""))
}

fn path(key: &[u8]) -> String {
    format!("/kv/{}", escaped(key))
}

/// What the store must hold.
struct Store {
    kv: Memory,
    keys: BTreeMap<Vec<u8>, (Vec<u8>, u64)>,
    index: u64,
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// Returns the bytes that JSON gives as text or as base64.
fn named(item: &Value, name: &str) -> Vec<u8> {
    let base64 = || unbase64(item[format!("{name}_base64")].as_str().expect("one of the forms"));
    item[name].as_str().map_or_else(base64, |text| text.as_bytes().to_vec())
}

impl Store {
    /// Sends requests over one connection, and returns their responses; fewer when one of them is
    /// the last that it takes.
    fn ask(&self, requests: &[Vec<u8>]) -> Vec<Response> {
        let responses = responses(&exchange(&self.kv, &requests.concat()));
        let last = responses.last().expect("a request is answered");
        assert!(responses.len() == requests.len() || last.head.contains("connection: close"));
        responses
    }

    fn request(&mut self, input: &mut Input<'_>) {
        let key = match input.below(5) {
            0 => input.bytes(),
            at => &b"abab"[..at],
        };
        match input.below(6) {
            0 => self.get(key),
            1 => self.delete(key, input),
            2 => {
                let after = input.coin().then(|| input.bytes());
                self.list(key, after, 1 + input.below(4));
            }
            _ => self.put(key, input),
        }
    }

    /// Draws a condition: its header, and whether it holds.
    fn condition(&self, key: &[u8], input: &mut Input<'_>) -> (String, bool) {
        let version = self.keys.get(key).map(|(_, version)| *version);
        match input.below(5) {
            0 => ("if-none-match: *\r\n".into(), version.is_none()),
            1 => ("if-match: *\r\n".into(), version.is_some()),
            2 => {
                let wanted = input.number();
                let holds = version == Some(wanted);
                (format!("if-match: \"{wanted}\"\r\n"), holds)
            }
            _ => (String::new(), true),
        }
    }

    fn put(&mut self, key: &[u8], input: &mut Input<'_>) {
        let (condition, holds) = self.condition(key, input);
        let kind = input.below(4);
        let given = input.bytes();
        let (form, body) = match (kind, std::str::from_utf8(given)) {
            (0, _) => ("octet-stream", given.to_vec()),
            (1, Ok(text)) => ("json", serde_json::json!({ "value": text }).to_string().into()),
            _ => ("json", given.to_vec()),
        };
        let headers = format!("content-type: application/{form}\r\n{condition}");
        let [json, bytes] = reads(key);
        let put = request("PUT", &path(key), &headers, &body);
        let mut all = self.ask(&[put, json, bytes]);
        let (read, done) = (all.split_off(1), all.remove(0));
        let is_certain = body != given || form == "octet-stream";
        match done.status {
            // The store took an entry to find out.
            412 => {
                self.index += 1;
                assert!(!holds && !key.is_empty());
                let version = self.keys.get(key).map(|(_, version)| *version);
                assert_eq!(done.json()["version"].as_u64(), version);
            }
            200 => {
                self.index += 1;
                assert!(holds && !key.is_empty());
                let echo = done.json();
                let value = named(&echo, "value");
                let asked = if is_certain { given.to_vec() } else { value_of(&body) };
                assert_eq!((named(&echo, "key"), &value), (key.to_vec(), &asked));
                assert_eq!(echo["version"].as_u64(), Some(self.index));
                self.keys.insert(key.to_vec(), (value, self.index));
            }
            status => {
                let is_wrong = key.is_empty() || given.len() > MAX_VALUE_BYTES || !is_certain;
                assert!(is_wrong, "{status}: {}", done.body.escape_ascii());
            }
        }
        match &read[..] {
            [json, bytes] => self.check(key, json, bytes),
            _ => self.get(key),
        }
    }

    fn get(&self, key: &[u8]) {
        let read = self.ask(&reads(key));
        self.check(key, &read[0], &read[1]);
    }

    /// What was read is what was written.
    fn check(&self, key: &[u8], json: &Response, bytes: &Response) {
        match self.keys.get(key) {
            Some((value, version)) => {
                assert_eq!((json.status, bytes.status), (200, 200));
                let item = json.json();
                assert_eq!(
                    (named(&item, "key"), named(&item, "value")),
                    (key.into(), value.clone())
                );
                assert_eq!(item["version"].as_u64(), Some(*version));
                assert_eq!(bytes.body, *value);
                assert!(bytes.head.contains(&format!("\r\netag: \"{version}\"\r\n")));
            }
            None if key.is_empty() => assert_eq!(json.code(), "invalid_key"),
            None => assert_eq!((json.status, bytes.code().as_str()), (404, "not_found")),
        }
    }

    fn delete(&mut self, key: &[u8], input: &mut Input<'_>) {
        let (condition, holds) = self.condition(key, input);
        let done = self.ask(&[request("DELETE", &path(key), &condition, b"")]).remove(0);
        if key.is_empty() {
            return assert_eq!(done.code(), "invalid_key");
        }
        self.index += 1;
        if holds {
            let was_there = self.keys.remove(key).is_some();
            assert_eq!(done.json()["deleted"].as_bool(), Some(was_there));
        } else {
            assert_eq!(done.status, 412);
        }
        self.get(key);
    }

    /// Follows the pages of a listing: together they have each key once, in order.
    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) {
        let mut target = format!("/kv?prefix={}&limit={limit}", escaped(prefix));
        if let Some(after) = after {
            target.push_str(&format!("&after={}", escaped(after)));
        }
        let mut listed = Vec::new();
        let mut next = Some(target);
        while let Some(target) = next {
            let page = self.ask(&[request("GET", &target, "", b"")])[0].json();
            let items = page["items"].as_array().expect("a page has items");
            assert!((1..=limit).contains(&items.len()) || page["next"].is_null());
            listed.extend(items.iter().map(|item| (named(item, "key"), named(item, "value"))));
            next = page["next"].as_str().map(str::to_owned);
        }
        let is_meant =
            |key: &[u8]| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let expected = self.keys.iter().filter(|(key, _)| is_meant(key));
        let expected = expected.map(|(key, (value, _))| (key.clone(), value.clone()));
        assert_eq!(listed, expected.collect::<Vec<_>>());
    }
}

/// Returns the value that a body asks for, read by others.
fn value_of(body: &[u8]) -> Vec<u8> {
    let body: Value = serde_json::from_slice(body).expect("what is accepted is JSON");
    let fields = body.as_object().expect("what is accepted is an object");
    assert!(fields.keys().all(|key| ["value", "value_base64", "ttl_ms"].contains(&key.as_str())));
    named(&body, "value")
}
