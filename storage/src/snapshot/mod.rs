//! Snapshots on disk: the state up to an entry, in one file that is whole or is not used (§7).
//!
//! A snapshot gets its name when every byte of it is durable and has been read back; until then it
//! ends in `.tmp`, and whoever opens the data directory removes it. Nothing of a block is handed
//! out before its checksum was right, and the end of file not before the footer has said that
//! nothing is missing.
//!
//! Where they come from: a [`SnapshotWriter`] writes our own state, a [`SnapshotReceiver`] takes
//! down the bytes of a leader's file. Where they go: a [`SnapshotReader`], at start or after an
//! installation. The bytes are those of the keyspace; nothing here knows what they mean.

mod format;
mod reader;
mod receiver;
mod writer;

use std::io;
use std::path::Path;

use self::format::Blocks;
pub use self::reader::SnapshotReader;
pub use self::receiver::{Received, SnapshotReceiver};
pub use self::writer::SnapshotWriter;
use crate::error::Error;
use crate::fs::Place;
use crate::types::{EntryId, SnapshotMeta};

/// The largest snapshot that is taken from a leader, in bytes of its file. A full disk usually
/// comes first.
pub const SNAPSHOT_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// How many are kept: the newest may turn out to be bad while the log still reaches back to the one
/// before.
const KEEP: usize = 2;

/// The newest snapshot that is whole.
#[derive(Debug)]
pub struct Latest {
    /// Its file.
    pub place: Place,
    /// What it says of itself.
    pub meta: SnapshotMeta,
    /// The last entry of the newest snapshot there is, whole or not. When it is not the one above,
    /// the newest is bad, and only a log that reaches as far can make up for it: what was promised
    /// on the word of the bad one stands nowhere else.
    pub newest: EntryId,
}

/// Returns the newest snapshot that is whole, having read all of it.
///
/// When the newest is bad and an older one is whole, the older one is returned: the caller checks
/// that the log reaches from there to the newest. When all are bad, the error is that of the
/// newest.
pub fn latest(dir: impl Into<Place>) -> Result<Option<Latest>, Error> {
    let dir = dir.into();
    if !dir.is_there()? {
        return Ok(None);
    }
    let snapshots = list(&dir)?;
    let Some((newest, _)) = snapshots.first() else { return Ok(None) };
    let newest = *newest;
    let mut newest_error = None;
    for (_, place) in snapshots {
        match verify(&place) {
            Ok(meta) => return Ok(Some(Latest { place, meta, newest })),
            Err(error) => {
                tracing::warn!(%error, "a snapshot is bad; trying the one before");
                newest_error.get_or_insert(error);
            }
        }
    }
    newest_error.map_or(Ok(None), Err)
}

/// Reads all of the newest snapshot, for whoever cannot do with the one that [`latest`] has found.
pub fn verify_newest(dir: impl Into<Place>) -> Result<(), Error> {
    let newest = list(&dir.into())?.into_iter().next();
    newest.map_or(Ok(()), |(_, path)| verify(&path).map(|_| ()))
}

/// Reads the whole file and returns its meta data, which must be what the name says.
fn verify(path: &Place) -> Result<SnapshotMeta, Error> {
    let meta = read_through(path, |_| ())?;
    if path.file_name().and_then(|name| name.to_str()) != Some(&file_name(meta.last)) {
        let reason =
            format!("it holds the state up to {}, which is not what its name says", meta.last);
        return Err(Error::corrupt(path, 0, reason));
    }
    Ok(meta)
}

/// Reads the whole file, whatever its name, and calls `rest` with the bytes of each block.
fn read_through(path: &Place, mut rest: impl FnMut(usize)) -> Result<SnapshotMeta, Error> {
    let mut blocks = Blocks::open(path)?;
    let mut block = Vec::new();
    while blocks.next(&mut block)? {
        rest(block.len());
    }
    Ok(blocks.meta().clone())
}

/// Writes what a snapshot file holds; damage is written where it is met, and returned. Changes
/// nothing.
pub fn inspect(place: impl Into<Place>, out: &mut impl io::Write) -> Result<(), Error> {
    let result = inspect_blocks(&place.into(), out);
    if let Err(error) = &result {
        writeln!(out, "BAD {error}").map_err(Error::io("write", Path::new("output")))?;
    }
    result
}

fn inspect_blocks(path: &Place, out: &mut impl io::Write) -> Result<(), Error> {
    let output = || Error::io("write", Path::new("output"));
    let mut blocks = Blocks::open(path)?;
    let meta = blocks.meta();
    writeln!(out, "snapshot last={} {:?}", meta.last, meta.configuration).map_err(output())?;
    let mut block = Vec::new();
    loop {
        let (offset, number) = (blocks.offset(), blocks.number());
        if !blocks.next(&mut block)? {
            let bytes = blocks.data_bytes();
            return writeln!(out, "  {offset:>10}  footer: {number} blocks, {bytes} bytes")
                .map_err(output());
        }
        writeln!(out, "  {offset:>10}  block {number}, {} bytes", block.len()).map_err(output())?;
    }
}

fn file_name(last: EntryId) -> String {
    format!("snap-{:020}-{:020}", last.index, last.term)
}

/// Reads the name of a snapshot. Only the one way in which we write it counts.
fn parse_name(name: &str) -> Option<EntryId> {
    let (index, term) = name.strip_prefix("snap-")?.split_once('-')?;
    let last = EntryId { term: term.parse().ok()?, index: index.parse().ok()? };
    (file_name(last) == name).then_some(last)
}

/// Returns the snapshots of a directory, newest first.
fn list(dir: &Place) -> Result<Vec<(EntryId, Place)>, Error> {
    let mut snapshots: Vec<_> = dir
        .list()?
        .into_iter()
        .filter_map(|(name, path)| parse_name(&name).map(|last| (last, path)))
        .collect();
    // By index: only a snapshot that reaches further is a newer one.
    snapshots.sort_unstable_by_key(|(last, _)| std::cmp::Reverse((last.index, last.term)));
    Ok(snapshots)
}

/// Gives a durable file its name and removes all but the two newest snapshots.
fn publish(dir: &Place, temporary: &Place, last: EntryId) -> Result<Place, Error> {
    let place = dir.join(file_name(last));
    temporary.rename(&place)?;
    for (_, old) in list(dir)?.into_iter().skip(KEEP) {
        old.remove()?;
    }
    Ok(place)
}
