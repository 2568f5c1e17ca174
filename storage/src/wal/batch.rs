//! A batch: what one sync makes durable, and the unit that is there whole or not at all.
//!
//! ```text
//!   0         4         8                   16                 16 + length   next multiple of 8
//!   +---------+---------+-------------------+---------- - - ---+-------------+
//!   | length  | crc32   | sequence          | records          | zeros       |
//!   +---------+---------+-------------------+---------- - - ---+-------------+
//!        all little-endian; starts at a multiple of 8; length ≥ 24, so zeros are never a batch
//!
//!   crc32 of    salt | segment | offset | sequence | records | zeros | length
//! ```
//!
//! The checksum begins with the place where the batch belongs: the segment's random salt, its
//! sequence, and the offset in the file. Bytes that were right elsewhere, or in an earlier life of
//! these disk blocks, are wrong here; and no client can write a value that looks like a batch,
//! since it cannot know the salt.
//!
//! The head is stored last, when the batch is closed. A batch that was never closed has zeros for a
//! head and is nothing.

use crc32fast::Hasher;

use super::header::Header;
use super::record;
use crate::encoding::Fields;

/// The length of what stands before the records.
pub(super) const HEAD: usize = 16;

/// What batches are aligned to.
pub(super) const ALIGN: usize = 8;

/// The least a batch can be: a head and one record without bytes.
pub(super) const SHORTEST: usize = HEAD + record::HEAD;

/// Rounds up to where the next batch may begin.
pub(super) fn align(offset: usize) -> usize {
    offset.next_multiple_of(ALIGN)
}

/// The checksum of a batch whose records come one by one.
#[derive(Clone)]
pub(super) struct Checksum(Hasher);

impl Checksum {
    /// Starts with the place of the batch.
    pub(super) fn new(header: &Header, offset: usize, sequence: u64) -> Self {
        let mut hasher = Hasher::new();
        for seed in [header.salt, header.sequence, offset as u64, sequence] {
            hasher.update(&seed.to_le_bytes());
        }
        Self(hasher)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds the zeros up to the next batch, and the length.
    fn finish(mut self, length: usize) -> u32 {
        self.0.update(&[0; ALIGN][..align(length) - length]);
        self.0.update(&(length as u64).to_le_bytes());
        self.0.finalize()
    }

    /// Returns the head of the batch that ends here.
    pub(super) fn head(self, length: usize, sequence: u64) -> [u8; HEAD] {
        let bytes = u32::try_from(length).expect("a segment is shorter than 4 GiB");
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&bytes.to_le_bytes());
        head[4..8].copy_from_slice(&self.finish(length).to_le_bytes());
        head[8..].copy_from_slice(&sequence.to_le_bytes());
        head
    }
}

/// A batch that was read and whose checksum is right.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) sequence: u64,
    pub(super) records: &'a [u8],
    /// Where the next one begins.
    pub(super) end: usize,
}

/// The head of what may be a batch; nothing is proven yet but that it would fit.
struct Candidate {
    length: usize,
    crc: u32,
    sequence: u64,
}

fn candidate(segment: &[u8], offset: usize) -> Result<Candidate, &'static str> {
    let mut fields = Fields(segment.get(offset..).unwrap_or_default());
    let (Some(length), Some(crc), Some(sequence)) = (fields.u32(), fields.u32(), fields.u64())
    else {
        return Err("the segment ends within the head of a batch");
    };
    let length = length as usize;
    if length < record::HEAD {
        return Err("the length of the batch is less than a record's");
    }
    if align(length) > fields.0.len() {
        return Err("the length of the batch reaches beyond the segment");
    }
    Ok(Candidate { length, crc, sequence })
}

/// Reads the batch at an offset of a segment, whatever its sequence; or says why there is none.
pub(super) fn read<'a>(
    segment: &'a [u8],
    header: &Header,
    offset: usize,
) -> Result<Batch<'a>, &'static str> {
    let Candidate { length, crc, sequence } = candidate(segment, offset)?;
    let start = offset + HEAD;
    let end = align(start + length);
    let mut checksum = Checksum::new(header, offset, sequence);
    checksum.update(&segment[start..start + length]);
    if segment[start + length..end].iter().any(|byte| *byte != 0) {
        return Err("the bytes behind the batch are not zero");
    }
    if checksum.finish(length) != crc {
        return Err("the checksum of the batch is wrong");
    }
    Ok(Batch { sequence, records: &segment[start..start + length], end })
}

/// Looks for a batch behind a bad one that was to have sequence `expected`; returns its offset.
///
/// Every place where one could begin is tried. A sequence out of range costs nothing more; the rest
/// is checksummed, up to a few times the segment. Only bytes made to look like many batches use
/// that up; it is then reported as if one had been found, since nobody can tell: refusing to start
/// is the safe side.
pub(super) fn find_later(
    segment: &[u8],
    header: &Header,
    bad: usize,
    expected: u64,
) -> Option<usize> {
    let mut budget = segment.len().saturating_mul(8);
    let most = (segment.len() / SHORTEST) as u64;
    let mut offset = align(bad + 1);
    while offset + SHORTEST <= segment.len() {
        if let Ok(candidate) = candidate(segment, offset)
            && candidate
                .sequence
                .checked_sub(expected)
                .is_some_and(|ahead| 0 < ahead && ahead <= most)
        {
            if read(segment, header, offset).is_ok() || budget < candidate.length {
                return Some(offset);
            }
            budget -= candidate.length;
        }
        offset += ALIGN;
    }
    None
}
