//! The five properties of Figure 3, and that no read is stale, checked whenever something happens
//! that could break them.

use std::collections::BTreeMap;

use raftkv::raft::{ReadId, Role, Write};
use raftkv_storage::types::{Entry, EntryId, Index, NodeId, Payload, Term};

use super::Node;
use super::disk::Image;

/// What has become true for ever.
#[derive(Default)]
pub(crate) struct Safety {
    leaders: BTreeMap<Term, NodeId>,
    /// Every entry that some server has applied.
    committed: BTreeMap<Index, Entry>,
    /// What was committed when a read was asked for.
    reads: BTreeMap<ReadId, Index>,
}

impl Safety {
    /// Election Safety, and Leader Completeness.
    pub(crate) fn elected(&mut self, id: NodeId, term: Term, image: &Image) {
        let leader = *self.leaders.entry(term).or_insert(id);
        assert_eq!(leader, id, "Election Safety: two leaders in term {term}");
        for entry in self.committed.values() {
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

    /// Log Matching, for each pair of servers: below the last entry on which they agree, they agree
    /// on all.
    pub(crate) fn log_matching(&self, nodes: &BTreeMap<NodeId, Node>) {
        for (a, one) in nodes {
            for (b, other) in nodes.range(*a..).skip(1) {
                let (one, other) = (&one.image.recovered, &other.image.recovered);
                let start = one.base.index.max(other.base.index);
                let skip = |entries: &[Entry]| entries.partition_point(|e| e.id.index <= start);
                let ours = one.entries[skip(&one.entries)..].iter();
                let theirs = other.entries[skip(&other.entries)..].iter();
                let pairs: Vec<_> = ours.zip(theirs).collect();
                let agree = pairs.iter().rposition(|(x, y)| x.id == y.id).map_or(0, |at| at + 1);
                let matching = pairs[..agree].iter().all(|(x, y)| x == y);
                assert!(matching, "Log Matching: {a} and {b} differ before an entry they share");
            }
        }
    }

    /// State Machine Safety: whoever applies something at an index, applies the same. So all states
    /// are the same, too.
    pub(crate) fn applied(&mut self, id: NodeId, entry: &Entry) {
        let first = self.committed.entry(entry.id.index).or_insert_with(|| entry.clone());
        assert_eq!(first, entry, "State Machine Safety: {id} applies something else");
    }

    /// Returns the state that a snapshot contains.
    pub(crate) fn state_at(&self, last: EntryId) -> Vec<String> {
        let applied = self.committed.range(..=last.index).map(|(_, entry)| entry);
        if let Some(entry) = applied.clone().last().filter(|entry| entry.id.index == last.index) {
            assert_eq!(entry.id, last, "State Machine Safety: a snapshot of something else");
        }
        let commands = applied.filter_map(|entry| match &entry.payload {
            Payload::Command(command) => Some(String::from_utf8_lossy(command).into_owned()),
            _ => None,
        });
        commands.collect()
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
