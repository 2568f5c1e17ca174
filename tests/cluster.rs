//! Three real processes, and what may happen to them: kill -9, a pause, a restart of all, a long
//! absence.
//!
//! The promise under test each time: what was acknowledged is there, once, and no read is older
//! than what was acknowledged before it began.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod process;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use process::client::{Value, http, http_get};
use process::load::{Load, Mix};
use process::{Cluster, Node, PATIENCE, wait_for};
use raftkv::transport::wire::proto;
use rustix::process::Signal;

#[test]
fn a_killed_leader_loses_no_acknowledged_write() {
    let mut cluster = Cluster::start(3, &[]);
    let load = Load::start(&cluster, Mix::plain(4));
    for _ in 0..3 {
        load.wait_for_progress();
        let leader = cluster.leader();
        cluster.nodes[leader].kill();
        load.wait_for_progress();
        cluster.nodes[leader].start();
    }
    load.wait_for_progress();
    let ledger = load.stop();
    ledger.check(&cluster);
    cluster.assert_converged();
}

#[test]
fn a_restart_of_all_loses_no_acknowledged_write() {
    let mut cluster = Cluster::start(3, &["--snapshot-log-bytes", "65536"]);
    let load = Load::start(&cluster, Mix::plain(4));
    load.wait_for_progress();
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    load.wait_for_progress();
    let ledger = load.stop();
    ledger.check(&cluster);
    cluster.assert_converged();
}

#[test]
fn a_clean_stop_under_load_loses_no_acknowledged_write() {
    let mut cluster = Cluster::start(3, &[]);
    let load = Load::start(&cluster, Mix::plain(4));
    for _ in 0..2 {
        load.wait_for_progress();
        let leader = cluster.leader();
        assert!(cluster.nodes[leader].stop().success(), "SIGTERM is a clean stop");
        load.wait_for_progress();
        cluster.nodes[leader].start();
    }
    load.stop().check(&cluster);
    cluster.assert_converged();
}

/// Starts a cluster whose followers would wait for a new leader longer than this test does.
fn with_patient_followers() -> (Cluster, usize) {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    for at in (0..3).filter(|at| *at != leader) {
        let node = &mut cluster.nodes[at];
        node.stop();
        node.add_flag("--election-timeout-ms=60000");
        node.start();
        wait_for("the follower", || node.status().filter(|status| !status["leader"].is_null()));
    }
    // On a busy machine it may have had to be elected again, which is up to it alone.
    wait_for("the first leader", || (cluster.leader() == leader).then_some(()));
    (cluster, leader)
}

#[test]
fn the_end_of_a_leader_is_noticed_by_its_streams() {
    let (mut cluster, leader) = with_patient_followers();
    cluster.nodes[leader].kill();
    assert_ne!(cluster.leader(), leader);
}

#[test]
fn a_leader_that_is_stopped_hands_over() {
    let (mut cluster, leader) = with_patient_followers();
    let load = Load::start(&cluster, Mix::plain(4));
    load.wait_for_progress();
    let term = |cluster: &Cluster, at: usize| cluster.nodes[at].status().unwrap()["term"].clone();
    let before = term(&cluster, leader).as_u64().unwrap();
    assert!(cluster.nodes[leader].stop().success());
    let log = cluster.nodes[leader].log();
    assert!(log.contains("handing leadership over"), "{log}");
    let next = cluster.leader();
    assert_eq!(term(&cluster, next), before + 1, "one election");
    load.wait_for_progress();
    load.stop().check(&cluster);
}

#[test]
fn five_nodes_survive_two() {
    let mut cluster = Cluster::start(5, &[]);
    let load = Load::start(&cluster, Mix::plain(2));
    load.wait_for_progress();
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    cluster.nodes[(leader + 1) % 5].kill();
    load.wait_for_progress();
    load.stop().check(&cluster);
}

#[test]
fn one_node_alone_is_a_cluster_that_remembers() {
    let mut cluster = Cluster::start(1, &[]);
    let leader = cluster.leader();
    let mut client = cluster.nodes[leader].resp();
    assert_eq!(client.call(&["INCR", "n"]), Ok(Value::Integer(1)));
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    cluster.leader();
    let mut client = cluster.nodes[0].resp();
    assert_eq!(client.call(&["INCR", "n"]), Ok(Value::Integer(2)));
    assert!(cluster.nodes[0].stop().success(), "SIGTERM is a clean stop");
}

#[test]
fn wrong_options_and_plain_getex_write_nothing_to_the_log() {
    let cluster = Cluster::start(1, &[]);
    cluster.leader();
    let node = &cluster.nodes[0];
    let mut client = node.resp();
    assert_eq!(client.call(&["SET", "k", "v"]), Ok(Value::Simple("OK".to_owned())));
    let last_index = || node.status().unwrap()["last_log_index"].clone();
    let before = last_index();
    for line in ["SET k v NX XX", "SETRANGE k -1 v", "EXPIRE k abc", "COPY k k", "MSET k v k"] {
        let reply = client.call(&line.split(' ').collect::<Vec<_>>());
        assert!(matches!(reply, Ok(Value::Error(error)) if error.starts_with("ERR ")), "{line}");
    }
    assert_eq!(client.call(&["GETEX", "k"]), Ok(Value::Bulk(b"v".to_vec())));
    assert_eq!(last_index(), before);
    assert_eq!(client.call(&["INCR", "n"]), Ok(Value::Integer(1)));
    assert_ne!(last_index(), before);
}

#[test]
fn a_follower_that_was_away_catches_up_by_the_log() {
    let mut cluster = Cluster::start(3, &[]);
    let away = cluster.follower();
    cluster.nodes[away].kill();
    let leader = cluster.leader();
    let mut client = cluster.nodes[leader].resp();
    for at in 0..100 {
        client.call(&["SET", &format!("k{at}"), "v"]).unwrap();
    }
    cluster.nodes[away].start();
    cluster.assert_converged();
    assert_eq!(
        cluster.nodes[away].status().unwrap()["snapshot_index"],
        0,
        "no snapshot was needed"
    );
}

#[test]
fn a_follower_behind_the_log_catches_up_by_a_snapshot() {
    let mut cluster = Cluster::start(3, &[]);
    let away = cluster.follower();
    cluster.nodes[away].kill();
    let leader = cluster.leader();
    let mut client = cluster.nodes[leader].resp();
    for thousand in 0..200 {
        for at in 0..1000 {
            client.send(&["SET", &format!("key:{thousand}:{at}"), "v"]).unwrap();
        }
        for _ in 0..1000 {
            assert_eq!(client.receive().unwrap(), Value::Simple("OK".into()));
        }
    }
    client.call(&["SET", "mortal", "v", "PX", "600000"]).unwrap();
    cluster.nodes[away].start();
    cluster.assert_converged();
    let status = cluster.nodes[away].status().unwrap();
    assert!(status["snapshot_index"].as_u64().unwrap() > 0, "a snapshot was installed: {status}");
    assert!(cluster.nodes[leader].log().contains("sending snapshot"));
    // What it took over, it can serve and hand on after a restart.
    cluster.nodes[away].kill();
    cluster.nodes[away].start();
    client.call(&["SET", "after", "v"]).unwrap();
    cluster.assert_converged();
}

#[test]
fn a_paused_leader_serves_no_stale_read() {
    for mode in ["read-index", "lease"] {
        serves_no_stale_read(mode);
    }
}

fn serves_no_stale_read(mode: &str) {
    let cluster = Cluster::start(3, &["--read-mode", mode]);
    for round in 0..3 {
        let old = cluster.leader();
        let mut on_old = cluster.nodes[old].resp();
        on_old.call(&["SET", "k", &format!("before {round}")]).unwrap();
        if mode == "lease" {
            wait_for("a lease", || {
                cluster.nodes[old].status().filter(|status| status["lease_held"] == true)
            });
            on_old.call(&["GET", "k"]).unwrap();
            let info = on_old.call(&["INFO", "raftkv"]).unwrap();
            let reads = info.text().unwrap().split("lease_reads:").nth(1);
            assert!(reads.is_some_and(|reads| !reads.starts_with('0')), "{info:?}");
        }
        cluster.nodes[old].signal(Signal::STOP);
        // Asked while it cannot answer, and answered by whoever it is when it wakes.
        on_old.send(&["GET", "k"]).unwrap();
        wait_for("a write through another leader", || {
            cluster.nodes.iter().enumerate().filter(|(at, _)| *at != old).find_map(|(_, node)| {
                let reply = node.try_resp()?.call(&["SET", "k", &format!("after {round}")]);
                (reply == Ok(Value::Simple("OK".into()))).then_some(())
            })
        });
        cluster.nodes[old].signal(Signal::CONT);
        let value = on_old.receive().unwrap();
        let is_error = matches!(value, Value::Error(_));
        let is_fresh = value.text() == Some(&format!("after {round}"));
        assert!(is_error || is_fresh, "a stale read: {value:?}");
    }
}

#[test]
fn followers_and_both_frontends_agree_on_who_leads() {
    let cluster = Cluster::start(3, &[]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let (leader, follower) = (&cluster.nodes[leader], &cluster.nodes[follower]);
    let reply = wait_for("a redirect", || {
        let reply = follower.resp().call(&["GET", "k"]).unwrap();
        reply.moved_to().map(|_| reply)
    });
    assert_eq!(reply, Value::Error(format!("MOVED 7629 127.0.0.1:{}", leader.resp)));
    let (status, body) = http_get(follower.http, "/kv/k").unwrap();
    assert_eq!(status, 409);
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"], "not_leader");
    assert_eq!(body["leader"]["id"], leader.id.as_str());
    assert_eq!(body["leader"]["http"], format!("http://127.0.0.1:{}", leader.http));

    // What one frontend writes, the other reads.
    let (status, _) = http(leader.http, "PUT", "/kv/k", br#"{"value":"v"}"#).unwrap();
    assert_eq!(status, 200);
    assert_eq!(leader.resp().call(&["GET", "k"]), Ok(Value::Bulk(b"v".to_vec())));
}

/// Returns which nodes each of the ways to ask shows as dead, by their RESP port.
fn dead(node: &Node, all: &[Node]) -> Option<[BTreeSet<u16>; 4]> {
    let mut client = node.try_resp()?;
    let ports = || all.iter().map(|node| node.resp);
    let nodes = client.call(&["CLUSTER", "NODES"]).ok()?;
    let is_dead = |port: &u16| {
        let line = nodes.text()?.lines().find(|line| line.contains(&format!(":{port}@")))?;
        Some(line.contains(" disconnected"))
    };
    let by_nodes = ports().filter(|port| is_dead(port) == Some(true)).collect();
    let slots = client.call(&["CLUSTER", "SLOTS"]).ok()?;
    let by_slots = ports().filter(|port| !slots.mentions(*port)).collect();
    let shards = client.call(&["CLUSTER", "SHARDS"]).ok()?;
    let fails = |port: &u16| shards.holder_of(*port).is_some_and(|shard| shard.says("fail"));
    let by_shards = ports().filter(fails).collect();
    let status = node.status()?;
    let silent = status["peers"].as_array()?.iter().filter(|peer| peer["live"] == false);
    let port = |id: &str| all.iter().find(|node| node.id == id).map(|node| node.resp);
    let by_status = silent.filter_map(|peer| port(peer["id"].as_str()?)).collect();
    Some([by_nodes, by_slots, by_shards, by_status])
}

#[test]
fn a_follower_shows_the_dead_as_the_leader_does() {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let (away, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let shown = |cluster: &Cluster, expected: &[u16]| {
        for at in [leader, other] {
            let expected = BTreeSet::from_iter(expected.iter().copied());
            wait_for("who is dead", || {
                let dead = dead(&cluster.nodes[at], &cluster.nodes)?;
                dead.iter().all(|dead| *dead == expected).then_some(())
            });
        }
    };
    shown(&cluster, &[]);
    let port = cluster.nodes[away].resp;
    cluster.nodes[away].kill();
    shown(&cluster, &[port]);
    cluster.nodes[away].start();
    shown(&cluster, &[]);
    // What the leader said last holds when it is gone too, and so does that it led.
    cluster.nodes[away].kill();
    shown(&cluster, &[port]);
    cluster.nodes[leader].kill();
    let mut client = cluster.nodes[other].resp();
    wait_for("the loss of the leader", || {
        let info = client.call(&["CLUSTER", "INFO"]).unwrap();
        info.text().unwrap().contains("cluster_state:fail").then_some(())
    });
    let dead = dead(&cluster.nodes[other], &cluster.nodes).unwrap();
    assert!(dead.iter().all(|dead| *dead == BTreeSet::from([port])), "{dead:?}");
}

/// Sends a node heartbeats of term 1, in which their sender is called dead, and waits until the
/// first has had its effect.
async fn slander(node: &Node, from: &Node) {
    let heartbeat = proto::Heartbeat { silent: vec![from.id.clone()], ..Default::default() };
    let header =
        proto::Header { from: from.id.clone(), to: node.id.clone(), term: 1, ..Default::default() };
    let request = proto::AppendEntriesRequest {
        header: Some(header),
        message: Some(proto::append_entries_request::Message::Heartbeat(heartbeat)),
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    let address = format!("http://127.0.0.1:{}", node.grpc);
    let mut client = proto::raft_client::RaftClient::connect(address).await.unwrap();
    let answers = client.append_entries(tokio_stream::wrappers::ReceiverStream::new(receiver));
    let mut answers = answers.await.unwrap().into_inner();
    for _ in 0..2 {
        sender.send(request.clone()).await.unwrap();
        assert!(answers.message().await.unwrap().is_some(), "an old term is answered");
    }
}

#[test]
fn who_led_once_has_no_say_in_who_is_dead() {
    let mut cluster = Cluster::start(3, &[]);
    let old = cluster.leader();
    cluster.nodes[old].kill();
    let leader = cluster.leader();
    cluster.nodes[old].start();
    cluster.assert_converged();
    let follower = &cluster.nodes[3 - old - leader];
    let shown =
        || dead(follower, &cluster.nodes).filter(|dead| dead.iter().all(BTreeSet::is_empty));
    wait_for("all to live", shown);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let said = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, slander(follower, &cluster.nodes[old])).await
    });
    said.expect("an answer in time");
    assert!(shown().is_some(), "{:?}", dead(follower, &cluster.nodes));
}

#[test]
fn half_a_request_does_not_hold_up_a_clean_stop() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.leader();
    let node = &mut cluster.nodes[0];
    // The first part of each is answered, so the rest has arrived too.
    let mut resp = node.resp();
    resp.send_raw(b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk").unwrap();
    assert_eq!(resp.receive().unwrap(), Value::Simple("PONG".into()));
    let mut http = TcpStream::connect((Ipv4Addr::LOCALHOST, node.http)).unwrap();
    http.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\nGET /livez HTTP/1.1\r\nho").unwrap();
    http.read_exact(&mut [0; 15]).unwrap();
    let mut body = TcpStream::connect((Ipv4Addr::LOCALHOST, node.http)).unwrap();
    let head = "PUT /kv/k HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
        content-length: 9\r\nexpect: 100-continue\r\n\r\n";
    body.write_all(head.as_bytes()).unwrap();
    body.read_exact(&mut [0; 12]).unwrap();
    assert!(node.stop().success(), "SIGTERM is a clean stop");
    let log = node.log();
    assert!(!log.contains("cut off") && !log.contains("cutting off"), "{log}");
}

#[test]
fn a_cluster_without_a_majority_says_so_and_recovers() {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let (a, b) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.nodes[a].kill();
    cluster.nodes[b].kill();
    let mut client = cluster.nodes[leader].resp();
    // What is wrong in itself needs nobody's consent to be told.
    match client.call(&["SET", "k", "v", "NX", "XX"]).unwrap() {
        Value::Error(error) => {
            assert!(error == "ERR syntax error" || error.starts_with("CLUSTERDOWN"), "{error}");
        }
        other => panic!("{other:?} to options that exclude each other"),
    }
    // The one that was under way when leadership was lost may or may not be.
    wait_for("a definite refusal", || match client.call(&["SET", "k", "v"]).unwrap() {
        Value::Error(error) if error.starts_with("CLUSTERDOWN") => Some(()),
        Value::Error(error) => {
            assert!(error.starts_with("TIMEOUT"), "{error}");
            None
        }
        other => panic!("{other:?} without a majority"),
    });
    let read = client.call(&["GET", "k"]).unwrap();
    assert!(matches!(read, Value::Error(error) if error.starts_with("CLUSTERDOWN")));
    cluster.nodes[a].start();
    let back = cluster.leader();
    assert!([leader, a].contains(&back));
}

#[test]
fn a_key_that_has_expired_stays_dead_across_leaders() {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let mut client = cluster.nodes[leader].resp();
    client.call(&["SET", "mortal", "v", "PX", "50"]).unwrap();
    wait_for("its death", || {
        (client.call(&["GET", "mortal"]).unwrap() == Value::Null).then_some(())
    });
    cluster.nodes[leader].kill();
    let next = cluster.leader();
    let mut client = cluster.nodes[next].resp();
    assert_eq!(client.call(&["GET", "mortal"]), Ok(Value::Null));
    cluster.nodes[leader].start();
    cluster.assert_converged();
}
