//! A data directory belongs to one node of one cluster, and to one process.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{directory, node};
use raftkv_storage::Error;
use raftkv_storage::data_dir::DataDir;
use raftkv_storage::types::ClusterId;

fn reason(result: Result<DataDir, Error>) -> String {
    match result.map(drop).expect_err("the directory must be refused") {
        Error::Refused { reason, .. } => reason,
        error => panic!("{error}"),
    }
}

#[test]
fn remembers_whose_it_is() {
    let dir = directory();
    let path = dir.path().join("data/A");
    let mut data = DataDir::open(&path, node("A")).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!((data.identity().node, data.identity().cluster), (node("A"), None));
    data.record_cluster(ClusterId(0xabc)).unwrap();
    data.record_cluster(ClusterId(0xabc)).unwrap();
    assert!(matches!(data.record_cluster(ClusterId(1)), Err(Error::Refused { .. })));
    drop(data);
    let data = DataDir::open(&path, node("A")).unwrap();
    assert_eq!(data.identity().cluster, Some(ClusterId(0xabc)));
}

#[test]
fn is_locked_while_it_is_open() {
    let dir = directory();
    let data = DataDir::open(dir.path(), node("A")).unwrap();
    assert_eq!(reason(DataDir::open(dir.path(), node("A"))), "in use by another process");
    drop(data);
    assert!(DataDir::open(dir.path(), node("A")).is_ok());
}

#[test]
fn of_another_node_is_refused() {
    let dir = directory();
    drop(DataDir::open(dir.path(), node("A")).unwrap());
    let reason = reason(DataDir::open(dir.path(), node("B")));
    assert_eq!(reason, "the data of node A; this node is B");
}

/// A node that has forgotten who it is has not become a new one.
#[test]
fn log_without_identity_is_refused() {
    let dir = directory();
    let data = DataDir::open(dir.path(), node("A")).unwrap();
    std::fs::create_dir(data.wal_dir()).unwrap();
    drop(data);
    std::fs::remove_file(dir.path().join("IDENTITY")).unwrap();
    assert!(reason(DataDir::open(dir.path(), node("A"))).starts_with("IDENTITY is missing"));
}

#[test]
fn every_damage_to_the_identity_is_noticed() {
    let dir = directory();
    let mut data = DataDir::open(dir.path(), node("A")).unwrap();
    data.record_cluster(ClusterId(0xabc)).unwrap();
    drop(data);
    let path = dir.path().join("IDENTITY");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(&path, &damaged).unwrap();
            assert!(DataDir::open(dir.path(), node("A")).is_err(), "bit {bit} of {at}");
        }
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(DataDir::open(dir.path(), node("A")).is_err(), "cut at {at}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(DataDir::open(dir.path(), node("A")).is_ok());
}

#[test]
fn unfinished_files_are_removed() {
    let dir = directory();
    let data = DataDir::open(dir.path(), node("A")).unwrap();
    let leftovers =
        [dir.path().join("IDENTITY.tmp"), data.snapshot_dir().join("snap-1.tmp").to_path_buf()];
    std::fs::create_dir(data.snapshot_dir()).unwrap();
    for path in &leftovers {
        std::fs::write(path, "half").unwrap();
    }
    drop(data);
    drop(DataDir::open(dir.path(), node("A")).unwrap());
    assert!(leftovers.iter().all(|path| !path.exists()));
}
