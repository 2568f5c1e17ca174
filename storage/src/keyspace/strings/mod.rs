//! Strings: bytes, and numbers as text.
//!
//! Here are the rows, and what reads and writes whole values; [`set`] has SET and its relatives,
//! [`number`] counting, [`range`] parts of values, [`lcs`] the longest common subsequence,
//! [`compare`] what depends on the value that is there.

mod compare;
mod lcs;
mod number;
mod range;
mod set;

use super::command::{Args, Flags as F, Spec};
use super::reply::wrong_arity;
use super::value::Str;
use super::{Reader, Reply, Writer};
use compare::{condition, delex, delifeq};
use lcs::lcs;
pub(super) use number::extended;
use number::{decr, decrby, decrement, incr, incrby, incrbyfloat, increment};
use range::{append, getrange, offset, setrange, strlen};
pub(super) use range::{clamped, span};
use set::{PSETEX, SETEX, getex, set, validate_getex, validate_set};

/// The most bytes a string may have: as much as a client may send at once. Redis lets `SETRANGE`
/// grow one to 512 MiB; here a request of forty bytes would take that much on every node.
pub(super) const MAX_VALUE_BYTES: usize = 8 << 20;

/// The commands of strings.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(1, "set", -3, set)
        .with(&[F::DENYOOM, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update variable_flags"])
        .key_notes("With `GET` the old string is read")
        .doc("string", "1.0.0")
        .validated_by(validate_set),
    Spec::read(2, "get", 2, get)
        .with(&[F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "1.0.0"),
    Spec::write(3, "getdel", 2, getdel)
        .with(&[F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access delete"])
        .doc("string", "6.2.0"),
    Spec::write(4, "getex", -2, getex)
        .with(&[F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .key_notes("How long the key lives is changed, the string is not")
        .doc("string", "6.2.0")
        .validated_by(validate_getex)
        .reads_as(2, |args| args.len() == 1),
    Spec::write(5, "getset", 3, getset)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("string", "1.0.0"),
    Spec::write(6, "setnx", 3, setnx)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["OW insert"])
        .doc("string", "1.0.0"),
    Spec::write(7, "setex", 4, |writer, args| SETEX.apply(writer, args))
        .with(&[F::DENYOOM, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["OW update"])
        .doc("string", "2.0.0")
        .validated_by(|args| SETEX.validate(args)),
    Spec::write(8, "psetex", 4, |writer, args| PSETEX.apply(writer, args))
        .with(&[F::DENYOOM, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["OW update"])
        .doc("string", "2.6.0")
        .validated_by(|args| PSETEX.validate(args)),
    Spec::read(9, "mget", -2, mget)
        .with(&[F::FAST, F::CAT_STRING])
        .keys_at(1, -1, 1)
        .doc("string", "1.0.0")
        .tips(&["request_policy:multi_shard"]),
    Spec::write(10, "mset", -3, mset)
        .with(&[F::DENYOOM, F::CAT_STRING])
        .keys_at(1, -1, 2)
        .key_flags(&["OW update"])
        .doc("string", "1.0.1")
        .validated_by(|args| pairs(args, "mset").map(drop))
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    Spec::write(11, "msetnx", -3, msetnx)
        .with(&[F::DENYOOM, F::CAT_STRING])
        .keys_at(1, -1, 2)
        .key_flags(&["OW insert"])
        .doc("string", "1.0.1")
        .validated_by(|args| pairs(args, "msetnx").map(drop))
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"]),
    Spec::write(12, "append", 3, append)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW insert"])
        .doc("string", "2.0.0"),
    Spec::read(13, "strlen", 2, strlen)
        .with(&[F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("string", "2.2.0"),
    Spec::read(14, "getrange", 4, getrange)
        .with(&[F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "2.4.0"),
    Spec::read(15, "substr", 4, getrange)
        .with(&[F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "1.0.0"),
    Spec::write(16, "setrange", 4, setrange)
        .with(&[F::DENYOOM, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "2.2.0")
        .validated_by(|args| offset(args).map(drop)),
    Spec::write(17, "incr", 2, incr)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("string", "1.0.0"),
    Spec::write(18, "decr", 2, decr)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("string", "1.0.0"),
    Spec::write(19, "incrby", 3, incrby)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("string", "1.0.0")
        .validated_by(|args| increment(args).map(drop)),
    Spec::write(20, "decrby", 3, decrby)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("string", "1.0.0")
        .validated_by(|args| decrement(args).map(drop)),
    Spec::write(21, "incrbyfloat", 3, incrbyfloat)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("string", "2.6.0"),
    Spec::read(22, "lcs", -3, lcs)
        .with(&[F::CAT_STRING, F::HEAVY])
        .keys_at(1, 2, 1)
        .doc("string", "7.0.0"),
    Spec::write(23, "delifeq", 3, delifeq)
        .with(&[F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access delete"])
        .doc("string", "9.0.0"),
    Spec::write(24, "delex", -2, delex)
        .with(&[F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete variable_flags"])
        .key_notes("With a condition the string is read")
        .doc("string", "8.4.0")
        .validated_by(|args| condition(args).map(drop)),
];

fn get(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(bulk_or_null(reader.string(args.at(0))?.map(Str::to_bytes)))
}

/// A key that is missing or of another type is null: MGET never fails.
fn mget(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let value = |key: &&[u8]| bulk_or_null(reader.string(key).ok().flatten().map(Str::to_bytes));
    Ok(Reply::Array(args.from(0).iter().map(value).collect()))
}

fn getdel(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let value = writer.string(args.at(0))?.map(Str::to_bytes);
    if value.is_some() {
        writer.remove(args.at(0));
    }
    Ok(bulk_or_null(value))
}

fn getset(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let old = writer.string(args.at(0))?.map(Str::to_bytes);
    writer.put(args.at(0), args.at(1).into(), None);
    Ok(bulk_or_null(old))
}

fn setnx(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    if writer.get(args.at(0)).is_some() {
        return Ok(Reply::Integer(0));
    }
    writer.put(args.at(0), args.at(1).into(), None);
    Ok(Reply::Integer(1))
}

fn mset(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    put_pairs(writer, pairs(args.from(0), "mset")?);
    Ok(Reply::Ok)
}

fn msetnx(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let pairs = pairs(args.from(0), "msetnx")?;
    if pairs.iter().any(|[key, _]| writer.get(key).is_some()) {
        return Ok(Reply::Integer(0));
    }
    put_pairs(writer, pairs);
    Ok(Reply::Integer(1))
}

/// Returns the arguments as keys and values.
fn pairs<'s, 'a>(args: &'s [&'a [u8]], command: &str) -> Result<&'s [[&'a [u8]; 2]], Reply> {
    match args.as_chunks::<2>() {
        (pairs, []) => Ok(pairs),
        _ => Err(wrong_arity(command)),
    }
}

fn put_pairs(writer: &mut Writer<'_>, pairs: &[[&[u8]; 2]]) {
    for [key, value] in pairs {
        writer.put(key, (*value).into(), None);
    }
}

fn bulk_or_null(value: Option<bytes::Bytes>) -> Reply {
    value.map_or(Reply::Null, Reply::Bulk)
}
