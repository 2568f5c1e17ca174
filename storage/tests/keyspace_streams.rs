//! Streams: what the rows promise, line by line, and the same commands to a real redis-server.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Db, Random};

#[test]
fn entries_come_in_the_order_of_their_ids() {
    Db::new().script(
        r#"
        XADD s 5 a 1 -> "5-0"
        XADD s 5-* b 2 c 3 -> "5-1"
        XADD s * d 4 -> "1000000-0"
        XADD s * e "" -> "1000000-1"
        +7
        XADD s * f 5 -> "1000007-0"
        XADD s 0-0 a 1 -> ERR The ID specified in XADD must be greater than 0-0
        XADD s 2000000 a -> ERR wrong number of arguments for 'xadd' command
        XADD n NOMKSTREAM * a 1 -> null
        XLEN s -> 5
        XLEN n -> 0
        XRANGE s - 5 -> [["5-0" ["a" "1"]] ["5-1" ["b" "2" "c" "3"]]]
        XRANGE s (5-1 + COUNT 1 -> [["1000000-0" ["d" "4"]]]
        XREVRANGE s + (5-0 COUNT 2 -> [["1000007-0" ["f" "5"]] ["1000000-1" ["e" ""]]]
        XRANGE s - + COUNT 0 -> null array
        XRANGE n - + COUNT 0 -> []
        XRANGE s 9 2 -> []
        XDEL s 5-1 5-1 77 -> 1
        XDEL s 1 x -> ERR Invalid stream ID specified as stream command argument
        XTRIM s MAXLEN 2 -> 2
        XTRIM s MINID 1000007 -> 1
        XADD s MAXLEN 1 3000000 z 6 -> "3000000-0"
        XLEN s -> 1
        XDEL s 3000000 -> 1
        TYPE s -> stream
        OBJECT ENCODING s -> "stream"
        XLEN s -> 0
        XSETID s 18446744073709551615-18446744073709551615 -> OK
        XADD s * a 1 -> ERR The stream has exhausted the last possible ID, unable to add more items
        DEL s -> 1
        EXISTS s -> 0
        SET s v -> OK
        XADD s * a 1 -> WRONGTYPE Operation against a key holding the wrong kind of value
        XLEN s -> WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn groups_share_what_is_new_and_keep_what_is_pending() {
    Db::new().script(
        r#"
        XGROUP CREATE s g $ MKSTREAM -> OK
        XGROUP CREATE s g $ -> BUSYGROUP Consumer Group name already exists
        XADD s 1 a 1 -> "1-0"
        XADD s 2 b 2 -> "2-0"
        XADD s 3 c 3 -> "3-0"
        XREADGROUP GROUP g alice COUNT 2 STREAMS s > -> {"s": [["1-0" ["a" "1"]] ["2-0" ["b" "2"]]]}
        XREADGROUP GROUP g bob STREAMS s > -> {"s": [["3-0" ["c" "3"]]]}
        XREADGROUP GROUP g carol STREAMS s > -> null array
        XPENDING s g -> [3 "1-0" "3-0" [["alice" "2"] ["bob" "1"]]]
        +100
        XREADGROUP GROUP g alice STREAMS s 1 -> {"s": [["2-0" ["b" "2"]]]}
        XPENDING s g - + 10 -> [["1-0" "alice" 100 1] ["2-0" "alice" 0 2] ["3-0" "bob" 100 1]]
        XPENDING s g IDLE 50 - + 10 alice -> [["1-0" "alice" 100 1]]
        XPENDING s g IDLE 101 - + 10 -> []
        XPENDING s g - + 10 nobody -> []
        XACK s g 2 2 9 -> 1
        XACK s n 1 -> 0
        XCLAIM s g bob 101 1 -> []
        XCLAIM s g bob 100 1 -> [["1-0" ["a" "1"]]]
        XCLAIM s g alice 0 2 FORCE JUSTID IDLE 30 RETRYCOUNT 7 -> ["2-0"]
        XPENDING s g (1 2-0 10 -> [["2-0" "alice" 30 7]]
        XDEL s 3 -> 1
        XREADGROUP GROUP g bob STREAMS s 0 -> {"s": [["1-0" ["a" "1"]] ["3-0" null array]]}
        XAUTOCLAIM s g dave 0 - COUNT 1 -> ["2-0" [["1-0" ["a" "1"]]] []]
        XAUTOCLAIM s g dave 0 2 JUSTID -> ["0-0" ["2-0"] ["3-0"]]
        XINFO CONSUMERS s g -> [{"name": "alice", "pending": 0, "idle": 0} {"name": "bob", "pending": 0, "idle": 0} {"name": "dave", "pending": 2, "idle": 0}]
        XGROUP CREATECONSUMER s g erin -> 1
        XGROUP CREATECONSUMER s g erin -> 0
        XGROUP DELCONSUMER s g dave -> 2
        XGROUP DELCONSUMER s g dave -> 0
        XPENDING s g -> [0 null null null array]
        XREADGROUP GROUP g alice NOACK STREAMS s 0 -> {"s": []}
        XGROUP SETID s g 0 -> OK
        XREADGROUP GROUP g alice NOACK COUNT 1 STREAMS s > -> {"s": [["1-0" ["a" "1"]]]}
        XPENDING s g -> [0 null null null array]
        XGROUP DESTROY s g -> 1
        XGROUP DESTROY s g -> 0
        XINFO GROUPS s -> []
        "#,
    );
}

#[test]
fn what_a_group_lags_behind_is_told_where_it_is_known() {
    Db::new().script(
        r#"
        XADD s 1 a 1 -> "1-0"
        XADD s 2 a 1 -> "2-0"
        XADD s 3 a 1 -> "3-0"
        XGROUP CREATE s g 0 -> OK
        XINFO GROUPS s -> [{"name": "g", "consumers": 0, "pending": 0, "last-delivered-id": "0-0", "entries-read": null, "lag": 3}]
        XREADGROUP GROUP g c COUNT 1 STREAMS s > -> {"s": [["1-0" ["a" "1"]]]}
        XINFO GROUPS s -> [{"name": "g", "consumers": 1, "pending": 1, "last-delivered-id": "1-0", "entries-read": 1, "lag": 2}]
        XDEL s 2 -> 1
        XINFO GROUPS s -> [{"name": "g", "consumers": 1, "pending": 1, "last-delivered-id": "1-0", "entries-read": 1, "lag": null}]
        XINFO STREAM s -> {"length": 2, "radix-tree-keys": 1, "radix-tree-nodes": 2, "last-generated-id": "3-0", "max-deleted-entry-id": "2-0", "entries-added": 3, "recorded-first-entry-id": "1-0", "groups": 1, "first-entry": ["1-0" ["a" "1"]], "last-entry": ["3-0" ["a" "1"]]}
        XINFO STREAM s FULL COUNT 1 -> {"length": 2, "radix-tree-keys": 1, "radix-tree-nodes": 2, "last-generated-id": "3-0", "max-deleted-entry-id": "2-0", "entries-added": 3, "recorded-first-entry-id": "1-0", "entries": [["1-0" ["a" "1"]]], "groups": [{"name": "g", "last-delivered-id": "1-0", "entries-read": 1, "lag": null, "pel-count": 1, "pending": [["1-0" "c" 1000000 1]], "consumers": [{"name": "c", "seen-time": 1000000, "pel-count": 1, "pending": [["1-0" 1000000 1]]}]}]}
        XINFO STREAM n -> ERR no such key
        "#,
    );
}

#[test]
fn a_read_that_waits_is_one_attempt_here() {
    Db::new().script(
        r#"
        XREAD BLOCK 0 STREAMS s $ -> null array
        XADD s 1 a 1 -> "1-0"
        XREAD BLOCK 0 STREAMS s $ -> null array
        XREAD COUNT 1 STREAMS s n 0 0 -> {"s": [["1-0" ["a" "1"]]]}
        XREAD BLOCK -1 STREAMS s 0 -> ERR timeout is negative
        XREAD BLOCK x STREAMS s 0 -> ERR timeout is not an integer or out of range
        XREAD STREAMS s -> ERR wrong number of arguments for 'xread' command
        "#,
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let mut db = Db::new();
    db.script(
        r#"
        XADD s 5-1 a 1 -> "5-1"
        XADD last 18446744073709551615-18446744073709551615 a 1 -> "18446744073709551615-18446744073709551615"
        SET string v -> OK
        "#,
    );
    let small = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
    let last = "ERR The stream has exhausted the last possible ID, unable to add more items";
    let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let no_key = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
                  want to use the MKSTREAM option to create an empty stream automatically.";
    let no_group = "NOGROUP No such key 's' or consumer group 'g'";
    let unbalanced = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be \
                      specified.";
    for (line, error) in [
        ("XADD s 5-1 a 1", small),
        ("XADD s 4-* a 1", small),
        ("XADD last * a 1", last),
        ("XADD string * a 1", wrong_type),
        ("XLEN string", wrong_type),
        ("XREAD STREAMS s string 0 0", wrong_type),
        ("XGROUP CREATE n g $", no_key),
        ("XGROUP DESTROY n g", no_key),
        ("XGROUP SETID s g 0", "NOGROUP No such consumer group 'g' for key name 's'"),
        ("XPENDING s g", no_group),
        ("XCLAIM s g c 0 1", no_group),
        (
            "XREADGROUP GROUP g c STREAMS s >",
            &format!("{no_group} in XREADGROUP with GROUP option"),
        ),
        ("XREAD STREAMS s n 0", unbalanced),
    ] {
        assert_eq!(db.run(line), *error, "{line}");
    }
}

/// As in Redis, whole nodes of a hundred go, and not too many at once.
#[test]
fn about_is_by_hundreds() {
    let mut db = Db::new();
    for number in 1..=1234 {
        db.run(&format!("XADD s {number} a 1"));
    }
    db.script(
        r#"
        XTRIM s MAXLEN ~ 1135 -> 0
        XTRIM s MAXLEN ~ 1134 -> 100
        XTRIM s MINID ~ 350 -> 200
        XTRIM s MAXLEN ~ 0 LIMIT 250 -> 200
        XADD s MAXLEN ~ 700 9999 a 1 -> "9999-0"
        XLEN s -> 735
        XTRIM s MAXLEN = 650 -> 85
        XTRIM s MAXLEN ~ 0 -> 650
        "#,
    );
}

/// Who watches a stream sees entries come and go; what others have read is not a change.
#[test]
fn what_changes_groups_alone_is_no_change_of_the_key() {
    let mut db = Db::new();
    db.keyspace.changes().want(true);
    for (line, is_change) in [
        ("XADD s 1 a 1", true),
        ("XADD s 1 a 1", false),
        ("XGROUP CREATE s g 0", false),
        ("XREADGROUP GROUP g c STREAMS s >", false),
        ("XREADGROUP GROUP g d STREAMS s >", false),
        ("XCLAIM s g d 0 1", false),
        ("XACK s g 1", false),
        ("XDEL s 2", false),
        ("XDEL s 1", true),
        ("XTRIM s MAXLEN 0", false),
        ("XGROUP CREATE n g 0 MKSTREAM", true),
        // Who waits for it is to learn that it is gone.
        ("XGROUP DESTROY s g", true),
    ] {
        db.run(line);
        assert_eq!(!db.keyspace.changes().take().is_empty(), is_change, "{line}");
    }
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const SHAPES: &[&str] = &[
    "XADD k i f v",
    "XADD k i f v",
    "XADD k i f v f v",
    "XADD k i f v",
    "XADD k i f v f",
    "XADD k o f v",
    "XADD k NOMKSTREAM i f v",
    "XADD k MAXLEN m i f v",
    "XADD k MAXLEN = m i f v",
    "XADD k MINID o i f v",
    "XADD k MAXLEN ~ 100000 LIMIT n i f v",
    "XADD k MAXLEN m LIMIT n i f v",
    "XADD k LIMIT n i f v",
    "XADD k MAXLEN m MINID o i f v",
    "XADD k nomkstream MAXLEN m",
    "XLEN k",
    "XRANGE k o o",
    "XRANGE k - +",
    "XRANGE k o + COUNT n",
    "XRANGE k o + COUNT n x",
    "XREVRANGE k o o",
    "XREVRANGE k + o COUNT n",
    "XDEL k o",
    "XDEL k o o o",
    "XTRIM k MAXLEN m",
    "XTRIM k MINID o",
    "XTRIM k MINID = o",
    "XTRIM k n",
    "XTRIM k LIMIT n MAXLEN m",
    "XSETID k o",
    "XSETID k o ENTRIESADDED n",
    "XSETID k i ENTRIESADDED n MAXDELETEDID o",
    "XSETID k i MAXDELETEDID o",
    "XSETID k o n",
    "XREAD STREAMS k o",
    "XREAD COUNT n STREAMS k k o o",
    "XREAD BLOCK 1 STREAMS k o",
    "XREAD COUNT n STREAMS k o o",
    "XREAD BLOCK n COUNT 1 STREAMS",
    "XREAD GROUP g c STREAMS k o",
    "XREAD NOACK STREAMS k o",
    "XREADGROUP GROUP g c STREAMS k >",
    "XREADGROUP GROUP g c STREAMS k >",
    "XREADGROUP GROUP g c COUNT n STREAMS k >",
    "XREADGROUP GROUP g c COUNT n NOACK STREAMS k >",
    "XREADGROUP GROUP g c STREAMS k o",
    "XREADGROUP GROUP g c COUNT n STREAMS k k o >",
    "XREADGROUP GROUP g c BLOCK 1 STREAMS k >",
    "XREADGROUP COUNT n BLOCK 1 NOACK STREAMS k >",
    "XREADGROUP GROUP g c n STREAMS k >",
    "XACK k g o",
    "XACK k g o o o",
    "XPENDING k g",
    "XPENDING k g o o n",
    "XPENDING k g - + 1000 c",
    "XPENDING k g o o n c",
    "XPENDING k g IDLE t o o n",
    "XPENDING k g IDLE t o o n c",
    "XPENDING k g IDLE t o",
    "XPENDING k g IDLE t o o",
    "XPENDING k g n n n n n",
    "XCLAIM k g c t o",
    "XCLAIM k g c t o o o",
    "XCLAIM k g c t o o FORCE",
    "XCLAIM k g c t o o JUSTID",
    "XCLAIM k g c t o FORCE JUSTID RETRYCOUNT n",
    "XCLAIM k g c t o IDLE d",
    "XCLAIM k g c t o TIME n",
    "XCLAIM k g c t o LASTID o",
    "XCLAIM k g c t o n",
    "XAUTOCLAIM k g c t o",
    "XAUTOCLAIM k g c t o COUNT n",
    "XAUTOCLAIM k g c t o JUSTID",
    "XAUTOCLAIM k g c t o COUNT n JUSTID n",
    "XGROUP CREATE k g o",
    "XGROUP CREATE k g o MKSTREAM",
    "XGROUP CREATE k g $ MKSTREAM ENTRIESREAD n",
    "XGROUP CREATE k g o ENTRIESREAD n",
    "XGROUP CREATE k g o n n",
    "XGROUP CREATE k g o MKSTREAM MKSTREAM MKSTREAM MKSTREAM",
    "XGROUP SETID k g o",
    "XGROUP SETID k g $ ENTRIESREAD n",
    "XGROUP SETID k g o ENTRIESREAD n ENTRIESREAD n",
    "XGROUP SETID k g o n",
    "XGROUP CREATECONSUMER k g c",
    "XGROUP DELCONSUMER k g c",
    "XGROUP DESTROY k g",
    "XGROUP DESTROY k g n",
    "XGROUP nonsense k g",
    "XINFO STREAM k",
    "XINFO STREAM k FULL",
    "XINFO STREAM k FULL",
    "XINFO STREAM k FULL COUNT n",
    "XINFO STREAM k FULL n",
    "XINFO STREAM k COUNT 1",
    "XINFO GROUPS k",
    "XINFO CONSUMERS k g",
    "XINFO nonsense k",
    "SET d v",
    "DEL k",
    "COPY k k REPLACE",
    "RENAME k k",
    "TYPE k",
];
/// IDs that are not one, or the least or greatest.
const ODD_IDS: [&str; 18] = [
    "0",
    "0-0",
    "0-1",
    "-",
    "+",
    "$",
    ">",
    "x",
    "1-",
    "-1",
    "01-+2",
    " 3-1",
    "(4",
    "(-",
    "18446744073709551615",
    "18446744073709551615-18446744073709551614",
    "18446744073709551615-18446744073709551615",
    "18446744073709551616-1",
];

/// Fills in shapes; `last` is the number that the newest ID comes from.
fn fill(shape: &str, random: &mut Random, last: &mut u64) -> Vec<Vec<u8>> {
    let old = |random: &mut Random, last: u64| {
        let back = if random.below(3) == 0 { 3000 } else { 40 };
        let number = (last + 3).saturating_sub(random.below(back) as u64);
        match random.below(20) {
            0..=2 => random.pick(&ODD_IDS).to_owned(),
            3 => format!("({}-{}", number / 3, number % 3),
            4 => (number / 3).to_string(),
            _ => format!("{}-{}", number / 3, number % 3),
        }
    };
    let mut word = |word: &str| match word {
        // One of them is a string most of the time.
        "k" => KEYS[[0, 0, 0, 0, 1, 1, 1, 2, 2, 3][random.below(10)]].into(),
        "f" => format!("f{}", random.below(3)),
        "v" => match random.below(30) {
            0 => "a long value ".repeat(100),
            number => format!("value-of-some-bytes-{number}"),
        },
        "g" => random.pick(&["g", "h"]).into(),
        "c" => random.pick(&["x", "y", "a consumer with a name"]).into(),
        "i" => {
            *last += 1;
            match random.below(12) {
                0 => format!("{}-*", *last / 3),
                1 => (*last / 3).to_string(),
                _ => format!("{}-{}", *last / 3, *last % 3),
            }
        }
        "o" => old(random, *last),
        // How long something must have been pending: nothing, or longer than tests take.
        "t" => random.pick(&["0", "0", "20000000", "-5", "x"]).into(),
        "d" => random.pick(&["0", "50000000", "-1", "9223372036854775807", "x"]).into(),
        "m" => random.pick(&["0", "30", "100", "300", "1000", "9223372036854775807", "-1"]).into(),
        "n" => random
            .pick(&["0", "1", "2", "3", "10", "50", "-1", "-2", "9223372036854775807", "x", ""])
            .into(),
        other => other.to_owned(),
    };
    shape.split(' ').map(&mut word).map(String::into_bytes).collect()
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let mut last = 3;
    pair.check_random(SHAPES, &KEYS, |shape, random| fill(shape, random, &mut last));
}

/// Entries that are small and stay until they are trimmed: there Redis' nodes have a hundred too.
#[test]
fn trimming_about_is_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let shapes = [
        "XADD k i a 1",
        "XADD k i a 1",
        "XADD k i a 1",
        "XADD k i a 1",
        "XADD k i a 1",
        "XADD k MAXLEN ~ m i a 1",
        "XADD k MAXLEN ~ m LIMIT m i a 1",
        "XTRIM k MAXLEN ~ m",
        "XTRIM k MINID ~ j",
        "XTRIM k MINID ~ j LIMIT m",
        "XTRIM k MAXLEN ~ m LIMIT 0",
        "XLEN k",
        "XINFO STREAM k",
    ];
    let mut last = 3;
    pair.check_random(&shapes, &KEYS, |shape, random| {
        let mut word = |word: &str, random: &mut Random| match word {
            "j" => (last - last.min(random.below(900) as u64)).to_string(),
            "m" => (100 + random.below(500)).to_string(),
            "i" => {
                last += 1;
                last.to_string()
            }
            "k" => random.pick(&KEYS).to_owned(),
            other => other.to_owned(),
        };
        shape.split(' ').map(|text| word(text, random).into_bytes()).collect()
    });
}
