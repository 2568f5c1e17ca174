//! Hashes: what the rows promise, line by line, and the same commands to a real redis-server.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Db, Random};

#[test]
fn fields_come_and_go() {
    Db::new().script(
        r#"
        HSET h a 1 b 2 -> 2
        HSET h b 3 c 4 -> 1
        HGETALL h -> {"a": "1", "b": "3", "c": "4"}
        HMGET h c x a -> ["4" null "1"]
        HGET h x -> null
        HGET x a -> null
        HSETNX h a 9 -> 0
        HSETNX h d "" -> 1
        HSTRLEN h d -> 0
        HEXISTS h d -> 1
        HLEN h -> 4
        HDEL h a x b -> 2
        HKEYS h -> ["c" "d"]
        HVALS h -> ["4" ""]
        HINCRBY h c 6 -> 10
        HINCRBY h d 1 -> ERR hash value is not an integer
        HINCRBYFLOAT h c 0.5 -> "10.5"
        HINCRBYFLOAT h d 1 -> ERR hash value is not a float
        TYPE h -> hash
        OBJECT ENCODING h -> "listpack"
        GET h -> WRONGTYPE Operation against a key holding the wrong kind of value
        HDEL h c d -> 2
        EXISTS h -> 0
        HDEL h c -> 0
        SET s v -> OK
        HGET s a -> WRONGTYPE Operation against a key holding the wrong kind of value
        HSET s a b -> WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn a_large_hash_keeps_all_its_fields_and_scans_to_its_end() {
    let mut db = Db::new();
    for number in 0..1000 {
        assert_eq!(db.run(&format!("HSET h field{number} {number}")), "1");
        let encoding = if number < 128 { "listpack" } else { "hashtable" };
        assert_eq!(db.run("OBJECT ENCODING h"), format!("\"{encoding}\""));
    }
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        // Others change it meanwhile.
        db.run(&format!("HSET h new{cursor} x"));
        db.run(&format!("HDEL h new{cursor}"));
        let reply = db.run(&format!("HSCAN h {cursor} MATCH field* COUNT 7"));
        let (next, found) = reply[1..].split_once(' ').unwrap();
        let found = found.trim_matches(['[', ']']).split_whitespace().map(str::to_owned);
        seen.extend(found.collect::<Vec<_>>().chunks(2).map(|pair| pair.concat()));
        cursor = next.trim_matches('"').to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    assert!(seen.contains("\"field999\"\"999\""));
}

/// A value of more than 64 bytes puts a hash in order, as in Redis.
#[test]
fn a_long_value_makes_a_hashtable() {
    let mut db = Db::new();
    db.run(&format!("HSET h a {}", "x".repeat(64)));
    assert_eq!(db.run("OBJECT ENCODING h"), "\"listpack\"");
    db.run(&format!("HSET h a {}", "x".repeat(65)));
    assert_eq!(db.run("OBJECT ENCODING h"), "\"hashtable\"");
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const VALUES: [&str; 12] = [
    "",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "12.5",
    "x",
    "1e3",
    " 1",
    "inf",
    "hello",
    "a-value-that-is-longer-than-sixty-four-bytes-and-so-makes-a-table-of-the-hash",
];
const SHAPES: &[&str] = &[
    "HSET k f v",
    "HSET k f v f v f v",
    "HSET k f v f",
    "HMSET k f v f v",
    "HMSET k f",
    "HSETNX k f v",
    "HGET k f",
    "HMGET k f f f",
    "HGETALL k",
    "HKEYS k",
    "HVALS k",
    "HLEN k",
    "HSTRLEN k f",
    "HEXISTS k f",
    "HDEL k f",
    "HDEL k f f f f f f",
    "HINCRBY k f v",
    "HINCRBYFLOAT k f v",
    "HRANDFIELD k",
    "HRANDFIELD k n",
    "HRANDFIELD k n WITHVALUES",
    "HRANDFIELD k n x",
    "HSCAN k 0",
    "HSCAN k x",
    "HSCAN k 0 COUNT n",
    "HSCAN k 0 MATCH f",
    "HSCAN k 0 TYPE hash",
    "SET k v",
    "DEL k",
    "COPY k k",
    "RENAME k k",
    "EXPIRE k 1000",
    "APPEND k v",
    "TYPE k",
];

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let word = |word: &str| match word {
        "k" => random.pick(&KEYS).into(),
        "f" => match random.below(20) {
            0 => {
                "a-field-that-is-longer-than-sixty-four-bytes-and-so-makes-a-table-of-it".to_owned()
            }
            number => format!("f{number}"),
        },
        "v" => random.pick(&VALUES).into(),
        "n" => random.pick(&["0", "1", "3", "-2", "-5", "100", "x", ""]).into(),
        other => other.to_owned(),
    };
    shape.split(' ').map(word).map(String::into_bytes).collect()
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    pair.check_random(SHAPES, &KEYS, fill);
}
