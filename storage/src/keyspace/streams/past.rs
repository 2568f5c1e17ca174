//! How far a group has read, counted in entries: what is known, and what can be told from the IDs.
//!
//! The lag of a group is how many entries it has not been given yet. Where none was deleted by name
//! it follows from counters; behind a deleted one nobody can tell, and then nothing is said.

use super::id::Id;

/// What is known of all entries that a stream ever had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    /// How many there were.
    pub(super) added: u64,
    /// How many there are.
    pub(super) left: u64,
    /// The first one that is there, or the smallest ID.
    pub(super) first: Id,
    pub(super) last: Id,
    /// The greatest one that was deleted by name.
    pub(super) max_deleted: Id,
}

impl Past {
    /// Returns whether entries may be missing from an ID on.
    fn has_gap_from(&self, id: Id) -> bool {
        let is_gap_inside = self.max_deleted >= self.first;
        self.left > 0 && self.max_deleted != Id::MIN && is_gap_inside && id <= self.max_deleted
    }

    /// Returns how many entries there ever were up to an ID, if that can be told.
    pub(super) fn count_to(&self, id: Id) -> Option<i64> {
        // Counters are Redis' signed ones, also where somebody has set them beyond all reason.
        let counter = |count: u64| Some(count as i64);
        if self.added == 0 {
            return Some(0);
        }
        if id == self.last || self.left == 0 && id < self.last {
            return counter(self.added);
        }
        if id > self.last || self.max_deleted != Id::MIN && self.max_deleted >= self.first {
            return None;
        }
        let before = self.added.wrapping_sub(self.left);
        match id {
            id if id < self.first => counter(before),
            id if id == self.first => counter(before.wrapping_add(1)),
            _ => None,
        }
    }

    /// Returns the counter of a group that has been given the entry behind all that it had.
    pub(super) fn read_one(&self, read: Option<i64>, id: Id) -> Option<i64> {
        match read {
            Some(read) if !self.has_gap_from(id) => Some(read.wrapping_add(1)),
            _ if self.added > 0 => self.count_to(id),
            read => read,
        }
    }

    /// Returns how many entries are ahead of a group, if that can be told.
    pub(super) fn lag(&self, read: Option<i64>, last: Id) -> Option<i64> {
        let read = match read {
            _ if self.added == 0 => return Some(0),
            Some(read) if !self.has_gap_from(last) => read,
            _ => self.count_to(last)?,
        };
        Some((self.added as i64).wrapping_sub(read))
    }
}
