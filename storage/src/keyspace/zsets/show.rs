//! ZRANGE and the older names of its parts; ZRANGESTORE keeps what it shows.

use std::ops::Range as Places;

use super::super::command::{Args, at, from, upper};
use super::super::number::{self, integer};
use super::super::reply::{Reply, SYNTAX};
use super::super::sequence::Sharer;
use super::super::{Reader, Writer};
use super::range::{By, Range};
use super::{Member, Zset, pair, store};

/// What the name of a command leaves open, or has settled.
#[derive(Clone, Copy, Default)]
struct Form {
    by: Option<By>,
    is_back: Option<bool>,
    /// Whether the result is kept, and so always has scores.
    is_store: bool,
}

impl Form {
    const fn settled(by: By, is_back: bool) -> Self {
        Self { by: Some(by), is_back: Some(is_back), is_store: false }
    }
}

/// Members to be shown.
struct Request<'a> {
    range: Range<'a>,
    is_back: bool,
    offset: i64,
    limit: i64,
    with_scores: bool,
}

impl<'a> Request<'a> {
    /// Reads the arguments from the key on.
    fn parse(args: &[&'a [u8]], mut form: Form) -> Result<Self, Reply> {
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut options = from(args, 3).iter();
        while let Some(option) = options.next() {
            match upper(option, &mut [0; 16]) {
                b"WITHSCORES" if !form.is_store => with_scores = true,
                b"LIMIT" if options.len() >= 2 => {
                    let mut next = || integer(options.next().copied().unwrap_or_default());
                    (offset, limit) = (next()?, next()?);
                }
                // What is settled must not be said again.
                b"REV" if form.is_back.is_none() => form.is_back = Some(true),
                b"BYLEX" if form.by.is_none() => form.by = Some(By::Name),
                b"BYSCORE" if form.by.is_none() => form.by = Some(By::Score),
                _ => return Err(SYNTAX),
            }
        }
        let (by, is_back) = (form.by.unwrap_or(By::Rank), form.is_back.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(Reply::error(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Name {
            return Err(Reply::error(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        if by == By::Rank {
            // Here "LIMIT n -1" is allowed, and nothing.
            offset = 0;
        }
        let (mut min, mut max) = (at(args, 1), at(args, 2));
        if is_back && by != By::Rank {
            (min, max) = (max, min);
        }
        let range = Range::parse(by, min, max)?;
        Ok(Self { range, is_back, offset, limit, with_scores })
    }

    /// Returns the places of the members in range, less those that the limit leaves out.
    fn places(&self, zset: &Zset) -> Places<usize> {
        let Places { start, end } = self.range.places(zset, self.is_back);
        // A negative offset passes over everything, a negative limit is none.
        let skipped = usize::try_from(self.offset).unwrap_or(usize::MAX).min(end - start);
        let left = end - start - skipped;
        let shown = usize::try_from(self.limit).unwrap_or(usize::MAX).min(left);
        if self.is_back {
            end - skipped - shown..end - skipped
        } else {
            start + skipped..start + skipped + shown
        }
    }
}

pub(super) fn zrange(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Form::default())
}

pub(super) fn zrevrange(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Form::settled(By::Rank, true))
}

pub(super) fn zrangebyscore(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Form::settled(By::Score, false))
}

pub(super) fn zrevrangebyscore(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Form::settled(By::Score, true))
}

pub(super) fn zrangebylex(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Form::settled(By::Name, false))
}

pub(super) fn zrevrangebylex(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Form::settled(By::Name, true))
}

fn show(reader: &Reader<'_>, args: &Args<'_>, form: Form) -> Result<Reply, Reply> {
    let request = Request::parse(args.from(0), form)?;
    let Some(zset) = reader.kind::<Zset>(args.at(0))? else { return Ok(Reply::Array(Vec::new())) };
    let places = request.places(zset);
    Ok(if request.is_back {
        reply(zset.iter_back(places), request.with_scores)
    } else {
        reply(zset.iter(places), request.with_scores)
    })
}

/// Returns members, in pairs with their scores if those are wanted.
pub(super) fn reply<'a>(members: impl Iterator<Item = Member<'a>>, with_scores: bool) -> Reply {
    let mut sharer = Sharer::default();
    if with_scores {
        Reply::Pairs(members.map(|member| pair(&member, &mut sharer)).collect())
    } else {
        Reply::Array(members.map(|member| Reply::Bulk(member.share_name(&mut sharer))).collect())
    }
}

/// Reads the arguments of ZRANGESTORE.
fn to_be_stored<'a>(args: &[&'a [u8]]) -> Result<Request<'a>, Reply> {
    Request::parse(from(args, 1), Form { is_store: true, ..Form::default() })
}

/// Refuses wrong arguments of ZRANGESTORE.
pub(super) fn check_zrangestore(args: &[&[u8]]) -> Result<(), Reply> {
    to_be_stored(args).map(drop)
}

pub(super) fn zrangestore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let request = to_be_stored(args.from(0))?;
    let mut found = Zset::default();
    if let Some(zset) = writer.kind::<Zset>(args.at(1))? {
        let places = request.places(zset);
        // One by one, as they would be shown: whether a minus zero stays one depends on it.
        if request.is_back {
            zset.iter_back(places).for_each(|member| found.set(member.name(), member.score()));
        } else {
            zset.iter(places).for_each(|member| found.set(member.name(), member.score()));
        }
    }
    Ok(store(writer, args.at(0), found))
}

/// Counts the members that a range of a form has.
pub(super) fn count(reader: &Reader<'_>, args: &Args<'_>, by: By) -> Result<Reply, Reply> {
    let range = Range::parse(by, args.at(1), args.at(2))?;
    let zset = reader.kind::<Zset>(args.at(0))?;
    Ok(number::reply(zset.map_or(0, |zset| range.places(zset, false).len())))
}
