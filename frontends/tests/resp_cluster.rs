//! The Raft group as a Redis Cluster, CONFIG and INFO, byte for byte.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use raftkv_frontends::Role;
use support::{Memory, ask, id, talk, words};

const A: &str = "NODE_A";
const B: &str = "NODE_B";
const C: &str = "NODE_C";

/// As [`ask`], with readable names in place of the 40 digits.
async fn asked(kv: &Memory, command: &str) -> String {
    named(ask(kv, command).await)
}

fn named(text: String) -> String {
    text.replace(ID_A, A).replace(ID_B, B).replace(ID_C, C)
}

// The digits are part of what clients remember: they must never change.
const ID_A: &str = "bfc1718c8cb505bf6e1854307f6c075bc5f68a6a";
const ID_B: &str = "9a2517ac349f730660e45d67edc83b3d5380595f";
const ID_C: &str = "1b438a3e2a3c6f9873a4265fd650929fb23413a7";

async fn resp3(kv: &Memory, command: &str) -> String {
    let hello = ask(kv, "HELLO 3").await;
    let answers = talk(kv, &[words("HELLO 3"), words(command)].concat()).await;
    named(String::from_utf8(answers).unwrap()[hello.len()..].to_owned())
}

/// This node follows C.
fn follower() -> Memory {
    let kv = Memory::new();
    kv.change(|cluster| {
        (cluster.role, cluster.leader) = (Role::Follower, Some(id("C")));
        cluster.last_leader = Some(id("C"));
        cluster.members[1].live = false;
    });
    kv
}

/// This node has lost the leader C.
fn orphan() -> Memory {
    let kv = follower();
    kv.change(|cluster| (cluster.role, cluster.leader) = (Role::PreCandidate, None));
    kv
}

#[tokio::test]
async fn slots_shows_the_leader_first_and_then_who_lives() {
    let node = |port: u16, name: &str, meta: &str| {
        format!("*4\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$40\r\n{name}\r\n{meta}\r\n")
    };
    let range = "\r\n:0\r\n:16383\r\n";
    let expected = format!(
        "*1\r\n*5{range}{}{}{}",
        node(7001, A, "*0"),
        node(7002, B, "*0"),
        node(7003, C, "*0")
    );
    assert_eq!(asked(&Memory::new(), "CLUSTER SLOTS").await, expected);
    let expected = format!("*1\r\n*4{range}{}{}", node(7003, C, "%0"), node(7001, A, "%0"));
    assert_eq!(resp3(&follower(), "CLUSTER SLOTS").await, expected);
    // During an election nothing changes: the leader that was is shown.
    assert_eq!(resp3(&orphan(), "CLUSTER SLOTS").await, expected);
}

#[tokio::test]
async fn nodes_has_one_myself_and_slots_on_the_master_alone() {
    let text = "NODE_A 127.0.0.1:7001@17001 myself,master - 0 0 3 connected 0-16383\n\
        NODE_B 127.0.0.1:7002@17002 slave NODE_A 0 0 3 connected\n\
        NODE_C 127.0.0.1:7003@17003 slave NODE_A 0 0 3 connected\n";
    let length = text.len() + 5 * (40 - A.len());
    assert_eq!(asked(&Memory::new(), "CLUSTER NODES").await, format!("${length}\r\n{text}\r\n"));
    let text = "NODE_C 127.0.0.1:7003@17003 master - 0 0 3 connected 0-16383\n\
        NODE_A 127.0.0.1:7001@17001 myself,slave NODE_C 0 0 3 connected\n\
        NODE_B 127.0.0.1:7002@17002 slave NODE_C 0 0 3 disconnected\n";
    let length = text.len() + 5 * (40 - A.len());
    for kv in [follower(), orphan()] {
        assert_eq!(asked(&kv, "CLUSTER NODES").await, format!("${length}\r\n{text}\r\n"));
        let expected = format!("={}\r\ntxt:{text}\r\n", length + 4);
        assert_eq!(resp3(&kv, "CLUSTER NODES").await, expected);
    }
}

#[tokio::test]
async fn shards_says_how_far_and_how_well() {
    let node = |port: u16, name: &str, role: &str, offset: u64, health: &str| {
        format!(
            "$2\r\nid\r\n$40\r\n{name}\r\n$4\r\nport\r\n:{port}\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n\
             $8\r\nendpoint\r\n$9\r\n127.0.0.1\r\n$4\r\nrole\r\n${}\r\n{role}\r\n\
             $18\r\nreplication-offset\r\n:{offset}\r\n$6\r\nhealth\r\n${}\r\n{health}\r\n",
            role.len(),
            health.len()
        )
    };
    let slots = "$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*3\r\n";
    let expected = format!(
        "*1\r\n*4\r\n{slots}*14\r\n{}*14\r\n{}*14\r\n{}",
        node(7001, A, "master", 10, "online"),
        node(7002, B, "replica", 10, "online"),
        node(7003, C, "replica", 9, "online")
    );
    assert_eq!(asked(&Memory::new(), "CLUSTER SHARDS").await, expected);
    let kv = follower();
    kv.change_status(|status| status.peers.iter_mut().for_each(|peer| peer.match_index = None));
    let expected = format!(
        "*1\r\n%2\r\n{slots}%7\r\n{}%7\r\n{}%7\r\n{}",
        node(7003, C, "master", 10, "online"),
        node(7001, A, "replica", 10, "online"),
        node(7002, B, "replica", 10, "fail")
    );
    assert_eq!(resp3(&kv, "CLUSTER SHARDS").await, expected);
}

#[tokio::test]
async fn ids_are_forty_digits_stable_and_told_apart() {
    let kv = Memory::new();
    assert_eq!(ask(&kv, "CLUSTER MYID").await, format!("$40\r\n{ID_A}\r\n"));
    let shard = ask(&kv, "CLUSTER MYSHARDID").await;
    assert_eq!(ask(&follower(), "CLUSTER MYSHARDID").await, shard);
    let mut ids = std::collections::BTreeSet::new();
    for number in 0..1000 {
        let name = format!("node-{number}");
        kv.change(|cluster| cluster.node = id(&name));
        let text = ask(&kv, "CLUSTER MYID").await;
        assert!(text[5..45].bytes().all(|digit| digit.is_ascii_hexdigit()) && text.len() == 47);
        ids.insert(text);
    }
    assert_eq!(ids.len(), 1000);
}

#[tokio::test]
async fn the_rest_of_cluster() {
    let kv = Memory::new();
    for (command, expected) in [
        ("CLUSTER KEYSLOT k", ":7629"),
        ("CLUSTER KEYSLOT a{foo}b", ":12182"),
        ("CLUSTER COUNTKEYSINSLOT 1", ":0"),
        ("CLUSTER COUNTKEYSINSLOT 99999", "-ERR Invalid slot"),
        ("CLUSTER COUNTKEYSINSLOT x", "-ERR value is not an integer or out of range"),
        ("CLUSTER GETKEYSINSLOT 1 10", "*0"),
        ("CLUSTER GETKEYSINSLOT 1 -1", "-ERR Invalid slot or number of keys"),
        ("CLUSTER GETKEYSINSLOT 1 x", "-ERR value is not an integer or out of range"),
        ("CLUSTER REPLICAS foo", "-ERR Unknown node foo"),
        ("CLUSTER LINKS", "*0"),
        ("CLUSTER FAILOVER", "-ERR unknown subcommand 'FAILOVER'. Try CLUSTER HELP."),
        ("CLUSTER", "-ERR wrong number of arguments for 'cluster' command"),
    ] {
        assert_eq!(ask(&kv, command).await, format!("{expected}\r\n"), "{command}");
    }
    let replicas = asked(&kv, &format!("CLUSTER SLAVES {ID_A}")).await;
    assert!(replicas.starts_with("*2\r\n$"), "{replicas}");
    assert!(replicas.contains("NODE_B 127.0.0.1:7002@17002 slave NODE_A 0 0 3 connected\r\n"));
    let error = "-ERR The specified node is not a master\r\n";
    assert_eq!(ask(&kv, &format!("CLUSTER REPLICAS {ID_B}")).await, error);
    let info = "cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n\
        cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n\
        cluster_known_nodes:3\r\ncluster_size:1\r\n\
        cluster_current_epoch:3\r\ncluster_my_epoch:3\r\ncluster_stats_messages_sent:0\r\n\
        cluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n";
    let expected = format!("${}\r\n{info}\r\n", info.len());
    assert_eq!(ask(&kv, "CLUSTER INFO").await, expected);
    assert_eq!(ask(&follower(), "CLUSTER INFO").await, expected);
    assert!(ask(&orphan(), "CLUSTER INFO").await.contains("cluster_state:fail\r\n"));
}

/// A cluster that never had a leader still has a topology, and the same on every node.
#[tokio::test]
async fn before_the_first_election_the_first_member_stands_in() {
    let kv = orphan();
    kv.change(|cluster| (cluster.last_leader, cluster.cluster) = (None, None));
    let nodes = asked(&kv, "CLUSTER NODES").await;
    assert!(nodes.contains("NODE_A 127.0.0.1:7001@17001 myself,master -"), "{nodes}");
    assert!(asked(&kv, "CLUSTER SLOTS").await.starts_with("*1\r\n*4\r\n:0\r\n:16383\r\n"));
}

#[tokio::test(start_paused = true)]
async fn wait_counts_the_followers_that_hold_everything() {
    let kv = Memory::new();
    assert_eq!(ask(&kv, "WAIT 1 0").await, ":1\r\n");
    assert_eq!(ask(&kv, "WAIT 0 0").await, ":1\r\n");
    // C is one entry behind, and stays there.
    assert_eq!(ask(&kv, "WAIT 2 20").await, ":1\r\n");
    assert_eq!(ask(&follower(), "WAIT 2 0").await, ":0\r\n");
}

#[tokio::test(start_paused = true)]
async fn wait_ends_when_a_follower_arrives_or_nobody_does() {
    let kv = Memory::new();
    let start = tokio::time::Instant::now();
    let late = kv.clone();
    let arrival = async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        late.change_status(|status| {
            status.peers[1].match_index = Some(10);
            // Entries that came later do not matter.
            status.commit_index = 12;
        });
    };
    let (answer, ()) = tokio::join!(ask(&kv, "WAIT 2 0"), arrival);
    assert_eq!(answer, ":2\r\n");
    assert_eq!(start.elapsed().as_secs(), 5);
    // More than there are is as many as there are; for ever is not longer than a minute.
    kv.change_status(|status| status.commit_index = 9);
    assert_eq!(ask(&kv, "WAIT 100 0").await, ":2\r\n");
    kv.change_status(|status| status.peers[0].live = false);
    let start = tokio::time::Instant::now();
    assert_eq!(ask(&kv, "WAIT 2 0").await, ":1\r\n");
    assert_eq!(start.elapsed().as_secs(), 60);
    // Who no longer leads has no followers to wait for.
    let start = tokio::time::Instant::now();
    let deposed = kv.clone();
    let fall = async move {
        tokio::time::sleep(Duration::from_secs(7)).await;
        deposed.change(|cluster| cluster.role = Role::Follower);
    };
    let (answer, ()) = tokio::join!(ask(&kv, "WAIT 2 0"), fall);
    assert_eq!(answer, ":0\r\n");
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn config_takes_note_of_what_tools_set() {
    let kv = Memory::new();
    for (command, expected) in [
        ("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n"),
        (
            "CONFIG GET SAV? appendonl[xyz]",
            "*4\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n$4\r\nsave\r\n$0\r\n",
        ),
        ("CONFIG GET port", "*2\r\n$4\r\nport\r\n$4\r\n7001"),
        ("CONFIG GET nosuch", "*0"),
        ("CONFIG SET foo bar", "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
        (
            "CONFIG SET maxmemory 1",
            "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - \
             can't set immutable config",
        ),
        ("CONFIG SET maxmemory 0", "+OK"),
        ("CONFIG SET a b c", "-ERR syntax error"),
        ("CONFIG RESETSTAT", "+OK"),
        ("CONFIG REWRITE", "-ERR The server is running without a config file"),
        ("CONFIG foo", "-ERR unknown subcommand 'foo'. Try CONFIG HELP."),
    ] {
        assert_eq!(ask(&kv, command).await, format!("{expected}\r\n"), "{command}");
    }
    let input = [
        words("CONFIG SET hash-max-listpack-entries 3 slowlog-max-len 9"),
        words("CONFIG SET slowlog-max-len 1 nosuch 2"),
        words("CONFIG SET slowlog-max-len 1 slowlog-max-len 2"),
        words("CONFIG GET slowlog-max-len hash-max-listpack-entries"),
    ]
    .concat();
    let expected = "+OK\r\n-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n\
        -ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - \
        duplicate parameter\r\n\
        *4\r\n$25\r\nhash-max-listpack-entries\r\n$1\r\n3\r\n$15\r\nslowlog-max-len\r\n$1\r\n9\r\n";
    assert_eq!(String::from_utf8(talk(&kv, &input).await).unwrap(), expected);
}

#[tokio::test]
async fn info_has_what_tools_look_for() {
    let kv = Memory::new();
    let info = ask(&kv, "INFO").await;
    for line in [
        "# Server",
        "redis_version:7.0.15",
        "redis_mode:cluster",
        "tcp_port:7001",
        "connected_clients:1",
        "blocked_clients:0",
        "watching_clients:0",
        "loading:0",
        "total_connections_received:1",
        "role:master",
        "connected_slaves:2",
        "slave0:ip=127.0.0.1,port=7002,state=online,offset=10,lag=0",
        "master_repl_offset:10",
        "cluster_enabled:1",
        "db0:keys=2,expires=1,avg_ttl=0",
        "# Raftkv",
        "node:A",
        "raft_role:leader",
        "term:3",
        "leader:A",
        "commit_index:10",
        "snapshot_index:4",
    ] {
        assert!(info.contains(&format!("\r\n{line}\r\n")), "{line} in {info}");
    }
    let expected = "# Cluster\r\ncluster_enabled:1\r\n";
    assert_eq!(ask(&kv, "INFO cluster").await, format!("${}\r\n{expected}\r\n", expected.len()));
    assert_eq!(ask(&kv, "INFO nosuch").await, "$0\r\n\r\n");
    assert_eq!(resp3(&kv, "INFO nosuch").await, "=4\r\ntxt:\r\n");
    let two = ask(&kv, "INFO Keyspace CLUSTER").await;
    assert!(two.contains("cluster_enabled:1\r\n\r\n# Keyspace\r\n"), "{two}");
    let replication = ask(&follower(), "INFO replication").await;
    for line in ["role:slave", "master_host:127.0.0.1", "master_port:7003", "master_link_status:up"]
    {
        assert!(replication.contains(&format!("\r\n{line}\r\n")), "{line} in {replication}");
    }
    assert!(ask(&orphan(), "INFO replication").await.contains("master_link_status:down\r\n"));
}
