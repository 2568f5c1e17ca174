//! Replicas without a process around them, joined by a network that a test can cut.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test that cannot go on stops"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raftkv::raft::{Envelope, Options, Recovered, Role};
use raftkv::replica::{Outcome, Replica, RequestId, Turn};
use raftkv_storage::keyspace::changes::Change;
use raftkv_storage::keyspace::command::{self, Batch};
use raftkv_storage::keyspace::waits::Call;
use raftkv_storage::keyspace::{Keyspace, Reply};
use raftkv_storage::types::{Configuration, NodeId};

pub fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

/// Parses `SET k v; GET k` into a batch.
pub fn batch(commands: &str) -> Batch {
    let mut batch = Batch::default();
    for command in commands.split(';') {
        let words: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
        batch.push(command::lookup(words[0]).unwrap(), &words[1..]);
    }
    batch
}

pub fn bulk(text: &str) -> Reply {
    Reply::bulk(text)
}

/// Replicas joined by a network that delivers at once, but for servers that are cut off, and disks
/// that never wait.
pub struct Cluster {
    pub replicas: BTreeMap<NodeId, Replica>,
    pub cut_off: BTreeSet<NodeId>,
    pub network: VecDeque<Envelope>,
    pub outcomes: BTreeMap<RequestId, Vec<Outcome>>,
    pub wall_ms: BTreeMap<NodeId, u64>,
    /// What the clock shows that counts leases.
    pub now_us: u64,
    pub changes: BTreeMap<NodeId, Vec<Change>>,
    pub next: u64,
}

impl Cluster {
    pub fn new(names: &[&str]) -> Self {
        Self::with(names, &Options::default())
    }

    pub fn with(names: &[&str], options: &Options) -> Self {
        let ids: Vec<NodeId> = names.iter().map(|name| node(name)).collect();
        let bootstrap = Configuration::bootstrap(ids.iter().copied());
        let replica = |(seed, id): (u64, &NodeId)| {
            let (options, recovered) = (options.clone(), Recovered::default());
            let keyspace = Keyspace::default();
            (*id, Replica::new(*id, options, bootstrap.clone(), recovered, keyspace, seed))
        };
        Self {
            replicas: (1..).zip(&ids).map(replica).collect(),
            cut_off: BTreeSet::new(),
            network: VecDeque::new(),
            outcomes: BTreeMap::new(),
            wall_ms: ids.iter().map(|id| (*id, 1_000_000)).collect(),
            changes: BTreeMap::new(),
            now_us: 0,
            next: 0,
        }
    }

    /// Takes turns and delivers until nothing happens any more.
    pub fn settle(&mut self) {
        loop {
            let mut quiet = true;
            let ids: Vec<NodeId> = self.replicas.keys().copied().collect();
            for id in ids {
                quiet &= !self.turn(id);
            }
            while let Some(envelope) = self.network.pop_front() {
                quiet = false;
                if !self.cut_off.contains(&envelope.from) && !self.cut_off.contains(&envelope.to) {
                    self.replicas.get_mut(&envelope.to).unwrap().step(envelope);
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// Takes one turn, and returns whether it did anything.
    pub fn turn(&mut self, id: NodeId) -> bool {
        let replica = self.replicas.get_mut(&id).unwrap();
        replica.set_time(self.wall_ms[&id]);
        replica.set_now(self.now_us);
        let Turn { messages, write, promises, outcomes, heavy, changes, .. } =
            replica.turn(|| self.now_us);
        let quiet = messages.is_empty()
            && write.is_empty()
            && promises.is_empty()
            && outcomes.is_empty()
            && heavy.is_empty();
        if let Some(last) = write.entries.last() {
            replica.persisted(last.id);
        }
        self.network.extend(messages.into_iter().chain(promises));
        self.changes.entry(id).or_default().extend(changes);
        for heavy in heavy {
            let replies = heavy.view.read(&heavy.reads, heavy.clock_ms);
            self.outcomes.entry(heavy.request).or_default().push(Ok(replies));
        }
        for (request, outcome) in outcomes {
            self.outcomes.entry(request).or_default().push(outcome);
        }
        !quiet
    }

    pub fn tick(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now_us += 10_000;
            self.replicas.values_mut().for_each(Replica::tick);
            self.settle();
        }
    }

    /// Lets time pass until a server that is not cut off leads, and returns it.
    pub fn elect(&mut self) -> NodeId {
        for _ in 0..1_000 {
            self.tick(1);
            let leader = self.replicas.iter().find(|(id, replica)| {
                !self.cut_off.contains(id) && replica.raft().role() == Role::Leader
            });
            if let Some((leader, _)) = leader {
                return *leader;
            }
        }
        panic!("no leader in 1,000 ticks");
    }

    pub fn submit(&mut self, to: NodeId, commands: &str) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        self.replicas.get_mut(&to).unwrap().submit(request, batch(commands));
        request
    }

    /// Has a command carried out that waits, and lets all happen that happens.
    pub fn wait(&mut self, at: NodeId, command: &str) -> RequestId {
        let request = self.begin_wait(at, command);
        self.settle();
        request
    }

    /// Asks for a command that waits.
    pub fn begin_wait(&mut self, at: NodeId, command: &str) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        let words: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
        let call = Call::new(command::lookup(words[0]).unwrap(), &words[1..]);
        self.replicas.get_mut(&at).unwrap().wait(request, call, 0);
        request
    }

    /// Returns the one outcome of a request, if it has ended.
    pub fn outcome(&self, request: RequestId) -> Option<&Outcome> {
        let outcomes = self.outcomes.get(&request)?;
        assert_eq!(outcomes.len(), 1, "a request ends once");
        outcomes.first()
    }

    pub fn run(&mut self, to: NodeId, commands: &str) -> Outcome {
        let request = self.submit(to, commands);
        self.settle();
        self.outcome(request).expect("it ended").clone()
    }

    pub fn set_wall(&mut self, id: NodeId, wall_ms: u64) {
        self.wall_ms.insert(id, wall_ms);
        self.replicas.get_mut(&id).unwrap().set_time(wall_ms);
    }
}
