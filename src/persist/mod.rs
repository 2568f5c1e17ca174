//! What one server does with its disk, as calls that return: no thread, no clock, no network.
//!
//! The one rule that makes the log worth its name: *a promise leaves after the sync that covers
//! every write before it, and in the order in which the core made it.* [`Queue`] decides which
//! promises have to wait, [`Writer`] makes durable what they wait for, and [`recover`] gives back
//! after a restart what was promised before it. The process runs a writer on a thread of its own
//! ([`crate::node`]); a simulation runs it wherever it likes.

mod recovery;
mod writer;

use raftkv_storage::fs::Place;
use raftkv_storage::snapshot::Received;
use raftkv_storage::types::{ClusterId, EntryId, Index, SnapshotMeta};

pub(crate) use self::recovery::last_configuration;
pub use self::recovery::{Opened, recover, repair, restore};
pub use self::writer::{Progress, Writer, write_snapshot, write_snapshot_with};
use crate::raft::{Envelope, Write};

/// What a writer is asked to do, in order.
#[derive(Debug)]
pub enum Job {
    /// Make durable, then release the promises. A snapshot comes with its file.
    Write(Box<WriteJob>),
    /// Drop segments that a durable snapshot covers.
    Compact(Index),
    /// Record to which cluster the data belongs.
    SetCluster(ClusterId),
}

/// One turn's write, and what waits for it.
#[derive(Debug)]
pub struct WriteJob {
    write: Write,
    received: Option<Received>,
    promises: Vec<Envelope>,
}

/// One sync, and all that it makes true.
#[derive(Debug, Default)]
pub struct Written {
    /// How many writes it covered.
    writes: usize,
    /// The bytes of their entries.
    bytes: usize,
    /// Promises that may leave now, in order.
    pub promises: Vec<Envelope>,
    /// The log is durable up to this entry.
    pub persisted: Option<EntryId>,
    /// A snapshot that was put in place.
    pub installed: Option<(Place, SnapshotMeta)>,
}

impl Written {
    /// Returns whether it covered a write.
    #[must_use]
    pub fn has_writes(&self) -> bool {
        self.writes > 0
    }
}

/// What stands between a turn and its promises.
#[derive(Debug, Default)]
pub struct Queue {
    /// Writes handed over and not yet reported. As long as there are any, promises queue behind
    /// them.
    pending: usize,
    /// The bytes of their entries.
    pending_bytes: usize,
}

impl Queue {
    /// Takes a turn's write with what waits for it. Returns the job for the writer, if there is
    /// something to do or to wait for, and the promises that may leave at once, because no write
    /// stands before them.
    #[must_use]
    pub fn write(
        &mut self,
        write: Write,
        received: Option<Received>,
        promises: Vec<Envelope>,
    ) -> (Option<Job>, Vec<Envelope>) {
        if write.is_empty() && (self.pending == 0 || promises.is_empty()) {
            return (None, promises);
        }
        self.pending += 1;
        self.pending_bytes += size(&write);
        (Some(Job::Write(Box::new(WriteJob { write, received, promises }))), Vec::new())
    }

    /// Takes note that writes were reported.
    pub fn written(&mut self, written: &Written) {
        self.pending -= written.writes;
        self.pending_bytes -= written.bytes;
    }

    /// Returns whether something was handed over and not yet reported.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.pending > 0
    }

    /// Returns the bytes of entries that wait for the disk.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }
}

fn size(write: &Write) -> usize {
    write.entries.iter().map(|entry| entry.payload.size()).sum()
}
