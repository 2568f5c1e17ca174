//! A leader's snapshot, taken down chunk by chunk (§7), and put into place when it is whole.
//!
//! What comes from a peer is believed only as a file that was checked from end to end. Until
//! [`Received::install`] nothing that exists has changed, and whatever is dropped before is
//! removed.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::reader::SnapshotReader;
use super::writer::Temporary;
use crate::error::Error;
use crate::fs::{self, FileWriter, Place};
use crate::types::SnapshotMeta;

/// Takes the bytes of a snapshot file in order.
pub struct SnapshotReceiver {
    dir: Place,
    temporary: Temporary,
    file: FileWriter,
    meta: SnapshotMeta,
    limit: u64,
    failed: bool,
}

impl SnapshotReceiver {
    /// Begins to receive a snapshot of which the leader has said this.
    pub fn create(dir: impl Into<Place>, meta: &SnapshotMeta) -> Result<Self, Error> {
        Self::with_limit(dir, meta, super::SNAPSHOT_BYTES_MAX)
    }

    /// The same with another limit for the size of the file.
    pub fn with_limit(
        dir: impl Into<Place>,
        meta: &SnapshotMeta,
        limit: u64,
    ) -> Result<Self, Error> {
        let dir = dir.into();
        dir.create_dir()?;
        // One that broke off may still be on its way out when the same is sent again.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = super::file_name(meta.last);
        let place = dir.join(format!("{name}-received-{number}{}", fs::TEMPORARY));
        let file = FileWriter::new(place.create()?);
        let temporary = Temporary::new(place);
        Ok(Self { dir, temporary, file, meta: meta.clone(), limit, failed: false })
    }

    /// Returns the offset that the next chunk must have.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.file.offset()
    }

    /// Takes the next chunk. One that does not follow, or is too much, is refused and changes
    /// nothing.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let next = self.offset();
        if offset != next {
            let reason = format!("a chunk for offset {offset}, where {next} is next");
            return Err(Error::refused(self.temporary.place(), reason));
        }
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.limit) {
            let reason = format!("the snapshot has more than {} bytes", self.limit);
            return Err(Error::refused(self.temporary.place(), reason));
        }
        if self.failed {
            let reason = "an earlier chunk could not be written";
            return Err(Error::refused(self.temporary.place(), reason));
        }
        let written = self.file.write(bytes);
        self.failed = written.is_err();
        written.map_err(Error::io("write", self.temporary.place()))
    }

    /// Makes the file durable and has it read to its end, by which all of it is checked. It still
    /// has its temporary name.
    pub fn finish<T>(
        self,
        read: impl FnOnce(&mut SnapshotReader) -> io::Result<T>,
    ) -> Result<(Received, T), Error> {
        let place = self.temporary.place().clone();
        if self.failed {
            return Err(Error::refused(&place, "an earlier chunk could not be written"));
        }
        self.file.sync().map_err(Error::io("sync", &place))?;
        let mut reader = SnapshotReader::open(&place)?;
        let meta = reader.meta().clone();
        if meta != self.meta {
            let reason = format!("it says {meta:?}, and the leader said {:?}", self.meta);
            return Err(Error::refused(&place, reason));
        }
        let state = read(&mut reader).map_err(Error::reading(&place))?;
        if !reader.has_ended() {
            return Err(Error::refused(&place, "nobody has read it to its end"));
        }
        let received = Received { place, meta, dir: self.dir, temporary: self.temporary };
        Ok((received, state))
    }
}

/// A snapshot that was received, is whole and durable, and has not been put into place.
#[derive(Debug)]
pub struct Received {
    /// The file, under its temporary name.
    pub place: Place,
    /// What it says of itself.
    pub meta: SnapshotMeta,
    dir: Place,
    temporary: Temporary,
}

impl Received {
    /// Gives the file its name, durably. The log is reset after this, never before.
    pub fn install(mut self) -> Result<Place, Error> {
        let place = super::publish(&self.dir, &self.place, self.meta.last)?;
        self.temporary.keep();
        Ok(place)
    }
}
