//! The sending side: one peer, its stream, and the snapshots it is sent.
//!
//! A task keeps the AppendEntries stream open while there is something to say. When the stream
//! breaks, all that was on the way is lost; the core hears of it ([`Inbound::Unreachable`]) and
//! starts again from what the follower confirms.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use raftkv_storage::fs::{FileReader, Place};
use raftkv_storage::types::{ClusterId, NodeId, SnapshotMeta};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::service::CLUSTER_METADATA;
use super::wire::{self, Header, proto};
use super::{Inbound, MESSAGE_BYTES_MAX, Shared};
use crate::raft::Envelope;
use proto::raft_client::RaftClient;

/// Messages that wait for the stream; the core's own windows keep the queue far shorter.
const STREAM_MESSAGES_MAX: usize = 1024;
/// Vote calls under way to one peer; a candidate that times out asks again.
const VOTE_CALLS_MAX: usize = 4;
/// A vote that takes longer belongs to an election that is over.
const VOTE_DEADLINE: Duration = Duration::from_secs(1);
/// A peer that does not accept within this time is treated as down.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// The wait before a broken stream is opened again: doubled each time up to the most, so that a
/// peer that comes back is met soon and one that is gone costs nothing.
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(25)..=Duration::from_millis(400);
/// The wait after a snapshot that did not arrive, before the core hears of it and tries again.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(1);
/// Bytes of a snapshot in one message.
const CHUNK_BYTES: usize = 512 << 10;
/// A snapshot has to be with the follower before the log has grown by so much. To install it takes
/// about as long again, and then there is the log to be taken down: in all less than the log that
/// comes between two snapshots of a large keyspace, for which everything is kept.
const LOG_GROWTH_MAX: usize = 64 << 20;
/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

/// One peer of this node.
#[derive(Clone, Debug)]
pub(crate) struct Peer(Arc<Link>);

#[derive(Debug)]
struct Link {
    id: NodeId,
    endpoint: Endpoint,
    /// The connection for votes and AppendEntries. Connects when first used, and again when lost.
    channel: Channel,
    stream: Mutex<Stream>,
    /// Told when a message waits for a stream to be opened.
    wanted: Notify,
    votes: Arc<Semaphore>,
    sends_snapshot: AtomicBool,
    stop_snapshot: Notify,
    runtime: Handle,
}

/// Where messages go. The first ones of a new leader are taken before there is a connection.
#[derive(Debug)]
enum Stream {
    /// There is none; the next message has one opened.
    Closed,
    /// The messages that wait for it to be opened.
    Wanted(mpsc::Sender<proto::AppendEntriesRequest>, mpsc::Receiver<proto::AppendEntriesRequest>),
    Open(mpsc::Sender<proto::AppendEntriesRequest>),
    /// It broke, and is not opened again yet; what is said meanwhile is dropped.
    Broken,
}

impl Peer {
    pub(crate) fn new(id: NodeId, endpoint: Endpoint) -> Self {
        let endpoint = endpoint
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_DEADLINE)
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(16 << 20)
            .http2_keep_alive_interval(Duration::from_millis(500))
            .keep_alive_timeout(Duration::from_secs(1))
            .keep_alive_while_idle(true);
        Self(Arc::new(Link {
            id,
            channel: endpoint.connect_lazy(),
            endpoint,
            stream: Mutex::new(Stream::Closed),
            wanted: Notify::new(),
            votes: Arc::new(Semaphore::new(VOTE_CALLS_MAX)),
            sends_snapshot: AtomicBool::new(false),
            stop_snapshot: Notify::new(),
            runtime: Handle::current(),
        }))
    }

    /// Starts the task that keeps the stream open. It ends with the transport.
    pub(crate) fn run(&self, shared: Weak<Shared>) {
        let link = Arc::clone(&self.0);
        self.0.runtime.spawn(async move { link.keep_stream(shared).await });
    }

    /// Puts a message into the stream, which is opened if there is none, or drops it.
    pub(crate) fn send_append(&self, request: proto::AppendEntriesRequest) {
        let mut stream = self.0.stream();
        if let Stream::Closed = *stream {
            let (sender, receiver) = mpsc::channel(STREAM_MESSAGES_MAX);
            *stream = Stream::Wanted(sender, receiver);
            self.0.wanted.notify_one();
        }
        if let Stream::Wanted(sender, _) | Stream::Open(sender) = &*stream {
            // The core's windows leave room; what finds none, or nobody, is lost.
            let _ = sender.try_send(request);
        }
    }

    /// Asks for a vote in a call of its own.
    pub(crate) fn send_vote(&self, shared: &Arc<Shared>, request: proto::RequestVoteRequest) {
        let Ok(permit) = Arc::clone(&self.0.votes).try_acquire_owned() else { return };
        let (link, shared) = (Arc::clone(&self.0), Arc::clone(shared));
        self.0.runtime.spawn(async move {
            let _permit = permit;
            let mut client = RaftClient::new(link.channel.clone());
            let answer = tokio::time::timeout(VOTE_DEADLINE, client.request_vote(request)).await;
            match answer {
                Ok(Ok(response)) => match wire::decode_request_vote_response(response.into_inner())
                {
                    Ok((header, envelope)) => shared.deliver_from(link.id, header, envelope).await,
                    Err(malformed) => tracing::warn!(peer = %link.id, %malformed, "bad vote"),
                },
                Ok(Err(status)) => link.report(&shared, &status).await,
                Err(_) => tracing::debug!(peer = %link.id, "no vote in time"),
            }
        });
    }

    /// Streams the newest snapshot on a connection of its own, unless that is under way already.
    pub(crate) fn send_snapshot(&self, shared: &Arc<Shared>, envelope: Envelope) {
        if self.0.sends_snapshot.swap(true, Ordering::AcqRel) {
            return;
        }
        let (link, shared) = (Arc::clone(&self.0), Arc::clone(shared));
        self.0.runtime.spawn(async move {
            let answer = tokio::select! {
                answer = link.stream_snapshot(&shared, &envelope) => answer,
                () = link.stop_snapshot.notified() => Err(Status::cancelled("not the leader")),
            };
            if let Err(status) = &answer {
                tracing::warn!(peer = %link.id, error = status.message(), "snapshot not sent");
                link.report(&shared, status).await;
                tokio::time::sleep(SNAPSHOT_RETRY).await;
            }
            link.sends_snapshot.store(false, Ordering::Release);
            let delivered = answer.is_ok();
            let _ = shared.inbound.send(Inbound::SnapshotSent { to: link.id, delivered }).await;
            match answer.map(wire::decode_install_snapshot_response) {
                Ok(Ok((header, envelope))) => shared.deliver_from(link.id, header, envelope).await,
                Ok(Err(malformed)) => tracing::warn!(peer = %link.id, %malformed, "bad answer"),
                Err(_) => {}
            }
        });
    }

    /// Breaks off the snapshot that is being sent, if there is one.
    pub(crate) fn stop_snapshot(&self) {
        self.0.stop_snapshot.notify_waiters();
    }
}

/// How the last attempts to reach a peer went.
struct Reach {
    /// Whether the peer has answered since the stream was last opened.
    answered: bool,
    /// Whether it was said that the peer is unreachable.
    reported: bool,
    backoff: Duration,
}

impl Link {
    /// Opens the stream whenever there is something to send, as long as the transport is there.
    async fn keep_stream(&self, shared: Weak<Shared>) {
        let mut reach = Reach { answered: false, reported: false, backoff: *BACKOFF.start() };
        loop {
            self.wanted.notified().await;
            let Some(messages) = self.open() else { continue };
            let Some(shared) = shared.upgrade() else { return };
            let Err(status) = self.run_stream(&shared, messages, &mut reach).await;
            *self.stream() = Stream::Broken;
            if !std::mem::replace(&mut reach.reported, true) {
                tracing::warn!(peer = %self.id, reason = status.message(), "peer unreachable");
            }
            self.report(&shared, &status).await;
            if shared.inbound.send(Inbound::Unreachable(self.id)).await.is_err() {
                return;
            }
            drop(shared);
            // A peer that answered is met again soon.
            if std::mem::take(&mut reach.answered) {
                reach.backoff = *BACKOFF.start();
            }
            tokio::time::sleep(reach.backoff).await;
            *self.stream() = Stream::Closed;
            reach.backoff = (reach.backoff * 2).min(*BACKOFF.end());
        }
    }

    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the stream is to carry, from now on, if it is wanted.
    fn open(&self) -> Option<mpsc::Receiver<proto::AppendEntriesRequest>> {
        let mut stream = self.stream();
        match std::mem::replace(&mut *stream, Stream::Closed) {
            Stream::Wanted(sender, messages) => {
                *stream = Stream::Open(sender);
                Some(messages)
            }
            other => {
                *stream = other;
                None
            }
        }
    }

    /// Opens the stream and hands on the answers until it breaks.
    async fn run_stream(
        &self,
        shared: &Shared,
        messages: mpsc::Receiver<proto::AppendEntriesRequest>,
        reach: &mut Reach,
    ) -> Result<Never, Status> {
        let mut client = RaftClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let opening = client.append_entries(ReceiverStream::new(messages));
        let mut answers = tokio::time::timeout(CONNECT_DEADLINE, opening)
            .await
            .map_err(|_| Status::unavailable("no connection in time"))??
            .into_inner();
        while let Some(answer) = answers.message().await? {
            let (header, envelope) = wire::decode_append_entries_response(answer)
                .map_err(|malformed| Status::invalid_argument(malformed.to_string()))?;
            reach.answered = true;
            if std::mem::take(&mut reach.reported) {
                tracing::info!(peer = %self.id, "peer reachable again");
            }
            shared.deliver_from(self.id, header, envelope).await;
        }
        Err(Status::aborted("the peer closed the stream"))
    }

    /// Streams the newest snapshot and waits until it is installed.
    async fn stream_snapshot(
        &self,
        shared: &Arc<Shared>,
        envelope: &Envelope,
    ) -> Result<proto::InstallSnapshotResponse, Status> {
        let (path, meta) =
            shared.snapshot().ok_or_else(|| Status::not_found("there is no snapshot yet"))?;
        let channel = self
            .endpoint
            .connect()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        tracing::info!(peer = %self.id, snapshot = %meta.last, "sending snapshot");
        let header = Header::of(envelope, shared.cluster());
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let hurry = Hurry::new(shared);
        let reading =
            self.runtime.spawn_blocking(move || read_chunks(&path, header, &meta, &hurry, &sender));
        let mut client = RaftClient::new(channel);
        let answer = client.install_snapshot(ReceiverStream::new(receiver)).await;
        // A failed read ends the stream early, which the peer reports only as an incomplete file.
        let read = reading.await.map_err(|error| Status::internal(error.to_string()))?;
        read.map_err(|error| Status::internal(format!("reading the snapshot: {error}")))?;
        Ok(answer?.into_inner())
    }

    /// Tells the node when the peer said that it is of another cluster.
    async fn report(&self, shared: &Shared, status: &Status) {
        let cluster = status.metadata().get(CLUSTER_METADATA).and_then(|value| value.to_str().ok());
        let Some(cluster) = cluster.and_then(|hex| u128::from_str_radix(hex, 16).ok()) else {
            return;
        };
        let foreign = Inbound::Foreign { peer: self.id, cluster: ClusterId(cluster) };
        let _ = shared.inbound.send(foreign).await;
    }
}

/// Whether a follower has no time: writes wait for it, or the log will not.
struct Hurry {
    shared: Arc<Shared>,
    log_bytes_at_start: usize,
}

impl Hurry {
    fn new(shared: &Arc<Shared>) -> Self {
        Self { log_bytes_at_start: shared.log_bytes(), shared: Arc::clone(shared) }
    }

    fn is_due(&self, sent: u64, length: u64) -> bool {
        let grown = self.shared.log_bytes().wrapping_sub(self.log_bytes_at_start);
        !self.shared.has_majority_at_hand() || is_late(grown, sent, length)
    }
}

/// Returns whether so much of the file is a smaller part than the log has grown of what it may.
fn is_late(log_growth: usize, sent: u64, length: u64) -> bool {
    log_growth as u128 * u128::from(length) > u128::from(sent) * LOG_GROWTH_MAX as u128
}

/// What a function returns that only ever ends with an error.
enum Never {}

/// Reads a snapshot file into messages. A receiver that has gone ends it without an error: the call
/// reports why.
fn read_chunks(
    path: &Place,
    header: Header,
    meta: &SnapshotMeta,
    hurry: &Hurry,
    sender: &mpsc::Sender<proto::InstallSnapshotRequest>,
) -> std::io::Result<()> {
    let file = path.open().map_err(std::io::Error::other)?;
    let length = file.len()?;
    let mut file = FileReader::new(file);
    let mut offset = 0;
    let mut first = Some(meta);
    while offset < length || first.is_some() {
        let mut data = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut data)? as u64;
        if read == 0 && offset < length {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let done = offset + read == length;
        let (data, hurry) = (Bytes::from(data), hurry.is_due(offset, length));
        let chunk = wire::encode_chunk(header, first.take(), offset, data, done, hurry);
        if sender.blocking_send(chunk).is_err() {
            return Ok(());
        }
        offset += read;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_has_time_unless_the_log_grows_faster_than_the_snapshot_arrives() {
        assert!(!is_late(0, 0, 1_000), "nobody writes");
        assert!(!is_late(LOG_GROWTH_MAX / 2, 500, 1_000));
        assert!(is_late(LOG_GROWTH_MAX / 2, 499, 1_000));
        assert!(is_late(usize::MAX, u64::MAX, u64::MAX), "there is no time left");
    }
}
