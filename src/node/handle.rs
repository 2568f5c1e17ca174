//! What the frontends hold of a node: a queue into its loop, and what is known of the cluster.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use raftkv_frontends::{Cluster, Error, Followers, Kv, Observer, Status, Unavailable};
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::Batch;
use raftkv_storage::keyspace::waits::Call;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::clock;
use crate::replica::{Outcome, Replica, Turn};

/// Requests that wait for the loop's next turn. A connection has one under way at a time, and waits
/// when the queue is full.
const REQUESTS_MAX: usize = 16 << 10;
/// Bytes of all batches under way. A connection whose batch does not fit waits, and does not read
/// on meanwhile.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// What a frontend asks of the loop.
#[derive(Debug)]
pub(crate) enum Request {
    /// Carry out a batch.
    Execute {
        batch: Batch,
        reply: oneshot::Sender<Outcome>,
        /// The batch's share of the bytes under way, held until it is answered.
        share: OwnedSemaphorePermit,
    },
    /// Carry out a command that waits.
    Wait {
        ticket: Ticket,
        call: Call,
        origin: u64,
        /// Told when there is nothing, and the command begins to wait.
        begun: oneshot::Sender<()>,
        reply: oneshot::Sender<Outcome>,
    },
    /// A client no longer waits for more than what is under way.
    Leave { ticket: Ticket },
    /// Return the figures of this moment.
    Status { digest: bool, reply: oneshot::Sender<Status> },
    /// Hand leadership over, and say when that has come to an end.
    HandOver { done: oneshot::Sender<()> },
    /// Tell from now on how far the followers are.
    Follow { reply: oneshot::Sender<Followers> },
}

/// Names a command that waits; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// Says that a client waits no longer, once it is dropped, if it waits.
struct Leaving<'a> {
    waiting: Option<Ticket>,
    requests: &'a mpsc::Sender<Request>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.waiting else { return };
        // Behind the request itself. A loop that has ended has nobody waiting.
        if let Err(TrySendError::Full(leave)) = self.requests.try_send(Request::Leave { ticket }) {
            let requests = self.requests.clone();
            tokio::spawn(async move { requests.send(leave).await });
        }
    }
}

/// A node, as the frontends see it.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    requests: mpsc::Sender<Request>,
    last_ticket: Arc<AtomicU64>,
    cluster: watch::Receiver<Arc<Cluster>>,
    bytes: Arc<Semaphore>,
    observed: Observed,
}

/// Who is told of changes, once a frontend has said so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed(Arc<OnceLock<Arc<dyn Observer>>>);

impl Observed {
    /// Has the replica take a turn, and tells which keys that has changed, if anybody wants to
    /// know: who has asked to know before a read was submitted is asked before it is done.
    pub(crate) fn turn(&self, replica: &mut Replica) -> Turn {
        let observer = self.0.get().filter(|observer| observer.is_watching());
        replica.want_changes(observer.is_some());
        let turn = replica.turn(clock::now_us);
        if let Some(observer) = observer.filter(|_| !turn.changes.is_empty()) {
            observer.changed(&turn.changes);
        }
        turn
    }
}

impl Handle {
    /// Creates a handle, and the end of its queue that the loop reads.
    pub(crate) fn new(cluster: watch::Receiver<Arc<Cluster>>) -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let handle = Self {
            requests,
            last_ticket: Arc::default(),
            cluster,
            bytes: Arc::new(Semaphore::new(REQUEST_BYTES_MAX)),
            observed: Observed::default(),
        };
        (handle, receiver)
    }

    /// Returns where the loop finds who is told of changes.
    pub(crate) fn observed(&self) -> Observed {
        self.observed.clone()
    }

    fn check_loaded(&self) -> Result<(), Error> {
        if self.cluster.borrow().loading {
            return Err(Error::Unavailable(Unavailable::Loading));
        }
        Ok(())
    }

    /// Has another node lead, if this one does and there is one; returns when that is decided.
    pub(crate) async fn hand_over(&self) {
        // What cannot be asked for, or is not answered, is over as well.
        let _ = self.ask(|done| Request::HandOver { done }).await;
    }

    /// Asks the loop something that changes nothing.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Error> {
        self.check_loaded()?;
        let stopping = Error::Unavailable(Unavailable::Stopping);
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| stopping.clone())?;
        answer.await.map_err(|_| stopping)
    }
}

impl Kv for Handle {
    async fn execute(&self, batch: Batch) -> Result<Vec<Reply>, Error> {
        self.check_loaded()?;
        let stopping = Error::Unavailable(Unavailable::Stopping);
        let size = batch.size().clamp(1, REQUEST_BYTES_MAX);
        let size = u32::try_from(size).expect("the bytes under way are limited to fewer");
        let Ok(share) = Arc::clone(&self.bytes).acquire_many_owned(size).await else {
            return Err(stopping);
        };
        // Once the loop has a write it may append it: a loop that ends before it answers leaves the
        // outcome open.
        let lost = if batch.has_writes() { Error::Unknown } else { stopping.clone() };
        let (reply, outcome) = oneshot::channel();
        let request = Request::Execute { batch, reply, share };
        self.requests.send(request).await.map_err(|_| stopping)?;
        outcome.await.unwrap_or(Err(lost))
    }

    async fn wait(
        &self,
        call: Call,
        origin: u64,
        begun: oneshot::Sender<()>,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Reply, Error> {
        self.check_loaded()?;
        let stopping = Error::Unavailable(Unavailable::Stopping);
        let lost = if call.spec.is_write() { Error::Unknown } else { stopping.clone() };
        let ticket = Ticket(self.last_ticket.fetch_add(1, Ordering::Relaxed));
        let (reply, mut outcome) = oneshot::channel();
        let request = Request::Wait { ticket, call, origin, begun, reply };
        self.requests.send(request).await.map_err(|_| stopping)?;
        let mut leaving = Leaving { waiting: Some(ticket), requests: &self.requests };
        let outcome = tokio::select! {
            biased;
            outcome = &mut outcome => {
                leaving.waiting = None;
                outcome
            }
            () = stop => {
                drop(leaving);
                outcome.await
            }
        };
        let mut replies = outcome.unwrap_or(Err(lost))?.into_iter();
        Ok(replies.next().unwrap_or(Reply::Null))
    }

    fn cluster(&self) -> watch::Receiver<Arc<Cluster>> {
        self.cluster.clone()
    }

    async fn status(&self, digest: bool) -> Result<Status, Error> {
        self.ask(|reply| Request::Status { digest, reply }).await
    }

    async fn followers(&self) -> Result<Followers, Error> {
        self.ask(|reply| Request::Follow { reply }).await
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        let is_first = self.observed.0.set(observer).is_ok();
        assert!(is_first, "one frontend is told of changes");
    }
}
