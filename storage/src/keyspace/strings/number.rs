//! Counting: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

use super::super::command::{Args, at};
use super::super::float::Extended;
use super::super::number::integer;
use super::super::reply::NOT_A_FLOAT;
use super::super::{Reply, Writer};

pub(super) fn incr(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    add(writer, args.at(0), 1)
}

pub(super) fn decr(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    add(writer, args.at(0), -1)
}

pub(super) fn incrby(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    add(writer, args.at(0), increment(args.from(0))?)
}

pub(super) fn decrby(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    add(writer, args.at(0), decrement(args.from(0))?)
}

/// Returns what INCRBY adds.
pub(super) fn increment(args: &[&[u8]]) -> Result<i64, Reply> {
    integer(at(args, 1))
}

/// Returns what DECRBY adds.
pub(super) fn decrement(args: &[&[u8]]) -> Result<i64, Reply> {
    increment(args)?.checked_neg().ok_or(Reply::error("ERR decrement would overflow"))
}

fn add(writer: &mut Writer<'_>, key: &[u8], amount: i64) -> Result<Reply, Reply> {
    let (old, deadline) = match writer.get(key) {
        Some(item) => (integer(item.value().as_str()?.as_bytes())?, item.deadline()),
        None => (0, None),
    };
    let overflow = Reply::error("ERR increment or decrement would overflow");
    let new = old.checked_add(amount).ok_or(overflow)?;
    writer.put(key, new.to_string().as_bytes().into(), deadline);
    Ok(Reply::Integer(new))
}

pub(super) fn incrbyfloat(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let old =
        writer.string(args.at(0))?.map_or(Ok(Extended::ZERO), |text| extended(text.as_bytes()))?;
    let amount = extended(args.at(1))?;
    let infinite = Reply::error("ERR increment would produce NaN or Infinity");
    let new = old.add(&amount).ok_or(infinite)?.to_string();
    writer.put_keeping_deadline(args.at(0), new.as_bytes().into());
    Ok(Reply::bulk(new))
}

/// Reads a floating-point number, or answers Redis' error.
pub(in super::super) fn extended(text: &[u8]) -> Result<Extended, Reply> {
    Extended::parse(text).ok_or(NOT_A_FLOAT)
}
