//! The disk thread: carries out what has gathered, then looks what has gathered meanwhile.
//!
//! Only this thread touches the mapped log: a page fault may block for as long as a disk does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use raftkv_storage::Error;
use raftkv_storage::snapshot::Received;
use raftkv_storage::types::{ClusterId, Index};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::persist::{Job, Progress, Queue, Writer, Written};
use crate::raft::{Envelope, Write};

/// How long the thread waits before it looks again whether a full disk has room.
const NO_SPACE_RETRY: Duration = Duration::from_millis(200);
/// The thread marks the end of the log when nothing came for so long.
const QUIET: Duration = Duration::from_millis(20);
/// The most bytes of entries that wait for the disk before proposals are refused.
const PENDING_BYTES_MAX: usize = 64 << 20;

/// A disk that is given something to do and reports nothing for so long hangs.
const HUNG: Duration = Duration::from_secs(3);

/// What the disk thread reports to the driver.
#[derive(Debug)]
pub(crate) enum Done {
    /// Writes are durable.
    Written(Written),
    /// The disk failed. Nothing that was not reported durable is; the process must end.
    Failed(Error),
}

/// The driver's end of the disk thread.
#[derive(Debug)]
pub(crate) struct Disk {
    jobs: Option<Sender<Job>>,
    queue: Queue,
    /// Since when the disk has had something to do, or when it last reported meanwhile.
    busy_since: Option<Instant>,
    full: Arc<AtomicBool>,
    /// Ends with whether everything handed over was made durable.
    thread: Option<JoinHandle<bool>>,
}

impl Disk {
    /// Starts the thread. It reports to `done`, and ends after a failure, or when this handle is
    /// closed; with it ends the lock on the directory.
    pub(crate) fn start(writer: Writer, done: UnboundedSender<Done>) -> std::io::Result<Self> {
        let (jobs, receiver) = channel();
        let full = Arc::new(AtomicBool::new(false));
        let thread = DiskThread { writer, jobs: receiver, done, full: Arc::clone(&full) };
        let thread = std::thread::Builder::new().name("disk".into()).spawn(move || thread.run())?;
        Ok(Self {
            jobs: Some(jobs),
            queue: Queue::default(),
            busy_since: None,
            full,
            thread: Some(thread),
        })
    }

    /// Makes `write` durable and then releases `promises`. Returns the promises that may leave at
    /// once, because no write stands before them.
    pub(crate) fn write(
        &mut self,
        write: Write,
        received: Option<Received>,
        promises: Vec<Envelope>,
    ) -> Vec<Envelope> {
        let (job, free) = self.queue.write(write, received, promises);
        if let Some(job) = job {
            self.busy_since.get_or_insert_with(Instant::now);
            self.send(job);
        }
        free
    }

    /// Takes note that writes were reported.
    pub(crate) fn written(&mut self, written: &Written) {
        self.queue.written(written);
        self.busy_since = self.queue.is_waiting().then(Instant::now);
    }

    /// Drops what a durable snapshot covers.
    pub(crate) fn compact(&self, through: Index) {
        self.send(Job::Compact(through));
    }

    /// Records to which cluster the data belongs.
    pub(crate) fn set_cluster(&self, cluster: ClusterId) {
        self.send(Job::SetCluster(cluster));
    }

    /// Returns whether more is waiting for the disk than may be held in memory. A leader whose own
    /// disk hangs can still commit through its followers, so nothing else would slow it down.
    pub(crate) fn is_behind(&self) -> bool {
        self.queue.pending_bytes() > PENDING_BYTES_MAX
    }

    /// Returns whether the disk hangs. A leader whose own disk hangs can still commit, as long as
    /// all its followers are well; another one does not depend on that.
    pub(crate) fn is_hung(&self) -> bool {
        self.busy_since.is_some_and(|since| since.elapsed() >= HUNG) && !self.is_full()
    }

    /// Returns whether the disk has no room for the next segment of the log.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Finishes what was handed over, ends the thread, and returns whether all of it is durable.
    pub(crate) fn close(&mut self) -> bool {
        self.jobs = None;
        // Why it failed, or the panic, was said by the thread.
        self.thread.take().is_none_or(|thread| thread.join().unwrap_or(false))
    }

    fn send(&self, job: Job) {
        // A thread that ended has reported why; the driver is about to hear it.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }
}

struct DiskThread {
    writer: Writer,
    jobs: Receiver<Job>,
    done: UnboundedSender<Done>,
    full: Arc<AtomicBool>,
}

impl DiskThread {
    fn run(mut self) -> bool {
        self.write_until_closed().map_or_else(
            |error| {
                tracing::error!(%error, "the disk failed");
                let _ = self.done.send(Done::Failed(error));
                false
            },
            |()| true,
        )
    }

    fn write_until_closed(&mut self) -> Result<(), Error> {
        // What was recovered may have been written right before a crash.
        let mut marked = false;
        loop {
            if self.writer.is_idle() {
                let quiet = if marked { Duration::MAX } else { QUIET };
                match self.jobs.recv_timeout(quiet) {
                    Ok(job) => self.writer.push(job),
                    Err(RecvTimeoutError::Timeout) => {
                        self.writer.mark()?;
                        marked = true;
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) if marked => return Ok(()),
                    Err(RecvTimeoutError::Disconnected) => return self.writer.mark(),
                }
            }
            for job in self.jobs.try_iter() {
                self.writer.push(job);
            }
            match self.writer.run()? {
                Progress::Written(written) => {
                    if self.full.swap(false, Ordering::AcqRel) {
                        tracing::info!("there is space for the log again");
                    }
                    marked &= !written.has_writes();
                    let _ = self.done.send(Done::Written(written));
                }
                Progress::Full(error) => self.wait_for_room(error)?,
            }
        }
    }

    /// Waits for what may make room. The driver takes no proposals meanwhile.
    fn wait_for_room(&mut self, error: Error) -> Result<(), Error> {
        if !self.full.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "no space for the log: the node is read-only");
        }
        match self.jobs.recv_timeout(NO_SPACE_RETRY) {
            Ok(job) => self.writer.push(job),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use raftkv_storage::data_dir::DataDir;
    use raftkv_storage::types::{Entry, EntryId, HardState, NodeId, Payload};
    use raftkv_storage::wal::{Wal, WalOptions};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::raft::Message;

    struct Fixture {
        disk: Disk,
        done: UnboundedReceiver<Done>,
        dir: tempfile::TempDir,
    }

    fn node(name: &str) -> NodeId {
        name.parse().unwrap()
    }

    fn options() -> WalOptions {
        WalOptions { segment_bytes: 64 << 10, ..WalOptions::new(node("A")) }
    }

    fn start() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path(), node("A")).unwrap();
        let (wal, _) = Wal::open(data_dir.wal_dir(), options()).unwrap();
        let (sender, done) = unbounded_channel();
        Fixture { disk: Disk::start(Writer::new(data_dir, wal), sender).unwrap(), done, dir }
    }

    fn promise(matched: Index) -> Envelope {
        let message = Message::AppendEntriesResponse { matched };
        Envelope { from: node("A"), to: node("B"), term: 1, message }
    }

    fn entries(range: std::ops::RangeInclusive<Index>) -> Write {
        let entry = |index| Entry { id: EntryId { term: 1, index }, payload: Payload::Noop };
        Write { entries: range.map(entry).collect(), ..Write::default() }
    }

    fn written(done: &mut UnboundedReceiver<Done>) -> Written {
        match done.blocking_recv() {
            Some(Done::Written(written)) => written,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_promise_without_a_write_before_it_is_free() {
        let mut fixture = start();
        let free = fixture.disk.write(Write::default(), None, vec![promise(1)]);
        assert_eq!(free, [promise(1)]);
    }

    /// The rule that no acknowledgement may overtake: not its own write, and not another promise.
    #[test]
    fn promises_queue_behind_every_write_before_them() {
        let mut fixture = start();
        let disk = &mut fixture.disk;
        assert_eq!(disk.write(entries(1..=2), None, vec![promise(2)]), []);
        // No write of its own, but one before it.
        assert_eq!(disk.write(Write::default(), None, vec![promise(3)]), []);
        assert_eq!(disk.write(entries(3..=3), None, vec![promise(4)]), []);
        let mut released = Vec::new();
        let mut persisted = None;
        while released.len() < 3 {
            // Until the driver has sent what is reported, nothing is free.
            assert_eq!(disk.write(Write::default(), None, Vec::new()), []);
            let report = written(&mut fixture.done);
            disk.written(&report);
            released.extend(report.promises);
            persisted = report.persisted.or(persisted);
        }
        assert_eq!(released, [promise(2), promise(3), promise(4)]);
        assert_eq!(persisted, Some(EntryId { term: 1, index: 3 }));
        assert_eq!(disk.write(Write::default(), None, vec![promise(5)]), [promise(5)]);
    }

    #[test]
    fn what_was_reported_is_there_after_a_restart() {
        let mut fixture = start();
        let hard_state = HardState { term: 1, vote: Some(node("B")) };
        let write = Write { hard_state: Some(hard_state), ..entries(1..=3) };
        fixture.disk.write(write, None, vec![promise(3)]);
        // The same turn's tail is replaced by a later one's.
        fixture.disk.write(entries(2..=2), None, vec![promise(2)]);
        fixture.disk.set_cluster(ClusterId(7));
        assert!(fixture.disk.close());
        let data_dir = DataDir::open(fixture.dir.path(), node("A")).unwrap();
        assert_eq!(data_dir.cluster(), Some(ClusterId(7)));
        let (_, recovered) = Wal::open(data_dir.wal_dir(), options()).unwrap();
        assert_eq!(recovered.hard_state, hard_state);
        assert_eq!(recovered.entries, entries(1..=2).entries);
    }

    /// Damage to the last batch must not read as a sync that never returned: the node would come
    /// back without what it acknowledged.
    #[test]
    fn a_quiet_log_is_marked_so_that_damage_to_its_end_is_noticed() {
        let mut fixture = start();
        let secret = Payload::Command(b"precious".repeat(4).into());
        let entry = Entry { id: EntryId { term: 1, index: 1 }, payload: secret };
        let write = Write { entries: vec![entry], ..Write::default() };
        fixture.disk.write(write, None, vec![promise(1)]);
        assert_eq!(written(&mut fixture.done).promises, [promise(1)]);
        assert!(fixture.disk.close());
        let wal_dir = fixture.dir.path().join("wal");
        let files = std::fs::read_dir(&wal_dir).unwrap().map(|file| file.unwrap().path());
        let segment = files.into_iter().find(|file| file.extension().is_some_and(|e| e == "wal"));
        let segment = segment.unwrap();
        let mut bytes = std::fs::read(&segment).unwrap();
        let at = bytes.windows(8).position(|window| window == b"precious").unwrap();
        bytes[at] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        let opened = Wal::open(&wal_dir, options()).map(|_| ());
        assert!(matches!(opened, Err(Error::Corrupt { .. })), "{opened:?}");
    }

    #[test]
    fn a_failure_is_reported_and_nothing_after_it_is_promised() {
        let mut fixture = start();
        let too_large = Payload::Command(vec![0; 1 << 20].into());
        let id = EntryId { term: 1, index: 1 };
        let entries = vec![Entry { id, payload: too_large }];
        fixture.disk.write(Write { entries, ..Write::default() }, None, vec![promise(1)]);
        assert!(matches!(fixture.done.blocking_recv(), Some(Done::Failed(_))));
        assert_eq!(fixture.disk.write(Write::default(), None, vec![promise(2)]), []);
        assert!(fixture.done.blocking_recv().is_none(), "the thread has ended");
        assert!(!fixture.disk.close(), "what was handed over is not durable");
    }
}
