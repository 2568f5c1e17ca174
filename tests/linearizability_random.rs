//! The checker of client histories against random ones: small histories against all orders there
//! are, long ones of a store that is simple enough to be right by inspection.
//!
//! A failure names its seed; `SEED=17 cargo test --test linearizability_random` plays that alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "simulation/linearizability/mod.rs"]
mod linearizability;

use std::collections::BTreeMap;
use std::time::Instant;

use linearizability::{
    Clock, Condition, Event, Failure, History, Item, Model, Moment, Op, OpId, Reply, Search, Seen,
    State, Verdict,
};

const CLOCK: Clock = Clock { early: 3, late: Some(3) };

/// A linear generator whose high bits are used.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// Returns the seeds to try: that of the environment, or this many.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let seed: Option<u64> = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    seed.map_or(0..count, |seed| seed..seed + 1)
}

/// A value, its version, and when it ends.
type Held = (Vec<u8>, u64, Option<u64>);

/// The store whose histories must be found right: one operation at a time.
#[derive(Default)]
struct Store {
    keys: BTreeMap<u32, Held>,
    version: u64,
}

impl Store {
    /// Carries out an operation; a deadline that it sets is `late`. `tells` is whether the protocol
    /// tells versions.
    fn apply(&mut self, now: u64, late: i64, key: u32, op: &Op, tells: bool) -> Reply {
        if self.keys.get(&key).is_some_and(|held| held.2.is_some_and(|ends| ends <= now)) {
            self.keys.remove(&key);
        }
        self.version += 1;
        let (version, held) = (self.version, self.keys.get(&key).cloned());
        let told = held.as_ref().map(|held| held.1).filter(|_| tells);
        let value = held.as_ref().map(|held| held.0.clone());
        if let Op::Set { condition, .. } | Op::Delete { condition } = op {
            let holds = match condition {
                Condition::None => true,
                Condition::Absent => held.is_none(),
                Condition::Present => held.is_some(),
                Condition::Version(wanted) => held.as_ref().is_some_and(|held| held.1 == *wanted),
                Condition::Value(wanted) => value.as_ref() == Some(wanted),
            };
            if !holds {
                let seen = if held.is_none() { Seen::Absent } else { Seen::Version(version) };
                let seen = told.map_or(seen, Seen::Version);
                return Reply::Refused(if tells { seen } else { Seen::Untold });
            }
        }
        let mut keep = |value: Vec<u8>| {
            let ends = held.as_ref().and_then(|held| held.2);
            self.keys.insert(key, (value, version, ends));
        };
        match op {
            Op::Get => Reply::Found { value, version: told },
            Op::Set { value, ttl, .. } => {
                self.keys.insert(
                    key,
                    (
                        value.clone(),
                        version,
                        ttl.map(|ttl| (now + ttl).saturating_add_signed(late)),
                    ),
                );
                Reply::Written { version: tells.then_some(version) }
            }
            Op::Delete { .. } => Reply::Deleted(self.keys.remove(&key).is_some()),
            Op::GetDelete => {
                self.keys.remove(&key);
                Reply::Found { value, version: told }
            }
            Op::Increment(by) => {
                let text = value.map_or_else(|| "0".to_owned(), |v| String::from_utf8(v).unwrap());
                let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
                let Some(sum) = number.and_then(|number| number.checked_add(*by)) else {
                    return Reply::NotANumber;
                };
                keep(sum.to_string().into_bytes());
                Reply::Number(sum)
            }
            Op::Append(tail) => {
                let value = [value.unwrap_or_default(), tail.clone()].concat();
                let length = value.len() as u64;
                keep(value);
                Reply::Length(length)
            }
        }
    }
}

/// What kind of history is made.
struct Shape {
    operations: usize,
    clients: u64,
    keys: u64,
    /// Values and versions come from few, so that many orders are possible; or all are unique.
    few_values: bool,
    deadlines: bool,
    /// One in so many ends unknown, or fails.
    unknown: u64,
}

/// Something that happens to an operation.
enum Step {
    Call,
    Effect,
    Return,
}

fn random_op(random: &mut Random, shape: &Shape, key: u32, at: usize) -> Op {
    let value = if shape.few_values {
        ["a", "1", "2"][random.below(3) as usize].to_owned()
    } else {
        format!("v{at}")
    };
    let condition = match random.below(12) {
        0 => Condition::Absent,
        1 => Condition::Present,
        2 => Condition::Version(1 + random.below(shape.operations as u64)),
        3 if shape.few_values => Condition::Value(b"1".to_vec()),
        _ => Condition::None,
    };
    let ttl = (shape.deadlines && random.one_in(2)).then(|| 1 + random.below(20));
    match random.below(20) {
        0..8 => Op::Get,
        8..15 => Op::Set { value: value.into_bytes(), ttl, condition },
        15 => Op::Delete { condition },
        16 => Op::GetDelete,
        // Both on one key make too many orders possible where much is unknown.
        _ if key % 2 == 1 || (shape.operations < 10 && random.one_in(3)) => {
            Op::Append(value.into_bytes())
        }
        _ => Op::Increment(1 + random.below(2) as i64),
    }
}

/// Returns a history of the store. What is wrong with it, if anything, is added by `change`.
fn random_history(
    random: &mut Random,
    shape: &Shape,
    mut change: impl FnMut(&mut Random, usize, Reply) -> Reply,
) -> History {
    let mut free = vec![0; shape.clients as usize];
    let mut steps: Vec<(u64, usize, Step)> = Vec::new();
    let mut plans = Vec::new();
    for at in 0..shape.operations {
        let client = random.below(shape.clients);
        let start = &mut free[client as usize];
        let call = *start + random.below(3);
        let effect = call + random.below(4);
        let done = effect + random.below(4);
        *start = done + 1;
        let fate = random.below(shape.unknown);
        // An unknown outcome: soon, much later, or never. A failure: never.
        let effect = match fate {
            0 if random.one_in(2) => effect + random.below(40),
            0 if random.one_in(2) => u64::MAX,
            1 => u64::MAX,
            _ => effect,
        };
        let key = random.below(shape.keys) as u32;
        let op = random_op(random, shape, key, at);
        plans.push((client as u32, key, op, random.one_in(2), fate));
        steps.push((call, at, Step::Call));
        if effect != u64::MAX {
            steps.push((effect, at, Step::Effect));
        }
        steps.push((done, at, Step::Return));
    }
    steps.sort_by_key(|(time, ..)| *time);

    let mut history = History::new(CLOCK);
    let mut store = Store::default();
    let mut ids: Vec<Option<OpId>> = vec![None; plans.len()];
    let mut replies: Vec<Option<Reply>> = vec![None; plans.len()];
    for (time, at, step) in steps {
        let (client, key, op, tells, fate) = &plans[at];
        match step {
            Step::Call => ids[at] = Some(history.call(*client, time, *key, op.clone())),
            Step::Effect => {
                let (early, late) = (CLOCK.early as i64, CLOCK.late.unwrap() as i64);
                let late = random.below((early + late + 1) as u64) as i64 - early;
                replies[at] = Some(store.apply(time, late, *key, op, *tells));
            }
            Step::Return if *fate == 0 => history.unknown(ids[at].unwrap()),
            Step::Return if *fate == 1 => history.fail(ids[at].unwrap()),
            Step::Return => {
                let reply = replies[at].take().expect("it took effect before it returned");
                history.ok(ids[at].unwrap(), time, change(random, at, reply));
            }
        }
    }
    history
}

/// Returns whether there is an order, by trying all.
fn exhaustive(items: &[Item<'_>], model: &mut Model, taken: u32, state: State, at: Moment) -> bool {
    let left = |place: usize| taken & 1 << place == 0;
    let ends = (0..items.len()).filter(|place| left(*place)).filter_map(|place| items[place].done);
    let Some((until, _)): Option<(Event, _)> = ends.min_by_key(|(event, _)| *event) else {
        return true;
    };
    for (place, item) in items.iter().enumerate() {
        if !left(place) || item.call > until {
            continue;
        }
        let moment = at.at(item, until.time);
        let mut next = Vec::new();
        model.step(state, item, moment, &mut next);
        let after = moment.after(item);
        if next.iter().any(|next| exhaustive(items, model, taken | 1 << place, *next, after)) {
            return true;
        }
    }
    false
}

#[test]
fn small_histories_agree_with_all_orders() {
    let (mut right, mut wrong) = (0, 0);
    for seed in seeds(if cfg!(debug_assertions) { 6_000 } else { 200_000 }) {
        let mut random = Random::new(seed);
        let shape = Shape {
            operations: 3 + random.below(6) as usize,
            clients: 1 + random.below(4),
            keys: 1,
            few_values: random.below(4) > 0,
            deadlines: random.one_in(2),
            unknown: 2 + random.below(8),
        };
        let mut kept = Reply::written();
        let is_wrong = random.one_in(2);
        let history = random_history(&mut random, &shape, |random, _, reply| {
            // An answer that another operation got.
            if is_wrong && random.one_in(3) {
                kept.clone()
            } else {
                kept.clone_from(&reply);
                reply
            }
        });
        for items in history.by_key().values() {
            let (verdict, _) = Search::run(items, None, CLOCK, u64::MAX);
            let start = Moment { now: 0, until: 0, version: 0 };
            let is_right = exhaustive(items, &mut Model::new(CLOCK), 0, None, start);
            let found = matches!(verdict, Verdict::Linearizable);
            assert_eq!(found, is_right, "SEED={seed}: {items:#?}");
            assert!(is_wrong || is_right, "SEED={seed}: the store is right: {items:#?}");
            if is_right { right += 1 } else { wrong += 1 }
        }
    }
    println!("{right} right and {wrong} wrong histories");
    assert!(std::env::var("SEED").is_ok() || right.min(wrong) > 1000);
}

fn long() -> Shape {
    Shape {
        operations: if cfg!(debug_assertions) { 20_000 } else { 100_000 },
        clients: 20,
        keys: 50,
        few_values: false,
        deadlines: false,
        unknown: 50,
    }
}

#[test]
fn long_histories_are_quick() {
    for (name, shape) in [
        ("unique values", long()),
        ("deadlines", Shape { deadlines: true, ..long() }),
        ("few values", Shape { few_values: true, ..long() }),
    ] {
        let history = random_history(&mut Random::new(1), &shape, |_, _, reply| reply);
        let start = Instant::now();
        match history.check() {
            Ok(checked) => println!("{name}: {checked:?} in {:?}", start.elapsed()),
            Err(failure) => panic!("{name}: {failure}"),
        }
    }
}

#[test]
fn one_wrong_answer_in_a_long_history_is_found_and_explained() {
    for seed in seeds(5) {
        let mut random = Random::new(seed);
        let shape = Shape { operations: 20_000, ..long() };
        let wrong_at = 10_000 + random.below(9_000) as usize;
        let mut is_changed = false;
        let mut old = None;
        let history = random_history(&mut random, &shape, |_, at, reply| {
            let Reply::Found { value: Some(_), .. } = &reply else { return reply };
            if at >= wrong_at && !is_changed {
                is_changed = true;
                return old.take().unwrap();
            }
            if at < wrong_at / 2 {
                old = Some(reply.clone());
            }
            reply
        });
        let start = Instant::now();
        match history.check() {
            Err(Failure::Violation(violation)) => {
                println!("in {:?}: {violation}", start.elapsed());
                assert!(violation.core.len() <= 5, "SEED={seed}: {violation}");
            }
            other => panic!("SEED={seed}: {other:?}"),
        }
    }
}

/// Many operations at once, in any order, and then something that is wrong in each: nobody can
/// search that, and the checker says so.
#[test]
fn a_search_that_would_not_end_gives_up() {
    let mut history = History::new(CLOCK);
    history.steps_max(100_000);
    let start = history.call(99, 0, 7, Op::set("start"));
    history.ok(start, 1, Reply::written());
    let write = |at: u8| Op::set([at]).when(Condition::Present);
    let ids: Vec<OpId> = (0..24).map(|at| history.call(at.into(), 2, 7, write(at))).collect();
    for id in ids {
        history.ok(id, 3, Reply::written());
    }
    let read = history.call(99, 4, 7, Op::Get);
    history.ok(read, 5, Reply::found(Some(b"from nowhere")));
    let failure = history.check().unwrap_err();
    assert!(matches!(failure, Failure::Undecided { key: 7, .. }), "{failure}");
    assert!(failure.to_string().starts_with("undecided"), "{failure}");
}
