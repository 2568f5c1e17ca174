//! The keyspace against a model, views against time, SCAN against what goes on meanwhile.

mod keyspace_support;

use std::collections::{BTreeMap, BTreeSet};

use keyspace_support::{Db, Random, push, seed};
use proptest::prelude::*;
use raftkv_storage::keyspace::command::{Batch, Stamp, by_id, time_entry};
use raftkv_storage::keyspace::{Keyspace, Reply, View};

/// What the keyspace should hold: plain maps, and a sweep over all keys when time passes.
#[derive(Clone, Default, Debug, PartialEq)]
struct Model(BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>);

impl Model {
    fn pass(&mut self, now: u64) {
        self.0.retain(|_, (_, deadline)| deadline.is_none_or(|deadline| now < deadline));
    }

    /// Compares with a view, key by key.
    fn check(&self, view: &View, now: u64) {
        let mut batch = Batch::new();
        push(&mut batch, &[b"KEYS", b"*"]);
        push(&mut batch, &[b"DBSIZE"]);
        for key in self.0.keys() {
            push(&mut batch, &[b"GET", key]);
            push(&mut batch, &[b"PEXPIRETIME", key]);
        }
        let (reads, _) = batch.into_parts(Stamp { time_ms: 0, seed: 0 });
        let mut replies = view.read(&reads, now).into_iter();
        let Some(Reply::Array(keys)) = replies.next() else { panic!("KEYS is an array") };
        let keys: BTreeSet<_> = keys.iter().map(|key| format!("{key:?}")).collect();
        let expected: BTreeSet<_> =
            self.0.keys().map(|key| format!("{:?}", Reply::bulk(key))).collect();
        assert_eq!(keys, expected);
        assert_eq!(replies.next(), Some(Reply::Integer(self.0.len() as i64)));
        assert_eq!(view.len(), self.0.len());
        let expiring = self.0.values().filter(|(_, deadline)| deadline.is_some()).count();
        assert_eq!(view.expiring(), expiring);
        for (value, deadline) in self.0.values() {
            assert_eq!(replies.next(), Some(Reply::bulk(value)));
            let deadline = deadline.map_or(-1, |deadline| deadline as i64);
            assert_eq!(replies.next(), Some(Reply::Integer(deadline)));
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u16, Vec<u8>, Option<u64>),
    Append(u16, Vec<u8>),
    Delete(u16),
    Expire(u16, u64),
    Persist(u16),
    Rename(u16, u16),
    /// A range of keys at once: trees grow and shrink.
    SetMany(u16, u16),
    DeleteMany(u16, u16),
    Flush,
    Pass(u64),
    /// Takes a view, to be looked at again at the end.
    Freeze,
    /// Goes on with a keyspace rebuilt from a snapshot.
    Restore,
}

fn any_step() -> impl Strategy<Value = Step> {
    // A few keys often, so that the same one is written again and again under a view; many seldom.
    let key = || prop_oneof![0u16..5, 0u16..300];
    // Short ones, and now and then one of about the length at which strings lie apart.
    let value = || {
        let length = prop_oneof![8 => 0..5usize, 1 => 1022..1027usize];
        (length, any::<u8>()).prop_map(|(length, byte)| vec![byte; length])
    };
    prop_oneof![
        6 => (key(), value(), proptest::option::of(1u64..50))
            .prop_map(|(k, v, t)| Step::Set(k, v, t)),
        2 => (key(), value()).prop_map(|(k, v)| Step::Append(k, v)),
        4 => key().prop_map(Step::Delete),
        3 => (key(), 0u64..50).prop_map(|(k, t)| Step::Expire(k, t)),
        2 => key().prop_map(Step::Persist),
        2 => (key(), key()).prop_map(|(a, b)| Step::Rename(a, b)),
        2 => (key(), key()).prop_map(|(a, b)| Step::SetMany(a, b)),
        2 => (key(), key()).prop_map(|(a, b)| Step::DeleteMany(a, b)),
        1 => Just(Step::Flush),
        3 => (1u64..20).prop_map(Step::Pass),
        3 => Just(Step::Freeze),
        1 => Just(Step::Restore),
    ]
}

fn name(key: u16) -> Vec<u8> {
    format!("key:{key}").into_bytes()
}

fn restored(view: &View) -> Keyspace {
    let mut bytes = Vec::new();
    view.write_to(&mut bytes).expect("memory takes it");
    let restored = Keyspace::read_from(&mut &bytes[..]).expect("it reads back");
    let mut again = Vec::new();
    restored.view().write_to(&mut again).expect("memory takes it");
    assert_eq!(bytes, again, "written again, byte for byte");
    assert_eq!(restored.view().digest(), view.digest());
    restored
}

fn take_step(db: &mut Db, model: &mut Model, step: &Step) {
    let keys = &mut model.0;
    match step.clone() {
        Step::Set(key, value, None) => {
            db.call(&[b"SET", &name(key), &value]);
            keys.insert(name(key), (value, None));
        }
        Step::Set(key, value, Some(ttl)) => {
            db.call(&[b"SET", &name(key), &value, b"PX", ttl.to_string().as_bytes()]);
            keys.insert(name(key), (value, Some(db.now + ttl)));
        }
        Step::Append(key, tail) => {
            db.call(&[b"APPEND", &name(key), &tail]);
            keys.entry(name(key)).or_default().0.extend(tail);
        }
        Step::Delete(key) => {
            db.call(&[b"DEL", &name(key)]);
            keys.remove(&name(key));
        }
        Step::Expire(key, ttl) => {
            db.call(&[b"PEXPIRE", &name(key), ttl.to_string().as_bytes()]);
            if ttl == 0 {
                keys.remove(&name(key));
            } else if let Some((_, deadline)) = keys.get_mut(&name(key)) {
                *deadline = Some(db.now + ttl);
            }
        }
        Step::Persist(key) => {
            db.call(&[b"PERSIST", &name(key)]);
            if let Some((_, deadline)) = keys.get_mut(&name(key)) {
                *deadline = None;
            }
        }
        Step::Rename(from, to) => {
            db.call(&[b"RENAME", &name(from), &name(to)]);
            if let Some(value) = keys.remove(&name(from)) {
                keys.insert(name(to), value);
            }
        }
        Step::SetMany(a, b) => {
            for key in a.min(b)..a.max(b) {
                db.call(&[b"SET", &name(key), b"x"]);
                keys.insert(name(key), (b"x".to_vec(), None));
            }
        }
        Step::DeleteMany(a, b) => {
            for key in a.min(b)..a.max(b) {
                db.call(&[b"DEL", &name(key)]);
                keys.remove(&name(key));
            }
        }
        Step::Flush => {
            db.call(&[b"FLUSHALL"]);
            keys.clear();
        }
        Step::Pass(time) => {
            db.pass(time);
            model.pass(db.now);
        }
        Step::Restore => db.keyspace = restored(&db.keyspace.view()),
        Step::Freeze => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The keyspace is what the model is, after each step; and each view stays what the keyspace
    /// was when it was taken.
    #[test]
    fn the_keyspace_is_the_model_and_views_never_change(
        steps in proptest::collection::vec(any_step(), 1..80),
    ) {
        let (mut db, mut model) = (Db::new(), Model::default());
        let mut frozen = Vec::new();
        for step in &steps {
            take_step(&mut db, &mut model, step);
            if matches!(step, Step::Freeze) {
                let view = db.keyspace.view();
                frozen.push((view.digest(), view, model.clone(), db.now));
            }
            model.check(&db.keyspace.view(), db.now);
        }
        for (digest, view, model, now) in frozen {
            prop_assert_eq!(view.digest(), digest);
            model.check(&view, now);
        }
    }

    /// Whatever the batches hold, two servers agree on replies, digest and snapshot; so does one
    /// that was restored from a snapshot in between.
    #[test]
    fn servers_agree(
        entries in proptest::collection::vec(
            (proptest::collection::vec(any_command(), 0..20), 0u64..3000, any::<u64>()),
            1..20,
        ),
        restore_at in any::<prop::sample::Index>(),
    ) {
        let (mut a, mut b, mut c) = (Keyspace::default(), Keyspace::default(), Keyspace::default());
        let restore_at = restore_at.index(entries.len());
        let mut now = 1_000_000;
        for (place, (commands, time, seed)) in entries.into_iter().enumerate() {
            now += time;
            let stamp = Stamp { time_ms: now, seed };
            let mut batch = Batch::new();
            push(&mut batch, &[b"SET", b"a", b"1"]);
            for (id, args) in &commands {
                let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
                batch.push(by_id(*id).unwrap(), &args);
            }
            let payload = batch.into_parts(stamp).1.expect("there is a write");
            let index = place as u64 + 1;
            let replies = a.apply(index, &payload);
            prop_assert_eq!(&replies, &b.apply(index, &payload));
            prop_assert_eq!(&replies, &c.apply(index, &payload));
            if place == restore_at {
                c = restored(&c.view());
            }
            prop_assert_eq!(a.view().digest(), b.view().digest());
            prop_assert_eq!(a.view().digest(), c.view().digest());
            prop_assert_eq!(a.next_deadline(), c.next_deadline());
        }
        let bytes = |keyspace: &Keyspace| {
            let mut bytes = Vec::new();
            keyspace.view().write_to(&mut bytes).map(|()| bytes).unwrap()
        };
        prop_assert_eq!(bytes(&a), bytes(&b));
        prop_assert_eq!(bytes(&a), bytes(&c));
    }
}

/// A command of the keyspace with arguments that often mean something.
fn any_command() -> impl Strategy<Value = (u16, Vec<String>)> {
    let ids: Vec<u16> = (0..=u16::MAX).filter(|id| by_id(*id).is_some()).collect();
    let arg = prop_oneof![
        6 => proptest::sample::select(vec!["a", "b", "c", "d"]).prop_map(String::from),
        3 => (-3i64..3000).prop_map(|number| number.to_string()),
        2 => proptest::sample::select(vec![
            "EX", "PX", "NX", "XX", "GT", "GET", "KEEPTTL", "PERSIST", "REPLACE", "*", "IDX",
            "ENCODING",
            "COUNT", "MATCH", "1.5", "9223372036854775807", "", "+",
        ]).prop_map(String::from),
        1 => "\\PC{0,8}",
    ];
    (proptest::sample::select(ids), proptest::collection::vec(arg, 0..5))
}

/// Thousands died at once and are swept over many entries: a server restored in the middle sweeps
/// the same ones, and DBSIZE, which counts what is still there, is the same on both.
#[test]
fn a_restored_server_sweeps_the_same_dead_keys() {
    let mut db = Db::new();
    for key in 0..5000 {
        db.run(&format!("SET {key} v PX {}", 10 + key % 100));
    }
    db.pass(200);
    let mut restored = restored(&db.keyspace.view());
    assert!(restored.view().len() > 2000, "dead keys are part of the state");
    for _ in 0..6 {
        let mut batch = Batch::new();
        push(&mut batch, &[b"SET", b"17", b"w", b"XX"]);
        push(&mut batch, &[b"DBSIZE"]);
        db.index += 1;
        let stamp = Stamp { time_ms: db.now, seed: 0 };
        let payload = batch.into_parts(stamp).1.expect("there is a write");
        let replies = db.keyspace.apply(db.index, &payload);
        assert_eq!(replies, restored.apply(db.index, &payload));
    }
    assert_eq!(db.keyspace.view().len(), 0);
}

#[test]
#[should_panic(expected = "entry 7 cannot be applied: unknown format version 9")]
fn an_entry_that_cannot_be_understood_stops_the_server() {
    let _ = Keyspace::default().apply(7, &vec![9; 40].into());
}

#[test]
#[should_panic(expected = "entry 7 applied after entry 7")]
fn an_entry_is_applied_once() {
    let mut keyspace = Keyspace::default();
    let entry = time_entry(Stamp { time_ms: 1, seed: 1 });
    let _ = keyspace.apply(7, &entry);
    let _ = keyspace.apply(7, &entry);
}

/// One SCAN, with the keys it returned added to `found`; returns the next cursor.
fn scan(db: &mut Db, cursor: &str, count: usize, found: &mut Vec<Vec<u8>>) -> String {
    let reply = db.call(&[b"SCAN", cursor.as_bytes(), b"COUNT", count.to_string().as_bytes()]);
    let Reply::Array(parts) = reply else { panic!("SCAN is an array") };
    let [Reply::Bulk(cursor), Reply::Array(keys)] = &parts[..] else { panic!("of two parts") };
    assert!(keys.len() <= count + 1, "{} keys for a count of {count}", keys.len());
    for key in keys {
        let Reply::Bulk(key) = key else { panic!("keys are bytes") };
        found.push(key.to_vec());
    }
    String::from_utf8(cursor.to_vec()).expect("digits")
}

/// Keys that were there from the first SCAN to the last are returned exactly once, whatever comes
/// and goes meanwhile: enough to split leaves and to join them again under the cursor.
#[test]
fn scan_meets_every_key_that_stays() {
    let mut random = Random(seed());
    for round in 0..40 {
        let mut db = Db::new();
        let staying = random.below(600);
        for key in 0..staying {
            db.run(&format!("SET stays:{key} x"));
        }
        let mut passing: Vec<u64> = Vec::new();
        let count = 1 + random.below(30);
        let (mut found, mut cursor, mut calls) = (Vec::new(), "0".to_string(), 0);
        loop {
            cursor = scan(&mut db, &cursor, count, &mut found);
            calls += 1;
            if cursor == "0" {
                break;
            }
            // In even rounds keys pour in, in odd ones as many go.
            for _ in 0..random.below(40) {
                let key = random.next();
                db.run(&format!("SET passes:{key} x"));
                passing.push(key);
            }
            for _ in 0..random.below(if round % 2 == 0 { 10 } else { 80 }).min(passing.len()) {
                let key = passing.swap_remove(random.below(passing.len()));
                db.run(&format!("DEL passes:{key}"));
            }
            assert!(calls < 5_000, "SCAN comes to an end");
        }
        let mut stayed: Vec<_> = found.iter().filter(|key| key.starts_with(b"stays:")).collect();
        stayed.sort_unstable();
        let returned = stayed.len();
        stayed.dedup();
        assert_eq!((stayed.len(), returned), (staying, staying), "round {round}");
    }
}

/// SCAN with a huge COUNT still is one step among others on the loop.
#[test]
fn one_scan_looks_at_a_bounded_number_of_keys() {
    let mut db = Db::new();
    for key in 0..3000 {
        db.run(&format!("SET {key} x"));
    }
    let mut found = Vec::new();
    let cursor = scan(&mut db, "0", 1_000_000, &mut found);
    assert!(cursor != "0" && found.len() == 1024);
}

/// Taking a view of a large keyspace costs nothing that depends on its size, and writing under it
/// copies only the path.
#[test]
fn a_view_is_as_cheap_as_a_pointer() {
    let mut db = Db::new();
    for key in 0..20_000 {
        db.run(&format!("SET {key} x"));
    }
    let start = std::time::Instant::now();
    let views: Vec<View> = (0..100_000).map(|_| db.keyspace.view()).collect();
    let per_view = start.elapsed() / 100_000;
    assert!(per_view < std::time::Duration::from_micros(50), "{per_view:?} for a view");
    let digest = views[0].digest();
    for key in 0..20_000 {
        db.run(&format!("SET {key} y"));
    }
    assert_eq!(views[0].digest(), digest);
    assert_ne!(db.keyspace.view().digest(), digest);
}
