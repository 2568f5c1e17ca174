//! One deterministic replica: a [`Raft`], the [`Keyspace`] it feeds, and the clients that wait on
//! either.
//!
//! Like the core it is pure: events in, a [`Turn`] out, and time is only what it is told. This is
//! where a request becomes a log entry or a read round, and where each gets exactly one of three
//! answers:
//!
//! - *done*: the replies;
//! - *not done*: it was never appended, or was replaced before it was committed;
//! - *unknown*: it was appended, and leadership was lost before it was known to be committed.
//!
//! Order within a turn: committed entries are applied, then the reads confirmed with them are
//! answered, so that applied ≥ read index by the order of two lines. Reads on a lease come last,
//! and are told only if it still holds when they are done.

mod clock;
mod lease;
mod waiters;

use std::collections::{BTreeMap, VecDeque};

use raftkv_frontends::{Error, Unavailable};
use raftkv_storage::keyspace::changes::{Change, NOBODY};
use raftkv_storage::keyspace::command::{self, Batch, Reads, Stamp, time_entry};
use raftkv_storage::keyspace::{Garbage, Keyspace, Reply, View};
use raftkv_storage::types::{
    Configuration, Entry, EntryId, Index, NodeId, Payload, SnapshotMeta, Term,
};

use crate::raft::{
    Envelope, Message, NotLeader, Options, Raft, ReadId, Recovered, Role, Status, Write,
};

use clock::Clock;
pub use lease::LeaseReads;
use waiters::Waiters;

/// The largest payload of one log entry. One socket read is at most one request limit (16 MiB)
/// large, and encodes to little more.
pub const ENTRY_BYTES_MAX: usize = 20 << 20;

/// Identifies a request; chosen by whoever submits it, never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// How a request ended.
pub type Outcome = Result<Vec<Reply>, Error>;

/// What a turn has brought about, to be carried out in the order of [`Ready`](crate::raft::Ready).
#[derive(Debug, Default)]
pub struct Turn {
    /// To be sent at once.
    pub messages: Vec<Envelope>,
    /// To be made durable.
    pub write: Write,
    /// To be sent when `write` and all writes before it are durable. One that is addressed to this
    /// server itself is stepped back into the replica then.
    pub promises: Vec<Envelope>,
    /// Requests that found nothing, and wait from now on ([`Replica::wait`]).
    pub begun: Vec<RequestId>,
    /// Requests that ended.
    pub outcomes: Vec<(RequestId, Outcome)>,
    /// Reads that are confirmed and may take long: to be carried out on their view, away from the
    /// loop.
    pub heavy: Vec<HeavyReads>,
    /// Which keys have changed, if somebody wants to know: before `outcomes` are told.
    pub changes: Vec<Change>,
    /// Large structures nobody needs any more, to be dropped away from the loop.
    pub garbage: Vec<Garbage>,
}

/// Confirmed reads with the view they are to be answered from.
#[derive(Debug)]
pub struct HeavyReads {
    /// Who waits.
    pub request: RequestId,
    /// What is asked.
    pub reads: Reads,
    /// The keyspace at or after the read index.
    pub view: View,
    /// The leader's clock, for TTL replies.
    pub clock_ms: u64,
}

/// A request whose entry is in the log and not yet applied.
#[derive(Debug)]
struct PendingWrite {
    entry: EntryId,
    request: RequestId,
    /// Who asked, where that matters ([`Batch::origin`]).
    origin: u64,
    /// The reads that stand before the first write of the batch. They are answered right before
    /// the entry is applied: that it was committed in this leader's term proves as much as a
    /// read round would.
    reads: Reads,
    /// Those who wait for what the batch brings, and where among the replies theirs are.
    served: Vec<(usize, RequestId)>,
}

/// A replica of the keyspace.
#[derive(Debug)]
pub struct Replica {
    raft: Raft,
    keyspace: Keyspace,
    /// Waiting writes, in the order of the log.
    writes: VecDeque<PendingWrite>,
    /// Waiting reads, by who asks.
    reads: BTreeMap<RequestId, Reads>,
    /// Requests that wait for something to come.
    waiters: Waiters,
    /// Whether somebody else wants to know the changes of this turn.
    tells_changes: bool,
    /// Requests that ended since the last turn.
    outcomes: Vec<(RequestId, Outcome)>,
    /// The term this server leads in, as of the end of the last turn.
    leads: Option<Term>,
    /// The entry that moves the time past the next deadline, while it is under way.
    time_entry: Option<EntryId>,
    clock: Clock,
    leases: LeaseReads,
    /// The snapshot whose installation the core decides about in this turn.
    incoming: Option<(SnapshotMeta, Keyspace)>,
    garbage: Vec<Garbage>,
    seed: u64,
}

impl Replica {
    /// Creates a replica from what the disk gave back; `keyspace` is what the newest snapshot
    /// contains.
    #[must_use]
    pub fn new(
        id: NodeId,
        options: Options,
        bootstrap: Configuration,
        recovered: Recovered,
        keyspace: Keyspace,
        seed: u64,
    ) -> Self {
        Self {
            raft: Raft::new(id, options, bootstrap, recovered, seed),
            keyspace,
            writes: VecDeque::new(),
            reads: BTreeMap::new(),
            waiters: Waiters::default(),
            tells_changes: false,
            outcomes: Vec::new(),
            leads: None,
            time_entry: None,
            clock: Clock::default(),
            leases: LeaseReads::default(),
            incoming: None,
            garbage: Vec::new(),
            seed,
        }
    }

    /// Tells the time, in milliseconds since 1970 by this server's clock. Before other events of a
    /// turn.
    pub fn set_time(&mut self, wall_ms: u64) {
        self.clock.advance(wall_ms);
    }

    /// Says whether the changes of this turn are to be recorded.
    pub fn want_changes(&mut self, is_wanted: bool) {
        self.tells_changes = is_wanted;
    }

    /// A tick of the core's timers has passed.
    pub fn tick(&mut self) {
        self.raft.tick();
    }

    /// This server had better not lead: its disk hangs.
    pub fn step_down(&mut self) {
        self.raft.step_down();
    }

    /// This server is about to stop: somebody else is to lead. Returns who, if there is anybody.
    pub fn transfer_leadership(&mut self) -> Option<NodeId> {
        self.raft.transfer_leadership()
    }

    /// A message has arrived. Entries that this version cannot apply are not taken: once in the log
    /// they would stop every server that comes to them.
    pub fn step(&mut self, envelope: Envelope) {
        if let Message::AppendEntries { entries, .. } = &envelope.message
            && !entries.iter().all(is_applicable)
        {
            return;
        }
        self.raft.step(envelope);
    }

    /// A client asks for a batch to be carried out. The answer comes with a turn.
    pub fn submit(&mut self, request: RequestId, mut batch: Batch) {
        // Leadership may be won and lost within a turn: what comes in between must hear of its end.
        self.note_leadership();
        if !batch.has_writes() {
            let (reads, _) = batch.into_parts(self.stamp());
            match self.raft.read(ReadId(request.0)) {
                Ok(()) => drop(self.reads.insert(request, reads)),
                Err(error) => self.refuse(request, &error),
            }
            return;
        }
        if batch.size() > ENTRY_BYTES_MAX {
            let error = Error::Unavailable(Unavailable::TooLarge);
            self.outcomes.push((request, Err(error)));
            return;
        }
        let origin = batch.origin();
        let served = self.waiters.attach(&mut batch);
        let (reads, payload) = batch.into_parts(self.stamp());
        let payload = payload.expect("a batch with writes has a payload");
        match self.raft.propose(payload) {
            Ok(entry) => {
                self.writes.push_back(PendingWrite { entry, request, origin, reads, served });
            }
            Err(error) => {
                for (_, waiter) in served {
                    self.refuse(waiter, &error);
                }
                self.refuse(request, &error);
            }
        }
    }

    /// The log is durable up to this entry.
    pub fn persisted(&mut self, last: EntryId) {
        self.raft.persisted(last);
    }

    /// A snapshot from the leader has arrived; the core decides whether it is installed
    /// ([`Turn::write`]).
    pub fn install(&mut self, envelope: Envelope, keyspace: Keyspace) {
        let Message::InstallSnapshot { meta } = &envelope.message else { return };
        self.discard_incoming();
        self.incoming = Some((meta.clone(), keyspace));
        self.raft.step(envelope);
    }

    /// Returns what a snapshot of this moment contains.
    #[must_use]
    pub fn snapshot(&self) -> (SnapshotMeta, View) {
        (self.raft.snapshot_meta(self.raft.applied()), self.keyspace.view())
    }

    /// A snapshot up to this index is durable: the log below it may go.
    pub fn compact(&mut self, last: Index) {
        let cut = self.raft.compact(last);
        self.garbage.push(Box::new(cut));
    }

    /// The transport has handed over a snapshot, or could not.
    pub fn report_snapshot(&mut self, to: NodeId, delivered: bool) {
        self.raft.report_snapshot(to, delivered);
    }

    /// The stream to a peer broke.
    pub fn report_unreachable(&mut self, to: NodeId) {
        self.raft.report_unreachable(to);
    }

    /// The stream from a peer has ended.
    pub fn report_stream_ended(&mut self, from: NodeId) {
        self.raft.report_stream_ended(from);
    }

    /// Takes the effects of all events since the last turn. `now_us` reads the clock of
    /// [`Replica::set_now`].
    pub fn turn(&mut self, now_us: impl FnOnce() -> u64) -> Turn {
        self.keyspace.changes().want(self.tells_changes || !self.waiters.is_empty());
        self.move_time();
        self.try_again();
        let ready = self.raft.ready();
        if let Some(meta) = &ready.write.snapshot {
            self.restore(meta);
        }
        self.discard_incoming();
        for entry in &ready.committed {
            self.apply(entry);
        }
        // A new leader may have entries of the last one still to apply, stamped by a clock that was
        // ahead of its own.
        self.clock.catch_up(self.keyspace.time_ms());
        let mut heavy = Vec::new();
        for ReadId(id) in ready.reads {
            self.answer(RequestId(id), &mut heavy);
        }
        self.answer_on_lease(&ready.leased, now_us, &mut heavy);
        self.note_leadership();
        let changes = self.keyspace.changes().take();
        self.waiters.note(&changes);
        self.settle_waiters();
        if self.leads.is_none() {
            // An attempt may have ended in the turn in which leadership was lost.
            self.end_waiting();
        }
        while let Some(unlinked) = self.keyspace.take_garbage() {
            self.garbage.push(unlinked);
        }
        Turn {
            messages: ready.messages,
            write: ready.write,
            promises: ready.promises,
            begun: self.waiters.take_begun(),
            outcomes: std::mem::take(&mut self.outcomes),
            heavy,
            changes,
            garbage: std::mem::take(&mut self.garbage),
        }
    }

    /// Returns when, by this server's clock, the leader has to move the time because a key dies.
    /// `None` if nothing is due, or the entry that does it is on its way.
    #[must_use]
    pub fn wake_at_ms(&self) -> Option<u64> {
        self.leads?;
        if self.waiters.is_ready() {
            return Some(0);
        }
        if self.time_entry.is_some() {
            return None;
        }
        Some(self.keyspace.next_deadline()?.saturating_sub(self.clock.ahead_ms))
    }

    /// Returns the core's figures.
    #[must_use]
    pub fn status(&self) -> Status {
        self.raft.status()
    }

    /// Returns the core, to ask it questions.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Returns a view of the keyspace as applied.
    #[must_use]
    pub fn view(&self) -> View {
        self.keyspace.view()
    }

    fn stamp(&mut self) -> Stamp {
        // SplitMix64: what matters is that the leader chooses it, not how well.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut seed = self.seed;
        seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Stamp { time_ms: self.clock.now_ms(), seed: seed ^ (seed >> 31) }
    }

    fn refuse(&mut self, request: RequestId, error: &NotLeader) {
        self.outcomes.push((request, Err(not_done(error.leader))));
    }

    /// Proposes that the time moves past the next deadline, once it is due.
    fn move_time(&mut self) {
        let deadline = self.keyspace.next_deadline().filter(|_| self.leads.is_some());
        let is_due = deadline.is_some_and(|deadline| deadline <= self.clock.now_ms());
        if is_due && self.time_entry.is_none() {
            let payload = time_entry(self.stamp());
            self.time_entry = self.raft.propose(payload).ok();
        }
    }

    fn apply(&mut self, entry: &Entry) {
        while let Some(overtaken) =
            self.writes.pop_front_if(|write| write.entry.index < entry.id.index)
        {
            // Cannot be: a leader applies every entry it appended. Not known to be done, so not
            // said to be.
            self.end_write(overtaken, &Error::Unknown);
        }
        let waiting = self.writes.pop_front_if(|write| write.entry.index == entry.id.index);
        let clock_ms = self.clock.now_ms();
        let ours = waiting.as_ref().filter(|write| write.entry == entry.id);
        let leading = ours.filter(|write| !write.reads.is_empty());
        let mut replies = leading.map(|write| self.keyspace.read(&write.reads, clock_ms));
        self.keyspace.changes().attribute(ours.map_or(NOBODY, |write| write.origin));
        let applied = match &entry.payload {
            Payload::Command(payload) => self.keyspace.apply(entry.id.index, payload),
            Payload::Noop | Payload::Configuration(_) => Vec::new(),
        };
        if self.time_entry.is_some_and(|time| time.index <= entry.id.index) {
            self.time_entry = None;
        }
        let Some(write) = waiting else { return };
        if write.entry == entry.id {
            let applied = self.hand_out(&write.served, applied);
            let outcome = match replies.take() {
                None => applied,
                Some(mut replies) => {
                    replies.extend(applied);
                    replies
                }
            };
            self.outcomes.push((write.request, Ok(outcome)));
        } else {
            // Another leader's entry took the place: ours was never committed and never will be.
            self.end_write(write, &not_done(self.raft.leader()));
        }
    }

    /// Tells all who wait for an entry how it ended.
    fn end_write(&mut self, write: PendingWrite, error: &Error) {
        let served = write.served.into_iter().map(|(_, waiter)| waiter);
        let ended = std::iter::once(write.request).chain(served);
        self.outcomes.extend(ended.map(|request| (request, Err(error.clone()))));
    }

    fn answer(&mut self, request: RequestId, heavy: &mut Vec<HeavyReads>) {
        let Some(reads) = self.reads.remove(&request) else { return };
        let clock_ms = self.clock.now_ms();
        if self.keyspace.is_long(&reads) && !self.waiters.contains(request) {
            heavy.push(HeavyReads { request, reads, view: self.keyspace.view(), clock_ms });
        } else {
            self.outcomes.push((request, Ok(self.keyspace.read(&reads, clock_ms))));
        }
    }

    /// Replaces the keyspace by an installed snapshot's.
    fn restore(&mut self, meta: &SnapshotMeta) {
        let (incoming, keyspace) =
            self.incoming.take().expect("the core installs only what it was given");
        assert!(incoming == *meta, "the core installs the snapshot it was given in this turn");
        let mut old = std::mem::replace(&mut self.keyspace, keyspace);
        std::mem::swap(self.keyspace.changes(), old.changes());
        self.keyspace.changes().note_all();
        self.garbage.push(Box::new(old));
    }

    fn discard_incoming(&mut self) {
        if let Some((_, keyspace)) = self.incoming.take() {
            self.garbage.push(Box::new(keyspace));
        }
    }

    /// Ends what waits on leadership when it was lost, and takes up the clock when it was won.
    fn note_leadership(&mut self) {
        let leads = (self.raft.role() == Role::Leader).then(|| self.raft.term());
        if leads == self.leads {
            return;
        }
        if self.leads.is_some() {
            // Nothing that waits can be of a newer term: it would have been noted before.
            for write in std::mem::take(&mut self.writes) {
                self.end_write(write, &Error::Unknown);
            }
            let leader = self.raft.leader();
            for (request, _) in std::mem::take(&mut self.reads) {
                self.outcomes.push((request, Err(not_done(leader))));
            }
            self.end_waiting();
            self.time_entry = None;
            // What is changed elsewhere from now on is not known here in time.
            self.keyspace.changes().note_all();
        }
        if leads.is_some() {
            self.clock.restart(self.keyspace.time_ms());
        }
        self.leads = leads;
    }
}

fn is_applicable(entry: &Entry) -> bool {
    match &entry.payload {
        Payload::Command(payload) => payload.len() <= ENTRY_BYTES_MAX && command::is_valid(payload),
        Payload::Noop | Payload::Configuration(_) => true,
    }
}

fn not_done(leader: Option<NodeId>) -> Error {
    leader.map_or(Error::NoLeader, |leader| Error::NotLeader { leader })
}
