//! A snapshot on its way back into memory.

use std::io::{self, Read};

use super::format::Blocks;
use crate::error::Error;
use crate::fs::Place;
use crate::types::SnapshotMeta;

/// Hands out the bytes that were given to a writer. Each block was checked before any byte of it is
/// seen, and the footer before the end: whoever reads to the end has read all of it.
pub struct SnapshotReader {
    blocks: Blocks,
    block: Vec<u8>,
    taken: usize,
}

impl SnapshotReader {
    /// Opens a snapshot; its header is checked.
    pub fn open(place: impl Into<Place>) -> Result<Self, Error> {
        Ok(Self { blocks: Blocks::open(&place.into())?, block: Vec::new(), taken: 0 })
    }

    /// Returns whether all of it was read, and is whole.
    pub(super) fn has_ended(&self) -> bool {
        self.blocks.has_ended()
    }

    /// Returns what the snapshot says of itself.
    #[must_use]
    pub fn meta(&self) -> &SnapshotMeta {
        self.blocks.meta()
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.taken == self.block.len() {
            self.taken = 0;
            let next = self.blocks.next(&mut self.block);
            if !next.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                return Ok(0);
            }
        }
        let rest = &self.block[self.taken..];
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        self.taken += length;
        Ok(length)
    }
}
