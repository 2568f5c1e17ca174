//! A cluster in memory: servers, a network and disks that a test plays by hand.
//!
//! Nothing happens by itself. A message stays in the network until it is delivered or dropped, a
//! write stays unsynced until it is synced (at once, unless a test wants otherwise), and a crash
//! loses what was not. The state machine is the list of commands it was given.
//!
//! All that happens is written down in [`Cluster::trace`], and checked against the properties of
//! Figure 3.

#![allow(dead_code)] // Each test program uses its part of this.

pub(crate) mod disk;
pub(crate) mod notation;
pub(crate) mod safety;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raftkv::raft::{Envelope, Message, Options, Raft, ReadId, Ready, Recovered, Role};
use raftkv_storage::types::{Configuration, Entry, EntryId, Index, NodeId, Payload, Term};

use disk::{Disk, Image, Pending};
use safety::Safety;

/// Returns a server's id.
pub(crate) fn id(name: &str) -> NodeId {
    name.parse().expect("a test gives its servers proper names")
}

/// One server with its disk. Crashed if there is no `raft`.
pub(crate) struct Node {
    pub(crate) raft: Option<Raft>,
    pub(crate) disk: Disk,
    /// The log and the rest of the disk as they will be when everything is synced.
    pub(crate) image: Image,
    /// The state machine: all commands that were applied, and the last index of them.
    pub(crate) state: Vec<String>,
    pub(crate) applied: Index,
    /// What its clock shows. It goes on with each tick, and by [`Cluster::wait`].
    now_us: u64,
    starts: u64,
}

/// Some servers and what lies between them.
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// What is on the way, oldest first.
    pub(crate) network: Vec<Envelope>,
    /// One-way links that lose everything.
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
    pub(crate) options: Options,
    pub(crate) configuration: Configuration,
    pub(crate) sync_at_once: bool,
    /// What has happened, if anybody wants to read it.
    pub(crate) trace: Vec<String>,
    pub(crate) traced: bool,
    /// How much has happened.
    events: usize,
    /// The reads that were answered.
    pub(crate) served: BTreeSet<ReadId>,
    pub(crate) safety: Safety,
    seed: u64,
}

impl Cluster {
    /// Starts a new cluster of these members.
    pub(crate) fn new(configuration: Configuration, options: Options, seed: u64) -> Self {
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            network: Vec::new(),
            cut: BTreeSet::new(),
            options,
            configuration,
            sync_at_once: true,
            trace: Vec::new(),
            traced: true,
            events: 0,
            served: BTreeSet::new(),
            safety: Safety::default(),
            seed,
        };
        for member in cluster.configuration.members() {
            cluster.recover(member, Recovered::default());
        }
        cluster
    }

    /// Starts a new cluster of so many voters, `n1`, `n2`, … .
    pub(crate) fn voters(count: usize) -> Self {
        let voters = (1..=count).map(|number| id(&format!("n{number}")));
        Self::new(Configuration::bootstrap(voters), Options::default(), 1)
    }

    /// Starts a server from a disk with this on it, instead of what it had.
    pub(crate) fn recover(&mut self, id: NodeId, recovered: Recovered) {
        let image = Image::new(recovered);
        let node = Node {
            raft: None,
            disk: Disk { durable: image.clone(), pending: Vec::new() },
            image,
            state: Vec::new(),
            applied: 0,
            // No two clocks show the same.
            now_us: self.nodes.len() as u64 * 7_000_000,
            starts: 0,
        };
        self.nodes.insert(id, node);
        self.restart(id);
    }

    pub(crate) fn crash(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.raft = None;
        node.disk.pending.clear();
        node.disk.durable.restart();
        node.image = node.disk.durable.clone();
    }

    pub(crate) fn restart(&mut self, id: NodeId) {
        self.crash(id);
        let (options, bootstrap) = (self.options.clone(), self.configuration.clone());
        let number = self.nodes.keys().take_while(|other| **other < id).count() as u64;
        let seed = self.seed;
        let node = self.node_mut(id);
        node.starts += 1;
        // Before anything can be promised that a crash must not make forgotten.
        let recovered = node.disk.durable.start(options.promise_us());
        let snapshot = recovered.snapshot.as_ref().map(|meta| meta.last).unwrap_or_default();
        let seed = seed * 10_000 + node.starts * 100 + number;
        node.raft = Some(Raft::new(id, options, bootstrap, recovered, seed));
        node.applied = snapshot.index;
        let state = self.safety.state_at(snapshot);
        self.node_mut(id).state = state;
        self.turn(id);
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(&id).expect("the node exists")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("the node exists")
    }

    /// Returns a server that runs.
    pub(crate) fn raft(&self, id: NodeId) -> &Raft {
        self.node(id).raft.as_ref().expect("the node runs")
    }

    /// Lets a server take in something, if it runs, without ending its turn.
    pub(crate) fn with<T>(&mut self, id: NodeId, event: impl FnOnce(&mut Raft) -> T) -> Option<T> {
        let node = self.node_mut(id);
        let raft = node.raft.as_mut()?;
        let before = (raft.role(), raft.term());
        let result = event(raft);
        let after = (raft.role(), raft.term());
        if before != after {
            let (role, term) = after;
            self.note(|| notation::role(id, term, role));
            if role == Role::Leader {
                self.safety.elected(id, term, &self.nodes[&id].image);
            }
        }
        Some(result)
    }

    /// Lets a server take in something, and ends its turn.
    pub(crate) fn event<T>(&mut self, id: NodeId, event: impl FnOnce(&mut Raft) -> T) -> Option<T> {
        let result = self.with(id, event);
        self.turn(id);
        result
    }

    /// Ends a server's turn: does with its effects what the process around it would.
    pub(crate) fn turn(&mut self, id: NodeId) {
        let Some(ready) = self.with(id, Raft::ready) else { return };
        let Ready { messages, write, promises, committed, reads, leased } = ready;
        messages.into_iter().for_each(|envelope| self.send(envelope));
        let (role, term) = (self.raft(id).role(), self.raft(id).term());
        self.safety.writes(id, role, &write, &self.node(id).image);
        let written = !write.entries.is_empty() || write.snapshot.is_some();
        self.node_mut(id).image.write(&write);
        if written {
            self.safety.log_matching(&self.nodes);
        }
        if let Some(meta) = &write.snapshot {
            let state = self.safety.state_at(meta.last);
            let node = self.node_mut(id);
            node.state = state;
            node.applied = meta.last.index;
            self.note(|| format!("{id} installs snapshot {}", meta.last));
        }
        if !write.is_empty() || !promises.is_empty() {
            self.node_mut(id).disk.pending.push(Pending { write, promises });
        }
        for entry in committed {
            self.apply(id, &entry);
        }
        for read in reads {
            self.serve(id, term, read, "");
        }
        for read in leased {
            self.serve(id, term, read, " on its lease");
        }
        let node = self.node(id);
        if self.sync_at_once || node.disk.pending.iter().all(|pending| pending.write.is_empty()) {
            self.sync(id);
        }
    }

    fn serve(&mut self, id: NodeId, term: Term, read: ReadId, how: &str) {
        let node = &self.nodes[&id];
        let applied = node.applied;
        self.safety.read(read, applied);
        self.served.insert(read);
        let last = node.state.last().cloned().unwrap_or("nothing".to_owned());
        self.note(|| format!("{id}@{term} reads #{} = {last}{how} (applied {applied})", read.0));
    }

    /// Lets time pass by a server's clock and nothing else happen to it: its process stands still.
    pub(crate) fn wait(&mut self, id: NodeId, us: u64) {
        let node = self.node_mut(id);
        node.now_us += us;
        let now_us = node.now_us;
        self.with(id, |raft| raft.set_now(now_us));
    }

    fn apply(&mut self, id: NodeId, entry: &Entry) {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        assert_eq!(entry.id.index, node.applied + 1, "{id} applies in order");
        node.applied = entry.id.index;
        if let Payload::Command(command) = &entry.payload {
            node.state.push(String::from_utf8_lossy(command).into_owned());
        }
        self.safety.applied(id, entry);
        self.note(|| format!("{id} applies {}", notation::entry(entry)));
    }

    /// Makes everything durable that a server has written so far, and lets go of what waited for
    /// it.
    pub(crate) fn sync(&mut self, id: NodeId) {
        let pending = std::mem::take(&mut self.node_mut(id).disk.pending);
        let mut own = Vec::new();
        for Pending { write, promises } in pending {
            self.node_mut(id).disk.durable.write(&write);
            if !write.is_empty() {
                self.note(|| notation::write(id, &write));
            }
            let last = write.entries.last().map(|entry| entry.id);
            if let Some(last) = last.or(write.snapshot.map(|meta| meta.last)) {
                self.with(id, |raft| raft.persisted(last));
                own.push(None);
            }
            for promise in promises {
                if promise.to == id {
                    own.push(Some(promise));
                } else {
                    self.send(promise);
                }
            }
        }
        if !own.is_empty() {
            for envelope in own.into_iter().flatten() {
                self.with(id, |raft| raft.step(envelope));
            }
            self.turn(id);
        }
    }

    fn send(&mut self, envelope: Envelope) {
        self.note(|| notation::envelope(&envelope));
        self.network.push(envelope);
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        self.events += 1;
        if self.traced {
            self.trace.push(line());
        }
    }

    /// Delivers the message at this place of the network, or loses it if the link is cut or nobody
    /// listens.
    pub(crate) fn deliver(&mut self, at: usize) {
        let envelope = self.network.remove(at);
        let running = self.nodes.get(&envelope.to).is_some_and(|node| node.raft.is_some());
        if running && !self.cut.contains(&(envelope.from, envelope.to)) {
            self.bring(envelope);
        } else {
            self.lose(envelope);
        }
    }

    /// Brings a message to its addressee. Of a snapshot it brings the bytes, and tells the sender.
    pub(crate) fn bring(&mut self, envelope: Envelope) {
        let (from, to) = (envelope.from, envelope.to);
        if matches!(envelope.message, Message::InstallSnapshot { .. }) {
            self.event(from, |raft| raft.report_snapshot(to, true));
        }
        self.event(to, |raft| raft.step(envelope));
    }

    pub(crate) fn drop_at(&mut self, at: usize) {
        let envelope = self.network.remove(at);
        self.lose(envelope);
    }

    fn lose(&mut self, envelope: Envelope) {
        self.note(|| format!("lost: {}", notation::envelope(&envelope)));
        if matches!(envelope.message, Message::InstallSnapshot { .. }) {
            self.event(envelope.from, |raft| raft.report_snapshot(envelope.to, false));
        }
    }

    /// Delivers everything, and what comes of it, until nothing is on the way.
    pub(crate) fn stabilize(&mut self) {
        for _ in 0..10_000 {
            if self.network.is_empty() {
                return;
            }
            self.deliver(0);
        }
        panic!("the servers never stop talking:\n{}", self.trace.join("\n"));
    }

    pub(crate) fn tick(&mut self, id: NodeId) {
        self.wait(id, self.options.tick_us);
        self.event(id, Raft::tick);
    }

    /// Lets all servers tick, and delivers everything each time.
    pub(crate) fn run(&mut self, ticks: u32) {
        for _ in 0..ticks {
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                self.tick(id);
            }
            self.stabilize();
        }
    }

    /// Lets a server tick until it speaks up.
    pub(crate) fn campaign(&mut self, id: NodeId) {
        let before = self.events;
        for _ in 0..self.options.election_ticks.end {
            self.tick(id);
            if self.events > before {
                return;
            }
        }
    }

    /// Lets every follower wait for so long that it would help to replace its leader. Should one
    /// campaign, nobody hears.
    pub(crate) fn forget_leader(&mut self) {
        let follows =
            |node: &Node| node.raft.as_ref().is_some_and(|raft| raft.role() == Role::Follower);
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            for _ in 0..self.options.election_ticks.start {
                if follows(self.node(id)) {
                    self.wait(id, self.options.tick_us);
                    self.with(id, Raft::tick);
                }
            }
            if self.node(id).raft.is_some() && !follows(self.node(id)) {
                self.turn(id);
                let pre_vote =
                    |message: &Message| matches!(message, Message::RequestVote { pre: true, .. });
                self.network.retain(|e| e.from != id || !pre_vote(&e.message));
            }
        }
    }

    /// Elects a server, whatever it takes, and lets everything come to rest.
    pub(crate) fn elect(&mut self, id: NodeId) {
        for other in self.leaders() {
            // Nobody answers while so much time passes, so it gives up.
            (0..self.options.election_ticks.start).for_each(|_| {
                self.wait(other, self.options.tick_us);
                self.with(other, Raft::tick);
            });
            self.turn(other);
        }
        // The first attempt may only teach the server its term.
        for _ in 0..3 {
            self.forget_leader();
            self.campaign(id);
            self.stabilize();
            if self.raft(id).role() == Role::Leader {
                return;
            }
        }
        panic!("{id} cannot be elected:\n{}", self.trace.join("\n"));
    }

    /// Elects a server of a cluster in which nobody leads, and loses what it then sends.
    pub(crate) fn elect_without_append(&mut self, id: NodeId) {
        self.campaign(id);
        while self.raft(id).role() != Role::Leader {
            assert!(!self.network.is_empty(), "{id} cannot be elected");
            self.deliver(0);
        }
        self.network.clear();
    }

    pub(crate) fn propose(&mut self, id: NodeId, command: &str) -> Option<EntryId> {
        let command = Bytes::copy_from_slice(command.as_bytes());
        self.event(id, |raft| raft.propose(command))?.ok()
    }

    pub(crate) fn read(&mut self, id: NodeId, read: u64) -> bool {
        self.safety.asked(ReadId(read));
        self.event(id, |raft| raft.read(ReadId(read))).is_some_and(|result| result.is_ok())
    }

    /// Takes a snapshot of everything applied, and cuts the log.
    pub(crate) fn snapshot(&mut self, id: NodeId) {
        let applied = self.node(id).applied;
        let Some(meta) = self.with(id, |raft| raft.snapshot_meta(applied)) else { return };
        let node = self.node_mut(id);
        node.disk.durable.compact(&meta);
        node.image.compact(&meta);
        self.note(|| format!("{id} takes snapshot {}", meta.last));
        self.event(id, |raft| raft.compact(applied));
    }

    /// Cuts a server off, both ways.
    pub(crate) fn isolate(&mut self, id: NodeId) {
        for other in self.nodes.keys().filter(|other| **other != id) {
            self.cut.insert((id, *other));
            self.cut.insert((*other, id));
        }
    }

    pub(crate) fn leaders(&self) -> Vec<NodeId> {
        let leads =
            |node: &Node| node.raft.as_ref().is_some_and(|raft| raft.role() == Role::Leader);
        self.nodes.iter().filter(|(_, node)| leads(node)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn term(&self, id: NodeId) -> Term {
        self.raft(id).term()
    }
}
