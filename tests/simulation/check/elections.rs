//! Election Safety (Figure 3), and what it rests on: one vote in a term, and never forgotten.

use std::collections::BTreeMap;

use raftkv::raft::{Envelope, Message};
use raftkv_storage::types::{HardState, NodeId, Term};

use super::violation;

#[derive(Debug, Default)]
pub(crate) struct Elections {
    leaders: BTreeMap<Term, NodeId>,
    /// Whom a server has promised its vote, by what it sent.
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// The newest term in which a server has promised anything.
    promised: BTreeMap<NodeId, Term>,
}

impl Elections {
    /// A server leads a cluster of so many.
    pub(crate) fn leads(&mut self, node: NodeId, term: Term, members: usize) {
        if !self.leaders.contains_key(&term) {
            let votes = self.votes.iter();
            let votes = votes.filter(|((_, of), vote)| *of == term && **vote == node).count();
            if votes * 2 <= members {
                violation!("majority", "{votes} of {members} have voted for {node} in {term}");
            }
        }
        let leader = *self.leaders.entry(term).or_insert(node);
        if leader != node {
            violation!("election safety", "{leader} and {node} lead in term {term}");
        }
    }

    /// A message leaves that promises something.
    pub(crate) fn promises(&mut self, envelope: &Envelope) {
        let (from, term) = (envelope.from, envelope.term);
        let candidate = match envelope.message {
            Message::RequestVote { pre: false, .. } => from,
            Message::RequestVoteResponse { pre: false, granted: true } => envelope.to,
            Message::AppendEntriesResponse { .. } | Message::InstallSnapshotResponse { .. } => {
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
