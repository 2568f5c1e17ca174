//! Parts of values: APPEND, STRLEN, GETRANGE, SETRANGE.

use std::ops::Range;

use super::super::command::{Args, at};
use super::super::number::{self, integer};
use super::super::reply::TOO_LONG;
use super::super::{Reader, Reply, Writer};
use super::MAX_VALUE_BYTES;

pub(super) fn strlen(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(number::reply(reader.string(args.at(0))?.map_or(0, |string| string.as_bytes().len())))
}

pub(super) fn append(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, tail) = (args.at(0), args.at(1));
    let length = writer.string(key)?.map_or(0, |string| string.as_bytes().len());
    let total = checked_length(length, tail.len())?;
    writer.edit_str(key, |bytes| bytes.extend_from_slice(tail));
    Ok(number::reply(total))
}

pub(super) fn setrange(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, patch) = (args.at(0), args.at(2));
    let offset = offset(args.from(0))?;
    let length = writer.string(key)?.map_or(0, |string| string.as_bytes().len());
    if patch.is_empty() {
        return Ok(number::reply(length));
    }
    let end = checked_length(offset, patch.len())?;
    writer.edit_str(key, |bytes| {
        bytes.resize(bytes.len().max(end), 0);
        bytes[offset..end].copy_from_slice(patch);
    });
    Ok(number::reply(length.max(end)))
}

/// Returns where SETRANGE writes.
pub(super) fn offset(args: &[&[u8]]) -> Result<usize, Reply> {
    usize::try_from(integer(at(args, 1))?).map_err(|_| Reply::error("ERR offset is out of range"))
}

pub(super) fn getrange(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (start, end) = (integer(args.at(1))?, integer(args.at(2))?);
    let Some(value) = reader.string(args.at(0))? else { return Ok(Reply::bulk("")) };
    // A slice keeps the value as long as the reply lives; copies of large values, a pipeline of
    // them, would keep more.
    Ok(Reply::Bulk(value.slice(span(start, end, value.as_bytes().len()))))
}

/// Returns the part from `start` to `end`, the last one included; both count from the end if
/// negative. If they do so in the wrong order there is none, even where both are before the
/// beginning.
pub(in super::super) fn span(start: i64, end: i64, length: usize) -> Range<usize> {
    if start < 0 && end < 0 && start > end { 0..0 } else { clamped(start, end, length) }
}

/// As [`span`]; what is before the beginning is the beginning, whatever the order.
pub(in super::super) fn clamped(start: i64, end: i64, length: usize) -> Range<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let resolve = |at: i64| if at < 0 { length.saturating_add(at).max(0) } else { at };
    let (start, end) = (resolve(start), resolve(end).min(length - 1));
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start <= end => start..end + 1,
        _ => 0..0,
    }
}

fn checked_length(length: usize, more: usize) -> Result<usize, Reply> {
    length.checked_add(more).filter(|total| *total <= MAX_VALUE_BYTES).ok_or(TOO_LONG)
}
