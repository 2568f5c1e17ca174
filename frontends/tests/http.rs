//! The HTTP routes, byte by byte: real requests on a socket, over a store in memory.

mod http_support;

use http_support::{Server, json, node, request};
use raftkv_frontends::{Kv, Role};
use raftkv_storage::keyspace::{Reply, http};

#[tokio::test]
async fn put_answers_the_key_the_value_and_the_version() {
    let server = Server::start().await;
    let reply = server.put("/kv/a", &[], r#"{"value":"one"}"#).await;
    let body = r#"{"key":"a","value":"one","version":1}"#;
    assert_eq!(reply, json("200 OK", &["etag: \"1\""], body));

    let reply = server.put("/kv/a", &[], r#"{"value":"two","ttl_ms":1500}"#).await;
    let body = r#"{"key":"a","value":"two","version":2,"ttl_ms":1500}"#;
    assert_eq!(reply, json("200 OK", &["etag: \"2\""], body));

    let reply = server.get("/kv/a", &[]).await;
    assert_eq!(reply, json("200 OK", &["etag: \"2\""], body));

    // A write without a time to live takes an earlier one away.
    server.put("/kv/a", &[], r#"{"value":""}"#).await;
    let body = r#"{"key":"a","value":"","version":3}"#;
    assert_eq!(server.get("/kv/a", &[]).await, json("200 OK", &["etag: \"3\""], body));
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_not_text_are_base64_both_ways() {
    let server = Server::start().await;
    let reply = server.put("/kv/%ff%00", &[], r#"{"value_base64":"/wD+"}"#).await;
    let body = r#"{"key_base64":"/wA=","value_base64":"/wD+","version":1}"#;
    assert_eq!(reply, json("200 OK", &["etag: \"1\""], body));
    assert_eq!(server.get("/kv/%FF%00", &[]).await, json("200 OK", &["etag: \"1\""], body));

    // Base64 that turns out to be text comes back as text, and the padding may be missing.
    let reply = server.put("/kv/t", &[], r#"{"value_base64":"aGVsbG8"}"#).await;
    let body = r#"{"key":"t","value":"hello","version":2}"#;
    assert_eq!(reply, json("200 OK", &["etag: \"2\""], body));

    let reply = server.get("/kv/%ff", &[]).await;
    let body = r#"{"error":"not_found","message":"the key does not exist","key_base64":"/w=="}"#;
    assert_eq!(reply, json("404 Not Found", &[], body));
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_the_rest_of_the_path() {
    let server = Server::start().await;
    let keys = [
        ("/kv/a/b", "a/b"),
        ("/kv/a%2Fb", "a/b"),
        ("/kv//", "/"),
        ("/kv/a/", "a/"),
        ("/kv/%00", "\\u0000"),
        ("/kv/a+b", "a+b"),
        ("/kv/%25", "%"),
        ("/kv/%C3%A9", "é"),
        ("/kv/kv", "kv"),
        ("/kv/.", "."),
    ];
    for (at, (target, key)) in keys.into_iter().enumerate() {
        let version = at + 1;
        let reply = server.put(target, &[], r#"{"value":"v"}"#).await;
        let body = format!(r#"{{"key":"{key}","value":"v","version":{version}}}"#);
        assert_eq!(reply, json("200 OK", &[&format!("etag: \"{version}\"")], &body), "{target}");
    }
    for target in ["/kv/%", "/kv/%2", "/kv/%zz", "/kv/%2%32", "/kv/a%+1"] {
        let body = r#"{"error":"invalid_key","message":"a % in the path begins no escape"}"#;
        assert_eq!(server.get(target, &[]).await, json("400 Bad Request", &[], body), "{target}");
    }
    let body = r#"{"error":"invalid_key","message":"a key has at least one byte"}"#;
    assert_eq!(server.get("/kv/", &[]).await, json("400 Bad Request", &[], body));
    server.stop().await;
}

#[tokio::test]
async fn bytes_are_given_to_those_who_ask_for_bytes() {
    let server = Server::start().await;
    let bytes = "content-type: application/octet-stream";
    let reply = server.ask(request("PUT", "/kv/a?ttl_ms=9", &[bytes], "raw\0")).await;
    let body = r#"{"key":"a","value":"raw\u0000","version":1,"ttl_ms":9}"#;
    assert_eq!(reply, json("200 OK", &["etag: \"1\""], body));

    let raw = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\netag: \"1\"\r\n\
        cache-control: no-store\r\nx-content-type-options: nosniff\r\ncontent-length: 4\r\n\r\nraw\0";
    let accepts = [
        ("accept: application/octet-stream", true),
        ("accept: Application/Octet-Stream;q=0.5, application/json;q=0.4", true),
        ("accept: application/json, application/octet-stream", false),
        ("accept: application/octet-stream;q=0", false),
        ("accept: */*", false),
        ("accept: \u{fc}", false),
    ];
    for (accept, is_raw) in accepts {
        let reply = server.get("/kv/a", &[accept]).await;
        let expected = if is_raw { raw } else { &json("200 OK", &["etag: \"1\""], body) };
        assert_eq!(reply, expected, "{accept}");
    }
    server.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::start().await;
    server.put("/kv/a", &[], r#"{"value":"one"}"#).await;
    let mut client = server.connect().await;
    client.send(request("HEAD", "/kv/a", &[], "")).await;
    let (head, length) = client.head().await;
    let body = r#"{"key":"a","value":"one","version":1}"#;
    let expected = json("200 OK", &["etag: \"1\""], body);
    assert_eq!((head.as_str(), length), (expected.strip_suffix(body).unwrap(), body.len()));
    // Nothing came after the head: what follows is the next response.
    client.send(request("GET", "/kv/a", &[], "")).await;
    assert_eq!(client.response().await, expected);
    server.stop().await;
}

#[tokio::test]
async fn a_write_can_ask_for_the_version_it_replaces() {
    let server = Server::start().await;
    let refused = |version: &str| {
        let body = format!(
            r#"{{"error":"precondition_failed","message":"the key is not as the condition asks","version":{version}}}"#
        );
        json("412 Precondition Failed", &[], &body)
    };
    let value = r#"{"value":"v"}"#;
    for condition in ["if-match: \"1\"", "if-match: *", "if-match: \"x\"", "if-match: W/\"1\""] {
        assert_eq!(server.put("/kv/a", &[condition], value).await, refused("null"), "{condition}");
    }
    let absent = "if-none-match: *";
    let done = |version: u64| {
        let body = format!(r#"{{"key":"a","value":"v","version":{version}}}"#);
        json("200 OK", &[&format!("etag: \"{version}\"")], &body)
    };
    // The refused writes took their place in the log: the version is the index.
    assert_eq!(server.put("/kv/a", &[absent], value).await, done(5));
    assert_eq!(server.put("/kv/a", &[absent], value).await, refused("5"));
    for condition in ["if-match: \"4\"", "if-match: \"05\"", "if-match: W/\"5\"", "if-match: \"\""]
    {
        assert_eq!(server.put("/kv/a", &[condition], value).await, refused("5"), "{condition}");
    }
    assert_eq!(server.put("/kv/a", &["if-match: \"5\""], value).await, done(11));
    assert_eq!(server.put("/kv/a", &["If-Match: \"x,\", \"11\""], value).await, done(12));
    assert_eq!(server.put("/kv/a", &["if-match: *"], value).await, done(13));

    let delete = |headers| server.ask(request("DELETE", "/kv/a", headers, ""));
    assert_eq!(delete(&["if-match: \"12\""]).await, refused("13"));
    let gone = json("200 OK", &[], r#"{"key":"a","deleted":true}"#);
    assert_eq!(delete(&["if-match: \"13\""]).await, gone);
    assert_eq!(delete(&["if-match: *"]).await, refused("null"));
    let was_gone = json("200 OK", &[], r#"{"key":"a","deleted":false}"#);
    assert_eq!(delete(&[]).await, was_gone);
    server.stop().await;
}

#[tokio::test]
async fn a_condition_that_is_not_understood_is_refused() {
    let server = Server::start().await;
    let quoted = "takes * or a version in quotes, as ETag gives it";
    let cases: [(&[&str], String); 7] = [
        (&["if-match: 1"], format!("if-match {quoted}")),
        (&["if-none-match: \"1"], format!("if-none-match {quoted}")),
        (&["if-match: \"1\" \"2\""], format!("if-match {quoted}")),
        (&["if-match: *", "if-match: \"1\""], format!("if-match {quoted}")),
        (&["if-match: \"1\", \"2\""], "a write can ask for one version, not for many".into()),
        (
            &["if-none-match: \"1\""],
            "of a write, If-None-Match can only ask that no key be there: *".into(),
        ),
        (
            &["if-match: \"1\"", "if-none-match: *"],
            "a write takes If-Match or If-None-Match, not both".into(),
        ),
    ];
    for (headers, message) in cases {
        let reply = server.put("/kv/a", headers, r#"{"value":"v"}"#).await;
        let body = format!(r#"{{"error":"invalid_condition","message":"{message}"}}"#);
        assert_eq!(reply, json("400 Bad Request", &["connection: close"], &body), "{headers:?}");
    }
    assert!(server.get("/kv/a", &[]).await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}

#[tokio::test]
async fn a_read_can_say_what_it_has() {
    let server = Server::start().await;
    server.put("/kv/a", &[], r#"{"value":"v"}"#).await;
    let same = "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncache-control: no-store\r\n\
        x-content-type-options: nosniff\r\n\r\n";
    for has in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
        assert_eq!(server.get("/kv/a", &[&format!("if-none-match: {has}")]).await, same, "{has}");
    }
    let full = json("200 OK", &["etag: \"1\""], r#"{"key":"a","value":"v","version":1}"#);
    for header in ["if-none-match: \"2\"", "if-match: \"1\"", "if-match: *"] {
        assert_eq!(server.get("/kv/a", &[header]).await, full, "{header}");
    }
    let reply = server.get("/kv/a", &["if-match: \"2\""]).await;
    assert!(reply.starts_with("HTTP/1.1 412") && reply.ends_with(r#""version":1}"#), "{reply}");
    assert!(server.get("/kv/b", &["if-match: \"2\""]).await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}

#[tokio::test]
async fn a_listing_is_in_the_order_of_bytes_and_paged() {
    let server = Server::start().await;
    for key in ["b", "a/2", "a/10", "%ff", "a/1", "a%20%26+"] {
        server.put(&format!("/kv/{key}"), &[], &format!(r#"{{"value":"{key}"}}"#)).await;
    }
    let all = concat!(
        r#"{"items":[{"key":"a &+","value":"a%20%26+","version":6},"#,
        r#"{"key":"a/1","value":"a/1","version":5},{"key":"a/10","value":"a/10","version":3},"#,
        r#"{"key":"a/2","value":"a/2","version":2},{"key":"b","value":"b","version":1},"#,
        r#"{"key_base64":"/w==","value":"%ff","version":4}],"next":null}"#
    );
    for target in ["/kv", "/kv?", "/kv?prefix=&after=&limit=6", "/kv?limit=1000"] {
        assert_eq!(server.get(target, &[]).await, json("200 OK", &[], all), "{target}");
    }
    let page = concat!(
        r#"{"items":[{"key":"a &+","value":"a%20%26+","version":6},"#,
        r#"{"key":"a/1","value":"a/1","version":5}],"#,
        r#""next":"/kv?prefix=a&after=a%2F1&limit=2"}"#
    );
    assert_eq!(server.get("/kv?prefix=a&limit=2", &[]).await, json("200 OK", &[], page));
    let page = concat!(
        r#"{"items":[{"key":"a/10","value":"a/10","version":3},"#,
        r#"{"key":"a/2","value":"a/2","version":2}],"next":null}"#
    );
    let next = server.get("/kv?prefix=a&after=a%2F1&limit=2", &[]).await;
    assert_eq!(next, json("200 OK", &[], page));
    // A plus is a space in a query, as every library writes it.
    let one = r#"{"items":[{"key":"a &+","value":"a%20%26+","version":6}],"next":null}"#;
    assert_eq!(server.get("/kv?limit=1&prefix=a+%26", &[]).await, json("200 OK", &[], one));
    let last = r#"{"items":[],"next":null}"#;
    assert_eq!(server.get("/kv?after=%ff", &[]).await, json("200 OK", &[], last));
    server.stop().await;
}

#[tokio::test]
async fn the_links_of_a_listing_lead_through_all_keys() {
    let server = Server::start().await;
    for byte in 0..=255u8 {
        server.put(&format!("/kv/%01%{byte:02x}"), &[], r#"{"value":"v"}"#).await;
    }
    let mut target = "/kv?prefix=%01&limit=7".to_owned();
    let (mut keys, mut pages) = (0, 0);
    loop {
        let reply = server.get(&target, &[]).await;
        let (_, body) = reply.split_once("\r\n\r\n").unwrap();
        let page: serde_json::Value = serde_json::from_str(body).unwrap();
        keys += page["items"].as_array().unwrap().len();
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        target = next.to_owned();
    }
    assert_eq!((keys, pages), (256, 37));
    server.stop().await;
}

#[tokio::test]
async fn a_page_ends_early_when_it_grows_too_long() {
    let options = raftkv_frontends::http::Options { max_page_bytes: 200, ..Default::default() };
    let server = Server::with(options).await;
    let long = "x".repeat(300);
    for (key, value) in [("a", "1"), ("b", "2"), ("c", &long), ("d", "4")] {
        server.put(&format!("/kv/{key}"), &[], &format!(r#"{{"value":"{value}"}}"#)).await;
    }
    let reply = server.get("/kv", &[]).await;
    assert!(reply.ends_with(r#""version":2}],"next":"/kv?prefix=&after=b&limit=100"}"#), "{reply}");
    // The first key of a page is always there, however long: the listing goes on.
    let reply = server.get("/kv?prefix=&after=b&limit=100", &[]).await;
    assert!(reply.contains(&long), "{reply}");
    assert!(reply.ends_with(r#""version":3}],"next":"/kv?prefix=&after=c&limit=100"}"#), "{reply}");
    let reply = server.get("/kv?prefix=&after=c&limit=100", &[]).await;
    assert!(reply.ends_with(r#"[{"key":"d","value":"4","version":4}],"next":null}"#), "{reply}");
    server.stop().await;
}

#[tokio::test]
async fn status_shows_the_node_as_it_sees_itself() {
    let server = Server::start().await;
    let version = env!("CARGO_PKG_VERSION");
    let leads = format!(
        concat!(
            r#"{{"id":"A","cluster_id":"00000000000000000000000000000abc","version":"{version}","#,
            r#""role":"leader","term":7,"#,
            r#""leader":{{"id":"A","http":"http://127.0.0.1:8001","resp":"127.0.0.1:7001"}},"#,
            r#""loading":false,"recovering":false,"read_mode":"read-index","commit_index":42,"applied_index":41,"last_log_index":43,"#,
            r#""snapshot_index":30,"log_bytes":999,"keys":5,"expiring_keys":1,"#,
            r#""peers":[{{"id":"B","live":true,"match_index":40,"behind":2,"state":"replicate"}}]}}"#
        ),
        version = version
    );
    assert_eq!(server.get("/status", &[]).await, json("200 OK", &[], &leads));
    let digest = leads.replace("]}", r#"],"digest":"0000000000000000000000000000feed"}"#);
    assert_eq!(server.get("/status?digest=true", &[]).await, json("200 OK", &[], &digest));
    assert!(server.get("/status?digest=1", &[]).await.starts_with("HTTP/1.1 400"));

    server.kv.change(|cluster| {
        (cluster.role, cluster.leader) = (Role::Follower, Some(node("B")));
        (cluster.cluster, cluster.term) = (None, 8);
    });
    let reply = server.get("/status", &[]).await;
    let parts = [
        r#""cluster_id":null"#,
        r#""role":"follower","term":8"#,
        r#""leader":{"id":"B","http":"http://127.0.0.1:8002","resp":"[::1]:7002"}"#,
        r#"{"id":"B","live":true,"match_index":null,"behind":null,"state":null}"#,
    ];
    for part in parts {
        assert!(reply.contains(part), "{part} in {reply}");
    }
    server.kv.change(|cluster| cluster.leader = None);
    assert!(server.get("/status", &[]).await.contains(r#""leader":null"#));
    server.stop().await;
}

#[tokio::test]
async fn the_index_lists_the_routes() {
    let server = Server::start().await;
    let body = format!(
        concat!(
            r#"{{"name":"raftkv","version":"{}","routes":["PUT /kv/{{key}}","GET /kv/{{key}}","#,
            r#""DELETE /kv/{{key}}","GET /kv?prefix=&after=&limit=","GET /status","GET /livez","#,
            r#""GET /readyz"]}}"#
        ),
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(server.get("/", &[]).await, json("200 OK", &[], &body));
    server.stop().await;
}

#[tokio::test]
async fn a_key_of_another_type_is_a_conflict() {
    let server = Server::start().await;
    let body = r#"{"error":"wrong_type","message":"the key holds another type than a string"}"#;
    // There is no other type yet: a string that has lost its value stands for one.
    server.put("/kv/a", &[], r#"{"value":"lost"}"#).await;
    let mut replies = server.kv.execute(http::get(b"a")).await.unwrap();
    let [Reply::Map(fields)] = &mut replies[..] else { panic!("{replies:?}") };
    fields.iter_mut().filter(|field| field.1 == Reply::bulk("lost")).for_each(|field| {
        field.1 = Reply::Null;
    });
    server.kv.answer(Ok(replies));
    assert_eq!(server.get("/kv/a", &[]).await, json("409 Conflict", &[], body));
    server.kv.answer(Ok(vec![Reply::error("WRONGTYPE Operation against another kind")]));
    let reply = server.put("/kv/a", &[], r#"{"value":"v"}"#).await;
    assert_eq!(reply, json("409 Conflict", &[], body));
    // A reply that makes no sense is the store's fault, and said to be.
    for replies in [vec![], vec![Reply::Ok], vec![Reply::Null, Reply::Null]] {
        server.kv.answer(Ok(replies));
        let reply = server.put("/kv/a", &[], r#"{"value":"v"}"#).await;
        assert!(reply.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{reply}");
        assert!(reply.contains(r#"{"error":"internal","#), "{reply}");
    }
    server.stop().await;
}
