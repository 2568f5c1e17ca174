//! Lists: what the rows promise, line by line, the same commands to a real redis-server, and large
//! lists against plain vectors.

mod keyspace_support;

use std::collections::VecDeque;

use keyspace_support::redis::Pair;
use keyspace_support::{Db, Random, seed, show};
use proptest::prelude::*;
use raftkv_storage::keyspace::Keyspace;

#[test]
fn elements_come_and_go_at_either_end() {
    Db::new().script(
        r#"
        LPUSHX l a -> 0
        RPUSH l a b c -> 3
        LPUSH l y x -> 5
        RPUSHX l "" -> 6
        LRANGE l 0 -1 -> ["x" "y" "a" "b" "c" ""]
        LLEN l -> 6
        LPOP l -> "x"
        RPOP l 2 -> ["" "c"]
        LPOP l 0 -> []
        LPOP x 0 -> null array
        LPOP x -> null
        LPOP l -1 -> ERR value is out of range, must be positive
        LPOP l 1 2 -> ERR wrong number of arguments for 'lpop' command
        TYPE l -> list
        OBJECT ENCODING l -> "quicklist"
        LPOP l 100 -> ["y" "a" "b"]
        EXISTS l -> 0
        SET s v -> OK
        LPOP s 0 -> WRONGTYPE Operation against a key holding the wrong kind of value
        RPUSH s v -> WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn places_count_from_either_end() {
    Db::new().script(
        r#"
        RPUSH l a b c d e -> 5
        LINDEX l 0 -> "a"
        LINDEX l -1 -> "e"
        LINDEX l 5 -> null
        LINDEX l -6 -> null
        LSET l -2 D -> OK
        LSET l 5 x -> ERR index out of range
        LSET x 0 x -> ERR no such key
        LRANGE l -2 100 -> ["D" "e"]
        LRANGE l 3 1 -> []
        LRANGE l -100 -5 -> ["a"]
        LRANGE l -9223372036854775808 9223372036854775807 -> ["a" "b" "c" "D" "e"]
        LTRIM l 1 -2 -> OK
        LRANGE l 0 -1 -> ["b" "c" "D"]
        LTRIM l 5 1 -> OK
        EXISTS l -> 0
        LTRIM l x 1 -> ERR value is not an integer or out of range
        "#,
    );
}

#[test]
fn elements_are_found_by_what_they_are() {
    Db::new().script(
        r#"
        RPUSH l a b c a b c a -> 7
        LPOS l a -> 0
        LPOS l a RANK 2 -> 3
        LPOS l a RANK -1 -> 6
        LPOS l a RANK -2 COUNT 0 -> [3 0]
        LPOS l a COUNT 2 -> [0 3]
        LPOS l c MAXLEN 2 -> null
        LPOS l x COUNT 1 -> []
        LPOS x a -> null
        LPOS l a COUNT -1 -> ERR COUNT can't be negative
        LINSERT l BEFORE b x -> 8
        LINSERT l after c y -> 9
        LRANGE l 0 -1 -> ["a" "x" "b" "c" "y" "a" "b" "c" "a"]
        LINSERT l AFTER nosuch y -> -1
        LINSERT x AFTER a y -> 0
        LINSERT l x a y -> ERR syntax error
        LREM l -2 a -> 2
        LREM l 1 c -> 1
        LRANGE l 0 -1 -> ["a" "x" "b" "y" "b" "c"]
        LREM l 0 b -> 2
        LREM l 0 nosuch -> 0
        LREM x 0 b -> 0
        "#,
    );
}

#[test]
fn elements_go_from_one_list_to_another() {
    Db::new().script(
        r#"
        RPUSH a 1 2 3 -> 3
        LMOVE a b LEFT RIGHT -> "1"
        RPOPLPUSH a b -> "3"
        LRANGE b 0 -1 -> ["3" "1"]
        LMOVE a a LEFT RIGHT -> "2"
        EXPIRE a 100 -> 1
        LMOVE a a LEFT LEFT -> "2"
        TTL a -> 100
        LMOVE b b LEFT RIGHT -> "3"
        LRANGE b 0 -1 -> ["1" "3"]
        SET s v -> OK
        LMOVE a s LEFT LEFT -> WRONGTYPE Operation against a key holding the wrong kind of value
        LRANGE a 0 -1 -> ["2"]
        LMOVE x s LEFT LEFT -> null
        BLMOVE a b RIGHT LEFT 0 -> "2"
        EXISTS a -> 0
        BLMOVE a b RIGHT LEFT 0 -> null
        BRPOPLPUSH a b 0 -> null
        BRPOPLPUSH b a 0.5 -> "3"
        "#,
    );
}

#[test]
fn the_first_list_that_is_there_is_popped() {
    Db::new().script(
        r#"
        RPUSH b 1 2 3 4 5 -> 5
        LMPOP 2 a b LEFT COUNT 2 -> ["b" ["1" "2"]]
        LMPOP 2 a b RIGHT -> ["b" ["5"]]
        LMPOP 1 a LEFT -> null array
        BLPOP a b 0 -> ["b" "3"]
        BRPOP a 0 -> null array
        BLMPOP 0 2 a b LEFT COUNT 10 -> ["b" ["4"]]
        BLMPOP 0 2 a b LEFT -> null array
        SET s v -> OK
        RPUSH b 1 -> 1
        BLPOP a s b 0 -> WRONGTYPE Operation against a key holding the wrong kind of value
        BLPOP b s 0 -> ["b" "1"]
        "#,
    );
}

/// A write that leaves everything as it was is none: the key keeps its version.
#[test]
fn what_changes_nothing_is_no_write() {
    let mut db = Db::new();
    db.run("RPUSH l a b c");
    let digest = db.keyspace.view().digest();
    for line in [
        "LTRIM l 0 -1",
        "LREM l 0 x",
        "LPOP l 0",
        "LINSERT l BEFORE x y",
        "LSET l 9 x",
        "LPOP x",
        "LPUSHX x y",
        "LMOVE x l LEFT LEFT",
    ] {
        db.run(line);
        assert_eq!(db.keyspace.view().digest(), digest, "{line}");
    }
    db.run("LSET l 0 a");
    assert_ne!(db.keyspace.view().digest(), digest);
}

fn snapshot(db: &Db) -> Vec<u8> {
    let mut bytes = Vec::new();
    db.keyspace.view().write_to(&mut bytes).expect("memory takes it");
    bytes
}

#[test]
fn the_format_is_pinned_and_an_empty_list_refused() {
    let mut db = Db::new();
    db.run("RPUSH k ab \"\"");
    let bytes = snapshot(&db);
    let elements = [&2u64.to_le_bytes()[..], &[2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0]].concat();
    let at = bytes.len() - 9 - elements.len();
    assert_eq!(bytes[at..bytes.len() - 9], elements);
    assert_eq!(bytes[17], 3);
    let empty = [&bytes[..at], &[0; 8], &bytes[bytes.len() - 9..]].concat();
    let error = Keyspace::read_from(&mut &empty[..]).expect_err("it is refused");
    assert_eq!(error.to_string(), "a list without elements");
    for length in 0..bytes.len() {
        assert!(Keyspace::read_from(&mut &bytes[..length]).is_err(), "cut to {length} bytes");
    }
}

/// What is done to a list in the model test, with numbers for places and elements.
#[derive(Clone, Debug)]
enum Step {
    Push(bool, usize, u8),
    Pop(bool, usize),
    Trim(usize, usize),
    Remove(i64, u8),
    Insert(u8, u8),
    Set(usize, u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    let element = 0..4u8;
    prop_oneof![
        6 => (any::<bool>(), 1..3000usize, element.clone()).prop_map(|(left, count, element)| {
            Step::Push(left, count, element)
        }),
        2 => (any::<bool>(), 0..1500usize).prop_map(|(left, count)| Step::Pop(left, count)),
        1 => (0..500usize, 0..500usize).prop_map(|(left, right)| Step::Trim(left, right)),
        3 => (-2000..2000i64, element.clone()).prop_map(|(count, what)| Step::Remove(count, what)),
        2 => (element.clone(), element.clone()).prop_map(|(at, what)| Step::Insert(at, what)),
        2 => (0..5000usize, element).prop_map(|(at, what)| Step::Set(at, what)),
    ]
}

/// Elements of several lengths; one fills a leaf by itself.
fn element(number: u8) -> String {
    let length = [1, 12, 100, 1500][usize::from(number) % 4];
    char::from(b'a' + number).to_string().repeat(length)
}

/// Pushes elements in short runs of equal ones.
fn push(db: &mut Db, model: &mut VecDeque<String>, is_left: bool, count: usize, first: u8) {
    let elements: Vec<String> = (0..count)
        .map(|at| if at % 50 == 0 { 3 } else { ((usize::from(first) + at / 3 % 2) % 3) as u8 })
        .map(element)
        .collect();
    let name: &[u8] = if is_left { b"LPUSH" } else { b"RPUSH" };
    let head: [&[u8]; 2] = [name, b"l"];
    let args: Vec<&[u8]> = head.into_iter().chain(elements.iter().map(String::as_bytes)).collect();
    db.call(&args);
    for element in elements {
        if is_left { model.push_front(element) } else { model.push_back(element) }
    }
}

fn take_step(db: &mut Db, model: &mut VecDeque<String>, step: &Step) {
    let length = model.len();
    match *step {
        Step::Push(is_left, count, first) => push(db, model, is_left, count, first),
        Step::Pop(is_left, count) => {
            let popped = if is_left {
                db.run(&format!("LPOP l {count}"))
            } else {
                db.run(&format!("RPOP l {count}"))
            };
            let taken = (0..count.min(length))
                .filter_map(|_| if is_left { model.pop_front() } else { model.pop_back() });
            let taken = taken.map(|element| format!("\"{element}\"")).collect::<Vec<_>>();
            let expected = format!("[{}]", taken.join(" "));
            assert_eq!(popped, if length == 0 { "null array".to_owned() } else { expected });
        }
        Step::Trim(left, right) => {
            db.run(&format!("LTRIM l {left} -{}", right + 1));
            let end = length.saturating_sub(right);
            *model = model.drain(left.min(end)..end).collect();
        }
        Step::Remove(count, number) => {
            let removed = db.run(&format!("LREM l {count} {}", element(number)));
            let limit = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
            let is_equal = |at: &usize| model[*at] == element(number);
            let places: Vec<usize> = if count < 0 {
                (0..length).rev().filter(is_equal).take(limit).collect()
            } else {
                (0..length).filter(is_equal).take(limit).collect()
            };
            assert_eq!(removed, places.len().to_string());
            let mut at = 0;
            let gone: std::collections::BTreeSet<_> = places.into_iter().collect();
            model.retain(|_| (!gone.contains(&at), at += 1).0);
        }
        Step::Insert(pivot, number) => {
            db.run(&format!("LINSERT l AFTER {} {}", element(pivot), element(number)));
            if let Some(at) = model.iter().position(|found| *found == element(pivot)) {
                model.insert(at + 1, element(number));
            }
        }
        Step::Set(at, number) => {
            db.run(&format!("LSET l {at} {}", element(number)));
            if let Some(place) = model.get_mut(at) {
                *place = element(number);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 64, ..ProptestConfig::default()
    })]

    #[test]
    fn a_large_list_is_a_vector(steps in proptest::collection::vec(any_step(), 1..12)) {
        let (mut db, mut model) = (Db::new(), VecDeque::new());
        for step in &steps {
            let view = db.keyspace.view();
            let digest = view.digest();
            take_step(&mut db, &mut model, step);
            prop_assert_eq!(view.digest(), digest);
            let shown = model.iter().map(|element| format!("\"{element}\"")).collect::<Vec<_>>();
            prop_assert_eq!(db.run("LRANGE l 0 -1"), format!("[{}]", shown.join(" ")));
            prop_assert_eq!(db.run("LLEN l"), model.len().to_string());
        }
        let restored = Keyspace::read_from(&mut &snapshot(&db)[..]).expect("our own bytes");
        prop_assert_eq!(restored.view().digest(), db.keyspace.view().digest());
    }
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const SHAPES: &[&str] = &[
    "LPUSH k e",
    "LPUSH k e e e",
    "LPUSH k many",
    "RPUSH k e e",
    "RPUSH k many",
    "RPUSH k",
    "LPUSHX k e e",
    "RPUSHX k e",
    "LPOP k",
    "LPOP k n",
    "RPOP k",
    "RPOP k n",
    "RPOP k n n",
    "LLEN k",
    "LINDEX k i",
    "LSET k i e",
    "LRANGE k i i",
    "LTRIM k i i",
    "LTRIM k 1 -2",
    "LINSERT k side e e",
    "LREM k i e",
    "LPOS k e",
    "LPOS k e RANK i",
    "LPOS k e option n",
    "LPOS k e option i option n",
    "LPOS k e RANK i COUNT n MAXLEN n",
    "LPOS k e option",
    "LMOVE k k end end",
    "RPOPLPUSH k k",
    "LMPOP n k end",
    "LMPOP 1 k end",
    "LMPOP 2 k k end",
    "LMPOP 2 k k end COUNT n",
    "LMPOP 1 k end COUNT n COUNT n",
    "LMPOP 1 k end option",
    "BLPOP k t",
    "BLPOP k k k t",
    "BLPOP k",
    "BRPOP k k t",
    "BLMOVE k k end end t",
    "BRPOPLPUSH k k t",
    "BLMPOP t 2 k k end",
    "BLMPOP t n k k end COUNT n",
    "SET k e",
    "HSET k e e",
    "DEL k",
    "DEL k",
    "COPY k k",
    "RENAME k k",
    "EXPIRE k 1000",
    "GET k",
    "TYPE k",
    "OBJECT ENCODING k",
];
const COUNTS: [&str; 12] =
    ["0", "1", "2", "3", "5", "300", "-1", "x", "", "9223372036854775806", "1.5", "-2"];
const PLACES: [&str; 16] = [
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "5",
    "-5",
    "7",
    "40",
    "-40",
    "300",
    "-300",
    "x",
    "9223372036854775807",
    "-9223372036854775807",
    "",
];
const TIMEOUTS: [&str; 12] =
    ["0", "0.01", "1", "-1", "-0.0001", "x", "", "1e300", "inf", "nan", "0x1", " 1"];

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let mut args = Vec::new();
    for word in shape.split(' ') {
        let picked: String = match word {
            "k" => random.pick(&KEYS).into(),
            "e" => any_element(random),
            "many" => {
                let count = 1 + random.below(300);
                args.extend((0..count).map(|_| any_element(random).into_bytes()));
                continue;
            }
            "n" => random.pick(&COUNTS).into(),
            "i" => random.pick(&PLACES).into(),
            "t" => random.pick(&TIMEOUTS).into(),
            "end" => random.pick(&["LEFT", "RIGHT", "left", "Right", "LEFT", "RIGHT", "x"]).into(),
            "side" => random.pick(&["BEFORE", "AFTER", "before", "After", "x"]).into(),
            "option" => random.pick(&["RANK", "COUNT", "MAXLEN", "count", "maxlen", "x"]).into(),
            other => other.to_owned(),
        };
        args.push(picked.into_bytes());
    }
    args
}

fn any_element(random: &mut Random) -> String {
    match random.below(40) {
        0 => "long".repeat(300),
        1 => "longer than any leaf ".repeat(500),
        2 => String::new(),
        number @ 3..=12 => (number as i64 * 37_000_000_000 - 200_000_000_000).to_string(),
        number @ 13..=16 => format!("0{number}"),
        number => format!("e{}", number % 8),
    }
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    pair.check_random(SHAPES, &KEYS, fill);
}

#[test]
fn timeouts_are_read_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let mut random = Random(seed());
    for _ in 0..2000 {
        let sign = random.pick(&["", "-", "+", " "]);
        let whole = random.pick(&["0", "", "1", "9223372036854775", "000", "92233720368547758"]);
        let fraction = random.pick(&["", ".", ".0", ".807", ".808", ".8070001", ".0009", ".001"]);
        let exponent = random.pick(&["", "", "", "e1", "e-3", "e-9", "e400", "e4931", "e-4940"]);
        let text = format!("{sign}{whole}{fraction}{exponent}");
        pair.check(&["BLPOP", "nosuch", &text].map(|word| word.as_bytes().to_vec()));
    }
    assert_eq!(show(&pair.db.call(&[b"LLEN", b"nosuch"])), "0");
}
