//! The commands behind HTTP, through their constructors and readers.

mod keyspace_support;

use keyspace_support::Db;
use raftkv_storage::keyspace::command::Batch;
use raftkv_storage::keyspace::http::{self, Condition, Found, Outcome};

fn reply(db: &mut Db, batch: Batch) -> raftkv_storage::keyspace::Reply {
    db.execute(batch).pop().expect("a command has a reply")
}

fn put(db: &mut Db, key: &str, ttl_ms: Option<u64>, condition: Condition) -> Outcome {
    let batch = http::put(key.as_bytes(), b"v", ttl_ms, condition);
    http::written(&reply(db, batch)).expect("a reply to a put")
}

fn delete(db: &mut Db, key: &str, condition: Condition) -> Outcome {
    http::deleted(&reply(db, http::delete(key.as_bytes(), condition))).expect("a reply to a delete")
}

fn get(db: &mut Db, key: &str) -> Option<Found> {
    http::found(&reply(db, http::get(key.as_bytes()))).expect("a reply to a get")
}

/// Returns the keys of a page, and the one behind it.
fn list(db: &mut Db, prefix: &str, after: &str, limit: usize) -> (Vec<String>, Option<String>) {
    let after = (!after.is_empty()).then_some(after.as_bytes());
    let batch = http::list(prefix.as_bytes(), after, limit);
    let (found, next) = http::listed(&reply(db, batch)).expect("a reply to a list");
    let name = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    (found.iter().map(|found| name(&found.key)).collect(), next.map(|key| name(&key)))
}

#[test]
fn the_version_is_the_index_that_wrote_the_value() {
    let mut db = Db::new();
    assert_eq!(get(&mut db, "k"), None);
    assert_eq!(put(&mut db, "k", None, Condition::None), Outcome::Done(Some(1)));
    assert_eq!(put(&mut db, "l", Some(5000), Condition::None), Outcome::Done(Some(2)));
    let found = get(&mut db, "l").expect("it is there");
    let (key, value) = ("l".into(), Some("v".into()));
    assert_eq!(found, Found { key, value, version: 2, ttl_ms: Some(5000) });
    // A deadline is not the value; a command of Redis writes it as well as any.
    db.run("EXPIRE k 10");
    assert_eq!(get(&mut db, "k").map(|found| found.version), Some(1));
    db.run("APPEND k w");
    assert_eq!(
        get(&mut db, "k").map(|found| (found.version, found.ttl_ms)),
        Some((4, Some(10_000)))
    );
    assert_eq!(put(&mut db, "k", None, Condition::None), Outcome::Done(Some(5)));
    assert_eq!(get(&mut db, "k").and_then(|found| found.ttl_ms), None);
    db.run("RENAME k m");
    assert_eq!(get(&mut db, "m").map(|found| found.version), Some(6));
}

#[test]
fn conditions_compare_and_set() {
    let mut db = Db::new();
    assert_eq!(put(&mut db, "k", None, Condition::Present), Outcome::Precondition(None));
    assert_eq!(put(&mut db, "k", None, Condition::Version(1)), Outcome::Precondition(None));
    assert_eq!(put(&mut db, "k", None, Condition::Absent), Outcome::Done(Some(3)));
    assert_eq!(put(&mut db, "k", None, Condition::Absent), Outcome::Precondition(Some(3)));
    assert_eq!(put(&mut db, "k", None, Condition::Version(2)), Outcome::Precondition(Some(3)));
    assert_eq!(put(&mut db, "k", None, Condition::Version(3)), Outcome::Done(Some(6)));
    assert_eq!(put(&mut db, "k", Some(10), Condition::Present), Outcome::Done(Some(7)));
    db.pass(10);
    assert_eq!(put(&mut db, "k", None, Condition::Version(7)), Outcome::Precondition(None));
    assert_eq!(put(&mut db, "k", None, Condition::Absent), Outcome::Done(Some(10)));
}

#[test]
fn deleting() {
    let mut db = Db::new();
    assert_eq!(delete(&mut db, "k", Condition::None), Outcome::Done(None));
    assert_eq!(delete(&mut db, "k", Condition::Version(1)), Outcome::Precondition(None));
    put(&mut db, "k", None, Condition::None);
    assert_eq!(delete(&mut db, "k", Condition::Version(1)), Outcome::Precondition(Some(3)));
    assert_eq!(delete(&mut db, "k", Condition::Version(3)), Outcome::Done(Some(3)));
    assert_eq!(get(&mut db, "k"), None);
}

#[test]
fn a_deadline_beyond_all_time_is_refused() {
    let mut db = Db::new();
    assert_eq!(put(&mut db, "k", Some(u64::MAX), Condition::None), Outcome::InvalidTtl);
    assert_eq!(put(&mut db, "k", Some(i64::MAX as u64), Condition::None), Outcome::InvalidTtl);
    assert_eq!(get(&mut db, "k"), None);
}

#[test]
fn lists_are_in_order_of_bytes_and_paged() {
    let mut db = Db::new();
    for key in ["b/2", "a", "b/10", "b/1", "b", "c", "b/\u{e9}"] {
        put(&mut db, key, None, Condition::None);
    }
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let all = ["a", "b", "b/1", "b/10", "b/2", "b/\u{e9}", "c"];
    assert_eq!(list(&mut db, "", "", 100), (names(&all), None));
    assert_eq!(
        list(&mut db, "b/", "", 3),
        (names(&["b/1", "b/10", "b/2"]), Some("b/\u{e9}".into()))
    );
    assert_eq!(list(&mut db, "b/", "b/2", 3), (names(&["b/\u{e9}"]), None));
    assert_eq!(list(&mut db, "b/", "z", 3), (vec![], None));
    assert_eq!(list(&mut db, "none", "", 3), (vec![], None));
    assert_eq!(list(&mut db, "", "", 0), (names(&["a"]), Some("b".into())));
}

#[test]
fn pages_are_bounded_in_items_and_bytes() {
    let mut db = Db::new();
    for key in 0..1500 {
        put(&mut db, &format!("{key:04}"), None, Condition::None);
    }
    let (keys, next) = list(&mut db, "", "", 1_000_000);
    assert_eq!((keys.len(), next), (http::PAGE_ITEMS_MAX, Some("1000".into())));
    let (keys, next) = list(&mut db, "", &keys[999], 1_000_000);
    assert_eq!((keys.len(), next), (500, None));

    let value = vec![b'x'; 5 << 20];
    for key in [b"x1", b"x2", b"x3", b"x4"] {
        db.call(&[b"SET", key, &value]);
    }
    assert_eq!(list(&mut db, "x", "", 100), (vec!["x1".into(), "x2".into()], Some("x3".into())));
    assert_eq!(list(&mut db, "x", "x2", 100), (vec!["x3".into(), "x4".into()], None));
}

#[test]
fn replies_to_something_else_are_not_read() {
    let mut db = Db::new();
    let other = db.call(&[b"DBSIZE"]);
    assert!(http::written(&other).is_none() && http::deleted(&other).is_none());
    assert!(http::found(&other).is_none() && http::listed(&other).is_none());
}
