//! What all clients did and saw in one round, and the figures of the whole run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::linearizability::{Clock, Failure, History, Op, OpId, Reply};

/// How far a deadline may be off. Clocks jump ahead here, so a value may go at any time; but a
/// round's longest outage is all that can keep it.
const CLOCK: Clock = Clock { early: 1 << 60, late: Some(30_000_000) };

/// Names a protocol, for what must work in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Resp,
    Http,
}

/// How operations ended, over the whole run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) unknown: u64,
    /// Operations that were done by HTTP; the others, by RESP.
    pub(crate) by_http: u64,
    /// The longest time in which no client succeeded.
    pub(crate) gap: Duration,
    /// The longest time from the end of all faults until writes worked in both protocols.
    pub(crate) recovery: Duration,
    /// Keys whose histories were searched for an order, and found to have one.
    pub(crate) keys: u64,
    /// Rounds in which the search for one key or some gave up.
    pub(crate) undecided: u64,
}

/// The record of a round, which every client writes.
#[derive(Debug)]
pub(crate) struct Record {
    history: History,
    start: Instant,
    /// Increments of each counter: those that were done, and those of which nobody knows.
    counters: BTreeMap<u32, (i64, i64)>,
    keys: BTreeMap<u32, ()>,
    last_success: Instant,
    /// When a write was last done, by RESP and by HTTP.
    written: [Option<Instant>; 2],
    /// What a client saw that no store may do.
    wrong: Option<String>,
    figures: Figures,
}

/// A record, shared by all clients.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<Record>>);

impl Shared {
    /// Returns an empty record.
    pub(crate) fn new(start: Instant) -> Self {
        Self(Arc::new(Mutex::new(Record {
            history: History::new(CLOCK),
            start,
            counters: BTreeMap::new(),
            keys: BTreeMap::new(),
            last_success: Instant::now(),
            written: [None; 2],
            wrong: None,
            figures: Figures::default(),
        })))
    }

    /// Returns the record, for one entry.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).expect("a run of less than an age")
    }

    /// Begins a round: what was found in order need not be kept.
    pub(crate) fn begin_round(&mut self) {
        self.history = History::new(CLOCK);
        self.counters.clear();
        self.keys.clear();
        self.written = [None; 2];
        // Between two rounds nobody asks.
        self.last_success = Instant::now();
    }

    /// A client sends a request.
    pub(crate) fn call(&mut self, client: u32, key: u32, op: &Op) -> OpId {
        let now = self.now();
        self.keys.insert(key, ());
        if let Op::Increment(_) = op {
            // Also one of which every increment is refused is looked at: it must stay at zero.
            self.counters.entry(key).or_default();
        }
        self.history.call(client, now, key, op.clone())
    }

    /// It was done.
    pub(crate) fn ok(&mut self, id: OpId, key: u32, op: &Op, reply: Reply, by: Protocol) {
        let (now, instant) = (self.now(), Instant::now());
        if let Reply::Number(_) = reply {
            self.counters.entry(key).or_default().0 += 1;
        }
        if !matches!(op, Op::Get) {
            self.written[by as usize] = Some(instant);
        }
        self.history.ok(id, now, reply);
        self.figures.ok += 1;
        self.figures.by_http += u64::from(by == Protocol::Http);
        self.figures.gap = self.figures.gap.max(instant - self.last_success);
        self.last_success = instant;
    }

    /// It was certainly not done.
    pub(crate) fn fail(&mut self, id: OpId) {
        self.history.fail(id);
        self.figures.failed += 1;
    }

    /// Nobody knows.
    pub(crate) fn unknown(&mut self, id: OpId, key: u32, op: &Op) {
        if let Op::Increment(_) = op {
            self.counters.entry(key).or_default().1 += 1;
        }
        self.history.unknown(id);
        self.figures.unknown += 1;
    }

    /// A client saw what no store may do.
    pub(crate) fn is_wrong(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// Returns what was wrong.
    pub(crate) fn wrong(&self) -> Option<String> {
        self.wrong.clone()
    }

    /// Returns whether writes were done in both protocols since then.
    pub(crate) fn works_since(&self, since: Instant) -> bool {
        self.written.iter().all(|written| written.is_some_and(|at| at > since))
    }

    /// Takes note of how long it took until the cluster worked again.
    pub(crate) fn recovered(&mut self, after: Duration) {
        self.figures.recovery = self.figures.recovery.max(after);
    }

    /// Returns the keys of this round.
    pub(crate) fn keys(&self) -> Vec<u32> {
        self.keys.keys().copied().collect()
    }

    /// Returns what was counted, up to now.
    pub(crate) fn figures(&self) -> Figures {
        self.figures.clone()
    }

    /// Checks all of the round; `read` is what every key held at the end.
    pub(crate) fn check(&mut self, read: &BTreeMap<u32, Option<Vec<u8>>>) -> Result<(), String> {
        match self.history.check() {
            Ok(checked) => self.figures.keys += checked.keys as u64,
            // All other keys are in order. It happens where many outcomes of a key are unknown.
            Err(Failure::Undecided { .. }) => self.figures.undecided += 1,
            Err(failure) => return Err(failure.to_string()),
        }
        for (key, (done, unknown)) in &self.counters {
            let text = read.get(key).cloned().flatten().unwrap_or(b"0".to_vec());
            let number = String::from_utf8_lossy(&text).parse::<i64>();
            if !number.as_ref().is_ok_and(|number| (*done..=done + unknown).contains(number)) {
                return Err(format!(
                    "counter {key} is {number:?} after {done} increments that were done and \
                     {unknown} of which nobody knows"
                ));
            }
        }
        Ok(())
    }
}
