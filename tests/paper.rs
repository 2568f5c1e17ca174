//! The rules of the paper, one short test each, in the paper's order.
//!
//! Numbers with § are sections of *In Search of an Understandable Consensus Algorithm (extended
//! version)*; those of the thesis are marked as such. The rules are told in our own words.

mod harness;

use bytes::Bytes;
use harness::{Cluster, id};
use raftkv::raft::{Envelope, Message, Options, ProgressState, Raft, Ready, Recovered, Role};
use raftkv_storage::types::{
    Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, SnapshotMeta, Term,
};

fn at(index: Index, term: Term) -> EntryId {
    EntryId { term, index }
}

fn log(terms: &[Term]) -> Vec<Entry> {
    let entry = |(index, term): (Index, &Term)| Entry {
        id: at(index, *term),
        payload: Payload::Command(Bytes::from(format!("{index}@{term}"))),
    };
    (1..).zip(terms).map(entry).collect()
}

/// Three servers, the first of which starts from this log and term.
fn with_log(terms: &[Term], term: Term) -> Cluster {
    let mut cluster = Cluster::voters(3);
    recover(&mut cluster, "n1", terms, term);
    cluster
}

fn recover(cluster: &mut Cluster, node: &str, terms: &[Term], term: Term) {
    let hard_state = HardState { term, vote: None };
    let recovered = Recovered { hard_state, entries: log(terms), ..Recovered::default() };
    cluster.recover(id(node), recovered);
}

/// Three servers that n1 leads.
fn led() -> Cluster {
    let mut cluster = Cluster::voters(3);
    cluster.elect(id("n1"));
    cluster.run(5);
    cluster
}

/// Hands n1 a message, and returns what it does.
fn hand(cluster: &mut Cluster, from: &str, term: Term, message: Message) -> Ready {
    let envelope = Envelope { from: id(from), to: id("n1"), term, message };
    cluster
        .with(id("n1"), |raft| {
            raft.step(envelope);
            raft.ready()
        })
        .expect("n1 runs")
}

fn vote_request(last: EntryId) -> Message {
    Message::RequestVote { pre: false, last, transfer: false }
}

fn append(prev: EntryId, terms: &[Term], commit: Index) -> Message {
    let mut entries = log(&[vec![0; prev.index as usize], terms.to_vec()].concat());
    entries.drain(..prev.index as usize);
    Message::AppendEntries { prev, entries, commit }
}

fn granted(ready: &Ready) -> bool {
    let vote = Message::RequestVoteResponse { pre: false, granted: true };
    ready.promises.iter().any(|envelope| envelope.message == vote)
}

fn matched(ready: &Ready) -> Option<Index> {
    ready.promises.iter().find_map(|envelope| match envelope.message {
        Message::AppendEntriesResponse { matched } => Some(matched),
        _ => None,
    })
}

fn terms_of(cluster: &Cluster, node: &str) -> Vec<Term> {
    cluster.node(id(node)).image.recovered.entries.iter().map(|entry| entry.id.term).collect()
}

fn status(cluster: &Cluster, node: &str) -> raftkv::raft::Status {
    cluster.raft(id(node)).status()
}

/// §5.1: servers start as followers.
#[test]
fn s5_1_starts_as_follower() {
    let cluster = Cluster::voters(3);
    assert!(cluster.nodes.keys().all(|node| cluster.raft(*node).role() == Role::Follower));
}

/// §5.1: whoever sees a larger term takes it over, and a leader or candidate becomes a follower.
#[test]
fn s5_1_larger_term_deposes() {
    let mut cluster = led();
    hand(&mut cluster, "n2", 9, Message::HeartbeatResponse { round: 0, last: 0, promise_us: 0 });
    assert_eq!((status(&cluster, "n1").role, status(&cluster, "n1").term), (Role::Follower, 9));
}

/// §5.1: a request with a stale term is rejected, and the answer carries the newer one.
#[test]
fn s5_1_stale_request_is_rejected() {
    let mut cluster = with_log(&[1], 3);
    let ready = hand(&mut cluster, "n2", 2, append(at(1, 1), &[2], 2));
    assert!(ready.write.is_empty() && ready.committed.is_empty() && ready.promises.is_empty());
    assert_eq!(ready.messages[0].term, 3);
}

/// §5.1, Figure 2: the term and the vote are on disk before anything is answered.
#[test]
fn s5_1_term_and_vote_are_durable_first() {
    let mut cluster = Cluster::voters(3);
    let ready = hand(&mut cluster, "n2", 4, vote_request(at(0, 0)));
    assert_eq!(ready.write.hard_state, Some(HardState { term: 4, vote: Some(id("n2")) }));
    assert!(granted(&ready) && ready.messages.is_empty());
}

/// §5.2: a follower that hears nothing for an election timeout starts an election; the timeout is
/// random.
#[test]
fn s5_2_silence_starts_an_election() {
    let mut timeouts = Vec::new();
    for node in ["n1", "n2", "n3"] {
        let mut cluster = Cluster::voters(3);
        let ticks = (1..100).find(|_| {
            cluster.tick(id(node));
            cluster.raft(id(node)).role() != Role::Follower
        });
        timeouts.push(ticks.expect("it campaigns"));
    }
    assert!(timeouts.iter().all(|ticks| cluster_range().contains(ticks)), "{timeouts:?}");
    timeouts.dedup();
    assert!(timeouts.len() > 1, "different servers wait for different times");
}

fn cluster_range() -> std::ops::Range<u32> {
    raftkv::raft::Options::default().election_ticks
}

/// §5.2: heartbeats keep followers quiet.
#[test]
fn s5_2_heartbeats_maintain_authority() {
    let mut cluster = led();
    cluster.run(1000);
    assert_eq!(cluster.leaders(), [id("n1")]);
    assert!(cluster.nodes.keys().all(|node| cluster.term(*node) == 1));
}

/// §5.2: one vote a term, first come first served; asked again by the same candidate, it is given
/// again.
#[test]
fn s5_2_one_vote_per_term() {
    let mut cluster = Cluster::voters(3);
    assert!(granted(&hand(&mut cluster, "n2", 1, vote_request(at(0, 0)))));
    assert!(!granted(&hand(&mut cluster, "n3", 1, vote_request(at(9, 1)))));
    assert!(granted(&hand(&mut cluster, "n2", 1, vote_request(at(0, 0)))));
}

/// §5.2: a candidate wins with a majority of the whole cluster, not of those who answer.
#[test]
fn s5_2_majority_of_all_wins() {
    let mut cluster = Cluster::voters(5);
    for node in ["n3", "n4", "n5"] {
        cluster.isolate(id(node));
    }
    cluster.campaign(id("n1"));
    cluster.stabilize();
    assert_ne!(cluster.raft(id("n1")).role(), Role::Leader);
    cluster.cut.clear();
    cluster.elect(id("n1"));
}

/// §5.2: a candidate that hears from a leader of its own term follows it.
#[test]
fn s5_2_candidate_yields_to_leader_of_its_term() {
    let mut cluster = Cluster::voters(3);
    cluster.sync_at_once = true;
    cluster.campaign(id("n1"));
    cluster.deliver(0);
    cluster.deliver(1);
    assert_eq!(cluster.raft(id("n1")).role(), Role::Candidate);
    hand(&mut cluster, "n2", 1, Message::Heartbeat { commit: 0, round: 0 });
    let status = status(&cluster, "n1");
    assert_eq!((status.role, status.leader), (Role::Follower, Some(id("n2"))));
}

/// §5.3: the follower refuses entries whose predecessor it does not have.
#[test]
fn s5_3_consistency_check() {
    let mut cluster = with_log(&[1, 1, 2], 3);
    for prev in [at(4, 3), at(3, 3), at(2, 2)] {
        let ready = hand(&mut cluster, "n2", 3, append(prev, &[3], 0));
        assert_eq!(matched(&ready), None, "{prev}");
        let Message::AppendEntriesRejected { rejected, .. } = ready.messages[0].message else {
            panic!("{prev} is refused");
        };
        assert_eq!(rejected, prev.index);
    }
    assert_eq!(matched(&hand(&mut cluster, "n2", 3, append(at(3, 2), &[3], 0))), Some(4));
}

/// §5.3, Figure 2: an entry that conflicts with a new one goes, with all that follow it.
#[test]
fn s5_3_conflicts_are_removed() {
    let mut cluster = with_log(&[1, 1, 1, 1], 1);
    let ready = hand(&mut cluster, "n2", 2, append(at(1, 1), &[2], 0));
    assert_eq!(ready.write.entries[0].id, at(2, 2));
    assert_eq!(status(&cluster, "n1").last, at(2, 2));
}

/// Figure 2: only if there is a conflict is anything removed.
#[test]
fn s5_3_without_conflict_nothing_is_removed() {
    let mut cluster = with_log(&[1, 1, 1, 1], 1);
    let ready = hand(&mut cluster, "n2", 1, append(at(1, 1), &[1], 0));
    assert!(ready.write.entries.is_empty());
    assert_eq!(matched(&ready), Some(2), "no more is acknowledged than was spoken of");
    assert_eq!(status(&cluster, "n1").last, at(4, 1));
}

/// §5.3: a leader never overwrites or removes entries of its own log.
#[test]
fn s5_3_leader_append_only() {
    let mut cluster = with_log(&[1, 1], 1);
    cluster.elect(id("n1"));
    let before = terms_of(&cluster, "n1");
    hand(&mut cluster, "n2", 2, append(at(0, 0), &[2, 2], 2));
    cluster.run(20);
    assert_eq!(terms_of(&cluster, "n1")[..before.len()], before);
}

/// §5.3: after a rejection the leader goes back until the logs match, a term at a time.
#[test]
fn s5_3_leader_backs_off_by_terms() {
    let mut cluster = with_log(&[1, 1, 4, 4, 4, 4, 4, 4], 4);
    recover(&mut cluster, "n2", &[1, 1, 2, 2, 2, 2, 3, 3, 3, 3], 4);
    cluster.isolate(id("n3"));
    cluster.elect(id("n1"));
    let refusals = cluster.trace.iter().filter(|line| line.contains("Rejected")).count();
    assert!(refusals <= 2, "{refusals} for two terms");
    assert_eq!(terms_of(&cluster, "n2"), terms_of(&cluster, "n1"));
}

/// §5.3: an entry is committed once the leader that created it has it on a majority.
#[test]
fn s5_3_majority_commits() {
    let mut cluster = led();
    let entry = cluster.propose(id("n1"), "x").expect("n1 leads");
    assert!(status(&cluster, "n1").commit < entry.index);
    cluster.isolate(id("n3"));
    cluster.stabilize();
    assert_eq!(status(&cluster, "n1").commit, entry.index);
    assert_eq!(cluster.node(id("n1")).state, ["x"]);
}

/// §5.3: a follower applies what the leader has committed, but no more than it holds.
#[test]
fn s5_3_follower_commits_what_it_holds() {
    let mut cluster = with_log(&[1, 1, 1], 1);
    let ready = hand(&mut cluster, "n2", 1, append(at(1, 1), &[1], 99));
    assert_eq!(ready.committed.last().map(|entry| entry.id), Some(at(2, 1)));
}

/// §5.4.1: no vote for a log that is less up-to-date: an older last term, or the same and shorter.
#[test]
fn s5_4_1_vote_only_for_up_to_date_logs() {
    let cases = [
        (at(9, 2), false),
        (at(2, 3), false),
        (at(3, 3), true),
        (at(4, 3), true),
        (at(1, 4), true),
    ];
    for (last, expected) in cases {
        let mut cluster = with_log(&[1, 2, 3], 3);
        assert_eq!(granted(&hand(&mut cluster, "n2", 5, vote_request(last))), expected, "{last}");
    }
}

/// §5.4.2, Figure 8: entries of older terms are never committed by counting; they are with one of
/// the current term.
#[test]
fn s5_4_2_only_current_term_is_counted() {
    let mut cluster = with_log(&[1, 2], 2);
    recover(&mut cluster, "n2", &[1], 2);
    cluster.isolate(id("n3"));
    cluster.elect_without_append(id("n1"));
    let ready = hand(&mut cluster, "n2", 3, Message::AppendEntriesResponse { matched: 2 });
    assert!(ready.committed.is_empty(), "2@2 is on a majority");
    let ready = hand(&mut cluster, "n2", 3, Message::AppendEntriesResponse { matched: 3 });
    assert_eq!(ready.committed.len(), 3);
}

/// §5.5: a message that comes twice does no harm.
#[test]
fn s5_5_messages_are_idempotent() {
    let mut cluster = with_log(&[1], 1);
    let message = append(at(1, 1), &[1, 1], 2);
    let first = hand(&mut cluster, "n2", 1, message.clone());
    let second = hand(&mut cluster, "n2", 1, message);
    assert_eq!(matched(&first), matched(&second));
    assert!(second.write.is_empty() && second.committed.is_empty());
}

/// §7: a snapshot replaces the log it contains; what follows the snapshot stays.
#[test]
fn s7_compaction() {
    let mut cluster = led();
    cluster.options.trailing_bytes = 0;
    cluster.options.catch_up_bytes = 0;
    cluster.recover(id("n1"), Recovered::default());
    cluster.elect(id("n2"));
    cluster.run(20);
    let applied = cluster.node(id("n1")).applied;
    assert!(applied > 0 && status(&cluster, "n1").log_bytes > 0);
    cluster.snapshot(id("n1"));
    let status = status(&cluster, "n1");
    assert_eq!((status.snapshot.index, status.log_bytes), (applied, 0));
    assert_eq!(status.last.index, applied);
}

/// §7: after a restart, too, only what trails the snapshot by little is kept in memory.
#[test]
fn s7_restart_after_compaction() {
    let voters = ["n1", "n2", "n3"].map(id);
    let configuration = Configuration::bootstrap(voters);
    let snapshot = SnapshotMeta { last: at(900, 1), configuration: configuration.clone() };
    let recovered = Recovered {
        hard_state: HardState { term: 1, vote: None },
        snapshot: Some(snapshot),
        entries: log(&[1; 1000]),
        ..Recovered::default()
    };
    let options = Options { trailing_bytes: 200, ..Options::default() };
    let raft = Raft::new(id("n1"), options, configuration, recovered, 1);
    assert_eq!(raft.status().last.index, 1000);
    assert!(raft.status().log_bytes < raft.bytes_above_snapshot() + 201);
    assert_eq!(raft.bytes_since_snapshot(), 0, "nothing was applied since");
}

/// §7: a follower that needs what was cut off gets the snapshot, and the log from there on.
#[test]
fn s7_install_snapshot() {
    let mut cluster = led();
    cluster.crash(id("n3"));
    cluster.options.trailing_bytes = 0;
    cluster.options.catch_up_bytes = 0;
    cluster.restart(id("n1"));
    cluster.elect(id("n1"));
    for command in ["a", "b", "c"] {
        cluster.propose(id("n1"), command);
    }
    cluster.stabilize();
    cluster.snapshot(id("n1"));
    cluster.propose(id("n1"), "d");
    cluster.restart(id("n3"));
    cluster.run(40);
    assert!(cluster.trace.iter().any(|line| line.starts_with("n3 installs snapshot")));
    assert_eq!(cluster.node(id("n3")).state, ["a", "b", "c", "d"]);
    assert_eq!(status(&cluster, "n1").peers[&id("n3")].state, ProgressState::Replicate);
}

/// §7: a snapshot that ends with an entry of the log leaves in place what follows it.
#[test]
fn s7_snapshot_of_a_prefix_keeps_the_rest() {
    let mut cluster = with_log(&[1, 1, 1], 1);
    let configuration = cluster.configuration.clone();
    let meta = SnapshotMeta { last: at(2, 1), configuration };
    let ready = hand(&mut cluster, "n2", 1, Message::InstallSnapshot { meta });
    assert_eq!(ready.write.snapshot, None);
    assert_eq!((status(&cluster, "n1").last, status(&cluster, "n1").commit), (at(3, 1), 2));
}

/// §8: a new leader commits a no-op at the start of its term, and with it all that came before.
#[test]
fn s8_no_op() {
    let mut cluster = with_log(&[1, 1], 1);
    cluster.elect(id("n1"));
    let entries = &cluster.node(id("n1")).image.recovered.entries;
    assert_eq!(entries.last().map(|entry| &entry.payload), Some(&Payload::Noop));
    assert_eq!(status(&cluster, "n1").commit, 3);
}

/// §8, thesis §6.4: a leader answers no read before it has committed in its own term.
#[test]
fn s8_no_read_before_the_no_op_is_committed() {
    let mut cluster = with_log(&[1, 1], 1);
    recover(&mut cluster, "n2", &[1, 1], 1);
    cluster.elect_without_append(id("n1"));
    assert!(cluster.read(id("n1"), 1));
    let answer = Message::HeartbeatResponse { round: 0, last: 2, promise_us: 0 };
    for peer in ["n2", "n3"] {
        assert!(hand(&mut cluster, peer, 2, answer.clone()).reads.is_empty());
    }
    cluster.run(20);
    assert!(cluster.trace.iter().any(|line| line.contains("reads #1")));
}

/// Thesis §6.4: before it answers a read, the leader makes sure that it still leads, after the read
/// arrived.
#[test]
fn thesis_6_4_read_needs_a_majority_that_answers_later() {
    let mut cluster = led();
    assert!(cluster.read(id("n1"), 1));
    let answer = |round| Message::HeartbeatResponse { round, last: 2, promise_us: 0 };
    assert!(hand(&mut cluster, "n2", 1, answer(0)).reads.is_empty(), "sent before the read");
    assert_eq!(hand(&mut cluster, "n2", 1, answer(1)).reads.len(), 1);
}

/// Thesis §6.4: a leader that was replaced answers nothing.
#[test]
fn thesis_6_4_deposed_leader_reads_nothing() {
    let mut cluster = led();
    cluster.read(id("n1"), 1);
    let answer = Message::HeartbeatResponse { round: 1, last: 9, promise_us: 0 };
    assert!(hand(&mut cluster, "n2", 2, answer.clone()).reads.is_empty());
    assert!(hand(&mut cluster, "n3", 2, answer).reads.is_empty());
    assert!(!cluster.read(id("n1"), 2));
}

/// Thesis §4.2.3, §9.6: a server that hears a leader helps nobody to replace it, and keeps its
/// term.
#[test]
fn thesis_9_6_live_leader_is_not_disturbed() {
    let mut cluster = led();
    let (node, term) = (id("n2"), cluster.term(id("n2")));
    for pre in [true, false] {
        let message = Message::RequestVote { pre, last: at(99, 99), transfer: false };
        let envelope = Envelope { from: id("n3"), to: node, term: term + 5, message };
        cluster.event(node, |raft| raft.step(envelope));
        assert_eq!(cluster.term(node), term);
    }
}

/// Thesis §9.6: who cannot win does not even raise its own term.
#[test]
fn thesis_9_6_pre_vote_keeps_the_term() {
    let mut cluster = led();
    cluster.isolate(id("n3"));
    cluster.run(500);
    assert_eq!(cluster.term(id("n3")), 1);
    cluster.cut.clear();
    cluster.run(100);
    assert_eq!((cluster.leaders(), cluster.term(id("n1"))), (vec![id("n1")], 1));
}

/// Thesis §6.2, §9.6: a leader that no majority answers for an election timeout steps down.
#[test]
fn thesis_9_6_check_quorum() {
    let mut cluster = led();
    cluster.isolate(id("n1"));
    let ticks = cluster_range().start + 5;
    (0..ticks).for_each(|_| cluster.tick(id("n1")));
    assert_eq!(cluster.raft(id("n1")).role(), Role::Follower);
}

/// §6: a server uses the latest configuration in its log, committed or not, and the one before when
/// that is removed.
#[test]
fn s6_configuration_is_in_force_when_appended() {
    let mut cluster = Cluster::voters(3);
    let mut changed = cluster.configuration.clone();
    changed.voters.insert(id("n4"));
    let payload = Payload::Configuration(changed.clone());
    let entries = vec![Entry { id: at(1, 1), payload }];
    let message = Message::AppendEntries { prev: at(0, 0), entries, commit: 0 };
    hand(&mut cluster, "n2", 1, message);
    assert_eq!(cluster.raft(id("n1")).configuration(), &changed);
    assert_eq!(cluster.raft(id("n1")).committed_configuration(), &cluster.configuration);
    hand(&mut cluster, "n3", 2, append(at(0, 0), &[2], 0));
    assert_eq!(cluster.raft(id("n1")).configuration(), &cluster.configuration);
}

/// Figure 2: the servers' promises queue behind their writes. An acknowledgement is lost with what
/// it promised.
#[test]
fn promises_wait_for_the_disk() {
    let mut cluster = led();
    cluster.sync_at_once = false;
    cluster.propose(id("n1"), "x");
    cluster.stabilize();
    let waiting = |cluster: &Cluster, node: NodeId| {
        let disk = &cluster.node(node).disk;
        disk.pending.iter().map(|pending| pending.promises.len()).sum::<usize>()
    };
    assert_eq!((waiting(&cluster, id("n2")), status(&cluster, "n1").commit), (1, 2));
    cluster.crash(id("n2"));
    cluster.sync(id("n1"));
    assert_eq!(status(&cluster, "n1").commit, 2, "n1 alone is no majority");
    cluster.sync(id("n3"));
    cluster.stabilize();
    assert_eq!(status(&cluster, "n1").commit, 3);
}
