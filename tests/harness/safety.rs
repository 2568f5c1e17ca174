//! The five properties of Figure 3, and that no read is stale, checked whenever something happens that could break them.

use std::collections::BTreeMap;

use raftkv::raft::{ReadId, Role, Write};
use raftkv_storage::types::{Entry, EntryId, Index, NodeId, Term};

use super::Node;
use super::disk::Image;

/// What has become true for ever.
#[derive(Default)]
pub(crate) struct Safety {
    leaders: BTreeMap<Term, NodeId>,
    /// Every entry that some server has applied, and the state that resulted.
    committed: BTreeMap<Index, (Entry, Vec<String>)>,
    /// What was committed when a read was asked for.
    reads: BTreeMap<ReadId, Index>,
}

impl Safety {
    /// Election Safety, and Leader Completeness.
    pub(crate) fn elected(&mut self, id: NodeId, term: Term, image: &Image) {
        let leader = *self.leaders.entry(term).or_insert(id);
        assert_eq!(leader, id, "Election Safety: two leaders in term {term}");
        for (entry, _) in self.committed.values() {
            let has_it = image.may_have(entry.id);
            assert!(has_it, "Leader Completeness: {id} leads term {term} without {}", entry.id);
        }
    }

    /// Leader Append-Only, and that nobody removes what is committed.
    pub(crate) fn writes(&self, id: NodeId, role: Role, write: &Write, image: &Image) {
        let Some(first) = write.entries.first() else { return };
        if role == Role::Leader && write.snapshot.is_none() && write.hard_state.is_none() {
            let follows = first.id.index == image.last().index + 1;
            assert!(follows, "Leader Append-Only: {id} overwrites {}", first.id);
        }
    }

    /// Log Matching, for each pair of servers: below the last entry on which they agree, they agree on all.
    pub(crate) fn log_matching(&self, nodes: &BTreeMap<NodeId, Node>) {
        for (a, one) in nodes {
            for (b, other) in nodes.range(*a..).skip(1) {
                let (one, other) = (&one.image.recovered, &other.image.recovered);
                let start = one.base.index.max(other.base.index);
                let above = |entries: &[Entry]| {
                    let skip = entries.partition_point(|entry| entry.id.index <= start);
                    entries[skip..].to_vec()
                };
                let (ours, theirs) = (above(&one.entries), above(&other.entries));
                let pairs: Vec<_> = ours.iter().zip(&theirs).collect();
                let agree = pairs.iter().rposition(|(x, y)| x.id == y.id).map_or(0, |at| at + 1);
                let matching = pairs[..agree].iter().all(|(x, y)| x == y);
                assert!(matching, "Log Matching: {a} and {b} differ before an entry they share");
            }
        }
    }

    /// State Machine Safety.
    pub(crate) fn applied(&mut self, id: NodeId, entry: &Entry, state: &[String]) {
        let (first, first_state) =
            self.committed.entry(entry.id.index).or_insert((entry.clone(), state.to_vec()));
        assert_eq!(first, entry, "State Machine Safety: {id} applies something else");
        assert_eq!(first_state, state, "State Machine Safety: {id} has another state");
    }

    /// Returns the state that a snapshot contains.
    pub(crate) fn state_at(&self, last: EntryId) -> Vec<String> {
        let Some((entry, state)) = self.committed.get(&last.index) else { return Vec::new() };
        assert_eq!(entry.id, last, "State Machine Safety: a snapshot of something else");
        state.clone()
    }

    /// Returns the last index that was ever applied.
    pub(crate) fn last_committed(&self) -> Index {
        self.committed.keys().next_back().copied().unwrap_or(0)
    }

    pub(crate) fn asked(&mut self, read: ReadId) {
        self.reads.insert(read, self.last_committed());
    }

    /// A read sees everything that was committed before it was asked for.
    pub(crate) fn read(&self, read: ReadId, applied: Index) {
        let least = self.reads.get(&read).copied().unwrap_or(0);
        assert!(applied >= least, "stale read #{}: {applied} is before {least}", read.0);
    }
}
