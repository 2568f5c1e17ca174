//! What a turn of the core costs a leader of three: propose, send, persist, hear two
//! acknowledgements, commit.
//!
//! `cargo bench --bench turn`. The peer, in the same run, is a bare `VecDeque` that the same
//! entries are pushed into and drained from twice: about the least that could be done with them.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use raftkv::raft::{Envelope, Message, Options, Raft, ReadId, Recovered, Role};
use raftkv_storage::types::{Configuration, Entry, EntryId, NodeId, Payload};

/// How long each measurement runs.
const DURATION: Duration = Duration::from_millis(300);
/// Rounds, in alternation with the peer; the median counts.
const ROUNDS: usize = 5;

struct Leader {
    raft: Raft,
    peers: [NodeId; 2],
    id: NodeId,
}

impl Leader {
    fn elect() -> Self {
        let [a, b, c] = ["A", "B", "C"].map(|name| name.parse().expect("a name"));
        let bootstrap = Configuration::bootstrap([a, b, c]);
        let mut raft = Raft::new(a, Options::default(), bootstrap, Recovered::default(), 1);
        while raft.role() != Role::Leader {
            raft.tick();
            let ready = raft.ready();
            for request in ready.messages.into_iter().chain(ready.promises) {
                let Message::RequestVote { pre, .. } = request.message else { continue };
                let message = Message::RequestVoteResponse { pre, granted: true };
                let from = if request.to == a { a } else { request.to };
                raft.step(Envelope { from, to: a, term: request.term, message });
            }
        }
        let mut leader = Self { raft, peers: [b, c], id: a };
        leader.turn();
        leader
    }

    /// Takes the turn and plays the disk and both followers.
    fn turn(&mut self) -> usize {
        let ready = self.raft.ready();
        let mut answers = Vec::with_capacity(4);
        for sent in &ready.messages {
            let message = match &sent.message {
                Message::AppendEntries { prev, entries, .. } => {
                    let matched = entries.last().map_or(prev.index, |entry| entry.id.index);
                    Message::AppendEntriesResponse { matched }
                }
                Message::Heartbeat { round, .. } => Message::HeartbeatResponse {
                    round: *round,
                    last: self.raft.status().last.index,
                    promise_us: 0,
                },
                _ => continue,
            };
            answers.push(Envelope { from: sent.to, to: self.id, term: sent.term, message });
        }
        if let Some(last) = ready.write.entries.last() {
            self.raft.persisted(last.id);
        }
        for answer in answers {
            self.raft.step(answer);
        }
        let done = self.raft.ready();
        done.committed.len() + done.reads.len()
    }

    fn writes(&mut self, batch: usize, payload: &Bytes) {
        for _ in 0..batch {
            self.raft.propose(payload.clone()).expect("it leads");
        }
        let committed = self.turn();
        assert_eq!(committed, batch, "every proposal is committed in its turn");
        let applied = self.raft.applied();
        if applied % 4096 < batch as u64 {
            self.raft.compact(applied);
        }
        black_box(&self.peers);
    }

    fn reads(&mut self, batch: usize) {
        for at in 0..batch {
            self.raft.read(ReadId(at as u64)).expect("it leads");
        }
        assert_eq!(self.turn(), batch, "every read is confirmed in its turn");
    }
}

/// Returns nanoseconds for each of `batch` items.
fn measure(batch: usize, mut work: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut rounds = 0u32;
    while started.elapsed() < DURATION {
        work();
        rounds += 1;
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(rounds) / batch as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let payload = Bytes::from(vec![0; 100]);
    println!(
        "{:>6} {:>16} {:>16} {:>16} {:>8}",
        "batch", "write ns/entry", "read ns/read", "queue ns/entry", "ratio"
    );
    for batch in [1, 16, 50, 1000] {
        let mut leader = Leader::elect();
        let mut queue = VecDeque::new();
        let [mut writes, mut reads, mut peers] = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            writes.push(measure(batch, || leader.writes(batch, &payload)));
            reads.push(measure(batch, || leader.reads(batch)));
            peers.push(measure(batch, || {
                for index in 0..batch as u64 {
                    let id = EntryId { term: 1, index };
                    queue.push_back(Entry { id, payload: Payload::Command(payload.clone()) });
                }
                let copy: Vec<Entry> = queue.iter().cloned().collect();
                black_box(copy);
                queue.drain(..).for_each(|entry| drop(black_box(entry)));
            }));
        }
        let [writes, reads, peers] = [writes, reads, peers].map(median);
        println!("{batch:>6} {writes:>16.0} {reads:>16.0} {peers:>16.0} {:>8.1}", writes / peers);
    }
}
