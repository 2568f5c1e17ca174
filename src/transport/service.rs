//! The receiving side: the gRPC service, and the way of an answer back to the call that waits for
//! it.
//!
//! The core answers when it can, often only after its disk did; a call waits meanwhile in
//! `Answers`. An answer that finds no call is dropped: the network may do the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raftkv_storage::background::{Due, Pace};
use raftkv_storage::keyspace::Keyspace;
use raftkv_storage::snapshot::{Received, SnapshotReceiver};
use raftkv_storage::types::{NodeId, SnapshotMeta};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::wire::{self, Header, Malformed, proto};
use super::{Inbound, MESSAGE_BYTES_MAX, ReceivedSnapshot, Shared};
use crate::persist;
use crate::raft::{Envelope, Message};
use proto::raft_server::{Raft, RaftServer};

/// Names the metadata entry of a refusal in which a server says of which cluster it is.
pub(super) const CLUSTER_METADATA: &str = "raftkv-cluster";
/// Answers that wait for a stream; a leader that does not read them loses them, and asks again.
const ANSWERS_MAX: usize = 4096;
/// Vote calls of one candidate that wait for an answer.
const VOTES_WAITING_MAX: usize = 8;
/// How long a snapshot may take from its last byte until it is installed. The core does not answer
/// what it does not want.
const INSTALL_DEADLINE: Duration = Duration::from_secs(60);
/// Chunks of a snapshot on the way to the disk.
const CHUNKS_WAITING_MAX: usize = 4;
/// For so many times as long as a chunk takes, to come and to be worked on, a follower rests if the
/// leader does not ask it to hurry: the leader has clients, and so may others on the same machine.
const RECEIVING_RESTS: u32 = 5;

/// The gRPC service of a node.
pub type Server = RaftServer<Service>;

/// Implements the calls of `proto/raft.proto`.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    /// One snapshot is received at a time: each costs a file and a keyspace.
    receiving: Arc<Semaphore>,
}

pub(super) fn server(shared: Arc<Shared>) -> Server {
    let receiving = Arc::new(Semaphore::new(1));
    RaftServer::new(Service { shared, receiving })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

type AppendAnswer = Result<proto::AppendEntriesResponse, Status>;
type VoteCall = oneshot::Sender<proto::RequestVoteResponse>;

/// The calls that wait for the core.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// By candidate and whether it is a pre-vote, oldest first.
    votes: Mutex<BTreeMap<(NodeId, bool), VecDeque<VoteCall>>>,
    appends: Mutex<BTreeMap<NodeId, mpsc::Sender<AppendAnswer>>>,
    installs: Mutex<BTreeMap<NodeId, oneshot::Sender<proto::InstallSnapshotResponse>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answers {
    /// Answers the oldest vote call of the candidate that still waits.
    pub(super) fn vote(&self, to: NodeId, response: proto::RequestVoteResponse) {
        let mut votes = lock(&self.votes);
        let Some(waiting) = votes.get_mut(&(to, response.pre)) else { return };
        waiting.retain(|call| !call.is_closed());
        if let Some(call) = waiting.pop_front() {
            let _ = call.send(response);
        }
    }

    /// Pushes an answer into the stream that the leader has open.
    pub(super) fn append(&self, to: NodeId, response: proto::AppendEntriesResponse) {
        if let Some(stream) = lock(&self.appends).get(&to)
            && stream.try_send(Ok(response)).is_err()
        {
            tracing::debug!(%to, "answer dropped");
        }
    }

    /// Forgets a stream, and returns whether it was the one that the leader uses.
    fn end_stream(&self, leader: NodeId, stream: &mpsc::Sender<AppendAnswer>) -> bool {
        let mut appends = lock(&self.appends);
        let is_it = appends.get(&leader).is_some_and(|known| known.same_channel(stream));
        if is_it {
            appends.remove(&leader);
        }
        is_it
    }

    /// Answers the snapshot that came from this leader.
    pub(super) fn install(&self, to: NodeId, response: proto::InstallSnapshotResponse) {
        if let Some(call) = lock(&self.installs).remove(&to) {
            let _ = call.send(response);
        }
    }

    fn expect_vote(
        &self,
        from: NodeId,
        pre: bool,
    ) -> oneshot::Receiver<proto::RequestVoteResponse> {
        let (sender, receiver) = oneshot::channel();
        let mut votes = lock(&self.votes);
        let waiting = votes.entry((from, pre)).or_default();
        waiting.retain(|call| !call.is_closed());
        if waiting.len() == VOTES_WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(sender);
        receiver
    }

    fn expect_install(&self, from: NodeId) -> oneshot::Receiver<proto::InstallSnapshotResponse> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.installs).insert(from, sender);
        receiver
    }
}

impl Shared {
    /// Refuses a message that is meant for another server, or comes from a stranger or another
    /// cluster.
    fn check(&self, header: Header) -> Result<(), Status> {
        if header.to != self.node {
            let reason = format!("this is node {}, not {}", self.node, header.to);
            return Err(Status::failed_precondition(reason));
        }
        self.check_cluster(header)?;
        if !self.peers.contains_key(&header.from) {
            let reason = format!("{} is not a peer of node {}", header.from, self.node);
            return Err(Status::permission_denied(reason));
        }
        Ok(())
    }

    fn check_cluster(&self, header: Header) -> Result<(), Status> {
        let (Some(ours), Some(theirs)) = (self.cluster(), header.cluster) else { return Ok(()) };
        if ours == theirs {
            return Ok(());
        }
        let reason = format!("node {} is of cluster {ours}, not {theirs}", self.node);
        let mut status = Status::new(Code::FailedPrecondition, reason);
        if let Ok(value) = ours.to_string().parse() {
            status.metadata_mut().insert(CLUSTER_METADATA, value);
        }
        Err(status)
    }

    /// Hands the core what `peer` answered, unless the answer is not what it should be.
    pub(super) async fn deliver_from(&self, peer: NodeId, header: Header, envelope: Envelope) {
        if header.from != peer || self.check(header).is_err() {
            tracing::warn!(%peer, from = %header.from, to = %header.to, "answer refused");
            return;
        }
        let _ = self.inbound.send(Inbound::Message(envelope)).await;
    }

    async fn deliver(&self, inbound: Inbound) -> Result<(), Status> {
        self.inbound.send(inbound).await.map_err(|_| Status::unavailable("the node is stopping"))
    }

    /// Hands the core a leader's stream, and fails with what is wrong with it.
    async fn receive_appends(
        &self,
        mut inbound: Streaming<proto::AppendEntriesRequest>,
        answers: &mpsc::Sender<AppendAnswer>,
        leader: &mut Option<NodeId>,
    ) -> Result<(), Status> {
        let mut said = None;
        while let Some(request) = inbound.message().await? {
            let (header, envelope, silent) =
                wire::decode_append_entries(request).map_err(malformed)?;
            self.check(header)?;
            if leader.is_some_and(|leader| leader != header.from) {
                return Err(Status::invalid_argument("the sender of a stream cannot change"));
            }
            if leader.is_none() {
                *leader = Some(header.from);
                lock(&self.answers.appends).insert(header.from, answers.clone());
            }
            self.deliver(Inbound::Message(envelope)).await?;
            // After the heartbeat itself: by that the core knows whether this is the leader.
            let says = silent.map(|members| (header.term, members));
            if says.is_some() && says != said {
                said.clone_from(&says);
                let (term, members) = says.unwrap_or_default();
                self.deliver(Inbound::Silent { from: header.from, term, members }).await?;
            }
        }
        Ok(())
    }
}

fn malformed(malformed: Malformed) -> Status {
    Status::invalid_argument(malformed.to_string())
}

#[tonic::async_trait]
impl Raft for Service {
    type AppendEntriesStream = ReceiverStream<AppendAnswer>;

    async fn request_vote(
        &self,
        request: Request<proto::RequestVoteRequest>,
    ) -> Result<Response<proto::RequestVoteResponse>, Status> {
        let request = request.into_inner();
        let pre = request.pre;
        let (header, envelope) = wire::decode_request_vote(request).map_err(malformed)?;
        self.shared.check(header)?;
        let answer = self.shared.answers.expect_vote(header.from, pre);
        self.shared.deliver(Inbound::Message(envelope)).await?;
        let answer = answer.await.map_err(|_| Status::aborted("no answer"))?;
        Ok(Response::new(answer))
    }

    async fn append_entries(
        &self,
        request: Request<Streaming<proto::AppendEntriesRequest>>,
    ) -> Result<Response<Self::AppendEntriesStream>, Status> {
        let inbound = request.into_inner();
        let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
        let shared = Arc::clone(&self.shared);
        // The client sees the stream open only when this returns: the messages are read in a task
        // of their own.
        tokio::spawn(async move {
            let mut leader = None;
            if let Err(status) = shared.receive_appends(inbound, &sender, &mut leader).await {
                tracing::debug!(reason = status.message(), "stream from a peer ended");
                let _ = sender.try_send(Err(status));
            }
            // One that the leader has opened meanwhile is none of ours.
            if let Some(leader) = leader
                && shared.answers.end_stream(leader, &sender)
            {
                let _ = shared.deliver(Inbound::StreamEnded(leader)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<proto::InstallSnapshotRequest>>,
    ) -> Result<Response<proto::InstallSnapshotResponse>, Status> {
        let mut inbound = request.into_inner();
        let first = inbound.message().await?.ok_or_else(|| malformed(Malformed("no chunk")))?;
        let header = Header::decode(first.header.clone()).map_err(malformed)?;
        self.shared.check(header)?;
        let one = Arc::clone(&self.receiving)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("a snapshot is being received already"))?;
        let meta = wire::decode_snapshot_meta(first.meta.clone()).map_err(malformed)?;
        tracing::info!(from = %header.from, snapshot = %meta.last, "receiving snapshot");
        let received = self.receive_snapshot(meta.clone(), first, inbound, one).await;
        let (file, keyspace, one) = received.inspect_err(|status| {
            // The leader tells it too, but whose disk is full is looked at here.
            tracing::error!(from = %header.from, reason = status.message(), "no snapshot received");
        })?;
        let answer = self.shared.answers.expect_install(header.from);
        let message = Message::InstallSnapshot { meta };
        let envelope = Envelope { from: header.from, to: header.to, term: header.term, message };
        let snapshot = ReceivedSnapshot { envelope, file, keyspace, _one: one };
        self.shared.deliver(Inbound::Snapshot(Box::new(snapshot))).await?;
        let answer = tokio::time::timeout(INSTALL_DEADLINE, answer)
            .await
            .map_err(|_| Status::deadline_exceeded("the snapshot was not installed in time"))?;
        Ok(Response::new(answer.map_err(|_| Status::aborted("the snapshot was not needed"))?))
    }
}

impl Service {
    /// Writes the chunks into a file beside the others, verifies it, and rebuilds the keyspace from
    /// it: all away from the runtime, and before the core hears of it.
    async fn receive_snapshot(
        &self,
        meta: SnapshotMeta,
        first: proto::InstallSnapshotRequest,
        mut inbound: Streaming<proto::InstallSnapshotRequest>,
        one: OwnedSemaphorePermit,
    ) -> Result<(Received, Keyspace, OwnedSemaphorePermit), Status> {
        let (sender, mut chunks) =
            mpsc::channel::<proto::InstallSnapshotRequest>(CHUNKS_WAITING_MAX);
        let dir = self.shared.snapshot_dir.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut file = SnapshotReceiver::create(&dir, &meta)?;
            let mut done = false;
            let due = Due::default();
            // Of how many bytes is not known; it rests, or it does not.
            let mut pace = Pace::new(due.clone(), 0).with_rests(RECEIVING_RESTS);
            while let Some(chunk) = chunks.blocking_recv() {
                file.write(chunk.offset, &chunk.data)?;
                done = chunk.done;
                if chunk.hurry {
                    due.set_all();
                } else {
                    due.set_none();
                }
                pace.rest_after(chunk.data.len());
            }
            if !done {
                return Ok(None);
            }
            // From here on the leader cannot tell any more whether there is time.
            let (file, keyspace) = file.finish(persist::restore)?;
            // The permit stays here when the call is gone: the file and the keyspace still are.
            Ok::<_, raftkv_storage::Error>(Some((file, keyspace, one)))
        });
        let mut next = Some(first);
        while let Some(chunk) = next {
            let done = chunk.done;
            // A writer that gave up is asked below for its reason.
            if sender.send(chunk).await.is_err() || done {
                break;
            }
            next = inbound.message().await?;
        }
        drop(sender);
        let written = writing.await.map_err(|error| Status::internal(error.to_string()))?;
        written
            .map_err(|error| Status::internal(error.to_string()))?
            .ok_or_else(|| Status::cancelled("the snapshot broke off"))
    }
}
