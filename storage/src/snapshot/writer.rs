//! Our own state on its way to disk.

use std::io::{self, Write};

use super::format::{self, BLOCK, Sums};
use crate::error::Error;
use crate::fs::{self, FileWriter, Place};
use crate::types::SnapshotMeta;

/// Takes the bytes of a snapshot. It has its name when [`SnapshotWriter::finish`] returns; dropped
/// before, it is removed.
pub struct SnapshotWriter {
    dir: Place,
    temporary: Temporary,
    file: FileWriter,
    meta: SnapshotMeta,
    block: Vec<u8>,
    sums: Sums,
    /// After a failed write nobody knows where the file ends, so it can never be finished.
    failed: bool,
    /// Called after each block.
    rest: Rest,
}

/// Is told of so many bytes that were written or read, and lets others go first, if it likes.
type Rest = Box<dyn FnMut(usize) + Send>;

/// A file that is removed when nobody has given it a name.
#[derive(Debug)]
pub(super) struct Temporary {
    place: Place,
    is_kept: bool,
}

impl Temporary {
    pub(super) fn new(place: Place) -> Self {
        Self { place, is_kept: false }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The file has its name now.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_kept {
            self.place.discard();
        }
    }
}

impl SnapshotWriter {
    /// Begins a snapshot in this directory.
    pub fn create(dir: impl Into<Place>, meta: &SnapshotMeta) -> Result<Self, Error> {
        let dir = dir.into();
        dir.create_dir()?;
        let place = dir.join(format!("{}-written{}", super::file_name(meta.last), fs::TEMPORARY));
        let mut file = FileWriter::new(place.create()?);
        let temporary = Temporary::new(place);
        let (header, sums) = format::header(meta);
        file.write(&header).map_err(Error::io("write", temporary.place()))?;
        Ok(Self {
            dir,
            temporary,
            file,
            meta: meta.clone(),
            block: Vec::with_capacity(BLOCK),
            sums,
            failed: false,
            rest: Box::new(|_| ()),
        })
    }

    /// Has `rest` called with the bytes of each block that was written or read back: it may take
    /// its time, for whoever has more urgent things to do with the CPU and the disk.
    #[must_use]
    pub fn with_rest(mut self, rest: impl FnMut(usize) + Send + 'static) -> Self {
        self.rest = Box::new(rest);
        self
    }

    /// Makes it durable, reads it back, gives it its name, and removes all but the two newest.
    pub fn finish(mut self) -> Result<Place, Error> {
        let place = self.temporary.place().clone();
        self.write_block().map_err(Error::io("write", &place))?;
        self.file.write(&self.sums.footer()).map_err(Error::io("write", &place))?;
        self.file.sync().map_err(Error::io("sync", &place))?;
        // The log will be cut on the word of this file.
        let read = super::read_through(&place, &mut self.rest)?;
        assert!(read == self.meta, "a snapshot reads as it was written");
        let published = super::publish(&self.dir, &place, self.meta.last)?;
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
        self.file.write(&head)?;
        self.file.write(&self.block)?;
        (self.rest)(self.block.len());
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
