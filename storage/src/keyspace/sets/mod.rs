//! Sets: members, each once.
//!
//! Here are the rows and their handlers; [`value`] has the type, [`algebra`] what is made of some
//! sets together.

mod algebra;
mod value;

use super::collection::Content;
use super::command::{Args, Flags as F, KeySpec, Spec, WHOLE, from};
use super::members;
use super::number::{self, parse_i64};
use super::random::Random;
use super::reply::SYNTAX;
use super::scan;
use super::sequence::Sharer;
use super::value::Value;
use super::{Kind, Reader, Reply, Writer};
use algebra::{difference, intersection, sets, union};
pub(super) use value::{Member, Set};

/// The commands of sets.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(224, "sadd", -3, sadd)
        .with(&[F::DENYOOM, F::FAST, F::CAT_SET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW insert"])
        .doc("set", "1.0.0"),
    Spec::read(225, "scard", 2, scard)
        .with(&[F::FAST, F::CAT_SET])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("set", "1.0.0"),
    Spec::read(226, "sdiff", -2, sdiff)
        .with(&[F::CAT_SET])
        .keys_at(1, -1, 1)
        .walks(WHOLE)
        .doc("set", "1.0.0")
        .tips(&["nondeterministic_output_order"]),
    Spec::write(227, "sdiffstore", -3, sdiffstore)
        .with(&[F::DENYOOM, F::CAT_SET])
        .keys_at(1, -1, 1)
        .key_flags(&["OW update", "RO access"])
        .doc("set", "1.0.0"),
    Spec::read(228, "sinter", -2, sinter)
        .with(&[F::CAT_SET])
        .keys_at(1, -1, 1)
        .walks(WHOLE)
        .doc("set", "1.0.0")
        .tips(&["nondeterministic_output_order"]),
    Spec::read(229, "sintercard", -3, sintercard)
        .with(&[F::MOVABLEKEYS, F::CAT_SET])
        .more_keys(&[KeySpec::counted(1, "RO access")])
        .walks(WHOLE)
        .doc("set", "7.0.0"),
    Spec::write(230, "sinterstore", -3, sinterstore)
        .with(&[F::DENYOOM, F::CAT_SET])
        .keys_at(1, -1, 1)
        .key_flags(&["RW update", "RO access"])
        .doc("set", "1.0.0"),
    Spec::read(231, "sismember", 3, sismember)
        .with(&[F::FAST, F::CAT_SET])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("set", "1.0.0"),
    Spec::read(232, "smembers", 2, smembers)
        .with(&[F::CAT_SET])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("set", "1.0.0")
        .tips(&["nondeterministic_output_order"]),
    Spec::read(233, "smismember", -3, smismember)
        .with(&[F::FAST, F::CAT_SET])
        .keys_at(1, 1, 1)
        .doc("set", "6.2.0"),
    Spec::write(234, "smove", 4, smove)
        .with(&[F::FAST, F::CAT_SET])
        .keys_at(1, 2, 1)
        .key_flags(&["RW access delete", "RW insert"])
        .doc("set", "1.0.0"),
    Spec::write(235, "spop", -2, spop)
        .with(&[F::FAST, F::CAT_SET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access delete"])
        .doc("set", "1.0.0")
        .tips(&["nondeterministic_output"])
        .validated_by(|args| pop_count(args).map(drop)),
    Spec::read(236, "srandmember", -2, srandmember)
        .with(&[F::CAT_SET])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("set", "1.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::write(237, "srem", -3, srem)
        .with(&[F::FAST, F::CAT_SET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("set", "1.0.0"),
    Spec::read(238, "sscan", -3, sscan)
        .with(&[F::CAT_SET])
        .keys_at(1, 1, 1)
        .doc("set", "2.8.0")
        .tips(&["nondeterministic_output"]),
    Spec::read(239, "sunion", -2, sunion)
        .with(&[F::CAT_SET])
        .keys_at(1, -1, 1)
        .walks(WHOLE)
        .doc("set", "1.0.0")
        .tips(&["nondeterministic_output_order"]),
    Spec::write(240, "sunionstore", -3, sunionstore)
        .with(&[F::DENYOOM, F::CAT_SET])
        .keys_at(1, -1, 1)
        .key_flags(&["OW update", "RO access"])
        .doc("set", "1.0.0"),
];

/// SPOP leaves a set as it would be anew if what it takes is so many times what is left.
const POPPED_TIMES: usize = 5;

fn sadd(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let added = writer.edit(args.at(0), |set: &mut Set| {
        let added = args.from(1).iter().filter(|name| set.add(name)).count();
        (added, added > 0)
    })?;
    Ok(number::reply(added))
}

fn srem(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    if writer.kind::<Set>(args.at(0))?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let removed = writer.edit(args.at(0), |set: &mut Set| {
        let removed = args.from(1).iter().filter(|name| set.remove(name)).count();
        (removed, removed > 0)
    })?;
    Ok(number::reply(removed))
}

fn scard(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(number::reply(reader.kind::<Set>(args.at(0))?.map_or(0, Set::len)))
}

fn sismember(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(is_member(reader.kind(args.at(0))?, args.at(1)))
}

fn smismember(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let set = reader.kind(args.at(0))?;
    Ok(Reply::Array(args.from(1).iter().map(|name| is_member(set, name)).collect()))
}

fn is_member(set: Option<&Set>, name: &[u8]) -> Reply {
    Reply::Integer(set.is_some_and(|set| set.contains(name)).into())
}

fn smembers(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let set = reader.kind::<Set>(args.at(0))?;
    Ok(Reply::Set(shown(set.into_iter().flat_map(|set| set.iter_from(0)))))
}

fn shown<'a>(members: impl Iterator<Item = Member<'a>>) -> Vec<Reply> {
    let mut sharer = Sharer::default();
    members.map(|member| Reply::Bulk(member.share(&mut sharer))).collect()
}

/// Where there is no source, nobody asks what the destination is.
fn smove(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (source, destination, name) = (args.at(0), args.at(1), args.at(2));
    let Some(set) = writer.kind::<Set>(source)? else { return Ok(Reply::Integer(0)) };
    let is_there = set.contains(name);
    writer.kind::<Set>(destination)?;
    if is_there && source != destination {
        writer.edit(source, |set: &mut Set| ((), set.remove(name)))?;
        writer.edit(destination, |set: &mut Set| ((), set.add(name)))?;
    }
    Ok(Reply::Integer(is_there.into()))
}

/// Reads how many members SPOP is to take; none: one, that is not put into a set.
fn pop_count(args: &[&[u8]]) -> Result<Option<usize>, Reply> {
    match from(args, 1) {
        [] => Ok(None),
        [count] => {
            let count = parse_i64(count).and_then(|count| usize::try_from(count).ok());
            let negative = Reply::error("ERR value is out of range, must be positive");
            count.ok_or(negative).map(Some)
        }
        _ => Err(SYNTAX),
    }
}

fn spop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let count = pop_count(args.from(0))?;
    let key = args.at(0);
    let mut random = Random::new(writer.seed);
    let Some(set) = writer.kind::<Set>(key)? else {
        return Ok(count.map_or(Reply::Null, |_| Reply::Set(Vec::new())));
    };
    let places = random.sample(count.unwrap_or(1), set.len());
    let left = set.len() - places.len();
    let mut popped = shown(places.iter().filter_map(|place| set.at(*place)));
    writer.edit(key, |set: &mut Set| {
        set.remove_at(&places);
        if count.is_some() && left * POPPED_TIMES <= places.len() {
            *set = set.anew();
        }
        ((), !places.is_empty())
    })?;
    Ok(match count {
        Some(_) => Reply::Set(popped),
        None => popped.pop().unwrap_or(Reply::Null),
    })
}

/// With a count, so many members: different ones, or, if it is negative, each drawn from all.
fn srandmember(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let mut random = Random::new(reader.seed);
    let count = match args.from(1) {
        [] => None,
        [count] => Some(members::draw_count(count)?),
        _ => return Err(SYNTAX),
    };
    let set = reader.kind::<Set>(args.at(0))?;
    let Some(count) = count else {
        let member = set.and_then(|set| set.at(random.below(set.len())));
        let member = member.map(|member| member.share(&mut Sharer::default()));
        return Ok(member.map_or(Reply::Null, Reply::Bulk));
    };
    let Some(set) = set else { return Ok(Reply::Array(Vec::new())) };
    let places = random.draw(count, set.len());
    Ok(Reply::Array(shown(places.into_iter().filter_map(|place| set.at(place)))))
}

fn sinter(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let sets = sets(reader, args.from(0))?;
    Ok(Reply::Set(shown(intersection(sets))))
}

fn sunion(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let all = union(sets(reader, args.from(0))?);
    Ok(Reply::Set(shown(all.iter_from(0))))
}

fn sdiff(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let left = difference(&sets(reader, args.from(0))?);
    Ok(Reply::Set(shown(left.iter_from(0))))
}

fn sintercard(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let count = parse_i64(args.at(0)).and_then(|count| usize::try_from(count).ok());
    let Some(count @ 1..) = count else {
        return Err(Reply::error("ERR numkeys should be greater than 0"));
    };
    let Some((keys, options)) = args.from(1).split_at_checked(count) else {
        return Err(Reply::error("ERR Number of keys can't be greater than number of args"));
    };
    let mut limit = 0;
    let (pairs, rest) = options.as_chunks::<2>();
    for [name, value] in pairs {
        if !name.eq_ignore_ascii_case(b"limit") {
            return Err(SYNTAX);
        }
        let value = parse_i64(value).and_then(|limit| usize::try_from(limit).ok());
        limit = value.ok_or(Reply::error("ERR LIMIT can't be negative"))?;
    }
    if !rest.is_empty() {
        return Err(SYNTAX);
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let sets = sets(reader, keys)?;
    Ok(number::reply(intersection(sets).take(limit).count()))
}

fn sinterstore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let result = intersection(sets(&writer.reader(), args.from(1))?).collect();
    Ok(store(writer, args.at(0), result))
}

fn sunionstore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let result = union(sets(&writer.reader(), args.from(1))?);
    Ok(store(writer, args.at(0), result))
}

fn sdiffstore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let result = difference(&sets(&writer.reader(), args.from(1))?);
    Ok(store(writer, args.at(0), result))
}

/// Puts a set in the place of whatever is at a key, and tells how large it is.
fn store(writer: &mut Writer<'_>, key: &[u8], set: Set) -> Reply {
    let size = number::reply(set.len());
    if set.is_gone() {
        writer.remove(key);
    } else {
        writer.put(key, Value::Collection(&set.into_collection()), None);
    }
    size
}

fn sscan(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let cursor = scan::cursor(args.at(1))?;
    let Some(set) = reader.kind::<Set>(args.at(0))? else {
        return Ok(scan::reply(0, Vec::new()));
    };
    let options = scan::Options::parse(args.from(2), false)?;
    let (next, places) = match set.table() {
        Some(entries) => members::scan_step(entries, cursor, options.count),
        // Integers are shown at once, whatever the cursor, as Redis does.
        None => (0, 0..set.len()),
    };
    let mut steps = 0;
    let members = set.iter_from(places.start).take(places.len());
    let wanted = members.filter(|member| options.wants_name(&member.name(), &mut steps));
    Ok(scan::reply(next, shown(wanted)))
}
