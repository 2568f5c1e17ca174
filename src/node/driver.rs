//! The loop: gather what has arrived, take one turn, carry out what it decided.
//!
//! Nothing here decides anything about consistency. A turn is a batch: whatever arrived while the
//! last one was carried out, or is ready now, shares one write, one sync, one message to each peer,
//! one round for all reads.

mod blocked;
mod hand_over;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use raftkv_frontends::{Cluster, Error, Unavailable};
use raftkv_storage::snapshot::Received;
use raftkv_storage::types::{ClusterId, NodeId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::clock;
use super::disk::{Disk, Done};
use super::followers::Following;
use super::handle::{Observed, Request};
use super::snapshots::{Snapshots, Taken};
use crate::raft;
use crate::replica::{HeavyReads, Outcome, Replica, RequestId, Turn};
use crate::transport::{Inbound, Transport};
use blocked::{Blocked, Blocking};
use hand_over::HandOver;

/// The unit of the core's timeouts.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// The most events of one kind in one turn: keeps a turn short enough for heartbeats under any
/// load.
const EVENTS_MAX: usize = 1024;
/// Reads on views that run at once. Each may take a thread and tens of megabytes; the others wait.
const HEAVY_READS_MAX: usize = 4;
/// How long a client waits for an outcome, at the most. Leadership that cannot be used is lost much
/// sooner; what takes this long is a disk that hangs, or is full.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Why a node cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    /// The disk failed.
    #[error("{0}; the node stops, because nothing written since the last sync can be believed")]
    Disk(#[from] raftkv_storage::Error),
    /// The disk thread panicked. What it said of it is on standard error.
    #[error("the disk thread ended by a bug; the node stops")]
    DiskThread,
    /// The data directory belongs to another cluster than the peers.
    #[error(
        "this node's data directory is of cluster {ours}, but its peers are of cluster {theirs}: \
         is --data-dir right?"
    )]
    Foreign {
        /// Ours.
        ours: ClusterId,
        /// Theirs.
        theirs: ClusterId,
    },
}

/// Where the loop's events come from.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) inbound: mpsc::Receiver<Inbound>,
    pub(crate) done: mpsc::UnboundedReceiver<Done>,
    pub(crate) taken: mpsc::UnboundedReceiver<Taken>,
}

/// The loop's state.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) replica: Replica,
    pub(crate) disk: Disk,
    pub(crate) transport: Transport,
    pub(crate) snapshots: Snapshots,
    /// What the frontends know of the cluster.
    pub(crate) cluster: watch::Sender<Arc<Cluster>>,
    observed: Observed,
    following: Following,
    /// Requests that wait for their outcome.
    waiting: BTreeMap<RequestId, Waiting>,
    /// Those that wait for something to come.
    blocked: Blocked,
    last_request: u64,
    heavy_slots: Arc<Semaphore>,
    /// The cluster that this node is of, by what its directory or its committed log says.
    identity: Option<ClusterId>,
    /// Leadership is being handed over.
    hand_over: Option<HandOver>,
    /// The file of the snapshot that the core decides about in this turn.
    incoming: Option<Received>,
    /// What peers said that refused us as of another cluster.
    foreign: BTreeMap<NodeId, ClusterId>,
    /// The peers of which it was said that they have lost what they acknowledged.
    lost: BTreeSet<NodeId>,
    /// The members that the leader has not heard from lately, by what it said last.
    silent: BTreeSet<NodeId>,
}

#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Outcome>,
    /// What is answered when the outcome takes longer than [`REQUEST_DEADLINE`].
    late: Error,
    since: Instant,
    _share: OwnedSemaphorePermit,
}

enum Event {
    Stop,
    Done(Done),
    Tick,
    Inbound,
    Requests,
    Taken(Taken),
    Wake,
}

impl Driver {
    pub(crate) fn new(
        replica: Replica,
        disk: Disk,
        transport: Transport,
        snapshots: Snapshots,
        cluster: watch::Sender<Arc<Cluster>>,
        observed: Observed,
        identity: Option<ClusterId>,
    ) -> Self {
        Self {
            identity,
            replica,
            disk,
            transport,
            snapshots,
            cluster,
            observed,
            following: Following::new(),
            waiting: BTreeMap::new(),
            blocked: Blocked::default(),
            last_request: 0,
            heavy_slots: Arc::new(Semaphore::new(HEAVY_READS_MAX)),
            hand_over: None,
            incoming: None,
            foreign: BTreeMap::new(),
            lost: BTreeSet::new(),
            silent: BTreeSet::new(),
        }
    }

    /// Runs until `stop` is told, or something happens after which a node must not go on.
    pub(crate) async fn run(
        &mut self,
        mut sources: Sources,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Fatal> {
        let mut ticks = tokio::time::interval(TICK);
        // A process that was stopped for long has missed messages, not only ticks: it must not
        // campaign at once, nor believe that its promises have run out.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut inbound = Vec::with_capacity(EVENTS_MAX);
        let mut requests = Vec::with_capacity(EVENTS_MAX);
        loop {
            let wake = self.wake_in();
            let event = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Event::Stop,
                done = sources.done.recv() => Event::Done(done.ok_or(Fatal::DiskThread)?),
                _ = ticks.tick() => Event::Tick,
                _ = sources.inbound.recv_many(&mut inbound, EVENTS_MAX) => Event::Inbound,
                _ = sources.requests.recv_many(&mut requests, EVENTS_MAX),
                    if self.hand_over.is_none() => Event::Requests,
                Some(taken) = sources.taken.recv() => Event::Taken(taken),
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => Event::Wake,
            };
            // Whoever is ready to ask or answer does so first: a turn costs as much however much it
            // is for.
            tokio::task::yield_now().await;
            self.replica.set_time(clock::wall_ms());
            self.replica.set_now(clock::now_us());
            match event {
                Event::Stop => return Ok(()),
                Event::Done(done) => self.handle_done(done)?,
                Event::Tick => self.handle_tick(),
                Event::Taken(taken) => self.handle_taken(taken),
                Event::Inbound | Event::Requests | Event::Wake => {}
            }
            // What arrived meanwhile belongs to the same turn.
            while let Ok(done) = sources.done.try_recv() {
                self.handle_done(done)?;
            }
            gather(&mut sources.inbound, &mut inbound);
            if self.hand_over.is_none() {
                gather(&mut sources.requests, &mut requests);
            }
            for inbound in inbound.drain(..) {
                self.handle_inbound(inbound)?;
            }
            for request in requests.drain(..) {
                self.handle_request(request);
            }
            self.begin_hand_over();
            self.turn();
            self.end_hand_over();
        }
    }

    fn wake_in(&self) -> Option<Duration> {
        let wake_ms = self.replica.wake_at_ms()?;
        Some(Duration::from_millis(wake_ms.saturating_sub(clock::wall_ms())))
    }

    fn handle_done(&mut self, done: Done) -> Result<(), Fatal> {
        let written = match done {
            Done::Written(written) => written,
            Done::Failed(error) => return Err(error.into()),
        };
        self.disk.written(&written);
        if let Some(last) = written.persisted {
            self.replica.persisted(last);
        }
        if let Some((path, meta)) = written.installed {
            self.snapshots.note_installed(&path);
            self.disk.compact(meta.last.index);
            self.transport.set_snapshot(path, meta);
        }
        self.release(written.promises);
        Ok(())
    }

    fn handle_tick(&mut self) {
        self.replica.tick();
        self.leave_to_healthy_disks();
        self.publish();
        self.answer_late();
        self.report_lost();
        let raft = self.replica.raft();
        self.transport.set_log_bytes(raft.log_bytes_ever());
        self.transport.set_majority_at_hand(raft.has_majority_at_hand());
        if self.snapshots.is_due(raft.bytes_since_snapshot()) {
            let (meta, view) = self.replica.snapshot();
            self.snapshots.take(meta, view);
        }
    }

    /// Gives up leading when the disk hangs, if there is somebody else.
    fn leave_to_healthy_disks(&mut self) {
        let leads = self.replica.raft().role() == raft::Role::Leader;
        if leads && self.disk.is_hung() && self.cluster.borrow().members.len() > 1 {
            tracing::error!("the disk hangs: the node gives up leading");
            self.replica.step_down();
        }
    }

    fn handle_taken(&mut self, taken: Taken) {
        self.snapshots.note(&taken);
        if let Ok((path, meta, _)) = taken {
            self.replica.compact(meta.last.index);
            self.disk.compact(meta.last.index);
            self.transport.set_snapshot(path, meta);
        }
    }

    fn handle_inbound(&mut self, inbound: Inbound) -> Result<(), Fatal> {
        match inbound {
            Inbound::Message(envelope) => {
                // A follower that can write no snapshot takes no more log into memory. Only what
                // was applied counts: of that a snapshot can be written, and then it goes on.
                let appends = matches!(envelope.message, raft::Message::AppendEntries { .. });
                let applied_bytes = self.replica.raft().bytes_since_snapshot();
                if !appends || !self.snapshots.is_overdue(applied_bytes) {
                    self.replica.step(envelope);
                }
            }
            Inbound::Silent { from, term, members } => self.handle_silent(from, term, members),
            Inbound::Snapshot(snapshot) => {
                // At most one can be installed in a turn: decide about the one before first.
                self.turn();
                self.incoming = Some(snapshot.file);
                self.replica.install(snapshot.envelope, snapshot.keyspace);
                self.turn();
            }
            Inbound::StreamEnded(peer) => self.replica.report_stream_ended(peer),
            Inbound::Unreachable(peer) => self.replica.report_unreachable(peer),
            Inbound::SnapshotSent { to, delivered } => self.replica.report_snapshot(to, delivered),
            Inbound::Foreign { peer, cluster } => self.handle_foreign(peer, cluster)?,
        }
        Ok(())
    }

    /// Ends the node when it is the odd one out: a majority of its peers, and at least two, say
    /// that they are of one other cluster. A single stray peer proves nothing.
    fn handle_foreign(&mut self, peer: NodeId, theirs: ClusterId) -> Result<(), Fatal> {
        if self.foreign.insert(peer, theirs) != Some(theirs) {
            tracing::error!(%peer, cluster = %theirs, "refused: the peer is of another cluster");
        }
        let peers = self.cluster.borrow().members.len() - 1;
        let agreeing = self.foreign.values().filter(|cluster| **cluster == theirs).count();
        match self.identity {
            Some(ours) if agreeing >= 2 && agreeing > peers / 2 => {
                Err(Fatal::Foreign { ours, theirs })
            }
            _ => Ok(()),
        }
    }

    fn handle_request(&mut self, request: Request) {
        match request {
            Request::Execute { batch, reply, share } => {
                if let Some(reason) = self.refusal(batch.has_writes()) {
                    let _ = reply.send(Err(Error::Unavailable(reason)));
                    return;
                }
                self.last_request += 1;
                let id = RequestId(self.last_request);
                let late = if batch.has_writes() { Error::Unknown } else { Error::NoLeader };
                let since = Instant::now();
                self.waiting.insert(id, Waiting { reply, late, since, _share: share });
                self.replica.submit(id, batch);
            }
            Request::Wait { ticket, call, origin, begun, reply } => {
                self.wait(ticket, call, origin, Blocking { begun: Some(begun), reply });
            }
            Request::Leave { ticket } => {
                if let Some(request) = self.blocked.request(ticket) {
                    self.replica.stop_waiting(request);
                }
            }
            Request::HandOver { done } => self.hand_over = Some(HandOver::wanted(done)),
            Request::Follow { reply } => {
                let _ = reply.send(self.following.follow(self.replica.raft()));
            }
            Request::Status { digest, reply } => {
                let mut status = self.status();
                if !digest {
                    let _ = reply.send(status);
                    return;
                }
                let view = self.replica.view();
                tokio::task::spawn_blocking(move || {
                    status.digest = Some(view.digest());
                    let _ = reply.send(status);
                });
            }
        }
    }

    /// Returns why this node takes no writes now, if that is so.
    fn refusal(&self, has_writes: bool) -> Option<Unavailable> {
        let raft = self.replica.raft();
        if !has_writes || raft.role() != raft::Role::Leader {
            None
        } else if self.disk.is_full() {
            Some(Unavailable::NoSpace)
        } else if self.disk.is_behind() || self.snapshots.is_overdue(raft.bytes_above_snapshot()) {
            Some(Unavailable::Overloaded)
        } else {
            None
        }
    }

    /// Takes a turn and carries it out.
    fn turn(&mut self) {
        let turn = self.observed.turn(&mut self.replica);
        let Turn { messages, write, promises, begun, outcomes, heavy, changes: _, garbage } = turn;
        for envelope in messages {
            self.transport.send(envelope);
        }
        // A snapshot that the core did not want is dropped here, and its file with it.
        let received = self.incoming.take().filter(|_| write.snapshot.is_some());
        let free = self.disk.write(write, received, promises);
        self.release(free);
        for request in begun {
            self.blocked.begin(request);
        }
        for (request, outcome) in outcomes {
            self.answer(request, outcome);
        }
        for heavy in heavy {
            self.run_heavy(heavy);
        }
        for garbage in garbage {
            tokio::task::spawn_blocking(move || drop(garbage));
        }
        self.note_changes();
        self.following.publish(self.replica.raft());
    }

    /// Sends promises whose writes are durable. One to this node itself is its own vote.
    fn release(&mut self, promises: Vec<raft::Envelope>) {
        let node = self.cluster.borrow().node;
        for envelope in promises {
            if envelope.to == node {
                self.replica.step(envelope);
            } else {
                self.transport.send(envelope);
            }
        }
    }

    fn answer(&mut self, request: RequestId, outcome: Outcome) {
        let waiting = self.waiting.remove(&request).map(|waiting| waiting.reply);
        if let Some(reply) = waiting.or_else(|| self.blocked.remove(request)) {
            // A client that has gone does not hear of it.
            let _ = reply.send(outcome);
        }
    }

    /// Says, once, that a follower no longer has what it acknowledged.
    fn report_lost(&mut self) {
        let raft = self.replica.raft();
        for member in &self.cluster.borrow().members {
            let state = raft.peer(member.id).map(|peer| peer.state);
            let lost = state == Some(raft::ProgressState::Lost);
            if lost && self.lost.insert(member.id) {
                tracing::error!(
                    peer = %member.id,
                    "the peer has lost entries that it acknowledged: stop it, move its wal and \
                     snapshots away, and start it with --repair"
                );
            } else if !lost {
                self.lost.remove(&member.id);
            }
        }
    }

    /// Answers the requests that have waited too long. Their entries may still be committed.
    fn answer_late(&mut self) {
        while let Some(oldest) = self.waiting.first_entry()
            && oldest.get().since.elapsed() > REQUEST_DEADLINE
        {
            let waiting = oldest.remove();
            let _ = waiting.reply.send(Err(waiting.late));
        }
    }

    fn run_heavy(&mut self, heavy: HeavyReads) {
        let Some(waiting) = self.waiting.remove(&heavy.request) else { return };
        let slots = Arc::clone(&self.heavy_slots);
        tokio::spawn(async move {
            let _slot = slots.acquire_owned().await;
            let reading = tokio::task::spawn_blocking(move || {
                let replies = heavy.view.read(&heavy.reads, heavy.clock_ms);
                let _ = waiting.reply.send(Ok(replies));
            });
            let _ = reading.await;
        });
    }
}

fn gather<T>(source: &mut mpsc::Receiver<T>, events: &mut Vec<T>) {
    while events.len() < EVENTS_MAX {
        match source.try_recv() {
            Ok(event) => events.push(event),
            Err(_) => return,
        }
    }
}
