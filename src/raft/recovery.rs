//! A server that has lost what it acknowledged, on its way back to a vote.
//!
//! A disk that decays makes no server lie, as long as the server knows what it no longer knows. Its
//! term and vote stand on the disk twice, so it votes no second time in a term. What it has lost is
//! its log, and with it the memory of what it acknowledged; and an entry may be committed because
//! this server had it. Should it vote like one that never had, it could elect a leader without that
//! entry. So it is *recovering*: it follows, takes entries and snapshots and acknowledges them, but
//! neither votes nor campaigns until it holds everything it can have acknowledged (compare
//! Alagappan et al., *Protocol-Aware Recovery for Consensus-Based Storage*, FAST '18).
//!
//! The conversation, down this file:
//!
//! 1. With each heartbeat a recovering server tells its leader so, with a number that it drew when
//!    it started, and how far its log goes.
//! 2. The leader forgets what it believed of this follower's log, and answers with the last index
//!    of its own log at that moment.
//! 3. When the follower's log agrees with the leader's up to there, durably, it votes again.
//!
//! Why that is enough: let e be an entry that was acknowledged, to a leader of term t, and lost.
//! The server follows nobody of a term before t, because it remembers its own.
//!
//! - It follows the leader of t itself. A leader sends only what it has and removes nothing, so e
//!   is in its log, at or below an index that it tells *after* e was acknowledged. That the number
//!   comes back shows that the answer is not one to an earlier life of the server.
//! - It follows a leader of a later term. If e was committed in t, it is in that leader's log from
//!   its election on (Leader Completeness; the server's own votes until then were honest). If it
//!   was not, it never will be: a majority has left t.

use super::message::Message;
use super::{Index, NodeId, Raft, RoleState, Term};

/// What a recovering server knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recovering {
    /// Drawn at the start: tells answers to this life from those to an earlier one.
    nonce: u64,
    /// The term whose leader the rest is about.
    term: Term,
    /// As far as the log is known to agree with that leader's.
    matched: Index,
    /// As far as it has to, once the leader has said so.
    until: Option<Index>,
}

impl Recovering {
    pub(super) fn new(nonce: u64) -> Self {
        Self { nonce, term: 0, matched: 0, until: None }
    }
}

impl Raft {
    /// Returns whether this server has lost what it acknowledged and does not have it back yet.
    #[must_use]
    pub fn is_recovering(&self) -> bool {
        self.recovering.is_some()
    }

    /// Tells the leader that this server is recovering, if it is. Again and again, for an answer
    /// may be lost, and the leader may take an acknowledgement of an earlier life for a new one.
    pub(super) fn request_recovery(&mut self, leader: NodeId) {
        if let Some(Recovering { nonce, .. }) = self.recovering {
            let last = self.log.last().index;
            self.send_answer(leader, Message::RequestRecovery { nonce, last });
        }
    }

    /// Begins anew with a follower that has lost its log, and tells it how far it has to come.
    pub(super) fn handle_request_recovery(&mut self, from: NodeId, nonce: u64, reaches: Index) {
        let last = self.log.last().index;
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.peers.get_mut(&from) else { return };
        progress.silent_ticks = 0;
        progress.begins_anew(nonce, reaches, last);
        self.send(from, Message::RequestRecoveryResponse { nonce, last });
    }

    /// Learns how far the log has to agree with the leader's.
    pub(super) fn handle_request_recovery_response(
        &mut self,
        from: NodeId,
        nonce: u64,
        last: Index,
    ) {
        if !self.follow(from) {
            return;
        }
        if let Some(recovering) = self.recovering_now().filter(|now| now.nonce == nonce) {
            // The first answer is enough, and an earlier one asks for less.
            recovering.until.get_or_insert(last);
            self.end_recovery();
        }
    }

    /// Takes notice that the log agrees with the leader's up to `matched`, and that this is written
    /// with this turn at the latest.
    pub(super) fn note_agreement(&mut self, matched: Index) {
        if let Some(recovering) = self.recovering_now() {
            recovering.matched = recovering.matched.max(matched);
            self.end_recovery();
        }
    }

    /// Returns what is known of the leader of this term; of an earlier one it counts no more.
    fn recovering_now(&mut self) -> Option<&mut Recovering> {
        let term = self.term();
        let recovering = self.recovering.as_mut()?;
        if recovering.term != term {
            *recovering = Recovering { term, ..Recovering::new(recovering.nonce) };
        }
        Some(recovering)
    }

    /// Votes again, if everything is there. Should the server crash before that is durable, it
    /// begins to recover once more; a vote leaves after the entries it depends on, as all promises
    /// do.
    fn end_recovery(&mut self) {
        let done = |now: &Recovering| now.until.is_some_and(|until| until <= now.matched);
        if self.recovering.as_ref().is_some_and(done) {
            self.recovering = None;
            self.effects.write.recovered = true;
        }
    }
}
