//! Handing leadership over when the node is about to stop, so that clients miss a moment, not an
//! election timeout.
//!
//! Requests that come meanwhile wait in their queue: they are carried out if nothing comes of it,
//! and are told of the new leader otherwise.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Driver;
use crate::raft::Role;

/// How long all of it may take, whatever the election timeout is: the node is to stop.
const DEADLINE: Duration = Duration::from_secs(1);

/// A hand-over that was asked for, or is under way.
#[derive(Debug)]
pub(super) struct HandOver {
    /// Told when it has come to an end, by being dropped.
    _done: oneshot::Sender<()>,
    since: Instant,
    has_begun: bool,
}

impl HandOver {
    pub(super) fn wanted(done: oneshot::Sender<()>) -> Self {
        Self { _done: done, since: Instant::now(), has_begun: false }
    }
}

impl Driver {
    /// Begins what was asked for. What came before it in the same turn goes first.
    pub(super) fn begin_hand_over(&mut self) {
        if let Some(hand_over) = &mut self.hand_over
            && !std::mem::replace(&mut hand_over.has_begun, true)
        {
            match self.replica.transfer_leadership() {
                Some(to) => tracing::info!(%to, "handing leadership over"),
                None => self.hand_over = None,
            }
        }
    }

    /// Ends it when another leader is known, or nothing has come of it.
    pub(super) fn end_hand_over(&mut self) {
        let Some(hand_over) = &self.hand_over else { return };
        let raft = self.replica.raft();
        let is_decided = match raft.role() {
            Role::Leader => !raft.is_transferring(),
            _ => raft.leader().is_some(),
        };
        if is_decided || hand_over.since.elapsed() > DEADLINE {
            self.hand_over = None;
        }
    }
}
