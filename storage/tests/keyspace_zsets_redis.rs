//! The same commands of sorted sets to a real redis-server and to the keyspace.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Random, seed, split};

/// Keys of any members, keys whose members are few and short, and keys of a single score: only of
/// the last two it is certain what Redis shows of a range of names.
const KEYS: [&str; 8] = ["a", "b", "c", "d", "few1", "few2", "same1", "same2"];
const SHAPES: &[&str] = &[
    "ZADD k s m",
    "ZADD k s m s m s m s m",
    "ZADD k o s m s m",
    "ZADD k o o s m s m",
    "ZADD k o o o s m",
    "ZADD k CH GT many",
    "ZADD k many",
    "ZADD k s",
    "ZADD k s m s",
    "ZADD few s f s f s f",
    "ZADD same 5 m 5 m 5 m 5 m",
    "ZADD same samemany",
    "ZINCRBY k s m",
    "ZINCRBY k o m",
    "ZREM k m",
    "ZREM k m m m m m m m m",
    "ZREM few f f f",
    "ZREM same m m",
    "ZCARD k",
    "ZSCORE k m",
    "ZMSCORE k m m m",
    "ZRANK k m",
    "ZREVRANK k m",
    "ZCOUNT k x x",
    "ZLEXCOUNT few l l",
    "ZLEXCOUNT same l l",
    "ZRANGE k i i",
    "ZRANGE k i i r",
    "ZRANGE k i i r r",
    "ZRANGE k x x BYSCORE r",
    "ZRANGE k x x BYSCORE r r",
    "ZRANGE few l l BYLEX r r",
    "ZRANGE same l l BYLEX r LIMIT n n",
    "ZRANGE k x x r LIMIT n n r",
    "ZRANGE k i i LIMIT n n",
    "ZREVRANGE k i i",
    "ZREVRANGE k i i r",
    "ZRANGEBYSCORE k x x",
    "ZRANGEBYSCORE k x x WITHSCORES LIMIT n n",
    "ZRANGEBYSCORE k x x r r",
    "ZREVRANGEBYSCORE k x x LIMIT n n WITHSCORES",
    "ZREVRANGEBYSCORE k x x",
    "ZRANGEBYLEX few l l",
    "ZRANGEBYLEX same l l LIMIT n n",
    "ZRANGEBYLEX same l l WITHSCORES",
    "ZREVRANGEBYLEX few l l",
    "ZREVRANGEBYLEX same l l LIMIT n n",
    "ZRANGESTORE k k i i r",
    "ZRANGESTORE k k x x BYSCORE r",
    "ZRANGESTORE k k x x BYSCORE REV LIMIT n n",
    "ZRANGESTORE k same l l BYLEX LIMIT n n",
    "ZREMRANGEBYRANK k i i",
    "ZREMRANGEBYSCORE k x x",
    "ZREMRANGEBYLEX few l l",
    "ZREMRANGEBYLEX same l l",
    "ZPOPMIN k",
    "ZPOPMAX k",
    "ZPOPMIN k n",
    "ZPOPMAX k n",
    "ZPOPMAX k n n",
    "ZMPOP n k end",
    "ZMPOP 1 k end",
    "ZMPOP 2 k k end COUNT n",
    "ZMPOP 2 k k end COUNT n COUNT n",
    "BZPOPMIN k t",
    "BZPOPMAX k k k t",
    "BZMPOP t 1 k end",
    "BZMPOP t n k k end COUNT n",
    "ZRANDMEMBER k",
    "ZRANDMEMBER k n",
    "ZRANDMEMBER k n WITHSCORES",
    "ZRANDMEMBER k n x",
    "ZSCAN k 0",
    "ZSCAN k x",
    "ZSCAN k 0 COUNT n",
    "ZSCAN k 0 MATCH m",
    "ZSCAN k 0 TYPE zset",
    "ZUNION n k k",
    "ZUNION 2 k k WITHSCORES",
    "ZUNION 2 k k u",
    "ZUNION 3 k k k u u",
    "ZINTER 1 k u",
    "ZINTER 2 k k WITHSCORES",
    "ZINTER 3 k k k u u",
    "ZDIFF 2 k k",
    "ZDIFF 3 k k k WITHSCORES",
    "ZDIFF n k k u",
    "ZINTERCARD 2 k k",
    "ZINTERCARD n k k LIMIT n",
    "ZINTERCARD 2 k k u",
    "ZUNIONSTORE k n k k u",
    "ZUNIONSTORE k 2 k k",
    "ZUNIONSTORE k 3 k k k u u",
    "ZINTERSTORE k 2 k k u",
    "ZINTERSTORE k n k k u",
    "ZDIFFSTORE k 2 k k",
    "ZDIFFSTORE k n k k u",
    "SET k v",
    "HSET k f v",
    "DEL k",
    "DEL k",
    "DEL few",
    "DEL same",
    "COPY k k",
    "RENAME k k",
    "EXPIRE k 1000",
    "GET k",
    "TYPE k",
    "OBJECT ENCODING k",
];

const SCORES: [&str; 24] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "1",
    "2",
    "5",
    "0.1",
    "0.2",
    "1.5",
    "-0",
    "inf",
    "-inf",
    "1e17",
    "0x1p3",
    "3.0000000000000004",
    "9007199254740993",
    "nan",
    "x",
    "",
    " 1",
    "1e400",
    "-1e-310",
];
const COUNTS: [&str; 12] =
    ["0", "1", "2", "3", "5", "300", "-1", "x", "", "4611686018427387904", "1.5", "-2"];
const RANKS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "5",
    "-5",
    "100",
    "-100",
    "300",
    "-300",
    "x",
    "9223372036854775807",
    "-9223372036854775807",
];
const BOUNDS: [&str; 16] = [
    "-inf", "+inf", "(inf", "0", "(0", "1", "(1", "2", "(2", "5", "0.15", "-1", "", "(", "x", " 2",
];
const NAMES: [&str; 14] =
    ["-", "+", "[m1", "(m1", "[m5", "(m5", "[m", "(m3", "[f1", "(f5", "[", "(", "x", "-x"];

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let mut args: Vec<String> = Vec::new();
    for word in shape.split(' ') {
        match word {
            "k" => args.push(random.pick(&KEYS[..4]).into()),
            "few" => args.push(random.pick(&KEYS[4..6]).into()),
            "same" => args.push(random.pick(&KEYS[6..]).into()),
            "m" => args.push(any_member(random)),
            "f" => args.push(format!("f{}", random.below(12))),
            "many" => {
                for _ in 0..=random.below(140) {
                    args.extend([random.pick(&SCORES[..18]).into(), any_member(random)]);
                }
            }
            "samemany" => {
                for _ in 0..=random.below(140) {
                    args.extend(["5".to_owned(), any_member(random)]);
                }
            }
            "s" => args.push(random.pick(&SCORES).into()),
            "o" => args.push(random.pick(&["NX", "XX", "GT", "LT", "CH", "INCR", "ch"]).into()),
            "n" => args.push(random.pick(&COUNTS).into()),
            "i" => args.push(random.pick(&RANKS).into()),
            "x" => args.push(random.pick(&BOUNDS).into()),
            "l" => args.push(random.pick(&NAMES).into()),
            "r" => args.extend(match random.below(8) {
                0..=2 => Some("WITHSCORES".to_owned()),
                3 | 4 => Some("REV".to_owned()),
                5 => Some("BYSCORE".to_owned()),
                6 => Some("x".to_owned()),
                _ => None,
            }),
            "u" => args.extend(
                match random.below(8) {
                    0 => split("WITHSCORES"),
                    1 => split("AGGREGATE min"),
                    2 => split("AGGREGATE MAX"),
                    3 => split("AGGREGATE x"),
                    4 => split("WEIGHTS 2 -1"),
                    5 => split("WEIGHTS 0 0.1 inf"),
                    6 => split("WEIGHTS -2 3"),
                    _ => split("LIMIT 2"),
                }
                .into_iter()
                .map(|word| String::from_utf8(word).expect("options are text")),
            ),
            "t" => args.push(random.pick(&["0", "0.01", "x", "-1", "inf"]).into()),
            "end" => args.push(random.pick(&["MIN", "MAX", "min", "x"]).into()),
            other => args.push(other.to_owned()),
        }
    }
    args.into_iter().map(String::into_bytes).collect()
}

fn any_member(random: &mut Random) -> String {
    match random.below(400) {
        0 => "m".repeat(65),
        1 => "m-that-is-longer-than-any-leaf ".repeat(50),
        2 => String::new(),
        number if number < 60 => format!("m{}", random.below(2000)),
        number => format!("m{}", number % 16),
    }
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    pair.check_random(SHAPES, &KEYS, fill);
}

#[test]
fn scores_and_bounds_are_read_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let mut random = Random(seed());
    for round in 0..5000 {
        let sign = random.pick(&["", "", "-", "+", " ", "(", "\t", "- "]);
        let hexadecimal = random.below(3) == 0;
        let digits = if hexadecimal { "0123456789abcDEF" } else { "0123456789" };
        let digits: Vec<String> = digits.chars().map(String::from).collect();
        let mut text = sign.to_owned();
        text += if hexadecimal { random.pick(&["0x", "0X"]) } else { "" };
        for _ in 0..random.below(24) {
            text += &digits[random.below(digits.len())];
        }
        text += random.pick(&["", ".", "..", ".5", ".8", ".0000000000000001", "x"]);
        let marker = if hexadecimal { "p" } else { random.pick(&["e", "E"]) };
        let exponent = random.pick(&["", "1", "-3", "+9", "-1074", "-1080", "-330", "308", "1023"]);
        if random.below(2) == 0 {
            text += &format!("{marker}{exponent}");
        }
        text += random.pick(&["", "", "", "", "", " ", "\0", "\0x"]);
        let key = if round % 100 < 50 { "small" } else { "large" };
        let other = "x".repeat(if key == "small" { 1 } else { 99 });
        for words in [
            &["ZADD", key, &text, "a", "1", &other][..],
            &["ZSCORE", key, "a"],
            &["ZCOUNT", key, &text, "+inf"],
            &["ZCOUNT", key, "-inf", &text],
        ] {
            pair.check(&words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
        }
        // A small one is shown as it is.
        let theirs = pair.redis.call(&split("ZSCAN small 0"));
        assert_eq!(pair.db.run("ZSCAN small 0"), theirs, "{text}");
    }
}
