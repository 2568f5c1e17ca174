//! The two clocks: what people go by, and what promises are counted by.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Returns the wall clock in milliseconds since 1970. Safety never depends on it.
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the microseconds since the machine was started. Nobody can set this clock, and unlike
/// `Instant` it counts the time that the machine has slept, in which others have not.
pub(super) fn now_us() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let [seconds, nanos] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_at_its_pace() {
        let (before, instant) = (now_us(), std::time::Instant::now());
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (elapsed, after) = (instant.elapsed(), now_us());
        // Read outside of the other, so it saw as much time, but for a rounded microsecond.
        assert!(after - before + 1 >= elapsed.as_micros() as u64);
    }
}
