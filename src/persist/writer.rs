//! Append all that waits, sync once, release the promises.
//!
//! While a sync is under way the next jobs gather, and share the one after it; that is group
//! commit.

use std::io::{BufWriter, Write as _};

use raftkv_storage::Error;
use raftkv_storage::data_dir::DataDir;
use raftkv_storage::fs::Place;
use raftkv_storage::keyspace::View;
use raftkv_storage::snapshot::SnapshotWriter;
use raftkv_storage::types::{ClusterId, Index, SnapshotMeta};
use raftkv_storage::wal::{Record, Wal};

use super::{Job, WriteJob, Written, size};
use crate::raft::Write;

/// Owns the log and the data directory, and carries out jobs in their order.
pub struct Writer {
    data_dir: DataDir,
    wal: Wal,
    /// Jobs that have come and were not begun.
    waiting: Vec<Job>,
    /// What was begun and could not be appended, because the disk is full.
    stalled: Option<Batch>,
}

/// What became of the jobs.
#[derive(Debug)]
pub enum Progress {
    /// They are done.
    Written(Written),
    /// The disk has no room. Nothing was written, so trying again is safe, at once when a
    /// [`Job::Compact`] has come, or later.
    Full(Error),
}

/// Jobs that share a sync.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    cluster: Option<ClusterId>,
    compact: Option<Index>,
    written: Written,
}

impl Writer {
    /// Goes on with a log that was recovered.
    #[must_use]
    pub fn new(data_dir: DataDir, wal: Wal) -> Self {
        Self { data_dir, wal, waiting: Vec::new(), stalled: None }
    }

    /// Takes a job, to be carried out with the next call of [`Writer::run`].
    pub fn push(&mut self, job: Job) {
        match (job, &mut self.stalled) {
            // It makes room for what is stalled.
            (Job::Compact(through), Some(stalled)) => {
                stalled.compact = stalled.compact.max(Some(through));
            }
            (job, _) => self.waiting.push(job),
        }
    }

    /// Returns whether there is nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.stalled.is_none()
    }

    /// Appends every write that waits, syncs once, and only then hands back the promises.
    ///
    /// After an error nothing that was not reported is durable, and the process must end.
    pub fn run(&mut self) -> Result<Progress, Error> {
        let mut batch = match self.stalled.take() {
            Some(stalled) => stalled,
            None => self.begin()?,
        };
        let mut records = Vec::new();
        for write in &batch.writes {
            push_records(write, &mut records);
        }
        if !records.is_empty() {
            match self.wal.append(&records) {
                Err(error) if error.is_no_space() && !self.wal.is_poisoned() => {
                    if let Some(through) = batch.compact {
                        self.make_room(through, &records)?;
                    }
                    drop(records);
                    self.stalled = Some(batch);
                    return Ok(Progress::Full(error));
                }
                appended => appended?,
            }
            self.wal.sync()?;
        }
        // Behind the sync: what VOTE says, that everything is there, must be so.
        self.record_vote(&batch.writes)?;
        // And a directory that knows its cluster has a log that says so.
        if let Some(cluster) = batch.cluster {
            self.data_dir.record_identity(Some(cluster))?;
            self.wal.set_cluster(cluster);
        }
        // Behind the writes that were asked for before it, which may replace what it removes.
        if let Some(through) = batch.compact.take() {
            self.wal.compact(through)?;
        }
        Ok(Progress::Written(batch.written))
    }

    /// Makes term and vote durable in their second place, and that the server has recovered.
    fn record_vote(&mut self, writes: &[Write]) -> Result<(), Error> {
        let last = writes.iter().rev().find_map(|write| write.hard_state);
        let hard_state = last.unwrap_or(self.data_dir.hard_state());
        let is_recovering =
            self.data_dir.is_recovering() && !writes.iter().any(|write| write.recovered);
        self.data_dir.record_vote(hard_state, is_recovering)
    }

    /// Proves to a later recovery that the last batch was synced. A full disk has no room for the
    /// proof, which is no reason to stop.
    pub fn mark(&mut self) -> Result<(), Error> {
        match self.wal.mark() {
            Err(error) if error.is_no_space() && !self.wal.is_poisoned() => Ok(()),
            other => other,
        }
    }

    /// Gathers the jobs that wait, and puts the snapshots among them in place.
    fn begin(&mut self) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        let written = &mut batch.written;
        for job in self.waiting.drain(..) {
            match job {
                Job::Write(job) => {
                    let WriteJob { write, received, promises } = *job;
                    written.writes += 1;
                    written.bytes += size(&write);
                    written.promises.extend(promises);
                    if let Some(received) = received {
                        // In place before the log says that it starts there: a snapshot newer
                        // than the log is a state that recovery knows, a log without its
                        // snapshot is not.
                        let meta = received.meta.clone();
                        written.installed = Some((received.install()?, meta));
                    }
                    let snapshot = write.snapshot.as_ref().map(|meta| meta.last);
                    let last = write.entries.last().map(|entry| entry.id);
                    written.persisted = last.or(snapshot).or(written.persisted);
                    batch.writes.push(write);
                }
                Job::Compact(through) => batch.compact = batch.compact.max(Some(through)),
                Job::SetCluster(id) => batch.cluster = Some(id),
            }
        }
        Ok(batch)
    }

    /// Drops what a durable snapshot covers, as far as the records that wait for room leave it be.
    fn make_room(&mut self, through: Index, records: &[Record<'_>]) -> Result<(), Error> {
        match first_index(records).checked_sub(1) {
            Some(kept) => self.wal.compact(through.min(kept)),
            None => Ok(()),
        }
    }
}

/// Writes a snapshot of this view, durably, and returns its file.
pub fn write_snapshot(
    dir: impl Into<Place>,
    meta: &SnapshotMeta,
    view: &View,
) -> Result<Place, Error> {
    write_snapshot_with(dir, meta, view, |_| ())
}

/// Does the same, and calls `rest` with the bytes of each piece of it.
pub fn write_snapshot_with(
    dir: impl Into<Place>,
    meta: &SnapshotMeta,
    view: &View,
    rest: impl FnMut(usize) + Send + 'static,
) -> Result<Place, Error> {
    let dir = dir.into();
    let writer = SnapshotWriter::create(&dir, meta)?.with_rest(rest);
    let mut writer = BufWriter::with_capacity(64 << 10, writer);
    view.write_to(&mut writer).and_then(|()| writer.flush()).map_err(Error::io("write", &dir))?;
    let writer =
        writer.into_inner().map_err(|error| Error::io("write", &dir)(error.into_error()))?;
    writer.finish()
}

/// Returns the least index that the records write; everything below it stays as it is.
fn first_index(records: &[Record<'_>]) -> Index {
    let index = |record: &Record<'_>| match record {
        Record::Entry(entry) => Some(entry.id.index),
        Record::Reset(_) => Some(0),
        Record::HardState(_) | Record::Padding(_) => None,
    };
    records.iter().filter_map(index).min().unwrap_or(Index::MAX)
}

fn push_records<'a>(write: &'a Write, records: &mut Vec<Record<'a>>) {
    if let Some(meta) = &write.snapshot {
        records.push(Record::Reset(meta.last));
    }
    if let Some(hard_state) = write.hard_state {
        records.push(Record::HardState(hard_state));
    }
    records.extend(write.entries.iter().map(Record::Entry));
}
