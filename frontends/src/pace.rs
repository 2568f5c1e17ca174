//! The pace of what costs much and gives nothing: so much of it a second, so much of it at once.

use std::time::Duration;

use tokio::time::Instant;

/// How fast something may go on: the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug)]
pub struct Pace {
    per_second: u32,
    /// The time in which what may come at once would come by itself.
    burst: Duration,
    /// When all that has come would have come by itself.
    due: Instant,
}

impl Pace {
    /// Returns a pace of so many a second, of which so many may come at once.
    ///
    /// # Panics
    ///
    /// If it is none a second.
    #[must_use]
    pub fn new(per_second: u32, at_once: u32) -> Self {
        let burst = Duration::from_secs(1) * at_once / per_second;
        Self { per_second, burst, due: Instant::now() }
    }

    /// Takes note of what has come, and returns how long the next must wait, if it was too much.
    pub fn note(&mut self, count: u32, now: Instant) -> Option<Duration> {
        let cost = Duration::from_secs(1) * count / self.per_second;
        self.due = self.due.max(now) + cost;
        self.wait(now)
    }

    /// Returns how long the next must wait, if too much has come.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let ahead = self.due.saturating_duration_since(now);
        ahead.checked_sub(self.burst).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_too_fast_waits_and_nothing_is_saved_up() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, 500);
        assert_eq!(pace.note(500, start), None, "a burst");
        assert_eq!(pace.note(1, start), Some(Duration::from_millis(1)));
        assert_eq!(pace.note(1000, start), Some(Duration::from_millis(1001)));
        let later = start + Duration::from_millis(1001);
        assert_eq!(pace.wait(later), None);
        assert_eq!(pace.note(1, later), Some(Duration::from_millis(1)), "the burst is used up");
        let much_later = start + Duration::from_secs(3600);
        assert_eq!(pace.note(500, much_later), None);
        assert_eq!(pace.note(500, much_later), Some(Duration::from_millis(500)));
    }
}
