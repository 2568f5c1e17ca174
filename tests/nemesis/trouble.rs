//! Carries out what the plan says, and puts it right again.

use std::time::Duration;

use rustix::process::Signal;

use crate::links::{Links, Map, Weather};
use crate::plan::{Fault, Step};
use crate::process::client::Http;
use crate::process::{Cluster, End, Port};
use crate::random::Random;
use crate::shim::Shim;

const LOSS: u8 = 30;
const DELAY: Duration = Duration::from_millis(60);
/// How long a node is asked whether it leads.
const PATIENCE: Duration = Duration::from_millis(300);
/// The longest jump of a clock.
const JUMP_MS: u64 = 3_600_000;

/// The cluster, and all that can be done to it.
pub(crate) struct Nemesis {
    pub(crate) cluster: Cluster,
    pub(crate) links: Box<dyn Links>,
    /// None where there can be none.
    pub(crate) shim: Option<Shim>,
    /// Who led when last somebody was asked.
    leader: usize,
    /// What nodes have done at the end of their lives that they may not do.
    wrong: Vec<String>,
}

/// What has to be put right again.
#[derive(Debug, Default)]
struct Damage {
    weather: Map,
    killed: Vec<usize>,
    paused: Vec<usize>,
    slow: Vec<usize>,
}

impl Nemesis {
    pub(crate) fn new(cluster: Cluster, links: Box<dyn Links>, shim: Option<Shim>) -> Self {
        Self { cluster, links, shim, leader: 0, wrong: Vec::new() }
    }

    /// Returns which nodes have ended by themselves, or not as they were asked to.
    pub(crate) fn ended(&mut self) -> Vec<String> {
        let ended = |node: &mut crate::process::Node| {
            node.ended().map(|status| format!("{} ended by itself: {status}", node.id))
        };
        let by_themselves = self.cluster.nodes.iter_mut().filter_map(ended);
        self.wrong.drain(..).chain(by_themselves).collect()
    }

    /// Returns the highest term that any node knows, and who leads in it, by what they answer.
    pub(crate) fn leader(&mut self) -> (u64, usize) {
        let mut newest = (0, self.leader);
        for (at, node) in self.cluster.nodes.iter().enumerate() {
            let asked = Http::connect_within(node.address(Port::Http), PATIENCE)
                .and_then(|mut http| http.call("GET", "/status", &[], b""));
            let Ok((200, body)) = asked else { continue };
            let status: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let term = status["term"].as_u64().unwrap_or(0);
            if status["role"] == "leader" && term >= newest.0 {
                newest = (term, at);
            } else {
                newest.0 = newest.0.max(term);
            }
        }
        self.leader = newest.1;
        newest
    }

    /// Lets a step happen, and puts everything right at its end; `look` is called now and then, and
    /// says whether to go on.
    pub(crate) fn suffer(&mut self, step: &Step, mut look: impl FnMut(&mut Self) -> bool) {
        let mut damage = Damage::default();
        for (fault, draw) in step.faults.iter().zip(&step.draws) {
            let mut random = Random::for_part(*draw, "victims");
            self.begin(*fault, &mut random, &mut damage);
        }
        wait(step.lasts, || look(self));
        self.heal(damage);
        wait(step.calm, || look(self));
    }

    fn begin(&mut self, fault: Fault, random: &mut Random, damage: &mut Damage) {
        let size = self.cluster.nodes.len();
        let leader = self.leader().1;
        let order = shuffled(size, random);
        let majority = size / 2 + 1;
        match fault {
            Fault::KillLeader => self.kill(&[leader], damage),
            Fault::KillNode => self.kill(&order[..1], damage),
            Fault::KillMajority => self.kill(&order[..majority], damage),
            Fault::KillAll => self.kill(&order, damage),
            Fault::StopLeader => self.stop(leader, damage),
            Fault::RestartLoop => self.restart_often(order[0], random),
            Fault::PauseShort | Fault::PauseLeader => self.pause(&[leader], damage),
            Fault::PauseNode => self.pause(&order[..1], damage),
            Fault::PauseMajority => self.pause(&order[..majority], damage),
            Fault::ClockAhead => self.set_clock(order[0], 1, random),
            Fault::ClockBehind => self.set_clock(order[0], -1, random),
            Fault::ClocksApart => {
                order.iter().for_each(|at| self.set_clock(*at, 1 - 2 * (*at as i64 % 2), random));
            }
            Fault::SlowDiskOfLeader => self.slow_disk(&[leader], random.within(&(20..300)), damage),
            Fault::SlowDisk => self.slow_disk(&order[..1], random.within(&(20..600)), damage),
            Fault::SlowDisks => self.slow_disk(&order, random.within(&(10..80)), damage),
            Fault::HungDiskOfLeader => self.slow_disk(&[leader], 60_000, damage),
            Fault::Flapping => self.flap(&isolated(order[0], size)),
            _ => {
                for (way, weather) in weather_of(fault, leader, &order) {
                    let known = damage.weather.entry(way).or_default();
                    *known = known.and(weather);
                }
                self.links.set(&damage.weather);
            }
        }
    }

    fn heal(&mut self, damage: Damage) {
        for at in damage.paused {
            self.cluster.nodes[at].signal(Signal::CONT);
        }
        for at in damage.slow {
            self.shim.as_ref().unwrap().set_sync(at, Duration::ZERO);
        }
        if !damage.weather.is_empty() {
            self.links.set(&Map::new());
        }
        for at in damage.killed {
            self.cluster.nodes[at].start();
        }
    }

    fn kill(&mut self, nodes: &[usize], damage: &mut Damage) {
        for at in nodes {
            self.cluster.nodes[*at].kill();
            damage.killed.push(*at);
        }
    }

    /// A node that is asked to stop closes its log, which its disk must let it.
    fn stop(&mut self, at: usize, damage: &mut Damage) {
        if let Some(shim) = &self.shim {
            shim.set_sync(at, Duration::ZERO);
        }
        let node = &mut self.cluster.nodes[at];
        let status = node.stop();
        if !status.success() {
            self.wrong.push(format!("{} was asked to stop, and ended with {status}", node.id));
        }
        damage.killed.push(at);
    }

    fn restart_often(&mut self, at: usize, random: &mut Random) {
        for _ in 0..4 {
            self.cluster.nodes[at].kill();
            self.cluster.nodes[at].start();
            std::thread::sleep(Duration::from_millis(random.within(&(1..400))));
        }
    }

    fn pause(&self, nodes: &[usize], damage: &mut Damage) {
        for at in nodes {
            self.cluster.nodes[*at].signal(Signal::STOP);
            damage.paused.push(*at);
        }
    }

    /// A clock that has jumped stays where it is: that is a jump too, for whoever leads next.
    fn set_clock(&self, at: usize, direction: i64, random: &mut Random) {
        let jump = i64::try_from(random.below(JUMP_MS)).unwrap();
        self.shim.as_ref().unwrap().set_clock(at, direction * jump);
    }

    fn slow_disk(&self, nodes: &[usize], longer_ms: u64, damage: &mut Damage) {
        for at in nodes {
            self.shim.as_ref().unwrap().set_sync(*at, Duration::from_millis(longer_ms));
            damage.slow.push(*at);
        }
    }

    fn flap(&mut self, weather: &Map) {
        for _ in 0..4 {
            self.links.set(weather);
            std::thread::sleep(Duration::from_millis(120));
            self.links.set(&Map::new());
            std::thread::sleep(Duration::from_millis(120));
        }
    }
}

/// Waits, and looks around ten times a second.
fn wait(time: Duration, mut look: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + time;
    while let Some(left) = end.checked_duration_since(std::time::Instant::now()) {
        std::thread::sleep(left.min(Duration::from_millis(100)));
        if !look() {
            return;
        }
    }
}

fn shuffled(size: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..size).collect();
    for at in (1..size).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    order
}

fn isolated(node: usize, size: usize) -> Map {
    let cut = Weather { is_cut: true, ..Weather::default() };
    both_ways((0..size).filter(|other| *other != node).map(|other| (node, other)), cut)
}

fn both_ways(pairs: impl Iterator<Item = (usize, usize)>, weather: Weather) -> Map {
    let ways = pairs.flat_map(|(a, b)| [(a, b), (b, a)]);
    ways.map(|(a, b)| ((End::Node(a), End::Node(b)), weather)).collect()
}

fn clients(nodes: impl Iterator<Item = usize>, weather: Weather) -> Map {
    let ends = |at| [(End::Clients, End::Node(at)), (End::Node(at), End::Clients)];
    nodes.flat_map(ends).map(|way| (way, weather)).collect()
}

/// Returns the weather of a fault of the network; `order` says whom chance hits.
fn weather_of(fault: Fault, leader: usize, order: &[usize]) -> Map {
    let size = order.len();
    let fair = Weather::default();
    let cut = Weather { is_cut: true, ..fair };
    let (lossy, slow) = (Weather { loss: LOSS, ..fair }, Weather { delay: DELAY, ..fair });
    let reset = Weather { is_reset: true, ..fair };
    let pairs = || (0..size).flat_map(|a| (0..a).map(move |b| (a, b)));
    let others = || (0..size).filter(|at| *at != leader).map(End::Node);
    match fault {
        Fault::IsolateNode => isolated(order[0], size),
        Fault::IsolateLeader => isolated(leader, size),
        Fault::IsolateLeaderFromAll => {
            let mut all = isolated(leader, size);
            all.extend(clients([leader].into_iter(), cut));
            all
        }
        Fault::Split => {
            let (few, many) = order.split_at(size / 2);
            both_ways(few.iter().flat_map(|a| many.iter().map(move |b| (*a, *b))), cut)
        }
        Fault::DeafLeader => others().map(|other| ((other, End::Node(leader)), cut)).collect(),
        Fault::MuteLeader => others().map(|other| ((End::Node(leader), other), cut)).collect(),
        Fault::OneWay => [((End::Node(order[0]), End::Node(order[1])), cut)].into(),
        Fault::PairCut => both_ways([(order[0], order[1])].into_iter(), cut),
        Fault::Chain => {
            let place = |at| order.iter().position(|node| *node == at).unwrap();
            both_ways(pairs().filter(|(a, b)| place(*a).abs_diff(place(*b)) > 1), cut)
        }
        Fault::ClientsCutOff => clients([leader].into_iter(), cut),
        Fault::Loss => both_ways(pairs(), lossy),
        Fault::ClientLoss => clients(0..size, lossy),
        Fault::SlowNetwork => both_ways(pairs(), slow),
        Fault::SlowNode => {
            let from = End::Node(order[0]);
            order[1..].iter().map(|to| ((from, End::Node(*to)), slow)).collect()
        }
        Fault::Reset => both_ways(pairs(), reset),
        Fault::ClientReset => clients(0..size, reset),
        _ => Map::new(),
    }
}
