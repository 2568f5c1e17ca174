//! What the tests of the log share: a fast directory, short ways to write entries, and a look at
//! the bytes.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};

use raftkv_storage::Error;
use raftkv_storage::types::{Entry, EntryId, HardState, NodeId, Payload};
use raftkv_storage::wal::{Record, Recovered, SEGMENT_BYTES_MIN, Wal, WalOptions};

/// The length of a segment's header.
pub(crate) const HEADER: usize = 4096;

/// A directory in memory where there is one: these tests are about bytes, and open a log many
/// thousand times.
pub(crate) fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let created = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
    created.expect("a temporary directory")
}

pub(crate) fn node(name: &str) -> NodeId {
    name.parse().expect("a node id")
}

pub(crate) fn options() -> WalOptions {
    WalOptions { segment_bytes: SEGMENT_BYTES_MIN, ..WalOptions::new(node("A")) }
}

pub(crate) fn open(dir: &Path) -> Result<(Wal, Recovered), Error> {
    Wal::open(dir, options())
}

pub(crate) fn id(index: u64, term: u64) -> EntryId {
    EntryId { term, index }
}

pub(crate) fn noop(index: u64, term: u64) -> Entry {
    Entry { id: id(index, term), payload: Payload::Noop }
}

/// A command whose bytes depend on its id, so that no two entries could be taken for each other.
pub(crate) fn command(index: u64, term: u64, bytes: usize) -> Entry {
    let seed = index.wrapping_mul(31).wrapping_add(term.wrapping_mul(7)) | 1;
    let bytes =
        (0..bytes as u64).map(|at| (seed.wrapping_mul(at + 1) >> 2) as u8).collect::<Vec<_>>();
    Entry { id: id(index, term), payload: Payload::Command(bytes.into()) }
}

pub(crate) fn vote(term: u64, name: &str) -> HardState {
    HardState { term, vote: Some(node(name)) }
}

/// Appends entries and syncs.
pub(crate) fn write(wal: &mut Wal, entries: &[Entry]) {
    let records: Vec<_> = entries.iter().map(Record::Entry).collect();
    wal.append(&records).expect("append");
    wal.sync().expect("sync");
}

pub(crate) fn ids(recovered: &Recovered) -> Vec<EntryId> {
    recovered.entries.iter().map(|entry| entry.id).collect()
}

/// Returns the segments of a log, oldest first.
pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("the directory of the log")
        .map(|item| item.expect("an item").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .collect();
    files.sort();
    files
}

/// Returns where each batch of a segment begins and ends, from the documented bytes alone.
pub(crate) fn batches(segment: &[u8]) -> Vec<(usize, usize)> {
    let mut batches = Vec::new();
    let mut offset = HEADER;
    while let Some(length) = segment.get(offset..offset + 4) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        if length == 0 {
            break;
        }
        let end = (offset + 16 + length).next_multiple_of(8);
        batches.push((offset, end));
        offset = end;
    }
    batches
}

/// Copies a log, so that it can be damaged.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for path in segments(from) {
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, to.join(name)).expect("a copy");
    }
}
