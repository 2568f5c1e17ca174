//! Linearizability: is there one order of all that clients did that explains all that they saw?
//!
//! A [`History`] records what clients asked, when, and what they were told. [`History::check`]
//! looks for an order in which every operation takes effect at one moment between its call and its
//! return, and in which a single store would have answered the same. The search is the one of Wing
//! and Gong with the memory that Lowe added: the same operations behind it and the same state never
//! have to be searched twice. Keys are independent, so each is searched alone (Herlihy and Wing:
//! linearizability is a local property).
//!
//! What a client was told decides what is asked of the order:
//!
//! - [`History::ok`]: it took effect between its call and its return, and this was the answer.
//! - [`History::fail`]: it was certainly not done. Its effect seen anywhere is a violation.
//! - [`History::unknown`], and whatever has no end: at any time after its call, or never.
//!
//! Nothing here knows a simulator or a socket: times are of any clock that all clients share.

#![allow(dead_code, unused_imports, reason = "each test uses a part of it")]

mod demand;
mod explain;
mod model;
mod search;

use std::collections::BTreeMap;
use std::fmt;

pub(crate) use explain::Violation;
pub(crate) use model::{Clock, Model, Moment, State};
pub(crate) use search::{Event, Item, Search, Verdict};

/// How many steps the search for one key may take, unless told otherwise: some seconds.
const STEPS_MAX: u64 = 10_000_000;

/// What a client asks for one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// GET, in whatever protocol.
    Get,
    /// SET, SETNX, PUT: the deadline that was there goes, `ttl` sets a new one.
    Set { value: Vec<u8>, ttl: Option<u64>, condition: Condition },
    /// DEL, DELETE.
    Delete { condition: Condition },
    /// GETDEL.
    GetDelete,
    /// INCR, DECR and their like: keeps the deadline.
    Increment(i64),
    /// APPEND: keeps the deadline.
    Append(Vec<u8>),
}

impl Op {
    /// Returns a SET without conditions or deadline.
    pub(crate) fn set(value: impl Into<Vec<u8>>) -> Self {
        Self::Set { value: value.into(), ttl: None, condition: Condition::None }
    }

    /// Returns the same write, under a condition.
    pub(crate) fn when(mut self, wanted: Condition) -> Self {
        if let Self::Set { condition, .. } | Self::Delete { condition } = &mut self {
            *condition = wanted;
        }
        self
    }

    /// Returns the same SET, with a time to live in the unit of the clock.
    pub(crate) fn living(mut self, time: u64) -> Self {
        if let Self::Set { ttl, .. } = &mut self {
            *ttl = Some(time);
        }
        self
    }

    fn condition(&self) -> &Condition {
        match self {
            Self::Set { condition, .. } | Self::Delete { condition } => condition,
            _ => &Condition::None,
        }
    }
}

/// What must hold for a write to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Condition {
    /// Nothing.
    None,
    /// The key must not exist: NX, `If-None-Match: *`.
    Absent,
    /// The key must exist: XX, `If-Match: *`.
    Present,
    /// The key must have this version: `If-Match: "7"`.
    Version(u64),
    /// The key must hold this value.
    Value(Vec<u8>),
}

/// What the store answered. Each fits some operations; a wrong kind is a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// What a read or GETDEL found, and the version if the protocol tells it.
    Found { value: Option<Vec<u8>>, version: Option<u64> },
    /// A SET was done, and gave the key this version, if the protocol tells it.
    Written { version: Option<u64> },
    /// The condition did not hold, and nothing was done.
    Refused(Seen),
    /// A DEL was done: whether there was something to delete.
    Deleted(bool),
    /// The number after INCR.
    Number(i64),
    /// The length after APPEND.
    Length(u64),
    /// What is there is no number, or the sum would be none; nothing was done.
    NotANumber,
}

impl Reply {
    /// Returns what a read of a protocol without versions found.
    pub(crate) fn found(value: Option<&[u8]>) -> Self {
        Self::Found { value: value.map(<[u8]>::to_vec), version: None }
    }

    /// Returns the `OK` of a protocol without versions.
    pub(crate) fn written() -> Self {
        Self::Written { version: None }
    }
}

/// What a refusal tells of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing: RESP's null.
    Untold,
    /// That it does not exist.
    Absent,
    /// That it has this version.
    Version(u64),
}

/// Names an operation of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OpId(pub(crate) usize);

#[derive(Debug)]
enum End {
    /// Nothing is known: under way, or its outcome was lost.
    Unknown,
    Failed,
    Done(Event, Reply),
}

#[derive(Debug)]
struct Operation {
    client: u32,
    key: u32,
    op: Op,
    call: Event,
    end: End,
}

/// What all clients did and saw.
///
/// Events at the same time happened in the order in which they were recorded. So an event is
/// recorded while it is true: a call before the request leaves, an end after the reply has come.
#[derive(Debug)]
pub(crate) struct History {
    operations: Vec<Operation>,
    events: u64,
    clock: Clock,
    steps_max: u64,
}

impl History {
    /// Returns an empty history, whose keys expire within the bounds of `clock`.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { operations: Vec::new(), events: 0, clock, steps_max: STEPS_MAX }
    }

    /// Sets how many steps the search for one key may take before it gives up.
    pub(crate) fn steps_max(&mut self, steps: u64) {
        self.steps_max = steps;
    }

    fn event(&mut self, time: u64) -> Event {
        self.events += 1;
        Event { time, order: self.events }
    }

    /// Records that a client sends a request.
    pub(crate) fn call(&mut self, client: u32, time: u64, key: u32, op: Op) -> OpId {
        let call = self.event(time);
        self.operations.push(Operation { client, key, op, call, end: End::Unknown });
        OpId(self.operations.len() - 1)
    }

    /// Records that it was done, and how it was answered.
    pub(crate) fn ok(&mut self, id: OpId, time: u64, reply: Reply) {
        let event = self.event(time);
        assert!(self.operations[id.0].call < event, "a reply before its request");
        self.end(id, End::Done(event, reply));
    }

    /// Records that it was certainly not done, now or later.
    pub(crate) fn fail(&mut self, id: OpId) {
        self.end(id, End::Failed);
    }

    /// Records that nobody knows: a timeout, a lost connection, an answer that says so.
    pub(crate) fn unknown(&mut self, id: OpId) {
        self.end(id, End::Unknown);
    }

    fn end(&mut self, id: OpId, end: End) {
        let operation = &mut self.operations[id.0];
        assert!(matches!(operation.end, End::Unknown), "an operation ends once");
        operation.end = end;
    }

    /// Returns how many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.operations.len()
    }

    /// Looks for an order that explains everything.
    ///
    /// # Errors
    ///
    /// If there is none for some key, or none was found in the steps that were allowed.
    pub(crate) fn check(&self) -> Result<Checked, Failure> {
        let mut checked = Checked { operations: self.len(), keys: 0, longest: 0, steps: 0 };
        let mut undecided = None;
        for (key, items) in self.by_key() {
            let (verdict, steps) = Search::run(&items, None, self.clock, self.steps_max);
            checked.keys += 1;
            checked.longest = checked.longest.max(items.len());
            checked.steps += steps;
            match verdict {
                Verdict::Linearizable => {}
                Verdict::Violation { .. } => {
                    let violation = Violation::explain(self, key, items);
                    return Err(Failure::Violation(Box::new(violation)));
                }
                Verdict::Undecided => {
                    undecided.get_or_insert(Failure::Undecided {
                        key,
                        operations: items.len(),
                        steps,
                    });
                }
            }
        }
        // A certain violation of another key says more than a doubt.
        undecided.map_or(Ok(checked), Err)
    }

    /// Returns what has to be ordered for each key, in the order of the calls.
    pub(crate) fn by_key(&self) -> BTreeMap<u32, Vec<Item<'_>>> {
        let mut keys: BTreeMap<u32, Vec<Item<'_>>> = BTreeMap::new();
        for (id, operation) in self.operations.iter().enumerate() {
            let done = match &operation.end {
                End::Failed => continue,
                End::Unknown => None,
                End::Done(event, reply) => Some((*event, reply)),
            };
            let item = Item { id: OpId(id), op: &operation.op, call: operation.call, done };
            // A read that nobody saw the answer of says nothing.
            if done.is_some() || operation.op != Op::Get {
                keys.entry(operation.key).or_default().push(item);
            }
        }
        for items in keys.values_mut() {
            items.sort_unstable_by_key(|item| item.call);
        }
        keys
    }
}

/// What was checked and found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// All that were called.
    pub(crate) operations: usize,
    /// How many keys they were for.
    pub(crate) keys: usize,
    /// The most operations of one key.
    pub(crate) longest: usize,
    /// How many steps the search took.
    pub(crate) steps: u64,
}

/// Why a history was not found in order.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no order: the store is wrong.
    Violation(Box<Violation>),
    /// The search gave up. Neither good nor bad: record less concurrency, or fewer unknown ends.
    Undecided { key: u32, operations: usize, steps: u64 },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::Undecided { key, operations, steps } => write!(
                f,
                "undecided: no order found for the {operations} operations of key {key}, and not \
                 all orders ruled out, in {steps} steps"
            ),
        }
    }
}
