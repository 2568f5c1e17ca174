//! Reads that cost no log entry (thesis §6.4).
//!
//! A leader may not answer a read from its own state at once: it might have been replaced without
//! knowing. The conversation that makes sure of it, down this file:
//!
//! 1. [`Raft::read`] queues the read. It waits until the leader has committed an entry of its own
//!    term, since only then does it know what its predecessors committed (§8).
//! 2. At the end of a turn all reads that are queued start one *round*, unless the last one is
//!    still on its way: a heartbeat that carries the round's number. Whatever is committed at that
//!    moment is what these reads must see.
//! 3. Each answer says: when I sent this, I knew of no newer term. When a majority has answered the
//!    round, no newer leader can have committed anything before the round began.
//! 4. The reads come out in `Ready::reads`. By then everything committed before the round has been
//!    handed out in `Ready::committed`, of this turn or an earlier one. So the index of the read
//!    need not be kept: to serve reads after `committed` is enough.
//!
//! Rounds count from zero in each term and are never used twice. So an answer that was delayed,
//! repeated, or meant for another leader can never confirm a round that began after it was sent.
//!
//! A leader that steps down forgets its reads. Whoever waits for them sees the role change, and may
//! ask again elsewhere.

use super::message::{Message, Round};
use super::quorum::quorum_reached;
use super::{NodeId, NotLeader, Raft, ReadId, RoleState};

/// The reads of a leader, and the round it is in. Nobody but the one who asks limits how many wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// The last round that was begun.
    pub(super) round: Round,
    /// Reads for which no round has begun yet.
    pub(super) queued: Vec<ReadId>,
    /// Reads that wait for a round to be answered.
    pub(super) waiting: Vec<ReadId>,
    /// That round; any later one will do as well.
    asked: Round,
}

impl Raft {
    /// Asks to read what was committed before now. The read comes back in
    /// [`Ready::reads`](super::Ready::reads), or never if this server ceases to lead.
    ///
    /// # Errors
    /// Only the leader can know what is committed.
    pub fn read(&mut self, id: ReadId) -> Result<(), NotLeader> {
        let leader = self.leader();
        let RoleState::Leader(state) = &mut self.role else { return Err(NotLeader { leader }) };
        state.reads.queued.push(id);
        Ok(())
    }

    /// Returns whether this leader knows what its predecessors committed (§8).
    pub(super) fn knows_commit(&self) -> bool {
        self.log.term_at(self.commit_index) == Some(self.term())
    }

    /// Begins one round for all queued reads, if there are any and the leader may serve reads
    /// already. Not while a round is on its way: under load, those who ask meanwhile share the
    /// next, and a round costs as much however many reads it is for. One that was lost is repeated
    /// by the next heartbeat.
    pub(super) fn begin_read_round(&mut self) {
        let knows_commit = self.knows_commit();
        let RoleState::Leader(leader) = &mut self.role else { return };
        let reads = &mut leader.reads;
        if reads.queued.is_empty() || !reads.waiting.is_empty() || !knows_commit {
            return;
        }
        reads.round += 1;
        reads.asked = reads.round;
        std::mem::swap(&mut reads.waiting, &mut reads.queued);
        leader.heartbeat_due = true;
        // A leader without peers is its own majority.
        self.confirm_reads();
    }

    /// Answers a heartbeat. That the log is not mentioned but for its end is what lets this leave
    /// before the disk is done.
    pub(super) fn handle_heartbeat(&mut self, from: NodeId, commit: u64, round: Round) {
        if !self.follow(from) {
            return;
        }
        let last = self.log.last().index;
        // The leader has sent no more than what this log is known to hold; a broken one may have.
        self.commit_to(commit.min(last));
        let promise_us = self.give_promise();
        self.send_answer(from, Message::HeartbeatResponse { round, last, promise_us });
        self.request_recovery(from);
    }

    /// Counts the answer.
    pub(super) fn handle_heartbeat_response(
        &mut self,
        from: NodeId,
        round: Round,
        last: u64,
        promise_us: u64,
    ) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.peers.get_mut(&from) else { return };
        if round > leader.reads.round {
            return; // Never asked.
        }
        progress.silent_ticks = 0;
        progress.round = progress.round.max(round);
        progress.answered_heartbeat(last, &self.options);
        self.handle_promise(from, round, promise_us);
        self.confirm_reads();
    }

    /// Hands out the reads of the round if a quorum has answered it.
    fn confirm_reads(&mut self) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        if leader.reads.waiting.is_empty() {
            return;
        }
        let reads = &mut leader.reads;
        let answered = quorum_reached(self.configurations.in_force(), |id| {
            if id == self.id { reads.round } else { leader.peers.get(&id).map_or(0, |p| p.round) }
        });
        if answered >= reads.asked {
            self.effects.reads.append(&mut reads.waiting);
        }
    }
}
