//! When requests are due in an open loop: at random, at a fixed rate, whatever the server does.
//!
//! A closed loop asks again when it has been answered, and so asks less of a server that stalls:
//! one request is slow, and those that would have come meanwhile are left out ("coordinated
//! omission"). Here every request has its time. It waits in a queue when no connection is free, and
//! its latency counts from the time at which it was due.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;

use crate::Fallible;
use crate::load::histogram;
use crate::random::Random;

/// The requests that are due, in their order.
#[derive(Debug)]
pub(crate) struct Due {
    times: RefCell<VecDeque<Instant>>,
    /// A permit for each of the times, and at the end one for each connection.
    permits: Semaphore,
}

impl Due {
    pub(crate) fn new() -> Self {
        Self { times: RefCell::default(), permits: Semaphore::new(0) }
    }

    /// Waits for a request to be due, and returns its time; nothing, when there will be no more.
    /// Connections that wait get theirs in turns.
    pub(crate) async fn next(&self) -> Option<Instant> {
        self.permits.acquire().await.ok()?.forget();
        self.times.borrow_mut().pop_front()
    }
}

/// Lets requests be due from now until the end, `per_second` of them on average, and returns how
/// late it was itself with them: gaps are distributed exponentially, as those between many clients
/// that know nothing of each other.
pub(crate) async fn pace(
    due: &Due,
    per_second: f64,
    end: Instant,
    connections: usize,
) -> Fallible<Histogram<u64>> {
    let timer = Timer::new()?;
    let mut random = Random::for_part(per_second as u64, "pacer");
    let mut lateness = histogram()?;
    let mut next = Instant::now();
    while next < end {
        timer.sleep_until(next).await?;
        let now = Instant::now();
        let mut count = 0;
        while next <= now && next < end {
            due.times.borrow_mut().push_back(next);
            lateness.saturating_record(as_nanos(now - next));
            next += Duration::from_secs_f64(-share(&mut random).ln() / per_second);
            count += 1;
        }
        due.permits.add_permits(count);
    }
    due.permits.add_permits(connections);
    Ok(lateness)
}

/// Returns a number above 0 and up to 1.
fn share(random: &mut Random) -> f64 {
    ((random.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

pub(crate) fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A timer that is exact to some microseconds. That of tokio is to a millisecond, in which a server
/// has answered ten requests.
struct Timer(AsyncFd<std::os::fd::OwnedFd>);

impl Timer {
    /// `AsyncFd::new` is deprecated for descriptors that others may close. This one is owned.
    #[allow(deprecated, reason = "what replaces it is unsafe code")]
    fn new() -> Fallible<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
    }

    async fn sleep_until(&self, at: Instant) -> Fallible<()> {
        let wait = at.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            // The connections have their turn all the same.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: i64::try_from(wait.as_secs())?,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let once = Itimerspec { it_interval: nothing, it_value: value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|timer| {
                let mut count = [0; 8];
                rustix::io::read(timer, &mut count)
                    .map_err(|error: Errno| std::io::Error::from(error))
            });
            if let Ok(read) = read {
                read?;
                return Ok(());
            }
        }
    }
}
