//! A segment as memory.
//!
//! # What a store into the map can do
//!
//! It has no return code. Where the file has no block behind the page, or has been cut short, the
//! kernel sends SIGBUS and the process ends. So a file is mapped only after it was filled with
//! zeros and synced, it is never cut or unlinked while it is mapped, and nothing is read through
//! the map that was not written through it: recovery reads with `read`, where a bad block is an
//! error. What is left is a disk that breaks, and there the end of this process is the right
//! outcome: the others serve.
//!
//! A store may also block for as long as the file system likes. The log belongs to one thread of
//! its own, which may wait.

use std::fs::File;
use std::io;

use memmap2::{Advice, MmapMut, MmapOptions};

/// A file's bytes, mapped shared and writable.
pub(super) struct Mapped(MmapMut);

impl Mapped {
    /// Maps the whole file, which must have this length.
    #[allow(unsafe_code)]
    pub(super) fn new(file: &File, length: usize) -> io::Result<Self> {
        if file.metadata()?.len() != length as u64 {
            return Err(io::Error::other("the file has another length than its header says"));
        }
        // SAFETY: The slice would be invalidated by whoever cuts the file or writes to it behind
        // our back. The data directory is locked by this process and private to its user; in this
        // process a segment file has one owner, which never cuts it and writes only through this
        // map.
        let map = unsafe { MmapOptions::new().len(length).map_mut(file)? };
        // Pages that had to be read back come one by one: read-ahead would bring them in as large
        // folios, and then each sync would write far more than is dirty. Only advice; without it
        // the log is slower, not wrong.
        let _ = map.advise(Advice::Random);
        Ok(Self(map))
    }
}

impl super::Map for Mapped {
    fn store(&mut self, offset: usize, bytes: &[u8]) {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn flush(&self, offset: usize, length: usize) -> io::Result<()> {
        self.0.flush_range(offset, length)
    }
}
