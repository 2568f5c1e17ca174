//! Connections of the HTTP frontend: how many, how long, and how they end.

mod http_support;

use std::time::{Duration, Instant};

use http_support::{Client, Server, json, patiently, request};
use raftkv_frontends::http::Options;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const SHORT: Duration = Duration::from_millis(30);
/// Does not run out by itself: with this much time, whatever was waited for would not come.
const LONG: Duration = Duration::from_secs(3600);

/// Moves the clock of all that runs in this test, without waiting.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Returns whether the server still answers.
async fn serves(server: &Server) -> bool {
    server.get("/livez", &[]).await.starts_with("HTTP/1.1 200 OK\r\n")
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let server = Server::start().await;
    let mut all = Vec::new();
    for at in 1..=50 {
        let body = format!("{{\"value\":\"{at}\"}}");
        all.extend(request("PUT", "/kv/a", &["content-type: application/json"], &body));
        all.extend(request("GET", "/kv/a", &[], ""));
    }
    let mut client = server.connect().await;
    // The requests are cut where no message ends.
    for piece in all.chunks(97) {
        client.send(piece).await;
    }
    for at in 1..=50 {
        let body = format!(r#"{{"key":"a","value":"{at}","version":{at}}}"#);
        let expected = json("200 OK", &[&format!("etag: \"{at}\"")], &body);
        assert_eq!(client.response().await, expected);
        assert_eq!(client.response().await, expected);
    }
    client.send(request("GET", "/kv/b", &["connection: close"], "")).await;
    let last = client.response().await;
    assert!(last.starts_with("HTTP/1.1 404") && last.contains("connection: close"), "{last}");
    assert_eq!(client.rest().await, "");
    server.stop().await;
}

#[tokio::test]
async fn a_client_may_wait_for_leave_to_send_its_body() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let headers = ["content-type: application/json", "content-length: 13", "expect: 100-continue"];
    client.send(request("PUT", "/kv/a", &headers, "")).await;
    assert_eq!(client.response().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("{\"value\":\"v\"}").await;
    assert!(client.response().await.starts_with("HTTP/1.1 200 OK\r\n"));
    server.stop().await;
}

#[tokio::test]
async fn garbage_ends_its_connection_and_nothing_else() {
    let server = Server::start().await;
    let garbage: [&[u8]; 7] = [
        b"\0\0\0\0\r\n\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /kv/a HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        b"GET /kv/\xff HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PUT /kv/a HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: x\r\n\r\n",
    ];
    for bytes in garbage {
        let mut client = server.connect().await;
        client.send(bytes).await;
        let rest = client.rest().await;
        let is_half = bytes.starts_with(b"\x16");
        assert!(is_half || rest.starts_with("HTTP/1.1 400 "), "{bytes:?}: {rest}");
    }
    // No line ends, no header ends: 10 MB of it are not read.
    for piece in ["*1\r\n", "a", "a: b\r\n"] {
        let mut client = server.connect().await;
        client.send("GET / HTTP/1.1\r\n").await;
        let flood = piece.repeat((10 << 20) / piece.len());
        let _ =
            patiently(tokio::io::AsyncWriteExt::write_all(&mut client.0, flood.as_bytes())).await;
        client.rest().await;
    }
    assert!(serves(&server).await);
    server.stop().await;
}

#[tokio::test]
async fn a_request_target_beyond_its_limit_is_refused() {
    let server = Server::start().await;
    let key = "k".repeat(65_000);
    let reply = server.put(&format!("/kv/{key}"), &[], r#"{"value":"v"}"#).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"));
    let reply = server.get(&format!("/kv/{key}"), &[]).await;
    assert!(reply.ends_with(r#"","value":"v","version":1}"#));
    let reply = server.get(&format!("/kv/{}", "k".repeat(66_000)), &[]).await;
    assert!(reply.starts_with("HTTP/1.1 414 "), "{reply}");
    server.stop().await;
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let server = Server::with(Options { header_timeout: SHORT, ..Options::default() }).await;
    let slow = r#"{"error":"timeout","message":"the head of the request did not arrive in time"}"#;
    let slow = json("408 Request Timeout", &["connection: close"], slow);
    let mut client = server.connect().await;
    client.send("GET /kv/a HTTP/1.1\r\nhost:").await;
    assert_eq!(client.rest().await, slow);
    // Also that of a second request; and the time between two requests is not counted.
    let mut client = server.connect().await;
    client.send(request("GET", "/", &[], "")).await;
    client.response().await;
    pass(2 * SHORT).await;
    client.send(request("GET", "/", &[], "")).await;
    client.response().await;
    client.send("G").await;
    assert_eq!(client.rest().await, slow);
    server.stop().await;
}

#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let server = Server::with(Options { body_timeout: SHORT, ..Options::default() }).await;
    let mut client = server.connect().await;
    let headers = ["content-type: application/json", "content-length: 13"];
    client.send(request("PUT", "/kv/a", &headers, "")).await;
    client.send("{\"value\":").await;
    let body = r#"{"error":"timeout","message":"the body did not arrive in time"}"#;
    assert_eq!(client.response().await, json("408 Request Timeout", &["connection: close"], body));
    assert_eq!(client.rest().await, "");
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::with(Options { idle_timeout: 5 * SHORT, ..Options::default() }).await;
    let mut client = server.connect().await;
    assert_eq!(client.rest().await, "");
    let mut client = server.connect().await;
    client.send(request("GET", "/", &[], "")).await;
    client.response().await;
    assert_eq!(client.rest().await, "");
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_takes_long_is_not_idle() {
    let (idle_timeout, header_timeout) = (5 * LONG, 5 * LONG);
    let options = Options { idle_timeout, header_timeout, ..Options::default() };
    let server = Server::with(options).await;
    server.kv.hold(true);
    let mut client = server.connect().await;
    // The next request has begun before this one is answered; the time of its head counts only
    // after that.
    client.send([request("GET", "/kv/a", &[], ""), b"GET / ".to_vec()].concat()).await;
    server.kv.called(1).await;
    pass(8 * LONG).await;
    server.kv.hold(false);
    client.send("HTTP/1.1\r\nhost: a\r\n\r\n").await;
    for status in ["HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 200 OK\r\n"] {
        let response = client.response().await;
        assert!(response.starts_with(status), "{response}");
    }
    server.stop().await;
}

/// Returns a connection on which a request was answered, as soon as the server has a place for one.
async fn place(server: &Server) -> Client {
    patiently(async {
        loop {
            let mut client = server.connect().await;
            client.send(request("GET", "/livez", &[], "")).await;
            if client.response().await.starts_with("HTTP/1.1 200 OK\r\n") {
                return client;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let options = Options { write_timeout: SHORT, max_connections: 1, ..Options::default() };
    let server = Server::with(options).await;
    let value = "x".repeat(7 << 20);
    server.put("/kv/a", &[], &format!("{{\"value\":\"{value}\"}}")).await;
    let mut client = place(&server).await;
    for _ in 0..5 {
        client.send(request("GET", "/kv/a", &[], "")).await;
    }
    // There is one place. Another client gets it only when the first has been given up.
    drop(place(&server).await);
    let rest = client.rest().await;
    assert!(rest.len() < 5 * value.len(), "{}", rest.len());
    server.stop().await;
}

#[tokio::test]
async fn the_bytes_of_all_bodies_have_a_limit() {
    let max_value_bytes = 1 << 20;
    let options = Options { max_value_bytes, max_buffered_bytes: 0, ..Options::default() };
    let server = Server::with(options).await;
    let value = format!("{{\"value\":\"{}\"}}", "x".repeat(max_value_bytes));
    let put = |key: &str| {
        request("PUT", &format!("/kv/{key}"), &["content-type: application/json"], &value)
    };
    server.kv.hold(true);
    let mut first = server.connect().await;
    first.send(put("a")).await;
    server.kv.called(1).await;
    // The first one still holds its body, and both do not fit.
    let mut second = server.connect().await;
    second.send(put("b")).await;
    let body = r#"{"error":"overloaded","message":"too many bytes of requests and responses are under way"}"#;
    let response = second.response().await;
    assert!(response.starts_with("HTTP/1.1 503 ") && response.ends_with(body), "{response}");
    server.kv.hold(false);
    // The write is done, though there is no room to repeat a value of this length beside the
    // request.
    let reply = first.response().await;
    assert_eq!(reply, json("200 OK", &["etag: \"1\""], r#"{"key":"a","version":1}"#));
    let bytes = "accept: application/octet-stream";
    let mut reader = server.connect().await;
    reader.send(request("GET", "/kv/a", &[bytes], "")).await;
    assert_eq!(reader.body().await.len(), max_value_bytes);
    // What is read is given back.
    reader.send(put("b")).await;
    assert!(reader.response().await.starts_with("HTTP/1.1 200 OK\r\n"));
    server.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let server = Server::with(Options { max_connections: 1000, ..Options::default() }).await;
    let mut open = Vec::new();
    for _ in 0..1000 {
        let mut client = server.connect().await;
        client.send(request("GET", "/", &[], "")).await;
        assert!(client.response().await.starts_with("HTTP/1.1 200 OK\r\n"));
        open.push(client);
    }
    let full = r#"{"error":"overloaded","message":"too many connections are open here"}"#;
    let headers = ["retry-after: 1", "connection: close"];
    let full = json("503 Service Unavailable", &headers, full);
    for _ in 0..3 {
        let mut client = server.connect().await;
        client.send(request("GET", "/kv/a", &[], "")).await;
        assert_eq!(client.rest().await, full);
    }
    // A place that becomes free is taken.
    open.pop();
    place(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn one_request_too_many_is_told_so() {
    let server = Server::with(Options { max_in_flight: 2, ..Options::default() }).await;
    server.kv.hold(true);
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send(request("GET", "/kv/a", &[], "")).await;
    second.send(request("GET", "/kv", &[], "")).await;
    server.kv.called(2).await;
    let body = r#"{"error":"overloaded","message":"too many requests are under way"}"#;
    let reply = server.get("/kv/a", &[]).await;
    assert_eq!(reply, json("503 Service Unavailable", &["retry-after: 1"], body));
    assert!(server.get("/readyz", &[]).await.starts_with("HTTP/1.1 200 OK\r\n"));
    // A client that goes away gives its place back.
    drop(first);
    patiently(async {
        server.kv.hold(false);
        while !server.get("/kv/a", &[]).await.starts_with("HTTP/1.1 404") {}
    })
    .await;
    assert!(second.response().await.starts_with("HTTP/1.1 200 OK\r\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_has_begun() {
    let server = Server::start().await;
    let (kv, address) = (server.kv.clone(), server.address);
    let mut idle = server.connect().await;
    idle.send(request("GET", "/", &[], "")).await;
    idle.response().await;
    kv.hold(true);
    let mut busy = server.connect().await;
    busy.send(request("GET", "/kv/a", &[], "")).await;
    kv.called(1).await;
    let task = server.ask_to_stop();
    assert_eq!(idle.rest().await, "");
    assert!(TcpStream::connect(address).await.is_err());
    kv.hold(false);
    let last = busy.response().await;
    assert!(last.starts_with("HTTP/1.1 404 Not Found\r\n"), "{last}");
    assert_eq!(busy.rest().await, "");
    patiently(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_request_that_is_half_sent() {
    let server = Server::with(Options { stop_timeout: LONG, ..Options::default() }).await;
    let mut halves = Vec::new();
    // The first request of a connection, and a later one; some with a whole one in front, so that
    // the server is known to have read the half.
    for half in ["", "G", "GET / HTTP/1.1\r\nhost: a\r\n", "PUT /kv/a HTTP/1.1\r\nhost"] {
        let mut client = server.connect().await;
        client.send([&request("GET", "/", &[], "")[..], half.as_bytes()].concat()).await;
        client.response().await;
        halves.push(client);
        let mut client = server.connect().await;
        client.send(half).await;
        halves.push(client);
    }
    let mut body = server.connect().await;
    let head = ["content-type: application/json", "content-length: 13", "expect: 100-continue"];
    body.send(request("PUT", "/kv/a", &head, "")).await;
    // The leave to send the body says that the body is waited for.
    assert_eq!(body.response().await, "HTTP/1.1 100 Continue\r\n\r\n");
    body.send("{\"value\":").await;
    let task = server.ask_to_stop();
    for mut client in halves {
        assert_eq!(client.rest().await, "");
    }
    let stopping = r#"{"error":"stopping","message":"the node is stopping"}"#;
    let headers = ["retry-after: 1", "connection: close"];
    assert_eq!(body.rest_undated().await, json("503 Service Unavailable", &headers, stopping));
    patiently(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_stops_waits_for_nobody_to_close() {
    let options = Options { stop_timeout: LONG, max_connections: 1, ..Options::default() };
    let server = Server::with(options).await;
    // Both have been told that it is over, and have not closed.
    let mut garbage = server.connect().await;
    garbage.send("nonsense\r\n\r\n").await;
    garbage.head().await;
    let mut refused = server.connect().await;
    refused.head().await;
    let asked = Instant::now();
    patiently(server.ask_to_stop()).await.unwrap().unwrap();
    // They would have had a second.
    assert!(asked.elapsed() < Duration::from_millis(900), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_ever() {
    let server = Server::with(Options { stop_timeout: SHORT, ..Options::default() }).await;
    let kv = server.kv.clone();
    kv.hold(true);
    let mut busy = server.connect().await;
    busy.send(request("GET", "/kv/a", &[], "")).await;
    kv.called(1).await;
    patiently(server.ask_to_stop()).await.unwrap().unwrap();
    assert_eq!(patiently(busy.0.read(&mut [0; 1])).await.unwrap_or(0), 0);
}
