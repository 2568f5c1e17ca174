//! What clients ask for: every value written once, on keys that soon make room for others.

use std::time::{Duration, Instant};

use crate::linearizability::{Condition, Op};
use crate::random::Random;
use crate::record::Protocol;

/// Keys from here on are counters.
const COUNTERS: u32 = 1 << 31;
/// Clients go on to new keys after this, so that the history of one key stays short enough to be
/// checked.
const EPOCH: Duration = Duration::from_millis(700);
/// Keys of one epoch.
const EPOCH_KEYS: u64 = 12;
/// One value in so many is large.
const LARGE_ONE_IN: u64 = 40;
const LARGE_BYTES: usize = 6000;

/// A round, as far as it is seen in what is asked: no round shares keys or values with another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) number: u64,
    start: Instant,
    first_epoch: u64,
}

impl Round {
    /// Returns the first round of a run.
    pub(crate) fn first() -> Self {
        Self { number: 1, start: Instant::now(), first_epoch: 0 }
    }

    /// Returns the round that begins now.
    pub(crate) fn next(self) -> Self {
        let first_epoch = self.epoch() + 1;
        Self { number: self.number + 1, start: Instant::now(), first_epoch }
    }

    fn epoch(self) -> u64 {
        let passed = self.start.elapsed().as_millis() / EPOCH.as_millis();
        self.first_epoch + u64::try_from(passed).expect("a round of less than an age")
    }
}

/// Draws the requests of one client.
#[derive(Debug)]
pub(crate) struct Workload {
    client: u32,
    round: Round,
    pub(crate) random: Random,
    values: u64,
}

/// Returns the name of a key.
pub(crate) fn name(key: u32) -> String {
    if key < COUNTERS { format!("key{key}") } else { format!("counter{}", key - COUNTERS) }
}

impl Workload {
    pub(crate) fn new(seed: u64, round: Round, client: u32) -> Self {
        let random = Random::for_part(seed, &format!("round {} client {client}", round.number));
        Self { client, round, random, values: 0 }
    }

    fn key(&mut self) -> u32 {
        let key = self.round.epoch() * EPOCH_KEYS + self.random.below(EPOCH_KEYS);
        u32::try_from(key).expect("few keys")
    }

    /// Returns a text that nobody else ever sends.
    pub(crate) fn unique(&mut self) -> Vec<u8> {
        self.values += 1;
        format!("{}.{}.{}.", self.round.number, self.client, self.values).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        let mut value = self.unique();
        let large = self.random.one_in(LARGE_ONE_IN);
        let length = if large { LARGE_BYTES } else { self.random.below(60) as usize };
        value.resize(value.len().max(length), b'.');
        value
    }

    /// Returns what is asked next, and for which key; `version` is what the client knows of a key.
    pub(crate) fn next(&mut self, by: Protocol, version: impl Fn(u32) -> Option<u64>) -> (u32, Op) {
        let key = self.key();
        match by {
            Protocol::Http => (key, self.http_op(version(key))),
            Protocol::Resp if self.random.one_in(8) => (COUNTERS + key, Op::Increment(1)),
            Protocol::Resp => (key, self.resp_op()),
        }
    }

    fn http_op(&mut self, version: Option<u64>) -> Op {
        match (self.random.below(10), version) {
            (0..=3, _) => Op::Get,
            (4..=5, Some(version)) => Op::set(self.value()).when(Condition::Version(version)),
            (6, Some(version)) => Op::Delete { condition: Condition::Version(version) },
            (4..=6, None) => Op::set(self.value()).when(Condition::Absent),
            (7, _) => Op::set(self.value()).when(Condition::Present),
            (8, _) => Op::set(self.value()).living(self.ttl()),
            _ => Op::set(self.value()),
        }
    }

    fn resp_op(&mut self) -> Op {
        match self.random.below(16) {
            0..=6 => Op::Get,
            7..=9 => Op::set(self.value()),
            10 => Op::set(self.value()).when(Condition::Absent),
            11 => Op::set(self.value()).when(Condition::Present),
            12 => Op::set(self.value()).living(self.ttl()),
            13 => Op::Delete { condition: Condition::None },
            14 => Op::GetDelete,
            _ => Op::Append(self.unique()),
        }
    }

    /// Returns a time to live, in the unit of the history: microseconds.
    fn ttl(&mut self) -> u64 {
        self.random.within(&(20..1500)) * 1000
    }
}
