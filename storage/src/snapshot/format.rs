//! The bytes of a snapshot file, and the one place that reads them.
//!
//! ```text
//!   header   magic 8 | version u32 | length u32 | crc32 u32 | meta
//!            meta: last (term u64, index u64), configuration
//!   block    length u32, 1 to 256 KiB | crc32 u32 | bytes
//!   …
//!   footer   0 u32 | crc32 u32 | blocks u64 | bytes u64 | crc32 of all bytes u32 | magic 8
//! ```
//!
//! The checksum of a block begins with the header's and the block's number: a block of another
//! snapshot, or in another place, is wrong. A length of zero says that the footer comes, and behind
//! it the file ends.

use std::io::{self, BufReader, Read};
use std::path::Path;

use crc32fast::Hasher;

use crate::encoding::{self, Fields};
use crate::error::Error;
use crate::fs::{FileReader, Place};
use crate::types::SnapshotMeta;

/// The longest block: what a reader has to hold, and what one checksum vouches for.
pub(super) const BLOCK: usize = 256 * 1024;

/// The length of what stands before the bytes of a block.
const BLOCK_HEAD: usize = 8;

const MAGIC: [u8; 8] = *b"raftkvSN";
const END_MAGIC: [u8; 8] = *b"NSvktfar";
const VERSION: u32 = 1;
const HEADER_HEAD: usize = 20;
const FOOTER: usize = 36;

/// The longest meta data: a configuration of many thousand servers.
const META_MAX: usize = 1024 * 1024;

/// The checksums and counts that run along, the same for who writes and who reads.
pub(super) struct Sums {
    header: u32,
    blocks: u64,
    bytes: u64,
    whole: Hasher,
}

impl Sums {
    fn new(header: u32) -> Self {
        Self { header, blocks: 0, bytes: 0, whole: Hasher::new() }
    }

    /// Counts a block and returns its checksum.
    fn block(&mut self, bytes: &[u8]) -> u32 {
        let mut hasher = self.seeded();
        hasher.update(bytes);
        self.whole.update(bytes);
        self.blocks += 1;
        self.bytes += bytes.len() as u64;
        hasher.finalize()
    }

    fn seeded(&self) -> Hasher {
        let mut hasher = Hasher::new();
        hasher.update(&self.header.to_le_bytes());
        hasher.update(&self.blocks.to_le_bytes());
        hasher
    }

    /// Returns what stands before the bytes of the next block.
    pub(super) fn block_head(&mut self, bytes: &[u8]) -> [u8; BLOCK_HEAD] {
        let length = u32::try_from(bytes.len()).expect("a block has at most 256 KiB");
        let mut head = [0; BLOCK_HEAD];
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&self.block(bytes).to_le_bytes());
        head
    }

    /// Returns the footer that belongs behind the blocks so far.
    pub(super) fn footer(&self) -> [u8; FOOTER] {
        let mut footer = [0; FOOTER];
        footer[8..16].copy_from_slice(&self.blocks.to_le_bytes());
        footer[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        footer[24..28].copy_from_slice(&self.whole.clone().finalize().to_le_bytes());
        footer[28..].copy_from_slice(&END_MAGIC);
        let mut hasher = self.seeded();
        hasher.update(&footer[8..]);
        footer[4..8].copy_from_slice(&hasher.finalize().to_le_bytes());
        footer
    }
}

/// Returns the header of a snapshot, and the sums that begin with it.
pub(super) fn header(meta: &SnapshotMeta) -> (Vec<u8>, Sums) {
    let mut bytes = Vec::new();
    encoding::put_entry_id(&mut bytes, meta.last);
    encoding::put_configuration(&mut bytes, &meta.configuration);
    let length = u32::try_from(bytes.len()).expect("the meta data of a snapshot is short");
    let mut head = Vec::with_capacity(HEADER_HEAD + bytes.len());
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&length.to_le_bytes());
    let crc = header_crc(&head, &bytes);
    head.extend_from_slice(&crc.to_le_bytes());
    head.extend_from_slice(&bytes);
    (head, Sums::new(crc))
}

fn header_crc(head: &[u8], meta: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(head);
    hasher.update(meta);
    hasher.finalize()
}

/// The blocks of a file, one after the other, each checked before it is seen.
pub(super) struct Blocks {
    path: Place,
    file: BufReader<FileReader>,
    meta: SnapshotMeta,
    sums: Sums,
    offset: u64,
    ended: bool,
}

impl Blocks {
    /// Opens a file and checks its header.
    pub(super) fn open(path: &Place) -> Result<Self, Error> {
        let mut file = BufReader::new(FileReader::new(path.open()?));
        let mut head = [0; HEADER_HEAD];
        read(&mut file, path, 0, &mut head)?;
        let mut fields = Fields(&head);
        let (Some(magic), Some(version), Some(length), Some(crc)) =
            (fields.bytes(MAGIC.len()), fields.u32(), fields.u32(), fields.u32())
        else {
            unreachable!("the head of the header has these fields")
        };
        if magic != MAGIC {
            return Err(Error::corrupt(path, 0, "this is not a snapshot of raftkv"));
        }
        if length as usize > META_MAX {
            return Err(Error::corrupt(path, 12, "the meta data is longer than it can be"));
        }
        let mut bytes = vec![0; length as usize];
        read(&mut file, path, HEADER_HEAD as u64, &mut bytes)?;
        if header_crc(&head[..HEADER_HEAD - 4], &bytes) != crc {
            return Err(Error::corrupt(path, 0, "the checksum of the header is wrong"));
        }
        // A header that is whole and of another version is not a damaged one.
        if version != VERSION {
            let reason = format!("its format has version {version}; this build reads {VERSION}");
            return Err(Error::refused(path, reason));
        }
        let meta = decode_meta(&bytes).ok_or_else(|| {
            Error::corrupt(path, HEADER_HEAD as u64, "the meta data is malformed")
        })?;
        let offset = (HEADER_HEAD + bytes.len()) as u64;
        Ok(Self { path: path.clone(), file, meta, sums: Sums::new(crc), offset, ended: false })
    }

    /// Reads the next block; returns false when the footer was in its place and all is well.
    pub(super) fn next(&mut self, block: &mut Vec<u8>) -> Result<bool, Error> {
        block.clear();
        if self.ended {
            return Ok(false);
        }
        let mut head = [0; BLOCK_HEAD];
        self.read(self.offset, &mut head)?;
        let mut fields = Fields(&head);
        let (Some(length), Some(crc)) = (fields.u32(), fields.u32()) else {
            unreachable!("the head of a block has these fields")
        };
        if length == 0 {
            self.footer(head)?;
            return Ok(false);
        }
        let length = length as usize;
        if length > BLOCK {
            return Err(Error::corrupt(
                &self.path,
                self.offset,
                "the block is longer than it can be",
            ));
        }
        block.resize(length, 0);
        self.read(self.offset + BLOCK_HEAD as u64, block)?;
        if self.sums.block(block) != crc {
            block.clear();
            return Err(Error::corrupt(
                &self.path,
                self.offset,
                "the checksum of the block is wrong",
            ));
        }
        self.offset += (BLOCK_HEAD + length) as u64;
        Ok(true)
    }

    fn footer(&mut self, head: [u8; BLOCK_HEAD]) -> Result<(), Error> {
        let mut footer = [0; FOOTER];
        footer[..BLOCK_HEAD].copy_from_slice(&head);
        self.read(self.offset + BLOCK_HEAD as u64, &mut footer[BLOCK_HEAD..])?;
        if footer != self.sums.footer() {
            let reason = "the footer does not fit what stands before it";
            return Err(Error::corrupt(&self.path, self.offset, reason));
        }
        let end = self.offset + FOOTER as u64;
        let mut more = [0];
        if self.file.read(&mut more).map_err(Error::io("read", &self.path))? != 0 {
            return Err(Error::corrupt(&self.path, end, "the file goes on behind its footer"));
        }
        self.ended = true;
        Ok(())
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        read(&mut self.file, &self.path, offset, bytes)
    }

    pub(super) fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// Returns whether the footer was read, and all is well.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Where the next block, or the footer, begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How many blocks have been read.
    pub(super) fn number(&self) -> u64 {
        self.sums.blocks
    }

    /// How many bytes were in them.
    pub(super) fn data_bytes(&self) -> u64 {
        self.sums.bytes
    }
}

fn decode_meta(bytes: &[u8]) -> Option<SnapshotMeta> {
    let mut fields = Fields(bytes);
    let meta = SnapshotMeta { last: fields.entry_id()?, configuration: fields.configuration()? };
    fields.0.is_empty().then_some(meta)
}

fn read(file: &mut impl Read, path: &Path, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::corrupt(path, offset, "the file ends too early"),
        _ => Error::io("read", path)(error),
    })
}
