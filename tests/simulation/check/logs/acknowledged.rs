//! Every write that a client was told to be done is committed, and is on every server at the end.
//! What it left is read by a client once all is over, and judged with the rest of the history.

use raftkv_storage::types::{Index, NodeId};

use super::{Logs, violation};

impl Logs {
    /// A client is told that its write is done; the server has applied up to here.
    pub(crate) fn acknowledges(&mut self, node: NodeId, applied: Index) {
        self.acknowledged = self.acknowledged.max(applied);
        if !self.committed.contains_key(&applied) {
            violation!("acknowledged", "{node} acknowledges at {applied}, which is not committed");
        }
    }

    /// At the end: a server has applied up to here.
    pub(crate) fn ends(&self, node: NodeId, applied: Index) {
        if applied < self.acknowledged {
            let acknowledged = self.acknowledged;
            violation!("acknowledged", "{node} ends at {applied}; {acknowledged} was acknowledged");
        }
    }
}
