//! Deadlines: exact replies, and death by the time in the log alone.

mod keyspace_support;

use keyspace_support::{Db, show};
use raftkv_storage::keyspace::command::{Batch, Stamp, lookup, time_entry};
use raftkv_storage::keyspace::{Keyspace, Reply};

fn script(script: &str) {
    Db::new().script(script);
}

#[test]
fn setting_deadlines() {
    script(
        r#"
        EXPIRE none 10 -> 0
        SET k v -> OK
        TTL k -> -1
        PTTL k -> -1
        EXPIRETIME k -> -1
        PEXPIRETIME k -> -1
        TTL none -> -2
        PTTL none -> -2
        EXPIRETIME none -> -2
        PEXPIRETIME none -> -2
        EXPIRE k 10 -> 1
        TTL k -> 10
        EXPIRETIME k -> 1010
        PEXPIRETIME k -> 1010000
        PEXPIRE k 1499 -> 1
        TTL k -> 1
        PEXPIRE k 1500 -> 1
        TTL k -> 2
        EXPIREAT k 2000 -> 1
        PTTL k -> 1000000
        PEXPIREAT k 2000001 -> 1
        PTTL k -> 1000001
        PERSIST k -> 1
        PERSIST k -> 0
        PERSIST none -> 0
        TTL k -> -1
        "#,
    );
}

#[test]
fn conditions() {
    script(
        r#"
        SET k v -> OK
        EXPIRE k 10 XX -> 0
        EXPIRE k 10 GT -> 0
        EXPIRE k 20 LT -> 1
        EXPIRE k 10 NX -> 0
        EXPIRE k 20 GT -> 0
        EXPIRE k 30 gt -> 1
        EXPIRE k 30 LT -> 0
        EXPIRE k 10 XX LT -> 1
        TTL k -> 10
        PERSIST k -> 1
        EXPIRE k 10 XX LT -> 0
        EXPIRE k 10 NX NX -> 1
        EXPIRE k 10 NX XX -> ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 10 GT LT -> ERR GT and LT options at the same time are not compatible
        EXPIRE k 10 nonsense -> ERR Unsupported option nonsense
        EXPIRE k x nonsense -> ERR Unsupported option nonsense
        EXPIRE k x -> ERR value is not an integer or out of range
        EXPIRE none x -> ERR value is not an integer or out of range
        "#,
    );
}

#[test]
fn deadlines_out_of_range() {
    script(
        r#"
        SET k v -> OK
        EXPIRE k 9223372036854775807 -> ERR invalid expire time in 'expire' command
        EXPIRE k -9223372036854775808 -> ERR invalid expire time in 'expire' command
        PEXPIRE k 9223372036854775807 -> ERR invalid expire time in 'pexpire' command
        EXPIREAT k 9223372036854775807 -> ERR invalid expire time in 'expireat' command
        PEXPIREAT k 9223372036854775807 -> 1
        PEXPIRETIME k -> 9223372036854775807
        "#,
    );
}

#[test]
fn a_deadline_in_the_past_deletes() {
    script(
        r#"
        SET k v -> OK
        EXPIRE k 0 -> 1
        EXISTS k -> 0
        SET k v -> OK
        EXPIRE k -10 -> 1
        EXISTS k -> 0
        SET k v -> OK
        PEXPIREAT k -9223372036854775808 -> 1
        EXISTS k -> 0
        SET k v -> OK
        PEXPIREAT k 1000000 -> 1
        EXISTS k -> 0
        SET k v EX 10 -> OK
        EXPIRE k 0 GT -> 0
        EXISTS k -> 1
        "#,
    );
}

#[test]
fn a_key_dies_at_its_deadline_and_is_new_afterwards() {
    script(
        r#"
        SET k v PX 100 -> OK
        +99
        GET k -> "v"
        PTTL k -> 1
        +1
        GET k -> null
        TTL k -> -2
        TYPE k -> none
        EXPIRE k 10 -> 0
        SET k w XX -> null
        RENAME k l -> ERR no such key
        APPEND k w -> 1
        TTL k -> -1
        GET k -> "w"
        "#,
    );
}

/// The clock of the server that reads may be hours ahead: the key lives until the log says
/// otherwise.
#[test]
fn the_log_decides_and_not_the_clock() {
    let mut db = Db::new();
    db.run("SET k v PX 100");
    let mut batch = Batch::new();
    for (name, args) in [("GET", &[b"k"]), ("PTTL", &[b"k"]), ("EXISTS", &[b"k"])] {
        batch.push(lookup(name.as_bytes()).unwrap(), &args.map(|arg| &arg[..]));
    }
    let (reads, _) = batch.into_parts(Stamp { time_ms: 0, seed: 0 });
    let read =
        |db: &Db, clock| db.keyspace.read(&reads, clock).iter().map(show).collect::<Vec<_>>();
    assert_eq!(read(&db, 1_000_060), ["\"v\"", "40", "1"]);
    assert_eq!(read(&db, 9_000_000), ["\"v\"", "0", "1"]);
    // A clock behind the log counts for nothing.
    assert_eq!(read(&db, 0), ["\"v\"", "100", "1"]);
    assert_eq!(db.keyspace.next_deadline(), Some(1_000_100));
    db.pass(100);
    assert_eq!(read(&db, 0), ["null", "-2", "0"]);
    assert_eq!(db.keyspace.next_deadline(), None);
}

/// An entry of a leader whose clock is behind: time stands still, and no key comes back.
#[test]
fn time_never_runs_backwards() {
    let mut db = Db::new();
    db.run("SET k v PX 100");
    db.pass(100);
    db.now -= 5_000;
    assert_eq!(db.run("GET k"), "null");
    assert_eq!(db.run("SET k w PX 7"), "OK");
    assert_eq!(db.keyspace.time_ms(), 1_000_100);
    assert_eq!(db.keyspace.next_deadline(), Some(1_000_107));
}

/// When many die at once, all are gone for every command at once, and from memory a bounded number
/// at each entry.
#[test]
fn a_mass_death_is_seen_at_once_and_swept_in_steps() {
    let mut db = Db::new();
    for key in 0..5000 {
        db.run(&format!("SET {key} v PX 100"));
    }
    db.run("SET live v");
    db.pass(100);
    assert_eq!(db.run("KEYS *"), "[\"live\"]");
    assert_eq!(db.run("RANDOMKEY"), "\"live\"");
    assert_eq!(db.run("EXISTS 17 4999"), "0");
    assert_eq!(db.run("SET 4999 w NX"), "OK");
    assert_eq!(db.run("TTL 4999"), "-1");
    let mut entries = 0;
    let mut len = db.keyspace.view().len();
    assert!(len > 2);
    while db.keyspace.next_deadline().is_some() {
        db.pass(0);
        entries += 1;
        let left = db.keyspace.view().len();
        assert!(left < len && len - left <= 1024, "from {len} to {left} keys");
        len = left;
    }
    assert_eq!((entries, len), (3, 2));
}

#[test]
fn extreme_times_hurt_nobody() {
    let mut keyspace = Keyspace::default();
    let entry = time_entry(Stamp { time_ms: u64::MAX, seed: u64::MAX });
    assert_eq!(keyspace.apply(1, &entry), []);
    let mut batch = Batch::new();
    let add = |batch: &mut Batch, name: &str, args: &[&[u8]]| {
        batch.push(lookup(name.as_bytes()).unwrap(), args);
    };
    add(&mut batch, "SET", &[b"k", b"v", b"PX", b"1"]);
    add(&mut batch, "SET", &[b"k", b"v"]);
    add(&mut batch, "EXPIRE", &[b"k", b"1"]);
    add(&mut batch, "PEXPIREAT", &[b"k", b"9223372036854775807"]);
    add(&mut batch, "EXISTS", &[b"k"]);
    let (_, payload) = batch.into_parts(Stamp { time_ms: 0, seed: 0 });
    let replies = keyspace.apply(2, &payload.unwrap());
    assert_eq!(replies[0], Reply::error("ERR invalid expire time in 'set' command"));
    assert_eq!(replies[2], Reply::error("ERR invalid expire time in 'expire' command"));
    assert_eq!(replies[3..], [Reply::Integer(1), Reply::Integer(0)]);
}
