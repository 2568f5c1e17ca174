//! Reads on a lease: done first, and told only if the lease still holds then.
//!
//! Between the moment at which a turn was told the time and the end of its last read anything may
//! have happened to this process: it may have been stopped, with requests arriving meanwhile, and
//! another server may lead by now. So the clock is read again when the reads are done. If the lease
//! holds at that moment, nobody else had been elected when they were done, and nothing had been
//! committed that they do not show. A view for reads that take long is of that moment, too.

use super::{HeavyReads, Replica, RequestId};
use crate::raft::ReadId;

/// What has become of reads on a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseReads {
    /// They were answered.
    pub answered: u64,
    /// They were done, but the lease had ended, so they took a round.
    pub too_late: u64,
}

impl Replica {
    /// Tells the time by a clock that is never set, in microseconds
    /// ([`Raft::set_now`](crate::raft::Raft::set_now)): before other events of a turn.
    pub fn set_now(&mut self, now_us: u64) {
        self.raft.set_now(now_us);
    }

    /// Returns how many reads took no round, and how many nearly did.
    #[must_use]
    pub fn lease_reads(&self) -> LeaseReads {
        self.leases
    }

    /// Answers reads if the lease still holds when they are done. Otherwise they are asked for
    /// again, and take a round; whoever waits for them does not notice.
    pub(super) fn answer_on_lease(
        &mut self,
        leased: &[ReadId],
        now_us: impl FnOnce() -> u64,
        heavy: &mut Vec<HeavyReads>,
    ) {
        if leased.is_empty() {
            return;
        }
        let asked = leased.iter().filter_map(|id| self.reads.remove_entry(&RequestId(id.0)));
        let asked: Vec<_> = asked.collect();
        let clock_ms = self.clock.now_ms();
        let replies: Vec<_> = asked
            .iter()
            .map(|(request, reads)| {
                let stays = !self.keyspace.is_long(reads) || self.waiters.contains(*request);
                stays.then(|| self.keyspace.read(reads, clock_ms))
            })
            .collect();
        self.raft.set_now(now_us());
        if !self.raft.has_lease() {
            self.leases.too_late += asked.len() as u64;
            for (request, reads) in asked {
                self.raft.read(ReadId(request.0)).expect("nothing has ended its leadership");
                self.reads.insert(request, reads);
            }
            return;
        }
        self.leases.answered += asked.len() as u64;
        for ((request, reads), replies) in asked.into_iter().zip(replies) {
            match replies {
                Some(replies) => self.outcomes.push((request, Ok(replies))),
                None => {
                    heavy.push(HeavyReads { request, reads, view: self.keyspace.view(), clock_ms });
                }
            }
        }
    }
}
