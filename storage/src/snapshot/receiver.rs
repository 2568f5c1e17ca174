//! A leader's snapshot, taken down chunk by chunk (§7), and put into place when it is whole.
//!
//! What comes from a peer is believed only as a file that was checked from end to end. Until
//! [`Received::install`] nothing that exists has changed, and whatever is dropped before is
//! removed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::reader::SnapshotReader;
use super::writer::Temporary;
use crate::error::Error;
use crate::fs;
use crate::types::SnapshotMeta;

/// Takes the bytes of a snapshot file in order.
pub struct SnapshotReceiver {
    dir: PathBuf,
    temporary: Temporary,
    file: File,
    meta: SnapshotMeta,
    offset: u64,
    unsynced: usize,
    limit: u64,
    failed: bool,
}

impl SnapshotReceiver {
    /// Begins to receive a snapshot of which the leader has said this.
    pub fn create(dir: &Path, meta: &SnapshotMeta) -> Result<Self, Error> {
        Self::with_limit(dir, meta, super::SNAPSHOT_BYTES_MAX)
    }

    /// The same with another limit for the size of the file.
    pub fn with_limit(dir: &Path, meta: &SnapshotMeta, limit: u64) -> Result<Self, Error> {
        fs::create_dir(dir)?;
        // One that broke off may still be on its way out when the same is sent again.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = super::file_name(meta.last);
        let path = dir.join(format!("{name}-received-{number}{}", fs::TEMPORARY));
        let file = fs::create(&path)?;
        let temporary = Temporary::new(path);
        Ok(Self {
            dir: dir.into(),
            temporary,
            file,
            meta: meta.clone(),
            offset: 0,
            unsynced: 0,
            limit,
            failed: false,
        })
    }

    /// Returns the offset that the next chunk must have.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next chunk. One that does not follow, or is too much, is refused and changes
    /// nothing.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if offset != self.offset {
            let reason = format!("a chunk for offset {offset}, where {} is next", self.offset);
            return Err(Error::refused(self.temporary.path(), reason));
        }
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= self.limit);
        let Some(end) = end else {
            let reason = format!("the snapshot has more than {} bytes", self.limit);
            return Err(Error::refused(self.temporary.path(), reason));
        };
        if self.failed {
            let reason = "an earlier chunk could not be written";
            return Err(Error::refused(self.temporary.path(), reason));
        }
        self.unsynced = self.unsynced.saturating_add(bytes.len());
        let mut written = self.file.write_all(bytes);
        if self.unsynced >= super::SYNC_EVERY && written.is_ok() {
            written = self.file.sync_data();
            self.unsynced = 0;
        }
        self.failed = written.is_err();
        written.map_err(Error::io("write", self.temporary.path()))?;
        self.offset = end;
        Ok(())
    }

    /// Makes the file durable and checks all of it. It still has its temporary name.
    pub fn finish(self) -> Result<Received, Error> {
        let path = self.temporary.path().to_path_buf();
        if self.failed {
            return Err(Error::refused(&path, "an earlier chunk could not be written"));
        }
        self.file.sync_all().map_err(Error::io("sync", &path))?;
        let meta = super::read_through(&path)?;
        if meta != self.meta {
            let reason = format!("it says {meta:?}, and the leader said {:?}", self.meta);
            return Err(Error::refused(&path, reason));
        }
        Ok(Received { path, meta, dir: self.dir, temporary: self.temporary })
    }
}

/// A snapshot that was received, is whole and durable, and has not been put into place.
#[derive(Debug)]
pub struct Received {
    /// The file, under its temporary name.
    pub path: PathBuf,
    /// What it says of itself.
    pub meta: SnapshotMeta,
    dir: PathBuf,
    temporary: Temporary,
}

impl Received {
    /// Opens the file, to rebuild the state from it before it is installed.
    pub fn open(&self) -> Result<SnapshotReader, Error> {
        SnapshotReader::open(&self.path)
    }

    /// Gives the file its name, durably. The log is reset after this, never before.
    pub fn install(mut self) -> Result<PathBuf, Error> {
        let path = super::publish(&self.dir, &self.path, self.meta.last)?;
        self.temporary.keep();
        Ok(path)
    }
}
