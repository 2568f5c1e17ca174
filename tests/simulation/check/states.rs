//! Equal logs make equal states: at one index every keyspace has one digest.

use std::collections::BTreeMap;

use raftkv_storage::types::{Index, NodeId};

use super::violation;

#[derive(Debug, Default)]
pub(crate) struct States {
    digests: BTreeMap<Index, (NodeId, u128)>,
}

impl States {
    /// A server's keyspace has this digest.
    pub(crate) fn has(&mut self, node: NodeId, applied: Index, digest: u128) {
        let (other, known) = *self.digests.entry(applied).or_insert((node, digest));
        if known != digest {
            violation!("equal states", "at {applied} {node} has {digest:x}, {other} has {known:x}");
        }
    }
}
