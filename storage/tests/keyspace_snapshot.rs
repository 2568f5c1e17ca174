//! Snapshots: every damage is an error, none is a panic or a great deal of memory.

mod keyspace_support;

use std::io::{self, Read};

use keyspace_support::Db;
use proptest::prelude::*;
use raftkv_storage::keyspace::Keyspace;

fn snapshot(db: &Db) -> Vec<u8> {
    let mut bytes = Vec::new();
    db.keyspace.view().write_to(&mut bytes).expect("memory takes it");
    bytes
}

fn sample() -> Vec<u8> {
    let mut db = Db::new();
    db.script("MSET a 1 b hello c \"\" -> OK\nEXPIRE a 10 -> 1");
    db.script("SET dead x PX 5 -> OK\nSET \"\" empty -> OK");
    snapshot(&db)
}

/// Views are read and dropped by other threads while the loop writes into what nobody shares.
#[test]
fn a_view_on_another_thread_sees_no_write() {
    let mut db = Db::new();
    for round in 0..500 {
        let value = |from: u32| (from..from + 3).map(|at| format!("SET k{at} value{at:08}"));
        value(round).for_each(|set| assert_eq!(db.run(&set), "OK"));
        let view = db.keyspace.view();
        let digest = view.digest();
        let reader = std::thread::spawn(move || assert_eq!(view.digest(), digest));
        value(round + 1).for_each(|set| assert_eq!(db.run(&set.replace("value", "other")), "OK"));
        reader.join().expect("the view is as it was");
    }
}

/// The bytes are a format: they can be read by other versions.
#[test]
fn the_format_is_pinned() {
    let mut db = Db::new();
    assert_eq!(db.run("SET k v PX 7"), "OK");
    let mut expected = vec![1];
    expected.extend(1_000_000u64.to_le_bytes());
    expected.extend(1u64.to_le_bytes());
    expected.extend([1, 1]);
    expected.extend(1u64.to_le_bytes());
    expected.extend(1_000_007u64.to_le_bytes());
    expected.extend([1, 0, 0, 0, b'k', 1, 0, 0, 0, b'v']);
    expected.push(0);
    expected.extend(1u64.to_le_bytes());
    assert_eq!(snapshot(&db), expected);
}

#[test]
fn the_order_of_commands_does_not_show() {
    let (mut a, mut b) = (Db::new(), Db::new());
    for key in 0..2000 {
        a.call(&[b"SETNX", format!("{key}").as_bytes(), b"x"]);
        b.call(&[b"SETNX", format!("{}", 1999 - key).as_bytes(), b"x"]);
    }
    // Versions differ, so the digests do; the keys come in the same order all the same.
    assert_eq!(a.run("KEYS *"), b.run("KEYS *"));
    assert_ne!(a.keyspace.view().digest(), b.keyspace.view().digest());
}

#[test]
fn the_digest_sees_value_deadline_and_version() {
    let digest = |script: &str| {
        let mut db = Db::new();
        db.script(script);
        db.keyspace.view().digest()
    };
    let plain = digest("SET k v -> OK");
    assert_eq!(plain, digest("SET k v -> OK"));
    assert_ne!(plain, digest("SET k w -> OK"));
    assert_ne!(plain, digest("SET l v -> OK"));
    assert_ne!(plain, digest("SET k v PX 5 -> OK"));
    assert_ne!(plain, digest("SET k v -> OK\nSET k v -> OK"));
    assert_eq!(digest("GET k -> null"), digest("SET k v PX 5 -> OK\n+5"));
}

#[test]
fn a_snapshot_cut_anywhere_is_an_error() {
    let bytes = sample();
    assert!(Keyspace::read_from(&mut &bytes[..]).is_ok());
    for length in 0..bytes.len() {
        assert!(Keyspace::read_from(&mut &bytes[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn it_reads_no_further_than_its_end() {
    let bytes = [&sample()[..], b"more"].concat();
    let mut rest = &bytes[..];
    assert!(Keyspace::read_from(&mut rest).is_ok());
    assert_eq!(rest, b"more");
}

#[test]
fn malformed_snapshots_are_refused() {
    let bytes = sample();
    let text = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        Keyspace::read_from(&mut &bytes[..]).expect_err("it is refused").to_string()
    };
    assert_eq!(text(&|bytes| bytes[0] = 2), "unknown version 2 of the keyspace's snapshot");
    assert_eq!(text(&|bytes| bytes[17] = 9), "unknown type 9 of a value");
    assert_eq!(text(&|bytes| bytes[18] = 7), "7 where a key says if it has a deadline");
    let end = bytes.len() - 8;
    assert_eq!(text(&|bytes| bytes[end] = 3), "5 keys where there should be 3");
    // The first key twice.
    let mut db = Db::new();
    db.run("SET k v");
    let one = snapshot(&db);
    let item = &one[17..one.len() - 9];
    let twice = [&one[..17], item, item, &[0], &2u64.to_le_bytes()].concat();
    let error = Keyspace::read_from(&mut &twice[..]).expect_err("it is refused");
    assert_eq!(error.to_string(), "keys out of order");
    // A deadline of zero, which no key can have.
    let head = [&one[..17], &[1, 1], &item[2..10], &[0; 8], &item[10..]].concat();
    let error = Keyspace::read_from(&mut &head[..]).expect_err("it is refused");
    assert_eq!(error.to_string(), "a key that died before all time");
}

/// Announces a key of four gigabytes and then ends: memory must follow what is read.
#[test]
fn an_announced_length_is_not_believed() {
    let mut head = vec![1];
    head.extend([0; 16]);
    head.extend([1, 0]);
    head.extend([0; 8]);
    head.extend(u32::MAX.to_le_bytes());
    let before = peak_kib();
    let mut input = (&head[..]).chain(io::repeat(b'x').take(1 << 20));
    let error = Keyspace::read_from(&mut input).expect_err("it is cut short");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let grown = peak_kib() - before;
    assert!(grown < 1 << 20, "{grown} KiB for a megabyte of input");
}

/// The most memory that this process ever reserved, as far as the system tells.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage is an error, or gives a keyspace that can be written and used like any other.
    #[test]
    fn damaged_snapshots_never_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = sample();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(keyspace) = Keyspace::read_from(&mut &bytes[..]) {
            let index = keyspace.view().applied();
            let mut db = Db { keyspace, index, now: 0 };
            if index < u64::MAX {
                db.run("MSET a 1 dead 2");
                db.run("PERSIST b");
            }
            snapshot(&db);
        }
    }
}
