//! WAIT with real processes: whoever waits for followers hears of them when they come.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod process;

use process::Cluster;
use process::client::Value;
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
