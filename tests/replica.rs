//! What becomes of a request: done, not done, or unknown. Each exactly once, on replicas without a
//! process around them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod replicas;

use std::collections::BTreeSet;

use raftkv::raft::{Envelope, Message, Options, Recovered, Role};
use raftkv::replica::{ENTRY_BYTES_MAX, LeaseReads, Replica, RequestId};
use raftkv_frontends::{Error, Unavailable};
use raftkv_storage::keyspace::changes::{Change, NOBODY};
use raftkv_storage::keyspace::{Keyspace, Reply};
use raftkv_storage::types::{Configuration, SnapshotMeta};
use replicas::{Cluster, batch, bulk, node};

#[test]
fn a_batch_is_answered_in_order_whatever_is_in_it() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let leader = cluster.elect();
    assert_eq!(cluster.run(leader, "SET k 1"), Ok(vec![Reply::Ok]));
    // Reads before the first write, the write, and a read behind it.
    let replies = cluster.run(leader, "GET k; STRLEN k; INCR k; GET k");
    let expected = vec![bulk("1"), Reply::Integer(1), Reply::Integer(2), bulk("2")];
    assert_eq!(replies, Ok(expected));
    assert_eq!(cluster.run(leader, "GET k; GET none"), Ok(vec![bulk("2"), Reply::Null]));
    assert_eq!(cluster.run(leader, "KEYS *"), Ok(vec![Reply::Array(vec![bulk("k")])]));
}

#[test]
fn chance_is_drawn_anew_for_each_command() {
    let mut cluster = Cluster::new(&["A"]);
    let leader = cluster.elect();
    for at in 0..100 {
        cluster.run(leader, &format!("SET k{at} v")).unwrap();
    }
    for one in ["RANDOMKEY; RANDOMKEY; RANDOMKEY; RANDOMKEY", "INCR n; RANDOMKEY; RANDOMKEY"] {
        let mut drawn = Vec::new();
        for _ in 0..10 {
            drawn.extend(cluster.run(leader, one).unwrap());
        }
        drawn.retain(|reply| matches!(reply, Reply::Bulk(_)));
        let distinct: BTreeSet<String> = drawn.iter().map(|reply| format!("{reply:?}")).collect();
        assert!(distinct.len() > drawn.len() / 2, "{one}: {distinct:?}");
    }
}

#[test]
fn all_replicas_hold_the_same() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let leader = cluster.elect();
    for at in 0..20 {
        cluster.run(leader, &format!("SET k{at} {at}; INCR n; RANDOMKEY")).unwrap();
    }
    cluster.tick(10);
    let digests: BTreeSet<u128> =
        cluster.replicas.values().map(|replica| replica.view().digest()).collect();
    assert_eq!(digests.len(), 1);
}

#[test]
fn a_follower_does_nothing_and_names_the_leader() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let leader = cluster.elect();
    let follower = *cluster.replicas.keys().find(|id| **id != leader).unwrap();
    let refusal = Err(Error::NotLeader { leader });
    assert_eq!(cluster.run(follower, "SET k v"), refusal);
    assert_eq!(cluster.run(follower, "GET k"), refusal);
    assert_eq!(cluster.run(leader, "GET k"), Ok(vec![Reply::Null]), "nothing was done");
}

#[test]
fn without_a_leader_nothing_is_done() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    assert_eq!(cluster.run(node("A"), "SET k v"), Err(Error::NoLeader));
    assert_eq!(cluster.run(node("A"), "GET k"), Err(Error::NoLeader));
}

#[test]
fn a_write_under_way_when_leadership_is_lost_is_unknown() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let leader = cluster.elect();
    cluster.cut_off.insert(leader);
    let write = cluster.submit(leader, "SET k v");
    let read = cluster.submit(leader, "GET k");
    cluster.settle();
    assert_eq!(cluster.outcome(write), None, "no majority has it");
    assert_eq!(cluster.outcome(read), None, "no majority has confirmed the leader");
    // The leader hears no majority and steps down.
    cluster.tick(200);
    assert_eq!(cluster.outcome(write), Some(&Err(Error::Unknown)));
    assert_eq!(cluster.outcome(read), Some(&Err(Error::NoLeader)), "a read is not done, ever");
    // It was not committed by anybody, and is gone when the others have gone on.
    let next = cluster.elect();
    assert_ne!(next, leader);
    assert_eq!(cluster.run(next, "GET k"), Ok(vec![Reply::Null]));
    cluster.cut_off.clear();
    cluster.tick(200);
    let leader = cluster.elect();
    assert_eq!(cluster.run(leader, "GET k"), Ok(vec![Reply::Null]));
}

#[test]
fn a_deposed_leader_answers_no_read_from_what_it_has() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let old = cluster.elect();
    cluster.run(old, "SET k old").unwrap();
    cluster.cut_off.insert(old);
    let read = cluster.submit(old, "GET k");
    let new = cluster.elect();
    cluster.run(new, "SET k new").unwrap();
    cluster.tick(200);
    assert!(cluster.outcome(read).is_some_and(Result::is_err), "{:?}", cluster.outcome(read));
}

#[test]
fn a_request_too_large_for_the_log_is_refused_before_it_is_in_it() {
    let mut cluster = Cluster::new(&["A"]);
    let leader = cluster.elect();
    let value = "x".repeat(ENTRY_BYTES_MAX);
    let refusal = Err(Error::Unavailable(Unavailable::TooLarge));
    assert_eq!(cluster.run(leader, &format!("SET k {value}")), refusal);
    assert_eq!(cluster.run(leader, "GET k"), Ok(vec![Reply::Null]));
}

#[test]
fn a_key_dies_when_the_log_says_so_and_not_before() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let leader = cluster.elect();
    cluster.set_wall(leader, 2_000_000);
    cluster.run(leader, "SET k v PX 500").unwrap();
    let replica = &cluster.replicas[&leader];
    assert_eq!(replica.wake_at_ms(), Some(2_000_500), "the leader knows when to move the time");
    cluster.set_wall(leader, 2_000_499);
    assert_eq!(cluster.run(leader, "GET k"), Ok(vec![bulk("v")]));
    assert_eq!(cluster.run(leader, "PTTL k"), Ok(vec![Reply::Integer(1)]));
    let before = cluster.replicas[&leader].status().last.index;
    cluster.set_wall(leader, 2_000_500);
    cluster.settle();
    let after = cluster.replicas[&leader].status().last.index;
    assert_eq!(after, before + 1, "one entry moves the time");
    assert_eq!(cluster.run(leader, "GET k"), Ok(vec![Reply::Null]));
    assert_eq!(cluster.replicas[&leader].wake_at_ms(), None);
}

#[test]
fn a_slow_clock_brings_no_key_back_to_life() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let old = cluster.elect();
    cluster.set_wall(old, 9_000_000);
    cluster.run(old, "SET k v PX 500; SET lives v PX 60000").unwrap();
    cluster.set_wall(old, 9_000_600);
    cluster.settle();
    assert_eq!(cluster.run(old, "GET k"), Ok(vec![Reply::Null]));
    // The next leader's clock is two hours behind.
    cluster.cut_off.insert(old);
    let new = cluster.elect();
    assert_eq!(cluster.run(new, "GET k"), Ok(vec![Reply::Null]));
    // What is left of a life goes on at the pace of the new clock, from where the log stands.
    assert_eq!(cluster.run(new, "PTTL lives"), Ok(vec![Reply::Integer(59_400)]));
    let wall = cluster.wall_ms[&new];
    cluster.set_wall(new, wall + 59_399);
    assert_eq!(cluster.run(new, "GET lives"), Ok(vec![bulk("v")]));
    cluster.set_wall(new, wall + 59_400);
    cluster.settle();
    assert_eq!(cluster.run(new, "GET lives"), Ok(vec![Reply::Null]));
}

/// An entry of the last leader, whose clock was ahead, which the next applies only when it leads.
#[test]
fn what_a_new_leader_has_yet_to_apply_moves_its_clock_too() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let old = cluster.elect();
    cluster.set_wall(old, 9_000_000);
    cluster.run(old, "SET k v PX 500").unwrap();
    cluster.cut_off.insert(old);
    let applied = cluster.replicas.values().map(|replica| replica.status().applied);
    let applied: Vec<_> = applied.collect();
    let new = cluster.elect();
    let last = cluster.replicas[&old].status().applied;
    assert_eq!(applied.iter().filter(|applied| **applied == last).count(), 1, "{applied:?}");
    assert_eq!(cluster.run(new, "PTTL k"), Ok(vec![Reply::Integer(500)]));
    let wall = cluster.wall_ms[&new];
    cluster.set_wall(new, wall + 500);
    cluster.settle();
    assert_eq!(cluster.run(new, "GET k"), Ok(vec![Reply::Null]));
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_the_time() {
    let mut cluster = Cluster::new(&["A"]);
    let leader = cluster.elect();
    cluster.set_wall(leader, 5_000_000);
    cluster.run(leader, "SET k v PX 1000").unwrap();
    cluster.set_wall(leader, 1_000_000);
    cluster.set_wall(leader, 1_000_999);
    assert_eq!(cluster.run(leader, "GET k"), Ok(vec![bulk("v")]));
    cluster.set_wall(leader, 1_001_000);
    cluster.settle();
    assert_eq!(cluster.run(leader, "GET k"), Ok(vec![Reply::Null]));
}

#[test]
fn an_installed_snapshot_replaces_the_keyspace_and_an_unwanted_one_does_not() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let leader = cluster.elect();
    let away = *cluster.replicas.keys().find(|id| **id != leader).unwrap();
    cluster.cut_off.insert(away);
    for at in 0..10 {
        cluster.run(leader, &format!("SET k{at} v")).unwrap();
    }
    let (meta, view) = cluster.replicas[&leader].snapshot();
    let mut bytes = Vec::new();
    view.write_to(&mut bytes).unwrap();
    let term = cluster.replicas[&leader].raft().term();
    let install = |cluster: &mut Cluster, meta: SnapshotMeta| {
        let keyspace = Keyspace::read_from(&mut &bytes[..]).unwrap();
        let message = Message::InstallSnapshot { meta };
        let replica = cluster.replicas.get_mut(&away).unwrap();
        replica.want_changes(true);
        replica.install(Envelope { from: leader, to: away, term, message }, keyspace);
        replica.turn(|| 0)
    };
    let turn = install(&mut cluster, meta.clone());
    assert_eq!(turn.write.snapshot.as_ref(), Some(&meta));
    assert_eq!(cluster.replicas[&away].view().digest(), view.digest());
    let all = Change { key: None, origin: NOBODY };
    assert_eq!(turn.changes, [all], "any key may have changed");
    // A second time it contains nothing new: the core only answers.
    let turn = install(&mut cluster, meta);
    assert_eq!((turn.write.snapshot, turn.changes), (None, Vec::new()));
    assert_eq!(cluster.replicas[&away].view().digest(), view.digest());
    cluster.cut_off.clear();
    cluster.tick(200);
    let leader = cluster.elect();
    cluster.run(leader, "SET more v").unwrap();
    cluster.tick(20);
    let digests: BTreeSet<u128> =
        cluster.replicas.values().map(|replica| replica.view().digest()).collect();
    assert_eq!(digests.len(), 1);
}

/// Who caches what it has read here must learn of every change, and that it learns no more when
/// others lead.
#[test]
fn changes_are_told_until_leadership_is_lost() {
    let mut cluster = Cluster::new(&["A", "B", "C"]);
    let leader = cluster.elect();
    let follower = *cluster.replicas.keys().find(|id| **id != leader).unwrap();
    cluster.run(leader, "SET unwanted v").unwrap();
    // Until the followers have heard that it is committed.
    cluster.tick(20);
    cluster.replicas.values_mut().for_each(|replica| replica.want_changes(true));
    let mut own = batch("SET k 1");
    own.set_origin(7);
    cluster.replicas.get_mut(&leader).unwrap().submit(RequestId(1_000), own);
    cluster.run(leader, "GET k; SET l 1 PX 500; GET l").unwrap();
    cluster.set_wall(leader, 1_000_500);
    cluster.tick(20);
    let change = |key: &'static str, origin: u64| Change { key: Some(key.into()), origin };
    let expected = [change("k", 7), change("l", NOBODY), change("l", NOBODY)];
    assert_eq!(cluster.changes[&leader], expected);
    let told = cluster.changes[&follower].iter().map(|change| change.key.clone());
    assert!(told.eq(expected.iter().map(|change| change.key.clone())), "a follower applies them");
    let all = Change { key: None, origin: NOBODY };
    cluster.changes.clear();
    cluster.cut_off.insert(leader);
    cluster.tick(200);
    assert_eq!(cluster.changes[&leader], [all], "what others change now is not heard of");
}

/// The process stands still between a read and its answer, and another may lead by then.
#[test]
fn a_read_that_outlasts_its_lease_takes_a_round() {
    let options = Options { lease_reads: true, ..Options::default() };
    let mut cluster = Cluster::with(&["A", "B", "C"], &options);
    let leader = cluster.elect();
    cluster.run(leader, "SET k v").unwrap();
    cluster.tick(5);
    let lease_reads = |cluster: &Cluster| {
        let LeaseReads { answered, too_late } = cluster.replicas[&leader].lease_reads();
        (answered, too_late)
    };
    // Light and heavy.
    for (at, command) in (1..).zip(["GET k", "KEYS *"]) {
        cluster.tick(5);
        cluster.run(leader, command).unwrap();
        assert_eq!(lease_reads(&cluster), (at, at - 1), "{command} takes no round");
        let request = cluster.submit(leader, command);
        let after = cluster.now_us + 400_000;
        let replica = cluster.replicas.get_mut(&leader).unwrap();
        let turn = replica.turn(|| after);
        assert!(turn.outcomes.is_empty() && turn.heavy.is_empty(), "{command} is not told");
        assert_eq!(lease_reads(&cluster), (at, at));
        cluster.now_us = after;
        cluster.settle();
        assert!(cluster.outcome(request).unwrap().is_ok(), "{command} took a round");
        assert_eq!(lease_reads(&cluster), (at, at));
    }
}

/// What is asked between the two must not wait for a leadership that nobody has seen.
#[test]
fn leadership_that_is_won_and_lost_in_one_turn_ends_what_was_asked() {
    let [a, b, c] = ["A", "B", "C"].map(node);
    let bootstrap = Configuration::bootstrap([a, b, c]);
    let (options, recovered) = (Options::default(), Recovered::default());
    let mut replica = Replica::new(a, options, bootstrap, recovered, Keyspace::default(), 1);
    let term = loop {
        replica.tick();
        if let Some(vote) = replica.turn(|| 0).messages.first() {
            break vote.term;
        }
    };
    let granted = |pre| {
        let message = Message::RequestVoteResponse { pre, granted: true };
        Envelope { from: b, to: a, term, message }
    };
    replica.step(granted(true));
    for promise in replica.turn(|| 0).promises {
        if promise.to == a {
            replica.step(promise);
        }
    }
    replica.step(granted(false));
    assert_eq!(replica.raft().role(), Role::Leader);
    replica.submit(RequestId(1), batch("GET k"));
    replica.submit(RequestId(2), batch("SET k v"));
    let message = Message::Heartbeat { commit: 0, round: 0 };
    replica.step(Envelope { from: c, to: a, term: term + 1, message });
    let mut outcomes = replica.turn(|| 0).outcomes;
    outcomes.sort_by_key(|(request, _)| *request);
    let expected =
        [(RequestId(1), Err(Error::NotLeader { leader: c })), (RequestId(2), Err(Error::Unknown))];
    assert_eq!(outcomes, expected);
}

/// What walks over much leaves the loop; what walks over little, or over a part, stays.
#[test]
fn reads_over_much_are_done_on_a_view() {
    let mut cluster = Cluster::new(&["A"]);
    let leader = cluster.elect();
    for _ in 0..20 {
        cluster.run(leader, &format!("RPUSH long{}", " x".repeat(1_000))).unwrap();
    }
    cluster.run(leader, "RPUSH short a b").unwrap();
    let mut is_long = |commands: &str| {
        let request = cluster.submit(leader, commands);
        let replica = cluster.replicas.get_mut(&leader).unwrap();
        let turn = replica.turn(|| 0);
        assert_eq!(turn.outcomes.len() + turn.heavy.len(), 1);
        turn.heavy.iter().any(|heavy| heavy.request == request)
    };
    assert!(is_long("LRANGE long 0 -1"));
    assert!(is_long("GET k; LRANGE long 0 -1"));
    assert!(is_long("LPOS long y"));
    for commands in ["LRANGE long 0 99", "LRANGE long -10 -1", "LRANGE short 0 -1", "LLEN long"] {
        assert!(!is_long(commands), "{commands}");
    }
}
