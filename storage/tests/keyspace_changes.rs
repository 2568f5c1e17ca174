//! Which keys an entry changes: none that has changed may be left out, whatever the command.

mod keyspace_support;

use std::collections::BTreeSet;

use keyspace_support::{Db, Random, push, seed};
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::changes::{Change, NOBODY};
use raftkv_storage::keyspace::command::{Batch, Stamp, by_id, lookup};

/// What commands are tried with: all of these may become keys.
const WORDS: [&str; 26] = [
    "a", "b", "c", "d", "", "EX", "PX", "EXAT", "NX", "XX", "GT", "GET", "KEEPTTL", "PERSIST",
    "REPLACE", "0", "1", "2", "1.5", "-1", "3000", "1003000", "*", "\u{1}", "\u{0}", "+",
];

/// What commands that random words hardly ever please change with the right ones: what there is
/// before, and the command.
const PICKY: &[(&str, &str)] = &[
    ("SET a 1", "SETBIT a 1 1"),
    ("SET a 1", "EXPIRE a 1000"),
    ("SET a 1", "BITFIELD a SET u8 0 1"),
    ("SET a 1", "BITOP NOT b a"),
    ("DEL c", "PFADD c x"),
    ("PFADD c x", "PFDEBUG TODENSE c"),
    ("SET a 1", "DELIFEQ a 1"),
    ("SET a 1", "GETDEL a"),
    ("SET a 1 EX 1000", "PERSIST a"),
    ("HSET a f 1", "HINCRBYFLOAT a f 1"),
    ("SADD a x y", "SPOP a"),
    ("SADD a x y", "SMOVE a b x"),
    ("SADD a 2 1", "SORT a STORE b"),
    ("SET a 1", "SETEX a 100 1"),
    ("SET a 1", "SETRANGE a 1 1"),
    ("ZADD a 1 x", "ZINCRBY a 1 x"),
    ("DEL a", "XADD a 1-1 f v"),
    ("GEOADD a 1 1 x", "GEOADD a 2 2 y"),
    ("RPUSH a x y", "BLMOVE a b LEFT LEFT 0"),
    ("RPUSH a x y", "BLMPOP 0 1 a LEFT"),
    ("RPUSH a x y", "BLPOP a 0"),
    ("RPUSH a x y", "BRPOP a 0"),
    ("RPUSH a x y", "BRPOPLPUSH a b 0"),
    ("RPUSH a x y", "LINSERT a BEFORE x z"),
    ("RPUSH a x y", "LMOVE a b LEFT LEFT"),
    ("RPUSH a x y", "LMPOP 1 a LEFT"),
    ("RPUSH a x y", "LPOP a"),
    ("RPUSH a x y", "LPUSHX a z"),
    ("RPUSH a x y", "LREM a 0 x"),
    ("RPUSH a x y", "LSET a 0 z"),
    ("RPUSH a x y", "LTRIM a 1 1"),
    ("RPUSH a x y", "RPOP a"),
    ("RPUSH a x y", "RPUSHX a z"),
    ("ZADD a 1 x 2 y", "BZMPOP 0 1 a MIN"),
    ("ZADD a 1 x 2 y", "BZPOPMAX a 0"),
    ("ZADD a 1 x 2 y", "BZPOPMIN a 0"),
    ("ZADD a 1 x 2 y", "ZINTERSTORE b 1 a"),
    ("ZADD a 1 x 2 y", "ZUNIONSTORE b 1 a"),
    ("ZADD a 1 x 2 y", "ZDIFFSTORE b 1 a"),
    ("ZADD a 1 x 2 y", "ZRANGESTORE b a 0 0"),
    ("ZADD a 1 x 2 y", "ZMPOP 1 a MIN"),
    ("ZADD a 1 x 2 y", "ZPOPMAX a"),
    ("ZADD a 1 x 2 y", "ZPOPMIN a"),
    ("ZADD a 1 x 2 y", "ZREM a x"),
    ("ZADD a 1 x 2 y", "ZREMRANGEBYRANK a 0 0"),
    ("ZADD a 1 x 2 y", "ZREMRANGEBYSCORE a 1 1"),
    ("ZADD a 1 x 1 y", "ZREMRANGEBYLEX a [x [x"),
    ("GEOADD a 1 1 x", "GEORADIUS a 1 1 1 km STORE b"),
    ("GEOADD a 1 1 x", "GEORADIUSBYMEMBER a x 1 km STORE b"),
    ("GEOADD a 1 1 x", "GEOSEARCHSTORE b a FROMMEMBER x BYRADIUS 1 km"),
    ("XADD a 1-1 f v", "XDEL a 1-1"),
    ("XADD a 1-1 f v", "XTRIM a MAXLEN 0"),
    ("DEL a", "XGROUP CREATE a g $ MKSTREAM"),
];

/// What changes nothing that counts as a change: what a key lives beside, or asks of others.
const QUIET: &[&str] = &[
    "getex",
    "move",
    "swapdb",
    "http.put",
    "http.delete",
    "watch.guard",
    "xack",
    "xautoclaim",
    "xclaim",
    "xreadgroup",
    "xsetid",
];

/// What a client can see of a key.
fn seen(db: &Db, key: &str) -> Vec<Reply> {
    let mut batch = Batch::new();
    for command in [
        "GET KEY",
        "HGETALL KEY",
        "LRANGE KEY 0 -1",
        "SMEMBERS KEY",
        "ZRANGE KEY 0 -1 WITHSCORES",
        "XRANGE KEY - +",
        "TYPE KEY",
        "PEXPIRETIME KEY",
    ] {
        let words = command.split(' ').map(|word| if word == "KEY" { key } else { word });
        push(&mut batch, &words.map(str::as_bytes).collect::<Vec<_>>());
    }
    let stamp = Stamp { time_ms: db.now, seed: 0 };
    db.keyspace.view().read(&batch.into_parts(stamp).0, db.now)
}

/// Compares what is seen with what was, and returns how many keys have changed.
fn assert_told(before: &mut [Vec<Reply>], db: &mut Db, what: &str) -> usize {
    let changes = db.keyspace.changes().take();
    let told: BTreeSet<_> = changes.iter().map(|change| change.key.clone()).collect();
    let mut changed = 0;
    for (word, before) in WORDS.iter().zip(before) {
        let now = seen(db, word);
        if now != *before {
            changed += 1;
            *before = now;
            let key = bytes::Bytes::from(*word);
            assert!(
                told.contains(&Some(key)) || told.contains(&None),
                "{what}: {word:?}: {told:?}"
            );
        }
    }
    changed
}

#[test]
fn no_change_is_left_out() {
    let mut random = Random(seed());
    let rows: Vec<_> = (0..=u16::MAX).filter_map(by_id).collect();
    let mut db = Db::new();
    db.keyspace.changes().want(true);
    let mut changing = BTreeSet::new();
    let mut before: Vec<_> = WORDS.iter().map(|word| seen(&db, word)).collect();
    for (setup, line) in PICKY {
        db.run("FLUSHALL");
        db.run(setup);
        assert_told(&mut before, &mut db, setup);
        db.run(line);
        assert!(assert_told(&mut before, &mut db, line) > 0, "{line}");
        let name = line.split(' ').next().unwrap_or_default();
        changing.insert(lookup(name.as_bytes()).expect("the command is in the table").name);
    }
    db.run("SET a 1");
    let Reply::Bulk(dump) = db.call(&[b"DUMP", b"a"]) else { panic!("something to dump") };
    db.call(&[b"RESTORE", b"d", b"0", &dump]);
    assert!(assert_told(&mut before, &mut db, "RESTORE") > 0);
    changing.insert("restore");
    for _ in 0..60_000 {
        if random.below(20) == 0 {
            db.pass(random.below(2000) as u64);
            assert_told(&mut before, &mut db, "time");
            continue;
        }
        if random.below(3) == 0 {
            // Something of each type.
            db.run("DEL a");
            let line = random.pick(&[
                "SET a 1 EX 3000",
                "SADD a a b 1",
                "HSET a a 1 b 2",
                "RPUSH a a b 1",
                "ZADD a 1 a 2 b",
            ]);
            db.run(line);
            assert_told(&mut before, &mut db, line);
        }
        let spec = rows[random.below(rows.len())];
        let args: Vec<&str> = (0..random.below(5))
            .map(|_| if random.below(2) == 0 { "a" } else { random.pick(&WORDS) })
            .collect();
        let mut batch = Batch::new();
        batch.push(spec, &args.iter().map(|arg| arg.as_bytes()).collect::<Vec<_>>());
        db.execute(batch);
        if assert_told(&mut before, &mut db, &format!("{} {args:?}", spec.name)) > 0 {
            changing.insert(spec.name);
        }
    }
    // Every command that writes has shown what it does, but for the picky ones.
    let never: Vec<_> = rows
        .iter()
        .filter(|spec| spec.is_write() && !changing.contains(spec.name))
        .filter(|spec| !QUIET.contains(&spec.name))
        .map(|spec| spec.name)
        .collect();
    assert!(never.is_empty(), "{never:?} never changed anything");
}

fn changed(key: &str, origin: u64) -> Change {
    Change { key: Some(key.to_owned().into()), origin }
}

#[test]
fn changes_stand_in_order_and_say_whose_they_are() {
    let mut db = Db::new();
    db.run("SET unwanted v");
    assert_eq!(db.keyspace.changes().take(), []);
    db.keyspace.changes().want(true);
    db.keyspace.changes().attribute(7);
    db.run("MSET b 1 a 2");
    db.run("SET mortal v PX 100");
    db.run("SET a 3 NX");
    db.run("DEL none");
    db.run("RENAME a c");
    db.run("GETEX c");
    db.run("GETEX c EX 1");
    let expected = [("b", 7), ("a", 7), ("mortal", 7), ("a", 7), ("c", 7), ("c", 7)];
    assert_eq!(db.keyspace.changes().take(), expected.map(|(key, origin)| changed(key, origin)));
    // Whoever moves the time has not wished for a death.
    db.now += 100;
    db.run("SET d 1");
    assert_eq!(db.keyspace.changes().take(), [changed("mortal", NOBODY), changed("d", 7)]);
    db.run("FLUSHALL");
    db.run("SET e 1");
    let all = Change { key: None, origin: NOBODY };
    assert_eq!(db.keyspace.changes().take(), [all, changed("e", 7)]);
}

#[test]
fn too_many_changes_are_a_change_of_everything() {
    let mut db = Db::new();
    db.keyspace.changes().want(true);
    let all = [Change { key: None, origin: NOBODY }];
    let key = "k".repeat(60_000);
    for _ in 0..2 {
        for _ in 0..400 {
            db.run(&format!("SET {key} v"));
        }
        assert_eq!(db.keyspace.changes().take(), all);
        db.run("SET k v");
        assert_eq!(db.keyspace.changes().take(), [changed("k", 0)]);
    }
}
