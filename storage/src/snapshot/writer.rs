//! Our own state on its way to disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::format::{self, BLOCK, Sums};
use crate::error::Error;
use crate::fs;
use crate::types::SnapshotMeta;

/// Takes the bytes of a snapshot. It has its name when [`SnapshotWriter::finish`] returns; dropped
/// before, it is removed.
pub struct SnapshotWriter {
    dir: PathBuf,
    temporary: Temporary,
    file: File,
    meta: SnapshotMeta,
    block: Vec<u8>,
    sums: Sums,
    unsynced: usize,
    /// After a failed write nobody knows where the file ends, so it can never be finished.
    failed: bool,
}

/// A file that is removed when nobody has given it a name.
#[derive(Debug)]
pub(super) struct Temporary(Option<PathBuf>);

impl Temporary {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(Some(path))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// The file has its name now.
    pub(super) fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // What is left is removed when the data directory is opened.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl SnapshotWriter {
    /// Begins a snapshot in this directory.
    pub fn create(dir: &Path, meta: &SnapshotMeta) -> Result<Self, Error> {
        fs::create_dir(dir)?;
        let path = dir.join(format!("{}-written{}", super::file_name(meta.last), fs::TEMPORARY));
        let mut file = fs::create(&path)?;
        let temporary = Temporary::new(path);
        let (header, sums) = format::header(meta);
        file.write_all(&header).map_err(Error::io("write", temporary.path()))?;
        Ok(Self {
            dir: dir.into(),
            temporary,
            file,
            meta: meta.clone(),
            block: Vec::with_capacity(BLOCK),
            sums,
            unsynced: header.len(),
            failed: false,
        })
    }

    /// Makes it durable, reads it back, gives it its name, and removes all but the two newest.
    pub fn finish(mut self) -> Result<PathBuf, Error> {
        let path = self.temporary.path().to_path_buf();
        self.write_block().map_err(Error::io("write", &path))?;
        self.file.write_all(&self.sums.footer()).map_err(Error::io("write", &path))?;
        self.file.sync_all().map_err(Error::io("sync", &path))?;
        // The log will be cut on the word of this file.
        let read = super::read_through(&path)?;
        assert!(read == self.meta, "a snapshot reads as it was written");
        let published = super::publish(&self.dir, &path, self.meta.last)?;
        self.temporary.keep();
        Ok(published)
    }

    fn write_block(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write of this snapshot has failed"));
        }
        if self.block.is_empty() {
            return Ok(());
        }
        self.failed = true;
        let head = self.sums.block_head(&self.block);
        self.file.write_all(&head)?;
        self.file.write_all(&self.block)?;
        self.unsynced += head.len() + self.block.len();
        if self.unsynced >= super::SYNC_EVERY {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        self.block.clear();
        self.failed = false;
        Ok(())
    }
}

impl Write for SnapshotWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.write_block()?;
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Does nothing: only [`SnapshotWriter::finish`] makes anything of it last.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
