//! Clients that cache what they have read, with three real processes: they hear of every change,
//! wherever it comes from, and of the end of that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod process;

use process::client::{Resp, Value, http};
use process::{Cluster, Node, wait_for};
use rustix::process::Signal;

fn ok() -> Result<Value, String> {
    Ok(Value::Simple("OK".into()))
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

/// Connects a client that speaks RESP3, and tracks.
fn tracking(node: &Node, options: &[&str]) -> Resp {
    let mut client = node.resp();
    assert!(matches!(client.call(&["HELLO", "3"]), Ok(Value::Array(_))));
    assert_eq!(client.call(&[&["CLIENT", "TRACKING", "ON"], options].concat()), ok());
    client
}

fn assert_told(client: &mut Resp, keys: Option<&[&str]>) {
    let keys =
        keys.map_or(Value::Null, |keys| Value::Array(keys.iter().map(|k| bulk(k)).collect()));
    assert_eq!(client.receive().unwrap(), Value::Push(vec![bulk("invalidate"), keys]));
}

#[test]
fn caches_hear_of_every_change_and_of_a_lost_leader() {
    let cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let node = &cluster.nodes[leader];
    let mut other = node.resp();
    let mut client = tracking(node, &[]);
    let read = |client: &mut Resp, value: Value| {
        assert_eq!(client.call(&["GET", "k"]), Ok(value));
    };
    // Another connection, its own, HTTP, and time.
    read(&mut client, Value::Null);
    assert_eq!(other.call(&["SET", "k", "1"]), ok());
    assert_told(&mut client, Some(&["k"]));
    read(&mut client, bulk("1"));
    assert_eq!(client.call(&["SET", "k", "2"]), ok());
    assert_told(&mut client, Some(&["k"]));
    read(&mut client, bulk("2"));
    let (status, _) = http(node.http, "PUT", "/kv/k", br#"{"value":"3","ttl_ms":2000}"#).unwrap();
    assert_eq!(status, 200);
    assert_told(&mut client, Some(&["k"]));
    read(&mut client, bulk("3"));
    assert_told(&mut client, Some(&["k"]));
    read(&mut client, Value::Null);

    // A follower applies what the leader has committed, and tells of it too.
    let follower = &cluster.nodes[(leader + 1) % 3];
    let mut listener = tracking(follower, &["BCAST", "PREFIX", "p:"]);
    assert_eq!(other.call(&["MSET", "p:b", "1", "p:a", "1", "q", "1"]), ok());
    assert_told(&mut listener, Some(&["p:a", "p:b"]));

    // While it is paused, others lead, and what they change it cannot know.
    node.signal(Signal::STOP);
    let next = wait_for("another leader", || {
        let others = cluster.nodes.iter().filter(|other| other.id != node.id);
        others.into_iter().find(|other| other.status().is_some_and(|s| s["role"] == "leader"))
    });
    wait_for("a write elsewhere", || {
        (next.resp().call(&["SET", "k", "elsewhere"]) == ok()).then_some(())
    });
    node.signal(Signal::CONT);
    assert_told(&mut client, None);
    let moved = wait_for("the old leader to know who leads", || {
        client.call(&["GET", "k"]).unwrap().moved_to()
    });
    assert_eq!(moved, next.resp);
}
