//! Entries in the order of fixed hashes of their names: fields of hashes, members of sets and of
//! sorted sets.
//!
//! ```text
//! entry = hash u32 big-endian | what the type puts there, the name at its place
//! ```
//!
//! As with the keys themselves, nothing that is inserted or removed moves any other entry, so a
//! cursor (the hash to go on from) meets every entry that was there all the time once. Names are
//! compared only where hashes are equal.

use std::cmp::Ordering;
use std::ops::Range;

use super::hash;
use super::number::integer;
use super::random::Count;
use super::reply::{Reply, SYNTAX};
use super::sequence::Sequence;

/// The bytes of the hash in front of each entry.
pub(super) const HEAD_BYTES: usize = 4;

/// Returns the hash of a name.
pub(super) fn head(name: &[u8]) -> [u8; HEAD_BYTES] {
    ((hash::position(name) >> (hash::BITS - 32)) as u32).to_be_bytes()
}

/// Returns how an entry with a name stands to one that is sought.
pub(super) fn compare(
    entry: &[u8],
    name_of: impl FnOnce(&[u8]) -> &[u8],
    head: [u8; HEAD_BYTES],
    name: &[u8],
) -> Ordering {
    let by_head = entry[..HEAD_BYTES].cmp(&head);
    by_head.then_with(|| name_of(entry).cmp(name))
}

/// Returns the entries that a step of HSCAN, SSCAN or ZSCAN shows, and the cursor of the next one.
/// The entries of one hash go together, since a cursor cannot point between them.
pub(super) fn scan_step(entries: &Sequence, cursor: u64, count: usize) -> (u64, Range<usize>) {
    let Ok(cursor) = u32::try_from(cursor) else {
        // One that was never given: there is nothing left.
        return (0, 0..0);
    };
    let start = entries.partition_point(|entry| entry[..HEAD_BYTES] < cursor.to_be_bytes()[..]);
    let head_of = |entry: &[u8]| {
        let mut head = [0; HEAD_BYTES];
        head.copy_from_slice(&entry[..HEAD_BYTES]);
        u32::from_be_bytes(head)
    };
    let mut end = start;
    let mut last = None;
    for entry in entries.iter_from(start) {
        let head = head_of(entry.as_bytes());
        if end - start >= count && last != Some(head) {
            return (u64::from(head), start..end);
        }
        last = Some(head);
        end += 1;
    }
    (0, start..end)
}

/// The most members that are drawn with repetition: a few bytes ask for as many replies.
const DRAWN_MAX: u64 = 1 << 20;

/// Reads how many members HRANDFIELD, SRANDMEMBER or ZRANDMEMBER draw; negative: with repetition.
pub(super) fn draw_count(text: &[u8]) -> Result<Count, Reply> {
    let count = integer(text)?;
    if count >= 0 {
        return Ok(Count::Different(usize::try_from(count).unwrap_or(usize::MAX)));
    }
    if count == i64::MIN {
        let (min, max) = (-i64::MAX, i64::MAX);
        let text = format!("ERR value is out of range, value must between {min} and {max}");
        return Err(Reply::error(text));
    }
    if count.unsigned_abs() > DRAWN_MAX {
        return Err(Reply::error("ERR value is out of range"));
    }
    Ok(Count::Repeated(count.unsigned_abs() as usize))
}

/// Reads how many members HRANDFIELD or ZRANDMEMBER draw, and whether what belongs to them is shown
/// too, as an option says.
pub(super) fn draw_options(args: &[&[u8]], option: &[u8]) -> Result<(Count, bool), Reply> {
    let (count, options) = args.split_first().ok_or(SYNTAX)?;
    let count = draw_count(count)?;
    let is_double = match options {
        [] => false,
        [word] if word.eq_ignore_ascii_case(option) => true,
        _ => return Err(SYNTAX),
    };
    match count {
        // Redis has to be able to count twice as many.
        Count::Different(count) if is_double && count > i64::MAX as usize / 2 => {
            Err(Reply::error("ERR value is out of range"))
        }
        count => Ok((count, is_double)),
    }
}
