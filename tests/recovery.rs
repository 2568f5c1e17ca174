//! What a server makes of its disk when snapshots and log do not say the same.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::io::Write;
use std::path::{Path, PathBuf};

use raftkv::persist::{self, Opened};
use raftkv_storage::data_dir::DataDir;
use raftkv_storage::keyspace::Keyspace;
use raftkv_storage::keyspace::command::{Stamp, time_entry};
use raftkv_storage::snapshot::{SnapshotReader, SnapshotWriter};
use raftkv_storage::types::{Configuration, Entry, EntryId, Index, NodeId, Payload, SnapshotMeta};
use raftkv_storage::wal::{Record, Wal, WalOptions};

fn node() -> NodeId {
    "A".parse().unwrap()
}

fn options() -> WalOptions {
    WalOptions { segment_bytes: 16 << 10, ..WalOptions::new(node()) }
}

fn recover(dir: &Path) -> Result<Opened, raftkv_storage::Error> {
    persist::recover(DataDir::open(dir, node())?, options())
}

/// A directory with a log up to an index and snapshots of an empty keyspace at others.
fn directory(log: Index, snapshots: &[Index]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(dir.path(), node()).unwrap();
    let (mut wal, _) = Wal::open(data_dir.wal_dir(), options()).unwrap();
    let entry = |index| Entry { id: EntryId { term: 1, index }, payload: Payload::Noop };
    let entries: Vec<Entry> = (1..=log).map(entry).collect();
    wal.append(&entries.iter().map(Record::Entry).collect::<Vec<_>>()).unwrap();
    wal.sync().unwrap();
    let write = |index: &Index| {
        let last = EntryId { term: 1, index: *index };
        let meta = SnapshotMeta { last, configuration: Configuration::bootstrap([node()]) };
        let mut writer = SnapshotWriter::create(data_dir.snapshot_dir(), &meta).unwrap();
        let mut bytes = Vec::new();
        Keyspace::default().view().write_to(&mut bytes).unwrap();
        writer.write_all(&bytes).unwrap();
        writer.finish().unwrap().to_path_buf()
    };
    let files = snapshots.iter().map(write).collect();
    (dir, files)
}

fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// A snapshot may hold what the server's own log does not: it holds what a majority has committed,
/// whether our disk was that fast or not, and it is acknowledged on its word. When it is damaged,
/// an older one with a shorter log would be a server that has forgotten a promise.
#[test]
fn a_damaged_snapshot_is_made_up_for_only_by_a_log_that_reaches_as_far() {
    let (dir, files) = directory(21, &[20, 22]);
    damage(&files[1]);
    let refused = format!("{:#}", recover(dir.path()).map(|_| ()).unwrap_err());
    assert!(
        refused.contains(&format!("{} is corrupt at offset 0", files[1].display())),
        "{refused}"
    );

    let (dir, files) = directory(22, &[20, 22]);
    damage(&files[1]);
    let opened = recover(dir.path()).unwrap();
    assert_eq!(opened.recovered.snapshot.unwrap().last.index, 20);
    assert_eq!(opened.recovered.entries.last().unwrap().id.index, 22);
}

/// The process ended after an installed snapshot was in place and before the log said so.
#[test]
fn a_snapshot_beyond_the_log_is_where_the_log_begins() {
    let (dir, _) = directory(5, &[9]);
    let recovered = recover(dir.path()).unwrap().recovered;
    assert_eq!((recovered.base.index, recovered.entries.len()), (9, 0));
    // And now the log says it too.
    let (_, log) = Wal::open(dir.path().join("wal"), options()).unwrap();
    assert_eq!(log.base.index, 9);
}

/// Entries between the newest whole snapshot and the log are missing.
#[test]
fn a_log_that_begins_behind_the_snapshot_is_refused() {
    let (dir, files) = directory(5, &[9]);
    drop(recover(dir.path()).unwrap());
    std::fs::remove_file(&files[0]).unwrap();
    let refused = format!("{:#}", recover(dir.path()).map(|_| ()).unwrap_err());
    assert!(refused.contains("a snapshot is missing"), "{refused}");
}

/// Right checksums prove that a file is what was written, not who has written it.
#[test]
fn a_snapshot_that_no_server_writes_is_refused() {
    let mut keyspace = Keyspace::default();
    let payload = time_entry(Stamp { time_ms: 1, seed: 1 });
    keyspace.apply(7, &payload);
    let mut bytes = Vec::new();
    keyspace.view().write_to(&mut bytes).unwrap();
    let restore = |index, bytes: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        let last = EntryId { term: 1, index };
        let meta = SnapshotMeta { last, configuration: Configuration::bootstrap([node()]) };
        let mut writer = SnapshotWriter::create(dir.path(), &meta).unwrap();
        writer.write_all(bytes).unwrap();
        let file = writer.finish().unwrap();
        persist::restore(&mut SnapshotReader::open(file).unwrap())
            .map_err(|error| error.to_string())
    };
    assert_eq!(restore(7, &bytes).unwrap().applied(), 7);
    let ahead = restore(6, &bytes).unwrap_err();
    assert_eq!(ahead, "the keyspace is that of entry 7, the snapshot's is 6@1");
    let longer = restore(7, &[&bytes[..], b"x"].concat()).unwrap_err();
    assert_eq!(longer, "the snapshot goes on behind the keyspace");
}
