//! A disk that forgets what was not synced.

use raftkv::raft::{Envelope, Recovered, Write};
use raftkv_storage::types::{EntryId, SnapshotMeta};

/// What a disk holds, or will hold: everything that is needed to start again.
#[derive(Clone, Default)]
pub(crate) struct Image {
    pub(crate) recovered: Recovered,
}

/// One turn's write, and the promises that wait for it.
pub(crate) struct Pending {
    pub(crate) write: Write,
    pub(crate) promises: Vec<Envelope>,
}

/// What survives a crash, and what does not.
pub(crate) struct Disk {
    pub(crate) durable: Image,
    pub(crate) pending: Vec<Pending>,
}

impl Image {
    pub(crate) fn new(recovered: Recovered) -> Self {
        Self { recovered }
    }

    /// Returns what a server starts with that will promise so much, and records that it will.
    pub(crate) fn start(&mut self, promise_us: u64) -> Recovered {
        let before = self.recovered.clone();
        self.recovered.promised_us = before.promised_us.max(promise_us);
        before
    }

    pub(crate) fn last(&self) -> EntryId {
        self.recovered.entries.last().map_or(self.recovered.base, |entry| entry.id)
    }

    /// Returns whether the entry is here, or may be in the part that was cut off.
    pub(crate) fn may_have(&self, id: EntryId) -> bool {
        match id.index.checked_sub(self.recovered.base.index) {
            Some(0) => id == self.recovered.base,
            Some(at) => {
                self.recovered.entries.get(at as usize - 1).is_some_and(|entry| entry.id == id)
            }
            None => true,
        }
    }

    pub(crate) fn write(&mut self, write: &Write) {
        if let Some(meta) = &write.snapshot {
            self.reset(meta);
        }
        if let Some(hard_state) = write.hard_state {
            self.recovered.hard_state = hard_state;
        }
        self.recovered.is_recovering &= !write.recovered;
        let Some(first) = write.entries.first() else { return };
        // A snapshot may have cut the log while entries that it contains were under way to it.
        let base = self.recovered.base.index;
        let kept = first.id.index.saturating_sub(base + 1) as usize;
        assert!(kept <= self.recovered.entries.len(), "entries are written without a gap");
        self.recovered.entries.truncate(kept);
        let above = write.entries.iter().filter(|entry| entry.id.index > base);
        self.recovered.entries.extend(above.cloned());
    }

    /// Puts a snapshot of our own in place, and cuts the log, but for two entries that trail.
    pub(crate) fn compact(&mut self, meta: &SnapshotMeta) {
        let holds_it = self.may_have(meta.last);
        self.recovered.snapshot = Some(meta.clone());
        if !holds_it {
            // What was applied is still under way to the log, which stays until that has come.
            return;
        }
        let recovered = &mut self.recovered;
        let cut = meta.last.index.saturating_sub(2).saturating_sub(recovered.base.index) as usize;
        if let Some(last_cut) = cut.checked_sub(1) {
            recovered.base = recovered.entries[last_cut].id;
            recovered.entries.drain(..cut);
        }
    }

    /// Leaves the log behind, as every start does, if it does not hold what the snapshot contains.
    pub(crate) fn restart(&mut self) {
        let snapshot = self.recovered.snapshot.clone();
        if let Some(meta) = snapshot.filter(|meta| !self.may_have(meta.last)) {
            self.reset(&meta);
        }
    }

    fn reset(&mut self, meta: &SnapshotMeta) {
        self.recovered.snapshot = Some(meta.clone());
        self.recovered.base = meta.last;
        self.recovered.entries.clear();
    }
}
