//! A disk that has not kept what it was given, on one node of three and on all: the damage is named
//! and nothing of it is served; `--repair` brings the node back from the leader.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod process;

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use process::client::Value;
use process::{Cluster, Node, run_to_end, wait_for};

/// Three nodes that have written several snapshots and have stopped in good order.
fn stopped() -> Cluster {
    let mut cluster = Cluster::start(3, &["--snapshot-log-bytes", "65536"]);
    let mut client = cluster.nodes[cluster.leader()].resp();
    for number in 0..60 {
        let (key, value) = (format!("k{number}"), "x".repeat(10_000));
        assert_eq!(client.call(&["SET", &key, &value]), Ok(Value::Simple("OK".into())));
    }
    let has_snapshot = |node: &Node| node.status()?["snapshot_index"].as_u64().filter(|i| *i > 0);
    wait_for("snapshots", || cluster.nodes.iter().all(|n| has_snapshot(n).is_some()).then_some(()));
    cluster.assert_converged();
    for node in &mut cluster.nodes {
        assert!(node.stop().success());
    }
    cluster
}

/// Returns the files of a directory of the node, the oldest first, which is by name.
fn files(node: &Node, dir: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(node.data_dir.join(dir)).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_none_or(|kind| kind != "tmp")).collect();
    files.sort();
    files
}

/// Returns the newest file of a directory of the node.
fn newest(node: &Node, dir: &str) -> PathBuf {
    files(node, dir).pop().unwrap()
}

/// Overwrites so many sectors from an offset on.
fn spoil(path: &Path, offset: u64, sectors: usize) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xa5; 512 * sectors], offset).unwrap();
}

/// Starts the node, which must refuse, and returns what it says.
fn refusal(node: &Node) -> String {
    let output = run_to_end(node.command());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{} should have refused: {error}", node.id);
    let lines: Vec<&str> = error.lines().filter(|line| line.starts_with("raftkv: ")).collect();
    assert_eq!(lines.len(), 1, "one line says why: {error}");
    lines[0].to_owned()
}

/// Returns whether the node has everything back.
fn has_recovered(node: &Node) -> Option<()> {
    (node.status()?["recovering"] == false).then_some(())
}

#[test]
fn a_damaged_node_says_what_is_wrong_and_is_repaired_from_the_leader() {
    let mut cluster = stopped();
    let at = 2;
    let damaged = [
        (newest(&cluster.nodes[at], "wal"), 0),
        (newest(&cluster.nodes[at], "snapshots"), 512),
        (cluster.nodes[at].data_dir.join("IDENTITY"), 0),
        (cluster.nodes[at].data_dir.join("VOTE"), 0),
    ];
    cluster.nodes[0].start();
    cluster.nodes[1].start();
    let leader = cluster.leader();
    for (round, (path, offset)) in damaged.into_iter().enumerate() {
        // A vote is lost only with both of its slots.
        spoil(&path, offset, if path.ends_with("VOTE") { 16 } else { 1 });
        let line = refusal(&cluster.nodes[at]);
        assert!(line.contains(path.to_str().unwrap()), "{line} names {}", path.display());
        assert!(line.contains("offset") && line.contains("--repair"), "{line}");
        // What was acknowledged meanwhile is taken along.
        let value = format!("during {round}");
        let set = cluster.nodes[leader].resp().call(&["SET", "meanwhile", &value]);
        assert_eq!(set, Ok(Value::Simple("OK".into())));
        cluster.nodes[at].add_flag("--repair");
        cluster.nodes[at].start();
        wait_for("the repair", || has_recovered(&cluster.nodes[at]));
        cluster.assert_converged();
        assert!(cluster.nodes[at].stop().success());
        cluster.nodes[at].remove_flag("--repair");
    }
    assert!(cluster.nodes[at].data_dir.join("wal.damaged-1").is_dir(), "the old bytes are kept");
    // It has its vote again: with it the other follower can go.
    cluster.nodes[at].start();
    cluster.assert_converged();
    cluster.nodes[1 - leader].kill();
    cluster.nodes[leader].kill();
    cluster.nodes[leader].start();
    let read = cluster.nodes[cluster.leader()].resp().call(&["GET", "meanwhile"]).unwrap();
    assert_eq!(read.text(), Some("during 3"));
}

#[test]
fn damaged_logs_on_all_nodes_are_refused_by_all_and_not_repaired_into_an_empty_store() {
    damage_on_all_nodes(|node| {
        let path = newest(node, "wal");
        spoil(&path, 0, 1);
        (path, 0..1)
    });
}

#[test]
fn damaged_snapshots_on_all_nodes_are_refused_by_all_and_not_repaired_into_an_empty_store() {
    damage_on_all_nodes(|node| {
        // All there are: with an older one, the log that reaches back to it makes up for the rest.
        let all = files(node, "snapshots");
        all.iter().for_each(|path| spoil(path, 512, 1));
        // What is spoiled belongs to the first block, which begins behind the header.
        (newest(node, "snapshots"), 1..512)
    });
}

/// Damages the data of every node by `damage`, which returns in which file, and within which bytes,
/// a node must say that the damage begins.
fn damage_on_all_nodes(damage: impl Fn(&Node) -> (PathBuf, Range<u64>)) {
    let mut cluster = stopped();
    for node in &cluster.nodes {
        let (path, within) = damage(node);
        let line = refusal(node);
        let told = line.split_once(&format!("{} is corrupt at offset ", path.display()));
        let offset = told.and_then(|(_, rest)| rest.split(':').next()?.parse().ok());
        assert!(offset.is_some_and(|offset| within.contains(&offset)), "not {within:?}: {line}");
    }
    // Without one that remembers, nobody leads, and nothing is served.
    for node in &mut cluster.nodes {
        node.add_flag("--repair");
        node.start();
    }
    wait_for("all to recover", || {
        let is_recovering = |node: &Node| Some(node.status()?["recovering"] == true);
        cluster.nodes.iter().all(|node| is_recovering(node) == Some(true)).then_some(())
    });
    for node in &cluster.nodes {
        let reply = node.resp().call(&["GET", "k1"]).unwrap();
        assert!(
            matches!(&reply, Value::Error(error) if error.starts_with("CLUSTERDOWN")),
            "{reply:?}"
        );
    }
}
