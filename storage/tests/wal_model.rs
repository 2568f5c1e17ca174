//! The log against a list: whatever is appended, replaced, reset, compacted, closed or lost, both
//! hold the same.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use std::path::Path;

use common::{command, directory, id, open, vote};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use raftkv_storage::types::{Entry, EntryId, HardState};
use raftkv_storage::wal::{Record, Recovered, Wal};

#[derive(Clone, Debug)]
enum Step {
    /// So many entries, the first replacing this many of the last, of so many bytes each.
    Append {
        count: u64,
        replace: u64,
        bytes: usize,
    },
    Vote,
    /// A snapshot so far ahead of the last entry was installed.
    Reset {
        ahead: u64,
    },
    Sync,
    /// A snapshot was taken of so many percent of the log.
    Compact {
        percent: u64,
    },
    Reopen,
    /// The process ends without a sync.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![0..50_usize, 0..2500_usize];
    let append = (1..6_u64, prop_oneof![Just(0), 0..12_u64], bytes);
    let step = prop_oneof![
        6 => append.prop_map(|(count, replace, bytes)| Step::Append { count, replace, bytes }),
        1 => Just(Step::Vote),
        1 => (0..20_u64).prop_map(|ahead| Step::Reset { ahead }),
        4 => Just(Step::Sync),
        1 => (0..=100_u64).prop_map(|percent| Step::Compact { percent }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

/// What the log holds; entries stay when they are compacted, since the log may keep them too.
#[derive(Clone, Debug)]
struct State {
    hard_state: HardState,
    base: EntryId,
    entries: Vec<Entry>,
}

impl State {
    fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    fn id_at(&self, index: u64) -> EntryId {
        match index.checked_sub(self.base.index + 1) {
            None => self.base,
            Some(at) => self.entries[usize::try_from(at).unwrap()].id,
        }
    }

    fn truncate_from(&mut self, index: u64) {
        self.entries.retain(|entry| entry.id.index < index);
    }

    /// Whether this may have been recovered, when a snapshot holds all up to `compacted`.
    fn is(&self, recovered: &Recovered, compacted: u64) -> bool {
        let base = recovered.base.index;
        if base < self.base.index || base > compacted.max(self.base.index) {
            return false;
        }
        let skip = usize::try_from(base - self.base.index).unwrap();
        self.hard_state == recovered.hard_state
            && skip <= self.entries.len()
            && self.id_at(base) == recovered.base
            && self.entries[skip..] == recovered.entries
    }
}

struct Model {
    wal: Option<Wal>,
    /// What was durable at the last sync, and what it became with each record since.
    history: Vec<State>,
    /// Up to here a snapshot holds everything, and nothing is ever replaced.
    compacted: u64,
    term: u64,
}

impl Model {
    fn state(&self) -> State {
        self.history.last().unwrap().clone()
    }

    fn wal(&mut self) -> &mut Wal {
        self.wal.as_mut().unwrap()
    }

    fn step(&mut self, dir: &Path, step: &Step) -> Result<(), TestCaseError> {
        let mut state = self.state();
        match step {
            Step::Append { count, replace, bytes } => {
                let last = state.last().index;
                let first = (last + 1 - (*replace).min(last)).max(self.compacted + 1);
                self.term += u64::from(*replace > 0);
                let term = self.term;
                let entries: Vec<_> =
                    (first..first + count).map(|index| command(index, term, *bytes)).collect();
                for entry in &entries {
                    state.truncate_from(entry.id.index);
                    state.entries.push(entry.clone());
                    self.history.push(state.clone());
                }
                let records: Vec<_> = entries.iter().map(Record::Entry).collect();
                self.wal().append(&records).unwrap();
            }
            Step::Vote => {
                self.term += 1;
                state.hard_state = vote(self.term, "B");
                self.wal().append(&[Record::HardState(state.hard_state)]).unwrap();
                self.history.push(state);
            }
            Step::Reset { ahead } => {
                state.base = id(state.last().index + ahead, self.term);
                state.entries.clear();
                self.compacted = state.base.index;
                self.wal().append(&[Record::Reset(state.base)]).unwrap();
                self.history.push(state);
                // The node goes on only when the reset is durable.
                self.sync();
            }
            Step::Sync => self.sync(),
            Step::Compact { percent } => {
                // Only what is durable can have been committed and applied.
                self.sync();
                let span = state.last().index - self.compacted;
                self.compacted += span * percent / 100;
                let through = self.compacted;
                self.wal().compact(through).unwrap();
            }
            Step::Reopen => {
                self.sync();
                self.open(dir)?;
            }
            Step::Crash => self.open(dir)?,
        }
        Ok(())
    }

    fn sync(&mut self) {
        self.wal().sync().unwrap();
        self.history = vec![self.state()];
    }

    fn open(&mut self, dir: &Path) -> Result<(), TestCaseError> {
        self.wal = None;
        let (wal, recovered) = open(dir).unwrap();
        let found = self.history.iter().rposition(|state| state.is(&recovered, self.compacted));
        prop_assert!(found.is_some(), "{recovered:?}\nis none of\n{:?}", self.history);
        self.history = vec![self.history[found.unwrap()].clone()];
        self.wal = Some(wal);
        Ok(())
    }
}

/// The same cases each time; `SEED` gives others. When one fails it is shown, cut down to what
/// matters.
#[test]
fn log_is_a_list() {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"));
    println!("SEED={seed}");
    let config = ProptestConfig {
        cases: 96,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    };
    let checked = TestRunner::new(config).run(&steps(), |steps| {
        let dir = directory();
        let (wal, empty) = open(dir.path()).unwrap();
        let Recovered { hard_state, base, entries } = empty;
        let history = vec![State { hard_state, base, entries }];
        let mut model = Model { wal: Some(wal), history, compacted: 0, term: 1 };
        for step in &steps {
            model.step(dir.path(), step)?;
        }
        model.step(dir.path(), &Step::Reopen)
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
