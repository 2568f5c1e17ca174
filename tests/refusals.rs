//! Bad input from an operator or a stranger: one clear line, or a closed connection, and nothing
//! lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod process;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use process::client::Value;
use process::{Cluster, free_port, run_to_end, wait_for};

/// Runs a command that must refuse, and returns its one line.
fn refusal(command: std::process::Command) -> String {
    let output = run_to_end(command);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "it should have refused: {error}");
    let lines: Vec<&str> = error.lines().filter(|line| line.starts_with("raftkv: ")).collect();
    assert_eq!(lines.len(), 1, "one line says why: {error}");
    lines[0].to_owned()
}

#[test]
fn a_data_directory_is_for_one_node_of_one_cluster() {
    let mut one = Cluster::start(1, &[]);
    one.leader();
    let locked = refusal(one.nodes[0].command());
    assert!(locked.contains("use"), "{locked}");

    assert!(one.nodes[0].stop().success());
    let alone = [("--grpc-peers", ""), ("--http-peers", ""), ("--resp-peers", "")];
    let other_node = [&[("--node-id", "B")], &alone[..]].concat();
    let other_node = refusal(one.nodes[0].command_with(&other_node));
    assert!(other_node.contains("node A") || other_node.contains("belongs"), "{other_node}");

    let other_members = refusal(one.nodes[0].command_with(&[
        ("--grpc-peers", "B=127.0.0.1:1"),
        ("--http-peers", "B=http://127.0.0.1:2"),
        ("--resp-peers", "B=127.0.0.1:3"),
    ]));
    assert!(other_members.contains("a cluster of A, but the flags name A, B"), "{other_members}");
}

#[test]
fn a_node_with_the_data_of_another_cluster_is_refused_and_ends() {
    let mut ours = Cluster::start(3, &[]);
    let mut theirs = Cluster::start(3, &[]);
    let at = ours.follower();
    // The logs must differ in more than the name, or the stranger's would pass for an old one.
    let first = theirs.leader();
    theirs.nodes[first].kill();
    let second = theirs.leader();
    for number in 0..10 {
        theirs.nodes[second].resp().call(&["SET", "theirs", &number.to_string()]).unwrap();
    }
    theirs.nodes[first].start();
    theirs.assert_converged();
    ours.assert_converged();
    for node in &mut theirs.nodes {
        assert!(node.stop().success());
    }
    assert!(ours.nodes[at].stop().success());
    std::fs::rename(&ours.nodes[at].data_dir, ours.dir().join("aside")).unwrap();
    std::fs::rename(&theirs.nodes[at].data_dir, &ours.nodes[at].data_dir).unwrap();
    let strange = ours.nodes[at].data_dir.join("wal");
    let commands = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_raftkv"));
        command.args(["inspect", "wal"]).arg(&strange);
        let shown = String::from_utf8(run_to_end(command).stdout).unwrap();
        let commands =
            shown.lines().filter(|line| line.contains(" command, ") || line.contains("cut"));
        commands.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = commands();
    assert!(before.len() >= 10, "their writes are in it: {before:?}");
    let line = refusal(ours.nodes[at].command());
    assert!(line.contains("is --data-dir right?"), "{line}");
    // Nothing of theirs has come over, and nothing of ours has gone there.
    let leader = ours.leader();
    assert_eq!(ours.nodes[leader].resp().call(&["GET", "theirs"]), Ok(Value::Null));
    assert_eq!(commands(), before, "the log of the other cluster is as it was");
}

#[test]
fn a_node_that_has_lost_its_log_does_not_come_back() {
    let mut cluster = Cluster::start(3, &["--snapshot-log-bytes", "65536"]);
    let at = cluster.follower();
    let mut client = cluster.nodes[cluster.leader()].resp();
    client.call(&["SET", "k", &"x".repeat(100_000)]).unwrap();
    let has_snapshot = |cluster: &Cluster| {
        let index = cluster.nodes[at].status()?["snapshot_index"].as_u64()?;
        (index > 0).then_some(())
    };
    wait_for("a snapshot", || has_snapshot(&cluster));
    assert!(cluster.nodes[at].stop().success());
    for lost in ["wal", "snapshots"] {
        std::fs::remove_dir_all(cluster.nodes[at].data_dir.join(lost)).unwrap();
        let line = refusal(cluster.nodes[at].command());
        assert!(line.contains("the log is gone"), "{line}");
    }
    cluster.leader();
}

#[test]
fn wrong_flags_are_one_line() {
    let raftkv = || std::process::Command::new(env!("CARGO_BIN_EXE_raftkv"));
    for flags in [
        &["serve"][..],
        &["serve", "--node-id", "a/b", "--data-dir", "d"],
        &["serve", "--node-id", "A", "--data-dir", "d", "--grpc-port", "0"],
        &["serve", "--node-id", "A", "--data-dir", "d", "--nonsense"],
        &["serve", "--node-id", "A", "--data-dir", "d", "--grpc-peers", "B"],
        &["dev", "--nodes", "0"],
        &["inspect", "wal", "/nonexistent"],
        &["nonsense"],
    ] {
        let mut command = raftkv();
        command.args(flags);
        let line = refusal(command);
        assert!(line.len() > "raftkv: ".len() + 10, "{flags:?}: {line}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let cluster = Cluster::start(1, &[]);
    cluster.leader();
    for flag in ["--grpc-port", "--http-port", "--resp-port"] {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_raftkv"));
        let dir = cluster.dir().join(flag);
        command.args(["serve", "--node-id", "Z", "--data-dir"]).arg(dir);
        for other in ["--grpc-port", "--http-port", "--resp-port"] {
            let free = free_port().to_string();
            command.args([other, if other == flag { &port } else { &free }]);
        }
        let line = refusal(command);
        assert!(line.contains(flag) && line.contains(&port), "{line}");
    }
}

#[test]
fn nobody_listens_to_the_world_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_raftkv"));
    command.args(["serve", "--node-id", "A", "--host", "0.0.0.0", "--data-dir"]).arg(dir.path());
    assert!(refusal(command).contains("--insecure-listen"));
}

#[test]
fn strangers_on_any_port_leave_the_node_serving() {
    let cluster = Cluster::start(3, &[]);
    let leader = &cluster.nodes[cluster.leader()];
    let mut held = Vec::new();
    for port in [leader.grpc, leader.http, leader.resp] {
        for garbage in [
            b"\x00\xff\x13garbage\r\n\r\n".repeat(1000),
            b"*1\r\n".repeat(2_621_440),
            b"GET / HTTP/1.1\r\n".repeat(10_000),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\xff".to_vec(),
            b"*1000000000\r\n$1000000000\r\n".to_vec(),
            vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03],
        ] {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            // The node may close while it is written to, and need not answer.
            let _ = stream.write_all(&garbage);
            let _ = stream.read(&mut [0; 1024]);
            held.push(stream);
        }
        // Half-open: connected, and silent.
        held.extend((0..50).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()));
    }
    let mut client = leader.resp();
    for at in 0..100 {
        let reply = client.call(&["SET", "k", &at.to_string()]);
        assert_eq!(reply, Ok(Value::Simple("OK".into())), "the same leader goes on serving");
    }
    wait_for("readiness", || {
        let (status, _) = process::client::http_get(leader.http, "/readyz").ok()?;
        (status == 200).then_some(())
    });
    drop(held);
}

#[test]
fn inspect_shows_what_is_on_disk_and_names_the_first_bad_byte() {
    let mut cluster = Cluster::start(1, &["--snapshot-log-bytes", "65536"]);
    cluster.leader();
    let mut client = cluster.nodes[0].resp();
    for at in 0..100 {
        client.call(&["SET", &format!("k{at}"), &"x".repeat(2_000)]).unwrap();
    }
    wait_for("a snapshot", || {
        let index = cluster.nodes[0].status()?["snapshot_index"].as_u64()?;
        (index > 0).then_some(())
    });
    assert!(cluster.nodes[0].stop().success());
    let inspect = |what: &str, path: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_raftkv"));
        command.args(["inspect", what]).arg(path);
        run_to_end(command)
    };
    // One that was being written when the node stopped may lie beside it.
    let newest_snapshot = || {
        let dir = std::fs::read_dir(cluster.nodes[0].data_dir.join("snapshots")).unwrap();
        let files = dir.map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_none_or(|kind| kind != "tmp")).max().unwrap()
    };
    let wal = inspect("wal", &cluster.nodes[0].data_dir.join("wal"));
    assert!(wal.status.success(), "{wal:?}");
    assert!(String::from_utf8(wal.stdout).unwrap().contains("@1"));
    let snapshot = newest_snapshot();
    let whole = inspect("snapshot", &snapshot);
    assert!(whole.status.success(), "{whole:?}");
    assert!(String::from_utf8(whole.stdout).unwrap().contains("digest"));

    let mut bytes = std::fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&snapshot, bytes).unwrap();
    let broken = inspect("snapshot", &snapshot);
    assert!(!broken.status.success());
    let error = String::from_utf8(broken.stderr).unwrap();
    assert!(error.contains("corrupt at offset"), "{error}");
}

/// A segment that is cut short under a running node: the next store into it cannot be done, and
/// nothing may be acknowledged any more.
#[test]
fn a_segment_that_breaks_under_its_node_ends_it_with_a_line() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.leader();
    let node = &mut cluster.nodes[0];
    let mut client = node.resp();
    client.call(&["SET", "k", "v"]).unwrap();
    let files = std::fs::read_dir(node.data_dir.join("wal")).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let segment = files.find(|file| file.extension().is_some_and(|kind| kind == "wal")).unwrap();
    std::fs::OpenOptions::new().write(true).open(segment).unwrap().set_len(0).unwrap();
    assert!(client.call(&["SET", "k", "w"]).is_err(), "nothing is acknowledged");
    assert_eq!(node.end().code(), Some(1));
    let log = node.log();
    assert_eq!(log.lines().filter(|line| line.contains("(SIGBUS)")).count(), 1, "{log}");
}
