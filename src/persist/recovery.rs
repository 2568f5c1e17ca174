//! What a server gets back from its disk when it starts.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader};

use anyhow::{Context, bail};
use raftkv_storage::data_dir::DataDir;
use raftkv_storage::fs::Place;
use raftkv_storage::keyspace::Keyspace;
use raftkv_storage::snapshot::{self, Latest, SnapshotReader};
use raftkv_storage::types::{ClusterId, Configuration, Entry, EntryId, Payload};
use raftkv_storage::wal::{Record, Wal, WalOptions};

use crate::raft::Recovered;

/// What the disk gave back.
pub struct Opened {
    /// The directory, locked.
    pub data_dir: DataDir,
    /// The log, to go on with.
    pub wal: Wal,
    /// What the core begins with.
    pub recovered: Recovered,
    /// What the newest snapshot contains.
    pub keyspace: Keyspace,
    /// The newest snapshot's file.
    pub snapshot: Option<Place>,
}

/// Reads the newest snapshot and the log, and checks that the one reaches the other.
pub fn recover(data_dir: DataDir, options: WalOptions) -> anyhow::Result<Opened> {
    let newest = snapshot::latest(data_dir.snapshot_dir())?;
    let keyspace = match &newest {
        None => Keyspace::default(),
        Some(Latest { place, .. }) => restore(SnapshotReader::open(place)?)
            .with_context(|| format!("reading {}", place.display()))?,
    };
    let wal_dir = data_dir.wal_dir();
    let (mut wal, log) = Wal::open(&wal_dir, options)?;
    if data_dir.identity().cluster.is_some() && log == raftkv_storage::wal::Recovered::default() {
        bail!(
            "{}: the log is gone; a node that has forgotten its promises must not come back under \
             its old name",
            wal_dir.display(),
        );
    }
    let last = newest.as_ref().map_or(EntryId::default(), |newest| newest.meta.last);
    if let Some(Latest { newest, .. }) = &newest
        && *newest != last
        && !holds(log.base, &log.entries, *newest)
    {
        bail!(
            "{}: the snapshot that ends at {newest} is damaged, and the log does not reach that \
             far: restore it, or replace this node",
            data_dir.snapshot_dir().display(),
        );
    }
    if log.base.index > last.index {
        let missing = format!(
            "{}: the log begins after entry {}, but the newest whole snapshot ends at {last}: a \
             snapshot is missing; restore it, or replace this node",
            wal_dir.display(),
            log.base,
        );
        // It may be there and be bad; then that is what is wrong.
        if data_dir.snapshot_dir().is_there()? {
            snapshot::verify_newest(data_dir.snapshot_dir()).context(missing.clone())?;
        }
        bail!(missing);
    }
    let (base, entries) = if holds(log.base, &log.entries, last) {
        (log.base, log.entries)
    } else {
        // The process ended after an installed snapshot was in place and before the log said so.
        // Now it does.
        wal.append(&[Record::Reset(last)])?;
        wal.sync()?;
        (last, Vec::new())
    };
    let keys = keyspace.view().len();
    tracing::info!(snapshot = %last, entries = entries.len(), keys, "recovered");
    let (snapshot, meta) = newest.map(|newest| (newest.place, newest.meta)).unzip();
    let recovered = Recovered { hard_state: log.hard_state, snapshot: meta, base, entries };
    check_cluster(&data_dir, &wal, &recovered)?;
    Ok(Opened { data_dir, wal, recovered, keyspace, snapshot })
}

/// Rebuilds the keyspace that a snapshot holds, ours or a leader's: all of its bytes, and nothing
/// of later entries than it says. Those that follow it would be applied to such a keyspace twice.
pub fn restore(snapshot: SnapshotReader) -> io::Result<Keyspace> {
    let invalid = |reason: String| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    let last = snapshot.meta().last;
    let mut reader = BufReader::new(snapshot);
    let keyspace = Keyspace::read_from(&mut reader)?;
    if keyspace.applied() > last.index {
        let applied = keyspace.applied();
        return invalid(format!(
            "the keyspace is that of entry {applied}, the snapshot's is {last}"
        ));
    }
    // At its end the reader has checked that nothing of the file is missing.
    if !reader.fill_buf()?.is_empty() {
        return invalid("the snapshot goes on behind the keyspace".to_owned());
    }
    Ok(keyspace)
}

/// Returns whether the log that follows `base` contains the entry.
fn holds(base: EntryId, entries: &[Entry], id: EntryId) -> bool {
    let offset = usize::try_from(id.index.saturating_sub(base.index)).unwrap_or(usize::MAX);
    match offset.checked_sub(1) {
        None => base == id,
        Some(at) => entries.get(at).is_some_and(|entry| entry.id == id),
    }
}

/// Returns the configuration that the log or the snapshot holds.
pub(crate) fn last_configuration(recovered: &Recovered) -> Option<&Configuration> {
    let logged = recovered.entries.iter().rev().find_map(|entry| match &entry.payload {
        Payload::Configuration(configuration) => Some(configuration),
        _ => None,
    });
    logged.or(recovered.snapshot.as_ref().map(|meta| &meta.configuration))
}

/// Refuses a log that is not the one this directory once had.
fn check_cluster(data_dir: &DataDir, wal: &Wal, recovered: &Recovered) -> anyhow::Result<()> {
    let recorded = data_dir.identity().cluster;
    let held = last_configuration(recovered).and_then(|configuration| configuration.cluster);
    let known = [recorded, wal.cluster(), held].into_iter().flatten().collect::<BTreeSet<_>>();
    // What is recorded was committed, so a log that does not say it is not the log it was.
    if known.len() > 1 || (recorded.is_some() && held.is_none()) {
        let name =
            |id: Option<ClusterId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        bail!(
            "{}: the log is of cluster {}, its segments of {}, and the directory of {}",
            data_dir.wal_dir().display(),
            name(held),
            name(wal.cluster()),
            name(recorded),
        );
    }
    Ok(())
}
