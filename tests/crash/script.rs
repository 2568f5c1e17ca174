//! What happens to a node's disk, as a list of steps, and what it holds after each of them.
//!
//! Log and snapshots have histories of their own: a snapshot is written beside a log that is not
//! synced yet. Each step says how far it takes either.

use bytes::Bytes;
use raftkv_storage::keyspace::Keyspace;
use raftkv_storage::keyspace::command::{Batch, Stamp, lookup};
use raftkv_storage::types::{
    ClusterId, Configuration, Entry, EntryId, HardState, NodeId, Payload, SnapshotMeta,
};

use crate::disk::Random;

pub(crate) const CLUSTER: ClusterId = ClusterId(0x00c0_ffee);

pub(crate) fn node() -> NodeId {
    "A".parse().unwrap()
}

/// What is appended, with its own data.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    HardState(HardState),
    Entry(Entry),
    Reset(EntryId),
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Append(Vec<Item>),
    Sync,
    Mark,
    /// Write a snapshot of our own.
    Snapshot(SnapshotMeta),
    /// Take down a leader's snapshot and put it in place.
    Install(SnapshotMeta),
    Compact(u64),
    RecordCluster,
    /// Mark, close, and open again.
    Reopen,
}

/// How far the histories have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) log: usize,
    pub(crate) snapshot: usize,
    pub(crate) cluster: usize,
}

/// The log, as if nothing were ever compacted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) hard_state: HardState,
    pub(crate) base: EntryId,
    pub(crate) entries: Vec<Entry>,
}

impl Log {
    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    pub(crate) fn holds(&self, id: EntryId) -> bool {
        id == self.base || self.entries.iter().any(|entry| entry.id == id)
    }

    fn put(&mut self, item: &Item) {
        match item {
            Item::HardState(hard_state) => self.hard_state = *hard_state,
            Item::Entry(entry) => {
                self.entries.retain(|kept| kept.id.index < entry.id.index);
                self.entries.push(entry.clone());
            }
            Item::Reset(id) => {
                self.base = *id;
                self.entries.clear();
            }
        }
    }
}

/// Steps, and every state that they pass through.
pub(crate) struct Script {
    /// Each with how far it leads.
    pub(crate) steps: Vec<(Step, Mark)>,
    /// After each item that was appended.
    pub(crate) logs: Vec<Log>,
    /// After each snapshot: where it ends.
    pub(crate) snapshots: Vec<EntryId>,
}

/// Returns what a snapshot up to this entry contains.
pub(crate) fn keyspace(last: EntryId) -> Keyspace {
    let mut keyspace = Keyspace::default();
    if last.index > 0 {
        let mut batch = Batch::new();
        let spec = lookup(b"SET").unwrap();
        // Longer than a sector, so that a part of it can be missing.
        let value = format!("{last} ").repeat(150);
        batch.push(spec, &[b"SET", b"k", value.as_bytes()]);
        let (_, payload) = batch.into_parts(Stamp { time_ms: 1, seed: 1 });
        keyspace.apply(last.index, &payload.unwrap());
    }
    keyspace
}

pub(crate) fn configuration() -> Configuration {
    Configuration { cluster: Some(CLUSTER), ..Configuration::bootstrap([node()]) }
}

struct Author {
    random: Random,
    script: Script,
    log: Log,
    mark: Mark,
    /// No entry up to here is ever replaced.
    floor: EntryId,
    synced: bool,
}

impl Script {
    /// Writes the script of this seed. Each kind of step is in it.
    pub(crate) fn new(seed: u64, steps: usize) -> Self {
        let script = Self {
            steps: Vec::new(),
            logs: vec![Log::default()],
            snapshots: vec![EntryId::default()],
        };
        let mut author = Author {
            random: Random::new(seed),
            script,
            log: Log::default(),
            mark: Mark::default(),
            floor: EntryId::default(),
            synced: true,
        };
        author.begin();
        for at in 0..steps {
            let kind = if at < 9 { at } else { author.random.below(9) };
            author.write(kind);
        }
        author.sync();
        author.script
    }
}

impl Author {
    fn step(&mut self, step: Step) {
        self.script.steps.push((step, self.mark));
    }

    fn append(&mut self, items: Vec<Item>) {
        for item in &items {
            self.log.put(item);
            self.script.logs.push(self.log.clone());
        }
        self.mark.log += items.len();
        self.synced = false;
        self.step(Step::Append(items));
    }

    fn sync(&mut self) {
        if !self.synced {
            self.synced = true;
            self.step(Step::Sync);
        }
    }

    fn begin(&mut self) {
        let id = EntryId { term: 1, index: 1 };
        let payload = Payload::Configuration(configuration());
        let hard_state = HardState { term: 1, vote: Some(node()) };
        self.append(vec![Item::HardState(hard_state), Item::Entry(Entry { id, payload })]);
        self.sync();
        self.floor = id;
        self.mark.cluster = 1;
        self.step(Step::RecordCluster);
    }

    fn write(&mut self, kind: usize) {
        match kind {
            0 | 1 => self.entries(6),
            // Enough for another segment.
            2 => {
                self.entries(2);
                self.entries(9);
            }
            3 => self.replace(),
            4 => self.vote(),
            5 => self.snapshot(),
            6 => {
                self.sync();
                self.step(Step::Compact(self.script.snapshots[self.mark.snapshot].index));
            }
            7 => self.install(),
            _ => {
                self.sync();
                let step = if self.random.coin() { Step::Reopen } else { Step::Mark };
                self.step(step);
            }
        }
        if self.random.below(4) != 0 {
            self.sync();
        }
    }

    fn entries(&mut self, most: usize) {
        let count = 1 + self.random.below(most);
        let items = (0..count).map(|more| {
            let index = self.log.last().index + 1 + more as u64;
            let id = EntryId { term: self.log.hard_state.term, index };
            let length = match self.random.below(8) {
                0 => 0,
                1 => 3000 + self.random.below(5000),
                _ => 20 + self.random.below(400),
            };
            let payload = if length == 0 {
                Payload::Noop
            } else {
                let mut bytes = format!("{id}:").into_bytes();
                bytes.resize(length, self.random.below(256) as u8);
                Payload::Command(Bytes::from(bytes))
            };
            Item::Entry(Entry { id, payload })
        });
        let items = items.collect();
        self.append(items);
    }

    fn vote(&mut self) {
        let term = self.log.hard_state.term + 1;
        let vote = self.random.coin().then(node);
        self.append(vec![Item::HardState(HardState { term, vote })]);
    }

    /// Cuts the tail, as far as it may be, and writes another.
    fn replace(&mut self) {
        self.vote();
        let free = self.log.last().index - self.floor.index;
        if free == 0 {
            return self.entries(3);
        }
        let index = self.floor.index + 1 + self.random.below(free as usize) as u64;
        let id = EntryId { term: self.log.hard_state.term, index };
        let payload = Payload::Command(Bytes::from(format!("instead {id}")));
        self.append(vec![Item::Entry(Entry { id, payload })]);
    }

    fn snapshot(&mut self) {
        self.sync();
        let free = self.log.last().index - self.floor.index;
        if free == 0 {
            return;
        }
        let index = self.floor.index + 1 + self.random.below(free as usize) as u64;
        let last = self.log.entries.iter().find(|entry| entry.id.index == index).unwrap().id;
        // More of the log may be on its way while the snapshot is written.
        if self.random.coin() {
            self.entries(3);
        }
        self.snapshot_step(last, Step::Snapshot);
    }

    fn install(&mut self) {
        self.sync();
        let more = 1 + self.random.below(20) as u64;
        let term = self.log.hard_state.term;
        let last = EntryId { term, index: self.log.last().index + more };
        self.snapshot_step(last, Step::Install);
        self.append(vec![Item::Reset(last)]);
        self.sync();
    }

    fn snapshot_step(&mut self, last: EntryId, step: fn(SnapshotMeta) -> Step) {
        self.floor = last;
        self.script.snapshots.push(last);
        self.mark.snapshot += 1;
        self.step(step(SnapshotMeta { last, configuration: configuration() }));
    }
}
