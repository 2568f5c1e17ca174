//! Listpacks: strings and numbers one behind the other, which can be walked from both ends.
//!
//! ```text
//! listpack = bytes in all u32 | number of entries u16 | entry* | 0xff        little-endian
//! entry    = 0 | 7 bits  ·  110 | i13 big-endian  ·  0xf1 | i16  ·  0xf2 | i24  ·  0xf3 | i32
//!          · 0xf4 | i64
//!          · 10 | length, 6 bits | bytes  ·  1110 | length u12 big-endian | bytes
//!          · 0xf0 | length u32 | bytes
//!            each followed by how many bytes it takes: seven bits in each, the high ones first,
//!            of which all but the first have the highest bit set
//! ```
//!
//! A number of entries that does not fit is 0xffff.

use std::borrow::Cow;

use super::super::number::parse_i64;
use super::super::reply::Reply;
use super::form::bad_data;

const HEADER_BYTES: usize = 6;
const END: u8 = 0xff;

/// A listpack that is written.
#[derive(Debug)]
pub(in super::super) struct Builder {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0 }
    }
}

impl Builder {
    /// Returns how many bytes there are, but for the end.
    pub(in super::super) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a string, as a number if it reads as one.
    pub(in super::super) fn push(&mut self, string: &[u8]) {
        if let Some(number) = parse_i64(string) {
            return self.push_number(number);
        }
        let start = self.bytes.len();
        match string.len() {
            length @ 0..0x40 => self.bytes.push(0x80 | length as u8),
            length @ 0x40..0x1000 => self.bytes.extend((0xe000 | length as u16).to_be_bytes()),
            length => {
                self.bytes.push(0xf0);
                let length = u32::try_from(length).expect("nothing is as long as 4 GiB");
                self.bytes.extend(length.to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(string);
        self.end_entry(start);
    }

    /// Adds a number.
    pub(in super::super) fn push_number(&mut self, number: i64) {
        let start = self.bytes.len();
        let bytes = number.to_le_bytes();
        let (form, length) = match number {
            0..0x80 => (bytes[0], 0),
            -0x1000..0x1000 => {
                self.bytes.push(0xc0 | bytes[1] & 0x1f);
                (bytes[0], 0)
            }
            -0x8000..0x8000 => (0xf1, 2),
            -0x80_0000..0x80_0000 => (0xf2, 3),
            -0x8000_0000..0x8000_0000 => (0xf3, 4),
            _ => (0xf4, 8),
        };
        self.bytes.push(form);
        self.bytes.extend_from_slice(&bytes[..length]);
        self.end_entry(start);
    }

    fn end_entry(&mut self, start: usize) {
        put_back_length(&mut self.bytes, start);
        self.count += 1;
    }

    /// Returns the bytes.
    pub(in super::super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let size = u32::try_from(self.bytes.len()).expect("nothing is as long as 4 GiB");
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        self.bytes[..4].copy_from_slice(&size.to_le_bytes());
        self.bytes[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

fn put_back_length(bytes: &mut Vec<u8>, start: usize) {
    let (length, end) = back_length(bytes.len() - start);
    bytes.extend_from_slice(&length[end..]);
}

/// Returns how a number of bytes is written behind them: the bytes from a place on.
fn back_length(mut length: usize) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut place = bytes.len() - 1;
    while length >= 0x80 && place > 0 {
        bytes[place] = (length & 0x7f) as u8 | 0x80;
        length >>= 7;
        place -= 1;
    }
    // All but the first have the highest bit.
    bytes[place] = length as u8;
    (bytes, place)
}

/// What stands in a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Entry<'a> {
    Number(i64),
    String(&'a [u8]),
}

impl<'a> Entry<'a> {
    /// Returns it as a string.
    pub(in super::super) fn text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Number(number) => Cow::Owned(number.to_string().into_bytes()),
            Self::String(string) => Cow::Borrowed(string),
        }
    }
}

/// A listpack that is read, or what is left of it. Any bytes are safe.
#[derive(Debug)]
pub(in super::super) struct Listpack<'a> {
    rest: &'a [u8],
    /// How many entries are to come, if that is known.
    left: Option<u16>,
}

impl<'a> Listpack<'a> {
    pub(in super::super) fn new(bytes: &'a [u8]) -> Result<Self, Reply> {
        let parts = bytes.split_first_chunk::<HEADER_BYTES>();
        let (header, rest) = parts.ok_or_else(bad_data)?;
        let size = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let count = u16::from_le_bytes([header[4], header[5]]);
        if usize::try_from(size) != Ok(bytes.len()) || rest.last() != Some(&END) {
            return Err(bad_data());
        }
        Ok(Self { rest, left: Some(count).filter(|count| *count != u16::MAX) })
    }

    /// Takes the next entry; none at the end.
    pub(in super::super) fn next(&mut self) -> Result<Option<Entry<'a>>, Reply> {
        if self.rest == [END] {
            let is_short = self.left.is_some_and(|left| left > 0);
            return if is_short { Err(bad_data()) } else { Ok(None) };
        }
        let (entry, rest) = take(self.rest).ok_or_else(bad_data)?;
        self.rest = rest;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or_else(bad_data)?;
        }
        Ok(Some(entry))
    }

    /// Takes an entry that must be there.
    pub(in super::super) fn expect(&mut self) -> Result<Entry<'a>, Reply> {
        self.next()?.ok_or_else(bad_data)
    }

    /// Takes an entry that must be a number.
    pub(in super::super) fn number(&mut self) -> Result<i64, Reply> {
        match self.expect()? {
            Entry::Number(number) => Ok(number),
            Entry::String(_) => Err(bad_data()),
        }
    }
}

/// Takes an entry and the number of its bytes from the front.
fn take(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let low = usize::from(*first);
    let (entry, rest) = match first {
        0..0x80 => (Entry::Number((*first).into()), rest),
        0x80..0xc0 => string(rest, low & 0x3f)?,
        0xc0..0xe0 => {
            let (second, rest) = rest.split_first()?;
            let number = i16::from_be_bytes([first << 3, 0]) | i16::from(*second) << 3;
            (Entry::Number((number >> 3).into()), rest)
        }
        0xe0..0xf0 => {
            let (second, rest) = rest.split_first()?;
            string(rest, (low & 0x0f) << 8 | usize::from(*second))?
        }
        0xf0 => {
            let (length, rest) = rest.split_first_chunk()?;
            string(rest, usize::try_from(u32::from_le_bytes(*length)).ok()?)?
        }
        0xf1 => number(rest, 2)?,
        0xf2 => number(rest, 3)?,
        0xf3 => number(rest, 4)?,
        0xf4 => number(rest, 8)?,
        _ => return None,
    };
    let (length, start) = back_length(bytes.len() - rest.len());
    Some((entry, rest.strip_prefix(&length[start..])?))
}

fn string(bytes: &[u8], length: usize) -> Option<(Entry<'_>, &[u8])> {
    let (string, rest) = bytes.split_at_checked(length)?;
    Some((Entry::String(string), rest))
}

fn number(bytes: &[u8], length: usize) -> Option<(Entry<'_>, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(length)?;
    let mut high = [0; 8];
    high[8 - length..].copy_from_slice(digits);
    Some((Entry::Number(i64::from_le_bytes(high) >> (8 * (8 - length))), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let around = |number: i64| [number.wrapping_sub(1), number, number.wrapping_add(1)];
        let powers = (0..64).flat_map(|bits| [1i64 << bits, (1i64 << bits).wrapping_neg()]);
        let numbers: Vec<i64> = powers.flat_map(around).collect();
        let strings: Vec<Vec<u8>> =
            [0, 1, 62, 63, 64, 126, 127, 128, 4095, 4096, 16_380, 16_384, 3_000_000]
                .map(|length| vec![b'x'; length])
                .into();
        let mut builder = Builder::default();
        numbers.iter().for_each(|number| builder.push_number(*number));
        strings.iter().for_each(|string| builder.push(string));
        builder.push(b"-77");
        let bytes = builder.finish();
        let mut listpack = Listpack::new(&bytes).expect("a listpack");
        for number in numbers {
            assert_eq!(listpack.number(), Ok(number));
        }
        for string in &strings {
            assert_eq!(listpack.expect(), Ok(Entry::String(string)));
        }
        assert_eq!(listpack.next(), Ok(Some(Entry::Number(-77))));
        assert_eq!(listpack.next(), Ok(None));
    }

    /// Bytes as Redis writes them.
    #[test]
    fn numbers_and_strings_have_their_forms() {
        let mut builder = Builder::default();
        [&b"5"[..], b"-1", b"4096", b"05", b"-4096"].iter().for_each(|text| builder.push(text));
        let entries = b"\x05\x01\xdf\xff\x02\xf1\x00\x10\x03\x8205\x03\xd0\x00\x02\xff";
        assert_eq!(builder.finish(), [&b"\x17\x00\x00\x00\x05\x00"[..], entries].concat());
    }
}
