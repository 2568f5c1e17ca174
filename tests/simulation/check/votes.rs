//! One vote in a term, and neither vote nor term is forgotten: what has left a server is still
//! known to it after a crash.

use std::collections::BTreeMap;

use raftkv::raft::{Envelope, Message};
use raftkv_storage::types::{HardState, NodeId, Term};

use super::violation;

#[derive(Debug, Default)]
pub(crate) struct Votes {
    /// Whom a server has promised its vote, by what it sent.
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// The newest term in which a server has promised anything.
    promised: BTreeMap<NodeId, Term>,
}

impl Votes {
    /// Returns how many have voted for a server in a term.
    pub(super) fn count(&self, node: NodeId, term: Term) -> usize {
        self.votes.iter().filter(|((_, of), vote)| *of == term && **vote == node).count()
    }

    /// A message leaves that promises something.
    pub(crate) fn promises(&mut self, envelope: &Envelope) {
        let (from, term) = (envelope.from, envelope.term);
        let candidate = match envelope.message {
            Message::RequestVote { pre: false, .. } => from,
            Message::RequestVoteResponse { pre: false, granted: true } => envelope.to,
            // Nothing matched: a snapshot of an older term was refused, which promises nothing.
            Message::AppendEntriesResponse { .. }
            | Message::InstallSnapshotResponse { matched: 1.. } => {
                self.note_term(from, term);
                return;
            }
            _ => return,
        };
        self.note_term(from, term);
        let vote = *self.votes.entry((from, term)).or_insert(candidate);
        if vote != candidate {
            violation!("one vote", "{from} votes for {vote} and {candidate} in term {term}");
        }
    }

    fn note_term(&mut self, node: NodeId, term: Term) {
        let promised = self.promised.entry(node).or_default();
        *promised = term.max(*promised);
    }

    /// A server comes back with this.
    pub(crate) fn recovers(&self, node: NodeId, hard_state: &HardState) {
        let promised = self.promised.get(&node).copied().unwrap_or_default();
        if hard_state.term < promised {
            let term = hard_state.term;
            violation!("vote durability", "{node} comes back in {term}, promised in {promised}");
        }
        let vote = self.votes.get(&(node, hard_state.term));
        if let Some(vote) = vote
            && hard_state.vote != Some(*vote)
        {
            let (term, now) = (hard_state.term, hard_state.vote);
            violation!("vote durability", "{node} voted for {vote} in {term}, now says {now:?}");
        }
    }
}
