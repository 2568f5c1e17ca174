//! What servers say to each other: one variant, one meaning.
//!
//! Delivery is one way, and the network may drop, delay, repeat and reorder. Whoever sends never
//! waits: an answer is a message like any other. Every message carries the sender's term; §5.1 is
//! applied to it before anything else.

use raftkv_storage::types::{Entry, EntryId, Index, NodeId, SnapshotMeta, Term};

/// A message with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// The addressee.
    pub to: NodeId,
    /// The sender's term when it sent this. In a pre-vote, the term the sender would campaign in.
    pub term: Term,
    /// What is said.
    pub message: Message,
}

/// Counts the rounds in which a leader proves that it still leads. Starts at zero in each term and
/// never repeats within one, so that a late answer confirms nothing newer than what it answers.
pub type Round = u64;

/// Everything one server can say to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A candidate asks for a vote (§5.2); with `pre`, a server asks whether it would get one
    /// (thesis §9.6). A pre-vote changes nothing at either end.
    RequestVote {
        /// Whether this only sounds out the voters.
        pre: bool,
        /// The candidate's last entry: the up-to-date check of §5.4.1.
        last: EntryId,
        /// Whether the leader itself asked for this election (thesis §3.10).
        transfer: bool,
    },
    /// The answer to `RequestVote`.
    RequestVoteResponse {
        /// As in the request.
        pre: bool,
        /// Whether the vote was given.
        granted: bool,
    },
    /// The leader replicates entries (§5.3). Never empty of meaning: without entries it probes
    /// whether `prev` matches.
    AppendEntries {
        /// The entry that stands right before `entries`.
        prev: EntryId,
        /// Entries with consecutive indexes from `prev.index + 1` on.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
    },
    /// The log agrees with the leader's up to `matched`, and is durable up to there.
    AppendEntriesResponse {
        /// The last index that is known to agree.
        matched: Index,
    },
    /// The log has no entry `prev`. The hint lets the leader skip a whole term at a time (§5.3,
    /// end).
    AppendEntriesRejected {
        /// The `prev.index` that was refused; identifies the request that this answers.
        rejected: Index,
        /// The highest entry of the follower at or before `rejected` that might agree with the
        /// leader's log.
        hint: EntryId,
    },
    /// The leader is alive, and asks whether it still leads (thesis §6.4). Says nothing of the log
    /// but the commit index, so the answer never waits for a disk.
    Heartbeat {
        /// The leader's commit index, no higher than what this follower is known to hold.
        commit: Index,
        /// The newest read round that this heartbeat can confirm.
        round: Round,
    },
    /// The answer to `Heartbeat`: at the moment of sending, the leader's term was still the newest
    /// this server knew.
    HeartbeatResponse {
        /// As in the request.
        round: Round,
        /// The last index of the follower's log; the leader sees from it that messages were lost.
        last: Index,
        /// For so many microseconds this server elects nobody but whom the leader chooses; zero if
        /// it promises nothing (thesis §6.4.1).
        promise_us: u64,
    },
    /// The leader hands over: the receiver is to campaign at once (thesis §3.10).
    TimeoutNow,
    /// A follower has lost what it acknowledged, and does not vote until it knows that it has all
    /// of it back.
    RequestRecovery {
        /// Names this life of the follower.
        nonce: u64,
        /// The last index of its log now.
        last: Index,
    },
    /// The answer to `RequestRecovery`: whatever the follower can have acknowledged stands at or
    /// below `last`, if it is committed or ever will be.
    RequestRecoveryResponse {
        /// As in the request.
        nonce: u64,
        /// The last index of the leader's log, at a moment after the follower started.
        last: Index,
    },
    /// The leader's log no longer reaches back far enough; the follower takes the leader's snapshot
    /// instead (§7). The core says and hears only that; the bytes travel outside of it, and this is
    /// stepped at the receiver when they have arrived whole and verified.
    InstallSnapshot {
        /// What the snapshot contains.
        meta: SnapshotMeta,
    },
    /// The snapshot is in place and durable, or the log already had what it contains.
    InstallSnapshotResponse {
        /// The last index known to agree with the leader.
        matched: Index,
    },
}
