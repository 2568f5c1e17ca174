//! State Machine Safety (Figure 3): if a server has applied an entry at an index, no other server
//! will ever apply a different one there.

use std::collections::BTreeMap;

use raftkv_storage::types::{EntryId, Index, NodeId, Term};

use super::{Log, violation};

impl Log {
    /// The server replaces its log from this index on.
    pub(super) fn replaces(&mut self, node: NodeId, index: Index) {
        if index <= self.commit {
            let commit = self.commit;
            violation!("state machine safety", "{node} replaces {commit}, committed");
        }
        let keep = index - self.base.index - 1;
        self.terms.truncate(usize::try_from(keep).expect("an index"));
    }

    /// What the server says to be committed is what all others have there.
    pub(super) fn agrees(
        &self,
        node: NodeId,
        commit: Index,
        committed: &mut BTreeMap<Index, Term>,
    ) {
        for index in self.commit + 1..=commit {
            let Some(term) = self.term(index) else {
                violation!("commit", "{node} commits {index}, which its log does not have");
            };
            let known = *committed.entry(index).or_insert(term);
            if known != term {
                let (ours, theirs) = (EntryId { term, index }, EntryId { term: known, index });
                violation!("state machine safety", "{node} commits {ours}, another {theirs}");
            }
        }
    }
}
