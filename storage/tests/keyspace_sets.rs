//! Sets: what the rows promise, line by line; against a model; and their bytes in a snapshot.

mod keyspace_support;

use std::collections::{BTreeMap, BTreeSet};

use keyspace_support::{Db, Random, seed, show, split};
use raftkv_storage::keyspace::{Keyspace, Reply};

#[test]
fn members_come_and_go() {
    Db::new().script(
        r#"
        SADD s c a b a -> 3
        SADD s a d -> 1
        SCARD s -> 4
        SISMEMBER s d -> 1
        SMISMEMBER s x a 1 -> [0 1 0]
        SMISMEMBER x a b -> [0 0]
        SREM s a x c a -> 2
        OBJECT ENCODING s -> "hashtable"
        TYPE s -> set
        SREM s b d -> 2
        EXISTS s -> 0
        SREM s b -> 0
        SMEMBERS s -> ~[]
        SCARD s -> 0
        SET v x -> OK
        SADD v a -> WRONGTYPE Operation against a key holding the wrong kind of value
        SMEMBERS v -> WRONGTYPE Operation against a key holding the wrong kind of value
        SINTER none v -> WRONGTYPE Operation against a key holding the wrong kind of value
        SDIFF none v -> WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

/// What Redis does so and the documentation does not say: which texts are integers, their order,
/// and what turns a set into a table for good.
#[test]
fn a_set_of_integers_is_in_their_order() {
    let mut db = Db::new();
    db.script(
        r#"
        SADD s 10 9 -1 0 -9223372036854775808 9223372036854775807 -> 6
        SMEMBERS s -> ~["-9223372036854775808" "-1" "0" "9" "10" "9223372036854775807"]
        SSCAN s 77 MATCH *1* COUNT 1 -> ["0" ["-1" "10"]]
        SISMEMBER s 09 -> 0
        SISMEMBER s -0 -> 0
        SREM s 9223372036854775808 -> 0
        OBJECT ENCODING s -> "intset"
        SADD s 09 -> 1
        OBJECT ENCODING s -> "hashtable"
        SREM s 09 -> 1
        OBJECT ENCODING s -> "hashtable"
        COPY s copy -> 1
        OBJECT ENCODING copy -> "hashtable"
        SUNIONSTORE t s s -> 6
        OBJECT ENCODING t -> "intset"
        SINTERSTORE t s -> 6
        OBJECT ENCODING t -> "intset"
        SADD a x -> 1
        SMOVE a s x -> 1
        EXISTS a -> 0
        SDIFFSTORE t s none -> 7
        SADD x x -> 1
        SDIFFSTORE t s x -> 6
        OBJECT ENCODING t -> "intset"
        # Of so many sets Redis takes all away from a copy of the first.
        SDIFFSTORE t s x x x x -> 6
        OBJECT ENCODING t -> "hashtable"
        SDIFF s x s -> ~[]
        # It begins anew with what SPOP leaves, if that is little enough.
        SADD p 1 2 3 4 5 6 7 8 9 10 11 12 x -> 13
        SREM p x -> 1
        COPY p q -> 1
        EXPIRE p 100 -> 1
        "#,
    );
    assert_eq!(members(&call(&mut db, "SPOP p 10")).len(), 10);
    assert_eq!(members(&call(&mut db, "SPOP q 9")).len(), 9);
    db.script(
        r#"
        OBJECT ENCODING p -> "intset"
        TTL p -> 100
        OBJECT ENCODING q -> "hashtable"
        "#,
    );
}

#[test]
fn the_513th_member_makes_a_table() {
    let mut db = Db::new();
    for number in 1..=513 {
        assert_eq!(db.run(&format!("SADD s {number}")), "1");
        let encoding = if number <= 512 { "intset" } else { "hashtable" };
        assert_eq!(db.run("OBJECT ENCODING s"), format!("\"{encoding}\""));
        assert_eq!(db.run(&format!("SADD s {number}")), "0");
    }
    db.script("SREM s 7 -> 1\nOBJECT ENCODING s -> \"hashtable\"\nSISMEMBER s 8 -> 1");
}

#[test]
fn stores_replace_whatever_is_there() {
    Db::new().script(
        r#"
        SADD a 1 2 3 4 -> 4
        SADD b 3 4 5 -> 3
        SADD c 4 x -> 2
        SINTER a b c -> ~["4"]
        SINTER a b none -> ~[]
        SINTERCARD 2 a b -> 2
        SINTERCARD 2 a b LIMIT 1 -> 1
        SINTERCARD 3 a b c limit 0 -> 1
        SINTERCARD 0 a -> ERR numkeys should be greater than 0
        SINTERCARD x a -> ERR numkeys should be greater than 0
        SINTERCARD 2 a -> ERR Number of keys can't be greater than number of args
        SINTERCARD 1 a b -> ERR syntax error
        SINTERCARD 1 a LIMIT -> ERR syntax error
        SINTERCARD 1 a LIMIT -1 -> ERR LIMIT can't be negative
        SDIFF a b -> ~["1" "2"]
        SUNION a b none -> ~["1" "2" "3" "4" "5"]
        SET v x EX 100 -> OK
        SUNIONSTORE v a b -> 5
        TTL v -> -1
        EXPIRE a 100 -> 1
        SDIFFSTORE a a b -> 2
        TTL a -> -1
        SMEMBERS a -> ~["1" "2"]
        SINTERSTORE v a b -> 0
        EXISTS v -> 0
        SUNIONSTORE a none -> 0
        EXISTS a -> 0
        SET v x -> OK
        SMOVE none v 1 -> 0
        SMOVE b v 9 -> WRONGTYPE Operation against a key holding the wrong kind of value
        SMOVE b b 3 -> 1
        SMOVE b b 9 -> 0
        SMOVE b c 4 -> 1
        SCARD b -> 2
        SCARD c -> 2
        SMOVE b new 3 -> 1
        SMEMBERS new -> ~["3"]
        "#,
    );
}

#[test]
fn chance_takes_members_that_are_there() {
    let mut db = Db::new();
    db.script(
        r#"
        SPOP none -> null
        SPOP none 3 -> ~[]
        SRANDMEMBER none -> null
        SRANDMEMBER none -3 -> []
        SADD s 1 -> 1
        SPOP s 0 -> ~[]
        SRANDMEMBER s -3 -> ["1" "1" "1"]
        SRANDMEMBER s -9999999999 -> ERR value is out of range
        SRANDMEMBER s 5 -> ["1"]
        SRANDMEMBER s 0 -> []
        SRANDMEMBER s 1 x -> ERR syntax error
        SPOP s 3 -> ~["1"]
        EXISTS s -> 0
        SADD s a -> 1
        SPOP s -> "a"
        EXISTS s -> 0
        "#,
    );
    let members: Vec<_> = (0..10).map(|number| format!("m{number}")).collect();
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..3000 {
        db.run(&format!("SADD s {}", members.join(" ")));
        for command in ["SRANDMEMBER s", "SPOP s"] {
            *counts.entry(db.run(command)).or_default() += 1;
        }
        assert_eq!(db.run("SCARD s"), "9");
    }
    assert_eq!(counts.len(), 10);
    assert!(counts.values().all(|count| (500..700).contains(count)), "{counts:?}");
}

/// A few bytes must not cost more than the sets they name.
#[test]
fn a_set_that_is_named_often_is_looked_at_once() {
    let mut db = Db::new();
    let numbers: Vec<_> = (0..20_000).map(|number| number.to_string()).collect();
    for key in ["a", "b"] {
        db.run(&format!("SADD {key} {}", numbers.join(" ")));
    }
    db.run("SADD b x");
    let often = "b ".repeat(20_000);
    assert_eq!(db.run(&format!("SUNIONSTORE t {often} a")), "20001");
    assert_eq!(db.run(&format!("SINTERSTORE t {often} a")), "20000");
    assert_eq!(db.run(&format!("SDIFFSTORE t a {often}")), "0");
}

/// Sets as they should be: their members, and whether they are of integers.
#[derive(Default)]
struct Model(BTreeMap<String, BTreeSet<String>>);

impl Model {
    fn at(&self, key: &str) -> BTreeSet<String> {
        self.0.get(key).cloned().unwrap_or_default()
    }

    fn put(&mut self, key: &str, members: BTreeSet<String>) {
        self.0.insert(key.to_owned(), members);
    }
}

fn members(reply: &Reply) -> Vec<String> {
    let (Reply::Array(items) | Reply::Set(items)) = reply else { panic!("members: {reply:?}") };
    items.iter().map(|item| show(item).trim_matches('"').to_owned()).collect()
}

fn call(db: &mut Db, line: &str) -> Reply {
    let args = split(line);
    db.call(&args.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Sets of some thousand members, of which chance takes some.
#[test]
fn large_sets_are_as_a_model_says() {
    let mut random = Random(seed());
    let (mut db, mut model) = (Db::new(), Model::default());
    for round in 0..3000 {
        let key = random.pick(&["a", "b", "c", "d"]);
        let others = [random.pick(&["a", "b", "c", "d"]), random.pick(&["a", "b", "c", "d"])];
        let [first, second] = others.map(|key| model.at(key));
        let mut set = model.at(key);
        let range = (random.below(3000), random.below(600));
        let names = (range.0..range.0 + range.1).map(|number| number.to_string());
        let names: Vec<_> = names.chain(["x".to_owned()]).collect();
        let stored = match random.below(8) {
            0 | 1 => {
                let reply = call(&mut db, &format!("SADD {key} {}", names.join(" ")));
                let before = set.len();
                set.extend(names);
                assert_eq!(show(&reply), (set.len() - before).to_string());
                set
            }
            2 => {
                let reply = call(&mut db, &format!("SREM {key} {}", names.join(" ")));
                let removed = names.iter().filter(|name| set.remove(*name)).count();
                assert_eq!(show(&reply), removed.to_string());
                set
            }
            3 => {
                let count = random.below(set.len() + 10);
                let popped = members(&call(&mut db, &format!("SPOP {key} {count}")));
                assert_eq!(popped.len(), count.min(set.len()));
                assert!(popped.iter().all(|name| set.remove(name)));
                set
            }
            4 => {
                let count = random.below(set.len() + 10);
                let drawn = members(&call(&mut db, &format!("SRANDMEMBER {key} {count}")));
                assert_eq!(drawn.len(), count.min(set.len()));
                assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len());
                assert!(drawn.iter().all(|name| set.contains(name)));
                set
            }
            combination => {
                let (name, result): (_, BTreeSet<_>) = match combination {
                    5 => ("UNION", first.union(&second).cloned().collect()),
                    6 => ("INTER", first.intersection(&second).cloned().collect()),
                    _ => ("DIFF", first.difference(&second).cloned().collect()),
                };
                let keys = others.join(" ");
                let found = members(&call(&mut db, &format!("S{name} {keys}")));
                assert_eq!(found.len(), result.len());
                assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), result);
                let reply = call(&mut db, &format!("S{name}STORE {key} {keys}"));
                assert_eq!(show(&reply), result.len().to_string());
                result
            }
        };
        model.put(key, stored);
        check(&mut db, &model, key);
        if round % 100 == 0 {
            check_snapshot(&db);
        }
    }
}

/// All ways to look at a set show the same.
fn check(db: &mut Db, model: &Model, key: &str) {
    let expected = model.at(key);
    let found = members(&call(db, &format!("SMEMBERS {key}")));
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(db.run(&format!("SCARD {key}")), expected.len().to_string());
    let (mut cursor, mut scanned) = ("0".to_owned(), Vec::new());
    loop {
        let reply = call(db, &format!("SSCAN {key} {cursor} COUNT 300"));
        let Reply::Array(parts) = &reply else { panic!("SSCAN is an array") };
        scanned.extend(members(&parts[1]));
        cursor = show(&parts[0]).trim_matches('"').to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(scanned.len(), expected.len());
    assert_eq!(scanned.into_iter().collect::<BTreeSet<_>>(), expected);
}

fn snapshot(keyspace: &Keyspace) -> Vec<u8> {
    let mut bytes = Vec::new();
    keyspace.view().write_to(&mut bytes).expect("memory takes it");
    bytes
}

fn check_snapshot(db: &Db) {
    let bytes = snapshot(&db.keyspace);
    let restored = Keyspace::read_from(&mut &bytes[..]).expect("it is what was written");
    assert_eq!(restored.view().digest(), db.keyspace.view().digest());
    assert!(snapshot(&restored) == bytes, "a snapshot of what was restored is another");
}

/// A snapshot of one set, of the type `is_table`, with these entries.
fn one_set(is_table: u8, entries: &[&[u8]]) -> Vec<u8> {
    let mut db = Db::new();
    db.run("SADD k 1");
    let bytes = snapshot(&db.keyspace);
    // The set ends the snapshot but for the end itself; it is a byte, a count and one entry.
    let mut made = bytes[..bytes.len() - 9 - 21].to_vec();
    made.push(is_table);
    made.extend((entries.len() as u64).to_le_bytes());
    for entry in entries {
        made.extend((entry.len() as u32).to_le_bytes());
        made.extend(*entry);
    }
    made.extend(&bytes[bytes.len() - 9..]);
    made
}

#[test]
fn snapshots_have_one_form() {
    let number = |number: i64| (number as u64 ^ 1 << 63).to_be_bytes();
    let read = |is_table: u8, entries: &[&[u8]]| {
        let bytes = one_set(is_table, entries);
        let keyspace = Keyspace::read_from(&mut &bytes[..]).map_err(|error| error.to_string())?;
        assert!(snapshot(&keyspace) == bytes, "what is read is what is written");
        Ok(())
    };
    let refused = |text: &str| Err::<(), _>(text.to_owned());
    let mut db = Db::new();
    db.run("SADD k 1");
    assert_eq!(one_set(0, &[&number(1)]), snapshot(&db.keyspace));
    assert_eq!(read(0, &[&number(-5), &number(0), &number(7)]), Ok(()));
    assert_eq!(read(0, &[&number(0), &number(-5)]), refused("a set with members out of order"));
    assert_eq!(read(0, &[&number(1), &number(1)]), refused("a set with members out of order"));
    assert_eq!(read(2, &[&number(1)]), refused("2 where a set says if it is a table"));
    assert_eq!(read(0, &[]), refused("a set without members"));
    assert_eq!(read(1, &[]), refused("a set without members"));
    let none = refused("a set of integers with a member that is none");
    assert_eq!(read(0, &[&number(1)[1..]]), none);
    let numbers: Vec<_> = (0..513).map(number).collect();
    let numbers: Vec<_> = numbers.iter().map(|number| &number[..]).collect();
    assert_eq!(read(0, &numbers[..512]), Ok(()));
    let many = refused("a set with too many members for one of integers");
    assert_eq!(read(0, &numbers), many);
    let wrong_hash = refused("a set with a member under another's hash");
    assert_eq!(read(1, &[b"\0\0\0\0x"]), wrong_hash);
    assert_eq!(read(1, &[b"\0\0\0"]), wrong_hash);
    // The hash of no bytes is in the first bits of its position.
    let empty = &b"\xd1\xfb\xa7\x62"[..];
    assert_eq!(read(1, &[empty]), Ok(()));
    assert_eq!(read(1, &[empty; 2]), refused("a set with members out of order"));
}

#[test]
fn damaged_snapshots_never_panic() {
    let mut db = Db::new();
    db.script("SADD a 1 2 -3 -> 3\nSADD b one two three four 5 -> 5");
    let (bytes, mut random) = (snapshot(&db.keyspace), Random(seed()));
    for _ in 0..20_000 {
        let mut damaged = bytes.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            damaged[at] = random.next() as u8;
        }
        let Ok(keyspace) = Keyspace::read_from(&mut &damaged[..]) else { continue };
        assert!(snapshot(&keyspace) == damaged, "what is read is what is written");
    }
    for length in 0..bytes.len() {
        assert!(Keyspace::read_from(&mut &bytes[..length]).is_err(), "cut to {length} bytes");
    }
}
