//! A sequence of byte strings, packed: what lists, hashes, sets, sorted sets and streams are made
//! of.
//!
//! ```text
//! root ─┬─ 412 ─┬─ 40 ─ leaf   a b c …      above: how many entries are below each child
//!       │       ├─ 37 ─ leaf                below: entries packed into about a KiB each
//!       │       ┆
//!       └─ 398 ─ …
//! ```
//!
//! A B-tree by position: the entry at an index, its insertion and removal take time logarithmic in
//! the length; so does finding an entry where they are in order, and its rank comes with it. A
//! small sequence is one leaf, one piece of memory. A large one is as compact: there are no
//! pointers but one for each leaf.
//!
//! A clone shares all nodes, so it costs nothing, and a write copies the leaf and the path to it
//! that are shared. There is never a moment when the whole has to be moved.

mod iter;
mod leaf;
mod node;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::io::{self, Read, Write};
use std::ops::Range;

use triomphe::Arc;

use super::snapshot::{read_bytes, read_u64, write_bytes};
pub(super) use iter::{Backward, Forward, Piece, Sharer};
use node::{Child, Node};

/// Byte strings in order, by index. A clone is a frozen view.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequence {
    root: Node,
    len: usize,
}

impl Sequence {
    /// Returns how many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the entry at an index.
    pub(super) fn get(&self, index: usize) -> Option<Piece<'_>> {
        if index >= self.len {
            return None;
        }
        let (leaf, within) = self.root.find(index);
        leaf.ranges().nth(within).map(|range| Piece::new(leaf, range))
    }

    /// Searches among entries that are in order, as a slice's `binary_search_by` does: `compare`
    /// tells how an entry stands to the one that is sought.
    pub(super) fn search(
        &self,
        mut compare: impl FnMut(&[u8]) -> Ordering,
    ) -> Result<usize, usize> {
        self.root.search(&mut compare)
    }

    /// Returns how many entries at the beginning are before what is sought, among entries in order.
    pub(super) fn partition_point(&self, mut is_before: impl FnMut(&[u8]) -> bool) -> usize {
        let place = self.search(|entry| match is_before(entry) {
            true => Ordering::Less,
            false => Ordering::Greater,
        });
        place.unwrap_or_else(|place| place)
    }

    /// Returns the entries from an index on, in order.
    pub(super) fn iter_from(&self, index: usize) -> Forward<'_> {
        Forward::new(self, index)
    }

    /// Returns all entries in order.
    pub(super) fn iter(&self) -> Forward<'_> {
        self.iter_from(0)
    }

    /// Returns the entries before an index, the last of them first.
    pub(super) fn iter_back_from(&self, index: usize) -> Backward<'_> {
        Backward::new(self, index)
    }

    /// Inserts an entry before the one at an index, or at the end.
    ///
    /// # Panics
    ///
    /// If the index is beyond the end.
    pub(super) fn insert(&mut self, index: usize, entry: &[u8]) {
        assert!(index <= self.len, "an entry is inserted at {index} of {}", self.len);
        let more = self.root.insert(index, entry);
        self.len += 1;
        if !more.is_empty() {
            let root = std::mem::take(&mut self.root);
            let children = std::iter::once(root).chain(more).map(Child::from).collect();
            self.root = Node::Inner(Arc::new(children));
        }
    }

    /// Adds an entry at the end.
    pub(super) fn push(&mut self, entry: &[u8]) {
        self.insert(self.len, entry);
    }

    /// Puts an entry in the place of the one at an index.
    pub(super) fn replace(&mut self, index: usize, entry: &[u8]) {
        assert!(index < self.len, "the entry at {index} of {} is replaced", self.len);
        if !self.root.replace(index, entry) {
            self.remove(index);
            self.insert(index, entry);
        }
    }

    /// Removes the entry at an index.
    pub(super) fn remove(&mut self, index: usize) {
        self.remove_range(index..index + 1);
    }

    /// Removes entries; what is unlinked whole costs nothing for each of them but its memory.
    ///
    /// # Panics
    ///
    /// If the range ends beyond the end.
    pub(super) fn remove_range(&mut self, range: Range<usize>) {
        assert!(range.end <= self.len, "entries {range:?} of {} are removed", self.len);
        if range.is_empty() {
            return;
        }
        self.len -= range.len();
        if self.len > 0 {
            self.root.remove(range);
        }
        self.lower();
    }

    /// Removes the entries of a range that are to go, in one walk; returns how many.
    ///
    /// # Panics
    ///
    /// If the range ends beyond the end.
    pub(super) fn remove_if(
        &mut self,
        range: Range<usize>,
        mut goes: impl FnMut(&[u8]) -> bool,
    ) -> usize {
        assert!(range.end <= self.len, "entries among {range:?} of {} are removed", self.len);
        let removed = self.root.remove_if(range, &mut goes);
        self.len -= removed;
        self.lower();
        removed
    }

    /// Gives up what is above the only node of a level.
    fn lower(&mut self) {
        if self.len == 0 {
            self.root = Node::default();
        }
        while let Node::Inner(children) = &self.root
            && let [only] = &children[..]
        {
            self.root = only.node.clone();
        }
    }

    /// Writes the number of entries, and all of them.
    pub(super) fn write_to(&self, output: &mut (impl Write + ?Sized)) -> io::Result<()> {
        output.write_all(&(self.len as u64).to_le_bytes())?;
        self.iter().try_for_each(|entry| write_bytes(entry.as_bytes(), output))
    }

    /// Reads what [`Sequence::write_to`] wrote, and hands over each entry.
    pub(super) fn read_from(
        input: &mut (impl Read + ?Sized),
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        for _ in 0..read_u64(input)? {
            take(&read_bytes(input, usize::MAX)?)?;
        }
        Ok(())
    }
}
