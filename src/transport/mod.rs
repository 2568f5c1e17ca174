//! Raft over gRPC: one ordered, lossy stream to each peer.
//!
//! [`Transport::send`] never waits and never fails: what cannot be sent now is dropped, and the
//! core sends again in its own time. That is the whole contract, and it is why a peer that is down,
//! slow or strange never harms this node.
//!
//! ```text
//!  core message                 call                     direction
//!  RequestVote, its answer      RequestVote              one call each, with a deadline
//!  AppendEntries, Heartbeat     AppendEntries            one long-lived stream, leader to follower
//!  their answers                the same stream, back    pushed when the core releases them
//!  InstallSnapshot, its answer  InstallSnapshot          one call, on a connection of its own
//! ```

pub mod peer;
pub mod service;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use raftkv_storage::fs::Place;
use raftkv_storage::keyspace::Keyspace;
use raftkv_storage::snapshot::Received;
use raftkv_storage::types::{ClusterId, NodeId, SnapshotMeta, Term};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::transport::Endpoint;

use crate::raft::{Envelope, Message};
use crate::replica::ENTRY_BYTES_MAX;
use peer::Peer;
use wire::Outgoing;

/// The most bytes of one gRPC message: an AppendEntries with one entry of the largest size fits.
pub(crate) const MESSAGE_BYTES_MAX: usize = ENTRY_BYTES_MAX + (1 << 20);

/// What the transport tells the node.
#[derive(Debug)]
pub enum Inbound {
    /// A message for the core.
    Message(Envelope),
    /// Which members a leader says are silent; follows the first heartbeat that says so.
    Silent {
        /// The leader.
        from: NodeId,
        /// Its term.
        term: Term,
        /// The members it has not heard from lately.
        members: BTreeSet<NodeId>,
    },
    /// A snapshot has arrived whole; `envelope` is the `InstallSnapshot` to step.
    Snapshot(Box<ReceivedSnapshot>),
    /// The stream to a peer broke; what was under way is lost.
    Unreachable(NodeId),
    /// The stream from a peer has ended: it leads no more, or its process is no more.
    StreamEnded(NodeId),
    /// A snapshot was handed to a peer, or was not.
    SnapshotSent {
        /// The peer.
        to: NodeId,
        /// Whether it has all of it.
        delivered: bool,
    },
    /// A peer refused to talk to this node, because it is of another cluster.
    Foreign {
        /// The peer.
        peer: NodeId,
        /// The cluster it says it is of.
        cluster: ClusterId,
    },
}

/// A snapshot from the leader: verified, decoded, and not yet in place.
#[derive(Debug)]
pub struct ReceivedSnapshot {
    /// The message that announces it to the core.
    pub envelope: Envelope,
    /// Its file.
    pub file: Received,
    /// What it contains.
    pub keyspace: Keyspace,
    /// Lets the next one be received when this is dropped.
    pub(crate) _one: OwnedSemaphorePermit,
}

/// A handle on the connections to all peers.
#[derive(Clone, Debug)]
pub struct Transport {
    shared: Arc<Shared>,
}

/// What the handle, the peers' tasks and the service share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: NodeId,
    /// Known once an entry that carries it is committed; then every header has it, and no other is
    /// accepted.
    cluster: RwLock<Option<ClusterId>>,
    /// The members that this node, as a leader, has not heard from lately.
    silent: RwLock<BTreeSet<NodeId>>,
    peers: BTreeMap<NodeId, Peer>,
    pub(crate) inbound: mpsc::Sender<Inbound>,
    pub(crate) answers: service::Answers,
    pub(crate) snapshot_dir: Place,
    /// The bytes of all log there was.
    log_bytes: AtomicUsize,
    /// Whether writes are done without those who take snapshots.
    has_majority_at_hand: AtomicBool,
    /// The newest snapshot on disk: what a peer that needs one is sent.
    snapshot: Mutex<Option<(Place, SnapshotMeta)>>,
}

impl Transport {
    /// Creates the connections to `peers`, without waiting for any. Received messages
    /// go to `inbound`. Must be called within a runtime.
    #[must_use]
    pub fn new(
        node: NodeId,
        cluster: Option<ClusterId>,
        peers: BTreeMap<NodeId, Endpoint>,
        snapshot_dir: Place,
        inbound: mpsc::Sender<Inbound>,
    ) -> Self {
        let peers = peers.into_iter().map(|(id, at)| (id, Peer::new(id, at))).collect();
        let shared = Arc::new(Shared {
            node,
            cluster: RwLock::new(cluster),
            silent: RwLock::default(),
            peers,
            inbound,
            answers: service::Answers::default(),
            snapshot_dir,
            log_bytes: AtomicUsize::new(0),
            has_majority_at_hand: AtomicBool::new(false),
            snapshot: Mutex::new(None),
        });
        for peer in shared.peers.values() {
            peer.run(Arc::downgrade(&shared));
        }
        Self { shared }
    }

    /// Returns the gRPC service through which peers reach this node.
    #[must_use]
    pub fn service(&self) -> service::Server {
        service::server(Arc::clone(&self.shared))
    }

    /// Sets the identity of the cluster, once it is known.
    pub fn set_cluster(&self, cluster: ClusterId) {
        *self.shared.cluster.write().unwrap_or_else(PoisonError::into_inner) = Some(cluster);
    }

    /// Sets what heartbeats say of members that were not heard from lately.
    pub fn set_silent(&self, silent: BTreeSet<NodeId>) {
        *self.shared.silent.write().unwrap_or_else(PoisonError::into_inner) = silent;
    }

    /// Says how long the log is, with all that was cut off, in bytes: who is sent a snapshot has to
    /// be done with it before the log behind it is cut off too.
    pub fn set_log_bytes(&self, bytes: usize) {
        self.shared.log_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Says whether there is a majority without those who take snapshots. Otherwise these are not
    /// given time.
    pub fn set_majority_at_hand(&self, is_there: bool) {
        self.shared.has_majority_at_hand.store(is_there, Ordering::Relaxed);
    }

    /// Sets the snapshot that peers are sent from now on, unless a newer one is set: one of our own
    /// may be finished after one from the leader has overtaken it.
    pub fn set_snapshot(&self, path: Place, meta: SnapshotMeta) {
        let mut newest = self.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref().is_none_or(|(_, known)| known.last.index < meta.last.index) {
            *newest = Some((path, meta));
        }
    }

    /// Breaks off the snapshots that are being sent: who leads no more has no business sending one,
    /// and a follower takes one at a time.
    pub fn stop_snapshots(&self) {
        for peer in self.shared.peers.values() {
            peer.stop_snapshot();
        }
    }

    /// Sends a message, or drops it.
    pub fn send(&self, envelope: Envelope) {
        let to = envelope.to;
        if matches!(envelope.message, Message::InstallSnapshot { .. }) {
            match self.shared.peers.get(&to) {
                Some(peer) => peer.send_snapshot(&self.shared, envelope),
                None => tracing::debug!(%to, "no such peer"),
            }
            return;
        }
        let answers = &self.shared.answers;
        let silent = match envelope.message {
            Message::Heartbeat { .. } => self.shared.silent(),
            _ => BTreeSet::new(),
        };
        match wire::encode(envelope, self.shared.cluster(), &silent) {
            Outgoing::RequestVoteResponse(response) => answers.vote(to, response),
            Outgoing::AppendEntriesResponse(response) => answers.append(to, response),
            Outgoing::InstallSnapshotResponse(response) => answers.install(to, response),
            Outgoing::RequestVote(request) => {
                if let Some(peer) = self.shared.peers.get(&to) {
                    peer.send_vote(&self.shared, request);
                }
            }
            Outgoing::AppendEntries(request) => {
                if let Some(peer) = self.shared.peers.get(&to) {
                    peer.send_append(request);
                }
            }
            Outgoing::InstallSnapshot => {}
        }
    }
}

impl Shared {
    /// Returns the cluster, if known.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        *self.cluster.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the members that were not heard from lately.
    fn silent(&self) -> BTreeSet<NodeId> {
        self.silent.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether writes are done without those who take snapshots.
    fn has_majority_at_hand(&self) -> bool {
        self.has_majority_at_hand.load(Ordering::Relaxed)
    }

    /// Returns the bytes of all log there was.
    fn log_bytes(&self) -> usize {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// Returns the snapshot to send.
    pub(crate) fn snapshot(&self) -> Option<(Place, SnapshotMeta)> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
