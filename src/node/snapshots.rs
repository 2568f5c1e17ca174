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

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use raftkv_storage::Error;
use raftkv_storage::fs::Place;
use raftkv_storage::keyspace::View;
use raftkv_storage::types::SnapshotMeta;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::persist;

/// The most log since the last snapshot, unless `--snapshot-log-bytes` asks for more.
const LOG_BYTES_MAX: usize = 256 << 20;
/// For so many times as long as it has worked, the thread rests.
const REST_TIMES: u32 = 15;
/// But never longer, for it may have waited for others while it wanted to work.
const REST_MAX: Duration = Duration::from_millis(50);
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
    /// How much of the one under way is to be done, in thousandths.
    wanted: Arc<AtomicU64>,
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
        let wanted = Arc::default();
        Self { dir, log_bytes, last_bytes, under_way, wanted, not_before, taken }
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
        self.wanted.store(thousandths(grown as u64, limit as u64 / 2), Ordering::Relaxed);
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
        let wanted = Arc::clone(&self.wanted);
        let rest = rest_unless_behind(Progress { wanted, done_bytes: 0, all_bytes });
        let (dir, taken) = (self.dir.clone(), self.taken.clone());
        tokio::task::spawn_blocking(move || {
            let started = std::time::Instant::now();
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

/// How far a snapshot is, and how far it is to be.
struct Progress {
    /// In thousandths.
    wanted: Arc<AtomicU64>,
    done_bytes: u64,
    all_bytes: u64,
}

impl Progress {
    /// Takes note of so many bytes, and returns whether there is time to rest.
    fn note(&mut self, bytes: usize) -> bool {
        self.done_bytes += bytes as u64;
        thousandths(self.done_bytes, self.all_bytes) >= self.wanted.load(Ordering::Relaxed)
    }
}

/// Returns what is told of each piece of work, and lets others have the CPU and the disk for some
/// times as long as it took, if there is time.
fn rest_unless_behind(mut progress: Progress) -> impl FnMut(usize) + Send {
    let mut since = Instant::now();
    move |bytes| {
        if progress.note(bytes) {
            // Nobody ends the rest before its time, and it would do no harm.
            std::thread::park_timeout((since.elapsed() * REST_TIMES).min(REST_MAX));
        }
        since = Instant::now();
    }
}

fn thousandths(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1_000) / whole.max(1)
}

fn file_bytes(path: &Place) -> u64 {
    path.open().ok().and_then(|file| file.len().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_rests_unless_the_log_has_grown_faster() {
        let wanted = Arc::new(AtomicU64::new(500));
        let mut progress = Progress { wanted: Arc::clone(&wanted), done_bytes: 0, all_bytes: 100 };
        assert!(!progress.note(40), "less than half is done");
        assert!(progress.note(10));
        wanted.store(1_000, Ordering::Relaxed);
        assert!(!progress.note(10));
        assert!(progress.note(100), "it was larger than the last");
    }
}
