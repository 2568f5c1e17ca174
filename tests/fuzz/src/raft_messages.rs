//! One server among peers that say anything: it never panics, and keeps its own promises.
//!
//! The input is a life of the server: ticks, clients, its disk, restarts, and messages. These go
//! through the bytes of `proto/raft.proto`, made from a few choices near the server's state, or
//! given as they are.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use raftkv::raft::{Envelope, Message, Options, Raft, ReadId, Role, Status};
use raftkv::transport::wire::{self, Header, Outgoing, proto};
use raftkv_storage::types::{
    ClusterId, Configuration, Entry, EntryId, Index, NodeId, Payload, SnapshotMeta, Term,
};

use super::image::{Image, Pending};
use super::input::Input;

const NAMES: [&str; 5] = ["A", "B", "C", "D", "E"];
const CLUSTERS: [Option<ClusterId>; 3] = [None, Some(ClusterId(1)), Some(ClusterId(2))];

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut server = Server::new(&mut input);
    while !input.is_empty() {
        server.event(&mut input);
        // Several events may share a turn.
        if !input.is_empty() && input.below(4) != 0 {
            server.turn();
        }
    }
    server.turn();
}

fn id(at: usize) -> NodeId {
    NAMES[at].parse().unwrap()
}

fn nodes(mask: u8) -> BTreeSet<NodeId> {
    (0..NAMES.len()).filter(|at| mask >> at & 1 == 1).map(id).collect()
}

fn configuration(input: &mut Input<'_>) -> Configuration {
    let (voters, outgoing, learners) = input.pick(&[
        (1, 0, 0),
        (3, 0, 0),
        (7, 0, 0),
        (7, 25, 0),
        (31, 0, 0),
        (6, 0, 1),
        (0, 0, 2),
    ]);
    Configuration {
        cluster: input.pick(&CLUSTERS),
        voters: nodes(voters),
        outgoing: nodes(outgoing),
        learners: nodes(learners),
    }
}

/// A server, its disk, and what it may not take back.
struct Server {
    raft: Raft,
    options: Options,
    bootstrap: Configuration,
    durable: Image,
    pending: Vec<Pending>,
    starts: u64,
    /// What it was at the last turn; not since before a restart.
    before: Status,
    applied: Index,
    /// What a recovering server has last named its life.
    nonce: u64,
    reads: u64,
    now_us: u64,
    asked: BTreeSet<ReadId>,
    /// Whom it has told that they have its vote.
    votes: BTreeMap<Term, NodeId>,
}

impl Server {
    fn new(input: &mut Input<'_>) -> Self {
        let mut bootstrap = configuration(input);
        bootstrap.cluster = None;
        if bootstrap.voters.is_empty() {
            bootstrap.voters = nodes(7);
        }
        let options = Options {
            election_ticks: 3..6,
            heartbeat_ticks: 1,
            append_bytes_max: input.pick(&[1, 60, 1 << 20]),
            inflight_messages_max: input.pick(&[1, 2, 256]),
            inflight_bytes_max: input.pick(&[1, 100, 8 << 20]),
            trailing_bytes: input.pick(&[0, 60, 1 << 20]),
            ..Options::default()
        };
        let lease_reads = options.trailing_bytes == 60;
        let catch_up_bytes = options.trailing_bytes;
        let options = Options { lease_reads, catch_up_bytes, ..options };
        let mut durable = Image::default();
        durable.recovered.is_recovering = input.below(8) == 0;
        let recovered = durable.recovered.clone();
        let raft = Raft::new(id(0), options.clone(), bootstrap.clone(), recovered, 0);
        let before = raft.status();
        Self {
            raft,
            options,
            bootstrap,
            durable,
            pending: Vec::new(),
            starts: 0,
            before,
            applied: 0,
            nonce: 0,
            reads: 0,
            now_us: 0,
            asked: BTreeSet::new(),
            votes: BTreeMap::new(),
        }
    }

    fn event(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 | 1 => (0..=input.below(6)).for_each(|_| self.tick()),
            2 => drop(self.raft.propose(Bytes::copy_from_slice(input.bytes()))),
            3 => {
                let read = ReadId(self.reads);
                self.reads += 1;
                if self.raft.read(read).is_ok() {
                    self.asked.insert(read);
                }
            }
            4 | 5 => (0..=input.below(3)).for_each(|_| self.sync()),
            6 => self.compact(input),
            7 if input.below(4) == 0 => {
                // Its log may have been lost; what it votes is on the disk twice.
                self.durable.recovered.is_recovering |= input.below(8) == 0;
                self.restart();
            }
            8 => match input.below(6) {
                0 => self.raft.step_down(),
                2 => self.raft.report_stream_ended(id(1 + input.below(4))),
                3 => drop(self.raft.transfer_leadership()),
                1 => self.raft.report_unreachable(id(1 + input.below(4))),
                _ => self.raft.report_snapshot(id(1 + input.below(4)), input.coin()),
            },
            9 => {
                let kind = input.below(6);
                if let Some(envelope) = decode(kind, input.bytes()) {
                    self.step(envelope);
                }
            }
            _ => {
                let envelope = self.message(input);
                self.step(envelope);
            }
        }
    }

    fn tick(&mut self) {
        self.now_us += self.options.tick_us;
        self.raft.set_now(self.now_us);
        self.raft.tick();
    }

    /// A message arrives, by way of its bytes.
    fn step(&mut self, envelope: Envelope) {
        let Some(arrived) = round_trip(&envelope) else {
            assert!(lacks_voters(&envelope.message), "{envelope:?} does not arrive");
            return;
        };
        assert_eq!(arrived, envelope, "what goes in comes out");
        // Nobody but the server itself speaks in its name.
        if envelope.from != id(0) {
            self.raft.step(envelope);
        }
    }

    /// Makes up a message: mostly one that means something to the server as it is.
    fn message(&self, input: &mut Input<'_>) -> Envelope {
        let status = self.raft.status();
        let kind = input.below(13);
        let from = id(1 + input.below(4));
        let to = if input.byte() == 0xff { id(1) } else { id(0) };
        let term = term(&status, input);
        let message = match kind {
            0 => {
                let (pre, transfer) = (input.coin(), input.below(4) == 0);
                Message::RequestVote { pre, last: entry_id(&status, input), transfer }
            }
            1 => Message::RequestVoteResponse { pre: input.coin(), granted: input.below(4) != 0 },
            2 | 3 => {
                let prev = entry_id(&status, input);
                let entries = entries(prev, &status, input);
                Message::AppendEntries { prev, entries, commit: index(&status, input) }
            }
            4 => Message::AppendEntriesResponse { matched: index(&status, input) },
            5 => {
                let rejected = index(&status, input);
                Message::AppendEntriesRejected { rejected, hint: entry_id(&status, input) }
            }
            6 => Message::Heartbeat { commit: index(&status, input), round: input.number() },
            7 => {
                let round = input.number();
                let promise_us = round % 100_000;
                Message::HeartbeatResponse { round, last: index(&status, input), promise_us }
            }
            8 => {
                let (last, configuration) = (entry_id(&status, input), configuration(input));
                Message::InstallSnapshot { meta: SnapshotMeta { last, configuration } }
            }
            9 => Message::InstallSnapshotResponse { matched: index(&status, input) },
            10 => {
                let nonce = input.number() % 4;
                Message::RequestRecovery { nonce, last: index(&status, input) }
            }
            11 => Message::TimeoutNow,
            _ => {
                let nonce = if input.coin() { self.nonce } else { input.number() };
                Message::RequestRecoveryResponse { nonce, last: index(&status, input) }
            }
        };
        Envelope { from, to, term, message }
    }

    /// Takes the effects, and checks what holds whatever the peers say.
    fn turn(&mut self) {
        let ready = self.raft.ready();
        if let Some(meta) = &ready.write.snapshot {
            assert!(meta.last.index > self.applied, "a snapshot takes nothing back");
            self.applied = meta.last.index;
        }
        for entry in &ready.committed {
            self.applied += 1;
            assert_eq!(entry.id.index, self.applied, "entries are applied in order");
        }
        for read in ready.reads.iter().chain(&ready.leased) {
            assert!(self.asked.remove(read), "a read is answered once, if it was asked");
        }
        let status = self.raft.status();
        let before = std::mem::replace(&mut self.before, status.clone());
        assert!(status.term >= before.term && status.commit >= before.commit);
        assert!(status.term > before.term || before.vote.is_none() || status.vote == before.vote);
        assert!(status.snapshot.index <= status.applied && status.applied <= status.commit);
        assert!(status.commit <= status.last.index && status.persisted <= status.last.index);
        assert_eq!(status.applied, self.applied);
        let sent = ready.messages.iter().chain(&ready.promises);
        for envelope in sent {
            if let Message::RequestRecovery { nonce, .. } = envelope.message {
                self.nonce = nonce;
            }
            assert!(!status.recovering || !is_vote(envelope), "no vote while recovering");
        }
        let own = |envelope: &Envelope| envelope.from == id(0) && envelope.to != id(0);
        assert!(ready.messages.iter().all(own));
        assert!(ready.messages.iter().all(|envelope| !is_vote(envelope)), "a vote is a promise");
        if !ready.write.is_empty() || !ready.promises.is_empty() {
            self.pending.push(Pending { write: ready.write, promises: ready.promises });
        }
    }

    /// The oldest write becomes durable, and its promises leave.
    fn sync(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let Pending { write, promises } = self.pending.remove(0);
        self.durable.write(&write);
        let hard_state = self.durable.recovered.hard_state;
        for envelope in promises {
            assert!(envelope.term <= hard_state.term, "a promise is of a durable term");
            if is_vote(&envelope) {
                let is_kept =
                    envelope.term < hard_state.term || hard_state.vote == Some(envelope.to);
                assert!(is_kept, "a vote is durable when it is told");
                let first = *self.votes.entry(envelope.term).or_insert(envelope.to);
                assert_eq!(first, envelope.to, "one vote in a term");
            }
            if envelope.to == id(0) {
                self.raft.step(envelope);
            }
        }
        let last = write.entries.last().map(|entry| entry.id);
        if let Some(last) = last.or(write.snapshot.map(|meta| meta.last)) {
            self.raft.persisted(last);
        }
    }

    /// A snapshot of our own becomes durable.
    fn compact(&mut self, input: &mut Input<'_>) {
        let installs = self.pending.iter().any(|pending| pending.write.snapshot.is_some());
        let snapshot = self.raft.snapshot().index;
        // What is under way to the disk may be a snapshot, too: that one is waited for.
        if installs || self.applied != self.raft.applied() || snapshot >= self.applied {
            return;
        }
        let index = snapshot + 1 + input.below((self.applied - snapshot).min(256) as usize) as u64;
        let meta = self.raft.snapshot_meta(index);
        self.durable.compact(&meta);
        self.raft.compact(index);
    }

    /// The process ends, and starts again with what is durable.
    fn restart(&mut self) {
        self.pending.clear();
        self.durable.restart();
        self.starts += 1;
        let recovered = self.durable.recovered.clone();
        self.applied = recovered.snapshot.as_ref().map_or(0, |meta| meta.last.index);
        let (options, bootstrap) = (self.options.clone(), self.bootstrap.clone());
        self.raft = Raft::new(id(0), options, bootstrap, recovered, self.starts);
        assert_ne!(self.raft.role(), Role::Leader);
        self.before = self.raft.status();
        if let Some(vote) = self.votes.get(&self.before.term) {
            assert_eq!(self.before.vote, Some(*vote), "a vote is not forgotten");
        }
        self.asked.clear();
    }
}

/// Returns whether a message holds a configuration that no server would send.
fn lacks_voters(message: &Message) -> bool {
    match message {
        Message::AppendEntries { entries, .. } => entries.iter().any(
            |entry| matches!(&entry.payload, Payload::Configuration(of) if of.voters.is_empty()),
        ),
        Message::InstallSnapshot { meta } => meta.configuration.voters.is_empty(),
        _ => false,
    }
}

fn is_vote(envelope: &Envelope) -> bool {
    matches!(envelope.message, Message::RequestVoteResponse { pre: false, granted: true })
}

fn term(status: &Status, input: &mut Input<'_>) -> Term {
    match input.below(8) {
        0..=4 => status.term,
        5 => status.term.saturating_add(1),
        6 => status.term.saturating_sub(1),
        _ => input.number(),
    }
}

fn index(status: &Status, input: &mut Input<'_>) -> Index {
    match input.below(10) {
        0..=2 => status.last.index,
        3 => status.last.index.saturating_add(1),
        4 => status.last.index.saturating_sub(1),
        5 => status.commit,
        6 => status.commit.saturating_add(1),
        7 => status.snapshot.index,
        8 => status.persisted,
        _ => input.number(),
    }
}

fn entry_id(status: &Status, input: &mut Input<'_>) -> EntryId {
    match input.below(4) {
        0 | 1 => status.last,
        2 => status.snapshot,
        _ => EntryId { index: index(status, input), term: term(status, input) },
    }
}

fn entries(prev: EntryId, status: &Status, input: &mut Input<'_>) -> Vec<Entry> {
    let mut last = prev;
    let mut entries = Vec::new();
    for _ in 0..input.below(5) {
        let index = last.index.wrapping_add(1);
        let term = if input.below(4) == 0 { term(status, input) } else { last.term };
        last = EntryId { term, index };
        let payload = match input.below(4) {
            0 => Payload::Noop,
            1 => Payload::Configuration(configuration(input)),
            _ => Payload::Command(Bytes::copy_from_slice(input.bytes())),
        };
        entries.push(Entry { id: last, payload });
    }
    entries
}

/// Sends a message as bytes, and reads them.
fn round_trip(envelope: &Envelope) -> Option<Envelope> {
    let (kind, bytes) = match wire::encode(envelope.clone(), CLUSTERS[1], &nodes(2)) {
        Outgoing::RequestVote(request) => (0, request.encode_to_vec()),
        Outgoing::RequestVoteResponse(response) => (1, response.encode_to_vec()),
        Outgoing::AppendEntries(request) => (2, request.encode_to_vec()),
        Outgoing::AppendEntriesResponse(response) => (3, response.encode_to_vec()),
        Outgoing::InstallSnapshot => {
            let Message::InstallSnapshot { meta } = &envelope.message else { return None };
            let header = Header::of(envelope, None);
            (
                4,
                wire::encode_chunk(header, Some(meta), 0, Bytes::new(), true, false)
                    .encode_to_vec(),
            )
        }
        Outgoing::InstallSnapshotResponse(response) => (5, response.encode_to_vec()),
    };
    decode(kind, &bytes)
}

/// Reads the bytes of one of the calls.
fn decode(kind: usize, bytes: &[u8]) -> Option<Envelope> {
    let (_, envelope) = match kind {
        0 => wire::decode_request_vote(proto::RequestVoteRequest::decode(bytes).ok()?).ok()?,
        1 => {
            let response = proto::RequestVoteResponse::decode(bytes).ok()?;
            wire::decode_request_vote_response(response).ok()?
        }
        2 => {
            let request = proto::AppendEntriesRequest::decode(bytes).ok()?;
            let (header, envelope, _) = wire::decode_append_entries(request).ok()?;
            (header, envelope)
        }
        3 => {
            let response = proto::AppendEntriesResponse::decode(bytes).ok()?;
            wire::decode_append_entries_response(response).ok()?
        }
        4 => {
            let request = proto::InstallSnapshotRequest::decode(bytes).ok()?;
            let header = Header::decode(request.header).ok()?;
            let meta = wire::decode_snapshot_meta(request.meta).ok()?;
            let Header { from, to, term, .. } = header;
            (header, Envelope { from, to, term, message: Message::InstallSnapshot { meta } })
        }
        _ => {
            let response = proto::InstallSnapshotResponse::decode(bytes).ok()?;
            wire::decode_install_snapshot_response(response).ok()?
        }
    };
    Some(envelope)
}
