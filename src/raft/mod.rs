//! Raft, in the paper's order.

pub mod message;
pub mod options;
pub mod ready;

use raftkv_storage::types::{
    Configuration, Entry, EntryId, HardState, Index, NodeId, SnapshotMeta, Term,
};

pub use message::{Envelope, Message, Round};
pub use options::Options;
pub use ready::{ReadId, Ready, Write};

/// What the disk gave back after a restart. Empty at the first start.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The newest snapshot.
    pub snapshot: Option<SnapshotMeta>,
    /// The entry right before `entries`: at or below the snapshot's last, or zero.
    pub base: EntryId,
    /// The log from there on, without a gap.
    pub entries: Vec<Entry>,
}
