//! The checker of client histories is itself checked: histories known to be good and bad, every
//! small history against all orders there are, and long ones of a store that is simple enough to
//! be right by inspection.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "simulation/linearizability/mod.rs"]
mod linearizability;

use linearizability::{Clock, Condition, Failure, History, Op, Reply, Seen};

const CLOCK: Clock = Clock { early: 5, late: Some(20) };

/// One operation of a written history: client, call, return, and what happened between.
type Line = (u32, u64, u64, Op, End);

enum End {
    Ok(Reply),
    Unknown,
    Failed,
}

fn ok(client: u32, call: u64, done: u64, op: Op, reply: Reply) -> Line {
    (client, call, done, op, End::Ok(reply))
}

fn unknown(client: u32, call: u64, op: Op) -> Line {
    (client, call, u64::MAX, op, End::Unknown)
}

fn failed(client: u32, call: u64, op: Op) -> Line {
    (client, call, u64::MAX, op, End::Failed)
}

fn set(client: u32, call: u64, done: u64, value: &str) -> Line {
    ok(client, call, done, Op::set(value), Reply::written())
}

fn get(client: u32, call: u64, done: u64, value: &str) -> Line {
    ok(client, call, done, Op::Get, Reply::found(Some(value.as_bytes())))
}

fn none(client: u32, call: u64, done: u64) -> Line {
    ok(client, call, done, Op::Get, Reply::found(None))
}

fn increment(client: u32, call: u64, done: u64, sum: i64) -> Line {
    ok(client, call, done, Op::Increment(1), Reply::Number(sum))
}

fn append(client: u32, call: u64, done: u64, tail: &str, length: u64) -> Line {
    ok(client, call, done, Op::Append(tail.into()), Reply::Length(length))
}

fn delete(client: u32, call: u64, done: u64, existed: bool) -> Line {
    ok(client, call, done, delete_op(), Reply::Deleted(existed))
}

fn delete_op() -> Op {
    Op::Delete { condition: Condition::None }
}

/// A PUT that succeeds and is told its version.
fn put(client: u32, call: u64, done: u64, value: &str, when: Condition, version: u64) -> Line {
    let reply = Reply::Written { version: Some(version) };
    ok(client, call, done, Op::set(value).when(when), reply)
}

fn refused(client: u32, call: u64, done: u64, when: Condition, seen: Seen) -> Line {
    ok(client, call, done, Op::set("refused").when(when), Reply::Refused(seen))
}

fn found(client: u32, call: u64, done: u64, value: &str, version: u64) -> Line {
    let reply = Reply::Found { value: Some(value.into()), version: Some(version) };
    ok(client, call, done, Op::Get, reply)
}

/// Builds a history of one key out of operations in any order.
fn history(lines: Vec<Line>) -> History {
    let mut history = History::new(CLOCK);
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (at, (_, call, done, ..)) in lines.iter().enumerate() {
        events.push((*call, true, at));
        events.push((*done, false, at));
    }
    // At the same time calls come first: then nothing is ordered that need not be.
    events.sort_by_key(|(time, is_call, _)| (*time, !is_call));
    let mut lines: Vec<_> = lines.into_iter().map(|line| (line, None)).collect();
    for (time, is_call, at) in events {
        let ((client, _, _, op, end), id) = &mut lines[at];
        if is_call {
            *id = Some(history.call(*client, time, 7, op.clone()));
            continue;
        }
        match std::mem::replace(end, End::Unknown) {
            End::Ok(reply) => history.ok(id.unwrap(), time, reply),
            End::Unknown => history.unknown(id.unwrap()),
            End::Failed => history.fail(id.unwrap()),
        }
    }
    history
}

fn good(name: &str, lines: Vec<Line>) {
    let history = history(lines);
    if let Err(failure) = history.check() {
        panic!("{name}: {failure}");
    }
}

/// Checks that a history is refused, and that the explanation is as short as expected.
fn bad(name: &str, core: usize, lines: Vec<Line>) {
    let history = history(lines);
    match history.check() {
        Err(Failure::Violation(violation)) => {
            assert_eq!(violation.core.len(), core, "{name}: {violation}");
            assert_eq!(violation.key, 7);
        }
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn good_histories() {
    good("nothing", vec![]);
    good(
        "in turn",
        vec![set(1, 0, 1, "a"), get(2, 2, 3, "a"), delete(1, 4, 5, true), none(2, 6, 7)],
    );
    good(
        "a read beside a write sees the old",
        vec![set(1, 0, 1, "a"), set(1, 10, 20, "b"), get(2, 11, 12, "a"), get(2, 13, 14, "b")],
    );
    good(
        "an unknown write happens late",
        vec![
            set(1, 0, 1, "a"),
            unknown(2, 2, Op::set("b")),
            get(1, 3, 4, "a"),
            get(1, 5000, 5001, "b"),
        ],
    );
    good("an unknown write never happens", vec![unknown(2, 2, Op::set("b")), none(1, 3, 4)]);
    good(
        "an unknown write is covered at once",
        vec![
            unknown(2, 2, Op::set("b")),
            set(1, 3, 4, "a"),
            ok(1, 5, 6, Op::set("c").when(Condition::Absent), Reply::Refused(Seen::Untold)),
            get(1, 7, 8, "a"),
        ],
    );
    good(
        "unknown increments, some of which happened",
        vec![
            unknown(1, 0, Op::Increment(1)),
            unknown(2, 1, Op::Increment(1)),
            unknown(3, 2, Op::Increment(1)),
            increment(4, 5, 6, 3),
            increment(4, 7, 8, 4),
            increment(4, 9, 10, 6),
        ],
    );
    good(
        "an unknown delete explains why there is nothing",
        vec![set(1, 0, 1, "a"), unknown(2, 2, delete_op()), get(1, 3, 4, "a"), none(1, 5, 6)],
    );
    good(
        "two appends at once",
        vec![append(1, 0, 10, "x", 2), append(2, 0, 10, "y", 1), get(3, 11, 12, "yx")],
    );
    good("a failed write is not seen", vec![failed(1, 0, Op::set("a")), none(2, 1, 2)]);
}

#[test]
fn good_deadlines() {
    let at = |at: &str| Op::set(at).living(100);
    good(
        "a deadline passes",
        vec![
            ok(1, 0, 10, at("a"), Reply::written()),
            get(2, 20, 30, "a"),
            none(2, 40, 95),
            none(2, 96, 97),
        ],
    );
    good(
        "a deadline passes late, within bounds",
        vec![ok(1, 0, 10, at("a"), Reply::written()), get(2, 130, 140, "a"), none(2, 141, 142)],
    );
    good(
        "INCR and APPEND keep the deadline, SET does not",
        vec![
            ok(1, 0, 1, at("1"), Reply::written()),
            increment(1, 2, 3, 2),
            append(1, 4, 5, "0", 2),
            none(2, 110, 111),
            ok(1, 120, 121, at("a"), Reply::written()),
            set(1, 122, 123, "b"),
            get(2, 900, 901, "b"),
        ],
    );
}

#[test]
fn good_numbers() {
    good(
        "numbers that are none",
        vec![
            set(1, 0, 1, "01"),
            ok(1, 2, 3, Op::Increment(1), Reply::NotANumber),
            set(1, 4, 5, "9223372036854775807"),
            ok(1, 6, 7, Op::Increment(1), Reply::NotANumber),
            ok(1, 8, 9, Op::GetDelete, Reply::found(Some(b"9223372036854775807"))),
            increment(1, 10, 11, 1),
        ],
    );
}

#[test]
fn good_versions() {
    good(
        "compare and set",
        vec![
            put(1, 0, 1, "a", Condition::Absent, 5),
            refused(2, 2, 3, Condition::Absent, Seen::Version(5)),
            put(2, 4, 5, "b", Condition::Version(5), 9),
            refused(1, 6, 7, Condition::Version(5), Seen::Version(9)),
            found(1, 8, 9, "b", 9),
            delete(1, 10, 11, true),
            refused(1, 12, 13, Condition::Present, Seen::Absent),
        ],
    );
    good(
        "a version that is told later",
        vec![
            put(1, 0, 1, "a", Condition::None, 5),
            set(1, 2, 3, "b"),
            refused(1, 4, 5, Condition::Version(5), Seen::Untold),
            found(1, 6, 7, "b", 8),
            put(1, 8, 9, "c", Condition::Version(8), 9),
        ],
    );
    good(
        "an unknown compare and set",
        vec![
            put(1, 0, 1, "a", Condition::None, 5),
            unknown(2, 2, Op::set("b").when(Condition::Version(5))),
            refused(1, 3, 4, Condition::Version(5), Seen::Untold),
            get(1, 5, 6, "b"),
        ],
    );
    good(
        "compare by value",
        vec![
            set(1, 0, 1, "a"),
            ok(1, 2, 3, Op::set("b").when(Condition::Value("a".into())), Reply::written()),
            refused(1, 4, 5, Condition::Value("a".into()), Seen::Untold),
        ],
    );
}

#[test]
fn bad_histories() {
    bad("a value from nowhere", 1, vec![set(1, 0, 1, "a"), get(2, 2, 3, "x")]);
    bad(
        "a stale read",
        2,
        vec![
            set(1, 0, 1, "z"),
            get(1, 2, 3, "z"),
            set(1, 10, 11, "a"),
            get(3, 12, 13, "a"),
            set(1, 14, 15, "b"),
            get(3, 14, 16, "b"),
            get(2, 17, 18, "a"),
            set(1, 20, 21, "c"),
            get(2, 22, 23, "c"),
        ],
    );
    bad("a lost write", 2, vec![set(1, 0, 1, "a"), none(2, 2, 3)]);
    bad(
        "a lost update",
        2,
        vec![
            increment(1, 0, 10, 1),
            increment(2, 11, 20, 2),
            increment(3, 11, 20, 2),
            increment(3, 21, 22, 3),
        ],
    );
    bad(
        "an increment done twice",
        2,
        vec![increment(1, 0, 1, 1), increment(1, 2, 3, 2), increment(2, 4, 5, 4)],
    );
    bad("a failed write is seen", 1, vec![failed(1, 0, Op::set("a")), get(2, 1, 2, "a")]);
    bad(
        "an unknown write is seen and vanishes",
        2,
        vec![set(1, 0, 1, "a"), unknown(2, 2, Op::set("b")), get(1, 3, 4, "b"), get(3, 5, 6, "a")],
    );
    bad(
        "an unknown increment happens twice",
        1,
        vec![increment(1, 0, 1, 1), unknown(2, 2, Op::Increment(1)), increment(1, 3, 4, 4)],
    );
    bad(
        "reads go back, seen by different clients",
        2,
        vec![set(1, 0, 1, "a"), set(2, 10, 100, "b"), get(3, 20, 30, "b"), get(4, 40, 50, "a")],
    );
}

#[test]
fn bad_conditions() {
    bad(
        "a delete that comes back",
        2,
        vec![set(1, 0, 1, "a"), delete(1, 2, 3, true), get(2, 4, 5, "a")],
    );
    bad(
        "two that were both first",
        2,
        vec![
            ok(1, 0, 10, Op::set("a").when(Condition::Absent), Reply::written()),
            ok(2, 0, 10, Op::set("b").when(Condition::Absent), Reply::written()),
            none(3, 0, 5),
        ],
    );
    bad(
        "a refusal without cause",
        1,
        vec![ok(1, 0, 10, Op::set("a").when(Condition::Absent), Reply::Refused(Seen::Untold))],
    );
    bad(
        "taken by two",
        2,
        vec![
            set(1, 0, 1, "a"),
            ok(1, 2, 9, Op::GetDelete, Reply::found(Some(b"a"))),
            ok(2, 2, 9, Op::GetDelete, Reply::found(Some(b"a"))),
        ],
    );
    bad(
        "an append in the wrong place",
        2,
        vec![append(1, 0, 1, "x", 1), append(2, 2, 3, "y", 2), get(3, 4, 5, "yx")],
    );
    bad("the answer of something else", 1, vec![ok(1, 0, 1, Op::Get, Reply::written())]);
}

#[test]
fn bad_versions() {
    bad(
        "two updates of one version",
        2,
        vec![
            put(1, 0, 1, "a", Condition::None, 5),
            put(1, 2, 9, "b", Condition::Version(5), 6),
            put(2, 2, 9, "c", Condition::Version(5), 7),
        ],
    );
    bad(
        "a version that goes back",
        2,
        vec![put(1, 0, 1, "a", Condition::None, 5), put(1, 2, 3, "b", Condition::None, 4)],
    );
    bad(
        "a version told late that is too low",
        2,
        vec![put(1, 0, 1, "a", Condition::None, 5), set(1, 2, 3, "b"), found(1, 4, 5, "b", 4)],
    );
    bad(
        "a version that changes by itself",
        2,
        vec![set(1, 0, 1, "a"), found(1, 2, 3, "a", 5), found(1, 4, 5, "a", 6)],
    );
    bad(
        "a refusal that shows what was asked for",
        1,
        vec![set(1, 0, 1, "a"), refused(1, 2, 3, Condition::Version(4), Seen::Version(4))],
    );
}

#[test]
fn bad_deadlines() {
    let write = |call, done| ok(1, call, done, Op::set("a").living(100), Reply::written());
    bad("gone too early", 2, vec![write(0, 10), none(2, 20, 94)]);
    bad("an expired value is read", 2, vec![write(0, 10), get(2, 131, 140, "a")]);
    bad("gone, and back", 2, vec![write(0, 10), none(2, 96, 98), get(2, 99, 100, "a")]);
    bad(
        "a deadline outlives the value",
        2,
        vec![write(0, 10), set(1, 20, 21, "b"), none(2, 200, 201)],
    );
    bad(
        "an increment forgets the deadline",
        2,
        vec![
            ok(1, 0, 10, Op::set("1").living(100), Reply::written()),
            increment(1, 20, 21, 2),
            get(2, 200, 201, "2"),
        ],
    );
}

/// What a violation looks like, so that it stays readable.
#[test]
fn a_violation_says_why() {
    let history = history(vec![
        set(1, 0, 5, "a"),
        set(2, 10, 20, "b"),
        get(3, 15, 18, "b"),
        unknown(4, 20, delete_op()),
        get(3, 30, 40, "a"),
    ]);
    let failure = history.check().unwrap_err().to_string();
    let expected = "\
not linearizable: key 7, 5 operations: no order of those with a * explains what was answered, \
whatever the others did and when, and whatever the key held before
  #1   [       0 ..        5] client 1   SET \"a\" -> OK
  #2   [      10 ..       20] client 2   SET \"b\" -> OK
* #3   [      15 ..       18] client 3   GET -> \"b\"
  #4   [      20 ..        ?] client 4   DEL -> unknown
* #5   [      30 ..       40] client 3   GET -> \"a\"
  furthest order: #1, #2, #3; leaves \"b\", and nothing fits next";
    assert_eq!(failure, expected);
}
