//! The network: every message arrives some time later, or never, or more than once.
//!
//! A link goes one way. On a healthy one messages stay in order, as on the streams of the real
//! transport; the core promises more than that, and so there are faults that reorder.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use raftkv::raft::Envelope;

use crate::random::Random;

/// Messages that are kept to be replayed.
const OLD_MAX: usize = 64;

/// One way from one node to another.
pub(crate) type Link = (usize, usize);

/// The state of all links. What is set here stays until it is mended.
#[derive(Debug)]
pub(crate) struct Network {
    random: Random,
    latency: Range<u64>,
    pub(crate) cut: BTreeSet<Link>,
    /// Until when a link holds its messages back.
    pub(crate) clogged: BTreeMap<Link, u64>,
    /// What a link adds to the latency.
    pub(crate) slow: BTreeMap<Link, u64>,
    /// How many in a thousand a link loses.
    pub(crate) flaky: BTreeMap<Link, u64>,
    pub(crate) drop_per_mille: u64,
    pub(crate) duplicate_per_mille: u64,
    pub(crate) replay_per_mille: u64,
    pub(crate) reorder: bool,
    pub(crate) delay: u64,
    pub(crate) snapshot_loss_per_mille: u64,
    pub(crate) snapshot_delay: u64,
    /// A leader is made to lag.
    pub(crate) lags: bool,
    /// A leader that still hears its followers, and that they do not hear any more.
    pub(crate) laggard: Option<usize>,
    /// Nodes that clients do not reach.
    pub(crate) client_cut: BTreeSet<usize>,
    pub(crate) client_delay: u64,
    /// When the last message of a link arrives.
    last: BTreeMap<Link, u64>,
    old: VecDeque<(usize, Envelope)>,
}

impl Network {
    pub(crate) fn new(seed: u64, latency: Range<u64>) -> Self {
        Self {
            random: Random::for_part(seed, "network"),
            latency,
            cut: BTreeSet::new(),
            clogged: BTreeMap::new(),
            slow: BTreeMap::new(),
            flaky: BTreeMap::new(),
            drop_per_mille: 0,
            duplicate_per_mille: 0,
            replay_per_mille: 0,
            reorder: false,
            delay: 0,
            snapshot_loss_per_mille: 0,
            snapshot_delay: 0,
            lags: false,
            laggard: None,
            client_cut: BTreeSet::new(),
            client_delay: 0,
            last: BTreeMap::new(),
            old: VecDeque::new(),
        }
    }

    /// Ends all trouble.
    pub(crate) fn mend(&mut self) {
        let healthy = Self::new(0, self.latency.clone());
        let broken = std::mem::replace(self, healthy);
        (self.random, self.last) = (broken.random, broken.last);
    }

    /// Returns when a message that leaves now arrives: never, once, or more than once.
    pub(crate) fn route(&mut self, now: u64, link: Link) -> Vec<u64> {
        let flaky = self.flaky.get(&link).copied().unwrap_or(0).max(self.drop_per_mille);
        if self.cut.contains(&link) || self.random.per_mille(flaky) {
            return Vec::new();
        }
        let mut times = vec![self.arrival(now, link)];
        if self.random.per_mille(self.duplicate_per_mille) {
            times.push(self.arrival(now, link));
        }
        times
    }

    fn arrival(&mut self, now: u64, link: Link) -> u64 {
        let mut time = now + self.random.within(&self.latency);
        time += self.slow.get(&link).copied().unwrap_or(0);
        if self.delay > 0 {
            time += self.random.below(self.delay);
        }
        if let Some(until) = self.clogged.get(&link) {
            time = time.max(*until);
        }
        let last = self.last.entry(link).or_default();
        if self.reorder {
            time += self.random.below(5 * self.latency.end);
        } else {
            time = time.max(*last);
        }
        *last = time.max(*last);
        time
    }

    /// Returns when a client's message to or from a node arrives, if it does.
    pub(crate) fn route_client(&mut self, now: u64, node: usize) -> Option<u64> {
        if self.client_cut.contains(&node) {
            return None;
        }
        let mut time = now + self.random.within(&self.latency);
        if self.client_delay > 0 {
            time += self.random.below(self.client_delay);
        }
        Some(time)
    }

    /// Returns when a snapshot that leaves now has arrived whole; `None` if it breaks off.
    pub(crate) fn route_snapshot(&mut self, now: u64, link: Link, bytes: usize) -> Option<u64> {
        if self.cut.contains(&link) || self.random.per_mille(self.snapshot_loss_per_mille) {
            return None;
        }
        Some(self.arrival(now, link) + self.snapshot_delay + bytes as u64 / 100)
    }

    /// Keeps some messages, and now and then returns one of long ago.
    pub(crate) fn replay(&mut self, to: usize, envelope: &Envelope) -> Option<(usize, Envelope)> {
        if self.replay_per_mille == 0 {
            return None;
        }
        if self.random.one_in(4) {
            self.old.push_back((to, envelope.clone()));
        }
        let full = self.old.len() > OLD_MAX;
        if full && self.random.per_mille(self.replay_per_mille) {
            let at = self.random.below(self.old.len() as u64);
            return self.old.remove(usize::try_from(at).expect("an index"));
        }
        if full {
            self.old.pop_front();
        }
        None
    }
}
