//! What is refused before it is a request, byte by byte, and the odd forms that are none the worse.

mod http_support;

use std::collections::BTreeSet;

use http_support::{Client, Server, json, request};
use raftkv_frontends::Kv;
use raftkv_storage::keyspace::http::{self, Condition};
use serde_json::Value;

fn rejected(status: &str, code: &str, message: &str) -> String {
    let body = format!(r#"{{"error":"{code}","message":"{message}"}}"#);
    json(status, &["connection: close"], &body)
}

fn malformed(reason: &str) -> String {
    let message = format!("not an HTTP/1 request: {reason}");
    rejected("400 Bad Request", "malformed_request", &message)
}

/// What no service ever sees, and what is answered.
fn rejections() -> Vec<(Vec<u8>, String)> {
    let head = |rest: &str| format!("PUT /kv/a HTTP/1.1\r\nhost: a\r\n{rest}\r\n\r\n").into_bytes();
    let length = malformed("invalid content-length parsed");
    let coding = malformed("invalid transfer-encoding parsed");
    let header = malformed("invalid HTTP header parsed");
    let version = malformed("invalid HTTP version parsed");
    let too_long = "a request target has at most 65534 bytes";
    let too_large = "the head of a request has at most 256 KiB and 100 headers";
    let too_large = rejected("431 Request Header Fields Too Large", "head_too_large", too_large);
    vec![
        (b"\0\0\0\0\r\n\r\n".to_vec(), malformed("invalid HTTP method parsed")),
        (b"G(T / HTTP/1.1\r\n\r\n".to_vec(), malformed("invalid HTTP method parsed")),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), version),
        (b"GET /\r\n\r\n".to_vec(), malformed("invalid URI")),
        (b"GET /a\x01b HTTP/1.1\r\n\r\n".to_vec(), malformed("invalid URI")),
        (b"GET a/b HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), malformed("invalid URI")),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            malformed("invalid HTTP version parsed (found HTTP2 preface)"),
        ),
        (head("no colon"), header.clone()),
        (head("a b: c"), header.clone()),
        (head("a: b\0c"), header),
        (head("content-length: x"), length.clone()),
        (head("content-length: -1"), length.clone()),
        (head("content-length: 1\r\ncontent-length: 2"), length.clone()),
        (head("content-length: 99999999999999999999"), length),
        (head("transfer-encoding: x"), coding.clone()),
        (head("transfer-encoding: chunked, gzip"), coding),
        (
            b"PUT /kv/a HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
            malformed("unexpected transfer-encoding parsed"),
        ),
        (
            request("GET", &format!("/kv/{}", "k".repeat(66_000)), &[], ""),
            rejected("414 URI Too Long", "uri_too_long", too_long),
        ),
        (head(&"a: b\r\n".repeat(101)), too_large.clone()),
        (head(&format!("a: {}", "b".repeat(256 << 10))), too_large),
    ]
}

#[tokio::test]
async fn what_is_no_request_is_answered_in_json_too() {
    let server = Server::start().await;
    let index = server.get("/", &[]).await;
    for (bytes, expected) in rejections() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        eprintln!("{shown}");
        let mut client = server.connect().await;
        client.send(&bytes).await;
        assert_eq!(client.rest().await, expected, "{shown}");
        // After a good request, in one piece with it, the good one has its answer first.
        let good = request("GET", "/", &[], "");
        let mut client = server.connect().await;
        client.send([&good[..], &bytes].concat()).await;
        assert_eq!(client.rest_undated().await, index.clone() + &expected, "after GET: {shown}");
        // And when the good one was answered before.
        let mut client = server.connect().await;
        client.send(&good).await;
        assert_eq!(client.response().await, index);
        client.send(&bytes).await;
        assert_eq!(client.rest().await, expected, "after an answer: {shown}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_begins_as_head_is_answered_without_a_body() {
    let server = Server::start().await;
    let good = request("HEAD", "/", &[], "");
    for (rest, is_left) in [
        (" /kv/a HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", false),
        (" /kv/a HTTP/1.1\r\nno colon\r\n\r\n", true),
        (" a/b HTTP/1.1\r\nhost: a\r\n\r\n", false),
        (&format!(" /{} HTTP/1.1\r\nhost: a\r\n\r\n", "k".repeat(66_000)), true),
    ] {
        let mut client = server.connect().await;
        client.send(format!("GET{rest}")).await;
        let (head, length) = client.head().await;
        let body = client.rest().await;
        assert_eq!(body.len(), length);
        assert!(body.starts_with(r#"{"error":""#), "{body}");
        for first in [&b""[..], &good] {
            let mut client = server.connect().await;
            client.send(first).await;
            if !first.is_empty() {
                assert!(client.head().await.0.starts_with("HTTP/1.1 200 OK\r\n"));
            }
            client.send(format!("HEAD{rest}")).await;
            assert_eq!(client.rest().await, head);
        }
        // In one piece with another request it can be known where the head is still unread.
        if is_left {
            let mut client = server.connect().await;
            client.send([&good[..], b"HEAD", rest.as_bytes()].concat()).await;
            assert!(client.head().await.0.starts_with("HTTP/1.1 200 OK\r\n"));
            assert_eq!(client.rest().await, head);
        }
        // What follows a HEAD is not taken for one.
        let mut client = server.connect().await;
        client.send([&good[..], b"GET", rest.as_bytes()].concat()).await;
        assert!(client.head().await.0.starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(client.rest().await, head.clone() + &body);
    }
    server.stop().await;
}

/// A value may look like what is kept back, and responses may be long: ours always leave.
#[tokio::test]
async fn an_answer_is_not_taken_for_a_rejection() {
    let server = Server::start().await;
    let bytes = "content-type: application/octet-stream";
    let wanted = "accept: application/octet-stream";
    let lookalike = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let long = "x".repeat(3 << 20);
    let mut client = server.connect().await;
    for value in [lookalike, &long] {
        client.send(request("PUT", "/kv/a", &[bytes], value)).await;
        assert!(client.response().await.starts_with("HTTP/1.1 200 OK\r\n"));
        client.send(request("GET", "/kv/a", &[wanted], "").repeat(3)).await;
        for _ in 0..3 {
            assert!(client.response().await.ends_with(value));
        }
    }
    client.send([request("GET", "/kv/a", &[wanted], ""), b"?\r\n\r\n".to_vec()].concat()).await;
    assert!(client.response().await.ends_with(&long));
    assert_eq!(client.rest().await, malformed("invalid HTTP method parsed"));
    server.stop().await;
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::start().await;
    let message = "not an HTTP/1 request: it takes one Host header";
    let body = format!(r#"{{"error":"malformed_request","message":"{message}"}}"#);
    let refused = json("400 Bad Request", &[], &body);
    for head in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"] {
        assert_eq!(server.ask(head).await, refused);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_odd_forms_of_a_request_are_taken() {
    let server = Server::start().await;
    let put = |version: &str, target: &str, headers: &str, body: &str| {
        format!(
            "PUT {target} HTTP/{version}\r\nhost: a\r\ncontent-type: application/json\r\n\
             {headers}\r\n{body}"
        )
    };
    let length = "content-length: 13\r\n";
    let value = r#"{"value":"v"}"#;
    let chunks = "4;x=y\r\n{\"va\r\n9\r\nlue\":\"v\"}\r\n0\r\ntrailer: t\r\n\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    for (at, ask) in [
        put("1.1", "/kv/a", length, value),
        put("1.1", "http://a/kv/a", length, value),
        put("1.1", "http://other.example:80/kv/a", length, value),
        put("1.1", "/kv/a", chunked, chunks),
        put("1.0", "/kv/a", length, value).replace("host: a\r\n", ""),
        format!("\r\n\r\n{}", put("1.1", "/kv/a", length, value)),
    ]
    .iter()
    .enumerate()
    {
        let version = at + 1;
        let reply = server.ask(ask).await;
        assert!(reply.contains(" 200 OK\r\n"), "{ask}: {reply}");
        let body = format!(r#"{{"key":"a","value":"v","version":{version}}}"#);
        assert!(reply.ends_with(&body), "{ask}: {reply}");
    }
    // Chunks that are none, a body that is refused before it is sent, a body that is no JSON.
    for (headers, body, status) in [
        (chunked, "x\r\n{", "400 Bad Request"),
        (chunked, "fffffffffffffffff\r\n", "400 Bad Request"),
        ("content-length: 99999999\r\nexpect: 100-continue\r\n", "", "413 Payload Too Large"),
        ("", "", "400 Bad Request"),
    ] {
        let mut client = server.connect().await;
        client.send(put("1.1", "/kv/a", headers, body)).await;
        let reply = client.response().await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{body}: {reply}");
        assert!(reply.contains(r#"{"error":""#), "{body}: {reply}");
    }
    let empty = r#"{"error":"invalid_key","message":"a key has at least one byte"}"#;
    for method in ["GET", "DELETE"] {
        let reply = server.ask(request(method, "/kv/", &[], "")).await;
        assert_eq!(reply, json("400 Bad Request", &[], empty), "{method}");
    }
    let reply = server.put("/kv/", &[], value).await;
    assert_eq!(reply, json("400 Bad Request", &["connection: close"], empty));
    server.stop().await;
}

/// Follows a listing to its end; returns its keys, or the last reply that was none.
async fn list(server: &Server, limit: usize) -> Result<Vec<Vec<u8>>, String> {
    let mut target = format!("/kv?limit={limit}");
    let mut keys = Vec::new();
    let mut client: Client = server.connect().await;
    loop {
        client.send(request("GET", &target, &[], "")).await;
        let reply = client.response().await;
        if !reply.starts_with("HTTP/1.1 200 OK\r\n") {
            return Err(reply);
        }
        let (_, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
        let page: Value = serde_json::from_str(body).expect("JSON");
        for item in page["items"].as_array().expect("items") {
            // Enough to tell the keys of these tests apart.
            let key = item["key"].as_str().or(item["key_base64"].as_str()).expect("a key");
            keys.push(key.into());
        }
        let Some(next) = page["next"].as_str() else { return Ok(keys) };
        if keys.len() > 100 {
            return Err("the listing goes round in circles".to_owned());
        }
        target = next.to_owned();
    }
}

#[tokio::test]
async fn pages_of_keys_that_fit_into_no_link_lead_on() {
    let server = Server::start().await;
    let long = |beginning: &[u8], fill: u8, end: &[u8]| {
        let mut key = beginning.to_vec();
        key.resize((64 << 10) - end.len(), fill);
        key.extend_from_slice(end);
        key
    };
    let mut keys = BTreeSet::new();
    for first in [b'a', b'b', 0xfe, 0xff] {
        keys.extend([vec![first], long(&[first, 0xff], 0xfe, b""), long(&[first, 7], 0x80, b"")]);
        keys.extend([long(&[first, 8], 0x80, b""), vec![first, 9]]);
    }
    // One that ends where its neighbour goes on, and one that is the beginning of the next.
    keys.extend([long(b"m", 0xfe, b"")[..30_000].to_vec(), b"n".to_vec()]);
    keys.extend([long(b"o", 0x80, b"")[..20_000].to_vec(), long(b"o", 0x80, b"")]);
    for key in &keys {
        let put = http::put(key, b"v", None, Condition::None);
        server.kv.execute(put).await.expect("a write");
    }
    for limit in [1, 2, 3, 5, 1000] {
        let listed = list(&server, limit).await.expect("a listing");
        assert_eq!(listed.len(), keys.len(), "limit {limit}");
        assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), keys.len(), "limit {limit}");
    }
    // Two that differ in nothing that fits into a link: a page that must end between them cannot.
    for end in [b"1", b"2"] {
        let put = http::put(&long(b"z", 0x80, end), b"v", None, Condition::None);
        server.kv.execute(put).await.expect("a write");
    }
    let message = "no link to the next page fits into a request, so long is what the keys here \
                   have in common: ask with a greater limit, or list them with SCAN";
    let body = format!(r#"{{"error":"link_too_long","message":"{message}"}}"#);
    assert_eq!(list(&server, 1).await, Err(json("400 Bad Request", &[], &body)));
    for limit in [2, 3, 4, 5] {
        let listed = list(&server, limit).await.expect("a listing");
        assert_eq!(listed.len(), keys.len() + 2, "limit {limit}");
    }
    server.stop().await;
}
