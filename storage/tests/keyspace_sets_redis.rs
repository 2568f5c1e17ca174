//! Commands of sets to a real redis-server and to the keyspace.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Random, seed};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
const SHAPES: &[&str] = &[
    "SADD k m",
    "SADD k m m m m m m",
    "SADD k i i i i i i i i",
    "SADD k many",
    "SREM k m",
    "SREM k m m m m m m",
    "SREM k i i i i i i i i",
    "SREM k many",
    "SCARD k",
    "SISMEMBER k m",
    "SMISMEMBER k m m i i",
    "SMEMBERS k",
    "SMOVE k k m",
    "SMOVE k k i",
    "SPOP k all",
    "SPOP k bad",
    "SPOP k m m",
    "SRANDMEMBER k",
    "SRANDMEMBER k n",
    "SRANDMEMBER k n n",
    "SSCAN k 0",
    "SSCAN k x",
    "SSCAN k 0 COUNT n",
    "SSCAN k 0 MATCH m",
    "SSCAN k 0 TYPE set",
    "SINTER k",
    "SINTER k k",
    "SINTER k k k",
    "SINTERCARD n k k",
    "SINTERCARD 1 k",
    "SINTERCARD 2 k k LIMIT n",
    "SINTERCARD 2 k k LIMIT n LIMIT n",
    "SINTERCARD 2 k k m",
    "SINTERCARD 1 k LIMIT",
    "SINTERSTORE k k k",
    "SINTERSTORE k k",
    "SUNION k k k",
    "SUNIONSTORE k k",
    "SUNIONSTORE k k k k",
    "SDIFF k k",
    "SDIFF k k k k",
    "SDIFFSTORE k k",
    "SDIFFSTORE k k k",
    "SDIFFSTORE k k k k k k",
    "SET k m",
    "DEL k",
    "COPY k k REPLACE",
    "RENAME k k",
    "EXPIRE k 1000",
    "HSET k m m",
    "TYPE k",
    "OBJECT ENCODING k",
    "OBJECT ENCODING k",
    "OBJECT ENCODING k",
    "OBJECT ENCODING k",
];

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let mut args = Vec::new();
    for word in shape.split(' ') {
        let integer = |random: &mut Random| (random.below(800) as i64 - 400).to_string();
        match word {
            "k" => args.push(random.pick(&KEYS).to_owned()),
            "m" => args.push(match random.below(12) {
                0 => "x".repeat(2000),
                1 => "9223372036854775808".to_owned(),
                2 => "-9223372036854775808".to_owned(),
                3 => random.pick(&["", "-0", "007", " 1", "+1", "1.0"]).to_owned(),
                4..8 => format!("m{}", random.below(10)),
                _ => random.below(10).to_string(),
            }),
            "i" => args.push(random.below(12).to_string()),
            "many" => args.extend((0..250).map(|_| integer(random))),
            "all" => args.push(random.pick(&["100000", "0", "9223372036854775807"]).to_owned()),
            "bad" => args.push(random.pick(&["x", "", "-1", "1.5", "01"]).to_owned()),
            "n" => {
                let counts =
                    ["0", "1", "2", "3", "-2", "-5", "100", "-9223372036854775808", "x", ""];
                args.push(random.pick(&counts).to_owned());
            }
            other => args.push(other.to_owned()),
        }
    }
    args.into_iter().map(String::into_bytes).collect()
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    pair.check_random(SHAPES, &KEYS, fill);
}

/// Chance takes other members here and there, so the sets are of members that are all alike.
#[test]
fn what_spop_leaves_is_of_the_form_that_redis_gives_it() {
    let Some(mut pair) = Pair::start() else { return };
    let mut random = Random(seed());
    for _ in 0..500 {
        let size_max = random.pick(&["40", "40", "40", "3000"]).parse().expect("a number");
        let size = 1 + random.below(size_max);
        let prefix = random.pick(&["", "", "x"]);
        let names = (0..size).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>();
        pair.check_line(&format!("SADD s {}", names.join(" ")));
        if random.below(3) > 0 {
            pair.check_line("SADD s x");
            pair.check_line("SREM s x");
        }
        pair.check_line("EXPIRE s 1000");
        for _ in 0..random.below(4) {
            match random.below(3) {
                0 => pair.check_line("SPOP s"),
                1 => pair.check_line(&format!("SPOP s {}", random.below(size + 2))),
                _ => pair.check_line(&format!("SRANDMEMBER s {}", random.below(size + 2))),
            }
            for command in ["SCARD s", "OBJECT ENCODING s", "TTL s"] {
                pair.check_line(command);
            }
        }
        pair.check_line("DEL s");
    }
}
