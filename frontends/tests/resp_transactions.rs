//! MULTI, EXEC, DISCARD, WATCH: what is queued, what is carried out, and that only EXEC depends on
//! the cluster. Conversations of one client are in `resp_redis`, beside what Redis says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::sync::Arc;

use raftkv_frontends::resp::{Options, Server};
use raftkv_frontends::{Error, Role};
use support::{Memory, id, talk, talk_to, words};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn lines(commands: &[&str]) -> Vec<u8> {
    commands.iter().flat_map(|command| words(command)).collect()
}

async fn say(kv: &Memory, commands: &[&str]) -> String {
    String::from_utf8(talk(kv, &lines(commands)).await).unwrap()
}

#[tokio::test]
async fn a_transaction_is_one_batch_and_one_entry() {
    let kv = Memory::new();
    let answers = say(
        &kv,
        &["SET before 1", "MULTI", "GET a", "SET a 1", "PING", "INCR a", "GET a", "EXEC", "GET a"],
    );
    let expected = "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n\
                    *5\r\n$-1\r\n+OK\r\n+PONG\r\n:2\r\n$1\r\n2\r\n$1\r\n2\r\n";
    assert_eq!(answers.await, expected);
    assert_eq!((kv.batches(), kv.index()), (vec![1, 4, 1], 2));
}

/// A conversation in which every answer is awaited before something else happens.
struct Dialogue(DuplexStream);

impl Dialogue {
    fn begin(server: &Arc<Server<Memory>>) -> Self {
        let (client, near) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(near);
        let (peer, local) = ("127.0.0.1:5000".to_owned(), "127.0.0.1:7001".to_owned());
        tokio::spawn(Arc::clone(server).converse(reader, writer, peer, local));
        Self(client)
    }

    async fn expect(&mut self, commands: &[&str], expected: &str) {
        self.0.write_all(&lines(commands)).await.unwrap();
        let mut answers = vec![0; expected.len()];
        self.0.read_exact(&mut answers).await.unwrap();
        assert_eq!(String::from_utf8(answers).unwrap(), expected, "{commands:?}");
    }
}

/// A key that another client writes between WATCH and EXEC stops the transaction, whatever is done
/// to it; one that is only read does not.
#[tokio::test]
async fn a_watched_key_that_has_changed_stops_the_transaction() {
    for (change, is_done) in [
        ("GET k", true),
        ("SET other 1", true),
        ("DEL nokey", true),
        ("HDEL h nofield", true),
        ("PERSIST k", true),
        ("SET k 1", false),
        ("DEL k", false),
        ("EXPIRE k 100", false),
        ("RENAME k2 k", false),
        ("FLUSHALL", false),
        ("SET absent 1", false),
        ("HSET h f 2", false),
    ] {
        let kv = Memory::new();
        say(&kv, &["SET k 1", "SET k2 1", "HSET h f 1"]).await;
        let server = Server::new(kv.clone(), Options::default(), 7001);
        let mut dialogue = Dialogue::begin(&server);
        dialogue.expect(&["WATCH k absent", "WATCH h"], "+OK\r\n+OK\r\n").await;
        say(&kv, &[change]).await;
        let end = if is_done { "*1\r\n+OK\r\n" } else { "*-1\r\n" };
        let expected = format!("+OK\r\n+QUEUED\r\n{end}");
        dialogue.expect(&["MULTI", "SET done 1", "EXEC"], &expected).await;
        let is_there = format!(":{}\r\n", u8::from(is_done));
        assert_eq!(say(&kv, &["EXISTS done"]).await, is_there, "{change}");
        // Watched no longer, whatever came of it.
        say(&kv, &["SET k again"]).await;
        dialogue.expect(&["MULTI", "EXEC"], "+OK\r\n*0\r\n").await;
    }
}

#[tokio::test]
async fn a_key_that_dies_while_it_is_watched_stops_the_transaction() {
    let kv = Memory::new();
    let server = Server::new(kv.clone(), Options::default(), 7001);
    let mut dialogue = Dialogue::begin(&server);
    dialogue.expect(&["SET k 1 PX 100", "WATCH k"], "+OK\r\n+OK\r\n").await;
    kv.pass(100);
    dialogue.expect(&["MULTI", "PING", "EXEC"], "+OK\r\n+QUEUED\r\n*-1\r\n").await;
    // One that was dead before is not there, before and after.
    dialogue.expect(&["WATCH k", "MULTI", "PING"], "+OK\r\n+OK\r\n+QUEUED\r\n").await;
    kv.pass(100);
    dialogue.expect(&["EXEC"], "*1\r\n+PONG\r\n").await;
}

/// MULTI, what is queued and DISCARD never fail because of the cluster; EXEC and WATCH say where to
/// go, and the transaction is over.
#[tokio::test]
async fn only_exec_depends_on_the_cluster() {
    let kv = Memory::new();
    kv.change(|cluster| (cluster.role, cluster.leader) = (Role::Follower, Some(id("B"))));
    kv.fail([Error::NotLeader { leader: id("B") }]);
    let moved = "-MOVED 11361 127.0.0.1:7002\r\n";
    let queued = "+OK\r\n+QUEUED\r\n+QUEUED\r\n";
    assert_eq!(
        say(&kv, &["MULTI", "PING", "SET other 1", "DISCARD"]).await,
        format!("{queued}+OK\r\n")
    );
    let commands = ["MULTI", "PING", "SET other 1", "EXEC", "EXEC", "DISCARD"];
    let ends = "-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n";
    assert_eq!(say(&kv, &commands).await, format!("{queued}{moved}{ends}"));
    kv.fail([Error::Unknown]);
    let unknown =
        "-TIMEOUT The outcome is unknown: the command may have been done, or may still be\r\n";
    assert_eq!(say(&kv, &commands[..4]).await, format!("{queued}{unknown}"));
    kv.fail([Error::NoLeader]);
    assert_eq!(say(&kv, &["WATCH other"]).await, "-CLUSTERDOWN The cluster is down\r\n");
    // What asks for no key needs no cluster.
    assert_eq!(say(&kv, &["MULTI", "EXEC"]).await, "+OK\r\n*0\r\n");
}

/// What waits for EXEC is bounded, and a transaction that is too large is refused as a whole.
#[tokio::test]
async fn a_transaction_has_a_size() {
    let kv = Memory::new();
    let options = Options { max_request_bytes: 10_000, ..Options::default() };
    let server = Server::new(kv.clone(), options, 7001);
    let large = format!("SET k {}", "x".repeat(4_000));
    let commands = lines(&["MULTI", &large, &large, &large, "EXEC", "GET k"]);
    let answers = String::from_utf8(talk_to(&server, &[&commands]).await).unwrap();
    let expected = "+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR the transaction has more than 10000 bytes\r\n\
                    -EXECABORT Transaction discarded because of previous errors.\r\n$-1\r\n";
    assert_eq!(answers, expected);
}
