//! The log above the last snapshot, in memory.
//!
//! Its one law is Log Matching (§5.3): if two logs agree on one entry, they agree on everything
//! before it. All comparing is therefore done with one [`EntryId`] at a time.
//!
//! ```text
//!   compacted │ trailing │ above the snapshot
//!   ──────────┼──────────┼──────────────────────────
//!          base          snapshot             last
//!
//!   base ≤ snapshot ≤ commit ≤ last;   terms never fall from one entry to the next
//! ```
//!
//! Everything is in memory because then nothing here can fail: what a server must read to decide,
//! it has. The disk writes the same entries, but it is only read at the start.

use std::collections::VecDeque;

use super::entries::Entries;
use super::{Entry, EntryId, Index, Options, Term};

/// The entries above `base`, which is the last one that was cut off.
#[derive(Clone, Debug)]
pub(super) struct Log {
    base: EntryId,
    entries: Entries,
    /// The bytes of all `entries`.
    bytes: usize,
    /// The bytes of those that a snapshot contains.
    trailing_bytes: usize,
    /// The bytes of those that were cut off.
    cut_bytes: usize,
}

/// Returns what an entry counts for in every limit: its payload and its id.
fn size_of_entry(entry: &Entry) -> usize {
    size_of::<EntryId>() + entry.payload.size()
}

/// Returns what several entries count for in every limit.
pub(super) fn size_of_entries(entries: &[Entry]) -> usize {
    entries.iter().map(size_of_entry).sum()
}

impl Log {
    fn empty(base: EntryId) -> Self {
        Self { base, entries: Entries::default(), bytes: 0, trailing_bytes: 0, cut_bytes: 0 }
    }

    /// Takes over a log as the disk gave it back, and drops what the snapshot contradicts.
    pub(super) fn recover(base: EntryId, entries: Vec<Entry>, snapshot: EntryId) -> Self {
        assert!(base.index <= snapshot.index, "the log must reach down to the snapshot");
        let mut log = Self::empty(base);
        for entry in entries {
            log.append(entry);
        }
        // The snapshot holds committed entries only. A log that ends before it, or has another
        // entry in its place, missed them and holds nothing of use.
        if log.term_at(snapshot.index) == Some(snapshot.term) {
            log.trailing_bytes = log.iter_to(snapshot.index).map(size_of_entry).sum();
        } else {
            log.reset(snapshot);
        }
        log
    }

    /// Returns the last entry that was cut off; what comes before it is unknown.
    pub(super) fn base(&self) -> EntryId {
        self.base
    }

    /// Returns the last entry.
    pub(super) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the bytes of all entries there are and were, but for those that were replaced.
    pub(super) fn bytes_ever(&self) -> usize {
        self.cut_bytes.wrapping_add(self.bytes)
    }

    /// Returns the bytes of the entries that no snapshot contains yet.
    pub(super) fn bytes_above_snapshot(&self) -> usize {
        self.bytes - self.trailing_bytes
    }

    /// Returns the term of the entry at an index, unless it is cut off or does not exist yet.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.entries.get(self.offset(index.checked_sub(1)?)?).map(|entry| entry.id.term)
    }

    /// Returns whether this very entry is in the log.
    pub(super) fn contains(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// Returns the first of these consecutive entries that is missing in the log or contradicts it.
    /// What was cut off is committed, and so agrees with every leader.
    pub(super) fn first_unmatched(&self, entries: &[Entry]) -> Option<usize> {
        entries.iter().position(|entry| {
            entry.id.index > self.base.index && self.term_at(entry.id.index) != Some(entry.id.term)
        })
    }

    /// Returns the highest entry that is neither above the limit's index nor of a later term than
    /// it, or the base.
    ///
    /// It is the conflict hint (end of §5.3), for both sides: the follower skips all entries of
    /// terms that the leader cannot have at the limit, and the leader then all of its own that the
    /// follower cannot have. So they find where their logs part in one exchange for each term in
    /// which they differ, not one for each entry.
    pub(super) fn highest_at_most(&self, limit: EntryId) -> EntryId {
        let below = self
            .entries
            .partition_point(|entry| entry.id.index <= limit.index && entry.id.term <= limit.term);
        below.checked_sub(1).map_or(self.base, |at| self.entries[at].id)
    }

    /// Adds an entry at the end.
    pub(super) fn append(&mut self, entry: Entry) {
        let last = self.last();
        assert!(entry.id.index == last.index + 1, "the log has no gaps");
        assert!(entry.id.term >= last.term, "terms never fall along the log");
        self.bytes += size_of_entry(&entry);
        self.entries.push(entry);
    }

    /// Removes the entries from an index on. The caller answers for none of them being committed.
    pub(super) fn truncate(&mut self, from: Index) {
        let at = self.offset(from - 1).expect("only what is above the base can be truncated");
        let cut = self.entries.range(at..self.entries.len());
        self.bytes -= cut.map(size_of_entry).sum::<usize>();
        self.entries.truncate(at);
    }

    /// Returns the entries from an index on, as many as fit in so many bytes but at least one.
    pub(super) fn entries_from(&self, from: Index, bytes_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += size_of_entry(entry);
            first || bytes <= bytes_max
        };
        self.iter_from(from).take_while(fits).cloned().collect()
    }

    /// Returns the entries above one index and up to another.
    pub(super) fn entries_between(&self, above: Index, to: Index) -> Vec<Entry> {
        let start = self.offset(above).expect("what is asked for has not been cut off");
        let end = self.offset(to).expect("what is asked for has not been cut off");
        self.entries.range(start..end).cloned().collect()
    }

    pub(super) fn iter_from(&self, from: Index) -> impl Iterator<Item = &Entry> {
        let start = from.checked_sub(1).and_then(|above| self.offset(above));
        self.entries.range(start.unwrap_or(0)..self.entries.len())
    }

    fn iter_to(&self, to: Index) -> impl Iterator<Item = &Entry> {
        let end = self.offset(to).expect("the caller knows the entry at this index");
        self.entries.range(0..end)
    }

    /// Cuts off the entries that a snapshot contains, but for the newest of them that fit in so
    /// many bytes: they spare a follower that is a little behind a whole snapshot. Of the followers
    /// that have come up to these indexes, the log is kept for those for whom all that they miss
    /// fits in what may be kept; a part of it would be of no use. Returns what was cut off.
    pub(super) fn compact(
        &mut self,
        snapshot: Index,
        followers: impl Iterator<Item = Index>,
        options: &Options,
    ) -> VecDeque<Vec<Entry>> {
        let contained = self.offset(snapshot).expect("a snapshot is never below the last one");
        let mut kept = self.trail((contained, 0), 0, options.trailing_bytes);
        let behind = followers.filter_map(|index| self.offset(index));
        let mut behind: Vec<usize> = behind.filter(|offset| *offset < kept.0).collect();
        behind.sort_unstable_by_key(|offset| std::cmp::Reverse(*offset));
        for needed in behind {
            let reached = self.trail(kept, needed, options.catch_up_bytes);
            if reached.0 > needed {
                break;
            }
            kept = reached;
        }
        let (cut, trailing_bytes) = kept;
        self.trailing_bytes = trailing_bytes;
        let Some(last_cut) = cut.checked_sub(1) else { return VecDeque::new() };
        self.base = self.entries[last_cut].id;
        let cut_bytes = self.entries.range(0..cut).map(size_of_entry).sum::<usize>();
        self.bytes -= cut_bytes;
        self.cut_bytes = self.cut_bytes.wrapping_add(cut_bytes);
        self.entries.cut_off(cut)
    }

    /// Goes on down from an offset, above which so many bytes are to be kept, to `least` or as far
    /// as they are no more than `bytes_max`. Returns where that is, and how many they are.
    fn trail(
        &self,
        (mut at, mut bytes): (usize, usize),
        least: usize,
        bytes_max: usize,
    ) -> (usize, usize) {
        while at > least {
            let more = bytes + size_of_entry(&self.entries[at - 1]);
            if more > bytes_max {
                break;
            }
            (at, bytes) = (at - 1, more);
        }
        (at, bytes)
    }

    /// Drops everything: the log goes on after a snapshot that holds what it missed.
    pub(super) fn reset(&mut self, base: EntryId) {
        *self = Self::empty(base);
    }

    /// Returns how many of the entries in memory stand at or below an index, unless it is below the
    /// base.
    fn offset(&self, index: Index) -> Option<usize> {
        usize::try_from(index.checked_sub(self.base.index)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Payload;
    use super::*;

    fn log(base: EntryId, terms: &[Term]) -> Log {
        let entries = (base.index + 1..).zip(terms).map(|(index, term)| Entry {
            id: EntryId { term: *term, index },
            payload: Payload::Command(vec![0; 10].into()),
        });
        Log::recover(base, entries.collect(), base)
    }

    fn id(index: Index, term: Term) -> EntryId {
        EntryId { term, index }
    }

    #[test]
    fn the_term_below_the_base_is_unknown_and_at_the_base_known() {
        let log = log(id(5, 2), &[2, 3]);
        assert_eq!(log.term_at(4), None);
        assert_eq!(log.term_at(5), Some(2));
        assert_eq!(log.term_at(7), Some(3));
        assert_eq!(log.term_at(8), None);
        assert_eq!(log.term_at(Index::MAX), None);
        assert_eq!(
            super::Log::recover(EntryId::default(), vec![], EntryId::default()).term_at(0),
            Some(0)
        );
    }

    #[test]
    fn the_hint_skips_whole_terms() {
        let log = log(id(0, 0), &[1, 1, 4, 4, 6]);
        assert_eq!(log.highest_at_most(id(9, 5)), id(4, 4));
        assert_eq!(log.highest_at_most(id(9, 3)), id(2, 1));
        assert_eq!(log.highest_at_most(id(1, 9)), id(1, 1));
        assert_eq!(log.highest_at_most(id(9, 0)), id(0, 0));
    }

    #[test]
    fn a_batch_takes_at_least_one_entry_and_no_more_than_fit() {
        let log = log(id(0, 0), &[1, 1, 1, 1]);
        assert_eq!(log.entries_from(2, 0).len(), 1);
        assert_eq!(log.entries_from(2, 52).len(), 2);
        assert_eq!(log.entries_from(2, 1000).len(), 3);
        assert_eq!(log.entries_from(5, 1000).len(), 0);
    }

    #[test]
    fn compaction_keeps_what_trails_the_snapshot_by_little() {
        let mut log = log(id(0, 0), &[1, 1, 2, 2, 3]);
        let mut options = Options { trailing_bytes: 60, catch_up_bytes: 0, ..Options::default() };
        log.compact(4, [].into_iter(), &options);
        assert_eq!((log.base(), log.last()), (id(2, 1), id(5, 3)));
        assert_eq!((log.bytes(), log.bytes_above_snapshot()), (78, 26));
        options.trailing_bytes = 0;
        log.compact(5, [].into_iter(), &options);
        assert_eq!((log.base(), log.last()), (id(5, 3), id(5, 3)));
        assert_eq!((log.bytes(), log.bytes_above_snapshot()), (0, 0));
    }

    #[test]
    fn compaction_keeps_all_that_a_follower_misses_or_nothing() {
        let whole = log(id(0, 0), &[1; 6]);
        let options = Options { trailing_bytes: 0, catch_up_bytes: 60, ..Options::default() };
        let base_with = |followers: &[Index]| {
            let mut log = whole.clone();
            log.compact(5, followers.iter().copied(), &options);
            assert_eq!(log.bytes_above_snapshot(), 26);
            log.base().index
        };
        assert_eq!(base_with(&[]), 5);
        assert_eq!(base_with(&[6, 5, 4]), 4);
        assert_eq!(base_with(&[3]), 3);
        assert_eq!(base_with(&[2]), 5, "that would be too much");
        assert_eq!(base_with(&[2, 0, 4, 3]), 3, "the others need not suffer");
    }

    #[test]
    fn a_log_that_missed_its_snapshot_is_dropped() {
        let entries = log(id(0, 0), &[1, 1]).entries_between(0, 2);
        let behind = Log::recover(id(0, 0), entries.clone(), id(3, 1));
        assert_eq!((behind.base(), behind.last()), (id(3, 1), id(3, 1)));
        let other = Log::recover(id(0, 0), entries.clone(), id(2, 2));
        assert_eq!((other.base(), other.last()), (id(2, 2), id(2, 2)));
        let holds_it = Log::recover(id(0, 0), entries, id(1, 1));
        assert_eq!((holds_it.base(), holds_it.last()), (id(0, 0), id(2, 1)));
        assert_eq!(holds_it.bytes_above_snapshot(), 26);
    }
}
