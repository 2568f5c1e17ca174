//! Handing leadership over, by a leader that is about to stop (thesis §3.10), and noticing that one
//! has stopped without.
//!
//! The conversation, down this file:
//!
//! 1. [`Raft::transfer_leadership`] chooses the voter whose log is furthest. From now on the leader
//!    appends nothing, so that the other's log can become equal to its own.
//! 2. When it is, and all of it is committed, the leader tells it to campaign at once, by
//!    [`Message::TimeoutNow`].
//! 3. It does, without sounding out anybody. Its requests say that the leader itself wants it, so
//!    that servers answer which hear from that leader, and the leader too.
//! 4. The leader follows, as whoever hears of a newer term does. If nothing has come of it within
//!    an election timeout, it takes up again what it was doing.
//!
//! Votes are given and counted as always: at the worst a transfer is an election too many.

use super::message::Message;
use super::{Leader, NodeId, Raft, RoleState};

/// Ticks until the first of those who lost their leader's stream campaigns: all hear of it before.
const SOON: u32 = 2;
/// Ticks between the first and the next: more than an election takes.
const APART: u32 = 3;

/// A transfer under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    to: NodeId,
    elapsed: u32,
    is_told: bool,
}

impl Raft {
    /// Hands leadership over to the voter who is best prepared. Returns to whom; `None` if there is
    /// nobody, or this server does not lead. Until [`Raft::is_transferring`] is false again, by
    /// success or by lapse of time, proposals are refused.
    pub fn transfer_leadership(&mut self) -> Option<NodeId> {
        let voters = self.other_voters();
        let RoleState::Leader(leader) = &mut self.role else { return None };
        if leader.transfer.is_none() {
            let options = &self.options;
            let live = leader.peers.iter();
            let live = live.filter(|(id, peer)| voters.contains(id) && peer.is_heard(options));
            let (to, _) = live.max_by_key(|(_, peer)| peer.match_index)?;
            leader.transfer = Some(Transfer { to: *to, elapsed: 0, is_told: false });
        }
        leader.transfer.map(|transfer| transfer.to)
    }

    /// Returns whether this leader is handing over.
    #[must_use]
    pub fn is_transferring(&self) -> bool {
        matches!(&self.role, RoleState::Leader(Leader { transfer: Some(_), .. }))
    }

    /// Tells the successor to campaign, once its log is as long as ours. Nothing is under way then
    /// whose outcome would be left open.
    pub(super) fn advance_transfer(&mut self) {
        let last = self.log.last().index;
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(transfer) = &mut leader.transfer else { return };
        let is_equal = leader.peers.get(&transfer.to).is_some_and(|peer| peer.match_index == last);
        if is_equal && self.commit_index == last && !transfer.is_told {
            transfer.is_told = true;
            leader.lease.is_void = true;
            let to = transfer.to;
            self.send(to, Message::TimeoutNow);
        }
    }

    /// Gives up a transfer of which nothing has come for too long.
    pub(super) fn tick_transfer(&mut self) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        if let Some(transfer) = &mut leader.transfer {
            transfer.elapsed += 1;
            if transfer.elapsed >= self.options.election_ticks.start {
                leader.transfer = None;
            }
        }
    }

    /// Campaigns, because the leader says so.
    pub(super) fn handle_timeout_now(&mut self, from: NodeId) {
        if self.follow(from) && self.may_lead() {
            self.become_candidate(true);
        }
    }

    /// Takes notice that the leader's stream has ended, mostly because its process has. Then nobody
    /// need wait for the timeout: those who could lead campaign soon and one after the other, in
    /// the order of their ids, so that they do not take each other's votes. Was it only the stream,
    /// the others still hear from the leader and refuse. Whoever has promised to elect nobody yet
    /// keeps its word first: the leader may live, and read on it.
    pub fn report_stream_ended(&mut self, from: NodeId) {
        if !matches!(self.role, RoleState::Follower { leader: Some(leader) } if leader == from) {
            return;
        }
        self.role = RoleState::Follower { leader: None };
        let voters = self.other_voters();
        let before = voters.iter().filter(|voter| **voter < self.id && **voter != from).count();
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        let wait = APART.saturating_mul(before).saturating_add(SOON);
        let wait = wait.saturating_add(self.promised_ticks);
        let soon = self.election_elapsed.saturating_add(wait);
        self.election_timeout = self.election_timeout.min(soon);
    }
}
