//! The log without its payloads: where it begins, where it ends, and the term of every entry
//! between.
//!
//! `base.index ≤ last.index`. The log keeps one to know what an entry replaces; replay builds one
//! the same way, and so both agree on what the log is.

use crate::types::{EntryId, Index, Term};

/// Ids of the entries after `base`, as runs of one term: as long as the number of elections, not of
/// entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    base: EntryId,
    last: Index,
    /// The first index of each run and its term; indexes grow.
    runs: Vec<(Index, Term)>,
}

impl Outline {
    /// An empty log after this entry.
    pub(super) fn empty_after(base: EntryId) -> Self {
        Self { base, last: base.index, runs: Vec::new() }
    }

    /// The entry right before the first one.
    pub(super) fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry, or the base when there is none.
    pub(super) fn last(&self) -> EntryId {
        match self.runs.last() {
            Some((_, term)) => EntryId { term: *term, index: self.last },
            None => self.base,
        }
    }

    /// Returns the id of the entry at this index, the base included.
    pub(super) fn id_at(&self, index: Index) -> Option<EntryId> {
        if index == self.base.index {
            return Some(self.base);
        }
        if index < self.base.index || index > self.last {
            return None;
        }
        let after = self.runs.partition_point(|(first, _)| *first <= index);
        let (_, term) = self.runs[after.checked_sub(1)?];
        Some(EntryId { term, index })
    }

    /// Returns whether the entry comes right after the last.
    pub(super) fn is_next(&self, id: EntryId) -> bool {
        self.last.checked_add(1) == Some(id.index)
    }

    /// Adds the entry behind the last.
    pub(super) fn push(&mut self, id: EntryId) {
        assert!(self.is_next(id), "entry {id} does not follow {}", self.last());
        if self.runs.last().is_none_or(|(_, term)| *term != id.term) {
            self.runs.push((id.index, id.term));
        }
        self.last = id.index;
    }

    /// Ends the log with this entry. When it is before the base, the log is empty after it.
    pub(super) fn cut(&mut self, id: EntryId) {
        if id.index <= self.base.index {
            *self = Self::empty_after(id);
            return;
        }
        self.last = id.index;
        self.runs.retain(|(first, _)| *first <= id.index);
    }

    /// Forgets the entries up to this one, which is in the log.
    pub(super) fn forget_through(&mut self, index: Index) {
        let Some(base) = self.id_at(index) else {
            return;
        };
        self.base = base;
        if index == self.last {
            self.runs.clear();
            return;
        }
        let keep = self.runs.partition_point(|(first, _)| *first <= index + 1).saturating_sub(1);
        self.runs.drain(..keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation against a plain list of ids.
    #[test]
    fn agrees_with_a_list() {
        let id = |index, term| EntryId { term, index };
        let mut outline = Outline::default();
        for entry in [id(1, 1), id(2, 1), id(3, 2), id(4, 4), id(5, 4)] {
            outline.push(entry);
        }
        let ids = |outline: &Outline| (0..9).map(|at| outline.id_at(at)).collect::<Vec<_>>();
        assert_eq!(outline.last(), id(5, 4));
        outline.cut(id(3, 2));
        assert_eq!(outline.last(), id(3, 2));
        outline.push(id(4, 5));
        outline.forget_through(2);
        let expected = [None, None, Some(id(2, 1)), Some(id(3, 2)), Some(id(4, 5))];
        assert_eq!(ids(&outline)[..5], expected);
        assert_eq!(ids(&outline)[5..], [None; 4]);
        outline.forget_through(4);
        assert_eq!((outline.base(), outline.last()), (id(4, 5), id(4, 5)));
        outline.cut(id(1, 1));
        assert_eq!((outline.base(), outline.last()), (id(1, 1), id(1, 1)));
    }
}
