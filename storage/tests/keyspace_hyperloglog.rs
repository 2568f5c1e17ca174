//! HyperLogLogs: what the rows promise, line by line, and the same commands to a real redis-server:
//! the bytes of the values are the same too.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Db, Random};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use raftkv_storage::keyspace::Reply;

#[test]
fn different_elements_are_counted() {
    Db::new().script(
        r#"
        PFADD h a b c -> 1
        PFADD h a c -> 0
        PFADD h -> 0
        PFCOUNT h -> 3
        PFCOUNT nokey -> 0
        PFADD e -> 1
        GET e -> "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"
        PFCOUNT e -> 0
        PFADD g c d -> 1
        PFCOUNT h g nokey e -> 4
        PFMERGE m h g -> OK
        PFCOUNT m -> 4
        PFMERGE n -> OK
        PFCOUNT n -> 0
        TYPE m -> string
        PFADD z a -> 1
        PFDEBUG DECODE z -> "Z:12711 v:2,1 Z:3672"
        PFDEBUG ENCODING z -> sparse
        PFDEBUG todense z -> 1
        PFDEBUG todense z -> 0
        PFDEBUG ENCODING z -> dense
        PFDEBUG DECODE z -> ERR HLL encoding is not sparse
        STRLEN z -> 12304
        PFCOUNT z -> 1
        PFMERGE m z -> OK
        PFDEBUG ENCODING m -> dense
        PFCOUNT m h -> 4
        PFDEBUG ENCODING nokey -> ERR The specified key does not exist
        PFDEBUG nonsense z -> ERR Unknown PFDEBUG subcommand 'nonsense'
        PFSELFTEST -> OK
        HSET hash a b -> 1
        PFADD hash a -> WRONGTYPE Operation against a key holding the wrong kind of value
        PFCOUNT h hash -> WRONGTYPE Operation against a key holding the wrong kind of value
        SET s HYLL -> OK
        PFADD s a -> WRONGTYPE Key is not a valid HyperLogLog string value.
        PFMERGE m s -> WRONGTYPE Key is not a valid HyperLogLog string value.
        SET s "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xfe" -> OK
        PFCOUNT s -> INVALIDOBJ Corrupted HLL object detected
        PFADD s a -> INVALIDOBJ Corrupted HLL object detected
        PFMERGE new s -> INVALIDOBJ Corrupted HLL object detected
        PFDEBUG GETREG s -> INVALIDOBJ Corrupted HLL object detected
        EXISTS new -> 0
        # A count that is there, and not marked, is taken at its word.
        SET s "HYLL\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x7f\xff" -> OK
        PFCOUNT s -> 7
        PFCOUNT s nokey -> 0
        "#,
    );
}

#[test]
fn to_add_nothing_new_and_to_count_are_no_writes() {
    let mut db = Db::new();
    db.run("PFADD h a b c");
    db.keyspace.changes().want(true);
    for line in ["PFADD h c a", "PFCOUNT h", "PFDEBUG DECODE h"] {
        db.run(line);
        assert!(db.keyspace.changes().take().is_empty(), "{line}");
    }
    db.run("PFADD h a d");
    assert!(!db.keyspace.changes().take().is_empty());
}

/// A value of some form, with some bytes behind the header.
fn value(form: u8, registers: &[u8]) -> Vec<u8> {
    [b"HYLL", &[form, 0, 0, 0][..], &[0, 0, 0, 0, 0, 0, 0, 0x80], registers].concat()
}

/// What can be asked of the key `k`, and how.
const CALLS: [&str; 9] = [
    "PFCOUNT k",
    "PFCOUNT k other",
    "PFADD k a b c d e f",
    "PFMERGE new k",
    "PFMERGE k other",
    "PFDEBUG DECODE k",
    "PFDEBUG ENCODING k",
    "PFDEBUG TODENSE k",
    "PFDEBUG GETREG k",
];

/// Bytes that may be runs: sometimes with all the registers, sometimes with some too many or too
/// few; many of them of the same ranks.
fn runs() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        1 => any::<u8>(),
        9 => proptest::sample::select(vec![0, 1, 0x80, 0x80, 0x81, 0x84, 0x84, 0x85, 0x86]),
    ];
    let more = prop_oneof![Just(0), -2..3i64];
    (proptest::collection::vec(byte, 0..3000), more).prop_map(|(mut bytes, more)| {
        let mut registers = 0;
        let mut at = 0;
        while at < bytes.len() {
            let byte = i64::from(bytes[at]);
            let (count, width) = match byte >> 6 {
                0 => (byte + 1, 1),
                1 => {
                    (i64::from(bytes.get(at + 1).copied().unwrap_or(0)) + 1 + (byte & 63) * 256, 2)
                }
                _ => ((byte & 3) + 1, 1),
            };
            // What would be too many is left out, so that what is left makes sense.
            if registers + count > 16_300 || at + width > bytes.len() {
                bytes.remove(at);
            } else {
                (registers, at) = (registers + count, at + width);
            }
        }
        let left = 16_384 - registers - 1 + more;
        bytes.extend([0x40 | (left >> 8) as u8, left as u8]);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever lies in a string, no command is at a loss; and what is taken for a HyperLogLog
    /// counts the same in either form.
    #[test]
    fn any_bytes_are_counted_or_refused(
        form in 0..3u8,
        bytes in prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), runs()],
        is_whole in any::<bool>(),
    ) {
        let mut value = value(form, &bytes);
        if form == 0 && is_whole {
            value.resize(12_304, 0x5a);
        }
        for line in CALLS {
            let mut db = Db::new();
            db.call(&[b"SET", b"k", &value]);
            db.run("PFADD other x y z");
            let before = db.call(&[b"GET", b"k"]);
            let reply = db.call(&split(line));
            if matches!(reply, Reply::Error(_)) {
                prop_assert_eq!(before, db.call(&[b"GET", b"k"]));
                continue;
            }
            let counts = db.run("PFCOUNT k other");
            db.run("PFDEBUG TODENSE k");
            if !line.contains("ENCODING") {
                prop_assert_eq!(counts, db.run("PFCOUNT k other"), "{}", line);
            }
        }
    }
}

fn split(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

#[test]
fn what_redis_makes_of_odd_values_is_made_of_them_here() {
    let Some(mut pair) = Pair::start() else { return };
    let add = (0..300).fold("PFADD other".to_owned(), |add, number| format!("{add} {number}"));
    pair.check_line(&add);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    for _ in 0..rounds.unwrap_or(2_000) / 20 {
        let tree = runs().new_tree(&mut runner).expect("bytes");
        let value = value(1, &tree.current());
        for line in CALLS {
            let args: Vec<Vec<u8>> = split(line).iter().map(|word| word.to_vec()).collect();
            pair.check(&["SET".into(), "k".into(), value.clone()]);
            pair.check_line("DEL new");
            let refused = Reply::error("INVALIDOBJ Corrupted HLL object detected");
            // Here nothing is done with a value that is not whole; Redis may not look at all of it.
            let mut ours = Db::new();
            ours.call(&[b"SET", b"k", &value]);
            if ours.call(&split(line)) == refused {
                continue;
            }
            pair.check(&args);
            pair.check_line("GET k");
            pair.check_line("GET new");
        }
    }
}

#[test]
fn counts_are_those_of_redis_from_one_to_a_million() {
    let Some(mut pair) = Pair::start() else { return };
    let (mut next, mut batch) = (0u64, 1);
    while next < 1_000_000 {
        let mut args: Vec<Vec<u8>> = vec!["PFADD".into(), "k".into()];
        args.extend((next..next + batch).map(|number| format!("element:{number}").into_bytes()));
        pair.check(&args);
        next += batch;
        batch = (next / 20).max(1);
        pair.check_line("PFCOUNT k");
        pair.check_line("GET k");
    }
}

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
const SHAPES: &[&str] = &[
    "PFADD k",
    "PFADD k x",
    "PFADD k x x x",
    "PFADD k x x x x x x x x",
    "PFADD k many",
    "PFADD k r",
    "PFADD k r r",
    "PFCOUNT k",
    "PFCOUNT k k",
    "PFCOUNT k k k k",
    "PFMERGE k",
    "PFMERGE k k",
    "PFMERGE k k k",
    "PFDEBUG ENCODING k",
    "PFDEBUG decode k",
    "PFDEBUG nonsense k",
    "GET k",
    "STRLEN k",
    "COPY k k",
    "RENAME k k",
    "DEL k",
    "DEL k k",
    "EXPIRE k 1000",
];
/// What is done seldom, so that most values stay sparse.
const SELDOM: &[&str] =
    &["PFDEBUG TODENSE k", "PFDEBUG GETREG k", "HSET k f v", "SET k HYLL", "SET k dense"];

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let shape = if random.below(100) == 0 { random.pick(SELDOM) } else { shape };
    let mut args: Vec<Vec<u8>> = Vec::new();
    for word in shape.split(' ') {
        match word {
            "k" => args.push(random.pick(&KEYS).into()),
            "x" => args.push(random.below(3000).to_string().into_bytes()),
            "r" => args.push((0..random.below(40)).map(|_| random.next() as u8).collect()),
            "many" => {
                let count = if random.below(10) == 0 { 2000 } else { 100 };
                args.extend((0..count).map(|_| random.next().to_le_bytes().to_vec()));
            }
            "dense" => {
                let mut dense = value(0, &[]);
                dense.resize_with(12_304, || (random.next() & 0x41) as u8);
                args.push(dense);
            }
            other => args.push(other.into()),
        }
    }
    args
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    pair.check_random(SHAPES, &KEYS, fill);
}
