//! Work that takes long and that nobody waits for, so that it costs nobody an answer.
//!
//! Two ways to see to that. What comes in large pieces, at no time that anyone can choose, runs on a
//! thread that gives way to all others ([`spawn`]). What has to be done by a certain time, and not
//! before, rests most of the time, and no more than that time allows ([`Pace`]): on a machine that
//! is busy it still goes on, where a thread that gives way might come too late.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Of two threads that want one CPU all the time, the one that is nicer by so much gets a tenth.
const NICE: i32 = 10;
/// For so many times as long as it has worked, work with a pace rests.
const REST_TIMES: u32 = 15;
/// But never longer, for it may have waited for others while it wanted to work.
const REST_MAX: Duration = Duration::from_millis(50);

/// Starts a thread that does this, gives way to all others, and ends.
///
/// # Errors
/// When the system has no more threads; the work is dropped then.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.into()).spawn(move || {
        // On Linux a thread has a priority of its own. Where it is refused, the work is done all
        // the same.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        work()
    })
}

/// How much of some work is to be done by now. Whoever needs the work says so, and says it again
/// as the need grows.
#[derive(Clone, Debug, Default)]
pub struct Due(Arc<AtomicU64>);

impl Due {
    /// Says that this part of the whole is to be done by now.
    pub fn set(&self, part: usize, whole: usize) {
        self.0.store(thousandths(part as u64, whole as u64), Ordering::Relaxed);
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
    /// When the last rest was over.
    since: Instant,
}

impl Pace {
    /// Begins work on so many bytes.
    #[must_use]
    pub fn new(due: Due, all_bytes: u64) -> Self {
        Self { due, done_bytes: 0, all_bytes, since: Instant::now() }
    }

    /// Takes note of so many bytes, and lets others have the CPU and the disk for some times as
    /// long as they took, if there is time for that.
    pub fn rest_after(&mut self, bytes: usize) {
        if self.is_ahead_with(bytes) {
            // Whoever ends the rest before its time is in a hurry.
            std::thread::park_timeout((self.since.elapsed() * REST_TIMES).min(REST_MAX));
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
    fn it_gives_way_and_nobody_else_does() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let own = nice();
        assert_eq!(spawn("test", nice).unwrap().join().unwrap(), (own + NICE).min(19));
        assert_eq!(nice(), own);
    }

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
