//! The process of a simulated server: the small loop that the real one has around a `Replica`,
//! with the same order of steps.

use std::collections::{BTreeMap, BTreeSet};

use raftkv::persist::{Job, Progress, Queue, Writer};
use raftkv::raft::{Envelope, Message, Role};
use raftkv::replica::{Outcome, Replica, RequestId, Turn};
use raftkv_frontends::{Error, Unavailable};
use raftkv_storage::fs::Place;
use raftkv_storage::snapshot::Received;
use raftkv_storage::types::{ClusterId, Index, NodeId, SnapshotMeta, Term};

use crate::check::states::States;
use crate::disk::Survival;
use crate::plan::{MS, SECOND};
use crate::requests::Request;
use crate::world::{Event, ServerEvent, World};

/// A full disk is tried again after this.
const NO_SPACE_RETRY: u64 = 200 * MS;
/// A leader whose disk takes longer than this steps down.
const HUNG: u64 = 3 * SECOND;
/// How long a request may take.
const REQUEST_DEADLINE: u64 = 5 * SECOND;

/// A running process.
pub(crate) struct Process {
    pub(crate) replica: Replica,
    writer: Writer,
    queue: Queue,
    /// Jobs that came while the disk was busy.
    pub(crate) jobs: Vec<Job>,
    is_writing: bool,
    writing_since: u64,
    writes: u64,
    /// The end of a turn is on its way.
    is_gathering: bool,
    /// The newest snapshot.
    pub(crate) snapshot: Option<(Place, SnapshotMeta)>,
    pub(crate) is_taking_snapshot: bool,
    pub(crate) incoming: Option<Received>,
    pub(crate) sending: BTreeSet<usize>,
    waiting: BTreeMap<RequestId, Waiting>,
    requests: u64,
    is_full: bool,
    identity: Option<ClusterId>,
    /// What the checkers have been shown last.
    shown: Option<Stand>,
}

/// Where a server stands: the term in which it leads, its term, what it has committed and applied.
type Stand = (Option<Term>, Term, Index, Index);

struct Waiting {
    client: usize,
    id: u64,
    late: Error,
    since: u64,
}

impl Process {
    pub(crate) fn new(
        replica: Replica,
        writer: Writer,
        snapshot: Option<(Place, SnapshotMeta)>,
    ) -> Self {
        Self {
            replica,
            writer,
            queue: Queue::default(),
            jobs: Vec::new(),
            is_writing: false,
            writing_since: 0,
            writes: 0,
            is_gathering: false,
            snapshot,
            is_taking_snapshot: false,
            incoming: None,
            sending: BTreeSet::new(),
            waiting: BTreeMap::new(),
            requests: 0,
            is_full: false,
            identity: None,
            shown: None,
        }
    }

    /// Returns whether something was handed to the disk that it has not reported yet.
    pub(crate) fn is_writing(&self) -> bool {
        self.queue.is_waiting()
    }

    /// Returns which requests of which clients have not been answered.
    pub(crate) fn who_waits(&self) -> Vec<(usize, u64)> {
        self.waiting.values().map(|waiting| (waiting.client, waiting.id)).collect()
    }
}

impl World {
    /// A process begins.
    pub(crate) fn begin(&mut self, at: usize) {
        let delay = self.random.below(self.plan.tick);
        self.notify(at, delay, ServerEvent::Tick);
        self.notify(at, self.plan.quiet, ServerEvent::Mark(0));
        self.turn(at);
    }

    /// Schedules an event for the process that runs now.
    pub(crate) fn notify(&mut self, at: usize, delay: u64, event: ServerEvent) {
        let life = self.servers[at].life;
        self.after(delay, Event::Server(at, life, event));
    }

    pub(crate) fn server_event(&mut self, at: usize, life: u32, event: ServerEvent) {
        let server = &mut self.servers[at];
        if server.life != life || server.process.is_none() {
            return self.lost_event(at, event);
        }
        // A process that stands still finds all that came when it goes on.
        let ready = server.paused_until.max(server.busy_until);
        if self.now < ready {
            // A turn that was under way takes in what has arrived meanwhile.
            let behind = match event {
                ServerEvent::Turn => 1,
                ServerEvent::Message(_) if server.reads_peers_late => 2,
                _ => 0,
            };
            return self.at(ready + behind, Event::Server(at, life, event));
        }
        server.busy_until = self.now + server.event_cost;
        let wall_ms = server.clock.now_ms(self.now);
        let Some(process) = &mut server.process else { return };
        process.replica.set_time(wall_ms);
        // Once in a turn, and what is gathered later is judged by that, as in the real loop.
        if !process.is_gathering {
            process.replica.set_now(server.clock.monotonic_us(self.now));
        }
        match event {
            ServerEvent::Tick => self.tick(at),
            ServerEvent::Message(envelope) => {
                self.trace.note(self.now, &[4, at as u64, envelope.term], || show(&envelope));
                process.replica.step(envelope);
            }
            ServerEvent::Snapshot { from, term, meta, bytes } => {
                if self.receive_snapshot(at, from, term, meta, &bytes) {
                    self.turn(at);
                }
                return;
            }
            ServerEvent::SnapshotSent { to, delivered } => {
                process.sending.remove(&to);
                process.replica.report_snapshot(self.names[to], delivered);
            }
            ServerEvent::Unreachable(peer) => process.replica.report_unreachable(self.names[peer]),
            ServerEvent::StreamEnded(peer) => {
                process.replica.report_stream_ended(self.names[peer]);
            }
            ServerEvent::HandOver => drop(process.replica.transfer_leadership()),
            ServerEvent::Write => {
                if !self.write(at) {
                    return;
                }
            }
            ServerEvent::Mark(writes) => {
                if process.writes == writes && !process.is_writing {
                    let marked = process.writer.mark();
                    if let Err(error) = marked {
                        return self.disk_failed(at, &error.to_string());
                    }
                }
            }
            ServerEvent::Turn => {
                process.is_gathering = false;
                return self.turn(at);
            }
            ServerEvent::TakeSnapshot(taken) => {
                if !self.take_snapshot(at, &taken.0, &taken.1) {
                    return;
                }
            }
            ServerEvent::Request { client, id, request } => self.request(at, client, id, &request),
        }
        self.turn_soon(at);
    }

    /// Sees to it that a turn is taken, once what else arrives meanwhile has arrived.
    fn turn_soon(&mut self, at: usize) {
        if self.plan.gather == 0 {
            return self.turn(at);
        }
        let Some(process) = &mut self.servers[at].process else { return };
        if !std::mem::replace(&mut process.is_gathering, true) {
            self.notify(at, self.plan.gather, ServerEvent::Turn);
            self.may_stand_still(at);
        }
    }

    /// An event found no process. A client sees that its connection is refused.
    fn lost_event(&mut self, at: usize, event: ServerEvent) {
        if let ServerEvent::Request { client, id, .. } = event {
            self.reply(at, client, id, Some(Err(Error::NoLeader)));
        }
    }

    fn tick(&mut self, at: usize) {
        let rate = self.servers[at].clock.rate.max(50);
        let eager = self.servers[at].eager_snapshots;
        let limit = if eager { 1 } else { self.plan.snapshot_bytes };
        let now = self.now;
        self.notify(at, self.plan.tick * 1000 / rate, ServerEvent::Tick);
        let Some(process) = &mut self.servers[at].process else { return };
        process.replica.tick();
        let hangs = process.is_writing && !process.is_full && now - process.writing_since > HUNG;
        if hangs && self.names.len() > 1 {
            process.replica.step_down();
        }
        let mut late = Vec::new();
        while let Some(oldest) = process.waiting.first_entry()
            && now - oldest.get().since > REQUEST_DEADLINE
        {
            late.push(oldest.remove_entry());
        }
        let due = process.replica.raft().bytes_since_snapshot() >= limit;
        let snapshot = (due && !process.is_taking_snapshot).then(|| {
            process.is_taking_snapshot = true;
            Box::new(process.replica.snapshot())
        });
        for (request, waiting) in late {
            self.answered(at, request, &waiting, Err(waiting.late.clone()));
        }
        if let Some(snapshot) = snapshot {
            self.compare(at);
            let delay = self.random.within(&self.plan.sync.clone()) * 4;
            self.notify(at, delay, ServerEvent::TakeSnapshot(snapshot));
        }
    }

    fn request(&mut self, at: usize, client: usize, id: u64, request: &Request) {
        let life = self.servers[at].life;
        let Some(process) = &mut self.servers[at].process else { return };
        let batch = request.batch();
        process.requests += 1;
        let key = RequestId(process.requests);
        self.checks.replies.takes((at, life, key.0), u32::try_from(client).expect("few clients"));
        let late = if batch.has_writes() { Error::Unknown } else { Error::NoLeader };
        let waiting = Waiting { client, id, late, since: self.now };
        let leads = process.replica.raft().role() == Role::Leader;
        if batch.has_writes() && process.is_full && leads {
            let refused = Err(Error::Unavailable(Unavailable::NoSpace));
            return self.answered(at, key, &waiting, refused);
        }
        process.waiting.insert(key, waiting);
        process.replica.submit(key, batch);
    }

    /// Takes a turn and carries it out.
    pub(crate) fn turn(&mut self, at: usize) {
        let name = self.names[at];
        let read_us = self.time_after_reads(at);
        let Some(process) = &mut self.servers[at].process else { return };
        let Turn { messages, write, promises, outcomes, heavy, .. } =
            process.replica.turn(|| read_us);
        let raft = process.replica.raft();
        let leads = (raft.role() == Role::Leader).then(|| raft.term());
        if !write.is_empty() {
            self.checks.logs.writes(name, &write, leads);
        }
        let installs = write.snapshot.is_some();
        let received = process.incoming.take().filter(|_| installs);
        let (job, free) = process.queue.write(write, received, promises);
        process.jobs.extend(job);
        let mut ended: Vec<(RequestId, Outcome)> = outcomes;
        for heavy in heavy {
            ended.push((heavy.request, Ok(heavy.view.read(&heavy.reads, heavy.clock_ms))));
        }
        self.observe(at);
        if installs {
            self.compare(at);
        }
        for envelope in messages {
            // Nothing that promises is among them, or it is held to its word all the same.
            self.checks.votes.promises(&envelope);
            self.send(at, envelope);
        }
        self.release(at, free);
        for (request, outcome) in ended {
            let Some(process) = &mut self.servers[at].process else { return };
            // One that was answered because it was late ends unheard.
            let Some(waiting) = process.waiting.remove(&request) else { continue };
            self.answered(at, request, &waiting, outcome);
        }
        self.note_cluster(at);
        self.write_soon(at);
    }

    /// Shows the checkers where a server stands.
    fn observe(&mut self, at: usize) {
        let name = self.names[at];
        self.servers[at].note_recovery();
        let Some(process) = &mut self.servers[at].process else { return };
        let raft = process.replica.raft();
        let (role, term, commit, applied) =
            (raft.role(), raft.term(), raft.committed(), raft.applied());
        let leads = (role == Role::Leader).then_some(term);
        if process.shown.replace((leads, term, commit, applied))
            == Some((leads, term, commit, applied))
        {
            return;
        }
        let known = self.checks.logs.commit(name);
        if commit > self.checks.logs.committed() {
            let servers = self.names.iter().zip(&self.servers);
            let durable: Vec<_> = servers.map(|(name, at)| (*name, at.durable())).collect();
            self.checks.logs.is_on_disks(name, commit, &durable);
        }
        self.checks.logs.commits(name, commit, leads);
        if let Some(term) = leads {
            self.checks.elections.leads(name, term, &self.checks.votes, self.names.len());
            self.check_leases(at, term);
        }
        self.checks.logs.leads(name, leads);
        self.checks.progress.is_at(name, term, commit, applied);
        if known != commit {
            self.trace.note(self.now, &[5, at as u64, commit], || {
                format!("{name} {role:?} {term} commits {commit}")
            });
            if States::looks_at(applied) {
                self.compare(at);
            }
        }
    }

    /// Compares a server's state with that of others at the same index.
    pub(crate) fn compare(&mut self, at: usize) {
        let Some(process) = &self.servers[at].process else { return };
        let (meta, view) = process.replica.snapshot();
        let digest = view.digest();
        self.checks.states.has(self.names[at], meta.last.index, digest, &meta.configuration);
        self.trace.note(self.now, &[11, at as u64, digest as u64], || {
            format!("{} has the digest {digest:x} at {}", self.names[at], meta.last)
        });
    }

    /// Sends promises whose writes are durable. One to the server itself is its own vote.
    fn release(&mut self, at: usize, promises: Vec<Envelope>) {
        for envelope in promises {
            self.checks.votes.promises(&envelope);
            if envelope.to == self.names[at] {
                if let Some(process) = &mut self.servers[at].process {
                    process.replica.step(envelope);
                }
            } else {
                self.send(at, envelope);
            }
        }
    }

    fn send(&mut self, at: usize, envelope: Envelope) {
        let to = self.position(envelope.to);
        if let Message::InstallSnapshot { .. } = envelope.message {
            return self.send_snapshot(at, to, envelope.term);
        }
        if let Some((to, old)) = self.network.replay(to, &envelope) {
            self.notify(to, MS, ServerEvent::Message(old));
        }
        for time in self.network.route(self.now, (at, to)) {
            let life = self.servers[to].life;
            let event = ServerEvent::Message(envelope.clone());
            self.at(time, Event::Server(to, life, event));
        }
    }

    pub(crate) fn position(&self, name: NodeId) -> usize {
        self.names.iter().position(|known| *known == name).expect("a member")
    }

    /// Records the cluster, once it is known.
    fn note_cluster(&mut self, at: usize) {
        let Some(process) = &self.servers[at].process else { return };
        if process.identity.is_none()
            && let Some(cluster) = process.replica.raft().committed_configuration().cluster
        {
            self.set_cluster(at, cluster);
        }
    }

    pub(crate) fn set_cluster(&mut self, at: usize, cluster: ClusterId) {
        if let Some(process) = &mut self.servers[at].process {
            process.identity = Some(cluster);
            process.jobs.push(Job::SetCluster(cluster));
        }
    }

    fn write_soon(&mut self, at: usize) {
        let Some(process) = &mut self.servers[at].process else { return };
        if process.jobs.is_empty() || process.is_writing {
            return;
        }
        process.is_writing = true;
        process.writing_since = self.now;
        for job in std::mem::take(&mut process.jobs) {
            process.writer.push(job);
        }
        let delay = self.random.within(&self.plan.sync.clone()) + self.servers[at].sync_delay;
        self.notify(at, delay, ServerEvent::Write);
    }

    /// What the disk thread does, and what the loop makes of its report. Returns whether the
    /// process lives.
    fn write(&mut self, at: usize) -> bool {
        let Some(process) = &mut self.servers[at].process else { return false };
        process.is_writing = false;
        process.writes += 1;
        let mark = ServerEvent::Mark(process.writes);
        match process.writer.run() {
            Ok(Progress::Written(written)) => {
                process.is_full = false;
                process.queue.written(&written);
                if let Some(last) = written.persisted {
                    process.replica.persisted(last);
                }
                if let Some((place, meta)) = written.installed {
                    process.jobs.push(Job::Compact(meta.last.index));
                    process.snapshot = Some((place, meta));
                }
                self.release(at, written.promises);
                self.notify(at, self.plan.quiet, mark);
                true
            }
            Ok(Progress::Full(_)) => {
                process.is_full = true;
                process.is_writing = true;
                for job in std::mem::take(&mut process.jobs) {
                    process.writer.push(job);
                }
                self.notify(at, NO_SPACE_RETRY, ServerEvent::Write);
                true
            }
            Err(error) => {
                self.disk_failed(at, &error.to_string());
                false
            }
        }
    }

    /// A process whose disk failed ends. Somebody starts it again.
    pub(crate) fn disk_failed(&mut self, at: usize, reason: &str) {
        let (name, off) = (self.names[at], self.servers[at].disk.is_off());
        self.trace.note(self.now, &[6, at as u64], || format!("{name}: the disk failed: {reason}"));
        if off {
            self.note_power_loss(at);
        } else if self.servers[at].may_fail == 0 {
            panic!("disk: {name} ends without a cause: {reason}");
        }
        let survival = if off {
            self.fault_random.pick(&[Survival::LoseAll, Survival::Random])
        } else {
            Survival::KeepAll
        };
        self.crash(at, survival);
        let delay = self.fault_random.within(&(10 * MS..2 * SECOND));
        self.start_after(at, delay);
    }

    fn answered(&mut self, at: usize, request: RequestId, waiting: &Waiting, outcome: Outcome) {
        let client = self.checks.replies.answers((at, self.servers[at].life, request.0));
        assert!(client as usize == waiting.client, "replies: to the wrong client");
        if outcome.is_ok() && waiting.late == Error::Unknown {
            let applied =
                self.servers[at].process.as_ref().map(|process| process.replica.raft().applied());
            self.checks.logs.acknowledges(self.names[at], applied.unwrap_or_default());
        }
        self.reply(at, waiting.client, waiting.id, Some(outcome));
    }

    /// Sends a client its reply; `None` is a broken connection.
    pub(crate) fn reply(&mut self, at: usize, client: usize, id: u64, reply: Option<Outcome>) {
        if let Some(time) = self.network.route_client(self.now, at) {
            self.at(time, Event::Reply(client, id, reply));
        }
    }
}

fn show(envelope: &Envelope) -> String {
    let Envelope { from, to, term, message } = envelope;
    match message {
        Message::AppendEntries { prev, entries, commit } => {
            let count = entries.len();
            format!("{from}→{to} @{term} AppendEntries prev={prev} +{count} commit={commit}")
        }
        message => format!("{from}→{to} @{term} {message:?}"),
    }
}
