//! Wrong options of writes: told in their place, and without asking the log.

#![allow(clippy::unwrap_used)]

mod support;

use raftkv_frontends::{Error, Role, Unavailable};
use support::{Memory, ask, id, talk, words};

const WRONG: &[(&str, &str)] = &[
    ("SET k v NX XX", "-ERR syntax error\r\n"),
    ("SET k v EX abc", "-ERR value is not an integer or out of range\r\n"),
    ("SET k v EX 0", "-ERR invalid expire time in 'set' command\r\n"),
    ("SETRANGE k -1 v", "-ERR offset is out of range\r\n"),
    ("INCRBY k abc", "-ERR value is not an integer or out of range\r\n"),
    ("EXPIRE k abc", "-ERR value is not an integer or out of range\r\n"),
    ("COPY a b nonsense", "-ERR syntax error\r\n"),
    ("GETEX k nonsense", "-ERR syntax error\r\n"),
    ("MSET k v k", "-ERR wrong number of arguments for 'mset' command\r\n"),
    ("FLUSHALL nonsense", "-ERR syntax error\r\n"),
];

async fn text(kv: &Memory, lines: &str) -> String {
    String::from_utf8(talk(kv, lines.as_bytes()).await).unwrap()
}

/// A leader that has lost its majority and does not know yet: whatever it proposes ends in TIMEOUT.
#[tokio::test]
async fn a_leader_without_a_majority_still_tells_what_is_wrong() {
    for (line, error) in WRONG {
        let kv = Memory::new();
        kv.fail([Error::Unknown]);
        assert_eq!(ask(&kv, line).await, *error, "{line}");
        assert!(kv.batches().is_empty(), "{line}");
        assert!(ask(&kv, "SET k v").await.starts_with("-TIMEOUT"));
    }
}

#[tokio::test]
async fn wrong_options_take_their_place_in_a_pipeline_and_no_entry() {
    let kv = Memory::new();
    let lines = "SET k 1\r\nSET k 2 NX XX\r\nINCR k\r\nINCRBY k x\r\nGET k\r\n";
    let expected = "+OK\r\n-ERR syntax error\r\n:2\r\n\
        -ERR value is not an integer or out of range\r\n$1\r\n2\r\n";
    assert_eq!(text(&kv, lines).await, expected);
    assert_eq!((kv.batches(), kv.index()), (vec![3], 1));

    // Alone they are no batch at all; one that is not wanted is not told.
    let wrong: Vec<u8> = WRONG.iter().flat_map(|(line, _)| words(line)).collect();
    let errors: String = WRONG.iter().map(|(_, error)| *error).collect();
    assert_eq!(String::from_utf8(talk(&kv, &wrong).await).unwrap(), errors);
    assert_eq!(text(&kv, "CLIENT REPLY SKIP\r\nSET k v NX XX\r\nPING\r\n").await, "+PONG\r\n");
    assert_eq!((kv.batches(), kv.index()), (vec![3], 1));
}

/// Redis counts arguments, then looks whether it is the master, and only then reads options.
#[tokio::test]
async fn a_redirection_comes_before_options_and_after_the_number_of_arguments() {
    let kv = Memory::new();
    kv.change(|cluster| (cluster.role, cluster.leader) = (Role::Follower, Some(id("C"))));
    assert_eq!(ask(&kv, "SET k v NX XX").await, "-MOVED 7629 127.0.0.1:7003\r\n");
    let arity = "-ERR wrong number of arguments for 'set' command\r\n";
    assert_eq!(ask(&kv, "SET k").await, arity);
    kv.change(|cluster| (cluster.role, cluster.leader) = (Role::Candidate, None));
    assert!(ask(&kv, "SET k v NX XX").await.starts_with("-CLUSTERDOWN"));
    assert_eq!(ask(&kv, "SET k").await, arity);
    kv.change(|cluster| cluster.loading = true);
    assert!(ask(&kv, "SET k v NX XX").await.starts_with("-LOADING"));
    assert!(kv.batches().is_empty());
}

/// What is found with the key is still found with the key.
#[tokio::test]
async fn getex_reads_without_the_log_where_it_changes_nothing() {
    let kv = Memory::new();
    assert_eq!(
        text(&kv, "SET k v\r\nGETEX k\r\nGETEX missing\r\n").await,
        "+OK\r\n$1\r\nv\r\n$-1\r\n"
    );
    assert_eq!(kv.index(), 1);
    assert_eq!(text(&kv, "getex k\r\nGETEX missing\r\n").await, "$1\r\nv\r\n$-1\r\n");
    assert_eq!(kv.index(), 1);
    assert_eq!(ask(&kv, "GETEX missing EX abc").await, "$-1\r\n");
    assert!(ask(&kv, "GETEX k EX abc").await.starts_with("-ERR value is not an integer"));
    assert_eq!(ask(&kv, "GETEX k EX 10").await, "$1\r\nv\r\n");
    assert_eq!(ask(&kv, "TTL k").await, ":10\r\n");
    assert_eq!(ask(&kv, "GETEX k PERSIST").await, "$1\r\nv\r\n");
    assert_eq!(ask(&kv, "TTL k").await, ":-1\r\n");
    assert_eq!(kv.index(), 5);
    kv.fail([Error::Unavailable(Unavailable::NoSpace)]);
    assert!(ask(&kv, "GETEX k").await.starts_with("-MISCONF"));
}
