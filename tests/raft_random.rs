//! Random lives of a cluster: whatever the network, the disks and the clocks do, the properties of
//! Figure 3 hold, no read is stale, and once everything works again, so does the cluster.
//!
//! A failure names its seed. `SEED=17 cargo test --test raft_random` plays that one alone and
//! prints all that happened; `SEEDS=10000` plays as many.

mod harness;

use std::panic::{AssertUnwindSafe, catch_unwind};

use harness::{Cluster, id};
use raftkv::raft::{Message, Options, ReadId, Role};
use raftkv_storage::types::{Configuration, NodeId};

/// Enough for a test: a linear generator whose high bits are used.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// How rough a life is. Drawn from the seed, so that some have only one kind of trouble, and some
/// have all.
struct Weather {
    lossy: bool,
    reordering: bool,
    partitions: bool,
    crashes: bool,
    slow_disks: bool,
    slow_clocks: bool,
    snapshots: bool,
}

struct Life {
    random: Random,
    weather: Weather,
    cluster: Cluster,
    nodes: Vec<NodeId>,
    /// Its clock stands almost still: a leader that does not notice how long it was alone.
    slow: Option<NodeId>,
    proposed: u64,
    asked: u64,
    answered: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.below(2);
        let weather = Weather {
            lossy: random.one_in(2),
            reordering: random.one_in(2),
            partitions: random.one_in(2),
            crashes: random.one_in(2),
            slow_disks: random.one_in(2),
            slow_clocks: random.one_in(2),
            snapshots: random.one_in(2),
        };
        let names = ["n1", "n2", "n3", "n4", "n5"].map(id);
        let voters = random.pick(&[1, 2, 3, 3, 3, 4, 4, 5, 5]);
        let mut configuration = Configuration::bootstrap(names[..voters].iter().copied());
        // Some clusters are caught in the middle of a change of members, and some have a learner.
        if voters == 4 {
            configuration.outgoing = [names[2], names[3], names[4]].into();
        } else if voters == 3 && random.one_in(3) {
            configuration.learners = [names[3]].into();
        }
        let nodes = configuration.members().into_iter().collect();
        let options = Options {
            election_ticks: 10..20,
            heartbeat_ticks: 2,
            append_bytes_max: random.pick(&[20, 100, 1 << 20]),
            inflight_messages_max: random.pick(&[1, 3, 256]),
            inflight_bytes_max: random.pick(&[50, 8 << 20]),
            trailing_bytes: random.pick(&[0, 60, 1000]),
            catch_up_bytes: random.pick(&[0, 200, 1 << 20]),
            ..Options::default()
        };
        let mut cluster = Cluster::new(configuration, options, seed);
        cluster.sync_at_once = !weather.slow_disks;
        cluster.traced = std::env::var("SEED").is_ok();
        Self { random, weather, cluster, nodes, slow: None, proposed: 0, asked: 0, answered: 0 }
    }

    fn live(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.random.below(24) {
                0..=2 => {
                    let node = self.random.pick(&self.nodes);
                    self.cluster.tick(node);
                }
                // Together they tick often enough that leaders come and go while a partition lasts.
                3 | 4 => {
                    for node in self.nodes.clone() {
                        if self.slow != Some(node) {
                            self.cluster.tick(node);
                        }
                    }
                }
                5..=16 => (0..=self.random.below(5)).for_each(|_| self.network()),
                17..=19 => self.client(),
                20..=22 => self.disk(),
                _ => self.disaster(),
            }
        }
    }

    fn network(&mut self) {
        let length = self.cluster.network.len();
        if length == 0 {
            return;
        }
        let at = if self.weather.reordering { self.random.below(length) } else { 0 };
        if self.weather.lossy && self.random.one_in(8) {
            self.cluster.drop_at(at);
        } else if self.weather.reordering && self.random.one_in(8) {
            // Delivered now, and again at some other time.
            let again = self.cluster.network[at].clone();
            self.cluster.network.push(again);
            self.cluster.deliver(at);
        } else {
            self.cluster.deliver(at);
        }
        // What nobody waits for any more is lost, or the past would never end.
        while self.cluster.network.len() > 200 {
            self.cluster.drop_at(0);
        }
    }

    fn client(&mut self) {
        // Mostly of one who thinks that it leads, rightly or not.
        let leaders = self.cluster.leaders();
        let anybody = leaders.is_empty() || self.random.one_in(4);
        let node = self.random.pick(if anybody { &self.nodes } else { &leaders });
        if self.random.one_in(3) {
            self.asked += 1;
            self.cluster.read(node, self.asked);
        } else {
            self.proposed += 1;
            self.cluster.propose(node, &format!("c{}", self.proposed));
        }
    }

    fn disk(&mut self) {
        let node = self.random.pick(&self.nodes);
        self.cluster.sync(node);
        if self.weather.snapshots && self.random.one_in(4) {
            self.cluster.snapshot(node);
        }
    }

    fn disaster(&mut self) {
        let node = self.random.pick(&self.nodes);
        let other = self.random.pick(&self.nodes);
        match self.random.below(10) {
            0 | 1 if self.weather.partitions => self.cluster.isolate(node),
            2 if self.weather.partitions => drop(self.cluster.cut.insert((node, other))),
            3 if self.weather.partitions => self.cluster.cut.clear(),
            4 if self.weather.crashes => self.crash(node),
            5 | 6 if self.weather.crashes => self.cluster.restart(node),
            8 if self.weather.slow_clocks => {
                let leader = self.cluster.leaders().first().copied();
                self.slow = if self.slow.is_none() { leader } else { None };
            }
            7 if self.weather.lossy => {
                // A stream breaks: what is on it is lost, and its sender told.
                self.cluster.network.retain(|e| {
                    let snapshot = matches!(e.message, Message::InstallSnapshot { .. });
                    e.from != node || e.to != other || snapshot
                });
                self.cluster.event(node, |raft| raft.report_unreachable(other));
            }
            _ => {
                for node in self.nodes.clone() {
                    if self.cluster.node(node).raft.is_none() {
                        self.cluster.restart(node);
                    }
                }
            }
        }
    }

    /// Crashes a server, best one that is just writing.
    fn crash(&mut self, node: NodeId) {
        let writes = |node: &&NodeId| !self.cluster.node(**node).disk.pending.is_empty();
        let node = self.nodes.iter().find(writes).copied().unwrap_or(node);
        self.cluster.crash(node);
        if self.random.one_in(2) {
            self.cluster.restart(node);
        }
    }

    /// Everything works again; so there must be a leader, and what it is asked must be done
    /// everywhere.
    fn heal(&mut self) {
        self.cluster.cut.clear();
        self.cluster.sync_at_once = true;
        for node in self.nodes.clone() {
            if self.cluster.node(node).raft.is_none() {
                self.cluster.restart(node);
            }
            self.cluster.sync(node);
        }
        self.cluster.stabilize();
        self.cluster.run(200);
        let leaders = self.cluster.leaders();
        assert_eq!(leaders.len(), 1, "progress: one leader, not {leaders:?}");
        self.cluster.propose(leaders[0], "last").expect("a leader takes commands");
        self.asked += 1;
        let asked = self.asked;
        assert!(self.cluster.read(leaders[0], asked), "a leader takes reads");
        self.cluster.run(100);
        let served = self.cluster.served.contains(&ReadId(asked));
        assert!(served, "progress: the read is served");
        for node in &self.nodes {
            let state = &self.cluster.node(*node).state;
            assert_eq!(state.last().map(String::as_str), Some("last"), "progress: {node} follows");
        }
        self.answered = self.cluster.node(leaders[0]).state.len();
    }
}

fn play(seed: u64) -> usize {
    let mut life = Life::new(seed);
    let lived = catch_unwind(AssertUnwindSafe(|| {
        life.live(3000);
        life.heal();
    }));
    if let Err(panic) = lived {
        println!("{}", life.cluster.trace.join("\n"));
        println!("replay with SEED={seed}");
        std::panic::resume_unwind(panic);
    }
    let terms = life.nodes.iter().map(|node| life.cluster.term(*node)).max();
    assert!(life.nodes.iter().any(|node| life.cluster.raft(*node).role() == Role::Leader));
    assert!(terms.is_some_and(|term| term > 0));
    life.answered
}

#[test]
fn random_lives() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SEED") {
        play(seed);
        return;
    }
    let committed: usize = (0..number("SEEDS").unwrap_or(400)).map(play).sum();
    // A test in which nothing is ever committed would prove nothing.
    assert!(committed > 10_000, "only {committed} commands were committed");
}
