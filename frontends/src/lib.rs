//! What clients speak, and the one trait behind it.
//!
//! A frontend turns bytes into a [`Batch`] and replies into bytes. It knows nothing of Raft:
//! whether this node may answer, and whether an answer is the latest, is decided behind [`Kv`], on
//! one path for all frontends.

pub mod http;
pub mod pace;
pub mod resp;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::changes::Change;
use raftkv_storage::keyspace::command::Batch;
use raftkv_storage::keyspace::waits::Call;
use raftkv_storage::types::{ClusterId, Index, NodeId, Term};
use tokio::sync::{oneshot, watch};

/// The store, as a frontend sees it. A clone is a handle on the same store.
pub trait Kv: Clone + Send + Sync + 'static {
    /// Carries out a batch and returns one reply for each command, in order.
    ///
    /// Linearizable: reads see every write that was acknowledged before the call. An error is for
    /// the whole batch.
    fn execute(&self, batch: Batch) -> impl Future<Output = Result<Vec<Reply>, Error>> + Send;

    /// Carries out a command that waits, if there is nothing for it, until there is; or until
    /// `stop` is over: then it is answered what there was until then, or the reply for nothing. To
    /// drop the future is to wait no longer, too. `begun` is told when there is nothing at first;
    /// `origin` is that of [`Batch::set_origin`].
    ///
    /// An error that says that nothing was done ([`Error::NotLeader`], …) also ends a wait: then
    /// nothing was taken.
    fn wait(
        &self,
        call: Call,
        origin: u64,
        begun: oneshot::Sender<()>,
        stop: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Result<Reply, Error>> + Send;

    /// Returns the cluster as this node sees it, and a way to wait for changes of role, leader, or
    /// liveness.
    fn cluster(&self) -> watch::Receiver<Arc<Cluster>>;

    /// Returns figures that change with every entry; with `digest`, also the keyspace's digest,
    /// which costs a walk over it.
    fn status(&self, digest: bool) -> impl Future<Output = Result<Status, Error>> + Send;

    /// Returns what is committed, and a way to wait for followers to get there.
    fn followers(&self) -> impl Future<Output = Result<Followers, Error>> + Send;

    /// Hands over who is told of changed keys; once for each store.
    fn observe(&self, observer: Arc<dyn Observer>);
}

/// What a leader has committed, and how far its followers are from then on.
#[derive(Clone, Debug)]
pub struct Followers {
    /// Known to be committed when this was asked for.
    pub commit_index: Index,
    /// All followers, in the order of their ids, kept up to date while somebody holds this; none on
    /// a node that does not lead, or leads no longer.
    pub followers: watch::Receiver<Vec<Follower>>,
}

/// How far a follower is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Whether it answered lately.
    pub live: bool,
    /// The last index known to be durable there.
    pub match_index: Index,
}

/// Who wants to know which keys change, because others keep copies of them.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Returns whether changes are to be recorded. Asked before a store carries out what was
    /// submitted: who has said yes before a read learns of all changes after it.
    fn is_watching(&self) -> bool;

    /// Takes note of changes, before those who made them are answered. The store's own thread calls
    /// this, so it must not wait.
    fn changed(&self, changes: &[Change]);
}

/// Why a batch was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another node leads. Nothing was done: safe to send there.
    #[error("not the leader")]
    NotLeader {
        /// The leader: one of [`Cluster::members`].
        leader: NodeId,
    },
    /// No leader is known. Nothing was done: safe to send again.
    #[error("no leader is known")]
    NoLeader,
    /// The node cannot take it now: still loading, stopping, overloaded, or out of disk space.
    /// Nothing was done.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// The write may have been done, or may still be, or not: leadership was lost before it was
    /// known. Not safe to repeat.
    #[error("the outcome of the write is unknown")]
    Unknown,
}

/// Why a node cannot take a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It still replays its log.
    #[error("the node is loading its log")]
    Loading,
    /// It is shutting down.
    #[error("the node is stopping")]
    Stopping,
    /// More writes are under way than the node may hold.
    #[error("too many writes are under way")]
    Overloaded,
    /// The disk is full; reads still work.
    #[error("no space left on the disk for the log; the node is read-only")]
    NoSpace,
    /// The batch is larger than a log entry may be.
    #[error("the request is too large for one log entry")]
    TooLarge,
}

/// What a node knows of its cluster. Changes seldom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// This node.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Who leads in that term, if known.
    pub leader: Option<NodeId>,
    /// Who led when last a leader was known: what topology commands show during an election.
    pub last_leader: Option<NodeId>,
    /// Whether the node still replays its log.
    pub loading: bool,
    /// The cluster's identity, once known.
    pub cluster: Option<ClusterId>,
    /// All members, this one among them, ordered by id.
    pub members: Vec<Member>,
}

impl Cluster {
    /// Returns a member by its id.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }
}

/// A node of the cluster, and where clients find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// Host of its RESP listener, without brackets for IPv6.
    pub resp_host: String,
    /// Port of its RESP listener.
    pub resp_port: u16,
    /// The base URL of its HTTP listener, without a slash at the end.
    pub http_url: String,
    /// Whether it answered its leader lately, by what the leader said last.
    pub live: bool,
}

/// What a node is in its term (§5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes orders from a leader, or waits for one.
    Follower,
    /// Asks whether it could win an election.
    PreCandidate,
    /// Campaigns.
    Candidate,
    /// Leads.
    Leader,
}

impl Role {
    /// Returns the name in lower case with underscores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre_candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

/// Figures of a node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Known to be committed.
    pub commit_index: Index,
    /// Applied to the keyspace.
    pub applied_index: Index,
    /// The last entry of the log.
    pub last_log_index: Index,
    /// The last entry in the newest snapshot; zero for none.
    pub snapshot_index: Index,
    /// Bytes of the log held in memory.
    pub log_bytes: usize,
    /// Whether the node has lost what it acknowledged, and neither votes nor leads until it has it
    /// back.
    pub recovering: bool,
    /// How reads on a lease fare; `None` where every read takes a round.
    pub lease: Option<Lease>,
    /// Keys.
    pub keys: usize,
    /// Keys with a deadline.
    pub expiring_keys: usize,
    /// The other members; on a leader with how far each is known to be.
    pub peers: Vec<PeerStatus>,
    /// The digest of the keyspace at `applied_index`, if asked for.
    pub digest: Option<u128>,
}

/// How reads on a lease fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whether the node leads and has been promised that nobody else is elected for now.
    pub held: bool,
    /// The reads that were answered on the strength of that.
    pub reads: u64,
    /// The reads that were done too late for it, and took a round.
    pub reads_too_late: u64,
}

/// What is known of another member: on a leader all of it, on others whether it lives, by what
/// their leader says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The member.
    pub id: NodeId,
    /// Whether it answered its leader lately.
    pub live: bool,
    /// The last index known to agree with the leader's log.
    pub match_index: Option<Index>,
    /// How many entries it lacks, as far as known.
    pub behind: Option<u64>,
    /// How it is being brought up to date: `probe`, `replicate`, `snapshot`; or `lost`, when it no
    /// longer has what it once acknowledged.
    pub state: Option<&'static str>,
}
