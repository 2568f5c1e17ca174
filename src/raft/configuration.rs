//! Which members count: the configurations of the log, by the index at which each stands.
//!
//! A server uses the latest configuration in its log, committed or not (§6). So one comes into
//! force when it is appended, and goes when a new leader truncates it; what was in force before is
//! then in force again. The configuration of the snapshot, or the one a cluster is started with,
//! stands below all of them.

use std::collections::BTreeMap;

use super::{Configuration, Index, Log, Payload};

/// Every configuration from the last snapshot on. Never empty: the lowest one is the snapshot's.
#[derive(Clone, Debug)]
pub(super) struct Configurations(BTreeMap<Index, Configuration>);

impl Configurations {
    /// Starts from the configuration of a snapshot (or with index zero, the one of a new cluster).
    pub(super) fn new(index: Index, configuration: Configuration) -> Self {
        Self(BTreeMap::from([(index, configuration)]))
    }

    /// Adds what the recovered log holds above the snapshot.
    pub(super) fn recover(&mut self, log: &Log, above: Index) {
        for entry in log.iter_from(above + 1) {
            if let Payload::Configuration(configuration) = &entry.payload {
                self.append(entry.id.index, configuration.clone());
            }
        }
    }

    pub(super) fn append(&mut self, index: Index, configuration: Configuration) {
        assert!(index > self.latest().0, "a configuration is appended after the latest");
        self.0.insert(index, configuration);
    }

    /// Forgets the configurations from an index on, with the entries that held them.
    pub(super) fn truncate(&mut self, from: Index) {
        self.0.split_off(&from);
        assert!(!self.0.is_empty(), "what is in a snapshot is committed and cannot be truncated");
    }

    /// Forgets what was no longer in force at a snapshot's index.
    pub(super) fn compact(&mut self, index: Index) {
        let in_force = self.entry_at(index).0;
        self.0 = self.0.split_off(&in_force);
    }

    /// Returns the configuration in force: the latest of the log.
    pub(super) fn in_force(&self) -> &Configuration {
        self.latest().1
    }

    /// Returns the configuration that is in force when the log ends at `index`.
    pub(super) fn at(&self, index: Index) -> &Configuration {
        self.entry_at(index).1
    }

    fn latest(&self) -> (Index, &Configuration) {
        self.entry_at(Index::MAX)
    }

    fn entry_at(&self, index: Index) -> (Index, &Configuration) {
        let (at, configuration) =
            self.0.range(..=index).next_back().expect("the lowest is at or below the snapshot");
        (*at, configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(voters: &[&str]) -> Configuration {
        Configuration::bootstrap(voters.iter().map(|name| name.parse().unwrap()))
    }

    #[test]
    fn truncation_brings_back_what_was_in_force() {
        let mut all = Configurations::new(0, of(&["a"]));
        all.append(3, of(&["a", "b"]));
        all.append(5, of(&["a", "b", "c"]));
        assert_eq!(all.in_force(), &of(&["a", "b", "c"]));
        assert_eq!(all.at(4), &of(&["a", "b"]));
        all.truncate(5);
        assert_eq!(all.in_force(), &of(&["a", "b"]));
        all.truncate(2);
        assert_eq!(all.in_force(), &of(&["a"]));
    }

    #[test]
    fn compaction_keeps_what_is_in_force_at_the_snapshot() {
        let mut all = Configurations::new(0, of(&["a"]));
        all.append(3, of(&["a", "b"]));
        all.append(9, of(&["b"]));
        all.compact(7);
        assert_eq!(all.at(7), &of(&["a", "b"]));
        assert_eq!(all.in_force(), &of(&["b"]));
        assert_eq!(all.0.len(), 2);
    }
}
