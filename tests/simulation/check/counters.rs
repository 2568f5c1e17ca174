//! An increment that was acknowledged was applied once, one that was refused not at all, and one
//! of which nothing is known at most once.

use std::collections::BTreeMap;

use super::violation;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    counters: BTreeMap<u32, Counter>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    acknowledged: i64,
    unknown: i64,
}

impl Counters {
    pub(crate) fn acknowledged(&mut self, key: u32) {
        self.counters.entry(key).or_default().acknowledged += 1;
    }

    pub(crate) fn unknown(&mut self, key: u32) {
        self.counters.entry(key).or_default().unknown += 1;
    }

    /// At the end a counter has this value.
    pub(crate) fn ends(&self, key: u32, value: i64) {
        // One that was only ever refused has none.
        let Counter { acknowledged, unknown } =
            self.counters.get(&key).copied().unwrap_or_default();
        if !(acknowledged..=acknowledged + unknown).contains(&value) {
            violation!(
                "exactly once",
                "counter {key} is {value} after {acknowledged} acknowledged and {unknown} unknown"
            );
        }
    }
}
