//! Lists: elements in a row, reached from either end.
//!
//! Here are the rows, and what goes by place; [`value`] has the type, `pops`, `moves` and `search`
//! have the other commands.

mod moves;
mod pops;
mod search;
mod value;

use std::ops::Range;

use super::collection::Content;
use super::command::{Args, Flags as F, KeySpec, Spec, WHOLE, at};
use super::number::{self, integer};
use super::reply::NO_SUCH_KEY;
use super::sequence::{Piece, Sharer};
use super::timeout::timeout_ms;
use super::waits::Waits;
use super::{Reader, Reply, Writer};
use moves::{blmove, brpoplpush, lmove, rpoplpush};
use pops::{blmpop, blpop, brpop, lmpop, lpop, rpop};
use search::{linsert, lpos, lrem};
use value::End;
pub(super) use value::List;

/// The commands of lists.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(192, "blmove", 6, blmove)
        .with(&[F::DENYOOM, F::NOSCRIPT, F::BLOCKING, F::CAT_LIST])
        .keys_at(1, 2, 1)
        .key_flags(&["RW access delete", "RW insert"])
        .doc("list", "6.2.0")
        .waits(Waits::Source)
        .validated_by(|args| moves::waiting_ends(args).map(drop)),
    Spec::write(193, "blmpop", -5, blmpop)
        .with(&[F::BLOCKING, F::MOVABLEKEYS, F::CAT_LIST])
        .more_keys(&[KeySpec::counted(2, "RW access delete")])
        .doc("list", "7.0.0")
        .waits(Waits::Counted)
        .validated_by(|args| pops::waiting_first_of(args).map(drop)),
    Spec::write(194, "blpop", -3, blpop)
        .with(&[F::NOSCRIPT, F::BLOCKING, F::CAT_LIST])
        .keys_at(1, -2, 1)
        .key_flags(&["RW access delete"])
        .doc("list", "2.0.0")
        .waits(Waits::Keys)
        .validated_by(|args| pops::waiting_keys(args).map(drop)),
    Spec::write(195, "brpop", -3, brpop)
        .with(&[F::NOSCRIPT, F::BLOCKING, F::CAT_LIST])
        .keys_at(1, -2, 1)
        .key_flags(&["RW access delete"])
        .doc("list", "2.0.0")
        .waits(Waits::Keys)
        .validated_by(|args| pops::waiting_keys(args).map(drop)),
    Spec::write(196, "brpoplpush", 4, brpoplpush)
        .with(&[F::DENYOOM, F::NOSCRIPT, F::BLOCKING, F::CAT_LIST])
        .keys_at(1, 2, 1)
        .key_flags(&["RW access delete", "RW insert"])
        .doc("list", "2.2.0")
        .waits(Waits::Source)
        .validated_by(|args| timeout_ms(at(args, 2)).map(drop)),
    Spec::read(197, "lindex", 3, lindex).with(&[F::CAT_LIST]).keys_at(1, 1, 1).doc("list", "1.0.0"),
    Spec::write(198, "linsert", 5, linsert)
        .with(&[F::DENYOOM, F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RW insert"])
        .doc("list", "2.2.0")
        .validated_by(|args| search::is_behind(args).map(drop)),
    Spec::read(199, "llen", 2, llen)
        .with(&[F::FAST, F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("list", "1.0.0"),
    Spec::write(200, "lmove", 5, lmove)
        .with(&[F::DENYOOM, F::CAT_LIST])
        .keys_at(1, 2, 1)
        .key_flags(&["RW access delete", "RW insert"])
        .doc("list", "6.2.0")
        .validated_by(|args| moves::ends(args).map(drop)),
    Spec::write(201, "lmpop", -4, lmpop)
        .with(&[F::MOVABLEKEYS, F::CAT_LIST])
        .more_keys(&[KeySpec::counted(1, "RW access delete")])
        .doc("list", "7.0.0")
        .validated_by(|args| pops::FirstOf::parse(args).map(drop)),
    Spec::write(202, "lpop", -2, lpop)
        .with(&[F::FAST, F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access delete"])
        .doc("list", "1.0.0")
        .validated_by(|args| pops::pop_count(args, "lpop").map(drop)),
    Spec::read(203, "lpos", -3, lpos)
        .with(&[F::CAT_LIST])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("list", "6.0.6"),
    Spec::write(204, "lpush", -3, lpush)
        .with(&[F::DENYOOM, F::FAST, F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RW insert"])
        .doc("list", "1.0.0"),
    Spec::write(205, "lpushx", -3, lpushx)
        .with(&[F::DENYOOM, F::FAST, F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RW insert"])
        .doc("list", "2.2.0"),
    Spec::read(206, "lrange", 4, lrange)
        .with(&[F::CAT_LIST])
        .keys_at(1, 1, 1)
        .walks(number::between)
        .doc("list", "1.0.0"),
    Spec::write(207, "lrem", 4, lrem)
        .with(&[F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("list", "1.0.0")
        .validated_by(|args| integer(at(args, 1)).map(drop)),
    Spec::write(208, "lset", 4, lset)
        .with(&[F::DENYOOM, F::CAT_LIST])
        .keys_at(1, 1, 1)
        .doc("list", "1.0.0"),
    Spec::write(209, "ltrim", 4, ltrim)
        .with(&[F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("list", "1.0.0")
        .validated_by(|args| range(args).map(drop)),
    Spec::write(210, "rpop", -2, rpop)
        .with(&[F::FAST, F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access delete"])
        .doc("list", "1.0.0")
        .validated_by(|args| pops::pop_count(args, "rpop").map(drop)),
    Spec::write(211, "rpoplpush", 3, rpoplpush)
        .with(&[F::DENYOOM, F::CAT_LIST])
        .keys_at(1, 2, 1)
        .key_flags(&["RW access delete", "RW insert"])
        .doc("list", "1.2.0"),
    Spec::write(212, "rpush", -3, rpush)
        .with(&[F::DENYOOM, F::FAST, F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RW insert"])
        .doc("list", "1.0.0"),
    Spec::write(213, "rpushx", -3, rpushx)
        .with(&[F::DENYOOM, F::FAST, F::CAT_LIST])
        .keys_at(1, 1, 1)
        .key_flags(&["RW insert"])
        .doc("list", "2.2.0"),
];

fn lpush(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    push(writer, args, End::Left)
}

fn rpush(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    push(writer, args, End::Right)
}

fn lpushx(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    push_if_there(writer, args, End::Left)
}

fn rpushx(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    push_if_there(writer, args, End::Right)
}

fn push_if_there(writer: &mut Writer<'_>, args: &Args<'_>, end: End) -> Result<Reply, Reply> {
    match writer.kind::<List>(args.at(0))? {
        Some(_) => push(writer, args, end),
        None => Ok(Reply::Integer(0)),
    }
}

fn push(writer: &mut Writer<'_>, args: &Args<'_>, end: End) -> Result<Reply, Reply> {
    let length = writer.edit(args.at(0), |list: &mut List| {
        args.from(1).iter().for_each(|element| list.push(end, element));
        (list.len(), true)
    })?;
    Ok(number::reply(length))
}

fn llen(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(number::reply(reader.kind::<List>(args.at(0))?.map_or(0, List::len)))
}

fn lindex(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let Some(list) = reader.kind::<List>(args.at(0))? else { return Ok(Reply::Null) };
    let element = place(integer(args.at(1))?, list.len()).and_then(|place| list.at(place));
    Ok(element.map_or(Reply::Null, |element| shared(&element, &mut Sharer::default())))
}

fn lset(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let list = writer.kind::<List>(args.at(0))?.ok_or(NO_SUCH_KEY)?;
    let out_of_range = Reply::error("ERR index out of range");
    let place = place(integer(args.at(1))?, list.len()).ok_or(out_of_range)?;
    writer.edit(args.at(0), |list: &mut List| (list.set(place, args.at(2)), true))?;
    Ok(Reply::Ok)
}

fn lrange(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let range = range(args.from(0))?;
    let Some(list) = reader.kind::<List>(args.at(0))? else { return Ok(Reply::Array(Vec::new())) };
    let places = places(range, list.len());
    let elements = list.iter_from(places.start).take(places.len());
    let mut sharer = Sharer::default();
    Ok(Reply::Array(elements.map(|element| shared(&element, &mut sharer)).collect()))
}

fn ltrim(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let range = range(args.from(0))?;
    if writer.kind::<List>(args.at(0))?.is_some() {
        writer.edit(args.at(0), |list: &mut List| {
            let has_changed = list.trim(places(range, list.len()));
            ((), has_changed)
        })?;
    }
    Ok(Reply::Ok)
}

fn shared(element: &Piece<'_>, sharer: &mut Sharer) -> Reply {
    Reply::Bulk(sharer.share(element, 0..element.as_bytes().len()))
}

/// Reads the first and the last place of LRANGE or LTRIM.
fn range(args: &[&[u8]]) -> Result<(i64, i64), Reply> {
    Ok((integer(at(args, 1))?, integer(at(args, 2))?))
}

/// Returns the places from a first to a last one; negative ones count from the end.
fn places((first, last): (i64, i64), length: usize) -> Range<usize> {
    let start = from_start(first, length).max(0);
    let end = from_start(last, length).saturating_add(1);
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let end = usize::try_from(end).unwrap_or(0).min(length);
    if start < end { start..end } else { 0..0 }
}

/// Returns the place that an index means, if there is one.
fn place(index: i64, length: usize) -> Option<usize> {
    usize::try_from(from_start(index, length)).ok().filter(|place| *place < length)
}

/// Returns a place counted from the start; one before it stays negative.
fn from_start(index: i64, length: usize) -> i64 {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    if index < 0 { index + length } else { index }
}
