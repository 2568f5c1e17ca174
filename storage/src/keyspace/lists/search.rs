//! By what an element is, not by where: LPOS, LINSERT, LREM.

use super::super::collection::Content;
use super::super::command::{Args, at, upper};
use super::super::number::{self, integer};
use super::super::reply::SYNTAX;
use super::super::{Reader, Reply, Writer};
use super::pops::natural;
use super::value::{End, List};

/// What LPOS is asked for.
struct Search {
    /// Where the search begins.
    end: End,
    /// How many matches do not count.
    skipped: usize,
    /// How many are wanted; zero: all.
    count: Option<usize>,
    /// How many elements are looked at.
    length: usize,
}

impl Search {
    fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let mut search = Self { end: End::Left, skipped: 0, count: None, length: usize::MAX };
        let mut options = args.iter();
        while let Some(option) = options.next() {
            let value = options.next().ok_or(SYNTAX)?;
            match upper(option, &mut [0; 16]) {
                b"RANK" => (search.end, search.skipped) = rank(value)?,
                b"COUNT" => {
                    search.count = Some(natural(value, 0, "ERR COUNT can't be negative")?);
                }
                b"MAXLEN" => {
                    search.length = match natural(value, 0, "ERR MAXLEN can't be negative")? {
                        0 => usize::MAX,
                        length => length,
                    };
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(search)
    }

    /// Returns the places of the matches that are wanted.
    fn find(&self, list: &List, element: &[u8]) -> impl Iterator<Item = usize> {
        let (end, last) = (self.end, list.len().saturating_sub(1));
        let walk = list.iter_from_end(end).enumerate().take(self.length);
        let matches = walk.filter(move |(_, piece)| piece.as_bytes() == element);
        let places = matches.map(move |(steps, _)| match end {
            End::Left => steps,
            End::Right => last - steps,
        });
        places.skip(self.skipped).take(match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        })
    }
}

/// Reads the first match that counts: from which end, and how many do not.
fn rank(text: &[u8]) -> Result<(End, usize), Reply> {
    let rank = integer(text)?;
    let text = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second \
        ... or use negative to start from the end of the list";
    let skipped = rank.unsigned_abs().checked_sub(1).ok_or(Reply::error(text))?;
    let end = if rank > 0 { End::Left } else { End::Right };
    Ok((end, usize::try_from(skipped).unwrap_or(usize::MAX)))
}

pub(super) fn lpos(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let search = Search::parse(args.from(2))?;
    let list = reader.kind::<List>(args.at(0))?.into_iter();
    let mut places = list.flat_map(|list| search.find(list, args.at(1))).map(number::reply);
    Ok(match search.count {
        Some(_) => Reply::Array(places.collect()),
        None => places.next().unwrap_or(Reply::Null),
    })
}

pub(super) fn linsert(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, pivot, element) = (args.at(0), args.at(2), args.at(3));
    let is_behind = is_behind(args.from(0))?;
    let Some(list) = writer.kind::<List>(key)? else { return Ok(Reply::Integer(0)) };
    let Some(place) = list.position(pivot) else { return Ok(Reply::Integer(-1)) };
    let length = writer.edit(key, |list: &mut List| {
        list.insert(place + usize::from(is_behind), element);
        (list.len(), true)
    })?;
    Ok(number::reply(length))
}

/// Reads on which side of the pivot LINSERT inserts.
pub(super) fn is_behind(args: &[&[u8]]) -> Result<bool, Reply> {
    match upper(at(args, 1), &mut [0; 16]) {
        b"BEFORE" => Ok(false),
        b"AFTER" => Ok(true),
        _ => Err(SYNTAX),
    }
}

/// With a negative count the search begins at the right end; with none, all go.
pub(super) fn lrem(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let count = integer(args.at(1))?;
    if writer.kind::<List>(args.at(0))?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let end = if count < 0 { End::Right } else { End::Left };
    let most = match count.unsigned_abs() {
        0 => usize::MAX,
        most => usize::try_from(most).unwrap_or(usize::MAX),
    };
    let removed = writer.edit(args.at(0), |list: &mut List| {
        let removed = list.remove_equal(args.at(2), end, most);
        (removed, removed > 0)
    })?;
    Ok(number::reply(removed))
}
