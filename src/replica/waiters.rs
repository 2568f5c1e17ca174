//! Clients that wait for something to come: BLPOP and its like.
//!
//! Such a command is an attempt that is repeated. The first one is carried out like any other
//! command; if it finds nothing, the leader keeps it, and tries again when one of its keys has
//! changed:
//!
//! 1. A batch that writes such a key gets the attempts of those who wait on it put right behind its
//!    command, in the order in which they came. So what is pushed is taken in the same entry, and
//!    nobody comes between, as in Redis.
//! 2. Whatever else makes a key ready (a script of options, a batch that was under way when the
//!    first attempt was made) is noticed when it is applied. Then who has waited longest gets an
//!    entry of its own.
//!
//! Who waits is known to the leader alone; that exactly one gets what was pushed, the log sees to:
//! each attempt takes what is there when it is applied, and a client has one attempt under way at
//! most. When leadership is lost, who has none hears that nothing was taken; who has one, that
//! nobody knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raftkv_storage::keyspace::changes::Change;
use raftkv_storage::keyspace::command::{Batch, Spec};
use raftkv_storage::keyspace::waits::{Call, is_nothing};
use raftkv_storage::keyspace::{Keyspace, Reply};

use super::{ENTRY_BYTES_MAX, Outcome, PendingWrite, Replica, RequestId, not_done};
use crate::raft::Role;

/// Who waits on one key without taking from others that wait on it: see [`Call::lane`].
type Lane = (Vec<u8>, Vec<u8>);

/// A client that waits.
#[derive(Debug)]
struct Waiter {
    call: Call,
    /// Who asks ([`Batch::origin`]).
    origin: u64,
    /// Whether an attempt is under way.
    is_trying: bool,
    /// What the last attempt answered; `None` before the first one has ended.
    nothing: Option<Reply>,
    /// Whether the client waits no longer than for this attempt.
    is_leaving: bool,
    /// Whether a key has changed that the attempt under way may not look at.
    has_missed: bool,
}

/// Those that wait on this leader.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// In the order in which they came.
    all: BTreeMap<RequestId, Waiter>,
    lanes: BTreeMap<Lane, BTreeSet<RequestId>>,
    /// Lanes whose key has changed, and may have something for the first in them.
    ready: BTreeSet<Lane>,
    /// Those whose first attempt has found nothing in this turn.
    begun: Vec<RequestId>,
}

impl Waiters {
    /// Returns whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns whether a request is one that waits, or is about to.
    pub(super) fn contains(&self, request: RequestId) -> bool {
        self.all.contains_key(&request)
    }

    /// Takes those who wait since this turn.
    pub(super) fn take_begun(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.begun)
    }

    /// Returns whether an attempt is to be made in the next turn.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn lanes_of(call: &Call) -> impl Iterator<Item = Lane> + '_ {
        let lane = call.lane();
        call.waited_keys().into_iter().map(move |key| (key.to_vec(), lane.clone()))
    }

    fn add(&mut self, request: RequestId, call: Call, origin: u64) {
        for lane in Self::lanes_of(&call) {
            self.lanes.entry(lane).or_default().insert(request);
        }
        let waiter = Waiter {
            call,
            origin,
            is_trying: true,
            nothing: None,
            is_leaving: false,
            has_missed: false,
        };
        self.all.insert(request, waiter);
    }

    fn remove(&mut self, request: RequestId) {
        let Some(waiter) = self.all.remove(&request) else { return };
        for lane in Self::lanes_of(&waiter.call) {
            if let Some(waiting) = self.lanes.get_mut(&lane) {
                waiting.remove(&request);
                if waiting.is_empty() {
                    self.lanes.remove(&lane);
                    self.ready.remove(&lane);
                }
            }
        }
    }

    /// Returns the lanes of a key.
    fn lanes_on<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = &'a Lane> {
        let from = (key.to_vec(), Vec::new());
        self.lanes.range(from..).map(|(lane, _)| lane).take_while(move |lane| lane.0 == key)
    }

    /// Returns the first in a lane whose attempts write, and who has none under way.
    fn first_idle(&self, lane: &Lane) -> Option<RequestId> {
        let is_idle = |request: &&RequestId| {
            self.all.get(request).is_some_and(|waiter| {
                !waiter.is_trying && !waiter.is_leaving && waiter.call.spec.is_write()
            })
        };
        self.lanes.get(lane)?.iter().find(is_idle).copied()
    }

    /// Puts attempts behind the commands of a batch that may have something for them, and returns
    /// the places of their replies.
    pub(super) fn attach(&mut self, batch: &mut Batch) -> Vec<(usize, RequestId)> {
        if self.is_empty() || !batch.has_writes() {
            return Vec::new();
        }
        let mut attached = Vec::new();
        let mut room = ENTRY_BYTES_MAX.saturating_sub(batch.size());
        let places = batch
            .insert_calls(|spec, args| self.attempts_behind(spec, args, &mut attached, &mut room));
        places.into_iter().zip(attached).collect()
    }

    /// Returns the attempts to be made behind a command: as many on each of its keys as it has
    /// arguments, for it brings no more, and as have room in the entry: the others get their own.
    /// An attempt may itself bring something for others.
    fn attempts_behind(
        &mut self,
        spec: &'static Spec,
        args: &[&[u8]],
        attached: &mut Vec<RequestId>,
        room: &mut usize,
    ) -> Vec<Call> {
        let mut attempts = Vec::new();
        if !spec.is_write() {
            return attempts;
        }
        let mut causes = VecDeque::from([Call::new(spec, args)]);
        while let Some(cause) = causes.pop_front() {
            let args = cause.args();
            // Where it takes from itself, it brings nothing.
            let taken: BTreeSet<&[u8]> = cause.waited_keys().into_iter().collect();
            let keys = cause.spec.keys(&args).filter_map(|place| args.get(place).copied());
            let keys: BTreeSet<&[u8]> = keys.filter(|key| !taken.contains(key)).collect();
            for key in keys {
                let lanes: Vec<Lane> = self.lanes_on(key).cloned().collect();
                for lane in lanes {
                    for _ in 1..args.len().max(2) {
                        let Some(request) = self.first_idle(&lane) else { break };
                        let Some(waiter) = self.all.get_mut(&request) else { break };
                        let attempt = waiter.call.on(key);
                        let bytes = attempt.size();
                        if bytes > *room {
                            self.ready.insert(lane.clone());
                            break;
                        }
                        *room -= bytes;
                        waiter.is_trying = true;
                        attached.push(request);
                        causes.push_back(attempt.clone());
                        attempts.push(attempt);
                    }
                }
            }
        }
        attempts
    }

    /// Returns those in a lane who only read, and have no read under way.
    fn readers(&self, lane: &Lane) -> Vec<RequestId> {
        let is_reader = |request: &&RequestId| {
            self.all.get(request).is_some_and(|waiter| {
                !waiter.is_trying && !waiter.is_leaving && !waiter.call.spec.is_write()
            })
        };
        self.lanes.get(lane).into_iter().flatten().filter(is_reader).copied().collect()
    }

    /// A key has changed whose waiters all have attempts under way, perhaps at other keys.
    fn note_missed(&mut self, lane: &Lane) {
        for request in self.lanes.get(lane).into_iter().flatten() {
            if let Some(waiter) = self.all.get_mut(request) {
                waiter.has_missed = waiter.is_trying;
            }
        }
    }

    /// Takes note of keys that have changed.
    pub(super) fn note(&mut self, changes: &[Change]) {
        if self.is_empty() {
            return;
        }
        for change in changes {
            match &change.key {
                Some(key) => {
                    let lanes: Vec<Lane> = self.lanes_on(key).cloned().collect();
                    self.ready.extend(lanes);
                }
                None => self.ready.extend(self.lanes.keys().cloned()),
            }
        }
    }

    /// Decides whether an outcome is the client's, or the end of an attempt that found nothing.
    fn ends(&mut self, request: RequestId, outcome: &mut Outcome, keyspace: &Keyspace) -> bool {
        let Some(waiter) = self.all.get_mut(&request) else { return true };
        let lanes: Vec<Lane> = Self::lanes_of(&waiter.call).collect();
        let reply = match outcome.as_deref_mut() {
            Ok([reply]) if !waiter.is_leaving => reply,
            _ => {
                self.remove(request);
                return true;
            }
        };
        let is_first = waiter.nothing.is_none();
        let mut waits_on = is_nothing(reply);
        if matches!(reply, Reply::Error(_)) && !is_first {
            let type_of_key = lanes.first().and_then(|lane| keyspace.type_of(&lane.0));
            match waiter.call.late_error(reply, type_of_key) {
                Some(error) => *reply = error,
                None => waits_on = true,
            }
        }
        if waits_on {
            waiter.is_trying = false;
            if std::mem::take(&mut waiter.has_missed) {
                self.ready.extend(lanes);
            }
            if is_first {
                waiter.nothing = Some(reply.clone());
                waiter.call = keyspace.pinned(&waiter.call);
                self.begun.push(request);
            }
            return false;
        }
        self.remove(request);
        // There may be more than this one took.
        self.ready.extend(lanes.into_iter().filter(|lane| self.lanes.contains_key(lane)));
        true
    }
}

impl Replica {
    /// A client asks for a command to be carried out that waits, if there is nothing, until there
    /// is, or [`Replica::stop_waiting`].
    pub fn wait(&mut self, request: RequestId, call: Call, origin: u64) {
        let mut batch = Batch::new();
        batch.push(call.spec, &call.args());
        batch.set_origin(origin);
        self.waiters.add(request, call, origin);
        self.submit(request, batch);
    }

    /// A client waits no longer: it is answered what the attempt that is under way brings, or that
    /// there is nothing.
    pub fn stop_waiting(&mut self, request: RequestId) {
        let Some(waiter) = self.waiters.all.get_mut(&request) else { return };
        if waiter.is_trying {
            waiter.is_leaving = true;
            return;
        }
        let nothing = waiter.nothing.take().unwrap_or(Reply::Null);
        self.waiters.remove(request);
        self.outcomes.push((request, Ok(vec![nothing])));
    }

    /// Makes the attempts that changes since the last turn have made worth while.
    pub(super) fn try_again(&mut self) {
        // Who leads no longer tells all that wait so, once, in this turn.
        if self.leads.is_none() || self.raft.role() != Role::Leader {
            return;
        }
        let mut reading = BTreeSet::new();
        for lane in std::mem::take(&mut self.waiters.ready) {
            let type_of_key = self.keyspace.type_of(&lane.0);
            self.end_those_in_vain(&lane, type_of_key);
            if type_of_key.is_none() {
                continue;
            }
            reading.extend(self.waiters.readers(&lane));
            match self.waiters.first_idle(&lane) {
                Some(request) => self.propose_attempt(request, &lane.0),
                None => self.waiters.note_missed(&lane),
            }
        }
        for request in reading {
            self.read_again(request);
        }
    }

    fn propose_attempt(&mut self, request: RequestId, key: &[u8]) {
        let Some(waiter) = self.waiters.all.get_mut(&request) else { return };
        let (attempt, origin) = (waiter.call.on(key), waiter.origin);
        let mut batch = Batch::new();
        batch.push(attempt.spec, &attempt.args());
        waiter.is_trying = true;
        let served = self.waiters.attach(&mut batch);
        let (reads, payload) = batch.into_parts(self.stamp());
        let payload = payload.expect("an attempt that is no read writes");
        match self.raft.propose(payload) {
            Ok(entry) => {
                self.writes.push_back(PendingWrite { entry, request, origin, reads, served });
            }
            Err(error) => {
                let refused = served.into_iter().map(|(_, waiter)| waiter).chain([request]);
                refused.for_each(|request| self.refuse(request, &error));
            }
        }
    }

    /// Tells those in a lane who wait for what cannot come any more.
    fn end_those_in_vain(&mut self, lane: &Lane, type_of_key: Option<&str>) {
        let waiting = self.waiters.lanes.get(lane).into_iter().flatten();
        for request in waiting {
            let Some(waiter) = self.waiters.all.get_mut(request) else { continue };
            let is_idle = !waiter.is_trying && !waiter.is_leaving;
            let Some(error) = waiter.call.ended_by(type_of_key).filter(|_| is_idle) else {
                continue;
            };
            // No attempt is to be made for it any more in this turn.
            waiter.is_leaving = true;
            self.outcomes.push((*request, Ok(vec![error])));
        }
    }

    /// Reads for one who only reads: what is applied in this leader's term is committed, and came
    /// after it was asked for.
    fn read_again(&mut self, request: RequestId) {
        let Some(waiter) = self.waiters.all.get(&request) else { return };
        let mut batch = Batch::new();
        batch.push(waiter.call.spec, &waiter.call.args());
        let (reads, _) = batch.into_parts(self.stamp());
        let replies = self.keyspace.read(&reads, self.clock.now_ms());
        self.outcomes.push((request, Ok(replies)));
    }

    /// Gives those who waited the replies that are theirs, and returns the others. An attempt that
    /// was not made, behind a transaction that was not carried out, has found nothing.
    pub(super) fn hand_out(
        &mut self,
        served: &[(usize, RequestId)],
        replies: Vec<Reply>,
    ) -> Vec<Reply> {
        if served.is_empty() {
            return replies;
        }
        let mut served = served.iter().peekable();
        let mut others = Vec::new();
        for (place, reply) in replies.into_iter().enumerate() {
            match served.next_if(|(theirs, _)| *theirs == place) {
                Some((_, request)) => self.outcomes.push((*request, Ok(vec![reply]))),
                None => others.push(reply),
            }
        }
        self.outcomes.extend(served.map(|(_, request)| (*request, Ok(vec![Reply::Null]))));
        others
    }

    /// Keeps those waiting whose attempt has found nothing.
    pub(super) fn settle_waiters(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        let ends = |(request, mut outcome): (RequestId, Outcome)| {
            let ends = self.waiters.ends(request, &mut outcome, &self.keyspace);
            ends.then_some((request, outcome))
        };
        self.outcomes = outcomes.into_iter().filter_map(ends).collect();
    }

    /// Tells all that wait and have no attempt under way that nothing was taken.
    pub(super) fn end_waiting(&mut self) {
        let leader = self.raft.leader();
        let is_idle = |(_, waiter): &(&RequestId, &Waiter)| !waiter.is_trying;
        let idle: Vec<RequestId> =
            self.waiters.all.iter().filter(is_idle).map(|(request, _)| *request).collect();
        for request in idle {
            self.waiters.remove(request);
            self.outcomes.push((request, Err(not_done(leader))));
        }
        self.waiters.ready.clear();
    }
}
