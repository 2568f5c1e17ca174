//! What a server gets back from its disk when it starts.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader};

use raftkv_storage::Error;
use raftkv_storage::data_dir::DataDir;
use raftkv_storage::fs::Place;
use raftkv_storage::keyspace::Keyspace;
use raftkv_storage::snapshot::{self, Latest, SnapshotReader};
use raftkv_storage::types::{ClusterId, Configuration, Entry, EntryId, HardState, Payload};
use raftkv_storage::wal::{self, Record, Wal, WalOptions};

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

/// Gives back what was promised before the restart, or says what is damaged.
pub fn recover(data_dir: DataDir, options: WalOptions) -> Result<Opened, Error> {
    let found = read(&data_dir, options)?;
    reconcile(data_dir, found)
}

/// Sets aside what is damaged, and gives back the rest, of which the core then knows that it is not
/// all. What is whole is recovered as ever.
///
/// Of what the server has forgotten it can get back everything but its vote. That stands in two
/// places, in VOTE and in the log; when neither can be believed, there is no repair.
pub fn repair(mut data_dir: DataDir, options: WalOptions) -> Result<Opened, Error> {
    loop {
        let error = match read(&data_dir, options.clone()) {
            Err(error) if error.is_damage() => error,
            Err(error) => return Err(error),
            Ok(found) => {
                if found.log == wal::Recovered::default() {
                    data_dir.check_vote()?;
                }
                return reconcile(data_dir, found);
            }
        };
        let dirs = [data_dir.wal_dir(), data_dir.snapshot_dir()];
        let damaged =
            dirs.iter().find(|dir| error.path().is_some_and(|path| path.starts_with(dir)));
        let Some(damaged) = damaged.filter(|_| data_dir.check_vote().is_ok()) else {
            return Err(error);
        };
        let aside = data_dir.set_aside(damaged)?;
        tracing::warn!(%error, aside = %aside.display(), "damaged, and set aside");
    }
}

/// What the files hold, when they fit each other.
struct Found {
    newest: Option<Latest>,
    keyspace: Keyspace,
    wal: Wal,
    log: wal::Recovered,
}

/// Reads the newest snapshot and the log, and checks that the one reaches the other.
fn read(data_dir: &DataDir, options: WalOptions) -> Result<Found, Error> {
    let newest = snapshot::latest(data_dir.snapshot_dir())?;
    let keyspace = match &newest {
        None => Keyspace::default(),
        Some(Latest { place, .. }) => {
            restore(&mut SnapshotReader::open(place)?).map_err(Error::reading(place))?
        }
    };
    let wal_dir = data_dir.wal_dir();
    let (wal, log) = Wal::open(&wal_dir, options)?;
    let is_known = data_dir.cluster().is_some() && !data_dir.is_recovering();
    if is_known && log == wal::Recovered::default() {
        return Err(Error::missing(&wal_dir, "the log is gone"));
    }
    let last = newest.as_ref().map_or(EntryId::default(), |newest| newest.meta.last);
    if let Some(Latest { newest, .. }) = &newest
        && *newest != last
        && !holds(log.base, &log.entries, *newest)
    {
        snapshot::verify_newest(data_dir.snapshot_dir())?;
    }
    if log.base.index > last.index {
        // It may be there and be bad; then that is what is wrong.
        if data_dir.snapshot_dir().is_there()? {
            snapshot::verify_newest(data_dir.snapshot_dir())?;
        }
        let reason = format!(
            "the log begins after entry {}, but the newest whole snapshot ends at {last}: a \
             snapshot is missing",
            log.base,
        );
        return Err(Error::missing(&wal_dir, reason));
    }
    Ok(Found { newest, keyspace, wal, log })
}

/// Lets the log, VOTE and IDENTITY say the same, durably, and hands everything over.
fn reconcile(mut data_dir: DataDir, found: Found) -> Result<Opened, Error> {
    let Found { newest, keyspace, mut wal, log } = found;
    let mut records = Vec::new();
    // The process may have ended between the one and the other; nothing was promised then.
    let hard_state = later(&data_dir, log.hard_state)?;
    if hard_state != log.hard_state {
        records.push(Record::HardState(hard_state));
    }
    // Without IDENTITY nobody knows whether there was a log.
    let is_recovering =
        data_dir.is_recovering() || (!data_dir.has_identity() && log == wal::Recovered::default());
    let last = newest.as_ref().map_or(EntryId::default(), |newest| newest.meta.last);
    let (base, entries) = if holds(log.base, &log.entries, last) {
        (log.base, log.entries)
    } else {
        // The process ended after an installed snapshot was in place and before the log said so.
        // Now it does.
        records.push(Record::Reset(last));
        (last, Vec::new())
    };
    if !records.is_empty() {
        wal.append(&records)?;
        wal.sync()?;
    }
    let keys = keyspace.view().len();
    tracing::info!(snapshot = %last, entries = entries.len(), keys, is_recovering, "recovered");
    let (snapshot, meta) = newest.map(|newest| (newest.place, newest.meta)).unzip();
    let promised_us = data_dir.promise_us();
    let recovered =
        Recovered { hard_state, snapshot: meta, base, entries, is_recovering, promised_us };
    check_cluster(&data_dir, &wal, &recovered)?;
    data_dir.record_vote(hard_state, is_recovering)?;
    data_dir.record_identity(wal.cluster())?;
    Ok(Opened { data_dir, wal, recovered, keyspace, snapshot })
}

/// Returns the later of the states that VOTE and the log have.
fn later(data_dir: &DataDir, logged: HardState) -> Result<HardState, Error> {
    let voted = data_dir.hard_state();
    let both = [voted, logged];
    if voted.term == logged.term && both.iter().all(|state| state.vote.is_some()) && voted != logged
    {
        let reason = format!("it has {logged:?}, and VOTE has {voted:?}");
        return Err(Error::refused(&data_dir.wal_dir(), reason));
    }
    let latest = both.into_iter().max_by_key(|state| (state.term, state.vote.is_some()));
    Ok(latest.unwrap_or_default())
}

/// Rebuilds the keyspace that a snapshot holds, ours or a leader's: all of its bytes, and nothing
/// of later entries than it says. Those that follow it would be applied to such a keyspace twice.
pub fn restore(snapshot: &mut SnapshotReader) -> io::Result<Keyspace> {
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
fn check_cluster(data_dir: &DataDir, wal: &Wal, recovered: &Recovered) -> Result<(), Error> {
    let recorded = data_dir.cluster();
    let held = last_configuration(recovered).and_then(|configuration| configuration.cluster);
    let known = [recorded, wal.cluster(), held].into_iter().flatten().collect::<BTreeSet<_>>();
    // What is recorded was committed, so a log that does not say it is not the log it was.
    let lacks_it = recorded.is_some() && held.is_none() && !recovered.is_recovering;
    if known.len() > 1 || lacks_it {
        let name =
            |id: Option<ClusterId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let reason = format!(
            "the log is of cluster {}, its segments of {}, and the directory of {}",
            name(held),
            name(wal.cluster()),
            name(recorded),
        );
        return Err(Error::refused(&data_dir.wal_dir(), reason));
    }
    Ok(())
}
