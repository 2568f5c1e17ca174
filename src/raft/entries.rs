//! The entries of a log in pieces: a queue that never moves what it holds.
//!
//! A plain queue that is full moves to twice the room. At half a million entries the loop stood
//! still for 400 ms while the system cleared the new pages; here it takes a page or two at a time.
//!
//! ```text
//!   pieces[0]          pieces[1]          pieces[2]
//!   ┌──────┬─────────┐ ┌────────────────┐ ┌──────┬ ┄ ┐
//!   │ gone │         │ │                │ │      │   ┆    each of PIECE places
//!   └──────┴─────────┘ └────────────────┘ └──────┴ ┄ ┘
//!     gone                                       gone + len
//! ```

use std::collections::VecDeque;
use std::ops::{Index, Range};

use super::Entry;

/// How many entries a piece has: some tens of kilobytes.
const PIECE: usize = 1024;

/// Entries in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    /// The first has lost `gone` entries; all but the last are full otherwise.
    pieces: VecDeque<Vec<Entry>>,
    /// Always less than a piece.
    gone: usize,
    len: usize,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, at: usize) -> Option<&Entry> {
        (at < self.len).then(|| &self[at])
    }

    pub(super) fn last(&self) -> Option<&Entry> {
        self.get(self.len.checked_sub(1)?)
    }

    pub(super) fn range(&self, range: Range<usize>) -> impl Iterator<Item = &Entry> {
        range.map(move |at| &self[at])
    }

    /// Returns how many entries there are before the first of which this is not true.
    pub(super) fn partition_point(&self, is_before: impl Fn(&Entry) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low.midpoint(high);
            if is_before(&self[middle]) { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if (self.gone + self.len).is_multiple_of(PIECE) {
            self.pieces.push_back(Vec::new());
        }
        self.pieces.back_mut().expect("there is a piece with room").push(entry);
        self.len += 1;
    }

    /// Drops all but the first so many.
    pub(super) fn truncate(&mut self, len: usize) {
        assert!(len <= self.len, "there are no more");
        let end = self.gone + len;
        self.pieces.truncate(end.div_ceil(PIECE));
        if !end.is_multiple_of(PIECE) {
            let before = self.gone_of(end / PIECE);
            self.pieces[end / PIECE].truncate(end % PIECE - before);
        }
        self.len = len;
    }

    /// Removes the first so many, and returns them in pieces.
    pub(super) fn cut_off(&mut self, count: usize) -> VecDeque<Vec<Entry>> {
        assert!(count <= self.len, "there are no more");
        let end = self.gone + count;
        let before = self.gone_of(end / PIECE);
        let left = self.pieces.split_off(end / PIECE);
        let mut cut = std::mem::replace(&mut self.pieces, left);
        (self.gone, self.len) = (end % PIECE, self.len - count);
        if let Some(first) = self.pieces.front_mut() {
            cut.push_back(first.drain(..self.gone - before).collect());
        }
        cut
    }

    /// Returns how many entries a piece has lost.
    fn gone_of(&self, piece: usize) -> usize {
        if piece == 0 { self.gone } else { 0 }
    }
}

impl Index<usize> for Entries {
    type Output = Entry;

    fn index(&self, at: usize) -> &Entry {
        let place = self.gone + at;
        let piece = place / PIECE;
        &self.pieces[piece][place % PIECE - self.gone_of(piece)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EntryId, Payload};
    use super::*;

    fn indexes(entries: &Entries) -> Vec<u64> {
        entries.range(0..entries.len()).map(|entry| entry.id.index).collect()
    }

    /// Every way to shorten it on both sides, near the ends of pieces, and to go on from there.
    #[test]
    fn it_is_a_queue() {
        let entry = |index| Entry { id: EntryId { term: 1, index }, payload: Payload::Noop };
        let ends = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 5];
        for len in ends {
            for (cut, again) in ends.iter().flat_map(|cut| ends.map(|again| (*cut, again))) {
                let (mut entries, mut expected) = (Entries::default(), VecDeque::new());
                let cuts = [cut.min(len), again.min(len - cut.min(len))];
                for index in 0..len as u64 {
                    entries.push(entry(index));
                    expected.push_back(index);
                }
                for cut in cuts {
                    let gone: Vec<Entry> = entries.cut_off(cut).into_iter().flatten().collect();
                    let gone: Vec<u64> = gone.iter().map(|entry| entry.id.index).collect();
                    assert_eq!(gone, expected.drain(..cut).collect::<Vec<_>>());
                    assert_eq!(expected, indexes(&entries));
                }
                let kept = entries.len() / 2;
                entries.truncate(kept);
                expected.truncate(kept);
                for index in 0..3 {
                    entries.push(entry(index));
                    expected.push_back(index);
                }
                assert_eq!(expected, indexes(&entries));
                assert_eq!(entries.last(), Some(&entry(2)));
                entries.truncate(0);
                assert_eq!((entries.len(), entries.get(0)), (0, None));
                entries.push(entry(7));
                assert_eq!(indexes(&entries), [7]);
            }
        }
    }
}
