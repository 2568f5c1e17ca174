//! Snapshots (§7): how the log gets shorter, and how a follower catches up when what it needs is
//! gone.
//!
//! The state machine writes its snapshots whenever it likes; the core is told afterwards, in
//! [`Raft::compact`]. The conversation with a follower that is too far behind, down this file:
//!
//! ```text
//!  leader                                   follower
//!  send_snapshot: InstallSnapshot ───────►  (the transport brings the bytes into a file)
//!  report_snapshot(delivered) ◄─ transport
//!                                           handle_install_snapshot: the file becomes
//!                                           log and state, in one write
//!  handle_install_snapshot_response ◄─────  InstallSnapshotResponse, when that is durable
//!  Replicate from there on
//! ```
//!
//! The bytes go their own way because they are many: nothing in the core may wait for them, and no
//! heartbeat may queue behind them.

use std::collections::{BTreeMap, VecDeque};

use super::message::Message;
use super::{
    Configurations, Entry, EntryId, INDEX_LIMIT, Index, NodeId, Progress, Raft, RoleState,
    SnapshotMeta,
};

impl Raft {
    /// Describes a snapshot of the state that results from everything up to `index`, which must
    /// have been handed out in [`Ready::committed`](super::Ready::committed) and be no older than
    /// the newest snapshot.
    #[must_use]
    pub fn snapshot_meta(&self, index: Index) -> SnapshotMeta {
        assert!(index <= self.applied_index, "a snapshot holds only what was applied");
        assert!(index >= self.snapshot.index, "a snapshot is not older than the last one");
        let term = self.log.term_at(index).expect("the log reaches down to the last snapshot");
        let configuration = self.configurations.at(index).clone();
        SnapshotMeta { last: EntryId { term, index }, configuration }
    }

    /// Takes notice that a snapshot of everything up to `last` is durable, and cuts the log. If a
    /// newer snapshot has been installed meanwhile, there is nothing left to cut. Returns the
    /// entries that nobody needs any more: to drop so many takes its time.
    pub fn compact(&mut self, last: Index) -> VecDeque<Vec<Entry>> {
        if last <= self.snapshot.index {
            return VecDeque::new();
        }
        self.snapshot = self.snapshot_meta(last).last;
        self.configurations.compact(last);
        let above = self.log.bytes_above_snapshot();
        let peers = match &self.role {
            RoleState::Leader(leader) => Some(&leader.peers),
            _ => None,
        };
        // One that is silent is not counted on.
        let heard = peers.into_iter().flat_map(BTreeMap::values);
        let heard = heard.filter(|peer| peer.is_heard(&self.options));
        let cut = self.log.compact(last, heard.map(Progress::reaches), &self.options);
        self.applied_bytes -= above - self.log.bytes_above_snapshot();
        // Whatever was cut is durable, in the snapshot if not in the log.
        self.persisted_index = self.persisted_index.max(last);
        cut
    }

    /// Offers our newest snapshot to a follower; the transport sends its bytes.
    pub(super) fn send_snapshot(&mut self, to: NodeId) {
        let meta = self.snapshot_meta(self.snapshot.index);
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.peers.get_mut(&to) else { return };
        progress.sent_snapshot(meta.last.index);
        self.send(to, Message::InstallSnapshot { meta });
    }

    /// Takes notice of how the sending of a snapshot ended. Every `InstallSnapshot` in
    /// [`Ready::messages`](super::Ready::messages) is reported once; until then no second one is
    /// begun.
    pub fn report_snapshot(&mut self, to: NodeId, delivered: bool) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        if let Some(progress) = leader.peers.get_mut(&to) {
            progress.reported_snapshot(delivered);
        }
    }

    /// Installs a snapshot that has arrived whole. If [`Write::snapshot`](super::Write::snapshot)
    /// does not name it after this turn, it was not needed, and its file may go.
    pub(super) fn handle_install_snapshot(&mut self, from: NodeId, meta: SnapshotMeta) {
        let last = meta.last;
        let sound = last.index > 0
            && last.index < INDEX_LIMIT
            && last.term <= self.term()
            && self.accepts_configuration(&meta.configuration);
        if !sound || !self.follow(from) {
            return;
        }
        if last.index > self.commit_index {
            if self.log.contains(last) {
                // The log holds everything that the snapshot does, and the snapshot tells that it
                // is committed. To keep the log is not only cheaper: what follows in it may have
                // been acknowledged, and must not be lost (§7, receiver's rule 6).
                self.commit_to(last.index);
            } else {
                self.restore(meta);
            }
        }
        // What is committed agrees with the leader of any later term.
        let matched = self.commit_index;
        self.note_agreement(matched);
        self.promise(from, Message::InstallSnapshotResponse { matched });
    }

    /// Replaces log and state by a snapshot.
    fn restore(&mut self, meta: SnapshotMeta) {
        let last = meta.last;
        self.log.reset(last);
        self.configurations = Configurations::new(last.index, meta.configuration.clone());
        self.snapshot = last;
        // The disk holds what was committed before, until it says that it holds the snapshot.
        self.persisted_index = self.persisted_index.min(self.commit_index);
        self.written_index = last.index;
        self.commit_index = last.index;
        self.applied_index = last.index;
        self.applied_bytes = 0;
        self.effects.write.snapshot = Some(meta);
    }

    /// Goes on replicating from the snapshot's end.
    pub(super) fn handle_install_snapshot_response(&mut self, from: NodeId, matched: Index) {
        self.handle_append_entries_response(from, matched);
    }
}
