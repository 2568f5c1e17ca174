//! One run: a clock that jumps from event to event, and all that can happen.

pub(crate) mod rot;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use raftkv::raft::Envelope;
use raftkv_frontends::Error;
use raftkv_storage::keyspace::{self, View};
use raftkv_storage::types::{NodeId, SnapshotMeta, Term};

use crate::check::Checks;
use crate::clients::{Client, TTL_MAX};
use crate::faults::Effect;
use crate::leases::Tally;
use crate::linearizability::{Clock, History};
use crate::network::Network;
use crate::plan::{Fault, MS, Plan, SECOND};
use crate::queue::Queue;
use crate::random::Random;
use crate::requests::Request;
use crate::server::Server;
use crate::trace::Trace;

/// How long the search for an order of one key's operations may take. A run with many unknown
/// outcomes may need more; it counts as undecided.
const SEARCH_STEPS_MAX: u64 = 5_000_000;

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// For a server, in one of its lives.
    Server(usize, u32, ServerEvent),
    /// A server starts.
    Start(usize),
    /// A client hears of its request: replies, or an error; `None` when the connection broke.
    Reply(usize, u64, Option<Result<Vec<keyspace::Reply>, Error>>),
    /// A client does not want to wait any longer.
    GiveUp(usize, u64),
    /// A client sends its next request.
    Think(usize),
    /// The next fault.
    Fault,
    /// The end of a fault.
    End(Effect),
    /// The end of all faults.
    Mend,
}

#[derive(Debug)]
pub(crate) enum ServerEvent {
    Tick,
    Message(Envelope),
    /// A snapshot has arrived: from whom, in which term, its bytes.
    Snapshot {
        from: usize,
        term: Term,
        meta: SnapshotMeta,
        bytes: Arc<Vec<u8>>,
    },
    SnapshotSent {
        to: usize,
        delivered: bool,
    },
    Unreachable(usize),
    /// The stream from a server has ended.
    StreamEnded(usize),
    /// The process is asked to hand leadership over.
    HandOver,
    /// The disk has taken its time: now it writes, syncs and reports.
    Write,
    /// Nothing was written for a while.
    Mark(u64),
    /// What has arrived belongs to one turn; here it ends.
    Turn,
    /// The time has come to write a snapshot of this.
    TakeSnapshot(Box<(SnapshotMeta, View)>),
    Request {
        client: usize,
        id: u64,
        request: Request,
    },
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) plan: Rc<Plan>,
    pub(crate) now: u64,
    queue: Queue<Event>,
    pub(crate) random: Random,
    pub(crate) network: Network,
    pub(crate) names: Vec<NodeId>,
    pub(crate) servers: Vec<Server>,
    pub(crate) clients: Vec<Client>,
    pub(crate) history: History,
    pub(crate) checks: Checks,
    pub(crate) trace: Trace,
    /// Whether faults may still happen.
    pub(crate) chaos: bool,
    /// How often each fault has happened.
    pub(crate) faults: BTreeMap<Fault, u64>,
    pub(crate) fault_random: Random,
    /// What has become of reads on leases.
    pub(crate) leases: Tally,
}

/// What a run was like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) digest: (u64, u64),
    pub(crate) simulated: u64,
    pub(crate) operations: usize,
    pub(crate) done: usize,
    pub(crate) faults: BTreeMap<Fault, u64>,
    pub(crate) undecided: usize,
    pub(crate) leases: Tally,
}

impl World {
    pub(crate) fn new(plan: Plan, printed: bool) -> Self {
        let names: Vec<NodeId> =
            (0..plan.nodes).map(|at| format!("n{}", at + 1).parse().expect("a name")).collect();
        let servers = (0..plan.nodes).map(|at| Server::new(&plan, at)).collect();
        // When clocks are wrong, nothing is known of when a key dies.
        let clocks = [
            Fault::ClockSkew,
            Fault::ClockForward,
            Fault::ClockBack,
            Fault::FastClock,
            Fault::SlowClock,
            Fault::LeaderClockStops,
        ];
        let wrong = plan.faults.iter().any(|fault| clocks.contains(fault));
        let early = if wrong { u64::MAX / 4 } else { 2 * MS };
        let mut history = History::new(Clock { early, late: None });
        history.steps_max(SEARCH_STEPS_MAX);
        Self {
            now: 0,
            queue: Queue::new(),
            random: Random::for_part(plan.seed, "world"),
            network: Network::new(plan.seed, plan.latency.clone()),
            names,
            servers,
            clients: (0..plan.clients).map(|at| Client::new(&plan, at)).collect(),
            history,
            checks: Checks::default(),
            trace: Trace::new(printed),
            chaos: true,
            faults: BTreeMap::new(),
            fault_random: Random::for_part(plan.seed, "faults"),
            leases: Tally::default(),
            plan: Rc::new(plan),
        }
    }

    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.queue.push(time.max(self.now), event);
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Lives through the whole plan and returns what it was like; panics when something is wrong.
    pub(crate) fn run(mut self) -> Summary {
        self.start_all();
        if !self.plan.faults.is_empty() {
            self.skew_clocks();
            self.at(SECOND / 2, Event::Fault);
        }
        self.at(self.plan.chaos, Event::Mend);
        self.run_until(self.plan.chaos);
        self.must_recover();
        self.network.mend();
        self.must_agree();
        self.must_expire();
        self.finish()
    }

    fn start_all(&mut self) {
        for at in 0..self.servers.len() {
            let delay = self.random.below(50 * MS);
            self.at(delay, Event::Start(at));
        }
        for at in 0..self.clients.len() {
            let delay = self.random.below(500 * MS);
            self.at(delay, Event::Think(at));
        }
    }

    fn run_until(&mut self, end: u64) {
        while let Some((time, event)) = self.queue.pop_until(end) {
            self.now = time;
            self.handle(event);
        }
        self.now = end;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Server(at, life, event) => self.server_event(at, life, event),
            Event::Start(at) => self.start(at),
            Event::Reply(client, id, reply) => self.client_hears(client, id, reply),
            Event::GiveUp(client, id) => self.client_gives_up(client, id),
            Event::Think(client) => self.client_thinks(client),
            Event::Fault => self.next_fault(),
            Event::End(effect) => self.end_fault(effect),
            Event::Mend => self.mend(),
        }
    }

    /// Ends all trouble: from here on everything that is not lost for good works.
    fn mend(&mut self) {
        self.trace.note(self.now, &[0xed], || "everything is mended".into());
        self.chaos = false;
        self.network.mend();
        for at in 0..self.servers.len() {
            let server = &mut self.servers[at];
            server.mend(self.now);
            if server.process.is_none() && !server.is_lost() && !server.is_starting {
                self.start_after(at, 10 * MS);
            }
        }
        self.keep_leader_deaf();
    }

    /// A majority that is healed must be enough: a leader that hears nobody may stay so, and has to
    /// make room for one that does. Those with rotten disks may still turn out to be lost.
    fn keep_leader_deaf(&mut self) {
        let nodes = self.servers.len();
        let well = self.servers.iter().filter(|server| !server.is_rotten).count();
        let leader = self.servers.iter().position(Server::leads);
        if self.plan.faults.contains(&Fault::DeafLeader)
            && well > nodes / 2 + 1
            && let Some(leader) = leader
        {
            self.network.cut.extend((0..nodes).map(|from| (from, leader)));
        }
    }

    /// Once everything works, so does the cluster: every client gets a write done within a bounded
    /// time.
    fn must_recover(&mut self) {
        for client in &mut self.clients {
            client.written = 0;
        }
        let limit = self.now + 60 * self.plan.election() + 30 * SECOND;
        self.run_while(limit, "no progress after everything was mended", |world| {
            world.clients.iter().any(|client| client.written < 2)
        });
    }

    /// Goes on as long as something is so, which must have an end in time.
    fn run_while(&mut self, limit: u64, what: &str, is_so: impl Fn(&Self) -> bool) {
        while is_so(self) {
            if self.now >= limit {
                panic!("liveness: {what}: {}", self.describe());
            }
            self.run_until(self.now + 50 * MS);
        }
    }

    /// Once nobody asks any more, all servers come to the same state, and it holds what was
    /// acknowledged.
    fn must_agree(&mut self) {
        for client in &mut self.clients {
            client.retired = true;
        }
        let limit = self.now + 60 * self.plan.election() + 30 * SECOND;
        self.run_while(limit, "the servers do not come to agree", |world| !world.agree());
        let clients = self.clients.len();
        self.clients.push(Client::reader(&self.plan, clients, self.now));
        self.at(self.now, Event::Think(clients));
        let limit = limit + 30 * SECOND;
        self.run_while(limit, "the last reads are not answered", |world| {
            !world.clients[clients].has_read_all()
        });
        // Meanwhile a key may have died, which is an entry like any other.
        let limit = limit + 30 * SECOND;
        self.run_while(limit, "the servers do not agree any more", |world| !world.agree());
        for at in 0..self.servers.len() {
            self.compare(at);
        }
        for (at, name) in self.names.iter().enumerate() {
            if let Some(process) = &self.servers[at].process {
                self.checks.logs.ends(*name, process.replica.raft().applied());
            }
        }
        for (key, value) in self.clients[clients].counters() {
            self.checks.counters.ends(key, value);
        }
        self.checks.replies.ends();
    }

    /// A key dies in its time though nobody asks for anything.
    fn must_expire(&mut self) {
        let limit = self.now + 60 * self.plan.election() + TTL_MAX;
        self.run_while(limit, "a key outlives its time", |world| {
            let views = world.servers.iter().filter_map(|server| server.process.as_ref());
            views.map(|process| process.replica.view()).any(|view| view.expiring() > 0)
        });
    }

    /// Returns whether nobody waits, and all servers that live have applied the same.
    fn agree(&self) -> bool {
        let waiting = self.clients.iter().any(Client::is_waiting);
        let statuses: Vec<_> = self
            .servers
            .iter()
            .filter(|server| !server.is_lost())
            .map(|server| server.process.as_ref().map(|process| process.replica.status()))
            .collect();
        let Some(Some(first)) = statuses.first() else { return false };
        let same = |status: &Option<raftkv::raft::Status>| {
            status
                .as_ref()
                .is_some_and(|status| status.applied == first.applied && status.last == first.last)
        };
        !waiting && first.applied == first.last.index && statuses.iter().all(same)
    }

    fn finish(mut self) -> Summary {
        for process in self.servers.iter().filter_map(|server| server.process.as_ref()) {
            self.leases.add(process.replica.lease_reads());
        }
        let undecided = match self.history.check() {
            Ok(_) => 0,
            Err(crate::linearizability::Failure::Violation(violation)) => {
                panic!("linearizability: {violation}")
            }
            Err(crate::linearizability::Failure::Undecided { .. }) => 1,
        };
        Summary {
            digest: self.trace.digest(),
            simulated: self.now,
            operations: self.history.len(),
            done: self.clients.iter().map(|client| client.done).sum(),
            faults: self.faults,
            undecided,
            leases: self.leases,
        }
    }

    /// Says how things stand, for a run that stands still.
    fn describe(&self) -> String {
        let server = |(at, server): (usize, &Server)| match &server.process {
            None if server.is_lost() => format!("{}: lost", self.names[at]),
            None => format!("{}: down", self.names[at]),
            Some(process) => {
                let status = process.replica.status();
                format!(
                    "{}: {:?} term {} leader {:?} commit {} last {}",
                    self.names[at],
                    status.role,
                    status.term,
                    status.leader,
                    status.commit,
                    status.last
                )
            }
        };
        let servers: Vec<_> = self.servers.iter().enumerate().map(server).collect();
        servers.join("; ")
    }
}
