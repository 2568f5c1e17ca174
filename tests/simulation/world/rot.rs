//! Rot at rest, in a cluster: each sector of each file of one node of three.
//!
//! The node says that it cannot start on what it holds, or what has decayed was of no use to it.
//! In both cases it is as good as the others in the end: it takes back from the leader what it has
//! lost. Meanwhile everything is checked that is checked in any run, so it serves nothing and votes
//! for nobody on the strength of what it lost, and nothing that was acknowledged is missing.

use std::fmt;
use std::path::PathBuf;

use raftkv::raft::Options;

use crate::disk::{Rot, SECTOR, Survival};
use crate::leases::Leases;
use crate::plan::{MS, Plan, SECOND, Workload};
use crate::world::{Event, World};

/// What has decayed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decay {
    node: usize,
    path: PathBuf,
    sector: usize,
    rot: Rot,
}

impl fmt::Display for Decay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, path, sector, rot } = self;
        write!(formatter, "{rot:?} in sector {sector} of {} of n{}", path.display(), node + 1)
    }
}

impl Decay {
    /// Returns the kind of file: the first name in the data directory.
    pub(crate) fn kind(&self) -> String {
        let mut names = self.path.strip_prefix("/data").unwrap_or(&self.path).iter();
        names.next().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    /// The sector holds what it held.
    Nothing,
    /// The node has started, and is no worse.
    Harmless,
    /// The node has refused to start, and was repaired.
    Damage,
}

impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nothing => "changed nothing",
            Self::Harmless => "were harmless",
            Self::Damage => "were refused, and the node repaired",
        })
    }
}

/// A cluster of three that is asked for much in a short time, and in which nothing goes wrong by
/// itself. It takes some snapshots and fills some segments.
pub(crate) fn plan(seed: u64) -> Plan {
    let drawn = Plan::draw(seed);
    let options = Options {
        election_ticks: 10..20,
        heartbeat_ticks: 1,
        trailing_bytes: 300,
        catch_up_bytes: 0,
        ..Options::default()
    };
    Plan {
        nodes: 3,
        tick: 10 * MS,
        options,
        leases: Leases::All,
        clients: 4,
        keys: 3,
        workload: Workload::Mixed,
        think: 100..4 * MS,
        patience: SECOND,
        chaos: SECOND,
        faults: Vec::new(),
        latency: 50..200,
        sync: 50..200,
        segment_bytes: 16 << 10,
        snapshot_bytes: 20_000,
        value_bytes: 100,
        gather: 0,
        quiet: 20 * MS,
        ..drawn
    }
}

/// Returns every sector of every file of every node, with everything that may happen to it.
pub(crate) fn decays(plan: &Plan) -> Vec<Decay> {
    let mut world = World::new(plan.clone(), false);
    world.come_to_rest();
    let mut decays = Vec::new();
    for node in 0..plan.nodes {
        for (path, length) in world.servers[node].disk.files() {
            let sectors = usize::try_from(length).expect("a short file").div_ceil(SECTOR);
            for sector in 0..sectors {
                let decay = |rot| Decay { node, path: path.clone(), sector, rot };
                decays.extend([Rot::FlipBit, Rot::Zero, Rot::Garbage].map(decay));
            }
        }
    }
    decays
}

/// Returns the outcomes that should have been others: what a node needs has to be missed, and what
/// it does not need has not.
pub(crate) fn wrong(outcomes: &[(Decay, Found)]) -> Vec<&(Decay, Found)> {
    let is_wrong = |outcome: &&(Decay, Found)| {
        let (decay, found) = *outcome;
        let like =
            |other: &&(Decay, Found)| other.0.node == decay.node && other.0.kind() == decay.kind();
        let newest = outcomes.iter().filter(like).map(|other| &other.0.path).max();
        let is_newest = newest == Some(&decay.path);
        let needs = match decay.kind().as_str() {
            "IDENTITY" => true,
            // Each of two places has all of it.
            "VOTE" => false,
            "snapshots" => is_newest,
            // Behind the end of the log nothing is missed.
            _ => {
                !is_newest
                    || outcomes.iter().any(|(other, found)| {
                        (other.node, &other.path) == (decay.node, &decay.path)
                            && other.sector >= decay.sector
                            && *found == Found::Damage
                    })
            }
        };
        *found == if needs { Found::Harmless } else { Found::Damage }
    };
    outcomes.iter().filter(is_wrong).collect()
}

impl World {
    /// Lets something decay on a node of a cluster that is at rest, starts the node again under
    /// load, and returns what it found; panics when something is wrong.
    pub(crate) fn run_with(mut self, decay: &Decay) -> Found {
        self.come_to_rest();
        let node = decay.node;
        if !self.servers[node].disk.corrupt(&decay.path, decay.sector, decay.rot) {
            return Found::Nothing;
        }
        self.trace.note(self.now, &[8, node as u64], || decay.to_string());
        self.servers[node].is_rotten = true;
        self.crash(node, Survival::KeepAll);
        self.start(node);
        let found =
            if self.servers[node].process.is_some() { Found::Harmless } else { Found::Damage };
        for at in 0..self.clients.len() {
            self.clients[at].retired = false;
            self.at(self.now, Event::Think(at));
        }
        self.mend();
        self.must_recover();
        self.must_agree();
        self.must_expire();
        let server = &self.servers[node];
        assert!(!server.is_lost() && !server.is_rotten, "repair: the node is not what it was");
        self.finish();
        found
    }

    /// Lives through the plan until nobody asks any more, and all has been written.
    fn come_to_rest(&mut self) {
        self.start_all();
        self.run_until(self.plan.chaos);
        for client in &mut self.clients {
            client.retired = true;
        }
        let limit = self.now + 30 * SECOND;
        self.run_while(limit, "the servers do not come to agree", |world| !world.agree());
        // The log's end is marked: then all of it is vouched for.
        self.run_until(self.now + 5 * self.plan.quiet);
    }
}
