//! A process that carries out a script on the simulated disk, and what may be found when it is
//! gone.

use std::io::{Read, Write as _};

use raftkv::persist::{self, Opened};
use raftkv_storage::Error;
use raftkv_storage::data_dir::DataDir;
use raftkv_storage::fs::FileReader;
use raftkv_storage::snapshot::{SnapshotReader, SnapshotReceiver};
use raftkv_storage::types::{Entry, EntryId, HardState, Payload, SnapshotMeta};
use raftkv_storage::wal::{Record, SEGMENT_BYTES_MIN, WalOptions};

use crate::disk::{SimDisk, Survival};
use crate::script::{CLUSTER, Item, Mark, Script, Step, keyspace, node};

pub(crate) const DATA: &str = "/data/A";

/// Opens the directory and recovers what it holds, as a process does that starts.
pub(crate) fn recover(disk: &SimDisk) -> Result<Opened, Error> {
    persist::recover(DataDir::open(disk.place(DATA), node())?, options())
}

/// The same, for a directory that is damaged.
pub(crate) fn repair(disk: &SimDisk) -> Result<Opened, Error> {
    persist::repair(DataDir::open_for_repair(disk.place(DATA), node())?, options())
}

fn options() -> WalOptions {
    WalOptions { segment_bytes: SEGMENT_BYTES_MIN, prepare_ahead: false, ..WalOptions::new(node()) }
}

/// What a recovery has given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) hard_state: HardState,
    pub(crate) snapshot: EntryId,
    pub(crate) digest: u128,
    pub(crate) base: EntryId,
    pub(crate) entries: Vec<Entry>,
    pub(crate) cluster: bool,
}

impl Seen {
    pub(crate) fn new(opened: &Opened) -> Self {
        let recovered = &opened.recovered;
        Self {
            hard_state: recovered.hard_state,
            snapshot: recovered.snapshot.as_ref().map_or(EntryId::default(), |meta| meta.last),
            digest: opened.keyspace.view().digest(),
            base: recovered.base,
            entries: recovered.entries.clone(),
            cluster: opened.data_dir.cluster().is_some(),
        }
    }

    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    /// Returns whether the log follows the snapshot without a gap.
    fn is_whole(&self) -> bool {
        let mut index = self.base.index;
        self.base.index <= self.snapshot.index
            && self.digest == keyspace(self.snapshot).view().digest()
            && self.last().index >= self.snapshot.index
            && self.entries.iter().all(|entry| {
                index += 1;
                entry.id.index == index
            })
    }

    /// Returns whether this is exactly what the script had made of the disk at that point, but for
    /// entries that are in the snapshot.
    fn is(&self, script: &Script, at: Mark) -> bool {
        let (log, snapshot) = (&script.logs[at.log], script.snapshots[at.snapshot]);
        if !self.is_whole()
            || self.hard_state != log.hard_state
            || self.snapshot != snapshot
            || self.cluster != (at.cluster == 1)
        {
            return false;
        }
        if !log.holds(snapshot) {
            return self.base == snapshot && self.entries.is_empty();
        }
        log.holds(self.base) && self.last() == log.last() && log.entries.ends_with(&self.entries)
    }

    /// Returns whether nothing is missing that the other has; it may have gone back to an older
    /// snapshot with a log that reaches it.
    pub(crate) fn is_no_less_than(&self, truth: &Self) -> bool {
        let above = |seen: &Self| -> Vec<Entry> {
            let entries = seen.entries.iter();
            entries.filter(|entry| entry.id.index > truth.snapshot.index).cloned().collect()
        };
        self.is_whole()
            && (self.hard_state, self.cluster) == (truth.hard_state, truth.cluster)
            && self.last() == truth.last()
            && above(self) == above(truth)
    }
}

/// How far the script has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reached {
    /// The step under way.
    pub(crate) step: usize,
    /// What was acknowledged.
    pub(crate) acked: Mark,
    /// What was begun.
    pub(crate) begun: Mark,
}

impl Reached {
    /// Checks that what was found is a state between the two; returns which one.
    pub(crate) fn check(&self, script: &Script, seen: &Seen) -> Result<Mark, String> {
        for log in self.acked.log..=self.begun.log {
            for snapshot in self.acked.snapshot..=self.begun.snapshot {
                for cluster in self.acked.cluster..=self.begun.cluster {
                    let mark = Mark { log, snapshot, cluster };
                    if seen.is(script, mark) {
                        return Ok(mark);
                    }
                }
            }
        }
        let (acked, log) = (self.acked, &script.logs[self.acked.log]);
        let snapshot = script.snapshots[acked.snapshot];
        Err(format!(
            "found {:?} snapshot {} log {}..{} whole={} cluster={}\n acknowledged {acked:?} {:?} \
             snapshot {snapshot} last {}\n begun {:?} last {}",
            seen.hard_state,
            seen.snapshot,
            seen.base,
            seen.last(),
            seen.is_whole(),
            seen.cluster,
            log.hard_state,
            log.last(),
            self.begun,
            script.logs[self.begun.log].last(),
        ))
    }
}

/// A process on its way through a script.
pub(crate) struct Life<'a> {
    disk: &'a SimDisk,
    script: &'a Script,
    pub(crate) opened: Option<Opened>,
    pub(crate) reached: Reached,
}

impl<'a> Life<'a> {
    pub(crate) fn new(disk: &'a SimDisk, script: &'a Script) -> Self {
        Self { disk, script, opened: None, reached: Reached::default() }
    }

    fn open(&mut self) -> anyhow::Result<()> {
        self.opened = Some(recover(self.disk)?);
        Ok(())
    }

    /// Carries out all steps, up to the first that fails.
    pub(crate) fn run(&mut self) -> anyhow::Result<()> {
        while self.advance()? {}
        Ok(())
    }

    /// Opens, or carries out the next step; returns false when there is none.
    pub(crate) fn advance(&mut self) -> anyhow::Result<bool> {
        if self.opened.is_none() {
            self.open()?;
        } else if self.reached.step < self.script.steps.len() {
            self.step()?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Carries out the next step. When it fails it is still the next one.
    fn step(&mut self) -> anyhow::Result<()> {
        let (step, mark) = &self.script.steps[self.reached.step];
        let begun = std::mem::replace(&mut self.reached.begun, *mark);
        if matches!(step, Step::Reopen) {
            self.opened().wal.mark()?;
            self.opened = None;
            self.open()?;
            self.check();
        } else if let Err(error) = self.carry_out(step, *mark) {
            let refused = matches!(step, Step::Append(_))
                && error.is_no_space()
                && !self.opened().wal.is_poisoned();
            if refused {
                // Nothing has changed.
                self.reached.begun = begun;
            }
            return Err(error.into());
        }
        self.reached.step += 1;
        let acked = &mut self.reached.acked;
        match step {
            // A roll may have made some of it durable; nobody was told.
            Step::Append(_) | Step::Compact(_) => {}
            Step::Snapshot(_) | Step::Install(_) => acked.snapshot = mark.snapshot,
            Step::RecordCluster => acked.cluster = mark.cluster,
            Step::Sync | Step::Mark | Step::Reopen => acked.log = mark.log,
        }
        Ok(())
    }

    fn opened(&mut self) -> &mut Opened {
        self.opened.as_mut().expect("the process is open")
    }

    /// A snapshot that could not be read just now is passed over, as long as the log reaches the
    /// one before.
    fn check(&mut self) {
        let seen = Seen::new(self.opened());
        if let Err(reason) = self.reached.check(self.script, &seen) {
            let at = self.reached.acked;
            let log = &self.script.logs[at.log];
            let older =
                (0..at.snapshot).any(|snapshot| seen.is(self.script, Mark { snapshot, ..at }));
            let reaches = log.holds(self.script.snapshots[at.snapshot]);
            assert!(older && reaches, "after a clean restart: {reason}");
        }
    }

    fn carry_out(&mut self, step: &Step, mark: Mark) -> Result<(), Error> {
        let hard_state = self.script.logs[mark.log].hard_state;
        let opened = self.opened();
        match step {
            Step::Append(items) => {
                let records: Vec<_> = items.iter().map(record).collect();
                opened.wal.append(&records)
            }
            Step::Sync => {
                opened.wal.sync()?;
                opened.data_dir.record_vote(hard_state, false)
            }
            Step::Mark => opened.wal.mark(),
            Step::Compact(through) => opened.wal.compact(*through),
            Step::Snapshot(meta) => {
                let dir = opened.data_dir.snapshot_dir();
                persist::write_snapshot(dir, meta, &keyspace(meta.last).view()).map(|_| ())
            }
            Step::Install(meta) => {
                let dir = opened.data_dir.snapshot_dir();
                let mut receiver = SnapshotReceiver::create(dir, meta)?;
                for chunk in file_of(meta).chunks(700) {
                    receiver.write(receiver.offset(), chunk)?;
                }
                let read = receiver.finish(|reader| reader.read_to_end(&mut Vec::new()));
                read?.0.install().map(|_| ())
            }
            Step::RecordCluster => {
                opened.data_dir.record_identity(Some(CLUSTER))?;
                opened.wal.set_cluster(CLUSTER);
                Ok(())
            }
            Step::Reopen => unreachable!("whoever carries out steps closes and opens by itself"),
        }
    }
}

fn record(item: &Item) -> Record<'_> {
    match item {
        Item::HardState(hard_state) => Record::HardState(*hard_state),
        Item::Entry(entry) => Record::Entry(entry),
        Item::Reset(id) => Record::Reset(*id),
    }
}

/// Returns the file that a leader has of this snapshot.
pub(crate) fn file_of(meta: &SnapshotMeta) -> Vec<u8> {
    let leader = SimDisk::new(0);
    let view = keyspace(meta.last).view();
    let file = persist::write_snapshot(leader.place("/snapshots"), meta, &view).unwrap();
    assert_eq!(SnapshotReader::open(&file).unwrap().meta(), meta);
    let mut bytes = Vec::new();
    FileReader::new(file.open().unwrap()).read_to_end(&mut bytes).unwrap();
    bytes.flush().unwrap();
    bytes
}

/// Recovers, cuts the power, and recovers again: what was handed out must have been durable. Then,
/// as if the power had stayed, goes on where the first recovery left the log, and cuts it then: all
/// must be there. Returns what was found.
pub(crate) fn recover_and_go_on(disk: &SimDisk, recoveries: &mut u64) -> Result<Seen, String> {
    let before = disk.clone_state();
    let open = |when: &str| recover(disk).map_err(|error| format!("refused {when}: {error:#}"));
    let found = Seen::new(&open("at first")?);
    disk.crash(Survival::LoseAll);
    let again = Seen::new(&open("the second time")?);
    if again != found {
        return Err(format!("recovered {found:?}\n and then {again:?}"));
    }
    disk.restore(&before);
    let mut opened = open("as before")?;
    let id = EntryId { term: found.hard_state.term + 1, index: found.last().index + 1 };
    let entry = Entry { id, payload: Payload::Noop };
    let hard_state = HardState { term: id.term, vote: None };
    let records = [Record::HardState(hard_state), Record::Entry(&entry)];
    let written = opened.wal.append(&records).and_then(|()| opened.wal.sync());
    written.map_err(|error| format!("cannot go on: {error:#}"))?;
    disk.crash(Survival::LoseAll);
    drop(opened);
    let last = Seen::new(&open("after it went on")?);
    *recoveries += 4;
    let mut expected = found.clone();
    expected.hard_state = hard_state;
    expected.entries.push(entry);
    if last != expected {
        return Err(format!("went on to {expected:?}\n and found {last:?}"));
    }
    Ok(found)
}
