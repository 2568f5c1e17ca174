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
    replies: BTreeMap<RequestId, (Ticket, oneshot::Sender<Outcome>)>,
    requests: BTreeMap<Ticket, RequestId>,
}

impl Blocked {
    /// Returns the request that was given a ticket, if it still waits.
    pub(super) fn request(&self, ticket: Ticket) -> Option<RequestId> {
        self.requests.get(&ticket).copied()
    }

    /// Returns who is to be told of the end of a request.
    pub(super) fn remove(&mut self, request: RequestId) -> Option<oneshot::Sender<Outcome>> {
        let (ticket, reply) = self.replies.remove(&request)?;
        self.requests.remove(&ticket);
        Some(reply)
    }
}

impl Driver {
    /// Has the replica carry out a command that waits.
    pub(super) fn wait(
        &mut self,
        ticket: Ticket,
        call: Call,
        origin: u64,
        reply: oneshot::Sender<Outcome>,
    ) {
        if let Some(reason) = self.refusal(call.spec.is_write()) {
            let _ = reply.send(Err(Error::Unavailable(reason)));
            return;
        }
        self.last_request += 1;
        let request = RequestId(self.last_request);
        self.blocked.replies.insert(request, (ticket, reply));
        self.blocked.requests.insert(ticket, request);
        self.replica.wait(request, call, origin);
    }
}
