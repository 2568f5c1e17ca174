//! No file descriptors left: by clients that take all they can get, and by a limit that is lowered
//! under a running node.

use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::lab::{Lab, Machines, must};
use crate::process::client::{Resp, Value};
use crate::process::load::{Load, Mix};
use crate::process::wait_for;

/// Clients that keep their connections, and fill a segment within seconds.
const MIX: Mix =
    Mix { resp: 3, http: 0, pipeline: 8, ballast: 512 << 10, pause: Duration::from_millis(2) };
/// Little more than what a node insists on.
const FILES: usize = 616;
/// More than the node can hold, on each of its ports.
const FLOOD: usize = 400;

/// Clients take every connection, and then there is not even a descriptor for a file.
pub(crate) fn exhausted(lab: &Lab) {
    let mut machines = Machines::start(lab, 512 << 20);
    for node in &mut machines.cluster.nodes {
        node.kill();
        node.host.enter.extend(["prlimit".to_owned(), format!("--nofile={FILES}:{FILES}")]);
        node.start();
    }
    machines.cluster.leader();
    let load = Load::start(&machines.cluster, MIX);
    load.wait_for_progress();
    let leader = machines.cluster.leader();
    let term = machines.cluster.nodes[leader].status().unwrap()["term"].clone();
    flood(&machines, leader, &load);
    run_dry(&machines, leader, &load);
    for node in &machines.cluster.nodes {
        assert_eq!(node.status().unwrap()["term"], term, "there was no election");
    }
    let ledger = load.stop();
    ledger.check(&machines.cluster);
    machines.cluster.assert_converged();
}

/// Whoever is too many is told so, or closed. Peers, segments and snapshots have their share.
fn flood(machines: &Machines, leader: usize, load: &Load) {
    let node = &machines.cluster.nodes[leader];
    let connect = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
    let ports = [node.resp, node.http, node.grpc];
    let held: Vec<TcpStream> =
        ports.iter().flat_map(|port| (0..FLOOD).filter_map(|_| connect(*port))).collect();
    assert!(held.len() > FILES, "{} connections are more than it can hold", held.len());
    wait_for("a refusal", || match Resp::connect(node.resp).ok()?.call(&["PING"]) {
        Ok(Value::Error(error)) => {
            assert_eq!(error, "ERR max number of clients reached");
            Some(())
        }
        Ok(_) => None,
        Err(_) => Some(()),
    });
    let last = |files: Vec<std::path::PathBuf>| files.last().cloned();
    let disk = &machines.disks[leader];
    let (segment, snapshot) = (last(disk.segments()), last(disk.snapshots()));
    wait_for("another segment and another snapshot", || {
        let is_new = last(disk.segments()) != segment && last(disk.snapshots()) != snapshot;
        is_new.then_some(())
    });
    load.wait_for_progress();
    drop(held);
    wait_for("a new client to be served", || {
        let pong = node.try_resp()?.call(&["PING"]);
        (pong == Ok(Value::Simple("PONG".into()))).then_some(())
    });
}

/// With no descriptor at all for anything new, what is open goes on, and no segment or snapshot can
/// be made: that is a full disk by another name.
fn run_dry(machines: &Machines, leader: usize, load: &Load) {
    let node = &machines.cluster.nodes[leader];
    let mut client = node.resp();
    // It is answered, so it is accepted.
    assert_eq!(client.call(&["PING"]), Ok(Value::Simple("PONG".into())));
    let limit = |soft: usize| {
        must("prlimit", &["--pid", &node.pid().to_string(), &format!("--nofile={soft}:{FILES}")]);
    };
    limit(3);
    load.wait_for_progress();
    wait_for("a refused write", || {
        let reply = client.call(&["SET", "ballast", &"b".repeat(1 << 20)]).unwrap();
        reply.text()?.starts_with("MISCONF ").then_some(())
    });
    assert_eq!(client.call(&["GET", "leader?"]), Ok(Value::Bulk(b"yes".to_vec())));
    let log = node.log_of_this_run();
    assert!(log.contains("no space for the log") && log.contains("Too many open files"), "{log}");
    limit(FILES);
    load.wait_for_progress();
    assert_eq!(node.resp().call(&["PING"]), Ok(Value::Simple("PONG".into())));
}
