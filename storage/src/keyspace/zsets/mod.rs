//! Sorted sets: members in the order of their scores.
//!
//! Here are the rows and what is simple; [`value`] has the type, [`range`] what a range of members
//! can be given by, `show` those who show one, `add` and `pop` how members come and go, `combine`
//! what is made of several sets.

mod add;
mod combine;
mod pop;
mod range;
mod show;
mod source;
mod value;

use super::collection::{Content, Kind};
use super::command::{Args, Flags as F, KeySpec, Spec, WHOLE, at};
use super::members;
use super::number::{self, parse_i64};
use super::random::Random;
use super::reply::{SYNTAX, double_text};
use super::scan;
use super::sequence::Sharer;
use super::value::Value;
use super::waits::Waits;
use super::{Reader, Reply, Writer};
pub(super) use add::{Conditions, Request as Addition};
use add::{check_zadd, check_zincrby, zadd, zincrby};
pub(super) use combine::in_order;
use combine::{
    check_sources, zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore,
};
use pop::{Many, bzmpop, bzpopmax, bzpopmin, check_bzpop, pop_count, zmpop, zpopmax, zpopmin};
use range::{By, Range};
use show::{
    check_zrangestore, zrange, zrangebylex, zrangebyscore, zrangestore, zrevrange, zrevrangebylex,
    zrevrangebyscore,
};
pub(super) use value::{Member, Zset, compare};

/// The commands of sorted sets.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(256, "bzmpop", -5, bzmpop)
        .with(&[F::BLOCKING, F::MOVABLEKEYS, F::CAT_SORTEDSET])
        .more_keys(&[KeySpec::counted(2, "RW access delete")])
        .waits(Waits::Counted)
        .doc("sorted-set", "7.0.0")
        .validated_by(|args| Many::parse_waiting(args).map(drop)),
    Spec::write(257, "bzpopmax", -3, bzpopmax)
        .with(&[F::NOSCRIPT, F::BLOCKING, F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, -2, 1)
        .key_flags(&["RW access delete"])
        .waits(Waits::Keys)
        .doc("sorted-set", "5.0.0")
        .validated_by(check_bzpop),
    Spec::write(258, "bzpopmin", -3, bzpopmin)
        .with(&[F::NOSCRIPT, F::BLOCKING, F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, -2, 1)
        .key_flags(&["RW access delete"])
        .waits(Waits::Keys)
        .doc("sorted-set", "5.0.0")
        .validated_by(check_bzpop),
    Spec::write(259, "zadd", -4, zadd)
        .with(&[F::DENYOOM, F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .doc("sorted-set", "1.2.0")
        .validated_by(check_zadd),
    Spec::read(260, "zcard", 2, zcard)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("sorted-set", "1.2.0"),
    Spec::read(261, "zcount", 4, zcount)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .doc("sorted-set", "2.0.0"),
    Spec::read(262, "zdiff", -3, zdiff)
        .with(&[F::MOVABLEKEYS, F::CAT_SORTEDSET])
        .more_keys(&[KeySpec::counted(1, "RO access")])
        .walks(WHOLE)
        .doc("sorted-set", "6.2.0"),
    Spec::write(263, "zdiffstore", -4, zdiffstore)
        .with(&[F::DENYOOM, F::MOVABLEKEYS, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["OW update"])
        .more_keys(&[KeySpec::counted(2, "RO access")])
        .doc("sorted-set", "6.2.0")
        .validated_by(|args| check_sources(args, "zdiffstore")),
    Spec::write(264, "zincrby", 4, zincrby)
        .with(&[F::DENYOOM, F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("sorted-set", "1.2.0")
        .validated_by(check_zincrby),
    Spec::read(265, "zinter", -3, zinter)
        .with(&[F::MOVABLEKEYS, F::CAT_SORTEDSET])
        .more_keys(&[KeySpec::counted(1, "RO access")])
        .walks(WHOLE)
        .doc("sorted-set", "6.2.0"),
    Spec::read(266, "zintercard", -3, zintercard)
        .with(&[F::MOVABLEKEYS, F::CAT_SORTEDSET])
        .more_keys(&[KeySpec::counted(1, "RO access")])
        .walks(WHOLE)
        .doc("sorted-set", "7.0.0"),
    Spec::write(267, "zinterstore", -4, zinterstore)
        .with(&[F::DENYOOM, F::MOVABLEKEYS, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["OW update"])
        .more_keys(&[KeySpec::counted(2, "RO access")])
        .doc("sorted-set", "2.0.0")
        .validated_by(|args| check_sources(args, "zinterstore")),
    Spec::read(268, "zlexcount", 4, zlexcount)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .doc("sorted-set", "2.8.9"),
    Spec::write(269, "zmpop", -4, zmpop)
        .with(&[F::MOVABLEKEYS, F::CAT_SORTEDSET])
        .more_keys(&[KeySpec::counted(1, "RW access delete")])
        .doc("sorted-set", "7.0.0")
        .validated_by(|args| Many::parse(args).map(drop)),
    Spec::read(270, "zmscore", -3, zmscore)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .doc("sorted-set", "6.2.0"),
    Spec::write(271, "zpopmax", -2, zpopmax)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access delete"])
        .doc("sorted-set", "5.0.0")
        .validated_by(|args| pop_count(args).map(drop)),
    Spec::write(272, "zpopmin", -2, zpopmin)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access delete"])
        .doc("sorted-set", "5.0.0")
        .validated_by(|args| pop_count(args).map(drop)),
    Spec::read(273, "zrandmember", -2, zrandmember)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("sorted-set", "6.2.0")
        .tips(&["nondeterministic_output"]),
    Spec::read(274, "zrange", -4, zrange)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("sorted-set", "1.2.0"),
    Spec::read(275, "zrangebylex", -4, zrangebylex)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("sorted-set", "2.8.9"),
    Spec::read(276, "zrangebyscore", -4, zrangebyscore)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("sorted-set", "1.0.5"),
    Spec::write(277, "zrangestore", -5, zrangestore)
        .with(&[F::DENYOOM, F::CAT_SORTEDSET])
        .keys_at(1, 2, 1)
        .key_flags(&["OW update", "RO access"])
        .doc("sorted-set", "6.2.0")
        .validated_by(check_zrangestore),
    Spec::read(278, "zrank", 3, zrank)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .doc("sorted-set", "2.0.0"),
    Spec::write(279, "zrem", -3, zrem)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("sorted-set", "1.2.0"),
    Spec::write(280, "zremrangebylex", 4, zremrangebylex)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("sorted-set", "2.8.9")
        .validated_by(|args| Range::parse(By::Name, at(args, 1), at(args, 2)).map(drop)),
    Spec::write(281, "zremrangebyrank", 4, zremrangebyrank)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("sorted-set", "2.0.0")
        .validated_by(|args| Range::parse(By::Rank, at(args, 1), at(args, 2)).map(drop)),
    Spec::write(282, "zremrangebyscore", 4, zremrangebyscore)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("sorted-set", "1.2.0")
        .validated_by(|args| Range::parse(By::Score, at(args, 1), at(args, 2)).map(drop)),
    Spec::read(283, "zrevrange", -4, zrevrange)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .walks(number::between)
        .doc("sorted-set", "1.2.0"),
    Spec::read(284, "zrevrangebylex", -4, zrevrangebylex)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("sorted-set", "2.8.9"),
    Spec::read(285, "zrevrangebyscore", -4, zrevrangebyscore)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("sorted-set", "2.2.0"),
    Spec::read(286, "zrevrank", 3, zrevrank)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .doc("sorted-set", "2.0.0"),
    Spec::read(287, "zscan", -3, zscan)
        .with(&[F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .doc("sorted-set", "2.8.0")
        .tips(&["nondeterministic_output"]),
    Spec::read(288, "zscore", 3, zscore)
        .with(&[F::FAST, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .doc("sorted-set", "1.2.0"),
    Spec::read(289, "zunion", -3, zunion)
        .with(&[F::MOVABLEKEYS, F::CAT_SORTEDSET])
        .more_keys(&[KeySpec::counted(1, "RO access")])
        .walks(WHOLE)
        .doc("sorted-set", "6.2.0"),
    Spec::write(290, "zunionstore", -4, zunionstore)
        .with(&[F::DENYOOM, F::MOVABLEKEYS, F::CAT_SORTEDSET])
        .keys_at(1, 1, 1)
        .key_flags(&["OW update"])
        .more_keys(&[KeySpec::counted(2, "RO access")])
        .doc("sorted-set", "2.0.0")
        .validated_by(|args| check_sources(args, "zunionstore")),
];

/// Keeps a sorted set under a key, whatever there was, or nothing if it has no members; returns how
/// many there are.
pub(super) fn store(writer: &mut Writer<'_>, key: &[u8], zset: Zset) -> Reply {
    let count = zset.len();
    if zset.is_gone() {
        writer.remove(key);
    } else {
        writer.put(key, Value::Collection(&zset.into_collection()), None);
    }
    number::reply(count)
}

/// Returns a member and its score as replies.
fn pair(member: &Member<'_>, sharer: &mut Sharer) -> (Reply, Reply) {
    (Reply::Bulk(member.share_name(sharer)), Reply::Double(member.score()))
}

/// Some arguments.
type Slice<'s, 'a> = &'s [&'a [u8]];

/// Splits arguments behind their number of keys into those and what follows.
fn numbered_keys<'s, 'a>(
    args: Slice<'s, 'a>,
    count: i64,
) -> Result<(Slice<'s, 'a>, Slice<'s, 'a>), Reply> {
    let (_, args) = args.split_first().ok_or(SYNTAX)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    args.split_at_checked(count).ok_or(SYNTAX)
}

/// Reads a count of members that may be zero.
fn positive(text: &[u8]) -> Result<usize, Reply> {
    let count = parse_i64(text).and_then(|count| usize::try_from(count).ok());
    count.ok_or(Reply::error("ERR value is out of range, must be positive"))
}

fn zcard(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(number::reply(reader.kind::<Zset>(args.at(0))?.map_or(0, Zset::len)))
}

fn zscore(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(score_or_null(reader.kind::<Zset>(args.at(0))?, args.at(1)))
}

fn zmscore(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let zset = reader.kind::<Zset>(args.at(0))?;
    Ok(Reply::Array(args.from(1).iter().map(|name| score_or_null(zset, name)).collect()))
}

fn score_or_null(zset: Option<&Zset>, name: &[u8]) -> Reply {
    zset.and_then(|zset| zset.score(name)).map_or(Reply::Null, Reply::Double)
}

fn zrank(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let zset = reader.kind::<Zset>(args.at(0))?;
    let rank = zset.and_then(|zset| zset.rank(args.at(1)));
    Ok(rank.map_or(Reply::Null, number::reply))
}

fn zrevrank(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let zset = reader.kind::<Zset>(args.at(0))?;
    let rank = zset.and_then(|zset| Some(zset.len() - 1 - zset.rank(args.at(1))?));
    Ok(rank.map_or(Reply::Null, number::reply))
}

fn zcount(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show::count(reader, args, By::Score)
}

fn zlexcount(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show::count(reader, args, By::Name)
}

fn zrem(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    if writer.kind::<Zset>(args.at(0))?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let removed = writer.edit(args.at(0), |zset: &mut Zset| {
        let removed = args.from(1).iter().filter(|name| zset.remove(name)).count();
        (removed, removed > 0)
    })?;
    Ok(number::reply(removed))
}

fn zremrangebyrank(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    remove_range(writer, args, By::Rank)
}

fn zremrangebyscore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    remove_range(writer, args, By::Score)
}

fn zremrangebylex(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    remove_range(writer, args, By::Name)
}

fn remove_range(writer: &mut Writer<'_>, args: &Args<'_>, by: By) -> Result<Reply, Reply> {
    let range = Range::parse(by, args.at(1), args.at(2))?;
    if writer.kind::<Zset>(args.at(0))?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let removed = writer.edit(args.at(0), |zset: &mut Zset| {
        let places = range.places(zset, false);
        let removed = places.len();
        zset.remove_range(places);
        (removed, removed > 0)
    })?;
    Ok(number::reply(removed))
}

/// With a count, so many members: different ones, or, if it is negative, each drawn from all.
fn zrandmember(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let mut random = Random::new(reader.seed);
    if args.len() == 1 {
        let zset = reader.kind::<Zset>(args.at(0))?;
        let member = zset.and_then(|zset| zset.at(random.below(zset.len())));
        let name = member.map(|member| member.share_name(&mut Sharer::default()));
        return Ok(name.map_or(Reply::Null, Reply::Bulk));
    }
    let (count, with_scores) = members::draw_options(args.from(1), b"withscores")?;
    let Some(zset) = reader.kind::<Zset>(args.at(0))? else { return Ok(Reply::Array(Vec::new())) };
    let places = random.draw(count, zset.len()).into_iter();
    Ok(show::reply(places.filter_map(|place| zset.at(place)), with_scores))
}

fn zscan(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let cursor = scan::cursor(args.at(1))?;
    let Some(zset) = reader.kind::<Zset>(args.at(0))? else {
        return Ok(scan::reply(0, Vec::new()));
    };
    let options = scan::Options::parse(args.from(2), false)?;
    let (mut steps, mut sharer) = (0, Sharer::default());
    let mut shown = Vec::new();
    let mut show = |member: Member<'_>, score: String| {
        if options.wants_name(member.name(), &mut steps) {
            shown.extend([Reply::Bulk(member.share_name(&mut sharer)), Reply::bulk(score)]);
        }
    };
    let Some(entries) = zset.ordered() else {
        // What is small is shown at once, whatever the cursor, as Redis does.
        for member in zset.iter(0..zset.len()) {
            let score = small_score_text(member.score());
            show(member, score);
        }
        return Ok(scan::reply(0, shown));
    };
    let (next, places) = members::scan_step(entries, cursor, options.count);
    for piece in entries.iter_from(places.start).take(places.len()) {
        let member = Member::by_member(piece);
        let score = double_text(member.score());
        show(member, score);
    }
    Ok(scan::reply(next, shown))
}

/// Returns a score as Redis writes it into a small sorted set, which ZSCAN shows as it is: what is
/// whole has no exponent.
fn small_score_text(score: f64) -> String {
    const WHOLE_MAX: f64 = (1u64 << 62) as f64;
    let is_whole = score.trunc() == score && score.abs() <= WHOLE_MAX;
    if is_whole { (score as i64).to_string() } else { double_text(score) }
}
