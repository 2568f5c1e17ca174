//! Wrong options of writes are refused before there is an entry, in the words in which applying one
//! would refuse them.

mod keyspace_support;

use std::collections::BTreeSet;

use keyspace_support::redis::Redis;
use keyspace_support::{Db, split};
use proptest::prelude::*;
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::{Batch, Spec, all, lookup};

/// Calls that are wrong whatever the key `k` holds, and what is said of them.
const WRONG: &[(&str, &str)] = &[
    ("SET k v NX XX", SYNTAX),
    ("SET k v EX 1 PX 1", SYNTAX),
    ("SET k v EX 1 KEEPTTL", SYNTAX),
    ("SET k v EX", SYNTAX),
    ("SET k v EX abc NX XX", SYNTAX),
    ("SET k v PERSIST", SYNTAX),
    ("SET k v nonsense-that-is-longer-than-any-option", SYNTAX),
    ("SET k v EX abc", INTEGER),
    ("SET k v GET PXAT 1.5", INTEGER),
    ("SET k v EX 0", "ERR invalid expire time in 'set' command"),
    ("SET k v px -1", "ERR invalid expire time in 'set' command"),
    ("SET k v EX 9223372036854775807", "ERR invalid expire time in 'set' command"),
    ("SET k v IFEQ", SYNTAX),
    ("SET k v IFEQ a NX", SYNTAX),
    ("SET k v XX IFEQ a", SYNTAX),
    ("SET k v IFEQ a IFEQ a", SYNTAX),
    ("GETEX k nonsense", SYNTAX),
    ("GETEX k IFEQ 5", SYNTAX),
    ("GETEX k EX", SYNTAX),
    ("GETEX k EX 1 PERSIST", SYNTAX),
    ("GETEX k NX", SYNTAX),
    ("SETEX k abc v", INTEGER),
    ("SETEX k 0 v", "ERR invalid expire time in 'setex' command"),
    ("PSETEX k abc v", INTEGER),
    ("PSETEX k -1 v", "ERR invalid expire time in 'psetex' command"),
    ("MSET k v k", "ERR wrong number of arguments for 'mset' command"),
    ("MSETNX k v k", "ERR wrong number of arguments for 'msetnx' command"),
    ("SETRANGE k abc v", INTEGER),
    ("SETRANGE k -1 v", "ERR offset is out of range"),
    ("INCRBY k abc", INTEGER),
    ("INCRBY k 9223372036854775808", INTEGER),
    ("DECRBY k abc", INTEGER),
    ("DECRBY k -9223372036854775808", "ERR decrement would overflow"),
    ("HSET k f v f", "ERR wrong number of arguments for 'hset' command"),
    ("HMSET k f v f", "ERR wrong number of arguments for 'hmset' command"),
    ("HINCRBY k f 1.5", INTEGER),
    ("HINCRBYFLOAT k f abc", "ERR value is not a valid float"),
    ("LPOP k abc", POSITIVE),
    ("RPOP k -1", POSITIVE),
    ("RPOP k 1 2", "ERR wrong number of arguments for 'rpop' command"),
    ("LREM k abc x", INTEGER),
    ("LTRIM k 0 abc", INTEGER),
    ("LTRIM k abc 0", INTEGER),
    ("LINSERT k BEHIND x y", SYNTAX),
    ("LMOVE k b LEFT UP", SYNTAX),
    ("LMOVE k b UP LEFT", SYNTAX),
    ("LMPOP 0 k LEFT", "ERR numkeys should be greater than 0"),
    ("LMPOP 2 k LEFT", SYNTAX),
    ("LMPOP 1 k UP", SYNTAX),
    ("LMPOP 1 k LEFT COUNT 0 nonsense", "ERR count should be greater than 0"),
    ("LMPOP 1 k LEFT COUNT 1 COUNT 1", SYNTAX),
    ("LMPOP 1 k LEFT COUNT", SYNTAX),
    ("LMPOP 9223372036854775807 k LEFT", SYNTAX),
    ("BLPOP k abc", "ERR timeout is not a float or out of range"),
    ("BRPOP k b -1", "ERR timeout is negative"),
    ("BRPOPLPUSH k b 1e300", "ERR timeout is negative"),
    ("BLMOVE k b LEFT UP abc", SYNTAX),
    ("BLMOVE k b LEFT LEFT abc", "ERR timeout is not a float or out of range"),
    ("BLMPOP abc 1 k LEFT", "ERR timeout is not a float or out of range"),
    ("BLMPOP abc 1 k UP", SYNTAX),
    ("BLMPOP abc 0 k LEFT", "ERR numkeys should be greater than 0"),
    ("SPOP k abc", "ERR value is out of range, must be positive"),
    ("SPOP k -1", "ERR value is out of range, must be positive"),
    ("SPOP k abc 1", SYNTAX),
    ("ZADD k NX 1", SYNTAX),
    ("ZADD k 1 a 2", SYNTAX),
    ("ZADD k NX CH", SYNTAX),
    ("ZADD k NX XX abc a", "ERR XX and NX options at the same time are not compatible"),
    ("ZADD k NX GT 1 a", GT_LT_NX),
    ("ZADD k lt gt 1 a", GT_LT_NX),
    ("ZADD k INCR 1 a x b", "ERR INCR option supports a single increment-element pair"),
    ("ZADD k 1 a nan b", FLOAT),
    ("ZINCRBY k NX a", SYNTAX),
    ("ZINCRBY k 1e400 a", FLOAT),
    ("ZPOPMIN k 1 2", SYNTAX),
    ("ZPOPMIN k abc", "ERR value is out of range, must be positive"),
    ("ZPOPMAX k -1", "ERR value is out of range, must be positive"),
    ("BZPOPMIN k b abc", "ERR timeout is not a float or out of range"),
    ("BZPOPMAX k -1", "ERR timeout is negative"),
    ("ZMPOP 0 k MIN", "ERR numkeys should be greater than 0"),
    ("ZMPOP abc k MIN", "ERR numkeys should be greater than 0"),
    ("ZMPOP 2 k MIN", SYNTAX),
    ("ZMPOP 1 k MID", SYNTAX),
    ("ZMPOP 1 k MIN COUNT 0", "ERR count should be greater than 0"),
    ("ZMPOP 1 k MIN COUNT 1 COUNT 1", SYNTAX),
    ("BZMPOP abc 1 k MAX nonsense", SYNTAX),
    ("BZMPOP abc 0 k MIN", "ERR numkeys should be greater than 0"),
    ("BZMPOP -1 1 k MAX", "ERR timeout is negative"),
    ("BZMPOP abc 1 k MAX COUNT 1", "ERR timeout is not a float or out of range"),
    ("ZRANGESTORE b k 0 -1 WITHSCORES", SYNTAX),
    ("ZRANGESTORE b k 0 -1 LIMIT 0", SYNTAX),
    ("ZRANGESTORE b k 0 -1 LIMIT a 1", INTEGER),
    ("ZRANGESTORE b k 0 -1 BYLEX BYSCORE", SYNTAX),
    (
        "ZRANGESTORE b k 0 -1 LIMIT 0 1",
        "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
    ),
    ("ZRANGESTORE b k 0 abc", INTEGER),
    ("ZRANGESTORE b k a b BYSCORE", "ERR min or max is not a float"),
    ("ZRANGESTORE b k a b BYLEX", "ERR min or max not valid string range item"),
    ("ZREMRANGEBYRANK k 0 abc", INTEGER),
    ("ZREMRANGEBYSCORE k nan 1", "ERR min or max is not a float"),
    ("ZREMRANGEBYLEX k - c", "ERR min or max not valid string range item"),
    ("ZUNIONSTORE b abc k", INTEGER),
    ("ZUNIONSTORE b 0 k", "ERR at least 1 input key is needed for 'zunionstore' command"),
    ("ZINTERSTORE b 2 k", SYNTAX),
    ("ZINTERSTORE b -1 k", "ERR at least 1 input key is needed for 'zinterstore' command"),
    ("ZDIFFSTORE b 0 k", "ERR at least 1 input key is needed for 'zdiffstore' command"),
    ("SORT k nonsense STORE b", SYNTAX),
    ("SORT k BY", SYNTAX),
    ("SORT k GET", SYNTAX),
    ("SORT k STORE", SYNTAX),
    ("SORT k LIMIT 1", SYNTAX),
    ("SORT k LIMIT 0 abc STORE", INTEGER),
    ("SORT k LIMIT abc 0 STORE b", INTEGER),
    ("RESTORE k 0 v nonsense", SYNTAX),
    ("RESTORE k 0 v IDLETIME", SYNTAX),
    ("RESTORE k 0 v IDLETIME 1 FREQ 1", SYNTAX),
    ("RESTORE k 0 v IDLETIME abc FREQ", INTEGER),
    ("RESTORE k 0 v IDLETIME -1", "ERR Invalid IDLETIME value, must be >= 0"),
    ("RESTORE k 0 v FREQ 256", "ERR Invalid FREQ value, must be >= 0 and <= 255"),
    ("RESTORE k abc v REPLACE", INTEGER),
    ("RESTORE k -1 v REPLACE", "ERR Invalid TTL value, must be >= 0"),
    ("RESTORE k 0 v REPLACE", "ERR DUMP payload version or checksum are wrong"),
    ("DELEX k IFEQ", "ERR wrong number of arguments for 'delex' command"),
    ("DELEX k IFEQ a b", "ERR wrong number of arguments for 'delex' command"),
    ("DELEX k IFDEQ a", SYNTAX),
    ("SETBIT k abc 1", BIT_OFFSET),
    ("SETBIT k -1 1", BIT_OFFSET),
    ("SETBIT k #1 1", BIT_OFFSET),
    ("SETBIT k 4294967296 2", BIT_OFFSET),
    ("SETBIT k 0 2", "ERR bit is not an integer or out of range"),
    ("SETBIT k 0 x", "ERR bit is not an integer or out of range"),
    ("BITOP nand a k", SYNTAX),
    ("BITOP NOT a k k", "ERR BITOP NOT must be called with a single source key."),
    ("BITFIELD k GET u8", SYNTAX),
    ("BITFIELD k GET u8 0 SET i8 0", SYNTAX),
    ("BITFIELD k OVERFLOW none GET u64 0", "ERR Invalid OVERFLOW type specified"),
    ("BITFIELD k INCRBY u64 # x", BIT_TYPE),
    ("BITFIELD k GET i65 0", BIT_TYPE),
    ("BITFIELD k SET I8 0 1", BIT_TYPE),
    ("BITFIELD k SET i8 # x", BIT_OFFSET),
    ("BITFIELD k GET i8 4294967296", BIT_OFFSET),
    ("BITFIELD k SET i8 0 x", INTEGER),
    ("GEOADD k NX XX 1 1 a", SYNTAX),
    ("GEOADD k NX CH NX", SYNTAX),
    ("GEOADD k 1 1 a 1", SYNTAX),
    ("GEOADD k 1 abc a", FLOAT),
    (
        "GEOADD k 1 1 a 200 1e20 b",
        "ERR invalid longitude,latitude pair 200.000000,100000000000000000000.000000",
    ),
    ("COPY k b nonsense", SYNTAX),
    ("COPY k b DB", SYNTAX),
    ("COPY k b DB abc", INTEGER),
    ("COPY k b DB 16", "ERR DB index is out of range"),
    ("COPY k k", "ERR source and destination objects are the same"),
    ("EXPIRE k abc", INTEGER),
    ("EXPIRE k 1 nonsense", "ERR Unsupported option nonsense"),
    ("EXPIRE k abc NX XX", "ERR NX and XX, GT or LT options at the same time are not compatible"),
    ("EXPIRE k 9223372036854775807", "ERR invalid expire time in 'expire' command"),
    ("EXPIRE k -9223372036854775808", "ERR invalid expire time in 'expire' command"),
    ("PEXPIRE k 1 GT LT", "ERR GT and LT options at the same time are not compatible"),
    ("EXPIREAT k 9223372036854775807", "ERR invalid expire time in 'expireat' command"),
    ("PEXPIREAT k abc", INTEGER),
    ("XADD k 1 f v f", "ERR wrong number of arguments for 'xadd' command"),
    ("XADD k 0-0 f v", "ERR The ID specified in XADD must be greater than 0-0"),
    ("XADD k nonsense f v", STREAM_ID),
    ("XADD k MAXLEN abc * f v", INTEGER),
    ("XADD k MAXLEN -1 * f v", "ERR The MAXLEN argument must be >= 0."),
    ("XADD k MAXLEN ~ 5 LIMIT -1 * f v", "ERR The LIMIT argument must be >= 0."),
    ("XTRIM k nonsense 5", SYNTAX),
    ("XTRIM k MINID -", STREAM_ID),
    (
        "XTRIM k MAXLEN 5 MINID 5",
        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
    ),
    (
        "XTRIM k MAXLEN 5 LIMIT 5",
        "ERR syntax error, LIMIT cannot be used without the special ~ option",
    ),
    (
        "XTRIM k LIMIT 5",
        "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
    ),
    ("XTRIM k LIMIT 0", "ERR syntax error, XTRIM must be called with a trimming strategy"),
    ("XSETID k nonsense", STREAM_ID),
    ("XSETID k 5 nonsense", SYNTAX),
    ("XSETID k 5 ENTRIESADDED -1", "ERR entries_added must be positive"),
    (
        "XSETID k 5 MAXDELETEDID 6",
        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
    ),
    ("XAUTOCLAIM k g c abc 0", "ERR Invalid min-idle-time argument for XAUTOCLAIM"),
    ("XAUTOCLAIM k g c 0 nonsense", STREAM_ID),
    ("XAUTOCLAIM k g c 0 0 COUNT 0", "ERR COUNT must be > 0"),
    ("XAUTOCLAIM k g c 0 0 nonsense", SYNTAX),
    ("XREADGROUP GROUP g c nonsense k >", SYNTAX),
    ("XREADGROUP GROUP g c BLOCK -1 STREAMS k >", "ERR timeout is negative"),
    ("XREADGROUP COUNT 1 NOACK NOACK STREAMS k >", "ERR Missing GROUP option for XREADGROUP"),
    ("XGROUP nonsense k g", "ERR unknown subcommand 'nonsense'. Try XGROUP HELP."),
    ("XGROUP DESTROY k", "ERR wrong number of arguments for 'xgroup|destroy' command"),
    (
        "XGROUP CREATE k g 0 nonsense",
        "ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.",
    ),
    ("XGROUP SETID k g 0 ENTRIESREAD -2", "ERR value for ENTRIESREAD must be positive or -1"),
    ("FLUSHALL nonsense", SYNTAX),
    ("FLUSHALL ASYNC SYNC", SYNTAX),
    ("FLUSHDB nonsense", SYNTAX),
];
const SYNTAX: &str = "ERR syntax error";
const POSITIVE: &str = "ERR value is out of range, must be positive";
const FLOAT: &str = "ERR value is not a valid float";
const GT_LT_NX: &str = "ERR GT, LT, and/or NX options at the same time are not compatible";
const STREAM_ID: &str = "ERR Invalid stream ID specified as stream command argument";
const INTEGER: &str = "ERR value is not an integer or out of range";
const BIT_OFFSET: &str = "ERR bit offset is not an integer or out of range";
const BIT_TYPE: &str = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not \
    supported but i64 is.";

/// Calls with which something may be wrong, as Redis finds when it has looked at the key.
const LATE: &[&str] = &[
    "GETEX k EX abc",
    "GETEX k PX 0",
    "INCRBYFLOAT k abc",
    "SETRANGE k 9223372036854775807 v",
    "INCRBY k 9223372036854775807",
    "ZUNIONSTORE b 1 k nonsense",
    "ZINTERSTORE b 1 k WEIGHTS abc",
    "ZDIFFSTORE b 1 k WEIGHTS 1",
    "GEORADIUS k 1 1 abc km",
    "GEORADIUSBYMEMBER k a 1 km STORE",
    "GEOSEARCHSTORE b k FROMLONLAT 1 1 BYRADIUS -1 km",
    "XDEL k nonsense",
    "XACK k g nonsense",
    "XCLAIM k g c abc 0",
    "XREADGROUP GROUP g c STREAMS k nonsense",
    "XGROUP CREATE k g nonsense",
];

/// Calls that depend on the clock: the time of the entry is for the entry to say.
const TIMELY: &[&str] = &["PEXPIRE k 9223372036854775807", "SET k v PX 9223372036854775807"];

fn validating() -> impl Iterator<Item = &'static Spec> {
    all().iter().filter(|row| row.has_validator())
}

fn parse(line: &str) -> (&'static Spec, Vec<Vec<u8>>) {
    let mut args = split(line);
    let name = args.remove(0);
    (lookup(&name).expect("the command is in the table"), args)
}

fn slices(args: &[Vec<u8>]) -> Vec<&[u8]> {
    args.iter().map(Vec::as_slice).collect()
}

/// Keyspaces in which a key is missing, a number, or something else.
fn states() -> [Db; 3] {
    [None, Some("SET k 5"), Some("SET k hello EX 100")].map(|line| {
        let mut db = Db::new();
        line.map(|line| db.run(line));
        db
    })
}

fn apply(db: &mut Db, spec: &'static Spec, args: &[&[u8]]) -> Reply {
    let mut batch = Batch::new();
    batch.push(spec, args);
    db.execute(batch).pop().expect("a command has a reply")
}

#[test]
fn wrong_options_are_refused_as_applying_them_would() {
    for (line, error) in WRONG {
        let (spec, args) = parse(line);
        let args = slices(&args);
        assert!(spec.accepts(args.len()), "{line}");
        assert_eq!(spec.validate(&args), Err(Reply::error(*error)), "{line}");
        for mut db in states() {
            let before = db.keyspace.view().digest();
            assert_eq!(apply(&mut db, spec, &args), Reply::error(*error), "{line}");
            assert_eq!(db.keyspace.view().digest(), before, "{line}");
        }
    }
    for line in LATE.iter().chain(TIMELY) {
        let (spec, args) = parse(line);
        assert_eq!(spec.validate(&slices(&args)), Ok(()), "{line}");
    }
    // The cluster's word for another database, after all that is wrong with the syntax.
    let text = "ERR Copying to another database is not allowed in cluster mode";
    for (line, error) in [
        ("COPY k k DB 1", text),
        ("COPY k b DB 1", text),
        ("COPY k b DB 1 nonsense", SYNTAX),
        ("COPY k b DB 1 DB 99", "ERR DB index is out of range"),
    ] {
        let (spec, args) = parse(line);
        assert_eq!(spec.validate(&slices(&args)), Err(Reply::error(error)), "{line}");
    }
}

#[test]
fn every_row_that_validates_is_in_the_list_and_writes() {
    let listed: BTreeSet<_> = WRONG.iter().map(|(line, _)| parse(line).0.name).collect();
    assert_eq!(validating().map(|row| row.name).collect::<BTreeSet<_>>(), listed);
    assert!(validating().all(Spec::is_write));
}

#[test]
fn writes_that_only_read_are_reads() {
    for (line, name) in [
        ("GETEX k", "get"),
        ("GETEX k PERSIST", "getex"),
        ("GETEX", "getex"),
        ("SORT k", "sort_ro"),
        ("SORT k BY store GET store LIMIT 0 1 ALPHA DESC", "sort_ro"),
        ("SORT k STORE b", "sort"),
        ("SORT k BY store STORE b GET #", "sort"),
        ("SORT k STORE", "sort"),
        ("BITFIELD k", "bitfield_ro"),
        ("BITFIELD k GET u8 0 OVERFLOW SAT GET i5 #7", "bitfield_ro"),
        ("BITFIELD k GET u8 0 SET u8 0 0", "bitfield"),
        ("BITFIELD k GET u8", "bitfield"),
        ("DEL k", "del"),
        ("SORT_RO k STORE b", "sort_ro"),
    ] {
        let (spec, args) = parse(line);
        let effect = spec.in_effect(&slices(&args));
        assert_eq!(effect.name, name, "{line}");
        for mut db in states() {
            if effect.name == spec.name {
                break;
            }
            assert!(!effect.is_write(), "{line}");
            let reply = apply(&mut db, spec, &slices(&args));
            assert_eq!(apply(&mut db, effect, &slices(&args)), reply, "{line}");
        }
    }
}

/// Redis says the same of a key that holds something else than a string: it has not looked. Of the
/// other calls it then says that the key is the matter.
#[test]
fn redis_finds_the_same_before_it_looks_at_the_key() {
    let Some(mut redis) = Redis::start() else { return };
    redis.call(&split("RPUSH k x"));
    // Those that Redis 7.0 has.
    for (line, error) in WRONG.iter().filter(|(line, _)| parse(line).0.since < "7.2.0") {
        assert_eq!(redis.call(&split(line)), *error, "{line}");
    }
    for line in LATE {
        assert!(redis.call(&split(line)).starts_with("WRONGTYPE"), "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is refused before is refused after, whatever the arguments and at any time.
    #[test]
    fn what_is_refused_early_would_be_refused_late(
        row in proptest::sample::select(validating().collect::<Vec<_>>()),
        args in proptest::collection::vec(proptest::sample::select(vec![
            "k", "b", "0", "1", "-1", "100", "abc", "9223372036854775807", "9223372036854775",
            "5000000000000000000", "-9223372036854775808", "EX", "px", "EXAT", "PXAT", "NX", "xx",
            "GT", "lt", "CH", "INCR", "MIN", "COUNT", "BYLEX", "LIMIT", "REV", "(1", "-", "2",
            "GET", "IFEQ", "KEEPTTL", "PERSIST", "REPLACE", "DB", "SYNC", "",
        ]), 0..7),
        now in prop_oneof![Just(1), Just(1_700_000_000_000), Just(u64::MAX / 2)],
    ) {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        prop_assume!(row.accepts(args.len()));
        let early = row.validate(&args);
        for mut db in states() {
            db.now = db.now.max(now);
            let late = apply(&mut db, row, &args);
            if let Err(early) = &early {
                prop_assert_eq!(early, &late);
            }
        }
    }
}
