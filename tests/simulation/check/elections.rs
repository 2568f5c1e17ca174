//! Election Safety (Figure 3): one leader in a term, with the votes of a majority.

use std::collections::BTreeMap;

use raftkv_storage::types::{NodeId, Term};

use super::violation;
use super::votes::Votes;

#[derive(Debug, Default)]
pub(crate) struct Elections {
    leaders: BTreeMap<Term, NodeId>,
}

impl Elections {
    /// A server leads a cluster of so many.
    pub(crate) fn leads(&mut self, node: NodeId, term: Term, votes: &Votes, members: usize) {
        if !self.leaders.contains_key(&term) {
            let votes = votes.count(node, term);
            if votes * 2 <= members {
                violation!("majority", "{votes} of {members} have voted for {node} in {term}");
            }
        }
        let leader = *self.leaders.entry(term).or_insert(node);
        if leader != node {
            violation!("election safety", "{leader} and {node} lead in term {term}");
        }
    }
}
