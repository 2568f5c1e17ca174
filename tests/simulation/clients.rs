//! Clients: one request at a time each, to whom they think leads, every value written once.

use std::collections::BTreeMap;
use std::rc::Rc;

use raftkv_frontends::Error;
use raftkv_storage::keyspace;

use crate::linearizability::{Condition, Op, OpId, Reply};
use crate::plan::{MS, Plan, SECOND, Workload};
use crate::random::Random;
use crate::requests::Request;
use crate::world::{Event, ServerEvent, World};

/// Keys from here on are counters.
const COUNTERS: u32 = 1 << 16;
/// Clients go on to new keys after this, so that the history of one key stays short enough to be
/// checked.
const EPOCH: u64 = 4 * SECOND;
/// Keys of one epoch.
const EPOCH_KEYS: u64 = 16;
/// How long a client waits after it was refused, at most.
const BACKOFF: u64 = 100 * MS;
/// How long a client waits for an answer once everything works.
const PATIENCE_MAX: u64 = 8 * SECOND;
/// One request in so many goes to any server: a client that has found a leader would else stay
/// with it for as long as it answers, and never see that there is another.
const ELSEWHERE: u64 = 4;
/// How many keys the reader asks for at once.
const READ_AT_ONCE: usize = 64;
/// The longest time to live.
pub(crate) const TTL_MAX: u64 = 2 * SECOND;

/// A client and what it knows.
#[derive(Debug)]
pub(crate) struct Client {
    random: Random,
    /// Whom it asks.
    target: usize,
    waiting: Option<Waiting>,
    requests: u64,
    values: u64,
    /// The newest version of a key that it was told.
    versions: BTreeMap<u32, u64>,
    /// A write of it was done while a leader lagged, and it has not read there since.
    has_written: bool,
    /// Operations that were done.
    pub(crate) done: usize,
    /// Writes that were done since this was last set to zero.
    pub(crate) written: usize,
    /// It asks nothing more.
    pub(crate) retired: bool,
    /// What a reader at the end has still to read.
    to_read: Option<Vec<u32>>,
    read: BTreeMap<u32, Option<Vec<u8>>>,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    request: Request,
    ops: Vec<OpId>,
}

impl Client {
    pub(crate) fn new(plan: &Plan, at: usize) -> Self {
        Self {
            random: Random::for_part(plan.seed, &format!("client {at}")),
            target: at % plan.nodes,
            waiting: None,
            requests: 0,
            values: 0,
            versions: BTreeMap::new(),
            has_written: false,
            done: 0,
            written: 0,
            retired: false,
            to_read: None,
            read: BTreeMap::new(),
        }
    }

    /// One that reads every key once.
    pub(crate) fn reader(plan: &Plan, at: usize, now: u64) -> Self {
        let epochs = 0..=now / EPOCH;
        let keys = epochs.flat_map(|epoch| (0..plan.keys).map(move |key| key_of(epoch, key)));
        let all = keys.flat_map(|key| [key, COUNTERS + key]).collect();
        Self { to_read: Some(all), ..Self::new(plan, at) }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    pub(crate) fn has_read_all(&self) -> bool {
        self.waiting.is_none() && self.to_read.as_ref().is_some_and(Vec::is_empty)
    }

    /// Returns what the reader has found in the counters.
    pub(crate) fn counters(&self) -> Vec<(u32, i64)> {
        let number = |value: &Option<Vec<u8>>| match value {
            None => 0,
            Some(bytes) => {
                String::from_utf8_lossy(bytes).parse().expect("exactly once: not a number")
            }
        };
        let counters = self.read.range(COUNTERS..);
        counters.map(|(key, value)| (*key, number(value))).collect()
    }

    fn key(&mut self, now: u64, plan: &Plan) -> u32 {
        key_of(now / EPOCH, self.random.below(plan.keys))
    }

    fn value(&mut self, at: usize, plan: &Plan) -> Vec<u8> {
        self.values += 1;
        let mut value = format!("{at}.{}", self.values).into_bytes();
        let length = self.random.below(plan.value_bytes) as usize;
        value.resize(value.len().max(length), b'.');
        value
    }

    fn next_request(&mut self, at: usize, now: u64, plan: &Plan) -> Request {
        if let Some(keys) = &self.to_read {
            let ops = keys.iter().take(READ_AT_ONCE).map(|key| (*key, Op::Get)).collect();
            return Request { ops, http: false };
        }
        let http = match plan.workload {
            Workload::CompareAndSet => !self.random.one_in(8),
            Workload::Counters => false,
            _ => self.random.one_in(6),
        };
        if http {
            return Request { ops: vec![self.http_op(at, now, plan)], http };
        }
        let most = if plan.workload == Workload::Mixed { 6 } else { 2 };
        let count = 1 + self.random.below(most);
        Request { ops: (0..count).map(|_| self.resp_op(at, now, plan)).collect(), http }
    }

    fn http_op(&mut self, at: usize, now: u64, plan: &Plan) -> (u32, Op) {
        let key = self.key(now, plan);
        let version = self.versions.get(&key).copied();
        let op = match (self.random.below(8), version) {
            (0..=1, _) => Op::Get,
            (2..=4, Some(version)) => {
                Op::set(self.value(at, plan)).when(Condition::Version(version))
            }
            (5, Some(version)) => Op::Delete { condition: Condition::Version(version) },
            (2..=5, None) => Op::set(self.value(at, plan)).when(Condition::Absent),
            (6, _) => Op::set(self.value(at, plan)).when(Condition::Present),
            _ => Op::set(self.value(at, plan)),
        };
        (key, op)
    }

    fn resp_op(&mut self, at: usize, now: u64, plan: &Plan) -> (u32, Op) {
        let key = self.key(now, plan);
        let mix = match plan.workload {
            Workload::Registers | Workload::CompareAndSet => [4, 4, 1, 1, 0, 0, 1],
            Workload::Counters => [1, 1, 0, 0, 8, 0, 0],
            Workload::Reads => [1, 9, 0, 0, 0, 0, 0],
            Workload::Expiry => [1, 4, 0, 0, 0, 6, 1],
            Workload::Mixed => [2, 3, 1, 1, 2, 1, 2],
        };
        let mut draw = self.random.below(mix.iter().sum());
        let kind = mix.iter().position(|weight| {
            let hit = draw < *weight;
            draw = draw.saturating_sub(*weight);
            hit
        });
        let op = match kind {
            Some(0) => Op::set(self.value(at, plan)),
            Some(1) => Op::Get,
            Some(2) if self.random.one_in(2) => Op::GetDelete,
            Some(2) => Op::Delete { condition: Condition::None },
            Some(3) if self.random.one_in(2) => Op::Append(self.value(at, plan)),
            Some(3) => Op::set(self.value(at, plan)).when(Condition::Absent),
            Some(4) => return (COUNTERS + key, Op::Increment(1)),
            Some(5) => Op::set(self.value(at, plan))
                .living(self.random.within(&(20 * MS..TTL_MAX)) / MS * MS),
            _ => Op::set(self.value(at, plan)).when(Condition::Present),
        };
        (key, op)
    }
}

fn key_of(epoch: u64, key: u64) -> u32 {
    u32::try_from(epoch * EPOCH_KEYS + key).expect("few keys")
}

impl World {
    /// A client sends its next request.
    pub(crate) fn client_thinks(&mut self, at: usize) {
        let (now, plan) = (self.now, Rc::clone(&self.plan));
        let client = &mut self.clients[at];
        if client.waiting.is_some() || client.retired || client.has_read_all() {
            return;
        }
        client.requests += 1;
        let id = client.requests;
        let request = client.next_request(at, now, &plan);
        let number = u32::try_from(at).expect("few clients");
        let call = |(key, op): &(u32, Op)| self.history.call(number, now, *key, op.clone());
        let ops = request.ops.iter().map(call).collect();
        client.waiting = Some(Waiting { id, request: request.clone(), ops });
        if client.random.one_in(ELSEWHERE) {
            client.target = client.random.below(plan.nodes as u64) as usize;
        }
        // Who has written elsewhere reads at a leader that does not know that it is none.
        let target = match self.network.laggard {
            Some(laggard) if request.only_reads() && std::mem::take(&mut client.has_written) => {
                laggard
            }
            Some(laggard) if client.target == laggard => (laggard + 1) % plan.nodes,
            _ => client.target,
        };
        self.trace.note(now, &[9, at as u64, target as u64], || {
            format!("client {at} asks {}: {request:?}", self.names[target])
        });
        if let Some(time) = self.network.route_client(now, target) {
            let life = self.servers[target].life;
            let event = ServerEvent::Request { client: at, id, request };
            self.at(time, Event::Server(target, life, event));
        }
        let patience = if self.chaos { plan.patience } else { PATIENCE_MAX };
        self.after(patience, Event::GiveUp(at, id));
    }

    /// A client hears of its request.
    pub(crate) fn client_hears(
        &mut self,
        at: usize,
        id: u64,
        reply: Option<Result<Vec<keyspace::Reply>, Error>>,
    ) {
        let Some(waiting) = self.clients[at].waiting.take_if(|waiting| waiting.id == id) else {
            return;
        };
        let now = self.now;
        self.trace.note(now, &[10, at as u64, id], || format!("client {at} hears {reply:?}"));
        let mut target = self.clients[at].target;
        let refused = !matches!(reply, Some(Ok(_) | Err(Error::NotLeader { .. })));
        match reply {
            Some(Ok(replies)) => self.client_is_told(at, &waiting, &replies),
            Some(Err(Error::Unknown)) | None => {
                self.client_does_not_know(&waiting);
                target += 1;
            }
            Some(Err(error)) => {
                waiting.ops.iter().for_each(|op| self.history.fail(*op));
                target = match error {
                    Error::NotLeader { leader } => self.position(leader),
                    _ => target + 1,
                };
            }
        }
        self.clients[at].target = target % self.servers.len();
        let client = &mut self.clients[at];
        let backoff = if refused { client.random.below(BACKOFF) } else { 0 };
        // The reader at the end wastes no time.
        let think = match client.to_read {
            Some(_) => 0,
            None => client.random.within(&self.plan.think),
        };
        self.after(think + backoff, Event::Think(at));
    }

    /// A client does not want to wait any longer: it will never know.
    pub(crate) fn client_gives_up(&mut self, at: usize, id: u64) {
        self.client_hears(at, id, None);
    }

    fn client_does_not_know(&mut self, waiting: &Waiting) {
        for (op, (key, asked)) in waiting.ops.iter().zip(&waiting.request.ops) {
            self.history.unknown(*op);
            if matches!(asked, Op::Increment(_)) {
                self.checks.counters.unknown(*key);
            }
        }
    }

    fn client_is_told(&mut self, at: usize, waiting: &Waiting, replies: &[keyspace::Reply]) {
        let Some(told) = waiting.request.parse(replies) else {
            panic!("replies: {replies:?} to {:?}", waiting.request);
        };
        let client = &mut self.clients[at];
        for ((op, (key, asked)), reply) in waiting.ops.iter().zip(&waiting.request.ops).zip(told) {
            client.done += 1;
            client.written += usize::from(!matches!(asked, Op::Get));
            client.has_written |= !matches!(asked, Op::Get) && self.network.laggard.is_some();
            match &reply {
                Reply::Number(_) => self.checks.counters.acknowledged(*key),
                Reply::Found { value, version } => {
                    client.versions.extend(version.map(|version| (*key, version)));
                    if let Some(keys) = &mut client.to_read {
                        keys.retain(|to_read| to_read != key);
                        client.read.insert(*key, value.clone());
                    }
                }
                Reply::Written { version: Some(version) } => {
                    client.versions.insert(*key, *version);
                }
                _ => {}
            }
            self.history.ok(*op, self.now, reply);
        }
    }
}
