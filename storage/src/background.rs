//! Work that takes long, and what keeps it from costing others their answers.
//!
//! It has to be done by a certain time, and nobody wants it before. So it rests most of the time,
//! and no more than that time allows. A thread of a low priority would not do: it takes the CPU in
//! every gap there is, keeps it while the system clears pages for it, and where there is no gap it
//! comes too late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// For so many times as long as it has worked, work with a pace rests.
const REST_TIMES: u32 = 15;
/// But never longer, for it may have waited for others while it wanted to work.
const REST_MAX: Duration = Duration::from_millis(50);

/// How much of some work is to be done by now. Whoever needs the work says so, and says it again
/// as the need grows.
#[derive(Clone, Debug, Default)]
pub struct Due(Arc<AtomicU64>);

impl Due {
    /// Says that this part of the whole is to be done by now.
    pub fn set(&self, part: usize, whole: usize) {
        self.0.store(thousandths(part as u64, whole as u64), Ordering::Relaxed);
    }

    /// Says that it has time.
    pub fn set_none(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Says that somebody waits for it.
    pub fn set_all(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}

/// How far some work is, and how far it is to be.
#[derive(Debug)]
pub struct Pace {
    due: Due,
    done_bytes: u64,
    all_bytes: u64,
    rest_times: u32,
    /// When the last rest was over.
    since: Instant,
}

impl Pace {
    /// Begins work on so many bytes.
    #[must_use]
    pub fn new(due: Due, all_bytes: u64) -> Self {
        let rest_times = REST_TIMES;
        Self { due, done_bytes: 0, all_bytes, rest_times, since: Instant::now() }
    }

    /// Rests for so many times as long as it has worked.
    #[must_use]
    pub fn with_rests(mut self, times: u32) -> Self {
        self.rest_times = times;
        self
    }

    /// Takes note of so many bytes, and lets others have the CPU and the disk for some times as
    /// long as they took, if there is time for that.
    pub fn rest_after(&mut self, bytes: usize) {
        if self.is_ahead_with(bytes) {
            // Whoever ends the rest before its time is in a hurry.
            std::thread::park_timeout((self.since.elapsed() * self.rest_times).min(REST_MAX));
        }
        self.since = Instant::now();
    }

    fn is_ahead_with(&mut self, bytes: usize) -> bool {
        self.done_bytes += bytes as u64;
        thousandths(self.done_bytes, self.all_bytes) >= self.due.0.load(Ordering::Relaxed)
    }
}

fn thousandths(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1_000) / whole.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ahead_rests_and_who_is_behind_does_not() {
        let due = Due::default();
        due.set(50, 100);
        let mut pace = Pace::new(due.clone(), 1_000);
        assert!(!pace.is_ahead_with(400), "less than half is done");
        assert!(pace.is_ahead_with(100));
        due.set(1, 1);
        assert!(!pace.is_ahead_with(100));
        assert!(pace.is_ahead_with(1_000), "there was more to do than was thought");
        due.set_all();
        assert!(!pace.is_ahead_with(1_000), "somebody waits");
    }
}
