//! WAIT with real processes: whoever waits for followers hears of them when they come.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod process;

use process::client::Value;
use process::{Cluster, wait_for};
use rustix::process::Signal;

#[test]
fn wait_hears_of_a_follower_that_catches_up() {
    let cluster = Cluster::start(3, &[]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    cluster.nodes[follower].signal(Signal::STOP);
    let mut waiting = cluster.nodes[leader].resp();
    waiting.call(&["SET", "k", "v"]).unwrap();
    waiting.send(&["WAIT", "2", "15000"]).unwrap();
    // Meanwhile one is all there is; this gives the other one time to begin.
    let reply = cluster.nodes[leader].resp().call(&["WAIT", "2", "200"]);
    assert_eq!(reply, Ok(Value::Integer(1)));
    cluster.nodes[follower].signal(Signal::CONT);
    assert_eq!(waiting.receive().unwrap(), Value::Integer(2));
}

/// Whoever waits for a list is served by a push on another connection, in the order in which they
/// came; a time that is over, CLIENT UNBLOCK and the client's leaving end a wait, and then nothing
/// is taken.
#[test]
fn clients_wait_for_what_is_pushed() {
    let cluster = Cluster::start(3, &[]);
    let leader = &cluster.nodes[cluster.leader()];
    let text = |text: &str| Value::Bulk(text.into());
    let taken = |value: &str| Value::Array(vec![text("k"), text(value)]);
    let mut other = leader.resp();
    let mut blocked = |count: usize| {
        wait_for("clients that wait", || {
            let Ok(Value::Bulk(info)) = other.call(&["INFO", "clients"]) else { return None };
            let line = format!("blocked_clients:{count}\r\n");
            String::from_utf8_lossy(&info).contains(&line).then_some(())
        });
    };
    let mut clients: Vec<_> = (0..3).map(|_| leader.resp()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.send(&["BLPOP", "k", "0"]).unwrap();
        blocked(at + 1);
    }
    // The second leaves, so the third is next to the first.
    drop(clients.remove(1));
    blocked(2);
    let mut pusher = leader.resp();
    assert_eq!(pusher.call(&["RPUSH", "k", "a", "b", "c"]), Ok(Value::Integer(3)));
    assert_eq!(pusher.call(&["LRANGE", "k", "0", "-1"]), Ok(Value::Array(vec![text("c")])));
    assert_eq!(clients[0].receive().unwrap(), taken("a"));
    assert_eq!(clients[1].receive().unwrap(), taken("b"));

    let started = std::time::Instant::now();
    assert_eq!(clients[0].call(&["BLPOP", "none", "0.05"]), Ok(Value::Null));
    let waited = started.elapsed();
    assert!(waited >= std::time::Duration::from_millis(50), "{waited:?}");

    let Ok(Value::Integer(id)) = clients[0].call(&["CLIENT", "ID"]) else { panic!("an id") };
    for (how, expected) in [
        ("TIMEOUT", Value::Null),
        ("ERROR", Value::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".to_owned())),
    ] {
        clients[0].send(&["BLMPOP", "0", "1", "none", "LEFT"]).unwrap();
        blocked(1);
        let unblock = pusher.call(&["CLIENT", "UNBLOCK", &id.to_string(), how]);
        assert_eq!(unblock, Ok(Value::Integer(1)));
        assert_eq!(clients[0].receive().unwrap(), expected);
    }
    let unblock = pusher.call(&["CLIENT", "UNBLOCK", &id.to_string()]);
    assert_eq!(unblock, Ok(Value::Integer(0)));
}

/// A leader that is about to stop tells those who wait that nothing was taken, and where to go on.
#[test]
fn a_leader_that_stops_ends_what_waits() {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let mut client = cluster.nodes[leader].resp();
    client.send(&["BLPOP", "k", "0"]).unwrap();
    let mut other = cluster.nodes[leader].resp();
    wait_for("a client that waits", || {
        let Ok(Value::Bulk(info)) = other.call(&["INFO", "clients"]) else { return None };
        String::from_utf8_lossy(&info).contains("blocked_clients:1").then_some(())
    });
    assert!(cluster.nodes[leader].stop().success());
    let Value::Error(error) = client.receive().unwrap() else { panic!("an error") };
    assert!(error.starts_with("MOVED ") || error.starts_with("CLUSTERDOWN "), "{error}");
}
