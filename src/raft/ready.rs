//! The effects of a turn: what the core has decided and somebody else must carry out.
//!
//! ```text
//!  messages   at once                    they promise nothing about our disk
//!  write      append, sync once
//!  promises   when `write`, and all      votes, vote requests (they carry our own vote),
//!             writes before, are durable acknowledgements of entries and snapshots:
//!                                        first in, first out
//!  committed  apply, in order
//!  reads      answer after `committed`   applied ≥ read index by the order of two lines
//!  leased     the same                   if the lease still holds when that is done
//! ```

use raftkv_storage::types::{Entry, HardState, SnapshotMeta};

use super::message::Envelope;

/// Identifies a read that waits for its round. Chosen by whoever asks; the core only hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// What one turn of the core has brought about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// To be sent at once, in order.
    pub messages: Vec<Envelope>,
    /// To be made durable.
    pub write: Write,
    /// To be sent, in order, when `write` and all writes before it are durable. One that is
    /// addressed to this server itself (a candidate's own vote) goes back into the core then.
    pub promises: Vec<Envelope>,
    /// To be applied, in order. An installed snapshot (`write.snapshot`) comes before them.
    pub committed: Vec<Entry>,
    /// Reads that may be answered once `committed` has been applied.
    pub reads: Vec<ReadId>,
    /// Reads that may be answered then if, when they are done, [`Raft::has_lease`] still holds by
    /// a fresh look at the clock. Otherwise they are to be asked for again.
    ///
    /// [`Raft::has_lease`]: super::Raft::has_lease
    pub leased: Vec<ReadId>,
}

/// What must be durable before the promises of the same turn may leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// A snapshot that replaces log and state. Stands before `entries`. One that was stepped this
    /// turn and is not named here was not needed; its file may go.
    pub snapshot: Option<SnapshotMeta>,
    /// The new term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// Entries to append. The first one's index may be at or below the log's last: it replaces the
    /// tail from there.
    pub entries: Vec<Entry>,
    /// With this write everything is back that was acknowledged and lost: a restart need not begin
    /// with [`Recovered::is_recovering`](super::Recovered::is_recovering) any more.
    pub recovered: bool,
}

impl Write {
    /// Returns whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.snapshot.is_none()
            && self.hard_state.is_none()
            && self.entries.is_empty()
            && !self.recovered
    }
}
