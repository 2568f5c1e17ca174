//! Keys of any type, command by command: exact replies.

mod keyspace_support;

use keyspace_support::Db;
use raftkv_storage::keyspace::Reply;

fn script(script: &str) {
    Db::new().script(script);
}

#[test]
fn deleting_and_looking() {
    script(
        r#"
        MSET a 1 b 2 c 3 -> OK
        EXISTS a b a none -> 3
        TOUCH a none -> 1
        DEL a a none -> 1
        UNLINK b c -> 2
        DBSIZE -> 0
        TYPE a -> none
        SET a 1 -> OK
        TYPE a -> string
        DEL -> ERR wrong number of arguments for 'del' command
        "#,
    );
}

#[test]
fn renaming() {
    script(
        r#"
        RENAME a b -> ERR no such key
        RENAMENX a b -> ERR no such key
        SET a 1 EX 10 -> OK
        RENAME a a -> OK
        RENAMENX a a -> 0
        SET b 2 -> OK
        RENAMENX a b -> 0
        RENAME a b -> OK
        GET b -> "1"
        TTL b -> 10
        EXISTS a -> 0
        RENAMENX b c -> 1
        TTL c -> 10
        SET d 1 -> OK
        RENAME d c -> OK
        TTL c -> -1
        "#,
    );
}

#[test]
fn copying() {
    script(
        r#"
        COPY a b -> 0
        SET a 1 EX 10 -> OK
        COPY a a -> ERR source and destination objects are the same
        COPY a b -> 1
        TTL b -> 10
        APPEND a 2 -> 2
        GET b -> "1"
        COPY a b -> 0
        COPY a b REPLACE DB 0 -> 1
        GET b -> "12"
        COPY a b DB 1 -> ERR Copying to another database is not allowed in cluster mode
        COPY a b DB 16 -> ERR DB index is out of range
        COPY a b DB -1 -> ERR DB index is out of range
        COPY a b DB x -> ERR value is not an integer or out of range
        COPY a b DB -> ERR syntax error
        COPY a b nonsense -> ERR syntax error
        "#,
    );
}

#[test]
fn there_is_one_database() {
    script(
        r#"
        SET a 1 -> OK
        MOVE a 1 -> ERR MOVE is not allowed in cluster mode
        MOVE none x -> ERR MOVE is not allowed in cluster mode
        MOVE a -> ERR wrong number of arguments for 'move' command
        SWAPDB 0 1 -> ERR SWAPDB is not allowed in cluster mode
        SWAPDB x 0 -> ERR SWAPDB is not allowed in cluster mode
        GET a -> "1"
        "#,
    );
}

#[test]
fn memory_grows_with_what_is_held() {
    let mut db = Db::new();
    for (command, reply) in [
        ("MEMORY USAGE none", "null"),
        ("MEMORY USAGE none SAMPLES -1", "ERR syntax error"),
        ("MEMORY USAGE none SAMPLES", "ERR syntax error"),
        ("MEMORY USAGE none SAMPLES x", "ERR value is not an integer or out of range"),
        ("MEMORY USAGE none x 1", "ERR syntax error"),
        ("MEMORY USAGE", "ERR wrong number of arguments for 'memory|usage' command"),
        ("MEMORY nonsense k", "ERR unknown subcommand 'nonsense'. Try MEMORY HELP."),
    ] {
        assert_eq!(db.run(command), reply, "{command}");
    }
    let mut usage = |command: &str| {
        db.run(command);
        let key = command.split(' ').nth(1).unwrap();
        db.run(&format!("MEMORY USAGE {key} samples 0")).parse::<usize>().unwrap()
    };
    let sizes = [
        usage("SET k abc"),
        usage("APPEND k defghi"),
        usage("SETRANGE k 5000 x"),
        usage("SETRANGE k 6000 x"),
    ];
    assert!(sizes.is_sorted_by(|a, b| a < b) && sizes[0] > 3 && sizes[3] < 6300, "{sizes:?}");
    let (one, two) = (usage("HSET h a 1"), usage("HSET h b 2"));
    assert!(one < two && two < 300, "{one} {two}");
}

#[test]
fn objects() {
    script(
        r#"
        OBJECT ENCODING none -> null
        SET k 12 -> OK
        OBJECT ENCODING k -> "int"
        OBJECT REFCOUNT k -> 2147483647
        SET k 10000 -> OK
        OBJECT refcount k -> 1
        SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa -> OK
        OBJECT ENCODING k -> "embstr"
        SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa -> OK
        OBJECT ENCODING k -> "raw"
        OBJECT IDLETIME k -> 0
        OBJECT FREQ none -> null
        OBJECT nonsense k -> ERR unknown subcommand 'nonsense'. Try OBJECT HELP.
        OBJECT ENCODING -> ERR wrong number of arguments for 'object|encoding' command
        "#,
    );
}

#[test]
fn flushing() {
    script(
        r#"
        MSET a 1 b 2 -> OK
        EXPIRE a 10 -> 1
        FLUSHALL ASYNC -> OK
        DBSIZE -> 0
        SET a 1 -> OK
        TTL a -> -1
        FLUSHDB sync -> OK
        EXISTS a -> 0
        FLUSHALL nonsense -> ERR syntax error
        FLUSHALL ASYNC SYNC -> ERR syntax error
        "#,
    );
}

#[test]
fn what_was_flushed_is_handed_out() {
    let mut db = Db::new();
    assert!(db.keyspace.take_garbage().is_none());
    db.script("MSET a 1 b 2 -> OK\nEXPIRE a 5 -> 1\nFLUSHALL -> OK");
    db.script("SET c 3 -> OK\nFLUSHALL -> OK\nFLUSHALL -> OK");
    let mut count = 0;
    while db.keyspace.take_garbage().is_some() {
        count += 1;
    }
    assert_eq!(count, 2, "the third has nothing left to unlink");
    assert_eq!(db.keyspace.next_deadline(), None);
}

/// A large value takes long to drop: however it goes, it is handed out.
#[test]
fn a_large_value_that_goes_is_handed_out() {
    for (end, is_handed_out) in [
        ("DEL k", true),
        ("SET k v", true),
        ("EXPIRE k -1", true),
        ("RPUSH k x", false),
        ("RENAME other k", true),
    ] {
        let mut db = Db::new();
        db.run("SET other v");
        for _ in 0..100 {
            db.run(&format!("RPUSH k{}", " x".repeat(100)));
        }
        assert!(db.keyspace.take_garbage().is_none());
        db.run(end);
        assert_eq!(db.keyspace.take_garbage().is_some(), is_handed_out, "{end}");
    }
}

#[test]
fn keys_and_random_keys() {
    script(
        r#"
        KEYS * -> []
        RANDOMKEY -> null
        SET only 1 -> OK
        KEYS * -> ["only"]
        KEYS o[m-o]?y -> ["only"]
        KEYS x* -> []
        RANDOMKEY -> "only"
        PEXPIRE only 5 -> 1
        +5
        KEYS * -> []
        RANDOMKEY -> null
        SCAN 0 -> ["0" []]
        "#,
    );
}

#[test]
fn every_key_has_its_chance() {
    let mut db = Db::new();
    for key in 0..10 {
        db.run(&format!("SET key{key} x"));
    }
    let mut found = std::collections::BTreeSet::new();
    for _ in 0..2000 {
        db.now += 1;
        found.insert(db.run("RANDOMKEY"));
    }
    assert_eq!(found.len(), 10);
}

#[test]
fn scanning() {
    script(
        r#"
        SET a 1 -> OK
        SCAN 0 -> ["0" ["a"]]
        SCAN 0 MATCH b* -> ["0" []]
        SCAN 0 TYPE STRING match * COUNT 5 -> ["0" ["a"]]
        SCAN 0 TYPE list -> ["0" []]
        SCAN 18446744073709551615 -> ["0" []]
        SCAN 18446744073709551616 -> ERR invalid cursor
        SCAN x -> ERR invalid cursor
        SCAN "" -> ["0" ["a"]]
        SCAN +0 -> ["0" ["a"]]
        SCAN -0 -> ["0" ["a"]]
        SCAN "0\x00x" -> ["0" ["a"]]
        SCAN -1 -> ["0" []]
        SCAN - -> ERR invalid cursor
        SCAN " 0" -> ERR invalid cursor
        SCAN 0x1 -> ERR invalid cursor
        SCAN -18446744073709551616 -> ERR invalid cursor
        SCAN 0 COUNT 0 -> ERR syntax error
        SCAN 0 COUNT x -> ERR value is not an integer or out of range
        SCAN 0 COUNT -> ERR syntax error
        SCAN 0 nonsense 1 -> ERR syntax error
        "#,
    );
}

#[test]
fn keys_of_a_slot() {
    use raftkv_storage::keyspace::slots;
    let mut db = Db::new();
    db.script("MSET {a}1 x {a}2 x b x -> OK\nSET {a}3 x PX 5 -> OK\n+5");
    let slot = slots::slot_of(b"a");
    let mut execute = |batch| keyspace_support::show(&db.execute(batch)[0]);
    assert_eq!(execute(slots::count(slot)), "2");
    assert_eq!(execute(slots::count(slots::slot_of(b"none"))), "0");
    assert_eq!(execute(slots::keys(slot, 1)).matches("{a}").count(), 1);
    assert_eq!(execute(slots::keys(slot, 10)).matches("{a}").count(), 2);
}

#[test]
fn long_errors() {
    let mut db = Db::new();
    db.run("SET a x");
    let error = "ERR value is out of range, value must between -2147483648 and 2147483647";
    assert_eq!(db.run("COPY a b DB 2147483648"), error);
    // What is quoted comes back as it came, up to its first NUL.
    let Reply::Error(text) = db.call(&[b"EXPIRE", b"a", b"1", b"\xff\0b"]) else {
        panic!("no such option")
    };
    assert_eq!(*text, b"ERR Unsupported option \xff"[..]);
    let error = db.run("OBJECT FREQ a");
    assert!(error.starts_with("ERR An LFU maxmemory policy is not selected, access frequency not"));
}
