//! Keys, whatever they hold: DEL, EXISTS, RENAME, COPY, OBJECT, MEMORY and their like. KEYS and
//! SCAN are in [`scan`](super::scan).

use super::command::{Args, Flags as F, Spec, WHOLE, at, from, upper};
use super::container;
use super::number::{self, integer, parse_i64};
use super::reply::{NO_SUCH_KEY, SYNTAX};
use super::scan::{keys, randomkey, scan};
use super::value::Value;
use super::{Reader, Reply, Writer};

/// The commands of keys of any type.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(64, "del", -2, del)
        .with(&[F::CAT_KEYSPACE])
        .keys_at(1, -1, 1)
        .key_flags(&["RM delete"])
        .doc("generic", "1.0.0")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Spec::write(65, "unlink", -2, del)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, -1, 1)
        .key_flags(&["RM delete"])
        .doc("generic", "4.0.0")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Spec::read(66, "exists", -2, exists)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, -1, 1)
        .key_flags(&["RO"])
        .doc("generic", "1.0.0")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Spec::read(67, "type", 2, type_of)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("generic", "1.0.0"),
    Spec::read(68, "touch", -2, exists)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, -1, 1)
        .key_flags(&["RO"])
        .doc("generic", "3.2.1")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Spec::read(69, "keys", 2, keys)
        .with(&[F::CAT_KEYSPACE, F::CAT_DANGEROUS, F::HEAVY])
        .doc("generic", "1.0.0")
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    Spec::read(70, "scan", -2, scan)
        .with(&[F::CAT_KEYSPACE])
        .doc("generic", "2.8.0")
        .tips(&["nondeterministic_output", "request_policy:special"]),
    Spec::read(71, "randomkey", 1, randomkey)
        .with(&[F::CAT_KEYSPACE])
        .doc("generic", "1.0.0")
        .tips(&["request_policy:all_shards", "nondeterministic_output"]),
    Spec::write(72, "rename", 3, rename)
        .with(&[F::CAT_KEYSPACE])
        .keys_at(1, 2, 1)
        .key_flags(&["RW access delete", "OW update"])
        .doc("generic", "1.0.0"),
    Spec::write(73, "renamenx", 3, renamenx)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 2, 1)
        .key_flags(&["RW access delete", "OW insert"])
        .doc("generic", "1.0.0"),
    Spec::write(74, "copy", -3, copy)
        .with(&[F::DENYOOM, F::CAT_KEYSPACE])
        .keys_at(1, 2, 1)
        .key_flags(&["RO access", "OW update"])
        .doc("generic", "6.2.0")
        .validated_by(|args| may_replace(args).map(drop)),
    Spec::write(81, "move", 3, |_, _| one_database("MOVE"))
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("generic", "1.0.0"),
    Spec::write(82, "swapdb", 3, |_, _| one_database("SWAPDB"))
        .with(&[F::FAST, F::CAT_KEYSPACE, F::CAT_DANGEROUS])
        .doc("server", "4.0.0"),
    Spec::read(75, "object", -2, object).flags_only(&[]).doc("generic", "2.2.3").contains(OBJECT),
    Spec::read(115, "memory", -2, memory)
        .flags_only(&[])
        .walks(WHOLE)
        .doc("server", "4.0.0")
        .contains(MEMORY),
];

const MEMORY: &[Spec] = &[
    Spec::session("memory|help", 2).with(&[F::LOADING, F::STALE]).doc("server", "4.0.0"),
    Spec::session("memory|usage", -3)
        .with(&[F::READONLY])
        .keys_at(2, 2, 1)
        .key_flags(&["RO"])
        .doc("server", "4.0.0"),
];

const OBJECT: &[Spec] = &[
    Spec::session("object|encoding", 3)
        .with(&[F::READONLY, F::CAT_KEYSPACE])
        .keys_at(2, 2, 1)
        .doc("generic", "2.2.3")
        .tips(&["nondeterministic_output"]),
    Spec::session("object|freq", 3)
        .with(&[F::READONLY, F::CAT_KEYSPACE])
        .keys_at(2, 2, 1)
        .doc("generic", "4.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("object|help", 2)
        .with(&[F::LOADING, F::STALE, F::CAT_KEYSPACE])
        .doc("generic", "6.2.0"),
    Spec::session("object|idletime", 3)
        .with(&[F::READONLY, F::CAT_KEYSPACE])
        .keys_at(2, 2, 1)
        .doc("generic", "2.2.3")
        .tips(&["nondeterministic_output"]),
    Spec::session("object|refcount", 3)
        .with(&[F::READONLY, F::CAT_KEYSPACE])
        .keys_at(2, 2, 1)
        .doc("generic", "2.2.3")
        .tips(&["nondeterministic_output"]),
];

/// The longest string for which Redis allocates object and bytes together.
const EMBEDDED_BYTES_MAX: usize = 44;
/// Redis shares the objects of the numbers below, and says of them that they have so many owners.
const SHARED_INTEGERS: i64 = 10_000;
const SHARED_OWNERS: i64 = i32::MAX as i64;
/// How many databases Redis has unless told otherwise; here only the first can be used.
const DATABASES: i64 = 16;

fn del(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let removed = args.from(0).iter().filter(|key| writer.remove(key).is_some()).count();
    Ok(number::reply(removed))
}

/// Also TOUCH: there is no idle time to reset.
fn exists(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(number::reply(args.from(0).iter().filter(|key| reader.get(key).is_some()).count()))
}

fn type_of(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let item = reader.get(args.at(0));
    Ok(Reply::Simple(item.map_or("none", |item| item.value().type_name())))
}

fn rename(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    move_key(writer, args.at(0), args.at(1))?;
    Ok(Reply::Ok)
}

fn renamenx(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    if writer.get(args.at(0)).is_some() && writer.get(args.at(1)).is_some() {
        return Ok(Reply::Integer(0));
    }
    move_key(writer, args.at(0), args.at(1))?;
    Ok(Reply::Integer(1))
}

/// Gives a key another name. The value counts as written, unless the name is the same.
fn move_key(writer: &mut Writer<'_>, from: &[u8], to: &[u8]) -> Result<(), Reply> {
    if writer.get(from).is_none() {
        return Err(NO_SUCH_KEY);
    }
    if from != to
        && let Some(item) = writer.remove(from)
    {
        writer.put(to, item.value(), item.deadline());
    }
    Ok(())
}

fn copy(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let replace = may_replace(args.from(0))?;
    let (from, to) = (args.at(0), args.at(1));
    let Some(item) = writer.get(from) else { return Ok(Reply::Integer(0)) };
    if !replace && writer.get(to).is_some() {
        return Ok(Reply::Integer(0));
    }
    // What the copy is made of must not be what the writer changes.
    let item = item.clone();
    writer.put(to, item.value(), item.deadline());
    Ok(Reply::Integer(1))
}

/// There is one database, as in any Redis cluster; that is said whatever the arguments.
fn one_database(command: &str) -> Result<Reply, Reply> {
    Err(Reply::error(format!("ERR {command} is not allowed in cluster mode")))
}

/// Reads the arguments of COPY: whether it may write over a key.
fn may_replace(args: &[&[u8]]) -> Result<bool, Reply> {
    let mut replace = false;
    let mut database = 0;
    let mut options = from(args, 2).iter();
    while let Some(option) = options.next() {
        match upper(option, &mut [0; 16]) {
            b"REPLACE" => replace = true,
            b"DB" => database = parse_database(options.next().ok_or(SYNTAX)?)?,
            _ => return Err(SYNTAX),
        }
    }
    // There is one database, as in any Redis cluster.
    if database != 0 {
        let text = "ERR Copying to another database is not allowed in cluster mode";
        return Err(Reply::error(text));
    }
    if at(args, 0) == at(args, 1) {
        return Err(Reply::error("ERR source and destination objects are the same"));
    }
    Ok(replace)
}

fn parse_database(number: &[u8]) -> Result<i64, Reply> {
    let number = integer(number)?;
    if i32::try_from(number).is_err() {
        return Err(Reply::beyond_32_bits());
    }
    if !(0..DATABASES).contains(&number) {
        return Err(Reply::error("ERR DB index is out of range"));
    }
    Ok(number)
}

/// The subcommands that look at a key. OBJECT HELP does not, so the session answers it.
fn object(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let row = container::subcommand("object", OBJECT, args.from(0))?;
    let Some(item) = reader.get(args.at(1)) else { return Ok(Reply::Null) };
    Ok(match row.short_name() {
        "encoding" => Reply::bulk(encoding(item.value())),
        "refcount" => Reply::Integer(owners(item.value())),
        "idletime" => Reply::Integer(0),
        _ => Reply::error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.",
        ),
    })
}

/// Returns what Redis would call the form of the value in memory.
fn encoding(value: Value<'_>) -> &'static str {
    match value {
        Value::Str(bytes) if parse_i64(bytes.as_bytes()).is_some() => "int",
        Value::Str(bytes) if bytes.as_bytes().len() <= EMBEDDED_BYTES_MAX => "embstr",
        Value::Str(_) => "raw",
        Value::Collection(collection) => collection.content().encoding(),
    }
}

fn owners(value: Value<'_>) -> i64 {
    match value {
        Value::Str(bytes) => match parse_i64(bytes.as_bytes()) {
            Some(0..SHARED_INTEGERS) => SHARED_OWNERS,
            _ => 1,
        },
        Value::Collection(_) => 1,
    }
}

/// MEMORY USAGE key [SAMPLES count]. All of a value is counted, however many samples are asked for.
fn memory(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    container::subcommand("memory", MEMORY, args.from(0))?;
    let mut options = args.from(2).iter();
    while let Some(option) = options.next() {
        let (b"SAMPLES", Some(count)) = (upper(option, &mut [0; 16]), options.next()) else {
            return Err(SYNTAX);
        };
        if integer(count)? < 0 {
            return Err(SYNTAX);
        }
    }
    Ok(reader.get(args.at(1)).map_or(Reply::Null, |item| number::reply(item.memory_bytes())))
}
