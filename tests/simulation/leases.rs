//! Reads on leases: who counts on them, and what has to be so for them to be right.

use std::fmt;

use raftkv::raft::Options;
use raftkv::replica::LeaseReads;
use raftkv_storage::types::Term;

use crate::check::violation;
use crate::disk::Survival;
use crate::plan::{Fault, MS};
use crate::random::Random;
use crate::server::Server;
use crate::world::{ServerEvent, World};

/// One turn with a lease in so many is one in which the process stands still, if processes do.
const STANDS_STILL: u64 = 100;

/// Which servers read on leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leases {
    None,
    All,
    /// Each decides anew whenever it starts.
    Some,
}

impl Leases {
    /// Draws by itself, so that a run without leases is what it always was.
    pub(crate) fn draw(seed: u64) -> Self {
        let none = Self::None;
        Random::for_part(seed, "leases").pick(&[none, none, none, Self::All, Self::All, Self::Some])
    }

    /// Returns the speed of a clock that is to be wrong. Leases rest on clocks whose speeds differ
    /// by a tenth at the most.
    pub(crate) fn bound(self, rate: u64) -> u64 {
        if self == Self::None { rate } else { rate.clamp(950, 1050) }
    }
}

/// What has become of reads on leases.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally(LeaseReads);

impl Tally {
    pub(crate) fn add(&mut self, reads: LeaseReads) {
        self.0.answered += reads.answered;
        self.0.too_late += reads.too_late;
    }

    pub(crate) fn sum(&mut self, other: Self) {
        self.add(other.0);
    }

    /// Returns whether there were any of which something can be learnt.
    pub(crate) fn is_complete(self) -> bool {
        self.0.answered > 0 && self.0.too_late > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeaseReads { answered, too_late } = self.0;
        write!(formatter, "{answered} reads on leases and {too_late} too late for theirs")
    }
}

impl World {
    /// Returns how the next process behaves.
    pub(crate) fn options_of_next(&mut self) -> Options {
        let lease_reads = match self.plan.leases {
            Leases::None => false,
            Leases::All => true,
            Leases::Some => self.fault_random.one_in(2),
        };
        Options { lease_reads, ..self.plan.options.clone() }
    }

    /// When nobody hears the leader any more is when promises count. So just then, by chance, some
    /// of those who gave them are told that its stream has ended, and some start anew.
    pub(crate) fn try_promises(&mut self, fault: Fault) {
        let leader = self.servers.iter().position(Server::leads);
        let Some(leader) = leader.filter(|_| self.plan.leases != Leases::None) else { return };
        if !matches!(fault, Fault::IsolateLeader | Fault::MuteLeader | Fault::PauseLeader) {
            return;
        }
        for at in (0..self.servers.len()).filter(|at| *at != leader) {
            match self.fault_random.below(3) {
                0 => self.notify(at, MS, ServerEvent::StreamEnded(leader)),
                1 if self.servers[at].process.is_some() => {
                    self.crash(at, Survival::KeepAll);
                    self.start_after(at, MS);
                }
                _ => {}
            }
        }
    }

    /// Now and then a process with a lease stands still, in the middle of a turn.
    pub(crate) fn may_stand_still(&mut self, at: usize) {
        let pauses = [Fault::ShortPause, Fault::LongPause, Fault::PauseLeader];
        let may_pause = self.chaos && pauses.iter().any(|fault| self.plan.faults.contains(fault));
        let server = &mut self.servers[at];
        let process = server.process.as_ref().filter(|_| may_pause);
        if process.is_some_and(|process| process.replica.raft().has_lease())
            && self.fault_random.one_in(STANDS_STILL)
        {
            let until = self.now + self.fault_random.below(2 * self.plan.election());
            server.paused_until = server.paused_until.max(until);
            server.stands_still_until = server.paused_until;
            server.reads_peers_late = self.fault_random.one_in(2);
        }
    }

    /// Returns what a server's clock shows when the reads of its turn are done.
    pub(crate) fn time_after_reads(&mut self, at: usize) -> u64 {
        self.may_stand_still(at);
        let server = &self.servers[at];
        server.clock.monotonic_us(self.now.max(server.paused_until))
    }

    /// Nobody is elected while another has a lease.
    pub(crate) fn check_leases(&self, at: usize, term: Term) {
        for (other, server) in self.servers.iter().enumerate().filter(|(other, _)| *other != at) {
            let Some(process) = &server.process else { continue };
            let raft = process.replica.raft();
            let now_us = server.clock.monotonic_us(self.now);
            if raft.term() < term && raft.lease_ends_us().is_some_and(|end| now_us < end) {
                let (old, new) = (self.names[other], self.names[at]);
                violation!("lease", "{new} leads term {term} within the lease of {old}");
            }
        }
    }
}
