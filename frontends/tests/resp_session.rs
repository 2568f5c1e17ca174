//! Conversations, byte for byte: what a connection answers by itself, and how it writes what the
//! store answers.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use raftkv_frontends::{Error, Role, Unavailable};
use raftkv_storage::keyspace::Reply;
use support::{Memory, ask, id, request, talk, words};

/// Sends inline lines and returns what comes back as text.
async fn lines(text: &str) -> String {
    String::from_utf8_lossy(&talk(&Memory::new(), text.as_bytes()).await).into_owned()
}

fn every_shape() -> Vec<Reply> {
    vec![
        Reply::Ok,
        Reply::Simple("string"),
        Reply::Null,
        Reply::NullArray,
        Reply::Integer(-42),
        Reply::Integer(i64::MIN),
        Reply::Double(0.5),
        Reply::Double(3.0),
        Reply::Double(1e300),
        Reply::Double(-1.5e-9),
        Reply::Double(f64::INFINITY),
        Reply::Double(f64::NEG_INFINITY),
        Reply::Double(f64::NAN),
        Reply::bulk(b"a\r\nb\0"),
        Reply::bulk(""),
        Reply::Verbatim(Bytes::from_static(b"for people")),
        Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![]), Reply::Null]),
        Reply::Map(vec![(Reply::bulk("k"), Reply::Set(vec![Reply::bulk("v")]))]),
        Reply::Map(vec![]),
        Reply::Set(vec![Reply::Map(vec![(Reply::Integer(1), Reply::Double(2.5))])]),
        Reply::ByKey(vec![(Reply::bulk("k"), Reply::Array(vec![]))]),
        Reply::error("WRONGTYPE two\r\nlines"),
    ]
}

#[tokio::test]
async fn every_reply_in_resp2() {
    let kv = Memory::scripted(every_shape());
    let answers = talk(&kv, &words("GET k").repeat(every_shape().len())).await;
    let expected = "+OK\r\n+string\r\n$-1\r\n*-1\r\n:-42\r\n:-9223372036854775808\r\n\
        $3\r\n0.5\r\n$1\r\n3\r\n$23\r\n1.0000000000000001e+300\r\n$8\r\n-1.5e-09\r\n$3\r\ninf\r\n\
        $4\r\n-inf\r\n$3\r\nnan\r\n\
        $5\r\na\r\nb\0\r\n$0\r\n\r\n$10\r\nfor people\r\n\
        *3\r\n:1\r\n*0\r\n$-1\r\n*2\r\n$1\r\nk\r\n*1\r\n$1\r\nv\r\n*0\r\n*1\r\n\
        *2\r\n:1\r\n$3\r\n2.5\r\n*1\r\n*2\r\n$1\r\nk\r\n*0\r\n\
        -WRONGTYPE two  lines\r\n";
    assert_eq!(String::from_utf8(answers).unwrap(), expected);
}

#[tokio::test]
async fn every_reply_in_resp3() {
    let kv = Memory::scripted(every_shape());
    let hello = ask(&kv, "HELLO 3").await;
    let input = [words("HELLO 3"), words("GET k").repeat(every_shape().len())].concat();
    let answers = talk(&kv, &input).await;
    let expected = "+OK\r\n+string\r\n_\r\n_\r\n:-42\r\n:-9223372036854775808\r\n\
        ,0.5\r\n,3\r\n,1.0000000000000001e+300\r\n,-1.5e-09\r\n,inf\r\n,-inf\r\n,nan\r\n\
        $5\r\na\r\nb\0\r\n$0\r\n\r\n=14\r\ntxt:for people\r\n\
        *3\r\n:1\r\n*0\r\n_\r\n%1\r\n$1\r\nk\r\n~1\r\n$1\r\nv\r\n%0\r\n~1\r\n%1\r\n:1\r\n,2.5\r\n\
        %1\r\n$1\r\nk\r\n*0\r\n-WRONGTYPE two  lines\r\n";
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(&answers[hello.len()..], expected);
}

/// The encoder we take doubles and verbatim strings from leaves a NUL behind numbers just below a
/// power of ten.
#[tokio::test]
async fn numbers_and_lengths_near_powers_of_ten_have_no_nul() {
    let mut values = Vec::new();
    for power in 0..19_u32 {
        values.extend([-1, 0, 1].map(|step| 10_i64.pow(power) + step));
    }
    for protocol in ["HELLO 2", "HELLO 3"] {
        let replies = values.iter().flat_map(|value| {
            let text = "x".repeat((*value).clamp(0, 20_000) as usize);
            [
                Reply::Integer(*value),
                Reply::Integer(-value),
                Reply::Double(*value as f64),
                Reply::Verbatim(text.into()),
            ]
        });
        let kv = Memory::scripted(replies);
        let input = [words(protocol), words("GET k").repeat(values.len() * 4)].concat();
        let answers = talk(&kv, &input).await;
        assert!(!answers.contains(&0), "{protocol}");
        for value in &values {
            let line = format!("\r\n:{value}\r\n:{}\r\n", -value).replace(":--", ":");
            let is_in = answers.windows(line.len()).any(|window| window == line.as_bytes());
            assert!(is_in, "{protocol} {value}");
        }
    }
}

#[tokio::test]
async fn hello_agrees_on_a_protocol() {
    let fields = |protocol: u8, id: u64| {
        format!(
            "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n\
            $5\r\nproto\r\n:{protocol}\r\n\
             $2\r\nid\r\n:{id}\r\n$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n\
             $7\r\nmodules\r\n*0\r\n"
        )
    };
    let (two, three) = (format!("*14\r\n{}", fields(2, 1)), format!("%7\r\n{}", fields(3, 1)));
    assert_eq!(lines("HELLO\r\n").await, two);
    assert_eq!(lines("HELLO 2\r\n").await, two);
    assert_eq!(
        lines("hello 3 AUTH default x SETNAME me\r\nCLIENT GETNAME\r\n").await,
        format!("{three}$2\r\nme\r\n")
    );
    assert_eq!(lines("HELLO 3\r\nHELLO\r\nGET nokey\r\n").await, format!("{three}{three}_\r\n"));
    assert_eq!(
        lines("HELLO 3\r\nRESET\r\nHELLO\r\nGET nokey\r\n").await,
        format!("{three}+RESET\r\n{two}$-1\r\n")
    );
    for (line, error) in [
        ("HELLO 4", "NOPROTO unsupported protocol version"),
        ("HELLO x", "ERR Protocol version is not an integer or out of range"),
        ("HELLO 2 foo", "ERR Syntax error in HELLO option 'foo'"),
        ("HELLO 3 AUTH default", "ERR Syntax error in HELLO option 'AUTH'"),
        ("HELLO 3 setname", "ERR Syntax error in HELLO option 'setname'"),
        ("HELLO 3 AUTH foo x", "WRONGPASS invalid username-password pair or user is disabled."),
        (
            "HELLO 3 SETNAME \"a b\"",
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ),
    ] {
        // After an error the protocol is what it was.
        assert_eq!(
            lines(&format!("{line}\r\nGET nokey\r\n")).await,
            format!("-{error}\r\n$-1\r\n")
        );
    }
}

#[tokio::test]
async fn replies_in_one_pipeline_follow_the_protocol_of_their_moment() {
    let kv = Memory::scripted([Reply::Null, Reply::Null, Reply::Null]);
    let hello = ask(&kv, "HELLO 3").await;
    let input = b"GET a\r\nHELLO 3\r\nGET b\r\nRESET\r\nGET c\r\n";
    let answers = String::from_utf8(talk(&kv, input).await).unwrap();
    assert_eq!(answers, format!("$-1\r\n{hello}_\r\n+RESET\r\n$-1\r\n"));
}

#[tokio::test]
async fn small_session_commands() {
    for (line, expected) in [
        ("PING", "+PONG"),
        ("ping hi", "$2\r\nhi"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
        ("ECHO \"\\xff\\x00\"", "$2\r\n\u{fffd}\0"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command"),
        ("SELECT 0", "+OK"),
        ("SELECT 1", "-ERR SELECT is not allowed in cluster mode"),
        ("SELECT x", "-ERR value is not an integer or out of range"),
        ("SELECT", "-ERR wrong number of arguments for 'select' command"),
        ("READONLY", "+OK"),
        ("READWRITE", "+OK"),
        ("ASKING", "+OK"),
        ("TIME x", "-ERR wrong number of arguments for 'time' command"),
        ("AUTH default x", "+OK"),
        ("AUTH foo x", "-WRONGPASS invalid username-password pair or user is disabled."),
        ("AUTH a b c", "-ERR syntax error"),
        (
            "AUTH a",
            "-ERR AUTH <password> called without any password configured for the default user. Are \
             you sure your configuration is correct?",
        ),
        ("FUNCTION FLUSH", "+OK"),
        ("FUNCTION FLUSH sync", "+OK"),
        ("FUNCTION FLUSH x", "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
        ("FUNCTION LIST", "*0"),
        ("FUNCTION foo", "-ERR unknown subcommand 'foo'. Try FUNCTION HELP."),
        ("LOLWUT VERSION x", "-ERR value is not an integer or out of range"),
        ("WAIT a 0", "-ERR value is not an integer or out of range"),
        ("WAIT 0 a", "-ERR timeout is not an integer or out of range"),
        ("WAIT 0 -1", "-ERR timeout is negative"),
        ("WAIT 1 0", ":1"),
    ] {
        assert_eq!(lines(&format!("{line}\r\n")).await, format!("{expected}\r\n"), "{line}");
    }
    let time = lines("TIME\r\n").await;
    assert!(time.starts_with("*2\r\n$10\r\n"), "{time}");
    assert!(lines("LOLWUT\r\n").await.contains("Redis ver. 7.0.15"));
}

#[tokio::test]
async fn unknown_commands_are_named_as_redis_names_them() {
    let unknown = |name: &str, shown: &str| {
        format!("-ERR unknown command '{name}', with args beginning with: {shown}\r\n")
    };
    assert_eq!(lines("foo bar \"a'b\" 12\r\n").await, unknown("foo", "'bar' 'a'b' '12' "));
    assert_eq!(lines("foo\r\n").await, unknown("foo", ""));
    let kv = Memory::new();
    let text = async |args: &[&[u8]]| String::from_utf8(talk(&kv, &request(args)).await).unwrap();
    let (name, long) = ("q".repeat(200), "x".repeat(300));
    assert_eq!(text(&[name.as_bytes(), b"a"]).await, unknown(&"q".repeat(128), "'a' "));
    let shown = format!("'{}' ", "x".repeat(128));
    assert_eq!(text(&[b"foo", long.as_bytes()]).await, unknown("foo", &shown));
    let shown = format!("'{}' 'za' ", "y".repeat(123));
    assert_eq!(text(&[b"foo", "y".repeat(123).as_bytes(), b"zabcd"]).await, unknown("foo", &shown));
    let shown = format!("'{}' ", "y".repeat(127));
    assert_eq!(text(&[b"foo", "y".repeat(127).as_bytes(), b"z"]).await, unknown("foo", &shown));
    assert_eq!(text(&[b"fo\r\no"]).await, unknown("fo  o", ""));
    assert_eq!(text(&[b""]).await, unknown("", ""));
    // Bytes that are no text come back as they came.
    let raw = talk(&kv, &request(&[b"foo", b"\xff\x80"])).await;
    assert_eq!(raw, b"-ERR unknown command 'foo', with args beginning with: '\xff\x80' \r\n");
    assert_eq!(
        text(&[b"client", "q".repeat(200).as_bytes()]).await,
        format!("-ERR unknown subcommand '{}'. Try CLIENT HELP.\r\n", "q".repeat(128))
    );
    // What belongs to the keyspace alone cannot be called.
    assert!(text(&[b"http.get", b"k"]).await.starts_with("-ERR unknown command 'http.get'"));
}

#[tokio::test]
async fn the_number_of_arguments_is_checked() {
    for (line, name) in [
        ("GET", "get"),
        ("GET a b", "get"),
        ("set a", "set"),
        ("DBSIZE x", "dbsize"),
        ("CLIENT", "client"),
        ("CLIENT SETNAME", "client|setname"),
        ("CLIENT REPLY OFF x", "client|reply"),
        ("CONFIG GET", "config|get"),
        ("CONFIG SET a", "config|set"),
        ("CLUSTER NODES x", "cluster|nodes"),
        ("COMMAND COUNT x", "command|count"),
        ("OBJECT FREQ", "object|freq"),
    ] {
        let expected = format!("-ERR wrong number of arguments for '{name}' command\r\n+PONG\r\n");
        assert_eq!(lines(&format!("{line}\r\nPING\r\n")).await, expected, "{line}");
    }
}

#[tokio::test]
async fn client_reply_turns_answers_off_and_on() {
    for (text, expected) in [
        (
            "CLIENT REPLY OFF\r\nPING\r\nGET a\r\nfoo\r\nCLIENT REPLY ON\r\nPING\r\n",
            "+OK\r\n+PONG\r\n",
        ),
        ("CLIENT REPLY SKIP\r\nPING\r\nECHO a\r\n", "$1\r\na\r\n"),
        ("CLIENT REPLY SKIP\r\nGET a\r\nECHO a\r\n", "$1\r\na\r\n"),
        ("CLIENT REPLY SKIP\r\nnonsense\r\nECHO a\r\n", "$1\r\na\r\n"),
        ("CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING\r\nPING\r\n", "+PONG\r\n"),
        ("CLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nPING\r\nPING\r\nCLIENT REPLY ON\r\n", "+OK\r\n"),
        ("CLIENT REPLY OFF\r\nRESET\r\nPING\r\n", "+RESET\r\n+PONG\r\n"),
        ("CLIENT REPLY x\r\n", "-ERR syntax error\r\n"),
        ("GET a\r\nCLIENT REPLY OFF\r\nGET a\r\n", "$-1\r\n"),
    ] {
        assert_eq!(lines(text).await, expected, "{text}");
    }
}

/// A reply that nobody wants still takes its place among those of its batch.
#[tokio::test]
async fn a_silent_command_does_not_shift_the_others() {
    let input = b"GET a\r\nCLIENT REPLY SKIP\r\nGET b\r\nGET c\r\nGET d\r\n";
    let kv = Memory::counting();
    assert_eq!(talk(&kv, input).await, b":1\r\n:3\r\n:4\r\n");
    assert_eq!(kv.batches(), [1, 3]);
}

#[tokio::test]
async fn client_says_who_is_connected() {
    for (text, expected) in [
        ("CLIENT ID\r\n", ":1\r\n"),
        ("CLIENT GETNAME\r\n", "$-1\r\n"),
        (
            "CLIENT SETNAME me\r\nCLIENT GETNAME\r\nRESET\r\nCLIENT GETNAME\r\n",
            "+OK\r\n$2\r\nme\r\n+RESET\r\n$-1\r\n",
        ),
        ("CLIENT SETINFO LIB-NAME x\r\n", "+OK\r\n"),
        (
            "CLIENT SETINFO lib-ver \"a b\"\r\n",
            "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n",
        ),
        (
            "CLIENT SETINFO foo x\r\n",
            "-ERR Unrecognized option 'foo', unknown to CLIENT SETINFO\r\n",
        ),
        (
            "CLIENT MAINT_NOTIFICATIONS ON\r\n",
            "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n",
        ),
        ("CLIENT NO-EVICT on\r\nCLIENT NO-EVICT x\r\n", "+OK\r\n-ERR syntax error\r\n"),
        ("CLIENT GETREDIR\r\n", ":-1\r\n"),
        ("CLIENT UNBLOCK 3\r\n", ":0\r\n"),
        ("CLIENT LIST TYPE foo\r\n", "-ERR Unknown client type 'foo'\r\n"),
        ("CLIENT LIST TYPE pubsub\r\n", "$0\r\n\r\n"),
        ("CLIENT LIST ID x\r\n", "-ERR Invalid client ID\r\n"),
        ("CLIENT LIST ID\r\n", "-ERR syntax error\r\n"),
        ("CLIENT LIST ID 77\r\n", "$0\r\n\r\n"),
        ("CLIENT KILL 1.1.1.1:1\r\n", "-ERR No such client\r\n"),
        ("CLIENT KILL ID x\r\n", "-ERR client-id should be greater than 0\r\n"),
        ("CLIENT KILL ID 99\r\n", ":0\r\n"),
        ("CLIENT KILL ID 1 foo\r\n", "-ERR syntax error\r\n"),
        ("CLIENT KILL ID 1\r\nPING\r\n", ":0\r\n+PONG\r\n"),
        ("CLIENT KILL ID 1 SKIPME no\r\nPING\r\n", ":1\r\n"),
        ("CLIENT KILL 127.0.0.1:5000\r\nPING\r\n", "+OK\r\n"),
    ] {
        assert_eq!(lines(text).await, expected, "{text}");
    }
    let info = lines("CLIENT SETINFO LIB-NAME lib\r\nCLIENT SETNAME me\r\nCLIENT LIST\r\n").await;
    let line =
        "id=1 addr=127.0.0.1:5000 laddr=127.0.0.1:7001 fd=0 name=me age=0 idle=0 flags=N db=0";
    assert!(info.contains(line), "{info}");
    assert!(
        info.contains("cmd=client|list user=default redir=-1 resp=2 lib-name=lib lib-ver=\n"),
        "{info}"
    );
    assert!(lines("HELLO 3\r\nCLIENT INFO\r\n").await.contains("\r\ntxt:id=1 addr="));
}

#[tokio::test]
async fn quit_answers_and_closes() {
    assert_eq!(lines("SET a 1\r\nQUIT\r\nPING\r\n").await, "+OK\r\n+OK\r\n");
}

#[tokio::test]
async fn protocol_errors_are_answered_in_order_and_close() {
    let kv = Memory::counting();
    let input = [words("GET a"), b"*1\r\nfoo\r\n".to_vec(), words("GET b")].concat();
    let answers = talk(&kv, &input).await;
    assert_eq!(
        String::from_utf8(answers).unwrap(),
        ":1\r\n-ERR Protocol error: expected '$', got 'f'\r\n"
    );
    assert_eq!(kv.batches(), [1]);
    for (line, error) in [
        ("set \"\"\"a\"\"\" b\r\n", "unbalanced quotes in request"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*70000\r\n", "invalid multibulk length"),
    ] {
        let expected = format!("+PONG\r\n-ERR Protocol error: {error}\r\n");
        assert_eq!(lines(&format!("PING\r\n{line}PING\r\n")).await, expected);
    }
    assert_eq!(lines("*0\r\n*-1\r\n\r\n   \r\nPING\r\n").await, "+PONG\r\n");
}

#[tokio::test]
async fn http_is_not_spoken_here() {
    for text in [
        "POST / HTTP/1.1\r\nPING\r\n",
        "GET / HTTP/1.1\r\nPING\r\n",
        "GET /kv/a\r\nPING\r\n",
        "PUT x HTTP/1.1\r\nPING\r\n",
        "Host: localhost\r\nPING\r\n",
        "*1\r\n$4\r\npost\r\nPING\r\n",
    ] {
        assert_eq!(lines(text).await, "", "{text}");
    }
    // As an array it is a key like any other.
    assert_eq!(ask(&Memory::new(), "GET /").await, "$-1\r\n");
}

/// Which errors a batch can meet, and how clients hear of them.
#[tokio::test]
async fn errors_of_the_store_have_the_words_clients_act_on() {
    let unavailable = Error::Unavailable;
    for (error, text) in [
        (Error::NotLeader { leader: id("B") }, "MOVED 7629 127.0.0.1:7002"),
        (Error::NotLeader { leader: id("gone") }, "CLUSTERDOWN The cluster is down"),
        (Error::NoLeader, "CLUSTERDOWN The cluster is down"),
        (unavailable(Unavailable::Loading), "LOADING raftkv is loading its log"),
        (unavailable(Unavailable::Stopping), "CLUSTERDOWN The node is shutting down"),
        (
            unavailable(Unavailable::Overloaded),
            "TRYAGAIN Too many writes are under way, nothing was done",
        ),
        (
            unavailable(Unavailable::NoSpace),
            "MISCONF No space left on the disk for the log: writes are refused, nothing was done",
        ),
        (
            unavailable(Unavailable::TooLarge),
            "ERR the request is too large for one log entry, nothing was done",
        ),
        (
            Error::Unknown,
            "TIMEOUT The outcome is unknown: the command may have been done, or may still be",
        ),
    ] {
        let kv = Memory::new();
        kv.fail([error]);
        let input = b"SET k 1\r\nPING\r\nGET k\r\n";
        let answers = String::from_utf8(talk(&kv, input).await).unwrap();
        assert_eq!(answers, format!("-{text}\r\n+PONG\r\n-{text}\r\n"));
        assert_eq!(kv.batches(), [2]);
    }
}

/// After an outcome that is unknown, a client library must not repeat the command by itself.
#[tokio::test]
async fn an_unknown_outcome_is_no_word_that_clients_retry() {
    let kv = Memory::new();
    kv.fail([Error::Unknown]);
    let answer = ask(&kv, "INCR k").await;
    for word in ["MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "READONLY", "MASTERDOWN"] {
        assert!(!answer.starts_with(&format!("-{word}")), "{answer}");
    }
}

#[tokio::test]
async fn a_follower_sends_each_command_to_the_leader_with_its_own_slot() {
    let kv = Memory::new();
    kv.change(|cluster| {
        (cluster.node, cluster.role, cluster.leader) = (id("B"), Role::Follower, Some(id("A")));
    });
    let input = "GET k\r\nSET {k}x 1\r\nMSET foo 1 bar 2\r\nDBSIZE\r\n\
    FLUSHALL\r\nOBJECT ENCODING k\r\n\
                 GET foo{}{bar}\r\nGET foo{{bar}}zap\r\nPING\r\nREADONLY\r\nGET k\r\n\
                 GET\r\nECHO a\r\n";
    let expected = "-MOVED 7629 127.0.0.1:7001\r\n-MOVED 7629 127.0.0.1:7001\r\n\
        -MOVED 12182 127.0.0.1:7001\r\n-MOVED 0 127.0.0.1:7001\r\n-MOVED 0 127.0.0.1:7001\r\n\
        -MOVED 7629 127.0.0.1:7001\r\n-MOVED 8363 127.0.0.1:7001\r\n-MOVED 4015 127.0.0.1:7001\r\n\
        +PONG\r\n+OK\r\n-MOVED 7629 127.0.0.1:7001\r\n\
        -ERR wrong number of arguments for 'get' command\r\n$1\r\na\r\n";
    assert_eq!(String::from_utf8(talk(&kv, input.as_bytes()).await).unwrap(), expected);
    assert!(kv.batches().is_empty(), "nothing was submitted");
    // The same as arrays, whose slots are found in another way.
    let input = [words("PING"), words("MSET foo 1 bar 2"), words("OBJECT ENCODING k")].concat();
    let expected = "+PONG\r\n-MOVED 12182 127.0.0.1:7001\r\n-MOVED 7629 127.0.0.1:7001\r\n";
    assert_eq!(String::from_utf8(talk(&kv, &input).await).unwrap(), expected);
    kv.change(|cluster| cluster.members[0].resp_host = "::1".to_owned());
    assert_eq!(ask(&kv, "GET k").await, "-MOVED 7629 ::1:7001\r\n");
}

/// The leader was one when the batch was taken and none when it came to it: arrays and inline
/// lines, each with its slot.
#[tokio::test]
async fn a_batch_that_comes_too_late_moves_with_its_slots() {
    let kv = Memory::new();
    kv.fail([Error::NotLeader { leader: id("C") }]);
    let input = [words("PING"), words("GET foo"), b"GET k\r\n".to_vec(), words("DBSIZE")].concat();
    let expected = "+PONG\r\n-MOVED 12182 127.0.0.1:7003\r\n-MOVED 7629 127.0.0.1:7003\r\n\
        -MOVED 0 127.0.0.1:7003\r\n";
    assert_eq!(String::from_utf8(talk(&kv, &input).await).unwrap(), expected);
}

#[tokio::test]
async fn without_a_leader_only_the_keyspace_is_down() {
    let kv = Memory::new();
    kv.change(|cluster| (cluster.role, cluster.leader) = (Role::Candidate, None));
    let answers = talk(&kv, b"GET k\r\nPING\r\nCLIENT ID\r\nWAIT 1 0\r\n").await;
    let expected = "-CLUSTERDOWN The cluster is down\r\n+PONG\r\n:1\r\n:0\r\n";
    assert_eq!(String::from_utf8(answers).unwrap(), expected);
    kv.change(|cluster| cluster.loading = true);
    assert_eq!(ask(&kv, "GET k").await, "-LOADING raftkv is loading its log\r\n");
    assert_eq!(ask(&kv, "PING").await, "+PONG\r\n");
}

#[tokio::test]
async fn keys_have_a_length_limit_and_values_another() {
    let kv = Memory::new();
    let (longest, too_long) = (vec![b'k'; 65_536], vec![b'k'; 65_537]);
    let input = [
        request(&[b"SET", &longest, b"1"]),
        request(&[b"SET", &too_long, b"1"]),
        request(&[b"SET", b"k", &too_long]),
        request(&[b"MSET", b"a", b"1", &too_long, b"2"]),
        request(&[b"SET", b"", b"empty"]),
        request(&[b"GET", b""]),
    ]
    .concat();
    let error = "-ERR key is longer than 65536 bytes\r\n";
    let expected = format!("+OK\r\n{error}+OK\r\n{error}+OK\r\n$5\r\nempty\r\n");
    assert_eq!(String::from_utf8(talk(&kv, &input).await).unwrap(), expected);
}
