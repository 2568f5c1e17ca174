//! Numbers in arguments: exactly the texts that Redis takes.

use super::reply::{NOT_AN_INTEGER, Reply, until_nul};

/// Reads a signed number in its only form: no plus, no leading zeros, no spaces, no minus zero.
pub(super) fn parse_i64(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_negative = digits.len() < text.len();
    match digits {
        b"0" => return if is_negative { None } else { Some(0) },
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    // Summed up below zero, where there is room for one more than above.
    let mut value = 0i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if is_negative { Some(value) } else { value.checked_neg() }
}

/// Reads an unsigned number of digits alone.
pub(super) fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a cursor as Redis does, by C's strtoul; no digit is zero; a NUL ends the text. Blanks in
/// front are not allowed.
pub(super) fn parse_cursor(text: &[u8]) -> Option<u64> {
    let text = until_nul(text);
    if text.is_empty() { Some(0) } else { parse_wrapping(text) }
}

/// Reads what C's strtoul reads, but for blanks in front: a sign is allowed, and minus counts down
/// from 2⁶⁴.
pub(super) fn parse_wrapping(text: &[u8]) -> Option<u64> {
    match text.strip_prefix(b"-") {
        Some(digits) => parse_u64(digits).map(u64::wrapping_neg),
        None => parse_u64(text.strip_prefix(b"+").unwrap_or(text)),
    }
}

/// Reads a signed number, or answers Redis' error.
pub(super) fn integer(text: &[u8]) -> Result<i64, Reply> {
    parse_i64(text).ok_or(NOT_AN_INTEGER)
}

/// Returns a number of ours as a reply; beyond what a reply can say, the largest.
pub(super) fn reply(number: impl TryInto<i64>) -> Reply {
    Reply::Integer(number.try_into().unwrap_or(i64::MAX))
}

/// Returns how many indexes there are between the second argument and the third at most: all, where
/// that depends on the length.
pub(super) fn between(args: &[&[u8]]) -> usize {
    let index = |place: usize| args.get(place).and_then(|text| parse_i64(text));
    match (index(1), index(2)) {
        (Some(start), Some(end)) if (start < 0) == (end < 0) => {
            usize::try_from(end.saturating_sub(start).saturating_add(1)).unwrap_or(0)
        }
        _ => usize::MAX,
    }
}
