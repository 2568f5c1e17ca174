//! A data directory belongs to one node of one cluster, and to one process.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{directory, node};
use raftkv_storage::Error;
use raftkv_storage::data_dir::DataDir;
use raftkv_storage::types::{ClusterId, HardState};

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
    assert_eq!(data.cluster(), None);
    data.record_identity(Some(ClusterId(0xabc))).unwrap();
    data.record_identity(Some(ClusterId(0xabc))).unwrap();
    let other = data.record_identity(Some(ClusterId(1)));
    assert!(matches!(other, Err(Error::Refused { .. })));
    drop(data);
    let data = DataDir::open(&path, node("A")).unwrap();
    assert_eq!(data.cluster(), Some(ClusterId(0xabc)));
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

/// A node that has forgotten who it is, or whom it voted for, has not become a new one.
#[test]
fn a_directory_that_lacks_a_file_is_refused() {
    for lost in ["IDENTITY", "VOTE"] {
        let dir = directory();
        let data = DataDir::open(dir.path(), node("A")).unwrap();
        std::fs::create_dir(data.wal_dir()).unwrap();
        drop(data);
        std::fs::remove_file(dir.path().join(lost)).unwrap();
        let error = DataDir::open(dir.path(), node("A")).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(lost), "{error}");
    }
    // Without anything else, too.
    let dir = directory();
    let mut data = DataDir::open(dir.path(), node("A")).unwrap();
    data.record_vote(HardState { term: 1, vote: None }, false).unwrap();
    drop(data);
    std::fs::remove_file(dir.path().join("IDENTITY")).unwrap();
    assert!(DataDir::open(dir.path(), node("A")).unwrap_err().is_damage());
}

#[test]
fn remembers_the_vote() {
    let dir = directory();
    let open = || DataDir::open(dir.path(), node("A")).unwrap();
    let said = |data: DataDir| (data.hard_state(), data.is_recovering());
    assert_eq!(said(open()), (HardState::default(), false));
    for term in 1..10 {
        for (vote, is_recovering) in [(None, false), (Some(node("B")), false), (None, true)] {
            let hard_state = HardState { term, vote };
            open().record_vote(hard_state, is_recovering).unwrap();
            assert_eq!(said(open()), (hard_state, is_recovering));
            open().check_vote().unwrap();
        }
    }
}

/// One slot is enough to go on with, if the log agrees; but alone it vouches for nothing, for the
/// other may have held a later vote. And that something was lost stands in both.
#[test]
fn every_damage_to_the_vote_is_noticed() {
    let dir = directory();
    let mut data = DataDir::open(dir.path(), node("A")).unwrap();
    let states = [1, 2].map(|term| HardState { term, vote: Some(node("B")) });
    for state in states {
        data.record_vote(state, false).unwrap();
    }
    drop(data);
    let path = dir.path().join("VOTE");
    let whole = std::fs::read(&path).unwrap();
    let text = whole.iter().position(|byte| *byte == 0).unwrap();
    let places = (0..text).chain([4095]).flat_map(|at| [at, 4096 + at]);
    for at in places.chain([text, 4096 + text]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        let data = DataDir::open(dir.path(), node("A")).unwrap();
        assert!(data.check_vote().unwrap_err().is_damage(), "byte {at}");
        assert!(states.contains(&data.hard_state()), "byte {at}");
        drop(data);
        // Both.
        damaged[(at + 4096) % 8192] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        let error = DataDir::open(dir.path(), node("A")).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("VOTE"), "{error}");
    }
    std::fs::write(&path, &whole[..4096]).unwrap();
    let data = DataDir::open(dir.path(), node("A")).unwrap();
    assert!(data.check_vote().is_err(), "half of it is gone");
}

#[test]
fn what_is_set_aside_keeps_its_bytes_and_is_remembered() {
    let dir = directory();
    let vote = HardState { term: 3, vote: Some(node("C")) };
    let mut data = DataDir::open(dir.path(), node("A")).unwrap();
    data.record_vote(vote, false).unwrap();
    for number in 1..=2 {
        std::fs::create_dir(data.wal_dir()).unwrap();
        std::fs::write(data.wal_dir().join("x"), format!("{number}")).unwrap();
        let aside = data.set_aside(&data.wal_dir()).unwrap();
        assert_eq!(*aside, *dir.path().join(format!("wal.damaged-{number}")));
        assert_eq!(std::fs::read_to_string(aside.join("x")).unwrap(), format!("{number}"));
        assert!(!data.wal_dir().exists());
    }
    drop(data);
    // It is said in both slots: the loss of one does not make the log whole again.
    let whole = std::fs::read(dir.path().join("VOTE")).unwrap();
    for slot in [0, 4096] {
        let mut damaged = whole.clone();
        damaged[slot] ^= 1;
        std::fs::write(dir.path().join("VOTE"), damaged).unwrap();
        let mut data = DataDir::open(dir.path(), node("A")).unwrap();
        assert_eq!((data.hard_state(), data.is_recovering()), (vote, true));
        // A vote that may not be the last is no ground to give up the log that knows it.
        std::fs::create_dir_all(data.wal_dir()).unwrap();
        assert!(data.set_aside(&data.wal_dir()).is_err());
    }
}

/// What may have been promised outlives restarts, the loss of either slot, and all that is written
/// later. A directory in which nothing was ever promised looks as it did before there were any.
#[test]
fn the_longest_promise_is_remembered() {
    let dir = directory();
    let path = dir.path().join("VOTE");
    let vote = |term| HardState { term, vote: Some(node("B")) };
    let mut data = DataDir::open(dir.path(), node("A")).unwrap();
    data.record_vote(vote(1), false).unwrap();
    assert_eq!(data.promise_us(), 0);
    assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("promise"));
    for (longest, promise_us) in [(380_000, 380_000), (380_000, 80_000), (990_000, 990_000)] {
        data.record_promise(promise_us).unwrap();
        assert_eq!(data.promise_us(), longest);
    }
    data.record_vote(vote(2), false).unwrap();
    std::fs::create_dir(data.wal_dir()).unwrap();
    data.set_aside(&data.wal_dir()).unwrap();
    drop(data);
    let whole = std::fs::read(&path).unwrap();
    for slot in [0, 4096] {
        let mut damaged = whole.clone();
        damaged[slot] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(DataDir::open(dir.path(), node("A")).unwrap().promise_us(), 990_000);
    }
    std::fs::write(&path, "nothing of it").unwrap();
    let data = DataDir::open_for_repair(dir.path(), node("A")).unwrap();
    assert_eq!(data.promise_us(), u64::MAX, "there was something, and nobody knows how much");
    // From now on it is known again.
    let mut data = data;
    data.record_vote(vote(2), true).unwrap();
    assert_eq!(data.promise_us(), u64::MAX);
    data.record_promise(380_000).unwrap();
    drop(data);
    assert_eq!(DataDir::open(dir.path(), node("A")).unwrap().promise_us(), 380_000);
}

#[test]
fn every_damage_to_the_identity_is_noticed() {
    let dir = directory();
    let mut data = DataDir::open(dir.path(), node("A")).unwrap();
    data.record_identity(Some(ClusterId(0xabc))).unwrap();
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
