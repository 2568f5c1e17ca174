//! What goes wrong, when, and for how long.
//!
//! No plan destroys the last good copy: at any time the servers whose sectors have rotted, and that
//! have not been repaired, and those that have lost their disks for good are a minority.

use std::path::Path;

use crate::disk::{Fault as DiskFault, Rot, SECTOR, Survival};
use crate::plan::{Fault, MS, SECOND};
use crate::server::Server;
use crate::world::{Event, ServerEvent, World};

/// What has to be undone when a fault ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// Everything about the network.
    Network,
    /// What a process takes for each event.
    Slowness(usize),
    /// What a disk takes for each sync.
    Syncs(usize),
    /// The errors of a disk.
    DiskErrors(usize),
    /// The size of a disk.
    Capacity(usize),
    /// Snapshots without need.
    EagerSnapshots(usize),
    /// The speed of a clock.
    ClockRate(usize),
    /// A node that keeps dying: so many more times.
    Restarts(usize, u32),
    /// A leader that hears everything later and later: in its so manyth step.
    Lag(usize, u64),
    /// All trouble with the leader that has lagged.
    LagIsOver,
}

/// What became of a fault that was drawn.
enum Applied {
    /// Nothing: there was nobody for it to happen to, or it happens later and is counted then.
    No,
    Done,
    /// It lasts until this is undone.
    Until(Effect),
}

impl Applied {
    fn done(is_done: bool) -> Self {
        if is_done { Self::Done } else { Self::No }
    }
}

/// The steps in which a leader comes to lag. Each makes it wait for less than the silence after
/// which it would step down; all together for longer than its followers wait for another.
const LAG_STEPS: u64 = 10;

impl World {
    pub(crate) fn skew_clocks(&mut self) {
        if !self.plan.faults.contains(&Fault::ClockSkew) {
            return;
        }
        *self.faults.entry(Fault::ClockSkew).or_default() += 1;
        for server in &mut self.servers {
            let by = self.fault_random.below(20 * SECOND).cast_signed() - 10 * 1_000_000;
            server.clock.set(0, by, 1000);
        }
    }

    /// Lets the next fault happen, and schedules the one after it.
    pub(crate) fn next_fault(&mut self) {
        if !self.chaos {
            return;
        }
        let fault = self.fault_random.pick(&self.plan.faults);
        let at = self.fault_random.below(self.servers.len() as u64);
        let at = usize::try_from(at).expect("an index");
        let length = self.fault_random.within(&self.plan.fault_length.clone());
        let gap = self.fault_random.within(&self.plan.fault_gap.clone());
        self.after(gap, Event::Fault);
        if self.network.lags {
            return;
        }
        let name = self.names[at];
        self.trace.note(self.now, &[7, fault as u64, at as u64], || {
            format!("{} ({name}) for {} ms", fault.name(), length / MS)
        });
        let applied = self.apply(fault, at, length);
        self.try_promises(fault);
        match applied {
            Applied::No => {}
            Applied::Done => self.count_fault(fault),
            Applied::Until(effect) => {
                self.count_fault(fault);
                self.after(length, Event::End(effect));
            }
        }
    }

    pub(crate) fn count_fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Lets a fault happen; returns what has to be undone when it is over.
    fn apply(&mut self, fault: Fault, at: usize, length: u64) -> Applied {
        use Fault as F;
        match fault {
            F::Drop
            | F::Delay
            | F::Reorder
            | F::Duplicate
            | F::ReplayOld
            | F::Partition
            | F::OneWayPartition
            | F::ChainPartition
            | F::IsolateLeader
            | F::DeafLeader
            | F::MuteLeader
            | F::IsolateNode
            | F::Clog
            | F::BreakStream
            | F::FlakyLink
            | F::SlowLink
            | F::LoseSnapshots
            | F::SlowSnapshots
            | F::CutClients
            | F::DelayClients => match self.network_fault(fault, at, length) {
                true => Applied::Until(Effect::Network),
                false => Applied::No,
            },
            F::LaggingLeader => Applied::done(self.lag(self.leader_or(at), 1)),
            F::Kill
            | F::PowerLoss
            | F::TornPowerLoss
            | F::LeaderPowerLoss
            | F::PowerLossOfAll
            | F::KillAll
            | F::PowerLossInWrite
            | F::PowerLossInSnapshot
            | F::PowerLossInRecovery
            | F::RestartLoop => self.crash_fault(fault, at),
            F::HandOver => self.hand_over(),
            F::ShortPause => self.pause(at, self.plan.election() / 4),
            F::LongPause => self.pause(at, self.plan.election() * 3),
            F::PauseLeader => self.pause(self.leader_or(at), self.plan.election() * 3),
            F::SlowNode => {
                self.servers[at].event_cost = self.fault_random.within(&(100..5 * MS));
                Applied::Until(Effect::Slowness(at))
            }
            // At the start of the run.
            F::ClockSkew => Applied::No,
            F::ClockForward => self.set_clock(at, 3_600_000_000, 1000),
            F::ClockBack => self.set_clock(at, -3_600_000_000, 1000),
            F::FastClock => self.set_clock(at, 0, self.plan.leases.bound(3000)),
            F::SlowClock => self.set_clock(at, 0, self.plan.leases.bound(300)),
            F::LeaderClockStops => {
                self.set_clock(self.leader_or(at), 0, self.plan.leases.bound(50))
            }
            F::SlowSyncs
            | F::HungSync
            | F::SyncError
            | F::WriteError
            | F::FullDisk
            | F::NoDescriptors => Applied::Until(self.disk_fault(fault, at, length)),
            F::FlipBit => Applied::done(self.rot(at, Rot::FlipBit)),
            F::ZeroSector => Applied::done(self.rot(at, Rot::Zero)),
            F::GarbageSector => Applied::done(self.rot(at, Rot::Garbage)),
            F::LoseDisk => Applied::done(self.lose_disk(at)),
            F::ManySnapshots => {
                self.servers[at].eager_snapshots = true;
                Applied::Until(Effect::EagerSnapshots(at))
            }
        }
    }

    fn hand_over(&mut self) -> Applied {
        let leader = self.servers.iter().position(Server::leads);
        if let Some(leader) = leader {
            self.notify(leader, 0, ServerEvent::HandOver);
        }
        Applied::done(leader.is_some() && self.servers.len() > 1)
    }

    /// Ends a fault.
    pub(crate) fn end_fault(&mut self, effect: Effect) {
        if !self.chaos {
            return;
        }
        let now = self.now;
        match effect {
            Effect::Network if self.network.lags => {}
            Effect::Network | Effect::LagIsOver => self.network.mend(),
            Effect::Slowness(at) => self.servers[at].event_cost = 0,
            Effect::Syncs(at) => self.servers[at].sync_delay = 0,
            Effect::DiskErrors(at) => {
                self.servers[at].disk.heal();
                self.servers[at].may_fail -= 1;
            }
            Effect::Capacity(at) => {
                self.servers[at].disk.set_capacity(None);
                self.servers[at].may_fail -= 1;
            }
            Effect::EagerSnapshots(at) => self.servers[at].eager_snapshots = false,
            Effect::ClockRate(at) => self.servers[at].set_clock(now, 0, 1000),
            Effect::Restarts(at, left) => self.restart_again(at, left),
            Effect::Lag(at, step) => drop(self.lag(at, step)),
        }
    }

    fn leader_or(&self, at: usize) -> usize {
        self.servers.iter().position(Server::leads).unwrap_or(at)
    }

    /// Returns whether there was anything for it to happen to.
    fn network_fault(&mut self, fault: Fault, at: usize, length: u64) -> bool {
        let nodes = self.servers.len();
        // The last node before a gap in the row of them.
        let edge = at.min(nodes.saturating_sub(2));
        let leader = self.leader_or(at);
        let other = (at + 1) % nodes;
        let election = self.plan.election();
        let until = self.now + length;
        let random = &mut self.fault_random;
        let links = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        let net = &mut self.network;
        let cuts = net.cut.len();
        match fault {
            Fault::Drop => net.drop_per_mille = random.pick(&[10, 100, 400]),
            Fault::Delay => net.delay = random.pick(&[election / 20, election / 4, election]),
            Fault::Reorder => net.reorder = true,
            Fault::Duplicate => net.duplicate_per_mille = random.pick(&[50, 300]),
            Fault::ReplayOld => net.replay_per_mille = random.pick(&[5, 50]),
            Fault::Partition => net.cut.extend(links.filter(|(a, b)| (*a <= edge) != (*b <= edge))),
            Fault::OneWayPartition => {
                net.cut.extend(links.filter(|(a, b)| *a <= edge && *b > edge));
            }
            Fault::ChainPartition => net.cut.extend(links.filter(|(a, b)| a.abs_diff(*b) > 1)),
            Fault::IsolateLeader => {
                net.cut.extend(links.filter(|(a, b)| *a == leader || *b == leader));
            }
            Fault::DeafLeader => net.cut.extend(links.filter(|(_, b)| *b == leader)),
            Fault::MuteLeader => net.cut.extend(links.filter(|(a, _)| *a == leader)),
            Fault::IsolateNode => net.cut.extend(links.filter(|(a, b)| *a == at || *b == at)),
            Fault::Clog => drop(net.clogged.insert((at, other), until)),
            Fault::BreakStream => {
                net.cut.insert((at, other));
                self.notify(at, MS, ServerEvent::Unreachable(other));
                self.notify(other, MS, ServerEvent::StreamEnded(at));
            }
            Fault::FlakyLink => drop(net.flaky.insert((at, other), 700)),
            Fault::SlowLink => drop(net.slow.insert((at, other), election / 3)),
            Fault::LoseSnapshots => net.snapshot_loss_per_mille = 800,
            Fault::SlowSnapshots => net.snapshot_delay = election * 2,
            Fault::CutClients => drop(net.client_cut.insert(at)),
            Fault::DelayClients => net.client_delay = 2 * SECOND,
            _ => unreachable!("a fault of the network"),
        }
        match fault {
            Fault::CutClients | Fault::DelayClients => true,
            Fault::Partition
            | Fault::OneWayPartition
            | Fault::ChainPartition
            | Fault::IsolateLeader
            | Fault::DeafLeader
            | Fault::MuteLeader
            | Fault::IsolateNode => self.network.cut.len() > cuts,
            _ => nodes > 1,
        }
    }

    /// Returns whether it goes on. It takes so long that nothing else may happen meanwhile, or the
    /// leader would hardly ever lead to its end.
    fn lag(&mut self, leader: usize, step: u64) -> bool {
        if self.servers.len() == 1 || (step == 1 && self.network.lags) {
            return false;
        }
        self.network.mend();
        if !self.servers[leader].leads() {
            return false;
        }
        self.network.lags = true;
        let (election, nodes) = (self.plan.election(), self.servers.len());
        let others = || (0..nodes).filter(|other| *other != leader);
        if step > LAG_STEPS {
            self.network.cut.extend(others().map(|other| (leader, other)));
            self.network.laggard = Some(leader);
            self.after(3 * election, Event::End(Effect::LagIsOver));
            return false;
        }
        self.network.slow.extend(others().map(|other| ((other, leader), step * election / 5)));
        self.after(election / 2, Event::End(Effect::Lag(leader, step + 1)));
        true
    }

    fn crash_fault(&mut self, fault: Fault, at: usize) -> Applied {
        let all: Vec<usize> = (0..self.servers.len()).collect();
        let of_all = self.fault_random.pick(&[Survival::LoseAll, Survival::Random]);
        let (victims, survival) = match fault {
            Fault::Kill => (vec![at], Survival::KeepAll),
            Fault::PowerLoss => (vec![at], Survival::LoseAll),
            Fault::TornPowerLoss => (vec![at], Survival::Random),
            Fault::LeaderPowerLoss => (vec![self.leader_or(at)], Survival::Random),
            Fault::PowerLossOfAll => (all, of_all),
            Fault::KillAll => (all, Survival::KeepAll),
            Fault::PowerLossInWrite => {
                let calls = 1 + self.fault_random.below(12);
                self.servers[at].fail_within(fault, calls);
                return Applied::No;
            }
            Fault::PowerLossInSnapshot => {
                self.servers[at].eager_snapshots = true;
                let calls = 1 + self.fault_random.below(20);
                self.servers[at].fail_within(fault, calls);
                self.after(SECOND, Event::End(Effect::EagerSnapshots(at)));
                return Applied::No;
            }
            Fault::PowerLossInRecovery => {
                self.servers[at].fail_recovery_at = Some(self.fault_random.below(30));
                self.crash_and_restart(at, of_all);
                return Applied::No;
            }
            Fault::RestartLoop => return Applied::Until(Effect::Restarts(at, 4)),
            _ => unreachable!("a fault of processes"),
        };
        let crashed = |victim| self.crash_and_restart(victim, survival);
        Applied::done(victims.into_iter().map(crashed).fold(false, |one, other| one | other))
    }

    /// Returns whether there was a process.
    fn crash_and_restart(&mut self, at: usize, survival: Survival) -> bool {
        let is_running = self.servers[at].process.is_some();
        if is_running {
            self.crash(at, survival);
            let delay = self.fault_random.within(&(MS..3 * SECOND));
            self.start_after(at, delay);
        }
        is_running
    }

    fn restart_again(&mut self, at: usize, left: u32) {
        if self.servers[at].process.is_some() {
            self.crash(at, Survival::Random);
            self.start_after(at, 10 * MS);
        }
        if left > 0 {
            let delay = self.fault_random.within(&(20 * MS..SECOND));
            self.after(delay, Event::End(Effect::Restarts(at, left - 1)));
        }
    }

    fn pause(&mut self, at: usize, length: u64) -> Applied {
        let server = &mut self.servers[at];
        server.paused_until = (self.now + length).max(server.stands_still_until);
        Applied::done(self.servers[at].process.is_some())
    }

    fn set_clock(&mut self, at: usize, by_us: i64, rate: u64) -> Applied {
        self.servers[at].set_clock(self.now, by_us, rate);
        Applied::Until(Effect::ClockRate(at))
    }

    fn disk_fault(&mut self, fault: Fault, at: usize, length: u64) -> Effect {
        let server = &mut self.servers[at];
        match fault {
            Fault::SlowSyncs => {
                server.sync_delay = self.fault_random.within(&(5 * MS..200 * MS));
                return Effect::Syncs(at);
            }
            Fault::HungSync => {
                server.sync_delay = length;
                return Effect::Syncs(at);
            }
            _ => server.may_fail += 1,
        }
        match fault {
            Fault::SyncError => server.disk.fail_next(DiskFault::Sync),
            Fault::WriteError => server.disk.fail_next(DiskFault::Write),
            Fault::NoDescriptors => server.disk.set_rate(DiskFault::Open, 1_000_000),
            Fault::FullDisk => {
                server.disk.set_capacity(Some(server.disk.used() + self.plan.segment_bytes as u64));
                return Effect::Capacity(at);
            }
            _ => unreachable!("a fault of disks"),
        }
        Effect::DiskErrors(at)
    }

    fn lose_disk(&mut self, at: usize) -> bool {
        let may = self.may_spoil(at) && !self.servers[at].has_refused;
        if may {
            self.servers[at].is_rotten = true;
            self.servers[at].has_refused = true;
            self.crash(at, Survival::LoseAll);
            self.servers[at].disk.remove_all();
        }
        may
    }

    /// Returns whether what a server holds may be spoiled: those that are must stay a minority.
    fn may_spoil(&self, at: usize) -> bool {
        let spoiled = self.servers.iter().filter(|server| server.is_rotten).count();
        self.servers[at].is_rotten || spoiled < self.servers.len().saturating_sub(1) / 2
    }

    /// Spoils a sector at rest, and lets the server find out.
    ///
    /// Damage to the last batch of a log cannot be told from a sync that never returned, as
    /// `storage/src/wal/recovery.rs` says, so the segment that is written is left alone.
    fn rot(&mut self, at: usize, rot: Rot) -> bool {
        let disk = self.servers[at].disk.clone();
        let mut files = disk.files();
        files.retain(|(path, length)| *length > 0 && !path.ends_with("LOCK"));
        // What a repair has set aside, nobody reads.
        files.retain(|(path, _)| !path.to_string_lossy().contains(".damaged-"));
        let is_segment = |path: &Path| path.extension().is_some_and(|kind| kind == "wal");
        let written = files.iter().rposition(|(path, _)| is_segment(path));
        if let Some(written) = written {
            files.remove(written);
        }
        files.retain(|(path, _)| path.extension().is_none_or(|kind| kind != "tmp"));
        if files.is_empty() || !self.may_spoil(at) {
            return false;
        }
        let (path, length) = &files[self.index(files.len())];
        let sector = self.fault_random.below(length.div_ceil(SECTOR as u64));
        let changed = disk.corrupt(path, usize::try_from(sector).expect("a short file"), rot);
        self.servers[at].is_rotten |= changed;
        self.trace.note(self.now, &[8, at as u64, sector], || {
            format!("  {} sector {sector}: {rot:?}", path.display())
        });
        self.crash_and_restart(at, Survival::KeepAll);
        changed
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.fault_random.below(length as u64)).expect("an index")
    }
}
