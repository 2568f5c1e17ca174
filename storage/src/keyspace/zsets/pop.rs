//! What takes members away from an end: ZPOPMIN, ZPOPMAX, ZMPOP, and one attempt of those that
//! wait.

use super::super::Writer;
use super::super::collection::Content;
use super::super::command::{Args, at, from, upper};
use super::super::number::parse_i64;
use super::super::reply::{Reply, SYNTAX};
use super::super::sequence::Sharer;
use super::super::timeout::timeout_ms;
use super::{Zset, numbered_keys, pair, positive};

/// An end of a sorted set.
#[derive(Clone, Copy, Debug)]
enum End {
    Min,
    Max,
}

pub(super) fn zpopmin(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    pop_some(writer, args, End::Min)
}

pub(super) fn zpopmax(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    pop_some(writer, args, End::Max)
}

pub(super) fn bzpopmin(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    pop_one_of(writer, args, End::Min)
}

pub(super) fn bzpopmax(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    pop_one_of(writer, args, End::Max)
}

/// Removes members from an end, and returns them with their scores.
fn pop(
    writer: &mut Writer<'_>,
    key: &[u8],
    end: End,
    count: usize,
) -> Result<Vec<(Reply, Reply)>, Reply> {
    if writer.kind::<Zset>(key)?.is_none() {
        return Ok(Vec::new());
    }
    writer.edit(key, |zset: &mut Zset| {
        let (len, mut sharer) = (zset.len(), Sharer::default());
        let count = count.min(len);
        let (places, popped): (_, Vec<_>) = match end {
            End::Min => {
                let members = zset.iter(0..count);
                (0..count, members.map(|member| pair(&member, &mut sharer)).collect())
            }
            End::Max => {
                let members = zset.iter_back(len - count..len);
                (len - count..len, members.map(|member| pair(&member, &mut sharer)).collect())
            }
        };
        zset.remove_range(places);
        (popped, count > 0)
    })
}

/// Returns how many members ZPOPMIN or ZPOPMAX is to take, if it is told.
pub(super) fn pop_count(args: &[&[u8]]) -> Result<Option<usize>, Reply> {
    match from(args, 1) {
        [] => Ok(None),
        [count] => positive(count).map(Some),
        _ => Err(SYNTAX),
    }
}

fn pop_some(writer: &mut Writer<'_>, args: &Args<'_>, end: End) -> Result<Reply, Reply> {
    let count = pop_count(args.from(0))?;
    let popped = pop(writer, args.at(0), end, count.unwrap_or(1))?;
    // Only where there might be more than one they are pairs for RESP3 too.
    Ok(match count {
        Some(_) => Reply::Pairs(popped),
        None => Reply::Array(popped.into_iter().flat_map(<[Reply; 2]>::from).collect()),
    })
}

/// Refuses wrong arguments of BZPOPMIN and BZPOPMAX.
pub(super) fn check_bzpop(args: &[&[u8]]) -> Result<(), Reply> {
    timeout_ms(args.last().copied().unwrap_or_default()).map(drop)
}

fn pop_one_of(writer: &mut Writer<'_>, args: &Args<'_>, end: End) -> Result<Reply, Reply> {
    check_bzpop(args.from(0))?;
    let keys = args.from(0).split_last().map_or(&[][..], |(_, keys)| keys);
    let Some((key, popped)) = pop_first(writer, keys, end, 1)? else {
        return Ok(Reply::NullArray);
    };
    let members = popped.into_iter().flat_map(<[Reply; 2]>::from);
    Ok(Reply::Array(std::iter::once(Reply::bulk(key)).chain(members).collect()))
}

/// A key with what was taken from it.
type Popped<'a> = (&'a [u8], Vec<(Reply, Reply)>);

/// Takes members from the first of some keys that is there.
fn pop_first<'a>(
    writer: &mut Writer<'_>,
    keys: &[&'a [u8]],
    end: End,
    count: usize,
) -> Result<Option<Popped<'a>>, Reply> {
    for key in keys {
        let popped = pop(writer, key, end, count)?;
        if !popped.is_empty() {
            return Ok(Some((key, popped)));
        }
    }
    Ok(None)
}

/// The arguments of ZMPOP.
pub(super) struct Many<'s, 'a> {
    keys: &'s [&'a [u8]],
    end: End,
    count: usize,
}

impl<'s, 'a> Many<'s, 'a> {
    pub(super) fn parse(args: &'s [&'a [u8]]) -> Result<Self, Reply> {
        let error = || Reply::error("ERR numkeys should be greater than 0");
        let count = parse_i64(at(args, 0)).filter(|count| *count > 0).ok_or_else(error)?;
        let (keys, rest) = numbered_keys(args, count)?;
        let end = match upper(at(rest, 0), &mut [0; 16]) {
            b"MIN" => End::Min,
            b"MAX" => End::Max,
            _ => return Err(SYNTAX),
        };
        let count = match from(rest, 1) {
            [] => 1,
            [option, count, more @ ..] if option.eq_ignore_ascii_case(b"count") => {
                let error = Reply::error("ERR count should be greater than 0");
                let count = parse_i64(count).filter(|count| *count > 0).ok_or(error)?;
                if !more.is_empty() {
                    return Err(SYNTAX);
                }
                usize::try_from(count).unwrap_or(usize::MAX)
            }
            _ => return Err(SYNTAX),
        };
        Ok(Self { keys, end, count })
    }

    /// Reads the arguments of BZMPOP: those of ZMPOP behind the time to wait, which is looked at
    /// last.
    pub(super) fn parse_waiting(args: &'s [&'a [u8]]) -> Result<Self, Reply> {
        let many = Self::parse(from(args, 1))?;
        timeout_ms(at(args, 0))?;
        Ok(many)
    }

    fn pop(&self, writer: &mut Writer<'_>) -> Result<Reply, Reply> {
        let Some((key, popped)) = pop_first(writer, self.keys, self.end, self.count)? else {
            return Ok(Reply::NullArray);
        };
        let members = popped.into_iter().map(|(name, score)| Reply::Array(vec![name, score]));
        Ok(Reply::Array(vec![Reply::bulk(key), Reply::Array(members.collect())]))
    }
}

pub(super) fn zmpop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Many::parse(args.from(0))?.pop(writer)
}

pub(super) fn bzmpop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Many::parse_waiting(args.from(0))?.pop(writer)
}
