//! How far the followers are, for those who wait for them (WAIT): looked at after every turn, but
//! only while somebody waits.

use raftkv_frontends::{Follower, Followers};
use tokio::sync::watch;

use crate::raft::Raft;

/// What the loop tells those who wait.
#[derive(Debug)]
pub(crate) struct Following(watch::Sender<Vec<Follower>>);

impl Following {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    /// Begins to be kept up to date for one more who waits, from this moment on.
    pub(crate) fn follow(&self, raft: &Raft) -> Followers {
        let followers = self.0.subscribe();
        self.publish(raft);
        Followers { commit_index: raft.status().commit, followers }
    }

    /// Says how far the followers are, if there is anyone to hear it and it is news. Who no longer
    /// leads, knows of none.
    pub(crate) fn publish(&self, raft: &Raft) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let peers = raft.status().peers;
        let follower = |peer: &crate::raft::PeerStatus| Follower {
            live: peer.active,
            match_index: peer.match_index,
        };
        let now: Vec<_> = peers.values().map(follower).collect();
        self.0.send_if_modified(|known| {
            let is_news = *known != now;
            *known = now;
            is_news
        });
    }
}
