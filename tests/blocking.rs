//! Commands that wait: who gets what comes, in which order, and what those hear who get nothing. On
//! replicas without a process around them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod replicas;

use raftkv::raft::Options;
use raftkv::replica::{Outcome, RequestId};
use raftkv_frontends::Error;
use raftkv_storage::keyspace::Reply;
use raftkv_storage::types::NodeId;
use replicas::{Cluster, bulk};

fn led() -> (Cluster, NodeId) {
    let mut cluster = Cluster::with(&["A", "B", "C"], &Options::default());
    let leader = cluster.elect();
    (cluster, leader)
}

fn pair(key: &str, value: &str) -> Outcome {
    Ok(vec![Reply::Array(vec![bulk(key), bulk(value)])])
}

fn integers(numbers: &[i64]) -> Outcome {
    Ok(numbers.iter().map(|number| Reply::Integer(*number)).collect())
}

#[test]
fn what_is_there_is_taken_at_once() {
    let (mut cluster, leader) = led();
    cluster.run(leader, "RPUSH k a b").unwrap();
    let request = cluster.wait(leader, "BLPOP none k 0");
    assert_eq!(cluster.outcome(request), Some(&pair("k", "a")));
}

/// Whoever waits gets what is pushed before anybody else sees it: a command in the same pipeline
/// finds it gone.
#[test]
fn what_is_pushed_is_taken_in_the_same_entry() {
    let (mut cluster, leader) = led();
    let request = cluster.wait(leader, "BLPOP k 0");
    assert_eq!(cluster.outcome(request), None);
    assert_eq!(
        cluster.run(leader, "LLEN k; RPUSH k a; LLEN k; LPOP k"),
        Ok(vec![Reply::Integer(0), Reply::Integer(1), Reply::Integer(0), Reply::Null,])
    );
    assert_eq!(cluster.outcome(request), Some(&pair("k", "a")));
}

#[test]
fn who_came_first_is_served_first_and_nobody_twice() {
    let (mut cluster, leader) = led();
    let waiting: Vec<RequestId> =
        ["BLPOP k 0", "BRPOP other k 0", "BLMPOP 0 2 other k LEFT COUNT 2", "BLPOP k 0"]
            .map(|command| cluster.wait(leader, command))
            .into();
    assert_eq!(cluster.run(leader, "RPUSH k a b; LLEN k"), integers(&[2, 0]));
    assert_eq!(cluster.outcome(waiting[0]), Some(&pair("k", "a")));
    assert_eq!(cluster.outcome(waiting[1]), Some(&pair("k", "b")));
    assert_eq!(cluster.outcome(waiting[2]), None);
    assert_eq!(cluster.run(leader, "RPUSH k c d e; LLEN k"), integers(&[3, 0]));
    let two = Reply::Array(vec![bulk("k"), Reply::Array(vec![bulk("c"), bulk("d")])]);
    assert_eq!(cluster.outcome(waiting[2]), Some(&Ok(vec![two])));
    assert_eq!(cluster.outcome(waiting[3]), Some(&pair("k", "e")));
    assert_eq!(cluster.run(leader, "RPUSH k f; LLEN k; LLEN other"), integers(&[1, 1, 0]));
}

/// What one takes and puts elsewhere is taken there by the next, all in one entry.
#[test]
fn moves_are_linked() {
    let (mut cluster, leader) = led();
    let first = cluster.wait(leader, "BLMOVE a b LEFT RIGHT 0");
    let second = cluster.wait(leader, "BLMOVE b c LEFT RIGHT 0");
    let replies = cluster.run(leader, "RPUSH a x; LLEN a; LLEN b; LLEN c");
    assert_eq!(replies, integers(&[1, 0, 0, 1]));
    for request in [first, second] {
        assert_eq!(cluster.outcome(request), Some(&Ok(vec![bulk("x")])));
    }
    // In a circle everyone moves it once.
    let first = cluster.wait(leader, "BLMOVE p q LEFT RIGHT 0");
    let second = cluster.wait(leader, "BLMOVE q p LEFT RIGHT 0");
    assert_eq!(cluster.run(leader, "RPUSH p y; LLEN p; LLEN q"), integers(&[1, 1, 0]));
    assert!(cluster.outcome(first).is_some() && cluster.outcome(second).is_some());
}

/// What does not name the key it fills, or did so while the first attempt was under way, is noticed
/// when it is applied.
#[test]
fn whatever_fills_a_key_serves_who_waits() {
    let (mut cluster, leader) = led();
    cluster.run(leader, "RPUSH full a b c").unwrap();
    let waiting: Vec<RequestId> = (0..4).map(|_| cluster.wait(leader, "BLPOP k 0")).collect();
    cluster.run(leader, "RENAME full k").unwrap();
    for (request, value) in waiting.iter().zip(["a", "b", "c"]) {
        assert_eq!(cluster.outcome(*request), Some(&pair("k", value)));
    }
    assert_eq!(cluster.outcome(waiting[3]), None);
    assert_eq!(cluster.run(leader, "EXISTS k full"), integers(&[0]));
}

/// Attempt and push are both in the log before either is applied: the push does not know who waits,
/// and the attempt is before it.
#[test]
fn a_push_behind_the_first_attempt_is_not_missed() {
    let (mut cluster, leader) = led();
    let request = cluster.begin_wait(leader, "BLPOP k 0");
    let pushed = cluster.submit(leader, "RPUSH k a");
    cluster.settle();
    assert_eq!(cluster.outcome(pushed), Some(&integers(&[1])));
    assert_eq!(cluster.outcome(request), Some(&pair("k", "a")));
    assert_eq!(cluster.run(leader, "EXISTS k"), integers(&[0]));
}

/// A key that is filled and emptied within a pipeline, or is of another type, wakes nobody.
#[test]
fn another_type_is_no_reason_to_stop_waiting() {
    let (mut cluster, leader) = led();
    let request = cluster.wait(leader, "BLPOP k other 0");
    cluster.run(leader, "SET k v").unwrap();
    cluster.run(leader, "SET k w").unwrap();
    assert_eq!(cluster.outcome(request), None);
    // Nor is it one that another key has something.
    cluster.run(leader, "RPUSH other a").unwrap();
    assert_eq!(cluster.outcome(request), Some(&pair("other", "a")));
    // Only a destination of another type is an error, and only when there is something to move.
    let request = cluster.wait(leader, "BLMOVE from k LEFT LEFT 0");
    cluster.run(leader, "SET k x").unwrap();
    assert_eq!(cluster.outcome(request), None);
    cluster.run(leader, "RPUSH from a").unwrap();
    let error = "WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(cluster.outcome(request), Some(&Ok(vec![Reply::error(error)])));
    assert_eq!(cluster.run(leader, "LLEN from"), integers(&[1]));
}

#[test]
fn who_leaves_gets_nothing_and_takes_nothing() {
    let (mut cluster, leader) = led();
    let leaving = cluster.wait(leader, "BLPOP k 0");
    let staying = cluster.wait(leader, "BLPOP k 0");
    cluster.replicas.get_mut(&leader).unwrap().stop_waiting(leaving);
    cluster.settle();
    assert_eq!(cluster.outcome(leaving), Some(&Ok(vec![Reply::NullArray])));
    cluster.run(leader, "RPUSH k a").unwrap();
    assert_eq!(cluster.outcome(staying), Some(&pair("k", "a")));
    assert_eq!(cluster.run(leader, "RPUSH k b; LLEN k"), integers(&[1, 1]));
}

/// An attempt that is under way when the client leaves is waited for: what it took is not lost.
#[test]
fn who_leaves_during_an_attempt_hears_what_it_took() {
    let (mut cluster, leader) = led();
    let leaving = cluster.wait(leader, "BLPOP k 0");
    cluster.submit(leader, "RPUSH k a");
    cluster.replicas.get_mut(&leader).unwrap().stop_waiting(leaving);
    cluster.settle();
    assert_eq!(cluster.outcome(leaving), Some(&pair("k", "a")));
}

#[test]
fn who_leaves_during_an_attempt_in_vain_waits_for_nothing_more() {
    let (mut cluster, leader) = led();
    let leaving = cluster.begin_wait(leader, "BLPOP k 0");
    cluster.replicas.get_mut(&leader).unwrap().stop_waiting(leaving);
    cluster.settle();
    assert_eq!(cluster.outcome(leaving), Some(&Ok(vec![Reply::NullArray])));
    assert_eq!(cluster.run(leader, "RPUSH k a; LLEN k"), integers(&[1, 1]));
}

/// When leadership is lost, who has no attempt under way hears that nothing was taken, who has one
/// that nobody knows.
#[test]
fn a_leader_that_is_no_more_ends_all_waiting() {
    let (mut cluster, leader) = led();
    let idle = cluster.wait(leader, "BLPOP idle 0");
    let trying = cluster.wait(leader, "BLPOP k 0");
    cluster.cut_off.insert(leader);
    let pushed = cluster.submit(leader, "RPUSH k a");
    cluster.settle();
    let next = cluster.elect();
    assert!(next != leader);
    assert_eq!(cluster.outcome(idle), Some(&Err(Error::NoLeader)));
    assert_eq!(cluster.outcome(trying), Some(&Err(Error::Unknown)));
    assert_eq!(cluster.outcome(pushed), Some(&Err(Error::Unknown)));
    // There nobody waits; what is pushed stays.
    assert_eq!(cluster.run(next, "RPUSH k b; LLEN k"), integers(&[1, 1]));
    let elsewhere = cluster.wait(leader, "BLPOP k 0");
    assert!(matches!(cluster.outcome(elsewhere), Some(Err(_))));
}

/// Replicas that never heard who waits come to the same keyspace.
#[test]
fn all_replicas_hold_the_same() {
    let (mut cluster, leader) = led();
    for at in 0..20 {
        cluster.wait(leader, &format!("BLMOVE a{at} a{} LEFT LEFT 0", at + 1));
    }
    cluster.run(leader, "RPUSH a0 x y z; RPUSH a10 w").unwrap();
    cluster.tick(20);
    let digests: std::collections::BTreeSet<u128> =
        cluster.replicas.values().map(|replica| replica.view().digest()).collect();
    assert_eq!(digests.len(), 1);
    assert_eq!(cluster.run(leader, "LLEN a0; LLEN a10; LLEN a20"), integers(&[2, 1, 1]));
}

fn entry(stream: &str, id: &str, value: &str) -> Outcome {
    let fields = Reply::Array(vec![bulk("f"), bulk(value)]);
    let entries = Reply::Array(vec![Reply::Array(vec![bulk(id), fields])]);
    Ok(vec![Reply::ByKey(vec![(bulk(stream), entries)])])
}

/// Who reads a stream takes nothing from others: all get what comes after they asked.
#[test]
fn all_who_read_a_stream_get_what_comes() {
    let (mut cluster, leader) = led();
    cluster.run(leader, "XADD s 1-1 f old").unwrap();
    let waiting: Vec<RequestId> =
        ["XREAD BLOCK 0 STREAMS s $", "XREAD BLOCK 0 STREAMS none s $ 1-1"]
            .map(|command| cluster.wait(leader, command))
            .into();
    let later = cluster.wait(leader, "XREAD BLOCK 0 STREAMS s 1-2");
    cluster.run(leader, "XADD s 1-2 f new").unwrap();
    for request in waiting {
        assert_eq!(cluster.outcome(request), Some(&entry("s", "1-2", "new")));
    }
    assert_eq!(cluster.outcome(later), None);
}

/// In a group each entry goes to one, whoever asked first; another group has its own.
#[test]
fn a_group_shares_what_comes() {
    let (mut cluster, leader) = led();
    cluster.run(leader, "XGROUP CREATE s g $ MKSTREAM; XGROUP CREATE s h $").unwrap();
    let waiting: Vec<RequestId> = [
        "XREADGROUP GROUP g one BLOCK 0 STREAMS s >",
        "XREADGROUP COUNT 1 GROUP g two BLOCK 0 STREAMS s >",
        "XREADGROUP GROUP h one BLOCK 0 STREAMS s >",
    ]
    .map(|command| cluster.wait(leader, command))
    .into();
    cluster.run(leader, "XADD s 1-1 f a").unwrap();
    assert_eq!(cluster.outcome(waiting[0]), Some(&entry("s", "1-1", "a")));
    assert_eq!(cluster.outcome(waiting[1]), None);
    assert_eq!(cluster.outcome(waiting[2]), Some(&entry("s", "1-1", "a")));
    cluster.run(leader, "XADD s 1-2 f b").unwrap();
    assert_eq!(cluster.outcome(waiting[1]), Some(&entry("s", "1-2", "b")));
    // Without the group there is nothing to wait for.
    let request = cluster.wait(leader, "XREADGROUP GROUP g one BLOCK 0 STREAMS s >");
    cluster.run(leader, "XGROUP DESTROY s g; XADD s 1-3 f c").unwrap();
    let outcome = cluster.outcome(request).unwrap().as_deref();
    assert!(matches!(outcome, Ok([Reply::Error(_)])), "{outcome:?}");
}

/// A destination of another type is one client's error; what was pushed is then the next one's.
#[test]
fn what_one_cannot_take_is_for_the_next() {
    for is_settled in [true, false] {
        let (mut cluster, leader) = led();
        cluster.run(leader, "SET target1 nolist").unwrap();
        let first = cluster.begin_wait(leader, "BRPOPLPUSH k target1 0");
        let second = cluster.begin_wait(leader, "BRPOPLPUSH k target2 0");
        if is_settled {
            cluster.settle();
        }
        cluster.submit(leader, "LPUSH k foo");
        cluster.settle();
        let error = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(cluster.outcome(first), Some(&Ok(vec![Reply::error(error)])), "{is_settled}");
        assert_eq!(cluster.outcome(second), Some(&Ok(vec![bulk("foo")])), "{is_settled}");
    }
}

/// A stream that is gone, or something else, takes its groups with it; who only reads waits on.
#[test]
fn a_stream_that_is_gone_ends_what_waits_for_its_groups() {
    for end in ["DEL s", "SET s v", "FLUSHALL", "RENAME s other"] {
        let (mut cluster, leader) = led();
        cluster.run(leader, "XGROUP CREATE s g $ MKSTREAM").unwrap();
        let in_group = cluster.wait(leader, "XREADGROUP GROUP g one BLOCK 0 STREAMS s >");
        let reading = cluster.wait(leader, "XREAD BLOCK 0 STREAMS s $");
        cluster.run(leader, end).unwrap();
        let error = Reply::error("UNBLOCKED the stream key no longer exists");
        assert_eq!(cluster.outcome(in_group), Some(&Ok(vec![error])), "{end}");
        assert_eq!(cluster.outcome(reading), None, "{end}");
        cluster.run(leader, "DEL s").unwrap();
        cluster.run(leader, "XADD s 7-7 f new").unwrap();
        assert_eq!(cluster.outcome(reading), Some(&entry("s", "7-7", "new")), "{end}");
    }
}

/// A key that changes while the attempt that is under way looks at another one is not missed.
#[test]
fn a_change_during_an_attempt_at_another_key_is_not_missed() {
    let (mut cluster, leader) = led();
    let request = cluster.begin_wait(leader, "BLPOP a b 0");
    cluster.submit(leader, "RPUSH a x");
    cluster.submit(leader, "RPUSH b y");
    // What is pushed to the first key is taken by somebody else, before an attempt is made there.
    while cluster.turn(leader) || !cluster.network.is_empty() {
        let pops = cluster.replicas[&leader].view().len() == 2;
        if pops {
            cluster.submit(leader, "LPOP a");
            break;
        }
        while let Some(envelope) = cluster.network.pop_front() {
            cluster.replicas.get_mut(&envelope.to).unwrap().step(envelope);
        }
        for id in cluster.replicas.keys().copied().collect::<Vec<_>>() {
            if id != leader {
                cluster.turn(id);
            }
        }
    }
    cluster.settle();
    assert_eq!(cluster.outcome(request), Some(&pair("b", "y")));
}

/// Attempts that have no room in the entry that serves them get one of their own.
#[test]
fn attempts_make_no_entry_too_large() {
    let (mut cluster, leader) = led();
    cluster.run(leader, "XGROUP CREATE s g $ MKSTREAM").unwrap();
    let waiting: Vec<RequestId> = ["a", "b", "c", "d"]
        .map(|letter| {
            let consumer = letter.repeat(7 << 20);
            let command = format!("XREADGROUP GROUP g {consumer} COUNT 1 BLOCK 0 STREAMS s >");
            cluster.wait(leader, &command)
        })
        .into();
    for id in 1..=4 {
        cluster.run(leader, &format!("XADD s {id}-1 f v")).unwrap();
    }
    for request in waiting {
        assert!(matches!(cluster.outcome(request), Some(Ok(_))), "served");
    }
}
