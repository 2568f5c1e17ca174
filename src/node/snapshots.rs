//! Snapshots in the background: when one is due, writing it, and what became of it.
//!
//! A view of the keyspace costs a pointer clone, so that taking one stops nobody; the writing
//! happens on a thread of its own. One is due when the log since the last has grown past a limit
//! *and* past the size of the last: writing snapshots then costs no more than writing the log does.
//! But the log is held in memory, so at [`LOG_BYTES_MAX`] one is due whatever the last was like,
//! and at twice that, when none could be written, writes are refused.
//!
//! Nobody waits for a snapshot, and everybody for the CPU and the disk that it takes. So the thread
//! rests most of the time, but no more than the log allows, which grows meanwhile: the snapshot is
//! to be complete when the log is half as long again as it was when it became due.

use std::time::Duration;

use raftkv_storage::Error;
use raftkv_storage::background::{Due, Pace};
use raftkv_storage::fs::Place;
use raftkv_storage::keyspace::View;
use raftkv_storage::types::SnapshotMeta;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::persist;

/// The most log since the last snapshot, unless `--snapshot-log-bytes` asks for more.
pub(crate) const LOG_BYTES_MAX: usize = 256 << 20;
/// The wait after a snapshot that could not be written (a full disk, mostly).
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A snapshot that was written, with its path.
pub(crate) type Taken = Result<(Place, SnapshotMeta, u64), Error>;

/// Takes snapshots, one at a time.
#[derive(Debug)]
pub(crate) struct Snapshots {
    dir: Place,
    log_bytes: usize,
    /// The size of the newest snapshot.
    last_bytes: u64,
    under_way: bool,
    /// How much of the one under way is to be done.
    due: Due,
    not_before: Instant,
    taken: mpsc::UnboundedSender<Taken>,
}

impl Snapshots {
    /// Creates what takes a snapshot after `log_bytes` of log. `last` is the newest one there is.
    /// Results go to `taken`.
    pub(crate) fn new(
        dir: Place,
        log_bytes: usize,
        last: Option<&Place>,
        taken: mpsc::UnboundedSender<Taken>,
    ) -> Self {
        let last_bytes = last.map_or(0, file_bytes);
        let (under_way, not_before) = (false, Instant::now());
        let due = Due::default();
        Self { dir, log_bytes, last_bytes, under_way, due, not_before, taken }
    }

    /// Returns at which length of the log a snapshot is due.
    fn limit(&self) -> usize {
        let last_bytes = usize::try_from(self.last_bytes).unwrap_or(usize::MAX);
        last_bytes.min(LOG_BYTES_MAX).max(self.log_bytes)
    }

    /// Returns whether a snapshot is due, given the bytes of log since the last. The one that is
    /// under way hurries as they become more.
    pub(crate) fn is_due(&self, log_bytes: usize) -> bool {
        let limit = self.limit();
        let grown = log_bytes.saturating_sub(limit);
        self.due.set(grown, limit / 2);
        !self.under_way && log_bytes >= limit && Instant::now() >= self.not_before
    }

    /// Returns whether the log since the last snapshot has grown past what may be held in memory.
    pub(crate) fn is_overdue(&self, log_bytes: usize) -> bool {
        log_bytes >= LOG_BYTES_MAX.max(self.log_bytes).saturating_mul(2)
    }

    /// Writes a snapshot of the view on another thread.
    pub(crate) fn take(&mut self, meta: SnapshotMeta, view: View) {
        self.under_way = true;
        // At the most, about: the last and what has come since. It is written and read back.
        let all_bytes = (self.last_bytes + self.limit() as u64) * 2;
        let mut pace = Pace::new(self.due.clone(), all_bytes);
        let (dir, taken) = (self.dir.clone(), self.taken.clone());
        tokio::task::spawn_blocking(move || {
            let started = std::time::Instant::now();
            let rest = move |bytes| pace.rest_after(bytes);
            let result = persist::write_snapshot_with(&dir, &meta, &view, rest).map(|path| {
                let bytes = file_bytes(&path);
                let elapsed = started.elapsed();
                tracing::info!(last = %meta.last, keys = view.len(), bytes, ?elapsed, "snapshot");
                (path, meta, bytes)
            });
            // A driver that has ended wants to know no more.
            let _ = taken.send(result);
        });
    }

    /// Takes note of how the snapshot under way ended.
    pub(crate) fn note(&mut self, taken: &Taken) {
        self.under_way = false;
        match taken {
            Ok((_, _, bytes)) => self.last_bytes = *bytes,
            Err(error) => {
                tracing::error!(%error, "no snapshot was taken; the log keeps growing");
                self.not_before = Instant::now() + RETRY_AFTER;
            }
        }
    }

    /// Takes note of a snapshot that came from the leader.
    pub(crate) fn note_installed(&mut self, path: &Place) {
        self.last_bytes = file_bytes(path);
    }
}

fn file_bytes(path: &Place) -> u64 {
    path.open().ok().and_then(|file| file.len().ok()).unwrap_or_default()
}
