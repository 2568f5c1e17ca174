//! The time that a leader writes into the log.

/// The clock by which a leader stamps entries: the wall clock, but never behind the log and never
/// backwards.
///
/// A leader whose clock is behind the time in the log goes on from the log's time at the pace of
/// its own clock, so that times to live stay right; so does one whose clock is set back.
#[derive(Debug, Default)]
pub(super) struct Clock {
    pub(super) wall_ms: u64,
    pub(super) ahead_ms: u64,
}

impl Clock {
    pub(super) fn advance(&mut self, wall_ms: u64) {
        self.ahead_ms = self.ahead_ms.saturating_add(self.wall_ms.saturating_sub(wall_ms));
        self.wall_ms = wall_ms;
    }

    pub(super) fn restart(&mut self, log_ms: u64) {
        self.ahead_ms = log_ms.saturating_sub(self.wall_ms);
    }

    /// Goes on from the log's time if that is later.
    pub(super) fn catch_up(&mut self, log_ms: u64) {
        self.ahead_ms = self.ahead_ms.max(log_ms.saturating_sub(self.wall_ms));
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.wall_ms.saturating_add(self.ahead_ms)
    }
}
