//! A full disk is survived, a failed sync is not: what the log does when the disk says no.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use std::path::Path;

use common::{command, directory, open, vote, write};
use raftkv_storage::Error;
use raftkv_storage::wal::{Record, Recovered, Wal};

fn recover(dir: &Path) -> Recovered {
    open(dir).expect("the log opens").1
}

fn write_hard_state(wal: &mut Wal, term: u64) {
    wal.append(&[Record::HardState(vote(term, "A"))]).unwrap();
    wal.sync().unwrap();
}

/// When no segment can be prepared, an append that needs one changes nothing, and works when there
/// is room again.
#[test]
fn full_disk_heals() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    // A directory in the place of the file that would be prepared: it can be neither removed nor
    // created over.
    let obstacle = dir.path().join("prepared-2.tmp");
    std::fs::create_dir(&obstacle).unwrap();
    std::fs::write(obstacle.join("file"), "").unwrap();
    write(&mut wal, &[command(1, 1, 8000)]);
    let (second, third) = (command(2, 1, 8000), command(3, 1, 8000));
    for _ in 0..3 {
        let full = wal.append(&[Record::Entry(&second), Record::Entry(&third)]);
        assert!(matches!(full, Err(Error::Io { .. })), "there is no segment for it");
        wal.sync().unwrap();
        write_hard_state(&mut wal, 7);
    }
    std::fs::remove_dir_all(&obstacle).unwrap();
    write(&mut wal, &[second.clone(), third.clone()]);
    drop(wal);
    let recovered = recover(dir.path());
    assert_eq!(recovered.entries, [command(1, 1, 8000), second, third]);
    assert_eq!(recovered.hard_state, vote(7, "A"));
}

/// After a failure in the middle of a write nobody knows what is on disk, so nothing is ever tried
/// again.
#[test]
fn failure_poisons_the_log() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    write(&mut wal, &[command(1, 1, 8000)]);
    // A directory in the place of the segment that comes next: the prepared file cannot get its
    // name.
    let obstacle = dir.path().join("0000000000000002-00000000000000000001.wal");
    std::fs::create_dir(&obstacle).unwrap();
    let large = command(2, 1, 8000);
    let first = wal.append(&[Record::Entry(&large)]).unwrap_err().to_string();
    std::fs::remove_dir(&obstacle).unwrap();
    assert!(first.starts_with("rename"), "{first}");
    assert_eq!(wal.append(&[Record::Entry(&large)]).unwrap_err().to_string(), first);
    assert_eq!(wal.sync().unwrap_err().to_string(), first);
    assert_eq!(wal.compact(1).unwrap_err().to_string(), first);
    drop(wal);
    assert_eq!(recover(dir.path()).entries, [command(1, 1, 8000)]);
}

/// On a file system that is really full, every kind of error is one that says so, nothing that was
/// synced is lost, and the log goes on when there is room. With `SMALL_DISK` naming an empty one of
/// some hundred KiB.
#[test]
#[ignore = "needs a small file system: mount -t tmpfs -o size=200k tmpfs $SMALL_DISK"]
fn really_full_disk_heals() {
    let disk = std::env::var_os("SMALL_DISK").expect("SMALL_DISK names a small file system");
    let disk = Path::new(&disk);
    let (ballast, dir) = (disk.join("ballast"), disk.join("wal"));
    std::fs::write(&ballast, vec![1; 64 * 1024]).unwrap();
    let (mut wal, _) = open(&dir).unwrap();
    let mut last = 0;
    let full = loop {
        match wal.append(&[Record::Entry(&command(last + 1, 1, 3000))]) {
            Ok(()) => wal.sync().unwrap(),
            Err(error) => break error,
        }
        last += 1;
    };
    assert!(full.is_no_space() && last > 10, "{full} after {last} entries");
    for _ in 0..3 {
        let still = wal.append(&[Record::Entry(&command(last + 1, 1, 3000))]).unwrap_err();
        assert!(still.is_no_space(), "{still}");
    }
    drop(wal);
    let (mut wal, recovered) = open(&dir).unwrap();
    assert_eq!(recovered.entries.len() as u64, last);
    let still = wal.append(&[Record::Entry(&command(last + 1, 1, 3000))]).unwrap_err();
    assert!(still.is_no_space(), "{still}");
    std::fs::remove_file(&ballast).unwrap();
    write(&mut wal, &[command(last + 1, 1, 3000)]);
    drop(wal);
    assert_eq!(recover(&dir).entries.len() as u64, last + 1);
    std::fs::remove_dir_all(&dir).unwrap();
}
