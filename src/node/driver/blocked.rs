//! Commands that wait for something to come: who is told of their end, and who waits no longer.

use std::collections::BTreeMap;

use raftkv_frontends::Error;
use raftkv_storage::keyspace::waits::Call;
use tokio::sync::oneshot;

use super::Driver;
use crate::node::handle::Ticket;
use crate::replica::{Outcome, RequestId};

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    clients: BTreeMap<RequestId, (Ticket, Blocking)>,
    requests: BTreeMap<Ticket, RequestId>,
}

/// How a client that waits is told of it.
#[derive(Debug)]
pub(super) struct Blocking {
    /// Told when the first attempt has found nothing.
    pub(super) begun: Option<oneshot::Sender<()>>,
    /// Told how it ended.
    pub(super) reply: oneshot::Sender<Outcome>,
}

impl Blocked {
    /// Returns the request that was given a ticket, if it still waits.
    pub(super) fn request(&self, ticket: Ticket) -> Option<RequestId> {
        self.requests.get(&ticket).copied()
    }

    /// The first attempt of a request has found nothing.
    pub(super) fn begin(&mut self, request: RequestId) {
        let client = self.clients.get_mut(&request);
        if let Some(begun) = client.and_then(|(_, blocking)| blocking.begun.take()) {
            // A client that has gone does not hear of it.
            let _ = begun.send(());
        }
    }

    /// Returns who is to be told of the end of a request.
    pub(super) fn remove(&mut self, request: RequestId) -> Option<oneshot::Sender<Outcome>> {
        let (ticket, blocking) = self.clients.remove(&request)?;
        self.requests.remove(&ticket);
        Some(blocking.reply)
    }
}

impl Driver {
    /// Has the replica carry out a command that waits.
    pub(super) fn wait(&mut self, ticket: Ticket, call: Call, origin: u64, blocking: Blocking) {
        if let Some(reason) = self.refusal(call.spec.is_write()) {
            let _ = blocking.reply.send(Err(Error::Unavailable(reason)));
            return;
        }
        self.last_request += 1;
        let request = RequestId(self.last_request);
        self.blocked.clients.insert(request, (ticket, blocking));
        self.blocked.requests.insert(ticket, request);
        self.replica.wait(request, call, origin);
    }
}
