//! Entries one behind the other in one piece of memory: `(length varint | bytes)*`.

use std::ops::Range;

use triomphe::Arc;

use super::super::varint;

/// A leaf with more bytes is split, unless one entry alone has them.
pub(super) const BYTES_MAX: usize = 1024;
/// Room for so many more bytes is made at least when a leaf has none.
const BYTES_MORE: usize = 32;

/// Some entries of a sequence, packed. A clone shares the bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    bytes: Arc<Vec<u8>>,
    count: usize,
}

impl Leaf {
    pub(super) fn with(entry: &[u8]) -> Self {
        let mut leaf = Self::default();
        leaf.insert(0, entry);
        leaf
    }

    /// Returns how many entries there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns how many bytes they take.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the memory, to be shared.
    pub(super) fn bytes(&self) -> &Arc<Vec<u8>> {
        &self.bytes
    }

    /// Returns where the entries are in the memory, in order.
    pub(super) fn ranges(&self) -> Ranges<'_> {
        Ranges { bytes: &self.bytes, at: 0 }
    }

    /// Returns the first entry.
    pub(super) fn first(&self) -> Option<&[u8]> {
        self.ranges().next().map(|range| &self.bytes[range])
    }

    /// Returns where an entry begins, its length included; one behind the last is the end.
    fn start(&self, index: usize) -> usize {
        if index == self.count {
            return self.bytes.len();
        }
        let mut ranges = self.ranges();
        for _ in 0..index {
            ranges.next();
        }
        ranges.at
    }

    /// Returns whether an entry can come in without the leaf growing too large.
    pub(super) fn has_room(&self, entry: &[u8]) -> bool {
        self.count == 0 || self.size() + size(entry) <= BYTES_MAX
    }

    pub(super) fn insert(&mut self, index: usize, entry: &[u8]) {
        let start = self.start(index);
        self.splice(start..start, Some(entry));
        self.count += 1;
    }

    pub(super) fn remove(&mut self, range: Range<usize>) {
        let bytes = self.start(range.start)..self.start(range.end);
        self.splice(bytes, None);
        self.count -= range.len();
    }

    /// Removes the entries of a range that are to go, and returns how many.
    pub(super) fn remove_if(
        &mut self,
        range: Range<usize>,
        goes: &mut impl FnMut(&[u8]) -> bool,
    ) -> usize {
        let mut kept: Option<Vec<u8>> = None;
        let (mut start, mut removed) = (0, 0);
        for (index, entry) in self.ranges().enumerate() {
            let whole = start..entry.end;
            start = entry.end;
            if range.contains(&index) && goes(&self.bytes[entry]) {
                kept.get_or_insert_with(|| self.bytes[..whole.start].to_vec());
                removed += 1;
            } else if let Some(kept) = &mut kept {
                kept.extend_from_slice(&self.bytes[whole]);
            }
        }
        if let Some(mut kept) = kept {
            kept.shrink_to_fit();
            self.bytes = Arc::new(kept);
            self.count -= removed;
        }
        removed
    }

    /// Puts an entry in the place of another, if the leaf does not grow too large by that.
    pub(super) fn replace(&mut self, index: usize, entry: &[u8]) -> bool {
        let old = self.start(index)..self.start(index + 1);
        let fits = self.count == 1 || self.size() - old.len() + size(entry) <= BYTES_MAX;
        if fits {
            self.splice(old, Some(entry));
        }
        fits
    }

    /// Cuts off what is from an index on.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let start = self.start(index);
        let rest = self.bytes[start..].to_vec();
        let rest = Self { bytes: Arc::new(rest), count: self.count - index };
        self.splice(start..self.bytes.len(), None);
        self.count = index;
        rest
    }

    /// Returns the index at which half the bytes are behind, one at least.
    pub(super) fn middle(&self) -> usize {
        let half = self.ranges().take_while(|range| range.end <= self.size() / 2).count();
        half.max(1)
    }

    pub(super) fn append(&mut self, other: &Self) {
        let end = self.bytes.len();
        let bytes = self.owned(other.size());
        bytes.extend_from_slice(&other.bytes);
        debug_assert_eq!(bytes.len(), end + other.size());
        self.count += other.count;
    }

    /// Replaces bytes by an entry, or by nothing.
    fn splice(&mut self, old: Range<usize>, entry: Option<&[u8]>) {
        let new = entry.map_or(0, size);
        let bytes = self.owned(new.saturating_sub(old.len()));
        let tail = bytes.len() - old.end;
        if new > old.len() {
            bytes.resize(bytes.len() + new - old.len(), 0);
        }
        bytes.copy_within(old.end..old.end + tail, old.start + new);
        bytes.truncate(old.start + new + tail);
        if let Some(entry) = entry {
            let (head, body) = bytes[old.start..old.start + new].split_at_mut(new - entry.len());
            varint::write(entry.len(), head);
            body.copy_from_slice(entry);
        }
    }

    /// Returns the bytes to be changed: a copy if somebody shares them, with room for some more.
    fn owned(&mut self, more: usize) -> &mut Vec<u8> {
        if !Arc::is_unique(&self.bytes) {
            let mut copy = Vec::with_capacity(self.bytes.len() + more);
            copy.extend_from_slice(&self.bytes);
            self.bytes = Arc::new(copy);
        }
        let bytes = Arc::get_mut(&mut self.bytes).expect("bytes that were made unique");
        if bytes.capacity() - bytes.len() < more {
            // Twice as much would be wasted on many small ones.
            bytes.reserve_exact(more.max(BYTES_MORE).max(bytes.len() / 4));
        } else if bytes.capacity() > 2 * BYTES_MAX && bytes.len() <= BYTES_MAX {
            bytes.shrink_to(BYTES_MAX);
        }
        bytes
    }
}

/// Returns how many bytes an entry takes in a leaf.
fn size(entry: &[u8]) -> usize {
    varint::len(entry.len()) + entry.len()
}

/// Where entries are, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Ranges<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let (length, behind) = varint::take(rest).expect("a leaf is made of entries");
        let start = self.bytes.len() - behind.len();
        self.at = start + length;
        Some(start..self.at)
    }
}
