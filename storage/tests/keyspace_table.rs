//! The command table and the bytes of a batch.

use std::collections::BTreeSet;

use proptest::prelude::*;
use raftkv_storage::keyspace::command::{
    self, Args, Batch, DecodeError, Handler, Spec, Stamp, all, by_id, decode, internal, lookup,
    time_entry,
};

const STAMP: Stamp = Stamp { time_ms: 1_700_000_000_000, seed: 7 };

fn row(name: &str) -> &'static Spec {
    lookup(name.as_bytes()).expect("the command is in the table")
}

/// A name and arguments.
type Command = (&'static str, Vec<Vec<u8>>);

/// Returns all commands of a payload.
fn commands(payload: &[u8]) -> Result<Vec<Command>, DecodeError> {
    let (_, mut commands) = decode(payload)?;
    let mut args = Args::default();
    let mut found = Vec::new();
    while let Some(spec) = commands.next(&mut args)? {
        found.push((spec.name, args.from(0).iter().map(|arg| arg.to_vec()).collect()));
    }
    Ok(found)
}

#[test]
fn every_row_is_found_by_its_name_in_any_case_and_by_its_number() {
    let names: Vec<_> = all().iter().map(|row| row.name).collect();
    assert!(names.is_sorted(), "rows are ordered by name");
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "names are unique");
    for row in all() {
        assert_eq!(lookup(row.name.as_bytes()).map(|found| found.name), Some(row.name));
        assert_eq!(
            lookup(row.name.to_uppercase().as_bytes()).map(|found| found.name),
            Some(row.name)
        );
        if !row.is_session() {
            assert_eq!(by_id(row.id).map(|found| found.name), Some(row.name));
        }
        assert!(!row.group.is_empty() && !row.since.is_empty());
        assert!(row.subcommands.is_sorted_by_key(|row| row.name), "{}", row.name);
    }
    for name in [&b""[..], b"nonsense", b"http.put", b"get\0", &[b'x'; 100_000]] {
        assert!(lookup(name).is_none());
    }
}

/// The log is read by these numbers for ever. A test that must be changed for a new command, and
/// only by adding to it.
#[test]
fn numbers_in_the_log_never_change() {
    let mut numbers = String::new();
    for id in 0..=u16::MAX {
        if let Some(row) = by_id(id) {
            numbers += &format!("{id}={} ", row.name);
        }
    }
    assert_eq!(
        numbers.trim_end(),
        [
            "1=set 2=get 3=getdel 4=getex 5=getset 6=setnx 7=setex 8=psetex 9=mget 10=mset",
            "11=msetnx 12=append 13=strlen 14=getrange 15=substr 16=setrange 17=incr 18=decr",
            "19=incrby 20=decrby 21=incrbyfloat 22=lcs 23=delifeq 24=delex",
            "64=del 65=unlink 66=exists 67=type 68=touch 69=keys 70=scan 71=randomkey 72=rename",
            "73=renamenx 74=copy 75=object 77=sort 78=sort_ro 79=dump 80=restore",
            "81=move 82=swapdb",
            "96=expire 97=pexpire 98=expireat 99=pexpireat 100=ttl 101=pttl 102=expiretime",
            "103=pexpiretime 104=persist",
            "112=dbsize 113=flushall 114=flushdb 115=memory",
            "128=http.put 129=http.get 130=http.delete 131=http.list 132=slot.count 133=slot.keys",
            "134=watch.see 135=watch.guard",
            "160=hdel 161=hexists 162=hget 163=hgetall 164=hincrby 165=hincrbyfloat 166=hkeys",
            "167=hlen 168=hmget 169=hmset 170=hrandfield 171=hscan 172=hset 173=hsetnx",
            "174=hstrlen 175=hvals",
            "192=blmove 193=blmpop 194=blpop 195=brpop 196=brpoplpush 197=lindex 198=linsert",
            "199=llen 200=lmove 201=lmpop 202=lpop 203=lpos 204=lpush 205=lpushx 206=lrange",
            "207=lrem 208=lset 209=ltrim 210=rpop 211=rpoplpush 212=rpush 213=rpushx",
            "224=sadd 225=scard 226=sdiff 227=sdiffstore 228=sinter 229=sintercard",
            "230=sinterstore 231=sismember 232=smembers 233=smismember 234=smove 235=spop",
            "236=srandmember 237=srem 238=sscan 239=sunion 240=sunionstore",
            "256=bzmpop 257=bzpopmax 258=bzpopmin 259=zadd 260=zcard 261=zcount 262=zdiff",
            "263=zdiffstore 264=zincrby 265=zinter 266=zintercard 267=zinterstore 268=zlexcount",
            "269=zmpop 270=zmscore 271=zpopmax 272=zpopmin 273=zrandmember 274=zrange",
            "275=zrangebylex 276=zrangebyscore 277=zrangestore 278=zrank 279=zrem",
            "280=zremrangebylex 281=zremrangebyrank 282=zremrangebyscore 283=zrevrange",
            "284=zrevrangebylex 285=zrevrangebyscore 286=zrevrank 287=zscan 288=zscore 289=zunion",
            "290=zunionstore",
            "304=xack 305=xadd 306=xautoclaim 307=xclaim 308=xdel 309=xgroup 316=xinfo 321=xlen",
            "322=xpending 323=xrange 324=xread 325=xreadgroup 326=xrevrange 327=xsetid 328=xtrim",
            "352=bitcount 353=bitfield 354=bitfield_ro 355=bitop 356=bitpos 357=getbit 358=setbit",
            "368=pfadd 369=pfcount 370=pfdebug 371=pfmerge 372=pfselftest",
            "376=geoadd 377=geodist 378=geohash 379=geopos 380=georadius 381=georadius_ro",
            "382=georadiusbymember 383=georadiusbymember_ro 384=geosearch 385=geosearchstore",
        ]
        .join(" ")
    );
}

#[test]
fn flags_agree_with_who_carries_it_out() {
    // A container is what its subcommands are; of those that write, all do but HELP.
    let container = row("xgroup");
    let are_writes = |row: &Spec| row.flags.contains(command::Flags::WRITE);
    assert!(container.is_write());
    assert_eq!(container.subcommands.iter().filter(|row| !are_writes(row)).count(), 1);
    let rows = all().iter().filter(|row| row.name != container.name);
    for row in rows.chain((128..=135).filter_map(by_id)) {
        let write = are_writes(row);
        assert_eq!(write, matches!(row.handler, Handler::Write(_)), "{}", row.name);
    }
    assert!(row("keys").is_heavy() && row("lcs").is_heavy() && !row("get").is_heavy());
    assert!(internal("http.list").is_some_and(Spec::is_heavy));
    assert!(internal("get").is_none());
}

#[test]
fn flags_and_categories_read_as_in_command_info() {
    let show = |name: &str| {
        let flags = row(name).flags;
        let names: Vec<_> = flags.names().collect();
        let categories: Vec<_> = flags.categories().collect();
        format!("{} / {}", names.join(" "), categories.join(" "))
    };
    assert_eq!(show("set"), "write denyoom / @write @string @slow");
    assert_eq!(show("exists"), "readonly fast / @keyspace @read @fast");
    assert_eq!(show("flushall"), "write / @keyspace @write @slow @dangerous");
    assert_eq!(show("object"), " / @slow");
    assert_eq!(show("auth"), "noscript loading stale fast no_auth allow_busy / @fast @connection");
}

#[test]
fn keys_are_where_the_row_says() {
    let keys = |name: &str, args: &[&str]| {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        row(name).keys(&args).collect::<Vec<_>>()
    };
    assert_eq!(keys("get", &["k"]), [0]);
    assert_eq!(keys("set", &["k", "v", "EX", "1"]), [0]);
    assert_eq!(keys("mget", &["a", "b", "c"]), [0, 1, 2]);
    assert_eq!(keys("mset", &["a", "1", "b", "2"]), [0, 2]);
    assert_eq!(keys("rename", &["a", "b"]), [0, 1]);
    assert_eq!(keys("copy", &["a", "b", "REPLACE"]), [0, 1]);
    assert_eq!(keys("object", &["EncodinG", "k"]), [1]);
    assert_eq!(keys("sintercard", &["2", "a", "b", "LIMIT", "1"]), [1, 2]);
    assert_eq!(keys("object", &["help"]), [] as [usize; 0]);
    assert_eq!(keys("ping", &["x"]), [] as [usize; 0]);
    assert_eq!(keys("get", &[]), [] as [usize; 0]);
    assert_eq!(keys("rename", &["a"]), [0]);
    assert_eq!(keys("xread", &["COUNT", "1", "streams", "a", "b", "0", "$"]), [3, 4]);
    assert_eq!(keys("xreadgroup", &["GROUP", "streams", "c", "STREAMS", "a", ">"]), [4]);
    assert_eq!(keys("xgroup", &["create", "k", "g", "$"]), [1]);
}

#[test]
fn arity_counts_the_name() {
    assert!(row("get").accepts(1) && !row("get").accepts(0) && !row("get").accepts(2));
    assert!(row("set").accepts(2) && row("set").accepts(9) && !row("set").accepts(1));
}

#[test]
fn subcommands_are_rows() {
    let object = row("object");
    assert_eq!(
        object.subcommand(b"ENCODING").map(|row| (row.name, row.arity)),
        Some(("object|encoding", 3))
    );
    assert!(object.subcommand(b"nonsense").is_none());
    assert_eq!(row("client").subcommand(b"setinfo").map(Spec::short_name), Some("setinfo"));
}

#[test]
fn a_batch_parts_before_its_first_write() {
    let mut batch = Batch::new();
    assert!(batch.is_empty() && !batch.has_writes());
    batch.push(row("get"), &[b"a"]);
    assert!(!batch.has_writes());
    batch.push(row("set"), &[b"a", b""]);
    batch.push(row("get"), &[b"a"]);
    assert_eq!((batch.len(), batch.has_writes()), (3, true));
    let (reads, payload) = batch.into_parts(STAMP);
    assert!(!reads.is_empty() && !reads.is_heavy());
    let payload = payload.expect("there is a write");
    assert_eq!(decode(&payload).map(|(stamp, _)| stamp), Ok(STAMP));
    let set = ("set", vec![b"a".to_vec(), b"".to_vec()]);
    assert_eq!(commands(&payload), Ok(vec![set, ("get", vec![b"a".to_vec()])]));

    let mut batch = Batch::new();
    batch.push(row("keys"), &[b"*"]);
    let (reads, payload) = batch.into_parts(STAMP);
    assert!(reads.is_heavy() && payload.is_none());
}

#[test]
fn a_time_entry_has_no_command() {
    assert_eq!(commands(&time_entry(STAMP)), Ok(vec![]));
}

#[test]
fn malformed_entries_are_named() {
    let entry = |rest: &[u8]| [&time_entry(STAMP)[..], rest].concat();
    assert_eq!(commands(b""), Err(DecodeError::Short));
    assert_eq!(commands(&[2; 17]), Err(DecodeError::Version(2)));
    assert_eq!(commands(&entry(&[9])), Err(DecodeError::Short));
    assert_eq!(commands(&entry(&[0, 0, 0])), Err(DecodeError::Command(0)));
    assert_eq!(commands(&entry(&[2, 0])), Err(DecodeError::Short));
    assert_eq!(commands(&entry(&[2, 0, 1, 5, b'a'])), Err(DecodeError::Short));
    assert_eq!(commands(&entry(&[2, 0, 0x81, 0])), Err(DecodeError::Length));
    assert_eq!(commands(&entry(&[2, 0, 0xff, 0xff, 0xff, 0xff, 0x7f])), Err(DecodeError::Length));
    assert_eq!(commands(&entry(&[2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f])), Err(DecodeError::Short));
}

/// Any command of the keyspace with any arguments.
fn any_command() -> impl Strategy<Value = (&'static Spec, Vec<Vec<u8>>)> {
    let rows: Vec<_> = (0..=u16::MAX).filter_map(by_id).collect();
    let arg = prop_oneof![
        9 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => proptest::collection::vec(any::<u8>(), 0..20_000),
    ];
    (proptest::sample::select(rows), proptest::collection::vec(arg, 0..10))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_pushed_comes_back(pushed in proptest::collection::vec(any_command(), 0..20)) {
        let mut batch = Batch::new();
        for (spec, args) in &pushed {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            batch.push(spec, &args);
        }
        prop_assert_eq!(batch.len(), pushed.len());
        let first_write = pushed.iter().position(|(spec, _)| spec.is_write());
        let (_, payload) = batch.into_parts(STAMP);
        let expected: Vec<_> = pushed[first_write.unwrap_or(pushed.len())..]
            .iter()
            .map(|(spec, args)| (spec.name, args.clone()))
            .collect();
        let found = payload.map(|payload| commands(&payload)).unwrap_or(Ok(vec![]));
        prop_assert_eq!(found, Ok(expected));
    }

    #[test]
    fn decoding_survives_any_damage(
        pushed in proptest::collection::vec(any_command(), 1..10),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut batch = Batch::new();
        batch.push(row("set"), &[b"k", b"v"]);
        for (spec, args) in &pushed {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            batch.push(spec, &args);
        }
        let mut bytes = batch.into_parts(STAMP).1.expect("there is a write").to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = commands(&bytes);
    }

    #[test]
    fn decoding_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = commands(&bytes);
        let _ = commands(&[&time_entry(STAMP)[..], &bytes].concat());
    }
}
