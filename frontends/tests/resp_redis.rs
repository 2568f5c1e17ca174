//! What a connection answers by itself, word for word as a redis-server does: each request here is
//! sent to ours and, where a `redis-server` of version 7.0 is on the PATH, to a real one, and both
//! must say what is written beside it.
//!
//! What is not here differs on purpose. HELP, LOLWUT alone, INFO and CONFIG GET * tell of raftkv.
//! A name longer than 1 KiB, more than 65,536 arguments or 8 MiB in one are refused, and so are
//! bytes in place of a line end, and a NUL in an inline request. HELLO takes all it is told or
//! nothing; WAIT waits for no more followers than there are; an empty request does not use up
//! CLIENT REPLY SKIP; QUIT and a broken protocol close the connection also when replies are off.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{Memory, ask, id, talk, words};

/// A redis-server on a socket of its own, which ends with the test.
struct Redis {
    process: Child,
    socket: PathBuf,
}

impl Redis {
    fn start() -> Option<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let version = Command::new("redis-server").arg("--version").output().ok();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        if !version.is_some_and(|version| version.contains("v=7.0.")) {
            println!("SKIPPED: no redis-server 7.0 on the PATH to compare with");
            return None;
        }
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("raftkv-{}-{number}.sock", std::process::id());
        let socket = std::env::temp_dir().join(name);
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let redis = Self { process, socket };
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(&redis.socket).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::yield_now();
        }
        Some(redis)
    }

    fn talk(&self, input: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(input).unwrap();
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).unwrap();
        answers
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Compares what is answered, by ours and by Redis, with what is written; a request without a line
/// end gets one.
async fn agree(cases: &[(&[u8], &[u8])]) {
    let redis = Redis::start();
    for (request, expected) in cases {
        let line_end: &[u8] = if request.ends_with(b"\n") { b"" } else { b"\r\n" };
        let input = [request, line_end, b"QUIT\r\n"].concat();
        let end: &[u8] =
            if expected.starts_with(b"-ERR Protocol error") { b"" } else { b"+OK\r\n" };
        let expected = [*expected, line_end_of(expected), end].concat();
        let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let ours = talk(&Memory::new(), &input).await;
        assert_eq!(show(&ours), show(&expected), "ours: {}", show(request));
        if let Some(redis) = &redis {
            let theirs = redis.talk(&input);
            assert_eq!(show(&theirs), show(&expected), "redis: {}", show(request));
        }
    }
}

fn line_end_of(text: &[u8]) -> &'static [u8] {
    if text.is_empty() || text.ends_with(b"\n") { b"" } else { b"\r\n" }
}

#[tokio::test]
async fn errors_quote_the_client_byte_for_byte() {
    agree(&[
        (
            b"\"\\xff\\x80\" \"\\xff\"",
            b"-ERR unknown command '\xff\x80', with args beginning with: '\xff' ",
        ),
        (b"CLIENT \"\\xff\\x80\"", b"-ERR unknown subcommand '\xff\x80'. Try CLIENT HELP."),
        (b"object \"a\\x00b\" k", b"-ERR unknown subcommand 'a'. Try OBJECT HELP."),
        (b"CONFIG \"a\\r\\nb\"", b"-ERR unknown subcommand 'a  b'. Try CONFIG HELP."),
        (b"CLIENT LIST TYPE \"\\xe9\\x00b\"", b"-ERR Unknown client type '\xe9'"),
        (b"CLIENT KILL TYPE \"\\xe9\"", b"-ERR Unknown client type '\xe9'"),
        (b"CLIENT KILL USER \"\\xe9\\n\"", b"-ERR No such user '\xe9 '"),
        (b"HELLO 3 \"\\xff\"", b"-ERR Syntax error in HELLO option '\xff'"),
        (b"HELLO 3 \"a\\x00b\"", b"-ERR Syntax error in HELLO option 'a'"),
        (b"EXPIRE k 1 \"\\xff\\r\\nb\"", b"-ERR Unsupported option \xff  b"),
        (b"EXPIRE k 1 \"\\xff\\r\\n\"", b"-ERR Unsupported option \xff"),
        (b"EXPIRE k 1 \"a\\x00b\"", b"-ERR Unsupported option a"),
        (
            b"CLIENT TRACKING ON BCAST PREFIX \"\\xff\" PREFIX \"\\xff\\x00b\"",
            b"-ERR Prefix '\xff' overlaps with another provided prefix '\xff'. Prefixes for a \
              single client must not overlap.",
        ),
        (
            b"CONFIG SET \"\\xff\" 1",
            b"-ERR Unknown option or number of arguments for CONFIG SET - '\xff'",
        ),
        (b"CONFIG SET FOO 1", b"-ERR Unknown option or number of arguments for CONFIG SET - 'FOO'"),
    ])
    .await;
}

#[tokio::test]
async fn a_quotation_is_as_long_as_in_redis() {
    let long = "q".repeat(300);
    let cases = [
        (
            format!("CLIENT {long}"),
            format!("-ERR unknown subcommand '{}'. Try CLIENT HELP.", &long[..128]),
        ),
        (format!("CLIENT LIST TYPE {long}"), format!("-ERR Unknown client type '{long}'")),
        (format!("CLIENT KILL USER {long}"), format!("-ERR No such user '{long}'")),
        (format!("HELLO 3 {long}"), format!("-ERR Syntax error in HELLO option '{long}'")),
        (format!("EXPIRE k 1 {long}"), format!("-ERR Unsupported option {long}")),
        (
            format!("CONFIG SET {long} 1"),
            format!("-ERR Unknown option or number of arguments for CONFIG SET - '{long}'"),
        ),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(text, expected)| (text.as_bytes(), expected.as_bytes())).collect();
    agree(&cases).await;
}

#[tokio::test]
async fn a_byte_that_breaks_the_protocol_comes_back_as_it_came() {
    // After a NUL Redis would wait for more.
    let bytes = (1..=255_u8).filter(|byte| *byte != b'$');
    let cases = bytes.map(|byte| {
        let shown = if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
        let request = [b"*1\r\n", &[byte][..], b"4\r\nPING\r\n"].concat();
        let error = [b"-ERR Protocol error: expected '$', got '", &[shown][..], b"'\r\n"].concat();
        (request, error)
    });
    let cases: Vec<_> = cases.collect();
    let cases: Vec<_> = cases.iter().map(|(text, error)| (&text[..], &error[..])).collect();
    agree(&cases).await;
    let answer = talk(&Memory::new(), b"*1\r\n\0").await;
    assert_eq!(answer, b"-ERR Protocol error: expected '$', got '\0'\r\n");
}

#[tokio::test]
async fn words_of_a_line_end_where_they_end_in_redis() {
    let unbalanced: &[u8] = b"-ERR Protocol error: unbalanced quotes in request";
    agree(&[
        (b"echo\ta", b"$1\r\na"),
        (b"echo\ra", b"$1\r\na"),
        (b"echo\x0ba", b"-ERR unknown command 'echo\x0ba', with args beginning with: "),
        (b"echo\x0ca", b"-ERR unknown command 'echo\x0ca', with args beginning with: "),
        (b"PING\x0c", b"-ERR unknown command 'PING\x0c', with args beginning with: "),
        (b"\x0b\x0c PING", b"+PONG"),
        (b"ping \x0ba", b"$1\r\na"),
        (b"\x0b\x0c \r\nPING", b"+PONG"),
        (b"ping \"a\"\x0b", b"$1\r\na"),
        (b"echo \"a\"\x0bb", b"-ERR wrong number of arguments for 'echo' command"),
        (b"ping a\"b\"", b"$2\r\nab"),
        (b"ping \"\\x4z\\x41\\q\"", b"$5\r\nx4zAq"),
        (b"ping 'a\\'\\b'", b"$4\r\na'\\b"),
        (b"ping \"a", unbalanced),
        (b"ping 'a", unbalanced),
        (b"ping \"a\"b", unbalanced),
        (b"ping 'a'b", unbalanced),
        (b"ping a\"b\"c", unbalanced),
        (b"ping \"\\\"", unbalanced),
    ])
    .await;
}

#[tokio::test]
async fn silence_covers_what_it_covers_in_redis() {
    agree(&[
        (b"CLIENT REPLY SKIP\r\nRESET\r\nECHO a", b"$1\r\na"),
        (b"CLIENT REPLY OFF\r\nRESET\r\nPING", b"+RESET\r\n+PONG"),
        (b"CLIENT REPLY SKIP\r\nHELLO 3\r\nECHO a", b"$1\r\na"),
        (b"CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nECHO a", b"+OK\r\n$1\r\na"),
        (b"CLIENT REPLY SKIP\r\n\"\"\r\nECHO a", b"$1\r\na"),
        (b"CLIENT REPLY OFF\r\n\r\nECHO x\r\nCLIENT REPLY ON", b"+OK"),
    ])
    .await;
    // Redis says nothing either, and leaves the connection hanging.
    for broken in ["*1\r\nx", "ping \"a\r\n"] {
        for silence in ["SKIP", "OFF"] {
            let input = format!("CLIENT REPLY {silence}\r\n{broken}");
            assert_eq!(talk(&Memory::new(), input.as_bytes()).await, b"", "{input}");
        }
    }
    // What is no command is not the next one.
    for empty in ["\r\n", " \r\n", "*0\r\n", "*-1\r\n"] {
        let input = format!("CLIENT REPLY SKIP\r\n{empty}PING\r\nECHO a\r\n");
        assert_eq!(talk(&Memory::new(), input.as_bytes()).await, b"$1\r\na\r\n", "{input}");
    }
}

#[tokio::test]
async fn small_words_are_those_of_redis() {
    let not_32_bits: &[u8] =
        b"-ERR value is out of range, value must between -2147483648 and 2147483647";
    agree(&[
        (b"SELECT 2147483648", not_32_bits),
        (b"SELECT -9999999999", not_32_bits),
        (b"SELECT 9223372036854775808", b"-ERR value is not an integer or out of range"),
        (b"CLIENT LIST ID 0", b"$0\r\n\r\n"),
        (b"CLIENT LIST ID -1 99999 99999", b"$0\r\n\r\n"),
        (b"CLIENT LIST ID 99999 x", b"-ERR Invalid client ID"),
        (b"CLIENT LIST ID 01", b"-ERR Invalid client ID"),
        (b"CLIENT LIST ID", b"-ERR syntax error"),
        (b"CLIENT KILL ID 0", b"-ERR client-id should be greater than 0"),
        (b"CLIENT KILL ID -1", b"-ERR client-id should be greater than 0"),
        (b"CLIENT KILL ID 9223372036854775808", b"-ERR client-id should be greater than 0"),
        (b"CLIENT KILL USER nosuch ID x", b"-ERR No such user 'nosuch'"),
        (
            b"CLIENT unBlock 1 error x",
            b"-ERR unknown subcommand or wrong number of arguments for 'unBlock'. Try CLIENT HELP.",
        ),
        (
            b"CLIENT Pause 0 foo x",
            b"-ERR unknown subcommand or wrong number of arguments for 'Pause'. Try CLIENT HELP.",
        ),
        (
            b"FUNCTION flush sync x",
            b"-ERR unknown subcommand or wrong number of arguments for 'flush'. Try FUNCTION HELP.",
        ),
        (b"OBJECT HELP x", b"-ERR wrong number of arguments for 'object|help' command"),
        (b"LOLWUT VERSION", b"$18\r\nRedis ver. 7.0.15\n\r\n"),
        (b"LOLWUT VERSION 7", b"$18\r\nRedis ver. 7.0.15\n\r\n"),
        (b"LOLWUT VERSION 99 1 x", b"$18\r\nRedis ver. 7.0.15\n\r\n"),
        (b"LOLWUT VERSION -1", b"$18\r\nRedis ver. 7.0.15\n\r\n"),
        (b"LOLWUT foo", b"$18\r\nRedis ver. 7.0.15\n\r\n"),
        (b"LOLWUT VERSION x", b"-ERR value is not an integer or out of range"),
        (b"LOLWUT VERSION 5 1 1 x", b"-ERR value is not an integer or out of range"),
        (b"LOLWUT VERSION 6 x", b"-ERR value is not an integer or out of range"),
    ])
    .await;
    for drawn in ["LOLWUT", "LOLWUT VERSION 5 1 1 1 x", "lolwut version 6 1 1 x"] {
        assert!(ask(&Memory::new(), drawn).await.contains("three of us"), "{drawn}");
    }
}

/// As those of other containers, and so by a node that leads nobody.
#[tokio::test]
async fn help_of_a_container_is_answered_by_any_node() {
    let kv = Memory::new();
    kv.change(|cluster| {
        (cluster.role, cluster.leader) = (raftkv_frontends::Role::Follower, Some(id("B")))
    });
    assert!(ask(&kv, "OBJECT ENCODING k").await.starts_with("-MOVED"));
    for (container, lines) in [("OBJECT", 15), ("XGROUP", 17), ("XINFO", 9)] {
        let call = format!("{container} HELP");
        let help = talk(&kv, &words(&call)).await;
        let head = format!("*{lines}\r\n+{container} <subcommand> ");
        assert!(help.starts_with(head.as_bytes()), "{}", help.escape_ascii());
        agree(&[(call.as_bytes(), &help)]).await;
    }
}

fn failed(name: &str, why: &str) -> String {
    format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
}

/// What CONFIG GET answers.
fn pairs(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{}", words.len(), words.concat())
}

async fn agree_in_text(cases: &[(&str, String)]) {
    let cases: Vec<_> =
        cases.iter().map(|(text, reply)| (text.as_bytes(), reply.as_bytes())).collect();
    agree(&cases).await;
}

#[tokio::test]
async fn parameters_are_found_as_in_redis() {
    let cases = [
        ("CONFIG GET MAXMEMORY", pairs(&["MAXMEMORY", "0"])),
        ("CONFIG GET MAXMEM?RY", pairs(&["maxmemory", "0"])),
        ("CONFIG GET MaxMemory maxmemory maxmem?ry", pairs(&["MaxMemory", "0"])),
        ("CONFIG GET maxmem?ry MAXMEMORY", pairs(&["maxmemory", "0"])),
        ("CONFIG GET slave-read-only", pairs(&["slave-read-only", "yes"])),
        ("CONFIG GET nosuch", pairs(&[])),
        ("CONFIG SET timeout 1 TIMEOUT 2", failed("TIMEOUT", "duplicate parameter")),
        ("CONFIG SET DATABASES 7", failed("DATABASES", "can't set immutable config")),
        (
            "CONFIG SET timeout x nosuch 1",
            "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'".to_owned(),
        ),
        ("CONFIG SET timeout x databases 7", failed("databases", "can't set immutable config")),
        (
            "CONFIG SET timeout x hash-max-listpack-entries x",
            failed("timeout", "argument couldn't be parsed into an integer"),
        ),
    ];
    agree_in_text(&cases).await;
}

#[tokio::test]
async fn parameters_take_what_they_take_in_redis() {
    let cases = [
        (
            "CONFIG SET lua-time-limit 6000\r\nCONFIG GET busy-reply-threshold",
            format!("+OK\r\n{}", pairs(&["busy-reply-threshold", "6000"])),
        ),
        (
            "CONFIG SET hash-max-listpack-value 1k\r\nCONFIG GET hash-max-ziplist-value",
            format!("+OK\r\n{}", pairs(&["hash-max-ziplist-value", "1000"])),
        ),
        ("CONFIG SET hash-max-listpack-value k", "+OK".to_owned()),
        ("CONFIG SET latency-tracking YES", "+OK".to_owned()),
        (
            "CONFIG SET latency-tracking x",
            failed("latency-tracking", "argument must be 'yes' or 'no'"),
        ),
        (
            "CONFIG SET proto-max-bulk-len 10",
            failed(
                "proto-max-bulk-len",
                "argument must be between 1048576 and 9223372036854775807 inclusive",
            ),
        ),
        (
            "CONFIG SET hash-max-listpack-value 99999999999999999999",
            failed(
                "hash-max-listpack-value",
                "argument must be between 0 and 9223372036854775807 inclusive",
            ),
        ),
        (
            "CONFIG SET sanitize-dump-payload Clients\r\nCONFIG GET sanitize-dump-payload",
            format!("+OK\r\n{}", pairs(&["sanitize-dump-payload", "clients"])),
        ),
        (
            "CONFIG SET sanitize-dump-payload maybe",
            failed(
                "sanitize-dump-payload",
                "argument(s) must be one of the following: no, yes, clients",
            ),
        ),
        (
            "CONFIG SET notify-keyspace-events nmEx\r\nCONFIG GET notify-keyspace-events",
            format!("+OK\r\n{}", pairs(&["notify-keyspace-events", "xnEm"])),
        ),
        (
            "CONFIG SET notify-keyspace-events ng$lshzxetdK\r\nCONFIG GET notify-keyspace-events",
            format!("+OK\r\n{}", pairs(&["notify-keyspace-events", "AK"])),
        ),
        (
            "CONFIG SET notify-keyspace-events Q",
            failed(
                "notify-keyspace-events",
                "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
            ),
        ),
        (
            "CONFIG SET save \"+60 01 5 0\"\r\nCONFIG GET save",
            format!("+OK\r\n{}", pairs(&["save", "60 1 5 0"])),
        ),
        ("CONFIG SET save \"0 1\"", failed("save", "Invalid save parameters")),
        ("CONFIG SET save 60", failed("save", "Invalid save parameters")),
        (
            "CONFIG SET timeout \"\\xff\"",
            failed("timeout", "argument couldn't be parsed into an integer"),
        ),
    ];
    agree_in_text(&cases).await;
}

#[tokio::test]
async fn transactions_answer_word_for_word() {
    agree(&[
        (b"EXEC", b"-ERR EXEC without MULTI"),
        (b"DISCARD", b"-ERR DISCARD without MULTI"),
        (b"UNWATCH", b"+OK"),
        (b"MULTI\r\nEXEC", b"+OK\r\n*0"),
        (b"MULTI\r\nMULTI\r\nEXEC", b"+OK\r\n-ERR MULTI calls can not be nested\r\n*0"),
        (
            b"MULTI\r\nWATCH a\r\nSET a 1\r\nEXEC",
            b"+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n*1\r\n+OK",
        ),
        (b"MULTI\r\nSET a 1\r\nDISCARD\r\nEXISTS b", b"+OK\r\n+QUEUED\r\n+OK\r\n:0"),
        (
            b"MULTI\r\nnonsense\r\nSET a 1\r\nEXEC",
            b"+OK\r\n-ERR unknown command 'nonsense', with args beginning with: \r\n+QUEUED\r\n\
              -EXECABORT Transaction discarded because of previous errors.",
        ),
        (
            b"MULTI\r\nSET a\r\nEXEC\r\nEXEC",
            b"+OK\r\n-ERR wrong number of arguments for 'set' command\r\n\
              -EXECABORT Transaction discarded because of previous errors.\r\n\
              -ERR EXEC without MULTI",
        ),
        (
            b"MULTI\r\nSET t 1 NX XX\r\nINCRBY t x\r\nECHO hi\r\nEXEC",
            b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n-ERR syntax error\r\n\
              -ERR value is not an integer or out of range\r\n$2\r\nhi",
        ),
        (b"WATCH", b"-ERR wrong number of arguments for 'watch' command"),
        (b"WATCH w w\r\nSET w 1\r\nMULTI\r\nPING\r\nEXEC", b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1"),
        (
            b"WATCH v\r\nSET v 1\r\nUNWATCH\r\nMULTI\r\nPING\r\nEXEC",
            b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG",
        ),
        (
            b"WATCH u\r\nMULTI\r\nDISCARD\r\nSET u 1\r\nMULTI\r\nPING\r\nEXEC",
            b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG",
        ),
        (b"MULTI\r\nRESET\r\nEXEC", b"+OK\r\n+RESET\r\n-ERR EXEC without MULTI"),
        (b"MULTI\r\nPING\r\nQUIT\r\nEXEC", b"+OK\r\n+QUEUED"),
    ])
    .await;
}
