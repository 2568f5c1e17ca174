//! A directory: the names as they are seen, and those that the disk has.

use std::collections::BTreeMap;

use super::Survival;
use super::random::Random;

/// What happened to the names of a directory.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Link(String, u64),
    Unlink(String),
    /// In one step, and whole or not at all.
    Rename {
        from: String,
        to: String,
        node: u64,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Dir {
    current: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    /// What leads from the durable names to the current ones, in order.
    pending: Vec<Change>,
}

fn apply(names: &mut BTreeMap<String, u64>, change: &Change) {
    match change {
        Change::Link(name, node) => {
            names.insert(name.clone(), *node);
        }
        Change::Unlink(name) => {
            names.remove(name);
        }
        Change::Rename { from, to, node } => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

impl Dir {
    pub(super) fn get(&self, name: &str) -> Option<u64> {
        self.current.get(name).copied()
    }

    pub(super) fn names(&self) -> impl DoubleEndedIterator<Item = (&String, u64)> {
        self.current.iter().map(|(name, node)| (name, *node))
    }

    pub(super) fn durable(&self) -> impl Iterator<Item = (&String, u64)> {
        self.durable.iter().map(|(name, node)| (name, *node))
    }

    pub(super) fn change(&mut self, change: Change) {
        apply(&mut self.current, &change);
        self.pending.push(change);
    }

    pub(super) fn is_clean(&self) -> bool {
        self.pending.is_empty()
    }

    /// Makes all names durable; returns whether any was taken away, so that a file may be gone.
    pub(super) fn sync(&mut self) -> bool {
        let removed = self.pending.iter().any(|change| !matches!(change, Change::Link(..)));
        self.sync_first(self.pending.len());
        removed
    }

    /// Begins a sync that does not end. What it did not reach stays to be done: a file system
    /// whose journal breaks takes nothing more, it does not go on as if all were well.
    pub(super) fn sync_partly(&mut self, random: &mut Random) {
        self.sync_first(random.below(self.pending.len() + 1));
    }

    fn sync_first(&mut self, count: usize) {
        for change in self.pending.drain(..count) {
            apply(&mut self.durable, &change);
        }
    }

    pub(super) fn crash(&mut self, survival: Survival, random: &mut Random) {
        match survival {
            Survival::KeepAll => return,
            Survival::LoseAll => {}
            Survival::Random => self.sync_partly(random),
        }
        self.pending.clear();
        self.current = self.durable.clone();
    }

    /// Returns everything that has, had, or may again have a name here.
    pub(super) fn mentioned(&self) -> impl Iterator<Item = u64> {
        let pending = self.pending.iter().filter_map(|change| match change {
            Change::Link(_, node) | Change::Rename { node, .. } => Some(*node),
            Change::Unlink(_) => None,
        });
        self.current.values().chain(self.durable.values()).copied().chain(pending)
    }
}
