//! What one server knows only grows: its term for ever, commit and applied as long as it lives.

use std::collections::BTreeMap;

use raftkv_storage::types::{Index, NodeId, Term};

use super::violation;

#[derive(Debug, Default)]
pub(crate) struct Progress {
    known: BTreeMap<NodeId, (Term, Index, Index)>,
}

impl Progress {
    /// A server has taken a turn.
    pub(crate) fn is_at(&mut self, node: NodeId, term: Term, commit: Index, applied: Index) {
        let known = self.known.entry(node).or_default();
        let now = (term, commit, applied);
        if term < known.0 || commit < known.1 || applied < known.2 {
            violation!(
                "monotone",
                "{node} was at {known:?} (term, commit, applied), is at {now:?}"
            );
        }
        if applied > commit {
            violation!("monotone", "{node} has applied {applied} and committed only {commit}");
        }
        *known = now;
    }

    /// A server starts anew: it may have to learn again what is committed.
    pub(crate) fn restarts(&mut self, node: NodeId) {
        self.known.remove(&node);
    }
}
