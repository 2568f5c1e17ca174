//! Reads that cost no round either, on a promise and two clocks (thesis §6.4.1). Only where
//! [`Options::lease_reads`](super::Options) says so.
//!
//! A round proves that the leader led a moment ago. A *lease* is the promise that it will lead for
//! a moment to come. The conversation, down this file:
//!
//! 1. Every heartbeat is a round of its own, and the leader remembers when it sent it.
//! 2. A follower answers and *promises*: for so long from now, by its own clock, it gives nobody
//!    its vote, nor sounds out an election, unless the leader itself asks for one.
//! 3. The leader counts the promise from the moment at which it had *sent* the heartbeat, which was
//!    before the follower began to count, and takes [`DRIFT`] off it.
//! 4. Up to the time for which a quorum has promised, nobody else can be elected. Until then the
//!    leader reads without asking, once it has committed an entry of its own term.
//!
//! ```text
//!   leader    ──┬─ sent ───────────────── lease ends ┊
//!               │  ├────────── 0.9 promise ─────────┤┊
//!   follower    └──────────► answers ────────────────┊─────── may vote
//!                            ├──────────── promise ──┊──────┤
//! ```
//!
//! What it rests on is that two clocks *run* alike, not that they show the same: no time of one
//! server is ever compared with one of another. A follower counts in ticks. They may come late, and
//! then the promise only lasts longer. The leader reads a clock: the time is told it before the
//! events of a turn, so that what it sends is counted from before it was sent, and once more when
//! the reads are done, because a process may have stood still in between, while requests went on
//! to arrive.
//!
//! What ends a lease early:
//!
//! - *Handing over.* A successor that the leader has chosen is elected in spite of all promises. So
//!   there is no lease from the first thought of it, and none for the rest of the term once
//!   [`Message::TimeoutNow`](super::Message) has left: it, and the requests for votes that it leads
//!   to, may arrive at any time.
//! - *The end of leadership*, for whatever reason.
//!
//! A promise is not forgotten in a crash. How long the longest may have been stands on the disk
//! before the first is given ([`Recovered::promised_us`](super::Recovered)); a server that starts
//! keeps it, as if it had been given right before the crash.
//!
//! Nobody need agree on anything. A follower that does not read on leases promises nothing, and a
//! leader without enough promises asks. The promise says how long it lasts, so election timeouts
//! may differ.

use std::collections::{BTreeMap, VecDeque};

use super::message::Round;
use super::options::Options;
use super::quorum::quorum_reached;
use super::{NodeId, Raft, RoleState};

/// The clocks of two servers may run at rates that differ by one part in so many.
const DRIFT: u64 = 10;
/// So many ticks more than a promise is long a server keeps it: the first tick may have been due
/// already, and each may come late, which brings the next one nearer.
const TICKS_OF_GRACE: u32 = 2;
/// Rounds of which it is remembered when they were sent. Where a promise comes so late that it is
/// to an older one, it does not count.
const ROUNDS_MAX: usize = 64;
/// No server waits longer for a leader, so no promise counts for more, whoever says so.
const PROMISE_US_MAX: u64 = 60_000_000;

/// What a leader has been promised.
#[derive(Clone, Debug, Default)]
pub(super) struct Lease {
    /// When the latest rounds were sent.
    sent: VecDeque<(Round, u64)>,
    /// Up to when each follower elects nobody else.
    until: BTreeMap<NodeId, u64>,
    /// Somebody was told to campaign, which breaks every promise of this term.
    pub(super) is_void: bool,
}

impl Options {
    /// Returns how long a promise lasts that a server with these options gives, in microseconds.
    /// Zero is none.
    #[must_use]
    pub fn promise_us(&self) -> u64 {
        let ticks = self.election_ticks.start.saturating_sub(TICKS_OF_GRACE);
        if self.lease_reads { u64::from(ticks) * self.tick_us } else { 0 }
    }

    /// Returns after how many ticks a promise has been kept.
    fn ticks_of_promise(&self, promise_us: u64) -> u32 {
        if promise_us == 0 {
            return 0;
        }
        let ticks = u32::try_from(promise_us.div_ceil(self.tick_us)).unwrap_or(u32::MAX);
        ticks.saturating_add(TICKS_OF_GRACE)
    }
}

impl Raft {
    /// Tells the time, in microseconds since some moment that stays the same while this server
    /// runs. Before the events of a turn, and before [`Raft::has_lease`] is asked once they are
    /// done. The clock must never be set, and must go on while the machine sleeps; a server that
    /// is never told the time has no lease.
    pub fn set_now(&mut self, now_us: u64) {
        self.now_us = self.now_us.max(Some(now_us));
    }

    /// Keeps what was promised before the restart. A server that does not know any more how long
    /// that was takes it to be as long as what it could promise now.
    pub(super) fn keep_promise(&mut self, promised_us: u64) {
        if self.other_voters().is_empty() {
            return; // There was nobody to promise anything to.
        }
        self.promised_ticks = match promised_us {
            u64::MAX => self.options.election_ticks.start,
            known => self.options.ticks_of_promise(known),
        };
    }

    /// Promises the leader, who has just been heard, to elect nobody else for so many microseconds.
    pub(super) fn give_promise(&mut self) -> u64 {
        let promise_us = self.options.promise_us();
        self.promised_ticks = self.promised_ticks.max(self.options.ticks_of_promise(promise_us));
        promise_us
    }

    /// Returns whether this server has promised to elect nobody yet.
    pub(super) fn has_promised(&self) -> bool {
        self.promised_ticks > 0
    }

    /// Returns the round of the heartbeat that is about to be sent. On leases it is one that no
    /// earlier heartbeat had.
    pub(super) fn round_of_heartbeat(&mut self) -> Round {
        let RoleState::Leader(leader) = &mut self.role else { return 0 };
        if self.options.lease_reads {
            let sent = &mut leader.lease.sent;
            if sent.back().is_some_and(|(last, _)| *last == leader.reads.round) {
                leader.reads.round += 1;
            }
            sent.extend(self.now_us.map(|now| (leader.reads.round, now)));
            if sent.len() > ROUNDS_MAX {
                sent.pop_front();
            }
        }
        leader.reads.round
    }

    /// Counts a promise that came with the answer to a round.
    pub(super) fn handle_promise(&mut self, from: NodeId, round: Round, promise_us: u64) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        let lease = &mut leader.lease;
        let promise_us = promise_us.min(PROMISE_US_MAX);
        // From when the round was sent: the follower began to count after that, nobody knows when.
        let sent = lease.sent.iter().find(|(sent, _)| *sent == round);
        if let Some((_, sent)) = sent.filter(|_| promise_us > 0) {
            let until = sent.saturating_add(promise_us - promise_us.div_ceil(DRIFT));
            let known = lease.until.entry(from).or_default();
            *known = until.max(*known);
        }
    }

    /// Returns whether nobody else can have been elected up to the time that was last told, and
    /// this leader knows what is committed (§8).
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.now_us.is_some_and(|now| self.lease_ends_us().is_some_and(|end| now < end))
    }

    /// Returns the time before which nobody else is elected, if this server leads, knows what is
    /// committed, and has chosen no successor.
    #[must_use]
    pub fn lease_ends_us(&self) -> Option<u64> {
        let RoleState::Leader(leader) = &self.role else { return None };
        let lease = &leader.lease;
        let is_over = lease.is_void || leader.transfer.is_some();
        if is_over || !self.options.lease_reads || !self.knows_commit() {
            return None;
        }
        Some(quorum_reached(self.configurations.in_force(), |id| match lease.until.get(&id) {
            // It elects nobody while it leads.
            _ if id == self.id => u64::MAX,
            until => until.copied().unwrap_or(0),
        }))
    }

    /// Hands out all reads that wait, if there is a lease.
    pub(super) fn release_on_lease(&mut self) {
        if !self.has_lease() {
            return;
        }
        let RoleState::Leader(leader) = &mut self.role else { return };
        self.effects.leased.append(&mut leader.reads.waiting);
        self.effects.leased.append(&mut leader.reads.queued);
    }
}
