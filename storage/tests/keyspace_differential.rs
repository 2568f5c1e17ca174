//! The same commands to a real redis-server and to the keyspace: the replies must be the same.
//!
//! Runs where a `redis-server` of version 7.0 is on the PATH, and says so where there is none.
//! `SEED=… ROUNDS=…` choose other sequences and more of them. What is known to differ is listed in
//! `keyspace_support/redis.rs`.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Random, seed};

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", ""];
const VALUES: [&str; 30] = [
    "",
    "0",
    "1",
    "-1",
    "10",
    "+5",
    "007",
    "-0",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "12345678901234567890123",
    " 1",
    "1 ",
    "3.0e3",
    "10.5",
    "-.5",
    "1e-3",
    "0x1p3",
    "inf",
    "nan",
    "hello",
    "hello world",
    "ohmytext",
    "mynewtext",
    "\u{0}\u{1}\r\n",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "1000.1",
    "0.2",
    "5",
];
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "2",
    "5",
    "-5",
    "10",
    "100",
    "-100",
    "9223372036854775807",
    "x",
    "",
    "-9223372036854775808",
    "1.5",
    "9223372036854775",
    "600000000",
];
const TTLS: [&str; 12] = [
    "1000",
    "5000",
    "9000",
    "0",
    "-1",
    "x",
    "",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775",
    "1.5",
    "100000",
];
/// In milliseconds, and as moments.
const TTLS_MS: [&str; 6] = ["1000000", "5000000", "0", "-1", "x", "9223372036854775807"];
const TIMES: [&str; 6] = ["1", "4000000000", "5000000000", "-1", "x", "9223372036854775807"];
const TIMES_MS: [&str; 6] =
    ["1", "4000000000000", "5000000000000", "-1", "x", "9223372036854775807"];

/// Redis reads them with strtoul.
const CURSORS: [&str; 20] = [
    "0",
    "17",
    "-1",
    "",
    "+0",
    "-0",
    "00",
    "-",
    "+",
    " 0",
    "0 ",
    "\t0",
    "0x1",
    "1abc",
    "x",
    "18446744073709551615",
    "18446744073709551616",
    "-18446744073709551615",
    "-18446744073709551616",
    "7\u{0}x",
];

/// A command for each shape; `k` stands for a key, `v` a value, `n` a number, `t` seconds to live,
/// `m` milliseconds, `T` a moment in seconds, `M` in milliseconds, `s` an option of SET, `x` of
/// GETEX, `e` of EXPIRE, `l` of LCS, `c` of COPY, `p` a pattern.
const SHAPES: &[&str] = &[
    "SET k v",
    "SET k v",
    "SET k v s",
    "SET k v s s",
    "SET k v s s s",
    "GET k",
    "GETDEL k",
    "GETEX k",
    "GETEX k x",
    "GETEX k x x",
    "GETSET k v",
    "SETNX k v",
    "SETEX k t v",
    "PSETEX k m v",
    "MGET k k k",
    "MSET k v",
    "MSET k v k v",
    "MSET k v k",
    "MSETNX k v k v",
    "MSETNX k v k",
    "APPEND k v",
    "STRLEN k",
    "GETRANGE k n n",
    "SUBSTR k n n",
    "INCR k",
    "DECR k",
    "INCRBY k n",
    "DECRBY k n",
    "INCRBYFLOAT k v",
    "INCRBYFLOAT k n",
    "LCS k k",
    "LCS k k l",
    "LCS k k l l l",
    "DEL k",
    "DEL k k",
    "UNLINK k k",
    "EXISTS k k",
    "TYPE k",
    "TOUCH k k",
    "KEYS p",
    "RENAME k k",
    "RENAMENX k k",
    "COPY k k",
    "COPY k k c",
    "COPY k k c c",
    "EXPIRE k t",
    "EXPIRE k t e",
    "EXPIRE k t e e",
    "PEXPIRE k m",
    "PEXPIRE k m e",
    "EXPIREAT k T",
    "EXPIREAT k T e",
    "PEXPIREAT k M",
    "PEXPIREAT k M e",
    "TTL k",
    "PTTL k",
    "EXPIRETIME k",
    "PEXPIRETIME k",
    "PERSIST k",
    "OBJECT ENCODING k",
    "OBJECT REFCOUNT k",
    "OBJECT FREQ k",
    "OBJECT IDLETIME k",
    "OBJECT nonsense k",
    "MEMORY USAGE none SAMPLES n",
    "OBJECT ENCODING",
    "FLUSHALL f",
    "SETRANGE k o v",
    "RANDOMKEY",
    "SCAN u",
];

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let mut args: Vec<Vec<u8>> = Vec::new();
    for word in shape.split(' ') {
        let filled = match word {
            "k" => random.pick(&KEYS).to_string(),
            "v" => random.pick(&VALUES).to_string(),
            "n" => random.pick(&NUMBERS).to_string(),
            "o" => {
                random.pick(&["0", "1", "7", "-1", "x", "536870912", "9223372036854775807"]).into()
            }
            "u" => random.pick(&CURSORS).to_string(),
            "t" => random.pick(&TTLS).to_string(),
            "m" => random.pick(&TTLS_MS).to_string(),
            "T" => random.pick(&TIMES).to_string(),
            "M" => random.pick(&TIMES_MS).to_string(),
            "f" => random.pick(&["ASYNC", "sync", "nonsense"]).into(),
            "p" => random.pick(&["*", "a", "[a-c]", "[^a]", "?", "", "\\a", "[b"]).into(),
            "e" => random.pick(&["NX", "xx", "GT", "lt", "nonsense"]).into(),
            "l" => random
                .pick(&["LEN", "IDX", "WITHMATCHLEN", "MINMATCHLEN 2", "nonsense", "MINMATCHLEN"])
                .into(),
            "c" => random.pick(&["REPLACE", "replace", "DB 0", "DB x", "DB", "nonsense"]).into(),
            "s" | "x" => {
                let ex = ["EX", "PX", "EXAT", "PXAT"][random.below(4)];
                let amount = match ex {
                    "EX" => random.pick(&TTLS),
                    "PX" => random.pick(&TTLS_MS),
                    "EXAT" => random.pick(&TIMES),
                    _ => random.pick(&TIMES_MS),
                };
                let ex = format!("{ex} {amount}");
                let set = ["NX", "xx", "GET", "KEEPTTL", &ex, &ex, "EX", "PERSIST"];
                let getex = ["PERSIST", &ex, &ex, "persist", "PX", "nonsense"];
                if word == "s" { random.pick(&set).into() } else { random.pick(&getex).into() }
            }
            name => name.into(),
        };
        // Options with an argument are two words, and values may have blanks.
        if "slxc".contains(word) && word.len() == 1 {
            args.extend(filled.split(' ').map(|part| part.as_bytes().to_vec()));
        } else {
            args.push(filled.into_bytes());
        }
    }
    args
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    pair.check_random(SHAPES, &KEYS, fill);
}

#[test]
fn patterns_match_as_in_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let mut random = Random(seed());
    let text = |random: &mut Random, alphabet: &[&str], most: usize| {
        (0..random.below(most + 1)).map(|_| random.pick(alphabet)).collect::<String>()
    };
    for _ in 0..100 {
        // Redis' matcher thinks that `**` does not match nothing, so no key is empty.
        let key = text(&mut random, &["a", "b", "c", "-", "]"], 8) + "a";
        pair.check(&["SET".into(), key.into_bytes(), "x".into()]);
    }
    for _ in 0..3000 {
        let pattern = text(&mut random, &["a", "b", "c", "*", "?", "[", "]", "^", "-", "\\"], 8);
        pair.check(&["KEYS".into(), pattern.into_bytes()]);
    }
}
