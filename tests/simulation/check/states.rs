//! Equal logs make equal states: at one index every keyspace has one digest, and every server the
//! same configuration.
//!
//! To look at a state is to look at every key, so not every state is looked at: those at every
//! eighth index are, those that become a snapshot or come from one, and the last. What differs
//! stays different until it is written over, and clients go on to new keys every few seconds.

use std::collections::BTreeMap;

use raftkv_storage::types::{Configuration, Index, NodeId};

use super::violation;

#[derive(Debug, Default)]
pub(crate) struct States {
    states: BTreeMap<Index, (NodeId, u128, Configuration)>,
}

impl States {
    /// Returns whether the states at an index are compared.
    pub(crate) fn looks_at(applied: Index) -> bool {
        applied.is_multiple_of(8)
    }

    /// A server's keyspace has this digest, and this configuration is committed.
    pub(crate) fn has(
        &mut self,
        node: NodeId,
        applied: Index,
        digest: u128,
        configuration: &Configuration,
    ) {
        let state = || (node, digest, configuration.clone());
        let (other, known, committed) = self.states.entry(applied).or_insert_with(state);
        if committed != configuration {
            violation!(
                "equal states",
                "at {applied} {node} has {configuration:?}, {other} has {committed:?}"
            );
        }
        if *known != digest {
            violation!("equal states", "at {applied} {node} has {digest:x}, {other} has {known:x}");
        }
    }
}
