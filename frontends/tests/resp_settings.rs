//! What a client may set on a node: pauses, and parameters that are taken note of.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use support::{Memory, talk};
use tokio::time::{Duration, Instant};

async fn lines(text: &str) -> String {
    String::from_utf8_lossy(&talk(&Memory::new(), text.as_bytes()).await).into_owned()
}

#[tokio::test]
async fn parameters_take_only_what_redis_takes() {
    let wrong = |name: &str, why: &str| {
        format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}\r\n")
    };
    for (name, value, why) in [
        ("timeout", "abc", "argument couldn't be parsed into an integer"),
        ("timeout", "-1", "argument must be between 0 and 2147483647 inclusive"),
        ("slowlog-max-len", "-5", "argument must be between 0 and 9223372036854775807 inclusive"),
        ("latency-tracking", "maybe", "argument must be 'yes' or 'no'"),
        ("proto-max-bulk-len", "1x", "argument must be a memory value"),
        ("appendonly", "no", "can't set immutable config"),
    ] {
        let reply = lines(&format!("CONFIG SET {name} {value}\r\n")).await;
        assert_eq!(reply, wrong(name, why), "{name} {value}");
    }
    let reply =
        lines("CONFIG SET proto-max-bulk-len 2mb\r\nCONFIG GET proto-max-bulk-len\r\n").await;
    assert_eq!(reply, "+OK\r\n*2\r\n$18\r\nproto-max-bulk-len\r\n$7\r\n2097152\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_keys_and_nothing_else() {
    for (text, reply, waits) in [
        ("CLIENT PAUSE abc", "-ERR timeout is not an integer or out of range\r\n", false),
        ("CLIENT PAUSE -1", "-ERR timeout is negative\r\n", false),
        ("CLIENT PAUSE x FOO", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n", false),
        ("CLIENT PAUSE 5000\r\nPING", "+OK\r\n+PONG\r\n", false),
        ("CLIENT PAUSE 5000\r\nGET k", "+OK\r\n$-1\r\n", true),
        ("CLIENT PAUSE 5000 WRITE\r\nGET k", "+OK\r\n$-1\r\n", false),
        ("CLIENT PAUSE 5000 WRITE\r\nSET k v", "+OK\r\n+OK\r\n", true),
        ("CLIENT PAUSE 5000\r\nCLIENT UNPAUSE\r\nSET k v", "+OK\r\n+OK\r\n+OK\r\n", false),
        // Longer and stricter, never less.
        ("CLIENT PAUSE 5000\r\nCLIENT PAUSE 1 WRITE\r\nGET k", "+OK\r\n+OK\r\n$-1\r\n", true),
    ] {
        let started = Instant::now();
        assert_eq!(lines(&format!("{text}\r\n")).await, reply, "{text}");
        let waited = started.elapsed() >= Duration::from_millis(5000);
        assert_eq!(waited, waits, "{text}: {:?}", started.elapsed());
    }
}
