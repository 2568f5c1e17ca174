//! IDs of entries: a time in milliseconds, and a number among those of that time.
//!
//! As texts `<ms>-<sequence>`, and in memory 16 bytes that compare as the IDs do.

use super::super::Reply;
use super::super::number::{parse_i64, parse_wrapping};
use super::super::reply::until_nul;

/// How many bytes an ID takes.
pub(super) const ID_BYTES: usize = 16;
/// The longest text in which Redis looks for an ID.
const TEXT_BYTES_MAX: usize = 127;

/// The ID of an entry. None has the smallest one, which stands for "before all".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) ms: u64,
    pub(super) sequence: u64,
}

impl Id {
    pub(super) const MIN: Self = Self { ms: 0, sequence: 0 };
    pub(super) const MAX: Self = Self { ms: u64::MAX, sequence: u64::MAX };

    /// Returns the ID at the beginning of an entry.
    ///
    /// # Panics
    ///
    /// If the entry is shorter than that: entries are made here, or were checked.
    pub(super) fn of(entry: &[u8]) -> Self {
        let bytes = entry.first_chunk::<ID_BYTES>().expect("an entry begins with its ID");
        Self::from_bytes(*bytes)
    }

    pub(super) fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { ms: (both >> 64) as u64, sequence: both as u64 }
    }

    pub(super) fn to_bytes(self) -> [u8; ID_BYTES] {
        (u128::from(self.ms) << 64 | u128::from(self.sequence)).to_be_bytes()
    }

    /// Returns the one behind it; there is none behind the greatest.
    pub(super) fn next(self) -> Option<Self> {
        match self.sequence.checked_add(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => self.ms.checked_add(1).map(|ms| Self { ms, sequence: 0 }),
        }
    }

    /// Returns the one before it; there is none before the smallest.
    fn previous(self) -> Option<Self> {
        match self.sequence.checked_sub(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Self { ms, sequence: u64::MAX }),
        }
    }

    /// Returns the text.
    pub(super) fn text(self) -> String {
        format!("{}-{}", self.ms, self.sequence)
    }

    /// Returns the text as a reply.
    pub(super) fn reply(self) -> Reply {
        Reply::Bulk(self.text().into())
    }
}

/// What the text of an ID says of the sequence.
enum Rest {
    Given(u64),
    Missing,
    /// `*`: whatever is next.
    Next,
}

fn invalid() -> Reply {
    Reply::error("ERR Invalid stream ID specified as stream command argument")
}

/// Reads `<ms>` and what stands behind it. As in Redis, a NUL ends the text.
fn parts(text: &[u8]) -> Option<(u64, Rest)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = until_nul(text);
    let Some(dash) = text.iter().position(|byte| *byte == b'-') else {
        return Some((number(text)?, Rest::Missing));
    };
    let sequence = match &text[dash + 1..] {
        b"*" => Rest::Next,
        digits => Rest::Given(number(digits)?),
    };
    Some((number(&text[..dash])?, sequence))
}

/// Reads a number as Redis does: what is one of 64 bits with a sign must not be negative, and what
/// else C takes for a number is one.
fn number(text: &[u8]) -> Option<u64> {
    match parse_i64(text) {
        Some(number) => u64::try_from(number).ok(),
        None => {
            let is_blank = |byte: &u8| matches!(*byte, b' ' | b'\t'..=b'\r');
            let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
            parse_wrapping(&text[start..])
        }
    }
}

/// Reads the ID of one entry. `missing` is the sequence where none is given.
pub(super) fn parse(text: &[u8], missing: u64) -> Result<Id, Reply> {
    match parts(text).ok_or_else(invalid)? {
        (ms, Rest::Given(sequence)) => Ok(Id { ms, sequence }),
        (ms, Rest::Missing) => Ok(Id { ms, sequence: missing }),
        (_, Rest::Next) => Err(invalid()),
    }
}

/// Reads an ID where `-` and `+` are the smallest and the greatest one.
pub(super) fn parse_any(text: &[u8], missing: u64) -> Result<Id, Reply> {
    match until_nul(text) {
        b"-" => Ok(Id::MIN),
        b"+" => Ok(Id::MAX),
        _ => parse(text, missing),
    }
}

/// Reads the first ID of a range; behind `(`, the last one that is not in it.
pub(super) fn parse_start(text: &[u8]) -> Result<Id, Reply> {
    match text {
        [b'(', excluded @ ..] if !excluded.is_empty() => {
            let error = Reply::error("ERR invalid start ID for the interval");
            parse(excluded, 0)?.next().ok_or(error)
        }
        _ => parse_any(text, 0),
    }
}

/// Reads the last ID of a range; behind `(`, the first one that is not in it.
pub(super) fn parse_end(text: &[u8]) -> Result<Id, Reply> {
    match text {
        [b'(', excluded @ ..] if !excluded.is_empty() => {
            let error = Reply::error("ERR invalid end ID for the interval");
            parse(excluded, u64::MAX)?.previous().ok_or(error)
        }
        _ => parse_any(text, u64::MAX),
    }
}

/// The ID that XADD is asked to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// `*`: from the time.
    Auto,
    /// `<ms>-*`: the next one of that time.
    Next(u64),
    /// This one.
    Exactly(Id),
}

impl Asked {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Reply> {
        if until_nul(text) == b"*" {
            return Ok(Self::Auto);
        }
        Ok(match parts(text).ok_or_else(invalid)? {
            (ms, Rest::Given(sequence)) => Self::Exactly(Id { ms, sequence }),
            (ms, Rest::Missing) => Self::Exactly(Id { ms, sequence: 0 }),
            (ms, Rest::Next) => Self::Next(ms),
        })
    }

    /// Returns the ID, if it is behind the last one; a clock that is not makes no difference.
    pub(super) fn resolve(self, last: Id, now: u64) -> Option<Id> {
        let id = match self {
            Self::Auto if now > last.ms => Id { ms: now, sequence: 0 },
            Self::Auto => last.next()?,
            Self::Next(ms) if ms == last.ms => Id { ms, sequence: last.sequence.checked_add(1)? },
            Self::Next(ms) => Id { ms, sequence: 0 },
            Self::Exactly(id) => id,
        };
        (id > last).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_compare_as_ids_do() {
        let ids = [(0, 0), (0, 1), (0, u64::MAX), (1, 0), (256, 0), (256, 3), (u64::MAX, u64::MAX)]
            .map(|(ms, sequence)| Id { ms, sequence });
        assert!(ids.is_sorted());
        assert!(ids.map(Id::to_bytes).is_sorted());
        assert_eq!(ids.map(|id| Id::from_bytes(id.to_bytes())), ids);
        assert_eq!(ids[2].next(), Some(ids[3]));
        assert_eq!(ids[3].previous(), Some(ids[2]));
        assert_eq!((Id::MIN.previous(), Id::MAX.next()), (None, None));
    }

    #[test]
    fn numbers_are_what_c_and_redis_take_for_one() {
        for (text, expected) in [
            ("5", Some((5, 7))),
            ("5-0", Some((5, 0))),
            ("007-+3", Some((7, 3))),
            (" 9--03", Some((9, u64::MAX - 2))),
            ("18446744073709551615-1", Some((u64::MAX, 1))),
            ("18446744073709551616-1", None),
            ("5-\0x", None),
            ("5\0x", Some((5, 7))),
            ("5--3", None),
            ("5-*", None),
            ("5-", None),
            ("-5", None),
            ("5 ", None),
            ("+", None),
            (" ", None),
            ("", None),
        ] {
            let id = parse(text.as_bytes(), 7).ok();
            assert_eq!(id.map(|id| (id.ms, id.sequence)), expected, "{text:?}");
        }
        assert!(parse(&[b'0'; 127], 0).is_ok() && parse(&[b'0'; 128], 0).is_err());
    }
}
