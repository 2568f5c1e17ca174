//! Raft, in the paper's order.
//!
//! Several servers hold the same log of commands. Each applies it to a state machine, in order; so
//! all state machines go through the same states, and it does not matter which server is asked or
//! which one fails. Raft is the agreement on that log. It is described by Ongaro and Ousterhout,
//! *In Search of an Understandable Consensus Algorithm (extended version)*, 2014, "the paper" here,
//! and Ongaro's thesis, *Consensus: Bridging Theory and Practice*, 2014. All names are theirs.
//!
//! # The idea
//!
//! One server at a time **leads**. It takes commands, gives each a place in its log, and the others
//! copy that log. Once an entry is on a majority it is **committed**: it will be in the log of
//! every leader to come, and may be applied.
//!
//! Time is cut into **terms**, counted upwards. Each begins with an election, and has one leader or
//! none. Every message carries a term, and whoever learns of a newer one drops what it was doing
//! and follows (§5.1). So terms are the clock by which old messages, old leaders and old votes are
//! recognized.
//!
//! Two rules hold everything together. *Any two majorities share a server*: who has elected a
//! leader includes somebody who has each committed entry. And *a server gives its vote only to a
//! log at least as up-to-date as its own* (§5.4.1): so the one who was elected has it too.
//!
//! # Where to read what
//!
//! ```text
//!  message.rs        what servers say to each other
//!  quorum.rs         the arithmetic: what has a majority reached?
//!  election.rs       §5.2 §5.4.1  who leads             pre-vote, vote, check-quorum (thesis §9.6)
//!  replication.rs    §5.3 §5.4.2  what is committed     propose, append, acknowledge, commit
//!  progress.rs                    how fast a follower is sent to
//!  log.rs            §5.3         Log Matching          its memory: entries.rs
//!  read.rs           §8           reads without the log (thesis §6.4)
//!  lease.rs                       reads without a round (thesis §6.4.1)
//!  snapshot.rs       §7           how the log stays short
//!  transfer.rs                    how a leader hands over (thesis §3.10)
//!  recovery.rs                    how a server with a damaged disk gets its vote back
//!  configuration.rs  §6           who counts
//!  ready.rs          the effects of a turn
//!  options.rs        timeouts and limits                status.rs  a look inside
//! ```
//!
//! The files are cut by conversation: request, handler, answer, in the order in which they happen.
//! `tests/scenarios` plays these conversations, message by message: `election.txt` and
//! `replication.txt` are where to start.
//!
//! # Events in, effects out
//!
//! [`Raft`] is a value that does nothing by itself. It has no clock, disk, network or thread, and
//! its only chance is a seed. Somebody feeds it events ([`tick`](Raft::tick), [`step`](Raft::step),
//! [`propose`](Raft::propose), [`read`](Raft::read), [`persisted`](Raft::persisted), …), as many as
//! have arrived, and then takes the effects of all of them at once with [`ready`](Raft::ready).
//! Such a **turn** is a batch: one write to disk, one AppendEntries for each follower, at most one
//! round for all reads. A busy server batches more because it has more to do, and an idle one
//! answers at once.
//!
//! ```text
//!   events ──►  Raft  ──►  Ready  ─┬─ messages ──────────────────────────► network
//!                                  ├─ write ──► disk, synced ─┬──────────► persisted
//!                                  │                          └ promises ► network (or step,
//!                                  │                              if it is our own vote)
//!                                  ├─ committed ──► state machine
//!                                  └─ reads ──► their clients
//! ```
//!
//! A **promise** is a message that is true only if we remember it: a vote, a candidacy, an
//! acknowledgement. It waits for the disk. Everything else does not: a leader sends entries while
//! it writes them, a heartbeat is answered while the disk is busy.
//!
//! # What is always true
//!
//! The five properties of Figure 3: Election Safety, Leader Append-Only, Log Matching, Leader
//! Completeness and State Machine Safety. And of one server, at any time:
//!
//! ```text
//!   base ≤ snapshot ≤ applied ≤ commit ≤ last        persisted ≤ last        written ≤ last
//! ```
//!
//! What a peer says is checked, and if no correct server can have said it, it is dropped without a
//! word. What we computed ourselves is asserted.
//!
//! # Caveats
//!
//! Raft tolerates servers that stop and messages that are lost, repeated, late or out of order. It
//! does not tolerate servers that lie: the checks here keep a broken peer from crashing us, not
//! from misleading us. A server that has lost its log may come back without a vote, and earn it
//! (`recovery.rs`); one that has forgotten whom it voted for must not come back under its old name.

mod configuration;
mod election;
mod entries;
mod lease;
mod log;
pub mod message;
pub mod options;
mod progress;
mod quorum;
mod random;
mod read;
pub mod ready;
mod recovery;
mod replication;
mod snapshot;
mod status;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raftkv_storage::types::{
    ClusterId, Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, SnapshotMeta, Term,
};

use configuration::Configurations;
use lease::Lease;
use log::Log;
use progress::Progress;
use random::Random;
use read::Reads;
use recovery::Recovering;
use transfer::Transfer;

pub use message::{Envelope, Message, Round};
pub use options::Options;
pub use progress::ProgressState;
pub use ready::{ReadId, Ready, Write};
pub use status::{PeerStatus, Role, Status};

/// No log gets so far, at a million entries a second not in 292,000 years. What is said of entries
/// beyond it is no server's word; a log that ended at the last index there is could not go on.
const INDEX_LIMIT: Index = Index::MAX / 2;

/// What the disk gave back after a restart. Empty at the first start.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The newest snapshot.
    pub snapshot: Option<SnapshotMeta>,
    /// The entry right before `entries`: at or below the snapshot's last, or zero.
    pub base: EntryId,
    /// The log from there on, without a gap.
    pub entries: Vec<Entry>,
    /// Whether more was acknowledged than this, and lost.
    pub is_recovering: bool,
    /// The longest promise it may have given, in microseconds; the most there is if nobody knows.
    pub promised_us: u64,
}

/// This server does not lead, so it has done nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the leader")]
pub struct NotLeader {
    /// Who does, as far as is known.
    pub leader: Option<NodeId>,
}

/// One server: the state of Figure 2, and the effects that nobody has taken yet.
#[derive(Debug)]
pub struct Raft {
    id: NodeId,
    options: Options,
    random: Random,

    /// Persistent: `currentTerm` and `votedFor`.
    hard_state: HardState,
    /// Persistent: the log above the last snapshot, and some of what the snapshot contains.
    log: Log,
    /// The configurations in the log.
    configurations: Configurations,
    /// The last entry of the newest snapshot.
    snapshot: EntryId,

    /// Volatile, on all servers: the last index known to be committed.
    commit_index: Index,
    /// The last index handed out to be applied.
    applied_index: Index,
    /// The bytes of the entries handed out since the newest snapshot.
    applied_bytes: usize,

    /// What only one role needs: Figure 2's state on leaders, and the votes of a candidate.
    role: RoleState,
    /// Set while this server has no vote, because it has lost what it acknowledged.
    recovering: Option<Recovering>,
    /// Ticks since the leader was heard from, a vote was given, or a campaign began.
    election_elapsed: u32,
    /// How many of them are too many, this time.
    election_timeout: u32,
    /// For so many ticks more this server has promised to elect nobody (thesis §6.4.1).
    promised_ticks: u32,
    /// The time that was last told.
    now_us: Option<u64>,

    /// The hard state as it was last handed out to be written.
    written_hard_state: HardState,
    /// The last index that was handed out to be written, as it is now in the log.
    written_index: Index,
    /// The last index known to be durable, as it is now in the log.
    persisted_index: Index,
    /// The effects since the last [`Raft::ready`]. What can be told from the indexes above is
    /// added there.
    effects: Ready,
}

#[derive(Debug)]
enum RoleState {
    Follower { leader: Option<NodeId> },
    PreCandidate { granted: BTreeSet<NodeId> },
    Candidate { granted: BTreeSet<NodeId> },
    Leader(Leader),
}

/// What a leader knows. Begins anew with each election.
#[derive(Debug)]
struct Leader {
    peers: BTreeMap<NodeId, Progress>,
    heartbeat_elapsed: u32,
    heartbeat_due: bool,
    reads: Reads,
    lease: Lease,
    transfer: Option<Transfer>,
}

impl Leader {
    fn new(peers: BTreeSet<NodeId>, last: Index) -> Self {
        let peers = peers.into_iter().map(|id| (id, Progress::new(last))).collect();
        Self {
            peers,
            heartbeat_elapsed: 0,
            heartbeat_due: false,
            reads: Reads::default(),
            lease: Lease::default(),
            transfer: None,
        }
    }
}

impl Raft {
    /// Starts a server from what its disk holds. `bootstrap` is the configuration of a cluster that
    /// has just begun; as soon as the log or a snapshot has one, it is forgotten. Different servers
    /// need different seeds.
    #[must_use]
    pub fn new(
        id: NodeId,
        options: Options,
        bootstrap: Configuration,
        recovered: Recovered,
        seed: u64,
    ) -> Self {
        assert!(!options.election_ticks.is_empty(), "an election timeout is drawn from a range");
        assert!(options.heartbeat_ticks > 0, "heartbeats have a distance");
        assert!(options.tick_us > 0, "a tick has a length");
        assert!(options.inflight_messages_max > 0, "a window lets at least one message through");
        let (snapshot, configuration) = match recovered.snapshot {
            Some(meta) => (meta.last, meta.configuration),
            None => (EntryId::default(), bootstrap),
        };
        let mut log = Log::recover(recovered.base, recovered.entries, snapshot);
        let mut configurations = Configurations::new(snapshot.index, configuration);
        configurations.recover(&log, snapshot.index);
        // The disk drops whole segments only, so it may hold far more than is of use.
        log.compact(snapshot.index, std::iter::empty(), &options);
        let last = log.last();
        // An installed snapshot may be of a newer term than the one written down last. A vote of
        // that term would have been written before it left, so there was none.
        let mut hard_state = recovered.hard_state;
        if hard_state.term < last.term {
            hard_state = HardState { term: last.term, vote: None };
        }
        let mut raft = Self {
            id,
            options,
            random: Random::new(seed),
            hard_state,
            log,
            configurations,
            snapshot,
            commit_index: snapshot.index,
            applied_index: snapshot.index,
            applied_bytes: 0,
            role: RoleState::Follower { leader: None },
            recovering: None,
            election_elapsed: 0,
            election_timeout: 0,
            promised_ticks: 0,
            now_us: None,
            written_hard_state: recovered.hard_state,
            written_index: last.index,
            persisted_index: last.index,
            effects: Ready::default(),
        };
        raft.reset_election_timer();
        raft.keep_promise(recovered.promised_us);
        if recovered.is_recovering {
            let nonce = raft.random.next();
            raft.recovering = Some(Recovering::new(nonce));
        }
        // A server that is alone has nobody to wait for.
        if raft.configuration().members() == BTreeSet::from([id]) {
            raft.election_timeout = 1;
        }
        raft
    }

    /// Lets one tick of time pass: in no time more than two too many, or a promise ends too early.
    pub fn tick(&mut self) {
        self.promised_ticks = self.promised_ticks.saturating_sub(1);
        match self.role {
            RoleState::Leader(_) => self.tick_leader(),
            _ => self.tick_election(),
        }
    }

    /// Takes in a message. Whoever brings it vouches for the sender being who it says.
    pub fn step(&mut self, envelope: Envelope) {
        let Envelope { from, to, term, message } = envelope;
        let own_vote = matches!(message, Message::RequestVoteResponse { pre: false, .. });
        if to != self.id || (from == self.id && !own_vote) || term == 0 {
            return; // Not for us, or from nobody: no server leads or campaigns in term zero.
        }
        // A pre-vote speaks of a term that has not begun, so the rule below must not see it.
        match message {
            Message::RequestVote { pre: true, last, .. } => {
                return self.handle_pre_vote(from, term, last);
            }
            Message::RequestVoteResponse { pre: true, granted: true } => {
                return self.handle_pre_vote_granted(from, term);
            }
            _ => {}
        }
        // The rule for all servers (§5.1, Figure 2): whoever hears of a newer term begins it as a
        // follower. Except by a candidate, while there is nothing wrong with the leader, or it was
        // promised its time, and it has not asked for it.
        if term > self.term() {
            let disturbs = matches!(message, Message::RequestVote { transfer: false, .. });
            if disturbs && (self.has_live_leader() || self.has_promised()) {
                return;
            }
            self.become_follower(term, None);
        }
        if term < self.term() {
            return self.refuse(from, message);
        }
        self.handle(from, message);
    }

    /// Handles a message of our own term.
    fn handle(&mut self, from: NodeId, message: Message) {
        match message {
            Message::RequestVote { pre: false, last, transfer } => {
                self.handle_request_vote(from, last, transfer);
            }
            Message::RequestVoteResponse { pre: false, granted: true } => {
                self.handle_vote_granted(from);
            }
            Message::RequestVote { pre: true, .. } | Message::RequestVoteResponse { .. } => {}
            Message::AppendEntries { prev, entries, commit } => {
                self.handle_append_entries(from, prev, entries, commit);
            }
            Message::AppendEntriesResponse { matched } => {
                self.handle_append_entries_response(from, matched);
            }
            Message::AppendEntriesRejected { rejected, hint } => {
                self.handle_append_entries_rejected(from, rejected, hint);
            }
            Message::Heartbeat { commit, round } => self.handle_heartbeat(from, commit, round),
            Message::TimeoutNow => self.handle_timeout_now(from),
            Message::HeartbeatResponse { round, last, promise_us } => {
                self.handle_heartbeat_response(from, round, last, promise_us);
            }
            Message::RequestRecovery { nonce, last } => {
                self.handle_request_recovery(from, nonce, last);
            }
            Message::RequestRecoveryResponse { nonce, last } => {
                self.handle_request_recovery_response(from, nonce, last);
            }
            Message::InstallSnapshot { meta } => self.handle_install_snapshot(from, meta),
            Message::InstallSnapshotResponse { matched } => {
                self.handle_install_snapshot_response(from, matched);
            }
        }
    }

    /// Answers a request of an older term so that its sender learns of ours (§5.1). Answers of
    /// older terms are dropped: they were meant for who we were then.
    fn refuse(&mut self, from: NodeId, message: Message) {
        let last = self.log.last();
        let refusal = match message {
            Message::RequestVote { pre, .. } => {
                Message::RequestVoteResponse { pre, granted: false }
            }
            Message::AppendEntries { prev, .. } => {
                Message::AppendEntriesRejected { rejected: prev.index, hint: last }
            }
            Message::Heartbeat { round, .. } => {
                Message::HeartbeatResponse { round, last: last.index, promise_us: 0 }
            }
            Message::InstallSnapshot { .. } => Message::InstallSnapshotResponse { matched: 0 },
            Message::RequestVoteResponse { .. }
            | Message::AppendEntriesResponse { .. }
            | Message::AppendEntriesRejected { .. }
            | Message::HeartbeatResponse { .. }
            | Message::TimeoutNow
            | Message::RequestRecovery { .. }
            | Message::RequestRecoveryResponse { .. }
            | Message::InstallSnapshotResponse { .. } => return,
        };
        self.send_answer(from, refusal);
    }

    /// Takes notice that messages to a peer were lost, because the stream to it broke.
    pub fn report_unreachable(&mut self, to: NodeId) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        if let Some(progress) = leader.peers.get_mut(&to) {
            progress.reported_unreachable();
        }
    }

    /// Ends the turn: takes all effects since the last call.
    pub fn ready(&mut self) -> Ready {
        self.release_on_lease();
        self.begin_read_round();
        self.send_to_followers();
        self.advance_transfer();
        self.check();
        let mut ready = std::mem::take(&mut self.effects);
        if self.hard_state != self.written_hard_state {
            ready.write.hard_state = Some(self.hard_state);
            self.written_hard_state = self.hard_state;
        }
        let last = self.log.last().index;
        if self.written_index < last {
            ready.write.entries = self.log.entries_between(self.written_index, last);
            self.written_index = last;
        }
        if self.applied_index < self.commit_index {
            ready.committed = self.log.entries_between(self.applied_index, self.commit_index);
            self.applied_index = self.commit_index;
            self.applied_bytes += log::size_of_entries(&ready.committed);
        }
        ready
    }

    /// Checks what is always true between the indexes.
    fn check(&self) {
        let last = self.log.last().index;
        assert!(self.log.base().index <= self.snapshot.index, "base ≤ snapshot");
        assert!(self.snapshot.index <= self.applied_index, "snapshot ≤ applied");
        assert!(self.applied_index <= self.commit_index, "applied ≤ commit");
        assert!(self.commit_index <= last, "commit ≤ last");
        assert!(self.persisted_index <= last, "persisted ≤ last");
        assert!(self.written_index <= last, "written ≤ last");
    }

    /// Returns the latest term this server has seen.
    #[must_use]
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// Returns the configuration in force: the last one in the log, committed or not (§6).
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        self.configurations.in_force()
    }

    /// Returns the last configuration that is committed. Only its cluster id counts as the
    /// cluster's identity.
    #[must_use]
    pub fn committed_configuration(&self) -> &Configuration {
        self.configurations.at(self.commit_index)
    }

    /// Sends a message that promises nothing.
    fn send(&mut self, to: NodeId, message: Message) {
        let envelope = Envelope { from: self.id, to, term: self.term(), message };
        self.effects.messages.push(envelope);
    }

    /// Sends a message that waits for the disk.
    fn promise(&mut self, to: NodeId, message: Message) {
        let envelope = Envelope { from: self.id, to, term: self.term(), message };
        self.effects.promises.push(envelope);
    }

    /// Sends an answer that promises nothing, except that it carries our term.
    ///
    /// Is that a promise? If we lost the term again in a crash, we could next answer a leader of an
    /// older one. It would do no harm: what makes the older leader powerless is the majority that
    /// elected the newer one, and their votes are on disk. But that takes an argument and waiting
    /// for one write in each term takes none, so an answer in the turn that raised the term waits
    /// with the promises.
    fn send_answer(&mut self, to: NodeId, message: Message) {
        if self.hard_state.term == self.written_hard_state.term {
            self.send(to, message);
        } else {
            self.promise(to, message);
        }
    }
}
