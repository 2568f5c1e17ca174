//! Strings, command by command: exact replies.

mod keyspace_support;

use keyspace_support::{Db, show};

fn script(script: &str) {
    Db::new().script(script);
}

#[test]
fn set_and_get() {
    script(
        r#"
        GET k -> null
        SET k v -> OK
        GET k -> "v"
        set K "a b\x00\xff" -> OK
        GET K -> "a b\x00\xff"
        SET "" "" -> OK
        GET "" -> ""
        "#,
    );
}

#[test]
fn set_with_conditions() {
    script(
        r#"
        SET k v XX -> null
        SET k v NX -> OK
        SET k w NX -> null
        SET k w XX -> OK
        SET k x NX XX -> ERR syntax error
        SET k x GET -> "w"
        SET k y NX GET -> "x"
        SET new z NX GET -> null
        GET new -> "z"
        SET other z XX GET -> null
        GET other -> null
        SET k y nonsense -> ERR syntax error
        SET k -> ERR wrong number of arguments for 'set' command
        "#,
    );
}

#[test]
fn set_with_a_time_to_live() {
    script(
        r#"
        SET k v EX 10 -> OK
        TTL k -> 10
        SET k v PX 1500 -> OK
        PTTL k -> 1500
        SET k v EXAT 1010 -> OK
        PTTL k -> 10000
        SET k v pxat 1000007 -> OK
        PTTL k -> 7
        SET k w KEEPTTL -> OK
        PTTL k -> 7
        SET k w -> OK
        PTTL k -> -1
        SET k w EX 5 EX 7 -> OK
        TTL k -> 7
        SET k w EX 5 PX 7 -> ERR syntax error
        SET k w EX -> ERR syntax error
        SET k w EX 5 KEEPTTL -> ERR syntax error
        SET k w KEEPTTL EX 5 -> ERR syntax error
        SET k w PERSIST -> ERR syntax error
        SET k w EX 0 -> ERR invalid expire time in 'set' command
        SET k w EX -1 -> ERR invalid expire time in 'set' command
        SET k w EX 9223372036854775807 -> ERR invalid expire time in 'set' command
        SET k w PX 9223372036854775807 -> ERR invalid expire time in 'set' command
        SET k w PXAT 9223372036854775807 -> OK
        SET k w EX x -> ERR value is not an integer or out of range
        SET k v PXAT 5 -> OK
        GET k -> null
        SETEX k 10 v -> OK
        TTL k -> 10
        SETEX k 0 v -> ERR invalid expire time in 'setex' command
        PSETEX k 10 v -> OK
        PTTL k -> 10
        PSETEX k -1 v -> ERR invalid expire time in 'psetex' command
        "#,
    );
}

#[test]
fn getting_and_changing() {
    script(
        r#"
        GETSET k a -> null
        EXPIRE k 10 -> 1
        GETSET k b -> "a"
        TTL k -> -1
        GETDEL k -> "b"
        GETDEL k -> null
        GETEX k -> null
        GETEX k EX 0 -> null
        SET k v EX 10 -> OK
        GETEX k -> "v"
        TTL k -> 10
        GETEX k PERSIST -> "v"
        TTL k -> -1
        GETEX k PX 5 -> "v"
        PTTL k -> 5
        GETEX k EX 0 -> ERR invalid expire time in 'getex' command
        GETEX k EX 1 PERSIST -> ERR syntax error
        GETEX k KEEPTTL -> ERR syntax error
        GETEX k PXAT 1 -> "v"
        EXISTS k -> 0
        SETNX k a -> 1
        SETNX k b -> 0
        GET k -> "a"
        "#,
    );
}

#[test]
fn many_at_once() {
    script(
        r#"
        MSET a 1 b 2 a 3 -> OK
        MGET a b c a -> ["3" "2" null "3"]
        MSET a 1 b -> ERR wrong number of arguments for 'mset' command
        MSETNX c 1 a 2 -> 0
        EXISTS c -> 0
        MSETNX c 1 d 2 -> 1
        MSETNX e 1 e 2 -> 1
        GET e -> "2"
        MSETNX e -> ERR wrong number of arguments for 'msetnx' command
        MSETNX e 1 f -> ERR wrong number of arguments for 'msetnx' command
        "#,
    );
}

#[test]
fn parts_of_values() {
    script(
        r#"
        APPEND k "" -> 0
        EXISTS k -> 1
        APPEND k abc -> 3
        APPEND k def -> 6
        STRLEN k -> 6
        STRLEN none -> 0
        GETRANGE k 0 -1 -> "abcdef"
        GETRANGE k 1 2 -> "bc"
        GETRANGE k -2 -1 -> "ef"
        GETRANGE k -100 100 -> "abcdef"
        GETRANGE k 4 2 -> ""
        GETRANGE k -1 -5 -> ""
        GETRANGE k 9223372036854775807 9223372036854775807 -> ""
        GETRANGE k -9223372036854775808 9223372036854775807 -> "abcdef"
        SUBSTR k 0 1 -> "ab"
        GETRANGE none 0 -1 -> ""
        GETRANGE k x 1 -> ERR value is not an integer or out of range
        SETRANGE k 2 XY -> 6
        GET k -> "abXYef"
        SETRANGE k 8 z -> 9
        GET k -> "abXYef\x00\x00z"
        SETRANGE k 100 "" -> 9
        SETRANGE none 5 "" -> 0
        EXISTS none -> 0
        SETRANGE k -1 x -> ERR offset is out of range
        SETRANGE k x x -> ERR value is not an integer or out of range
        SETRANGE k 536870912 x -> ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 9223372036854775807 "" -> 9
        STRLEN k -> 9
        SET t 1 EX 10 -> OK
        APPEND t 2 -> 2
        SETRANGE t 0 3 -> 2
        TTL t -> 10
        "#,
    );
}

#[test]
fn counting() {
    script(
        r#"
        INCR n -> 1
        INCRBY n 41 -> 42
        DECR n -> 41
        DECRBY n -1 -> 42
        SET n 9223372036854775807 -> OK
        INCR n -> ERR increment or decrement would overflow
        SET n -9223372036854775808 -> OK
        DECR n -> ERR increment or decrement would overflow
        DECRBY n -9223372036854775808 -> ERR decrement would overflow
        GET n -> "-9223372036854775808"
        INCRBY n 1.5 -> ERR value is not an integer or out of range
        SET s " 1" -> OK
        INCR s -> ERR value is not an integer or out of range
        SET s 01 -> OK
        INCR s -> ERR value is not an integer or out of range
        SET s 1 EX 10 -> OK
        INCR s -> 2
        TTL s -> 10
        "#,
    );
}

#[test]
fn counting_in_fractions() {
    script(
        r#"
        SET f 10.50 -> OK
        INCRBYFLOAT f 0.1 -> "10.6"
        INCRBYFLOAT f -5 -> "5.6"
        SET f 5.0e3 -> OK
        INCRBYFLOAT f 2.0e2 -> "5200"
        INCRBYFLOAT none 3.0 -> "3"
        SET f 3 -> OK
        INCRBYFLOAT f 1.000000000000000005 -> "4.00000000000000001"
        SET f 1e4932 -> OK
        INCRBYFLOAT f 1e4932 -> ERR increment would produce NaN or Infinity
        INCRBYFLOAT f inf -> ERR increment would produce NaN or Infinity
        INCRBYFLOAT f nan -> ERR value is not a valid float
        INCRBYFLOAT f x -> ERR value is not a valid float
        SET f "1 " -> OK
        INCRBYFLOAT f 1 -> ERR value is not a valid float
        SET f -0 -> OK
        INCRBYFLOAT f 0 -> "0"
        SET t 1 EX 10 -> OK
        INCRBYFLOAT t 1 -> "2"
        TTL t -> 10
        "#,
    );
}

#[test]
fn longest_common_subsequence() {
    script(
        r#"
        MSET a ohmytext b mynewtext -> OK
        LCS a b -> "mytext"
        LCS a b LEN -> 6
        LCS a b IDX -> {"matches": [[[4 7] [5 8]] [[2 3] [0 1]]], "len": 6}
        LCS a b IDX MINMATCHLEN 4 -> {"matches": [[[4 7] [5 8]]], "len": 6}
        LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN -> {"matches": [[[4 7] [5 8] 4]], "len": 6}
        LCS a b IDX MINMATCHLEN -4 -> {"matches": [[[4 7] [5 8]] [[2 3] [0 1]]], "len": 6}
        LCS a none -> ""
        LCS none none LEN -> 0
        LCS a b IDX LEN -> ERR If you want both the length and indexes, please just use IDX.
        LCS a b nonsense -> ERR syntax error
        LCS a b MINMATCHLEN -> ERR syntax error
        LCS a b MINMATCHLEN x -> ERR value is not an integer or out of range
        "#,
    );
}

#[test]
fn the_table_of_lcs_is_bounded() {
    let mut db = Db::new();
    let value = vec![b'x'; 20_000];
    db.call(&[b"SET", b"a", &value]);
    db.call(&[b"SET", b"b", &value]);
    assert_eq!(
        db.run("LCS a b LEN"),
        "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
    );
}

/// The largest string there may be, grown by one byte too many.
#[test]
fn values_have_an_end() {
    let mut db = Db::new();
    assert_eq!(db.run("SETRANGE k 8388607 x"), "8388608");
    let error = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    assert_eq!(db.run("APPEND k y"), error);
    assert_eq!(db.run("SETRANGE k 8388607 xy"), error);
    assert_eq!(db.run("GETRANGE k -2 -1"), "\"\\x00x\"");
    assert_eq!(db.run("DEL k"), "1");
}

/// Appending byte by byte to a large value must not copy it each time, nor must a reader see it
/// change.
#[test]
fn appending_is_amortised_and_hidden_from_readers() {
    let mut db = Db::new();
    db.call(&[b"SET", b"k", &vec![b'x'; 1 << 20]]);
    let before = db.call(&[b"GET", b"k"]);
    for _ in 0..100_000 {
        db.call(&[b"APPEND", b"k", b"y"]);
    }
    assert_eq!(db.run("STRLEN k"), ((1 << 20) + 100_000).to_string());
    assert_eq!(show(&before).len(), (1 << 20) + 2);
}

/// Conditions on the value, which Redis 7.0 does not have.
#[test]
fn what_is_written_only_if_a_string_is_as_expected() {
    Db::new().script(
        r#"
        SET lock mine IFEQ mine -> null
        EXISTS lock -> 0
        SET lock mine IFEQ mine GET -> null
        SET lock mine -> OK
        SET lock theirs IFEQ other -> null
        SET lock theirs IFEQ other GET -> "mine"
        GET lock -> "mine"
        SET lock 7 ifeq mine EX 100 -> OK
        TTL lock -> 100
        SET lock 8 IFEQ 7 GET KEEPTTL -> "7"
        TTL lock -> 100
        GET lock -> "8"
        SET lock 9 IFEQ 8 -> OK
        TTL lock -> -1
        SET lock v NX -> null
        DELIFEQ lock 8 -> 0
        DELEX lock IFEQ 8 -> 0
        DELEX lock IFNE 9 -> 0
        DELIFEQ lock 9 -> 1
        DELIFEQ lock 9 -> 0
        DELEX lock IFEQ 9 -> 0
        DELEX lock IFNE 9 -> 0
        DELEX lock -> 0
        SET lock 9 -> OK
        DELEX lock ifne 8 -> 1
        SET lock 9 -> OK
        DELEX lock ifeq 9 -> 1
        HSET hash a b -> 1
        SET hash v IFEQ b -> WRONGTYPE Operation against a key holding the wrong kind of value
        SET hash v IFEQ b GET -> WRONGTYPE Operation against a key holding the wrong kind of value
        DELIFEQ hash b -> WRONGTYPE Operation against a key holding the wrong kind of value
        DELEX hash IFNE b -> WRONGTYPE Operation against a key holding the wrong kind of value
        DELEX hash -> 1
        "#,
    );
}
