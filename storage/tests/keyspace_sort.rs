//! SORT and SORT_RO: exact replies, and the same as redis-server.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Db, Random, split};

/// Two lists, a set and a sorted set.
const CONTENT: &str = r#"
    RPUSH l 10 9 8 7 1.5 -3 -> 6
    RPUSH words b a "" B "b\x00c" "b\x00a" -> 6
    SADD s 3 1 2 -> 3
    ZADD z 3 a 2 b 1 c 4 d -> 4
    SET str x -> OK
"#;

fn script(script: &str) {
    let mut db = Db::new();
    db.script(CONTENT);
    db.script(script);
}

#[test]
fn by_number_by_bytes_and_not_at_all() {
    script(
        r#"
        SORT l -> ["-3" "1.5" "7" "8" "9" "10"]
        SORT l DESC -> ["10" "9" "8" "7" "1.5" "-3"]
        SORT l DESC asc alpha -> ["-3" "1.5" "10" "7" "8" "9"]
        SORT l LIMIT 1 2 -> ["1.5" "7"]
        SORT l LIMIT -5 2 -> ["-3" "1.5"]
        SORT l LIMIT 4 -1 -> ["9" "10"]
        SORT l LIMIT 4 9223372036854775807 -> ["9" "10"]
        SORT l LIMIT 9223372036854775807 1 -> []
        SORT l LIMIT 0 0 -> []
        SORT l BY nosort -> ["10" "9" "8" "7" "1.5" "-3"]
        SORT l BY nosort LIMIT 1 2 DESC -> ["1.5" "7"]
        SORT z ALPHA DESC -> ["d" "c" "b" "a"]
        SORT z BY nosort -> ["c" "b" "a" "d"]
        SORT z BY nosort DESC LIMIT 1 2 -> ["a" "b"]
        SORT z BY nosort LIMIT 3 10 -> ["d"]
        SORT s DESC -> ["3" "2" "1"]
        SORT none -> []
        SORT_RO l LIMIT 0 1 -> ["-3"]
        "#,
    );
}

#[test]
fn what_is_no_number_cannot_be_sorted_as_one() {
    script(
        r#"
        SORT words -> ERR One or more scores can't be converted into double
        SORT z LIMIT 0 0 -> ERR One or more scores can't be converted into double
        SORT z STORE d -> ERR One or more scores can't be converted into double
        EXISTS d -> 0
        DEL l -> 1
        RPUSH l 0x10 " 7" inf -inf +5 "6\x00x" "" -> 7
        SORT l -> ["-inf" "" "+5" "6\x00x" " 7" "0x10" "inf"]
        LSET l 0 nan -> OK
        SORT l -> ERR One or more scores can't be converted into double
        LSET l 0 1e-310 -> OK
        SORT l -> ERR One or more scores can't be converted into double
        LSET l 0 "7 " -> OK
        SORT l -> ERR One or more scores can't be converted into double
        SORT str -> WRONGTYPE Operation against a key holding the wrong kind of value
        SORT str nonsense -> ERR syntax error
        SORT_RO l STORE d -> ERR syntax error
        "#,
    );
}

#[test]
fn equal_weights() {
    script(
        r#"
        # By number, then by bytes; both turn over.
        RPUSH m 1 1.0 01 0 -> 4
        SORT m -> ["0" "01" "1" "1.0"]
        SORT m DESC -> ["1.0" "1" "01" "0"]
        # By C's strings they stay as they were; what is stored has one order.
        SORT words ALPHA -> ["" "B" "a" "b" "b\x00c" "b\x00a"]
        SORT words ALPHA DESC -> ["b" "b\x00c" "b\x00a" "a" "B" ""]
        SORT words ALPHA STORE d -> 6
        LRANGE d 0 -1 -> ["" "B" "a" "b" "b\x00a" "b\x00c"]
        # Nothing comes before everything.
        MSET w_b 1 w_c 0 w_d "" -> OK
        SORT z BY w_* ALPHA -> ["a" "d" "c" "b"]
        SORT z BY w_* -> ["a" "c" "d" "b"]
        "#,
    );
}

#[test]
fn patterns() {
    script(
        r##"
        MSET w_1 30 w_2 20 w_3 10 1 one 3 three x2y->f mid -> OK
        HSET h1 f 5 e x -> 2
        HSET h2->g f 4 -> 1
        HSET h3 f 3 -> 1
        SORT s BY w_* -> ["3" "2" "1"]
        SORT s BY w_* GET # GET * GET nothing GET x*y->f -> ["3" "three" null null "2" null null null "1" "one" null null]
        SORT s BY h*->f -> ["2" "3" "1"]
        SORT s GET h*->f GET h*->g->f -> ["5" null null null "3" null]
        SORT s GET h*-> GET h* GET w_*->f GET * -> [null null null "one" null null null null null null null "three"]
        SORT s BY #x* BY w_* BY nosort GET # STORE d -> 3
        LRANGE d 0 -1 -> ["1" "2" "3"]
        SORT s GET "#\x00*" LIMIT 0 1 -> ["1"]
        SORT s BY "w\x00*" STORE d -> 3
        SET w_2 x -> OK
        SORT s BY w_* -> ERR One or more scores can't be converted into double
        DEL w_2 -> 1
        SORT s BY w_* -> ["2" "3" "1"]
        SORT z BY w_* GET #* -> [null null null null]
        "##,
    );
}

#[test]
fn storing() {
    script(
        r#"
        SORT l STORE d LIMIT 0 3 -> 3
        LRANGE d 0 -1 -> ["-3" "1.5" "7"]
        EXPIRE str 100 -> 1
        SORT s GET # GET no_* STORE str -> 6
        TYPE str -> list
        TTL str -> -1
        LRANGE str 0 -1 -> ["1" "" "2" "" "3" ""]
        SORT l STORE l DESC -> 6
        LRANGE l 0 0 -> ["10"]
        SORT none STORE d -> 0
        EXISTS d -> 0
        SORT l LIMIT 6 1 STORE l -> 0
        EXISTS l -> 0
        SADD t b a c -> 3
        SORT t BY nosort STORE d -> 3
        LRANGE d 0 -1 -> ["a" "b" "c"]
        SORT t BY nosort DESC LIMIT 0 2 STORE d -> 2
        LRANGE d 0 -1 -> ["c" "b"]
        SORT z BY nosort DESC STORE d -> 4
        LRANGE d 0 -1 -> ["d" "a" "b" "c"]
        "#,
    );
}

/// A few bytes of a request must not gather gigabytes.
#[test]
fn what_patterns_find_is_limited() {
    let mut db = Db::new();
    let large = vec![b'x'; 8 << 20];
    db.call(&[b"SET", b"k", &large]);
    let many: Vec<&[u8]> = std::iter::repeat_n(&b""[..], 100).collect();
    db.call(&[&[&b"RPUSH"[..], b"l"], &many[..]].concat());
    let error = "ERR SORT would find too much by its patterns";
    assert_eq!(db.run("SORT l GET k* STORE d"), error);
    assert_eq!(db.run("SORT l BY nosort LIMIT 0 10 GET k* STORE d"), "10");
}

const SHAPES: &[&str] = &[
    "SORT k o",
    "SORT k o o",
    "SORT k o o o",
    "SORT k o o o o",
    "SORT_RO k o o o",
    "SORT k o o STORE k",
    "SORT k o o o STORE d",
    "SORT s STORE d BY nosort o o",
    "SORT k GET h_*->f o o",
    "SORT k BY h_*->none LIMIT 1 3",
    "RPUSH k e e e",
    "RPUSH k n n n n",
    "SADD k e e e",
    "SADD k n n n n",
    "ZADD k 1 e 2 L 3 e",
    "ZADD k 1 n 2 L 3 n",
    "DEL k",
    "SET k n",
];
const KEYS: [&str; 6] = ["k1", "k2", "k3", "s", "d", "z"];
const NUMBERS: [&str; 14] =
    ["0", "1", "-1", "2", "10", "01", "1.0", "3e2", "inf", "-0", "0x10", "7", "8", "9"];
/// Makes a sorted set a large one: in Redis SORT does that to a small one, here it only reads.
const LONG: &str = "00000000000000000000000000000000000000000000000000000000000000000";
const WORDS: [&str; 10] = ["a", "b", "c", "ab", "B", "", "e f", "1x", "nan", "z"];
const OPTIONS: [&str; 24] = [
    "ASC",
    "desc",
    "DESC",
    "ALPHA",
    "ALPHA",
    "alpha",
    "LIMIT 0 3",
    "LIMIT 2 -1",
    "LIMIT -1 2",
    "LIMIT 1 1",
    "LIMIT 0 0",
    "LIMIT 5",
    "LIMIT x 1",
    "LIMIT 100 1",
    "BY w_*",
    "BY w_*",
    "BY h_*->f",
    "GET #",
    "GET w_*",
    "GET h_*->",
    "GET plain",
    "STORE",
    "BY",
    "nonsense",
];

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let mut args = Vec::new();
    for word in shape.split(' ') {
        match word {
            "k" => args.push(random.pick(&KEYS).into()),
            "L" => args.push(LONG.into()),
            "n" => args.push(random.pick(&NUMBERS).into()),
            "e" => {
                let words = if random.below(2) == 0 { &WORDS[..] } else { &NUMBERS[..10] };
                args.push(random.pick(words).into());
            }
            "o" => args.extend(split(random.pick(&OPTIONS))),
            word => args.push(word.into()),
        }
    }
    args
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    // Where weights are bytes and equal, Redis leaves the order to chance. So they differ, and but
    // for one they are all there. What may be stored has weights too.
    let all: Vec<&str> = NUMBERS.iter().chain(&WORDS).chain([&LONG]).copied().collect();
    for (at, element) in all.iter().enumerate().skip(1) {
        let number = (at * 7 % 50).to_string();
        for words in [
            &["SET", &format!("w_{element}"), all[at * 3 % all.len()]][..],
            &["HSET", &format!("h_{element}"), "f", &number],
        ] {
            pair.check(&words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
        }
    }
    pair.check_random(SHAPES, &KEYS, fill);
}

/// The order of a set is nobody's business unless it is stored; that of a list and of a sorted set
/// is known.
#[test]
fn what_is_not_sorted_has_the_order_that_it_had() {
    let Some(mut pair) = Pair::start() else { return };
    for size in [5, 200] {
        for at in 0..size {
            pair.check_line(&format!("RPUSH l{size} e{}", at * 7 % size));
            pair.check_line(&format!("ZADD z{size} {} e{at}", at * 7 % size));
            pair.check_line(&format!("SADD s{size} e{at}"));
        }
        for key in ["l", "z"] {
            for limit in ["", "LIMIT 0 3", "LIMIT 3 100", "LIMIT 4 -1", "LIMIT 5 1", "LIMIT 199 1"]
            {
                for order in ["ASC", "DESC"] {
                    pair.check_line(&format!("SORT {key}{size} BY nosort {order} {limit}"));
                    pair.check_line(&format!("SORT s{size} BY nosort {order} {limit} STORE d"));
                    pair.check_line("LRANGE d 0 -1");
                }
            }
        }
    }
}
