//! Hashes: fields, each with a value.
//!
//! Here are the rows and their handlers; [`value`] has the type.

mod value;

use super::collection::Content;
use super::command::{Args, Flags as F, Spec, WHOLE, at, from};
use super::float::Extended;
use super::members;
use super::number::{self, integer, parse_i64};
use super::random::Random;
use super::reply::wrong_arity;
use super::scan;
use super::sequence::Sharer;
use super::strings::extended;
use super::{Reader, Reply, Writer};
pub(super) use value::{Field, Hash};

/// The commands of hashes.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(160, "hdel", -3, hdel)
        .with(&[F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("hash", "2.0.0"),
    Spec::read(161, "hexists", 3, hexists)
        .with(&[F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("hash", "2.0.0"),
    Spec::read(162, "hget", 3, hget)
        .with(&[F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .doc("hash", "2.0.0"),
    Spec::read(163, "hgetall", 2, hgetall)
        .with(&[F::CAT_HASH])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("hash", "2.0.0")
        .tips(&["nondeterministic_output_order"]),
    Spec::write(164, "hincrby", 4, hincrby)
        .with(&[F::DENYOOM, F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("hash", "2.0.0")
        .validated_by(|args| integer(at(args, 2)).map(drop)),
    Spec::write(165, "hincrbyfloat", 4, hincrbyfloat)
        .with(&[F::DENYOOM, F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("hash", "2.6.0")
        .validated_by(|args| float_increment(args).map(drop)),
    Spec::read(166, "hkeys", 2, hkeys)
        .with(&[F::CAT_HASH])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("hash", "2.0.0")
        .tips(&["nondeterministic_output_order"]),
    Spec::read(167, "hlen", 2, hlen)
        .with(&[F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("hash", "2.0.0"),
    Spec::read(168, "hmget", -3, hmget)
        .with(&[F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .doc("hash", "2.0.0"),
    Spec::write(169, "hmset", -4, hmset)
        .with(&[F::DENYOOM, F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .doc("hash", "2.0.0")
        .validated_by(|args| pairs(args, "hmset").map(drop)),
    Spec::read(170, "hrandfield", -2, hrandfield)
        .with(&[F::CAT_HASH])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("hash", "6.2.0")
        .tips(&["nondeterministic_output"]),
    Spec::read(171, "hscan", -3, hscan)
        .with(&[F::CAT_HASH])
        .keys_at(1, 1, 1)
        .doc("hash", "2.8.0")
        .tips(&["nondeterministic_output"]),
    Spec::write(172, "hset", -4, hset)
        .with(&[F::DENYOOM, F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .doc("hash", "2.0.0")
        .validated_by(|args| pairs(args, "hset").map(drop)),
    Spec::write(173, "hsetnx", 4, hsetnx)
        .with(&[F::DENYOOM, F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .key_flags(&["RW insert"])
        .doc("hash", "2.0.0"),
    Spec::read(174, "hstrlen", 3, hstrlen)
        .with(&[F::FAST, F::CAT_HASH])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("hash", "3.2.0"),
    Spec::read(175, "hvals", 2, hvals)
        .with(&[F::CAT_HASH])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("hash", "2.0.0")
        .tips(&["nondeterministic_output_order"]),
];

/// What a walk over all fields shows of each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Name,
    Value,
}

impl Part {
    fn of(self, field: &Field<'_>, sharer: &mut Sharer) -> Reply {
        Reply::Bulk(match self {
            Self::Name => field.share_name(sharer),
            Self::Value => field.share_value(sharer),
        })
    }
}

fn hset(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    set_pairs(writer, args, "hset").map(number::reply)
}

fn hmset(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    set_pairs(writer, args, "hmset").map(|_| Reply::Ok)
}

/// Sets fields, and returns how many of them are new.
fn set_pairs(writer: &mut Writer<'_>, args: &Args<'_>, command: &str) -> Result<usize, Reply> {
    let pairs = pairs(args.from(0), command)?;
    writer.edit(args.at(0), |hash: &mut Hash| {
        let is_new = |[name, value]: &&[&[u8]; 2]| hash.set(name, value);
        (pairs.iter().filter(is_new).count(), true)
    })
}

/// Returns the arguments behind the key as fields and values.
fn pairs<'s, 'a>(args: &'s [&'a [u8]], command: &str) -> Result<&'s [[&'a [u8]; 2]], Reply> {
    match from(args, 1).as_chunks::<2>() {
        (pairs, []) => Ok(pairs),
        _ => Err(wrong_arity(command)),
    }
}

fn hsetnx(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, name) = (args.at(0), args.at(1));
    let is_new = writer.kind::<Hash>(key)?.is_none_or(|hash| hash.get(name).is_none());
    if is_new {
        writer.edit(key, |hash: &mut Hash| (hash.set(name, args.at(2)), true))?;
    }
    Ok(Reply::Integer(is_new.into()))
}

fn hget(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let hash = reader.kind::<Hash>(args.at(0))?;
    Ok(value_or_null(hash, args.at(1)))
}

fn hmget(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let hash = reader.kind::<Hash>(args.at(0))?;
    Ok(Reply::Array(args.from(1).iter().map(|name| value_or_null(hash, name)).collect()))
}

fn value_or_null(hash: Option<&Hash>, name: &[u8]) -> Reply {
    let field = hash.and_then(|hash| hash.get(name));
    field.map_or(Reply::Null, |field| Part::Value.of(&field, &mut Sharer::default()))
}

fn hdel(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    if writer.kind::<Hash>(args.at(0))?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let removed = writer.edit(args.at(0), |hash: &mut Hash| {
        let removed = args.from(1).iter().filter(|name| hash.remove(name)).count();
        (removed, removed > 0)
    })?;
    Ok(number::reply(removed))
}

fn hexists(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let hash = reader.kind::<Hash>(args.at(0))?;
    let is_there = hash.is_some_and(|hash| hash.get(args.at(1)).is_some());
    Ok(Reply::Integer(is_there.into()))
}

fn hlen(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(number::reply(reader.kind::<Hash>(args.at(0))?.map_or(0, Hash::len)))
}

fn hstrlen(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let field = reader.kind::<Hash>(args.at(0))?.and_then(|hash| hash.get(args.at(1)));
    Ok(number::reply(field.map_or(0, |field| field.value().len())))
}

fn hkeys(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    all(reader, args, Part::Name)
}

fn hvals(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    all(reader, args, Part::Value)
}

fn all(reader: &Reader<'_>, args: &Args<'_>, part: Part) -> Result<Reply, Reply> {
    let mut sharer = Sharer::default();
    let fields = reader.kind::<Hash>(args.at(0))?.into_iter().flat_map(|hash| hash.iter_from(0));
    Ok(Reply::Array(fields.map(|field| part.of(&field, &mut sharer)).collect()))
}

fn hgetall(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let mut sharer = Sharer::default();
    let fields = reader.kind::<Hash>(args.at(0))?.into_iter().flat_map(|hash| hash.iter_from(0));
    Ok(Reply::Map(fields.map(|field| pair(&field, &mut sharer)).collect()))
}

fn pair(field: &Field<'_>, sharer: &mut Sharer) -> (Reply, Reply) {
    (Part::Name.of(field, sharer), Part::Value.of(field, sharer))
}

fn hincrby(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, name) = (args.at(0), args.at(1));
    let amount = integer(args.at(2))?;
    let old = match writer.kind::<Hash>(key)?.and_then(|hash| hash.get(name)) {
        Some(field) => {
            parse_i64(field.value()).ok_or(Reply::error("ERR hash value is not an integer"))?
        }
        None => 0,
    };
    let overflow = Reply::error("ERR increment or decrement would overflow");
    let new = old.checked_add(amount).ok_or(overflow)?;
    writer.edit(key, |hash: &mut Hash| (hash.set(name, new.to_string().as_bytes()), true))?;
    Ok(Reply::Integer(new))
}

/// Returns what HINCRBYFLOAT adds.
fn float_increment(args: &[&[u8]]) -> Result<Extended, Reply> {
    match extended(at(args, 2))? {
        Extended::Infinite => Err(Reply::error("ERR value is NaN or Infinity")),
        amount => Ok(amount),
    }
}

fn hincrbyfloat(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, name) = (args.at(0), args.at(1));
    let amount = float_increment(args.from(0))?;
    let old = match writer.kind::<Hash>(key)?.and_then(|hash| hash.get(name)) {
        Some(field) => {
            Extended::parse(field.value()).ok_or(Reply::error("ERR hash value is not a float"))?
        }
        None => Extended::ZERO,
    };
    let infinite = Reply::error("ERR increment would produce NaN or Infinity");
    let new = old.add(&amount).ok_or(infinite)?.to_string();
    writer.edit(key, |hash: &mut Hash| (hash.set(name, new.as_bytes()), true))?;
    Ok(Reply::bulk(new))
}

/// With a count, so many fields: different ones, or, if it is negative, each drawn from all.
fn hrandfield(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let mut random = Random::new(reader.seed);
    let mut sharer = Sharer::default();
    if args.len() == 1 {
        let hash = reader.kind::<Hash>(args.at(0))?;
        let field = hash.and_then(|hash| hash.at(random.below(hash.len())));
        return Ok(field.map_or(Reply::Null, |field| Part::Name.of(&field, &mut sharer)));
    }
    let (count, with_values) = members::draw_options(args.from(1), b"withvalues")?;
    let Some(hash) = reader.kind::<Hash>(args.at(0))? else { return Ok(Reply::Array(Vec::new())) };
    let places = random.draw(count, hash.len());
    let fields = places.into_iter().filter_map(|place| hash.at(place));
    Ok(if with_values {
        Reply::Pairs(fields.map(|field| pair(&field, &mut sharer)).collect())
    } else {
        Reply::Array(fields.map(|field| Part::Name.of(&field, &mut sharer)).collect())
    })
}

fn hscan(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let cursor = scan::cursor(args.at(1))?;
    let Some(hash) = reader.kind::<Hash>(args.at(0))? else {
        return Ok(scan::reply(0, Vec::new()));
    };
    let options = scan::Options::parse(args.from(2), false)?;
    let (next, places) = match hash.ordered() {
        Some(entries) => members::scan_step(entries, cursor, options.count),
        // What is listed is shown at once, whatever the cursor, as Redis does.
        None => (0, 0..hash.len()),
    };
    let (mut steps, mut sharer) = (0, Sharer::default());
    let fields = hash.iter_from(places.start).take(places.len());
    let wanted = fields.filter(|field| options.wants_name(field.name(), &mut steps));
    let shown = wanted.flat_map(|field| <[Reply; 2]>::from(pair(&field, &mut sharer))).collect();
    Ok(scan::reply(next, shown))
}
