//! Leader Completeness (Figure 3): an entry that is committed in a term is in the logs of the
//! leaders of all later terms.

use std::collections::BTreeMap;

use raftkv_storage::types::{EntryId, Index, NodeId, Term};

use super::{Log, violation};

impl Log {
    /// The server has won a term. If its log has the last entry that is committed, it has all
    /// before it, by Log Matching.
    pub(super) fn is_complete(&self, node: NodeId, term: Term, committed: &BTreeMap<Index, Term>) {
        let Some((index, of)) = committed.last_key_value() else { return };
        let has = *index < self.base.index || self.term(*index) == Some(*of);
        // What was committed after the election is not yet there on a leader of the past.
        if !has && *of <= term {
            let (last, id) = (self.last(), EntryId { term: *of, index: *index });
            violation!("leader completeness", "{node} leads {term} up to {last} without {id}");
        }
    }
}
