//! Bitmaps: what the rows promise, line by line, a model of bits, and the same commands to a real
//! redis-server.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Db, Random};
use proptest::prelude::*;
use raftkv_storage::keyspace::Reply;

#[test]
fn bits_are_set_and_counted() {
    Db::new().script(
        r#"
        SETBIT b 1 1 -> 0
        SETBIT b 1 1 -> 1
        SETBIT b 7 1 -> 0
        GET b -> "A"
        SETBIT b 23 0 -> 0
        GET b -> "A\x00\x00"
        GETBIT b 7 -> 1
        GETBIT b 8 -> 0
        GETBIT b 4294967295 -> 0
        GETBIT b 4294967296 -> ERR bit offset is not an integer or out of range
        GETBIT nokey 7 -> 0
        SET n 12 -> OK
        GETBIT n 2 -> 1
        BITCOUNT n -> 6
        BITCOUNT n 1 -1 -> 3
        BITCOUNT n 3 10 BIT -> 3
        BITCOUNT n 0 -> ERR syntax error
        BITPOS n 1 1 -> 10
        BITPOS n 0 2 3 BIT -> -1
        BITPOS n 1 0 0 nonsense -> ERR syntax error
        BITPOS n 2 -> ERR The bit argument must be 1 or 0.
        SET f "\xff\xff" -> OK
        BITPOS f 0 -> 16
        BITPOS f 0 0 -1 -> -1
        BITPOS nokey 0 -> 0
        BITPOS nokey 1 -> -1
        HSET h a b -> 1
        GETBIT h 0 -> WRONGTYPE Operation against a key holding the wrong kind of value
        SETBIT h 0 1 -> WRONGTYPE Operation against a key holding the wrong kind of value
        BITOP OR d n h -> WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn strings_are_combined() {
    Db::new().script(
        r#"
        MSET a "\xf0\x0f\x01" b "\xff" -> OK
        BITOP AND d a b -> 3
        GET d -> "\xf0\x00\x00"
        EXPIRE d 100 -> 1
        BITOP or d a b nokey -> 3
        GET d -> "\xff\x0f\x01"
        TTL d -> -1
        BITOP XOR d a b a -> 3
        GET d -> "\xff\x00\x00"
        BITOP NOT d a -> 3
        GET d -> "\x0f\xf0\xfe"
        BITOP AND a a nokey -> 3
        GET a -> "\x00\x00\x00"
        BITOP NOT d nokey -> 0
        EXISTS d -> 0
        "#,
    );
}

#[test]
fn fields_are_integers() {
    Db::new().script(
        r#"
        BITFIELD f SET i5 100 -7 GET u4 0 -> [0 0]
        BITFIELD f INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 9 OVERFLOW FAIL SET u2 102 4 -> [0 3 null]
        STRLEN f -> 14
        BITFIELD f SET u8 #1 255 GET u8 #1 GET i8 8 GET i64 8 -> [0 255 -1 -72057594037927936]
        BITFIELD_RO f GET u8 #1 -> [255]
        BITFIELD_RO f GET u8 #1 SET u8 0 1 -> ERR BITFIELD_RO only supports the GET subcommand
        BITFIELD f -> []
        BITFIELD nokey GET u8 0 -> [0]
        EXISTS nokey -> 0
        # It grows even if nothing is written.
        BITFIELD g OVERFLOW FAIL SET u1 8 2 -> [null]
        GET g -> "\x00\x00"
        "#,
    );
}

/// As far as the longest value that there may be, to the bit.
#[test]
fn nothing_is_written_beyond_the_longest_value() {
    Db::new().script(
        r#"
        SETBIT b 67108863 1 -> 0
        STRLEN b -> 8388608
        SETBIT b 67108864 1 -> ERR bit offset is not an integer or out of range
        GETBIT b 67108864 -> 0
        BITFIELD b SET u8 67108856 3 GET u8 67108860 -> [1 48]
        BITFIELD b SET u8 67108857 3 -> ERR bit offset is not an integer or out of range
        BITFIELD b SET i64 #9223372036854775807 3 -> ERR bit offset is not an integer or out of range
        BITPOS b 1 -> 67108862
        BITCOUNT b -> 2
        "#,
    );
}

/// An entry that changes no bit leaves the key as it was written.
#[test]
fn what_changes_nothing_is_no_write() {
    let mut db = Db::new();
    db.run("SET b \"\\x80\"");
    db.keyspace.changes().want(true);
    for line in ["SETBIT b 0 1", "BITFIELD b GET u8 0 SET u1 0 1 INCRBY u1 0 0"] {
        db.run(line);
        assert!(db.keyspace.changes().take().is_empty(), "{line}");
    }
    db.run("BITFIELD b SET u1 0 1 SET u1 0 0 SET u1 0 1");
    assert!(!db.keyspace.changes().take().is_empty());
}

/// The bits of some bytes, one by one.
fn bits(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Parts of every length, beginning and ending anywhere in words and bytes.
    #[test]
    fn parts_are_counted_and_searched_as_bit_by_bit(
        head in proptest::collection::vec(any::<u8>(), 0..4),
        fill in proptest::sample::select(vec![0u8, 0xff]),
        length in 0..60usize,
        tail in proptest::collection::vec(any::<u8>(), 0..4),
        start in any::<prop::sample::Index>(),
        end in any::<prop::sample::Index>(),
    ) {
        let bytes = [head, vec![fill; length], tail, vec![fill]].concat();
        let all = bits(&bytes);
        let (start, end) = (start.index(all.len()), end.index(all.len()));
        let part = all.get(start..=end).unwrap_or_default();
        let mut db = Db::new();
        db.call(&[b"SET", b"k", &bytes]);
        let count = part.iter().filter(|bit| **bit).count();
        prop_assert_eq!(db.run(&format!("BITCOUNT k {start} {end} BIT")), count.to_string());
        for (name, bit) in [("0", false), ("1", true)] {
            let place = part.iter().position(|one| *one == bit);
            let place = place.map_or("-1".to_owned(), |place| (start + place).to_string());
            prop_assert_eq!(db.run(&format!("BITPOS k {name} {start} {end} BIT")), place);
        }
    }

    /// What is written into a field is read from it, and no bit beside it changes.
    #[test]
    fn a_field_keeps_to_its_bits(
        bytes in proptest::collection::vec(any::<u8>(), 20),
        width in 1..=64usize,
        place in 0..96usize,
        value in any::<i64>(),
    ) {
        let mut db = Db::new();
        db.call(&[b"SET", b"k", &bytes]);
        db.run(&format!("BITFIELD k SET i{width} {place} {value}"));
        let Reply::Bulk(after) = db.call(&[b"GET", b"k"]) else { panic!("a string") };
        let (before, after) = (bits(&bytes), bits(&after));
        for at in (0..before.len()).filter(|at| !(place..place + width).contains(at)) {
            prop_assert_eq!(before[at], after[at]);
        }
        let written = (0..width).map(|bit| value >> (width - 1 - bit) & 1 == 1);
        prop_assert!(written.eq(after[place..place + width].iter().copied()));
    }
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const VALUES: [&str; 8] = [
    "",
    "0",
    "-12",
    "hello",
    "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}\u{0}",
    "\u{0}",
    "a-value-of-more-than-forty-four-bytes-that-is-not-embedded",
    "@",
];
const SHAPES: &[&str] = &[
    "SETBIT k o b",
    "SETBIT k o b",
    "GETBIT k o",
    "BITCOUNT k",
    "BITCOUNT k n",
    "BITCOUNT k n n",
    "BITCOUNT k n n u",
    "BITCOUNT k n n u n",
    "BITPOS k b",
    "BITPOS k b n",
    "BITPOS k b n n",
    "BITPOS k b n n u",
    "BITPOS k b n n u n",
    "BITOP p k k",
    "BITOP p k k k",
    "BITOP p k k k k k",
    "BITFIELD k",
    "BITFIELD k g",
    "BITFIELD k s",
    "BITFIELD k w s",
    "BITFIELD k s s w s w s g",
    "BITFIELD k w g s",
    "BITFIELD k w",
    "BITFIELD k g n",
    "BITFIELD_RO k",
    "BITFIELD_RO k g g",
    "BITFIELD_RO k s",
    "BITFIELD_RO k w g",
    "SET k v",
    "SET k x",
    "SET k x",
    "DEL k",
    "HSET k f v",
    "APPEND k x",
    "EXPIRE k 1000",
];

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let mut args = Vec::new();
    for word in shape.split(' ') {
        args.extend(match word {
            "x" => vec![random_bytes(random)],
            "k" => vec![random.pick(&KEYS).into()],
            "v" => vec![random.pick(&VALUES).into()],
            "o" => vec![offset(random)],
            "b" => vec![random.pick(&["0", "1", "0", "1", "2", "-1", "x", ""]).into()],
            "n" => vec![number(random)],
            "u" => vec![random.pick(&["BIT", "bit", "BYTE", "byte", "bits", ""]).into()],
            "p" => vec![random.pick(&["AND", "or", "XOR", "not", "NOT", "nand"]).into()],
            "w" => vec![
                "OVERFLOW".into(),
                random.pick(&["WRAP", "sat", "SAT", "FAIL", "fail", "none"]).into(),
            ],
            "g" => vec!["GET".into(), kind(random), field_offset(random)],
            "s" => vec![
                random.pick(&["SET", "INCRBY", "set", "incrby"]).into(),
                kind(random),
                field_offset(random),
                value(random),
            ],
            other => vec![other.into()],
        });
    }
    args
}

fn random_bytes(random: &mut Random) -> Vec<u8> {
    let dull = [0, 0xff, 0x55][random.below(3)];
    let mut bytes = vec![dull; random.below(90)];
    for _ in 0..random.below(4) {
        if let Some(last) = bytes.len().checked_sub(1) {
            bytes[random.below(last + 1)] = random.next() as u8;
        }
    }
    bytes
}

fn offset(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0 => random.pick(&["-1", "x", "", "#1", "4294967296", "9223372036854775808"]).into(),
        1 => random.below(70_000).to_string().into(),
        _ => random.below(700).to_string().into(),
    }
}

fn number(random: &mut Random) -> Vec<u8> {
    let odd = ["x", "", "9223372036854775807", "-9223372036854775808", "-0"];
    match random.below(40) {
        at @ 0..5 => odd[at].into(),
        _ => (random.below(300) as i64 - 150).to_string().into(),
    }
}

fn kind(random: &mut Random) -> Vec<u8> {
    let odd = ["i65", "u64", "i0", "u0", "x8", "I8", "", "i", "u-1", "i8\0x", "u08"];
    match random.below(200) {
        at @ 0..11 => odd[at].into(),
        at if at % 2 == 0 => format!("i{}", 1 + random.below(64)).into(),
        _ => format!("u{}", 1 + random.below(63)).into(),
    }
}

fn field_offset(random: &mut Random) -> Vec<u8> {
    let odd = ["-1", "x", "", "#", "##1", "#-1", "#x", "4294967296"];
    match random.below(100) {
        at @ 0..8 => odd[at].into(),
        at if at % 2 == 0 => format!("#{}", random.below(12)).into(),
        _ => random.below(700).to_string().into(),
    }
}

fn value(random: &mut Random) -> Vec<u8> {
    let edge = 1i64.wrapping_shl(random.below(64) as u32);
    let near = random.below(3) as i64 - 1;
    let value = match random.below(6) {
        0 => random.next() as i64,
        1 => random.below(5) as i64 - 2,
        2 | 3 => edge.wrapping_add(near),
        4 => edge.wrapping_neg().wrapping_add(near),
        _ => random.next() as i64 >> random.below(64),
    };
    match random.below(60) {
        0 => random.pick(&["x", "", "9223372036854775808", "1.5"]).into(),
        _ => value.to_string().into(),
    }
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    pair.check_random(SHAPES, &KEYS, fill);
}
