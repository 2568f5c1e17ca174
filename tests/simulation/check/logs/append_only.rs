//! Leader Append-Only (Figure 3): a leader never overwrites or deletes entries in its log.

use raftkv_storage::types::{NodeId, Term};

use super::{Log, violation};

impl Log {
    /// The server replaces entries, and now leads in this term, or does not.
    pub(super) fn appends_only(&self, node: NodeId, leads: Option<Term>) {
        if let Some(term) = leads.filter(|_| self.leads == leads) {
            let last = self.last();
            violation!("leader append-only", "{node}, leader of {term}, replaces {last}");
        }
    }
}
