//! What can be seen of a server from outside: for operators, tests and whoever forwards clients.

use std::collections::BTreeMap;

use super::quorum::quorum_reached;
use super::{EntryId, Index, NodeId, Options, Progress, ProgressState, Raft, RoleState, Term};

/// The role of a server (Figure 4), and the one in which it sounds out an election (thesis §9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Answers leaders and candidates.
    Follower,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Asks to be elected.
    Candidate,
    /// Takes commands and replicates them.
    Leader,
}

/// A look at a server between two turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The server.
    pub id: NodeId,
    /// Its role.
    pub role: Role,
    /// The latest term it has seen.
    pub term: Term,
    /// Who has its vote in that term.
    pub vote: Option<NodeId>,
    /// The leader of that term, if it is known.
    pub leader: Option<NodeId>,
    /// The last index known to be committed.
    pub commit: Index,
    /// The last index handed out to be applied.
    pub applied: Index,
    /// The last entry of the log.
    pub last: EntryId,
    /// The last index known to be durable here.
    pub persisted: Index,
    /// The last entry of the newest snapshot; zero without one.
    pub snapshot: EntryId,
    /// The bytes of log in memory.
    pub log_bytes: usize,
    /// The bytes of log that were applied since the newest snapshot.
    pub bytes_since_snapshot: usize,
    /// Whether it has lost what it acknowledged, and neither votes nor leads until it is back.
    pub recovering: bool,
    /// On the leader, what it knows of each other member; otherwise empty.
    pub peers: BTreeMap<NodeId, PeerStatus>,
}

/// What the leader knows of one other member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The last index known to be durable there.
    pub match_index: Index,
    /// The next index to be sent.
    pub next_index: Index,
    /// How it is being replicated to.
    pub state: ProgressState,
    /// Whether it was heard from within an election timeout.
    pub active: bool,
}

impl Raft {
    /// Returns the server's role.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.role {
            RoleState::Follower { .. } => Role::Follower,
            RoleState::PreCandidate { .. } => Role::PreCandidate,
            RoleState::Candidate { .. } => Role::Candidate,
            RoleState::Leader(_) => Role::Leader,
        }
    }

    /// Returns what the server was told of how to behave.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the leader of the current term, if it is known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match self.role {
            RoleState::Follower { leader } => leader,
            RoleState::PreCandidate { .. } | RoleState::Candidate { .. } => None,
            RoleState::Leader(_) => Some(self.id),
        }
    }

    /// Returns the last index known to be committed.
    #[must_use]
    pub fn committed(&self) -> Index {
        self.commit_index
    }

    /// Returns the last index handed out to be applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied_index
    }

    /// Returns the last entry of the newest snapshot; zero without one.
    #[must_use]
    pub fn snapshot(&self) -> EntryId {
        self.snapshot
    }

    /// Returns whether a majority follows this leader's log entry by entry. Where there is none, no
    /// write is done before one that takes a snapshot has it.
    #[must_use]
    pub fn has_majority_at_hand(&self) -> bool {
        let RoleState::Leader(leader) = &self.role else { return false };
        let is_at_hand = |peer: &Progress| {
            peer.is_heard(&self.options) && peer.state() == ProgressState::Replicate
        };
        quorum_reached(self.configurations.in_force(), |id| {
            id == self.id || leader.peers.get(&id).is_some_and(is_at_hand)
        })
    }

    /// Returns the bytes of all that this server has had in its log since it started, or installed
    /// a snapshot, but for what was replaced. Does not shrink when a snapshot cuts the log.
    #[must_use]
    pub fn log_bytes_ever(&self) -> usize {
        self.log.bytes_ever()
    }

    /// Returns the bytes of log above the newest snapshot, applied or not.
    #[must_use]
    pub fn bytes_above_snapshot(&self) -> usize {
        self.log.bytes_above_snapshot()
    }

    /// Returns the bytes of log that were applied since the newest snapshot: what a new one would
    /// spare.
    #[must_use]
    pub fn bytes_since_snapshot(&self) -> usize {
        self.applied_bytes
    }

    /// Returns what is known of another member, if this server leads.
    #[must_use]
    pub fn peer(&self, id: NodeId) -> Option<PeerStatus> {
        let RoleState::Leader(leader) = &self.role else { return None };
        leader.peers.get(&id).map(|progress| self.peer_status(progress))
    }

    fn peer_status(&self, progress: &Progress) -> PeerStatus {
        PeerStatus {
            match_index: progress.match_index,
            next_index: progress.next_index,
            state: progress.state(),
            active: progress.is_heard(&self.options),
        }
    }

    /// Returns everything there is to see.
    #[must_use]
    pub fn status(&self) -> Status {
        let peers = match &self.role {
            RoleState::Leader(leader) => {
                leader.peers.iter().map(|(id, peer)| (*id, self.peer_status(peer))).collect()
            }
            _ => BTreeMap::new(),
        };
        Status {
            id: self.id,
            role: self.role(),
            term: self.term(),
            vote: self.hard_state.vote,
            leader: self.leader(),
            commit: self.commit_index,
            applied: self.applied_index,
            last: self.log.last(),
            persisted: self.persisted_index,
            snapshot: self.snapshot,
            log_bytes: self.log.bytes(),
            bytes_since_snapshot: self.applied_bytes,
            recovering: self.is_recovering(),
            peers,
        }
    }
}
