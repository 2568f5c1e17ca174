//! What makes an entry committed: it is on the disks of a majority (§5.3), and it, or one behind
//! it, is of the leader's own term (§5.4.2).

use raftkv_storage::types::{Index, NodeId, Term};

use super::{Log, Logs, violation};

impl Logs {
    /// A server says of an index, as the first one, that it is committed: the entry is on the disks
    /// of a majority. As far as each log is durable is known from outside.
    pub(crate) fn is_on_disks(&self, node: NodeId, index: Index, durable: &[(NodeId, Index)]) {
        let term = self.servers.get(&node).and_then(|log| log.term(index));
        let holds = |(node, durable): &&(NodeId, Index)| {
            let log = self.servers.get(node);
            let same = |log: &Log| index < log.base.index || log.term(index) == term;
            *durable >= index && (*durable == Index::MAX || log.is_some_and(same))
        };
        let (copies, of) = (durable.iter().filter(holds).count(), durable.len());
        if copies * 2 <= of {
            violation!("majority", "{node} commits {index}, which is on {copies} disks of {of}");
        }
    }
}

impl Log {
    /// Only entries of the leader's own term are committed because a majority has them.
    pub(super) fn commits_of_own_term(&self, node: NodeId, commit: Index, leads: Option<Term>) {
        if let Some(own) = leads.filter(|_| self.leads == leads && commit > self.commit)
            && self.term(commit) != Some(own)
        {
            let term = self.term(commit);
            violation!("own term", "{node}, leader of {own}, commits up to {commit} of {term:?}");
        }
    }
}
