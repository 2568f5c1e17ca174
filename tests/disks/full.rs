//! A full disk: the node is read-only, says so, and is well again when there is room.

use crate::lab::{Lab, Machines};
use crate::process::client::{Value, http, http_get};
use crate::process::load::{Load, Mix};
use crate::process::wait_for;
use std::time::Duration;

const DISK_BYTES: u64 = 320 << 20;
const MIX: Mix =
    Mix { resp: 3, http: 1, pipeline: 8, ballast: 1 << 20, pause: Duration::from_millis(2) };

/// The leader's disk is full: writes are refused on both ports, reads are served.
pub(crate) fn leader(lab: &Lab) {
    let mut machines = Machines::start(lab, DISK_BYTES);
    let load = Load::start(&machines.cluster, MIX);
    load.wait_for_progress();
    let full = machines.cluster.leader();
    let term = machines.cluster.nodes[full].status().unwrap()["term"].clone();
    wait_for("refused writes", || {
        // Segments that a snapshot has made superfluous make room at first.
        machines.disks[full].fill();
        let ledger = load.ledger();
        (ledger.refused("MISCONF") > 0 && ledger.refused("507") > 0).then_some(())
    });
    let node = &machines.cluster.nodes[full];
    let mut client = node.resp();
    let refused = client.call(&["SET", "refused", "v"]).unwrap();
    assert!(refused.text().unwrap().starts_with("MISCONF "), "{refused:?}");
    let (status, body) = http(node.http, "PUT", "/kv/refused", br#"{"value":"v"}"#).unwrap();
    assert_eq!(status, 507, "{}", String::from_utf8_lossy(&body));
    assert_eq!(client.call(&["GET", "leader?"]), Ok(Value::Bulk(b"yes".to_vec())));
    assert_eq!(client.call(&["GET", "refused"]), Ok(Value::Null));
    assert_eq!(http_get(node.http, "/kv/leader%3F").unwrap().0, 200);
    let log = node.log();
    let lines = log.lines().filter(|line| line.contains("no space for the log"));
    assert_eq!(lines.count(), 1, "it is said once: {log}");

    machines.disks[full].empty();
    load.wait_for_progress();
    let node = &machines.cluster.nodes[full];
    assert_eq!(node.status().unwrap()["term"], term, "nobody had to take over");
    assert!(node.log().contains("there is space for the log again"));

    // It also starts on a full disk, and is as well again as one that was not stopped.
    wait_for("refused writes", || {
        machines.disks[full].fill();
        client.call(&["SET", "refused", "v"]).unwrap().text()?.starts_with("MISCONF").then_some(())
    });
    machines.cluster.nodes[full].kill();
    load.wait_for_progress();
    machines.cluster.nodes[full].start();
    wait_for("the node", || machines.cluster.nodes[full].status());
    machines.disks[full].empty();
    finish(machines, load);
}

/// The disk of a follower is full: nobody notices but who looks.
pub(crate) fn follower(lab: &Lab) {
    let machines = Machines::start(lab, DISK_BYTES);
    let load = Load::start(&machines.cluster, MIX);
    load.wait_for_progress();
    let full = machines.cluster.follower();
    wait_for("a full disk", || {
        machines.disks[full].fill();
        // One that fell behind while it was filled has no room for a snapshot, and is sent no log.
        let log = machines.cluster.nodes[full].log();
        let said = ["no space for the log", "no snapshot received"];
        said.iter().any(|line| log.contains(line)).then_some(())
    });
    for _ in 0..10 {
        load.wait_for_progress();
    }
    let ledger = load.ledger();
    assert_eq!(ledger.refused("MISCONF") + ledger.refused("507"), 0, "{ledger:?}");
    machines.disks[full].empty();
    finish(machines, load);
}

/// Checks that nothing was lost, and that nothing is after a restart of all.
fn finish(mut machines: Machines, load: Load) {
    load.wait_for_progress();
    let ledger = load.stop();
    ledger.check(&machines.cluster);
    machines.cluster.assert_converged();
    for node in &mut machines.cluster.nodes {
        node.kill();
    }
    machines.cluster.start_all();
    ledger.check(&machines.cluster);
    machines.cluster.assert_converged();
}
