//! Every error of the HTTP frontend, byte by byte: the status, the code, the headers that say what
//! to do next.

mod http_support;

use http_support::{Server, json, node, request};
use raftkv_frontends::http::Options;
use raftkv_frontends::{Error, Role, Unavailable};

fn error(status: &str, headers: &[&str], code: &str, message: &str) -> String {
    json(status, headers, &format!(r#"{{"error":"{code}","message":"{message}"}}"#))
}

#[tokio::test]
async fn a_follower_points_to_the_leader_with_the_same_request() {
    let server = Server::start().await;
    server.kv.change(|cluster| (cluster.role, cluster.leader) = (Role::Follower, Some(node("B"))));
    server.kv.answer(Err(Error::NotLeader { leader: node("B") }));
    let body = r#"{"error":"not_leader","message":"node B leads; ask there","leader":{"id":"B","http":"http://127.0.0.1:8002"}}"#;
    for (method, target) in [
        ("GET", "/kv/a%2Fb%00"),
        ("DELETE", "/kv/a"),
        ("GET", "/kv?prefix=a%20b&after=&limit=3"),
        ("GET", "/kv//x.invalid/"),
    ] {
        let location = format!("location: http://127.0.0.1:8002{target}");
        let reply = server.ask(request(method, target, &[], "")).await;
        assert_eq!(reply, json("409 Conflict", &[&location], body), "{method} {target}");
    }
    let reply = server.put("/kv/a", &[], r#"{"value":"v"}"#).await;
    let location = "location: http://127.0.0.1:8002/kv/a";
    assert_eq!(reply, json("409 Conflict", &[location], body));

    // A leader this node has no address of is as good as none.
    server.kv.answer(Err(Error::NotLeader { leader: node("Z") }));
    let reply = server.get("/kv/a", &[]).await;
    assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("no_leader"), "{reply}");
    server.stop().await;
}

#[tokio::test]
async fn what_the_store_cannot_do_now_has_a_status_each() {
    let server = Server::start().await;
    let (again, busy) = (["retry-after: 1"].as_slice(), "503 Service Unavailable");
    let unavailable = Error::Unavailable;
    let no_space = "no space left on the disk for the log; the node is read-only";
    let cases = [
        (Error::NoLeader, busy, again, "no_leader", "no leader is known"),
        (
            Error::Unknown,
            "504 Gateway Timeout",
            &[],
            "unknown_outcome",
            "the outcome of the write is unknown",
        ),
        (unavailable(Unavailable::Loading), busy, again, "loading", "the node is loading its log"),
        (unavailable(Unavailable::Stopping), busy, again, "stopping", "the node is stopping"),
        (
            unavailable(Unavailable::Overloaded),
            busy,
            again,
            "overloaded",
            "too many writes are under way",
        ),
        (unavailable(Unavailable::NoSpace), "507 Insufficient Storage", &[], "no_space", no_space),
        (
            unavailable(Unavailable::TooLarge),
            "413 Payload Too Large",
            &[],
            "too_large",
            "the request is too large for one log entry",
        ),
    ];
    for (cause, status, headers, code, message) in cases {
        server.kv.answer(Err(cause));
        let expected = error(status, headers, code, message);
        assert_eq!(server.put("/kv/a", &[], r#"{"value":"v"}"#).await, expected);
        assert_eq!(server.get("/kv/a", &[]).await, expected);
        assert_eq!(server.get("/kv", &[]).await, expected);
        assert_eq!(server.ask(request("DELETE", "/kv/a", &[], "")).await, expected);
        assert_eq!(server.get("/status", &[]).await, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn probes_need_no_leader() {
    let server = Server::start().await;
    let live = json("200 OK", &[], r#"{"status":"live"}"#);
    let ready = json("200 OK", &[], r#"{"status":"ready","leader":"A"}"#);
    assert_eq!(server.get("/livez", &[]).await, live);
    assert_eq!(server.get("/readyz?verbose", &[]).await, ready);

    let again = ["retry-after: 1"];
    server.kv.change(|cluster| cluster.leader = None);
    let no_leader = error("503 Service Unavailable", &again, "no_leader", "no leader is known");
    assert_eq!(server.get("/readyz", &[]).await, no_leader);
    assert_eq!(server.get("/livez", &[]).await, live);
    assert!(server.get("/status", &[]).await.starts_with("HTTP/1.1 200"));

    server.kv.change(|cluster| cluster.loading = true);
    server.kv.answer(Err(Error::Unavailable(Unavailable::Loading)));
    let loading =
        error("503 Service Unavailable", &again, "loading", "the node is loading its log");
    assert_eq!(server.get("/readyz", &[]).await, loading);
    assert_eq!(server.get("/livez", &[]).await, live);
    server.kv.answer(Err(Error::Unavailable(Unavailable::Stopping)));
    assert!(server.get("/livez", &[]).await.starts_with("HTTP/1.1 503"));
    server.stop().await;
}

#[tokio::test]
async fn a_loop_that_does_not_turn_is_not_alive() {
    let options =
        Options { probe_timeout: std::time::Duration::from_millis(5), ..Options::default() };
    let server = Server::with(options).await;
    server.kv.hold(true);
    let stalled = error(
        "503 Service Unavailable",
        &["retry-after: 1"],
        "stalled",
        "the node did not answer in time",
    );
    assert_eq!(server.get("/livez", &[]).await, stalled);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_not_the_expected_json_is_refused() {
    let server = Server::start().await;
    let cases = [
        ("{", "invalid_json", "EOF while parsing an object at line 1 column 1"),
        ("{}", "invalid_body", "give either value or value_base64"),
        ("{\"value\":null}", "invalid_body", "give either value or value_base64"),
        (
            "{\"value\":\"a\",\"value_base64\":\"YQ==\"}",
            "invalid_body",
            "give either value or value_base64",
        ),
        (
            "{\"value\":\"a\",\"ttl\":1}",
            "invalid_json",
            "unknown field `ttl`, expected one of `value`, `value_base64`, `ttl_ms` at line 1 column 18",
        ),
        (
            "{\"value\":1}",
            "invalid_json",
            "invalid type: integer `1`, expected a string at line 1 column 10",
        ),
        (
            "{\"value\":\"a\",\"value\":\"b\"}",
            "invalid_json",
            "duplicate field `value` at line 1 column 20",
        ),
        ("{\"value\":\"a\"}x", "invalid_json", "trailing characters at line 1 column 14"),
        (
            "{\"value\":\"a\",\"ttl_ms\":0}",
            "invalid_body",
            "ttl_ms is a whole number from 1 to 9007199254740991",
        ),
        (
            "{\"value\":\"a\",\"ttl_ms\":9007199254740992}",
            "invalid_body",
            "ttl_ms is a whole number from 1 to 9007199254740991",
        ),
        (
            "{\"value\":\"a\",\"ttl_ms\":-1}",
            "invalid_json",
            "invalid value: integer `-1`, expected u64 at line 1 column 24",
        ),
        (
            "{\"value_base64\":\"YR==\"}",
            "invalid_body",
            "value_base64: Invalid last symbol 82, offset 1.",
        ),
    ];
    for (body, code, message) in cases {
        let reply = server.put("/kv/a", &[], body).await;
        assert_eq!(reply, error("400 Bad Request", &[], code, message), "{body}");
    }
    // No text holds half a character, neither escaped nor as bytes; nor does nesting reach the
    // stack.
    let nested = format!("{{\"value\":{}", "[".repeat(100_000));
    let rest =
        ["{\"value\":\"\\ud800\"}", "{\"value\":\"\\udc00\\ud800\"}", "[]", "null", "", &nested];
    for body in rest {
        let reply = server.put("/kv/a", &[], body).await;
        assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{reply}");
        assert!(reply.contains(r#"{"error":"invalid_json","#), "{reply}");
    }
    let mut raw =
        request("PUT", "/kv/a", &["content-type: application/json"], "{\"value\":\"XX\"}");
    raw.iter_mut().filter(|byte| **byte == b'X').for_each(|byte| *byte = 0xc3);
    assert!(server.ask(raw).await.contains("invalid_json"));
    assert!(server.get("/kv/a", &[]).await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}

#[tokio::test]
async fn a_form_cannot_write() {
    let server = Server::start().await;
    let expected = error(
        "415 Unsupported Media Type",
        &["connection: close"],
        "unsupported_media_type",
        "send Content-Type: application/json, or application/octet-stream for bytes",
    );
    let types: [&[&str]; 8] = [
        &[],
        &["content-type: text/plain"],
        &["content-type: application/x-www-form-urlencoded"],
        &["content-type: multipart/form-data; boundary=application/json"],
        &["content-type: text/plain; application/json"],
        &["content-type: application/json-patch+json"],
        &["content-type: application/json", "content-type: text/plain"],
        &["content-type: application/json", "content-encoding: gzip"],
    ];
    for headers in types {
        let reply = server.ask(request("PUT", "/kv/a", headers, r#"{"value":"v"}"#)).await;
        assert_eq!(reply, expected, "{headers:?}");
    }
    let charset = "content-type: Application/JSON; charset=utf-8";
    let reply = server.ask(request("PUT", "/kv/a", &[charset], r#"{"value":"v"}"#)).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    // A preflight gets no leave: neither the status nor the headers that would give it.
    let asks = ["origin: http://x.invalid", "access-control-request-method: PUT"];
    let reply = server.ask(request("OPTIONS", "/kv/a", &asks, "")).await;
    assert!(reply.starts_with("HTTP/1.1 421") && !reply.contains("access-control"), "{reply}");
    server.stop().await;
}

#[tokio::test]
async fn too_large_is_said_before_it_is_read() {
    let server = Server::with(Options { max_value_bytes: 10, ..Options::default() }).await;
    let too_large = |limit: u64| {
        let message = format!("the limit is {limit} bytes for this");
        error("413 Payload Too Large", &["connection: close"], "too_large", &message)
    };
    let limit = 16 + (64 << 10);
    // Announced, never sent.
    let length = format!("content-length: {}", limit + 1);
    let json = "content-type: application/json";
    let mut client = server.connect().await;
    client.send(request("PUT", "/kv/a", &[json, &length], "")).await;
    assert_eq!(client.response().await, too_large(limit));
    assert_eq!(client.rest().await, "");
    // Not announced: found out piece by piece.
    let mut client = server.connect().await;
    client.send(request("PUT", "/kv/a", &[json, "transfer-encoding: chunked"], "")).await;
    client.send(format!("{:x}\r\n{}\r\n", limit + 1, " ".repeat(limit as usize + 1))).await;
    assert_eq!(client.response().await, too_large(limit));

    assert_eq!(server.put("/kv/a", &[], r#"{"value":"12345678901"}"#).await, too_large(10));
    let bytes = "content-type: application/octet-stream";
    let reply = server.ask(request("PUT", "/kv/a", &[bytes], "12345678901")).await;
    assert_eq!(reply, too_large(10));
    assert!(
        server.put("/kv/a", &[], r#"{"value":"1234567890"}"#).await.starts_with("HTTP/1.1 200")
    );
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_parameter_is_refused() {
    let server = Server::start().await;
    let limit = "limit is a whole number from 1 to 1000";
    let cases = [
        ("/kv?prefx=a", "unknown parameter \\\"prefx\\\""),
        ("/kv?prefix=a&prefix=b", "prefix is given twice"),
        ("/kv?prefix=%4", "a % in prefix begins no escape"),
        ("/kv?limit=0", limit),
        ("/kv?limit=1001", limit),
        ("/kv?limit=-1", limit),
        ("/kv?limit=%2B1", limit),
        ("/kv?limit=", limit),
        ("/kv?limit=99999999999999999999", limit),
        ("/kv/a?ttl_ms=1", "unknown parameter \\\"ttl_ms\\\""),
        ("/status?digest=yes", "digest is true or false"),
    ];
    for (target, message) in cases {
        let expected = error("400 Bad Request", &[], "invalid_query", message);
        assert_eq!(server.get(target, &[]).await, expected, "{target}");
    }
    let bytes = "content-type: application/octet-stream";
    let reply = server.ask(request("PUT", "/kv/a?ttl_ms=0", &[bytes], "v")).await;
    let message = "ttl_ms is a whole number from 1 to 9007199254740991";
    let expected = error("400 Bad Request", &["connection: close"], "invalid_query", message);
    assert_eq!(reply, expected);
    server.stop().await;
}

#[tokio::test]
async fn unknown_routes_and_methods_are_json_too() {
    let server = Server::start().await;
    let unknown =
        error("404 Not Found", &[], "unknown_route", "nothing lives here; GET / lists what does");
    for (method, target) in
        [("GET", "/x"), ("PUT", "/kvx"), ("POST", "/KV/a"), ("GET", "//kv/a"), ("OPTIONS", "*")]
    {
        assert_eq!(server.ask(request(method, target, &[], "")).await, unknown, "{target}");
    }
    let message = "the Allow header lists the methods this path takes";
    for (method, target, allow) in [
        ("POST", "/kv/a", "allow: GET,HEAD,PUT,DELETE"),
        ("PATCH", "/kv/", "allow: GET,HEAD,PUT,DELETE"),
        ("PUT", "/kv", "allow: GET,HEAD"),
        ("DELETE", "/kv", "allow: GET,HEAD"),
        ("POST", "/status", "allow: GET,HEAD"),
        ("BREW", "/", "allow: GET,HEAD"),
    ] {
        let expected = error("405 Method Not Allowed", &[allow], "method_not_allowed", message);
        assert_eq!(server.ask(request(method, target, &[], "")).await, expected, "{target}");
    }
    server.stop().await;
}

/// A page whose name is made to resolve to this node is of the same origin, as a browser sees it.
#[tokio::test]
async fn a_browser_must_mean_this_node() {
    let server = Server::start().await;
    for (host, origin, status) in [
        ("evil.example", "origin: http://evil.example", 421),
        ("evil.example", "sec-fetch-site: same-origin", 421),
        ("localhost:8001", "origin: http://localhost:8001", 404),
        ("127.0.0.1", "sec-fetch-site: none", 404),
        ("[::1]:8001", "origin: http://[::1]:8001", 404),
        // Not a browser.
        ("evil.example", "x-any: thing", 404),
    ] {
        let ask = format!("GET /kv/none HTTP/1.1\r\nhost: {host}\r\n{origin}\r\n\r\n");
        let reply = server.ask(ask).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{host} {origin}: {reply}");
    }
    server.stop().await;
}
