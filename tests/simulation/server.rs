//! A simulated machine: its disk, its clock, and the lives of the process on it.

use raftkv::persist::{self, Writer};
use raftkv::raft::Role;
use raftkv::replica::Replica;
use raftkv_storage::data_dir::DataDir;
use raftkv_storage::types::{Configuration, Index};
use raftkv_storage::wal::WalOptions;

use crate::disk::{SimDisk, Survival};
use crate::plan::{Fault, MS, Plan, SECOND};
use crate::process::Process;
use crate::world::{Event, ServerEvent, World};

/// The time of day at which every run begins, in milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// How long the machines have run by then.
const UPTIME_US: u64 = 1_000_000_000;

/// A machine, and the process on it if it runs.
pub(crate) struct Server {
    pub(crate) disk: SimDisk,
    pub(crate) process: Option<Process>,
    /// Counts its processes.
    pub(crate) life: u32,
    pub(crate) is_starting: bool,
    pub(crate) clock: WallClock,
    /// Until when the process stands still.
    pub(crate) paused_until: u64,
    /// Until then it stands still in the middle of a turn, and has read already what its clock
    /// shows then: nothing may wake it before.
    pub(crate) stands_still_until: u64,
    /// What peers have sent meanwhile it reads only after it has answered its clients.
    pub(crate) reads_peers_late: bool,
    /// How long each event takes it.
    pub(crate) event_cost: u64,
    /// Until when the last event takes it.
    pub(crate) busy_until: u64,
    /// What a sync takes more than usual.
    pub(crate) sync_delay: u64,
    /// Snapshots are taken whenever there is anything new.
    pub(crate) eager_snapshots: bool,
    /// How many of the faults are under way by which calls of the disk may fail.
    pub(crate) may_fail: u32,
    /// The disk has rotten sectors, or is gone.
    pub(crate) is_rotten: bool,
    /// The process refused to start on what the disk holds, rightly, and it cannot be repaired.
    pub(crate) has_refused: bool,
    /// The process refused to start, and is to be started with `--repair`.
    needs_repair: bool,
    /// The process was repaired, and has no vote yet.
    is_repaired: bool,
    /// The fault by which the power is about to fail in the middle of a call.
    fails_by: Option<Fault>,
    /// The power fails within so many calls of the next recovery.
    pub(crate) fail_recovery_at: Option<u64>,
    /// As far as the log was known to be durable, of the process that has ended.
    persisted: Index,
}

/// A clock that may be wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    /// The time that it showed at `since`.
    base_us: i64,
    since: u64,
    /// By how much it has been set, and as if each machine had run for a time of its own.
    set_us: i64,
    /// Its speed, in thousandths.
    pub(crate) rate: u64,
}

impl WallClock {
    fn now_us(&self, now: u64) -> i64 {
        let elapsed = now.saturating_sub(self.since) * self.rate / 1000;
        self.base_us + i64::try_from(elapsed).expect("a short run")
    }

    /// Returns what a clock shows that runs as this one does, and cannot be set.
    pub(crate) fn monotonic_us(&self, now: u64) -> u64 {
        UPTIME_US.saturating_add_signed(self.now_us(now) - self.set_us)
    }

    pub(crate) fn now_ms(&self, now: u64) -> u64 {
        let offset = self.now_us(now) / 1000;
        EPOCH_MS.saturating_add_signed(offset)
    }

    /// Sets the clock by so much, and its speed.
    pub(crate) fn set(&mut self, now: u64, by_us: i64, rate: u64) {
        let set_us = self.set_us + by_us;
        *self = Self { base_us: self.now_us(now) + by_us, since: now, set_us, rate };
    }
}

impl Server {
    pub(crate) fn new(plan: &Plan, at: usize) -> Self {
        Self {
            disk: SimDisk::new(plan.seed.wrapping_mul(31).wrapping_add(at as u64)),
            process: None,
            life: 0,
            is_starting: true,
            clock: WallClock { base_us: 0, since: 0, set_us: -(at as i64) * 7_777_777, rate: 1000 },
            paused_until: 0,
            stands_still_until: 0,
            reads_peers_late: false,
            event_cost: 0,
            busy_until: 0,
            sync_delay: 0,
            eager_snapshots: false,
            may_fail: 0,
            fails_by: None,
            is_rotten: false,
            has_refused: false,
            needs_repair: false,
            is_repaired: false,
            fail_recovery_at: None,
            persisted: 0,
        }
    }

    /// Returns whether it will never come back.
    pub(crate) fn is_lost(&self) -> bool {
        self.has_refused
    }

    /// Returns as far as its log is known to be durable. Of what was spoiled on purpose nothing is
    /// known and nothing is asked, until it is repaired.
    pub(crate) fn durable(&self) -> Index {
        match &self.process {
            _ if self.is_rotten => Index::MAX,
            Some(process) => process.replica.status().persisted,
            None => self.persisted,
        }
    }

    /// Takes note that a server that was repaired has everything back, and durably so.
    pub(crate) fn note_recovery(&mut self) {
        let Some(process) = self.process.as_ref().filter(|_| self.is_repaired) else { return };
        let status = process.replica.status();
        // The core knows it before the disk does.
        let is_durable = status.persisted == status.last.index && !process.is_writing();
        if !status.recovering && is_durable {
            (self.is_repaired, self.is_rotten) = (false, false);
        }
    }

    /// Lets the power fail in the middle of a call to the disk: the so manyth from now.
    pub(crate) fn fail_within(&mut self, fault: Fault, calls: u64) {
        self.fails_by = Some(fault);
        self.disk.stop_within(calls);
    }

    pub(crate) fn leads(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.replica.raft().role() == Role::Leader)
    }

    /// Sets its clock, and the speed of it: from the end of a pause on whose clock it has read.
    pub(crate) fn set_clock(&mut self, now: u64, by_us: i64, rate: u64) {
        self.clock.set(now.max(self.stands_still_until), by_us, rate);
    }

    /// Ends all that slows it down or lies to it.
    pub(crate) fn mend(&mut self, now: u64) {
        self.disk.heal();
        self.disk.stop_never();
        self.set_clock(now, 0, 1000);
        self.paused_until = now.max(self.stands_still_until);
        (self.event_cost, self.sync_delay, self.eager_snapshots) = (0, 0, false);
        self.reads_peers_late = false;
        (self.fail_recovery_at, self.may_fail) = (None, 0);
    }
}

impl World {
    pub(crate) fn start_after(&mut self, at: usize, delay: u64) {
        self.servers[at].is_starting = true;
        self.after(delay, Event::Start(at));
    }

    /// Starts a process on what the disk holds.
    pub(crate) fn start(&mut self, at: usize) {
        self.servers[at].is_starting = false;
        if self.servers[at].process.is_some() || self.servers[at].has_refused {
            return;
        }
        let name = self.names[at];
        let behaviour = self.options_of_next();
        let server = &mut self.servers[at];
        if let Some(calls) = server.fail_recovery_at.take() {
            server.fail_within(Fault::PowerLossInRecovery, 1 + calls);
        }
        let options = WalOptions {
            segment_bytes: self.plan.segment_bytes,
            prepare_ahead: false,
            ..WalOptions::new(name)
        };
        let place = server.disk.place("/data");
        let opened = if server.needs_repair {
            DataDir::open_for_repair(place, name)
                .and_then(|data_dir| persist::repair(data_dir, options))
        } else {
            DataDir::open(place, name).and_then(|data_dir| persist::recover(data_dir, options))
        };
        // What may be promised is written down before it is.
        let opened = opened.and_then(|mut opened| {
            opened.data_dir.record_promise(behaviour.promise_us())?;
            Ok(opened)
        });
        let opened = match opened {
            Ok(opened) if !server.disk.is_off() => opened,
            Ok(_) => return self.fail_to_start(at, None),
            Err(error) => return self.fail_to_start(at, Some(&error)),
        };
        server.life += 1;
        server.needs_repair = false;
        server.is_repaired |= opened.recovered.is_recovering;
        // What was spoiled was of no use to it, or there once more.
        server.is_rotten &= server.is_repaired;
        self.checks.votes.recovers(name, &opened.recovered.hard_state);
        self.checks.logs.recovers(name, &opened.recovered, server.persisted);
        self.checks.progress.restarts(name);
        let configuration = Configuration::bootstrap(self.names.iter().copied());
        let identity = opened.data_dir.cluster();
        let snapshot = opened.snapshot.zip(opened.recovered.snapshot.clone());
        let replica = Replica::new(
            name,
            behaviour,
            configuration,
            opened.recovered,
            opened.keyspace,
            self.random.next(),
        );
        let writer = Writer::new(opened.data_dir, opened.wal);
        server.process = Some(Process::new(replica, writer, snapshot));
        self.trace.note(self.now, &[1, at as u64], || format!("{name} starts"));
        if let Some(cluster) = identity {
            self.set_cluster(at, cluster);
        }
        self.compare(at);
        self.begin(at);
    }

    /// Decides what to make of a node that does not start.
    fn fail_to_start(&mut self, at: usize, error: Option<&raftkv_storage::Error>) {
        let reason = error.map_or("the power failed".into(), ToString::to_string);
        let name = self.names[at];
        let server = &mut self.servers[at];
        let (off, rotten) = (server.disk.is_off(), server.is_rotten);
        self.trace.note(self.now, &[2, at as u64], || format!("{name} does not start: {reason}"));
        if off {
            // The power failed during recovery, and is back.
            self.note_power_loss(at);
            let survival = self.fault_random.pick(&[Survival::LoseAll, Survival::Random]);
            self.servers[at].disk.crash(survival);
        } else if rotten && error.is_some_and(raftkv_storage::Error::is_damage) {
            // It says that it cannot vouch for what it holds: that is the right answer. What cannot
            // be repaired has lost its vote, too, to another rotten sector.
            server.has_refused = server.needs_repair;
            server.needs_repair = true;
            if server.has_refused {
                return;
            }
        } else if !self.chaos || server.may_fail == 0 {
            panic!("recovery: {name} does not start after a mere crash: {reason}");
        } else {
            self.servers[at].disk.crash(Survival::KeepAll);
        }
        let delay = self.fault_random.within(&(10 * MS..SECOND));
        self.start_after(at, delay);
    }

    /// Counts a fault that was waiting for a call to the disk to happen in.
    pub(crate) fn note_power_loss(&mut self, at: usize) {
        if let Some(fault) = self.servers[at].fails_by.take() {
            self.count_fault(fault);
        }
    }

    /// Ends a process, and with it its connections.
    pub(crate) fn crash(&mut self, at: usize, survival: Survival) {
        let Some(process) = self.servers[at].process.take() else { return };
        let name = self.names[at];
        self.trace.note(self.now, &[3, at as u64, survival as u64], || {
            format!("{name} dies: {survival:?}")
        });
        self.servers[at].persisted = process.replica.status().persisted;
        self.leases.add(process.replica.lease_reads());
        self.checks.replies.forgets(at);
        for (client, id) in process.who_waits() {
            self.reply(at, client, id, None);
        }
        // A machine that goes on closes what its process had open.
        if survival == Survival::KeepAll {
            for other in (0..self.servers.len()).filter(|other| *other != at) {
                for time in self.network.route(self.now, (at, other)) {
                    let life = self.servers[other].life;
                    self.at(time, Event::Server(other, life, ServerEvent::StreamEnded(at)));
                }
            }
        }
        // The disk first: what is dropped with the process must not write any more.
        self.servers[at].disk.crash(survival);
        drop(process);
        self.servers[at].fails_by = None;
        self.servers[at].life += 1;
    }
}
