//! Three nodes with a large keyspace, and what has to be known and done to make a snapshot come
//! when it is wanted.
//!
//! Values of a kilobyte make up the size. Beside them are as many keys again as are written by the
//! load, with short values: spread over the whole keyspace as all keys are, so that writing them
//! while a view is held copies as much of it as any writes would, and the size stays what it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::Fallible;
use crate::load::{Load, Pace, fill};
use crate::peers::{Peer, Protocol, System, settle};
use crate::process::wait_for;

/// The keys that the load writes, and the size of their values.
const KEYS: u64 = 200_000;
const VALUE_BYTES: usize = 64;
/// The values that make up the size.
const BULK_VALUE_BYTES: usize = 1_000;
/// What a snapshot, and the log, have of such a key, about.
const BULK_KEY_BYTES: f64 = 1_040.0;
/// Keys that are written before it is looked how long the log is: some megabytes.
const BULK_STEP: u64 = 4_096;
/// At this length of the log since the last snapshot one is due, however large the last was.
const LOG_BYTES_MAX: u64 = 256 << 20;
/// What is shown of a log.
const LOG_LINES: usize = 20;
/// A snapshot takes no longer.
const SNAPSHOT_MAX: Duration = Duration::from_secs(300);
/// The filling waits where the log is longer: writes are refused at twice the length.
const LOG_BYTES_PATIENCE: u64 = LOG_BYTES_MAX * 3 / 2;

/// The cluster, and how much of it was written.
pub(crate) struct Group {
    pub(crate) peer: Peer,
    bulk: std::ops::Range<u64>,
    /// The next of the large values to be written again.
    next: u64,
}

impl Group {
    /// Starts the cluster and fills it.
    pub(crate) fn start(gigabytes: f64) -> Fallible<Self> {
        let peer = Peer::start(System::Raftkv, 3)?.ok_or("there is no raftkv")?;
        let bulk = KEYS..KEYS + (gigabytes * 1e9 / BULK_KEY_BYTES) as u64;
        let mut group = Self { peer, next: bulk.start, bulk };
        eprintln!("{KEYS} keys of {VALUE_BYTES} B, {} of {BULK_VALUE_BYTES} B", group.bulk_keys());
        fill(&group.peer, VALUE_BYTES, 0, KEYS)?;
        for _ in 0..group.bulk_keys().div_ceil(BULK_STEP) {
            group.write_bulk()?;
        }
        group.settle()?;
        Ok(group)
    }

    /// Prints what the nodes said last.
    pub(crate) fn print_logs(&mut self) {
        let nodes = self.peer.nodes().map(|(nodes, _)| &*nodes).unwrap_or_default();
        for node in nodes {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("--- the last lines of {}:\n{}", node.id, tail.join("\n"));
        }
    }

    fn bulk_keys(&self) -> u64 {
        self.bulk.end - self.bulk.start
    }

    /// Returns the load of single writes to the small keys.
    pub(crate) fn load(&self, pace: Pace, time: Duration) -> Load {
        Load {
            protocol: Protocol::Resp,
            connections: 50,
            pipeline: 1,
            reads_percent: 0,
            value_bytes: VALUE_BYTES,
            keys: KEYS,
            pace,
            time,
        }
    }

    /// Writes the next few of the large values again.
    pub(crate) fn write_bulk(&mut self) -> Fallible<()> {
        wait_for("a snapshot that lets the log be cut", || {
            (self.log_bytes() < LOG_BYTES_PATIENCE).then_some(())
        });
        let end = (self.next + BULK_STEP).min(self.bulk.end);
        fill(&self.peer, BULK_VALUE_BYTES, self.next, end)?;
        self.next = if end == self.bulk.end { self.bulk.start } else { end };
        Ok(())
    }

    /// Lets the log grow until so many bytes are missing to the next snapshot, and everything come
    /// to rest.
    pub(crate) fn approach_snapshot(&mut self, missing: u64) -> Fallible<()> {
        let far = self.limit()?.saturating_sub(missing);
        if self.log_bytes() > far {
            self.pass_snapshot()?;
        }
        while self.log_bytes() < far {
            self.write_bulk()?;
        }
        self.settle()
    }

    /// Lets the log grow until the leader has written a snapshot.
    pub(crate) fn pass_snapshot(&mut self) -> Fallible<()> {
        let before = self.number("snapshot_index");
        while self.number("snapshot_index") == before {
            self.write_bulk()?;
        }
        self.settle()
    }

    /// Waits until no node writes a snapshot, and what was written is on the disk.
    pub(crate) fn settle(&mut self) -> Fallible<()> {
        let dirs = self.snapshot_dirs();
        let deadline = Instant::now() + SNAPSHOT_MAX;
        // A node that has nothing else to do takes its time.
        while dirs.iter().any(|dir| is_written_to(dir)) {
            if Instant::now() > deadline {
                return Err("a snapshot does not come to an end".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        rustix::fs::sync();
        settle(std::slice::from_ref(&self.peer))
    }

    /// Returns at which length of the log a snapshot is due.
    pub(crate) fn limit(&mut self) -> Fallible<u64> {
        Ok(self.snapshot_bytes()?.min(LOG_BYTES_MAX))
    }

    /// Returns the size of the leader's newest snapshot.
    pub(crate) fn snapshot_bytes(&mut self) -> Fallible<u64> {
        let (_, leader) = self.peer.nodes().ok_or("no nodes")?;
        let mut newest = (String::new(), 0);
        for file in fs::read_dir(&self.snapshot_dirs()[leader])? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".tmp") && name > newest.0 {
                newest = (name, file.metadata()?.len());
            }
        }
        Ok(newest.1)
    }

    /// Returns where each node has its snapshots.
    pub(crate) fn snapshot_dirs(&mut self) -> Vec<PathBuf> {
        let nodes = self.peer.nodes().map(|(nodes, _)| &*nodes).unwrap_or_default();
        nodes.iter().map(|node| node.data_dir.join("snapshots")).collect()
    }

    /// Returns the bytes of log that the leader holds in memory.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.number("log_bytes")
    }

    /// Returns a number of the leader's status.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.status()[name].as_u64().unwrap_or_default()
    }

    pub(crate) fn status(&self) -> Json {
        wait_for("the leader's status", || self.peer.status())
    }
}

/// Returns whether a snapshot is being written to this directory.
pub(crate) fn is_written_to(dir: &Path) -> bool {
    let Ok(mut files) = fs::read_dir(dir) else { return false };
    files.any(|file| {
        file.is_ok_and(|file| file.file_name().to_string_lossy().ends_with("-written.tmp"))
    })
}
