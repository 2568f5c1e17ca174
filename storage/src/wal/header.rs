//! The first page of a segment: whose it is, and all that must be known when every segment before
//! it is gone.
//!
//! ```text
//!     0  magic            8 bytes
//!     8  format version   u32
//!    12  crc32            u32, of the whole page with this field zero
//!    16  sequence         u64, of this segment; 1, 2, 3 … without a gap
//!    24  segment bytes    u64, the length of the file, for ever
//!    32  salt             u64, random; every batch's checksum begins with it
//!    40  first batch      u64, the sequence that the first batch in this segment will have
//!    48  base             term u64, index u64: the last entry of the log when this segment began
//!    64  hard state       term u64, vote: a name behind its length
//!     …  node             a name behind its length
//!     …  cluster          u8 whether known, u128
//!     …  zeros up to 4096
//! ```
//!
//! Durable before the file gets its name; never written again.

use std::path::Path;

use crate::encoding::{self, Fields};
use crate::error::Error;
use crate::fs::PAGE;
use crate::types::{ClusterId, EntryId, HardState, NodeId};

/// The header has the first page for itself: no sync of a batch ever writes it again.
pub(super) const HEADER: usize = PAGE;

const MAGIC: [u8; 8] = *b"raftkvWL";
const VERSION: u32 = 1;
const CRC_AT: std::ops::Range<usize> = 12..16;

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sequence: u64,
    pub(super) segment_bytes: u64,
    pub(super) salt: u64,
    pub(super) first_batch: u64,
    pub(super) base: EntryId,
    pub(super) hard_state: HardState,
    pub(super) node: NodeId,
    pub(super) cluster: Option<ClusterId>,
}

impl Header {
    /// Returns the page.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(HEADER);
        page.extend_from_slice(&MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&[0; 4]);
        for field in [self.sequence, self.segment_bytes, self.salt, self.first_batch] {
            page.extend_from_slice(&field.to_le_bytes());
        }
        encoding::put_entry_id(&mut page, self.base);
        page.extend_from_slice(&self.hard_state.term.to_le_bytes());
        encoding::put_node(&mut page, self.hard_state.vote);
        encoding::put_node(&mut page, Some(self.node));
        encoding::put_cluster(&mut page, self.cluster);
        page.resize(HEADER, 0);
        let crc = crc32fast::hash(&page);
        page[CRC_AT].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// Reads the page. Where version and checksum stand, and that the checksum is of the first
    /// page, is so in every format: a page that is whole and of another version is not damaged.
    pub(super) fn decode(segment: &[u8], path: &Path) -> Result<Self, Error> {
        let Some(page) = segment.get(..HEADER) else {
            return Err(Error::corrupt(path, segment.len() as u64, "the file ends in its header"));
        };
        if page[..8] != MAGIC {
            return Err(Error::corrupt(path, 0, "this is not a segment of a raftkv log"));
        }
        let mut fields = Fields(&page[8..]);
        let (Some(version), Some(crc)) = (fields.u32(), fields.u32()) else {
            unreachable!("a page is longer than its first fields")
        };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&page[..CRC_AT.start]);
        hasher.update(&[0; 4]);
        hasher.update(&page[CRC_AT.end..]);
        if hasher.finalize() != crc {
            return Err(Error::corrupt(path, 0, "the checksum of the header is wrong"));
        }
        if version != VERSION {
            let reason = format!("its format has version {version}; this build reads {VERSION}");
            return Err(Error::refused(path, reason));
        }
        Self::fields(&mut fields)
            .filter(|_| fields.0.iter().all(|byte| *byte == 0))
            .ok_or_else(|| Error::corrupt(path, 0, "the header is malformed"))
    }

    fn fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            sequence: fields.u64()?,
            segment_bytes: fields.u64()?,
            salt: fields.u64()?,
            first_batch: fields.u64()?,
            base: fields.entry_id()?,
            hard_state: HardState { term: fields.u64()?, vote: fields.node()? },
            node: fields.node()??,
            cluster: fields.cluster()?,
        })
    }

    /// Returns the name of the file: the sequence and the index of the base, so that a listing
    /// reads as the log does.
    pub(super) fn file_name(&self) -> String {
        format!("{:016x}-{:020}{EXTENSION}", self.sequence, self.base.index)
    }
}

const EXTENSION: &str = ".wal";

/// What the name of a segment says. Nothing else of it is ever used: paths are made from these
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) sequence: u64,
    pub(super) base: u64,
}

/// Reads the name of a segment file; `None` when it is none, an error when it only looks like one.
pub(super) fn parse_name(name: &str) -> Option<Result<SegmentName, &'static str>> {
    let stem = name.strip_suffix(EXTENSION)?;
    let parsed = stem.split_once('-').and_then(|(sequence, base)| {
        let sequence = u64::from_str_radix(sequence, 16).ok()?;
        let base = base.parse().ok()?;
        // Only the one way in which we write them.
        (format!("{sequence:016x}-{base:020}") == stem).then_some(SegmentName { sequence, base })
    });
    Some(parsed.ok_or("the name is not one that the log gives to a segment"))
}
