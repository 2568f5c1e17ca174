//! Taking elements off: LPOP, RPOP, LMPOP, and one attempt of BLPOP, BRPOP, BLMPOP.
//!
//! What waits is built around these handlers: it repeats an attempt when there may be something.
//! Alone, one that finds nothing answers as Redis does inside MULTI, where nobody may wait.

use super::super::command::{Args, at, from};
use super::super::number::parse_i64;
use super::super::reply::{SYNTAX, wrong_arity};
use super::super::timeout::timeout_ms;
use super::super::{Reply, Writer};
use super::value::{End, List};

pub(super) fn lpop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    pop(writer, args, End::Left, "lpop")
}

pub(super) fn rpop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    pop(writer, args, End::Right, "rpop")
}

fn pop(writer: &mut Writer<'_>, args: &Args<'_>, end: End, name: &str) -> Result<Reply, Reply> {
    let key = args.at(0);
    let count = pop_count(args.from(0), name)?;
    let is_there = writer.kind::<List>(key)?.is_some();
    match count {
        None if is_there => Ok(take(writer, key, end, 1)?.pop().unwrap_or(Reply::Null)),
        None => Ok(Reply::Null),
        Some(0) if is_there => Ok(Reply::Array(Vec::new())),
        Some(count) if is_there => Ok(Reply::Array(take(writer, key, end, count)?)),
        Some(_) => Ok(Reply::NullArray),
    }
}

/// Returns how many elements LPOP or RPOP takes off, if that is said.
pub(super) fn pop_count(args: &[&[u8]], name: &str) -> Result<Option<usize>, Reply> {
    match from(args, 1) {
        [] => Ok(None),
        [count] => natural(count, 0, "ERR value is out of range, must be positive").map(Some),
        _ => Err(wrong_arity(name)),
    }
}

/// Reads a count that must not be less than another.
pub(super) fn natural(text: &[u8], least: i64, error: &'static str) -> Result<usize, Reply> {
    let count = parse_i64(text).filter(|count| *count >= least);
    count.and_then(|count| usize::try_from(count).ok()).ok_or_else(|| Reply::error(error))
}

/// Takes elements off the list at a key.
fn take(writer: &mut Writer<'_>, key: &[u8], end: End, count: usize) -> Result<Vec<Reply>, Reply> {
    let taken = writer.edit(key, |list: &mut List| {
        let taken = list.take(end, count);
        let has_changed = !taken.is_empty();
        (taken, has_changed)
    })?;
    Ok(taken.into_iter().map(Reply::Bulk).collect())
}

/// What LMPOP takes off: so many elements at an end of the first list that there is.
pub(super) struct FirstOf<'s, 'a> {
    keys: &'s [&'a [u8]],
    end: End,
    count: usize,
}

impl<'s, 'a> FirstOf<'s, 'a> {
    /// Reads the arguments of LMPOP.
    pub(super) fn parse(args: &'s [&'a [u8]]) -> Result<Self, Reply> {
        let keys = natural(at(args, 0), 1, "ERR numkeys should be greater than 0")?;
        let (keys, rest) = from(args, 1).split_at_checked(keys).ok_or(SYNTAX)?;
        let [end, options @ ..] = rest else { return Err(SYNTAX) };
        let end = End::parse(end)?;
        let (count, rest) = match options {
            [word, count, rest @ ..] if word.eq_ignore_ascii_case(b"count") => {
                (natural(count, 1, "ERR count should be greater than 0")?, rest)
            }
            rest => (1, rest),
        };
        if rest.is_empty() { Ok(Self { keys, end, count }) } else { Err(SYNTAX) }
    }

    /// Takes them off, and returns them with their key, if there is a list.
    fn take(&self, writer: &mut Writer<'_>) -> Result<Option<(Reply, Vec<Reply>)>, Reply> {
        for key in self.keys {
            if writer.kind::<List>(key)?.is_some() {
                let taken = take(writer, key, self.end, self.count)?;
                return Ok(Some((Reply::bulk(key), taken)));
            }
        }
        Ok(None)
    }

    fn take_as_array(&self, writer: &mut Writer<'_>) -> Result<Reply, Reply> {
        let taken = self.take(writer)?;
        let array = |(key, taken)| Reply::Array(vec![key, Reply::Array(taken)]);
        Ok(taken.map_or(Reply::NullArray, array))
    }
}

pub(super) fn lmpop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    FirstOf::parse(args.from(0))?.take_as_array(writer)
}

pub(super) fn blmpop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    waiting_first_of(args.from(0))?.take_as_array(writer)
}

/// Reads the arguments of BLMPOP.
pub(super) fn waiting_first_of<'s, 'a>(args: &'s [&'a [u8]]) -> Result<FirstOf<'s, 'a>, Reply> {
    let first_of = FirstOf::parse(from(args, 1))?;
    timeout_ms(at(args, 0))?;
    Ok(first_of)
}

pub(super) fn blpop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    pop_one(writer, args, End::Left)
}

pub(super) fn brpop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    pop_one(writer, args, End::Right)
}

fn pop_one(writer: &mut Writer<'_>, args: &Args<'_>, end: End) -> Result<Reply, Reply> {
    let keys = waiting_keys(args.from(0))?;
    let taken = FirstOf { keys, end, count: 1 }.take(writer)?;
    let array = |(key, taken)| Reply::Array(std::iter::once(key).chain(taken).collect());
    Ok(taken.map_or(Reply::NullArray, array))
}

/// Reads the arguments of BLPOP and BRPOP.
pub(super) fn waiting_keys<'s, 'a>(args: &'s [&'a [u8]]) -> Result<&'s [&'a [u8]], Reply> {
    let Some((timeout, keys)) = args.split_last() else { return Ok(&[]) };
    timeout_ms(timeout)?;
    Ok(keys)
}
