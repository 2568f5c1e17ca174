//! Sorted sets: what the rows promise, line by line, their snapshots, and the same commands to a
//! real redis-server.

mod keyspace_support;

use keyspace_support::{Db, Random, seed};
use raftkv_storage::keyspace::Keyspace;

#[test]
fn members_come_in_the_order_of_their_scores() {
    Db::new().script(
        r#"
        ZADD z 2 b 1 a 3 c 2 ab -> 4
        ZRANGE z 0 -1 WITHSCORES -> [["a" 1] ["ab" 2] ["b" 2] ["c" 3]]
        ZADD z 0 c 9 d -> 1
        ZADD z CH 1 c 9 d -> 1
        ZRANGE z 0 -1 REV -> ["d" "b" "ab" "c" "a"]
        ZRANK z ab -> 2
        ZREVRANK z ab -> 2
        ZRANK z nosuch -> null
        ZRANK nosuch a -> null
        ZSCORE z b -> 2
        ZSCORE z nosuch -> null
        ZMSCORE z a nosuch d -> [1 null 9]
        ZMSCORE nosuch a -> [null]
        ZCARD z -> 5
        ZCOUNT z (1 9 -> 3
        ZCOUNT z -inf (1 -> 0
        ZRANGEBYSCORE z 1 2 LIMIT 1 2 -> ["c" "ab"]
        ZREVRANGEBYSCORE z 2 1 WITHSCORES LIMIT 1 -1 -> [["ab" 2] ["c" 1] ["a" 1]]
        ZRANGE z (2 +inf BYSCORE -> ["d"]
        ZREVRANGE z 0 0 -> ["d"]
        ZREM z a nosuch d -> 2
        ZINCRBY z 1.5 c -> 2.5
        ZRANGE z 0 -1 -> ["ab" "b" "c"]
        TYPE z -> zset
        OBJECT ENCODING z -> "listpack"
        ZREMRANGEBYRANK z 0 -1 -> 3
        EXISTS z -> 0
        SET s v -> OK
        ZADD s 1 a -> WRONGTYPE Operation against a key holding the wrong kind of value
        ZADD s 1 a 2 -> ERR syntax error
        ZSCORE s a -> WRONGTYPE Operation against a key holding the wrong kind of value
        ZUNION 1 s nonsense -> WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn scores_are_set_under_conditions() {
    Db::new().script(
        r#"
        ZADD z XX 1 a -> 0
        EXISTS z -> 0
        ZADD z NX 1 a 2 b -> 2
        ZADD z NX CH 5 a 6 c -> 1
        ZADD z GT CH 0 a 3 b 4 d -> 2
        ZADD z LT XX CH 0 a 9 b 0 x -> 1
        ZRANGE z 0 -1 WITHSCORES -> [["a" 0] ["b" 3] ["d" 4] ["c" 6]]
        ZADD z INCR 5 a -> 5
        ZADD z NX INCR 5 a -> null
        ZADD z XX INCR 5 x -> null
        ZADD z GT INCR -1 a -> null
        ZADD x XX INCR 5 x -> null
        ZADD z inf e -> 1
        ZINCRBY z -inf e -> ERR resulting score is not a number (NaN)
        ZSCORE z e -> inf
        ZADD z nan f -> ERR value is not a valid float
        "#,
    );
}

#[test]
fn names_are_a_range_where_scores_are_the_same() {
    Db::new().script(
        r#"
        ZADD z 0 a 0 b 0 c 0 d 0 e -> 5
        ZRANGEBYLEX z - + -> ["a" "b" "c" "d" "e"]
        ZRANGEBYLEX z + - -> []
        ZRANGEBYLEX z [b (d -> ["b" "c"]
        ZREVRANGEBYLEX z (d [b -> ["c" "b"]
        ZRANGE z (b + BYLEX LIMIT 1 1 -> ["d"]
        ZRANGE z + (b BYLEX REV LIMIT 1 1 -> ["d"]
        ZLEXCOUNT z (a (e -> 3
        ZLEXCOUNT z - b -> ERR min or max not valid string range item
        ZREMRANGEBYLEX z [b [c -> 2
        ZRANGE z 0 -1 -> ["a" "d" "e"]
        ZREMRANGEBYSCORE z 0 0 -> 3
        EXISTS z -> 0
        "#,
    );
}

#[test]
fn ends_are_popped() {
    Db::new().script(
        r#"
        ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g -> 7
        ZPOPMIN z -> ["a" 1]
        ZPOPMAX z 2 -> [["g" 7] ["f" 6]]
        ZPOPMIN z 0 -> []
        ZPOPMIN nosuch -> []
        ZMPOP 2 nosuch z MIN -> ["z" [["b" 2]]]
        BZPOPMAX nosuch z 0 -> ["z" "e" 5]
        BZMPOP 0 1 z MAX COUNT 10 -> ["z" [["d" 4] ["c" 3]]]
        EXISTS z -> 0
        ZMPOP 1 z MIN -> null array
        BZPOPMIN z 0.1 -> null array
        "#,
    );
}

#[test]
fn sets_are_put_together() {
    Db::new().script(
        r#"
        ZADD a 1 x 2 y 3 z -> 3
        ZADD b 10 y 20 z 30 w -> 3
        ZUNION 2 a b WITHSCORES -> [["x" 1] ["y" 12] ["z" 23] ["w" 30]]
        ZINTER 2 a b WEIGHTS 2 -1 AGGREGATE MIN WITHSCORES -> [["z" -20] ["y" -10]]
        ZDIFF 2 a b -> ["x"]
        ZINTERCARD 2 a b -> 2
        ZINTERCARD 2 a b LIMIT 1 -> 1
        ZINTERCARD 2 a nosuch -> 0
        ZUNIONSTORE a 2 a b AGGREGATE MAX -> 4
        ZRANGE a 0 -1 WITHSCORES -> [["x" 1] ["y" 10] ["z" 20] ["w" 30]]
        ZRANGESTORE c a 1 2 -> 2
        ZRANGE c 0 -1 WITHSCORES -> [["y" 10] ["z" 20]]
        EXPIRE c 100 -> 1
        ZDIFFSTORE c 2 a c -> 2
        TTL c -> -1
        ZINTERSTORE c 2 c nosuch -> 0
        EXISTS c -> 0
        "#,
    );
}

#[test]
fn a_large_set_keeps_all_its_members_and_scans_to_its_end() {
    let mut db = Db::new();
    for number in 0..1000 {
        assert_eq!(db.run(&format!("ZADD z {} member{number}", number % 10)), "1");
        let encoding = if number < 128 { "listpack" } else { "skiplist" };
        assert_eq!(db.run("OBJECT ENCODING z"), format!("\"{encoding}\""));
    }
    assert_eq!(db.run("ZRANK z member9"), "988");
    assert_eq!(db.run("ZCOUNT z 3 (5"), "200");
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        // Others change it meanwhile.
        db.run(&format!("ZADD z 0 new{cursor}"));
        db.run(&format!("ZREM z new{cursor}"));
        let reply = db.run(&format!("ZSCAN z {cursor} MATCH member* COUNT 7"));
        let (next, found) = reply[1..].split_once(' ').unwrap();
        let found = found.trim_matches(['[', ']']).split_whitespace().map(str::to_owned);
        seen.extend(found.collect::<Vec<_>>().chunks(2).map(|pair| pair.concat()));
        cursor = next.trim_matches('"').to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    assert!(seen.contains("\"member999\"\"9\""));
    assert_eq!(db.run("ZREMRANGEBYSCORE z 1 8"), "800");
    assert_eq!(db.run("ZSCORE z member5"), "null");
    assert_eq!(db.run("ZSCORE z member999"), "9");
    assert_eq!(db.run("OBJECT ENCODING z"), "\"skiplist\"");
}

/// A write that changes nothing is none: a client that keeps the key hears of no change.
#[test]
fn what_changes_nothing_is_no_write() {
    let mut db = Db::new();
    db.run("ZADD z 1 a 2 b");
    let digest = db.keyspace.view().digest();
    for line in [
        "ZADD z 1 a",
        "ZADD z NX 7 a",
        "ZADD z XX 7 x",
        "ZADD z GT 1 a",
        "ZINCRBY z 0 a",
        "ZINCRBY z nan a",
        "ZREM z x",
        "ZREMRANGEBYSCORE z 5 6",
        "ZPOPMIN z 0",
        "ZMPOP 1 x MIN",
    ] {
        db.run(line);
        assert_eq!(db.keyspace.view().digest(), digest, "{line}");
    }
}

/// What is in a snapshot whose only key holds these entries.
fn snapshot(is_large: u8, entries: &[(f64, &str)]) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend([0; 16]);
    bytes.extend([5, 0]);
    bytes.extend([0; 8]);
    bytes.extend([1, 0, 0, 0, b'z', is_large]);
    bytes.extend((entries.len() as u64).to_le_bytes());
    for (score, name) in entries {
        bytes.extend((8 + name.len() as u32).to_le_bytes());
        bytes.extend(score.to_be_bytes());
        bytes.extend(name.as_bytes());
    }
    bytes.push(0);
    bytes.extend(1u64.to_le_bytes());
    bytes
}

fn restored(bytes: &[u8]) -> Option<Db> {
    let keyspace = Keyspace::read_from(&mut &bytes[..]).ok()?;
    let mut written = Vec::new();
    keyspace.view().write_to(&mut written).expect("memory takes it");
    assert_eq!(written, bytes, "what is read is in the only form");
    Some(Db { keyspace, index: 0, now: 1_000_000 })
}

#[test]
fn only_the_one_form_is_read_from_a_snapshot() {
    for is_large in [0, 1] {
        let good = snapshot(is_large, &[(f64::NEG_INFINITY, "b"), (0.0, "c"), (0.0, "d")]);
        let mut db = restored(&good).expect("it is in the one form");
        assert_eq!(db.run("ZRANGE z 0 -1 WITHSCORES"), r#"[["b" -inf] ["c" 0] ["d" 0]]"#);
        assert_eq!(db.run("ZSCORE z c"), "0");
        for bad in [
            &[][..],
            &[(2.0, "a"), (1.0, "b")],
            &[(1.0, "b"), (1.0, "a")],
            &[(1.0, "a"), (1.0, "a")],
            &[(1.0, "a"), (2.0, "b"), (3.0, "a")],
            &[(f64::NAN, "a")],
            &[(0.0, "b"), (-0.0, "a")],
        ] {
            assert!(restored(&snapshot(is_large, bad)).is_none(), "{bad:?}");
        }
    }
    let long = "x".repeat(65);
    assert!(restored(&snapshot(0, &[(1.0, &long)])).is_none());
    assert!(restored(&snapshot(1, &[(1.0, &long)])).is_some());
    assert!(restored(&snapshot(0, &[(-0.0, "a")])).is_none());
    assert!(restored(&snapshot(1, &[(-0.0, "a")])).is_some());
    assert!(restored(&snapshot(2, &[(1.0, "a")])).is_none());
    let names: Vec<String> = (0..129).map(|number| format!("{number:03}")).collect();
    let many: Vec<_> = names.iter().map(|name| (1.0, name.as_str())).collect();
    assert!(restored(&snapshot(0, &many)).is_none());
    assert!(restored(&snapshot(1, &many)).is_some());
    assert!(restored(&snapshot(0, &many[..128])).is_some());
}

#[test]
fn damaged_snapshots_are_refused_or_harmless() {
    let mut random = Random(seed());
    let names: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
    let many: Vec<_> = names.iter().map(|name| (1.5, name.as_str())).collect();
    for sample in [snapshot(0, &many[..5]), snapshot(1, &many)] {
        for _ in 0..3000 {
            let mut bytes = sample.clone();
            for _ in 0..=random.below(2) {
                let at = random.below(bytes.len());
                bytes[at] = random.below(256) as u8;
            }
            bytes.truncate(bytes.len() - random.below(2) * random.below(20));
            if let Some(mut db) = restored(&bytes)
                && db.keyspace.view().applied() < 1 << 40
            {
                db.index = db.keyspace.view().applied();
                db.run("ZADD z 1 003 2 new");
                db.run("ZREMRANGEBYRANK z 1 2");
            }
        }
    }
}

/// All that can be seen survives, and so does what is not seen: a large set stays one.
#[test]
fn a_snapshot_brings_everything_back() {
    let mut db = Db::new();
    for number in 0..200 {
        db.run(&format!("ZADD large {} member{number}", number % 7));
    }
    db.run("ZADD large -0 zero");
    db.run("ZRANGESTORE small large 3 9");
    db.run("ZREMRANGEBYRANK large 4 150");
    let mut bytes = Vec::new();
    db.keyspace.view().write_to(&mut bytes).expect("memory takes it");
    let mut other = restored(&bytes).expect("it was just written");
    other.index = db.index;
    assert_eq!(other.keyspace.view().digest(), db.keyspace.view().digest());
    for line in [
        "ZRANGE large 0 -1 WITHSCORES",
        "ZRANGE small 0 -1 WITHSCORES",
        "ZSCORE large member9",
        "OBJECT ENCODING large",
        "OBJECT ENCODING small",
        "ZSCAN large 0 COUNT 1000",
    ] {
        assert_eq!(other.run(line), db.run(line), "{line}");
    }
    assert_eq!(db.run("OBJECT ENCODING large"), "\"skiplist\"");
}
