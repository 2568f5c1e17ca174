//! What the frontends are told: role, leader, who lives, and the figures of the moment.
//!
//! Who lives is known to the leader alone. Its heartbeats say which members it has not heard from,
//! so that clients learn the same from every node.

use std::collections::BTreeSet;
use std::sync::Arc;

use raftkv_frontends::{Cluster, Lease, PeerStatus, Role, Status};
use raftkv_storage::types::{NodeId, Term};

use super::Driver;
use crate::raft;
use crate::replica::LeaseReads;

impl Driver {
    /// Logs and publishes a change of role, term, leader or cluster.
    pub(super) fn note_changes(&mut self) {
        let raft = self.replica.raft();
        let now = self.cluster.borrow();
        let cluster = raft.committed_configuration().cluster.or(self.identity);
        let unchanged = now.role == role(raft.role())
            && now.term == raft.term()
            && now.leader == raft.leader()
            && now.cluster == cluster;
        if unchanged {
            return;
        }
        drop(now);
        if let Some(cluster) = cluster.filter(|_| self.identity != cluster) {
            self.identity = Some(cluster);
            self.transport.set_cluster(cluster);
            self.disk.set_cluster(cluster);
        }
        self.publish();
    }

    /// Takes in which members a leader has not heard from, unless it leads no more.
    pub(super) fn handle_silent(&mut self, from: NodeId, term: Term, members: BTreeSet<NodeId>) {
        let raft = self.replica.raft();
        if (raft.leader(), raft.term()) == (Some(from), term) {
            self.set_silent(members);
            self.publish();
        }
    }

    fn set_silent(&mut self, members: BTreeSet<NodeId>) {
        if members != self.silent {
            self.transport.set_silent(members.clone());
            self.silent = members;
        }
    }

    /// Publishes what the frontends should know, if it differs from what they know.
    pub(super) fn publish(&mut self) {
        let raft = self.replica.raft();
        let (role, term, leader) = (role(raft.role()), raft.term(), raft.leader());
        if role == Role::Leader {
            let members = self.cluster.borrow();
            let ids = members.members.iter().map(|member| member.id);
            let silent = ids.filter(|id| raft.peer(*id).is_some_and(|peer| !peer.active)).collect();
            drop(members);
            self.set_silent(silent);
        }
        let cluster = self.identity;
        let mut deposed = false;
        self.cluster.send_if_modified(|known| {
            deposed = known.role == Role::Leader && role != Role::Leader;
            let mut new = Cluster::clone(known);
            (new.role, new.term, new.leader, new.cluster) = (role, term, leader, cluster);
            new.last_leader = leader.or(known.last_leader);
            for member in &mut new.members {
                // A follower hears of the others only through its leader. Without one it goes by
                // what the last one said.
                let is_heard = member.id == known.node || Some(member.id) == leader;
                member.live = is_heard || !self.silent.contains(&member.id);
            }
            if **known == new {
                return false;
            }
            if (known.role, known.term, known.leader) != (role, term, leader) {
                let leader = leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
                tracing::info!(role = role.as_str(), term, leader, "role");
            }
            *known = Arc::new(new);
            true
        });
        if deposed {
            self.transport.stop_snapshots();
        }
    }

    fn lease(&self) -> Option<Lease> {
        let raft = self.replica.raft();
        let LeaseReads { answered, too_late } = self.replica.lease_reads();
        let lease = Lease { held: raft.has_lease(), reads: answered, reads_too_late: too_late };
        raft.options().lease_reads.then_some(lease)
    }

    pub(super) fn status(&self) -> Status {
        let raft = self.replica.status();
        let view = self.replica.view();
        let cluster = self.cluster.borrow();
        let peers = cluster.members.iter().filter(|member| member.id != cluster.node);
        let peers = peers.map(|member| {
            let progress = raft.peers.get(&member.id);
            let match_index = progress.map(|progress| progress.match_index);
            PeerStatus {
                id: member.id,
                live: progress.map_or(member.live, |progress| progress.active),
                match_index,
                behind: match_index.map(|index| raft.last.index.saturating_sub(index)),
                state: progress.map(|progress| progress.state.as_str()),
            }
        });
        Status {
            commit_index: raft.commit,
            applied_index: raft.applied,
            last_log_index: raft.last.index,
            snapshot_index: raft.snapshot.index,
            log_bytes: raft.log_bytes,
            recovering: raft.recovering,
            lease: self.lease(),
            keys: view.len(),
            expiring_keys: view.expiring(),
            peers: peers.collect(),
            digest: None,
        }
    }
}

fn role(role: raft::Role) -> Role {
    match role {
        raft::Role::Follower => Role::Follower,
        raft::Role::PreCandidate => Role::PreCandidate,
        raft::Role::Candidate => Role::Candidate,
        raft::Role::Leader => Role::Leader,
    }
}
