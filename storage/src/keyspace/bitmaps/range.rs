//! BITCOUNT and BITPOS: how many bits are set in a part of a string, and where the first one is.
//!
//! Both go by words of 64 bits. A part need not begin or end with a byte, so what a word or a byte
//! has too much is taken off at the ends.

use std::ops::Range;

use super::super::command::Args;
use super::super::number::{self, integer};
use super::super::reply::SYNTAX;
use super::super::strings::{clamped, span};
use super::super::{Reader, Reply};

/// What a part is measured in.
#[derive(Clone, Copy)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(name: &[u8]) -> Result<Self, Reply> {
        if name.eq_ignore_ascii_case(b"byte") {
            Ok(Self::Byte)
        } else if name.eq_ignore_ascii_case(b"bit") {
            Ok(Self::Bit)
        } else {
            Err(SYNTAX)
        }
    }

    fn bits(self) -> usize {
        match self {
            Self::Byte => 8,
            Self::Bit => 1,
        }
    }

    /// Returns which bits of so many bytes are meant.
    fn range(self, range: impl FnOnce(usize) -> Range<usize>, bytes: usize) -> Range<usize> {
        let part = range(bytes * 8 / self.bits());
        part.start * self.bits()..part.end * self.bits()
    }
}

/// Where there is no key there are no bits, whatever the part.
pub(super) fn bitcount(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let Some(string) = reader.string(args.at(0))? else { return Ok(Reply::Integer(0)) };
    let bytes = string.as_bytes();
    let [start, end, unit @ ..] = args.from(1) else {
        return if args.len() == 1 { Ok(number::reply(ones(bytes))) } else { Err(SYNTAX) };
    };
    if unit.len() > 1 {
        return Err(SYNTAX);
    }
    let (start, end) = (integer(start)?, integer(end)?);
    // A part that is none by itself Redis answers before it looks at the unit.
    if start < 0 && end < 0 && start > end {
        return Ok(Reply::Integer(0));
    }
    let unit = unit.first().map_or(Ok(Unit::Byte), |name| Unit::parse(name))?;
    let bits = unit.range(|length| span(start, end, length), bytes.len());
    Ok(number::reply(ones_in(bytes, bits)))
}

/// If no end is given, the clear bits behind the string count too.
pub(super) fn bitpos(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let is_wanted = match integer(args.at(1))? {
        0 => false,
        1 => true,
        _ => return Err(Reply::error("ERR The bit argument must be 1 or 0.")),
    };
    let Some(string) = reader.string(args.at(0))? else {
        return Ok(Reply::Integer(if is_wanted { -1 } else { 0 }));
    };
    let bytes = string.as_bytes();
    let (start, end, unit) = match args.from(2) {
        [] => (0, None, Unit::Byte),
        [start] => (integer(start)?, None, Unit::Byte),
        [start, end] => (integer(start)?, Some(integer(end)?), Unit::Byte),
        [start, end, unit] => {
            let start = integer(start)?;
            let unit = Unit::parse(unit)?;
            (start, Some(integer(end)?), unit)
        }
        _ => return Err(SYNTAX),
    };
    let bits = unit.range(|length| clamped(start, end.unwrap_or(-1), length), bytes.len());
    let place = first(bytes, bits.clone(), is_wanted);
    let behind = (!is_wanted && end.is_none() && !bits.is_empty()).then_some(bits.end);
    Ok(place.or(behind).map_or(Reply::Integer(-1), number::reply))
}

/// Returns how many bits are set.
fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let in_word = |word: &[u8; 8]| u64::from(u64::from_ne_bytes(*word).count_ones());
    let in_byte = |byte: &u8| u64::from(byte.count_ones());
    words.iter().map(in_word).sum::<u64>() + rest.iter().map(in_byte).sum::<u64>()
}

/// Returns how many bits of a part are set.
fn ones_in(bytes: &[u8], bits: Range<usize>) -> u64 {
    if bits.is_empty() {
        return 0;
    }
    let bytes = &bytes[bits.start / 8..bits.end.div_ceil(8)];
    let (first, last) = (bytes[0], bytes[bytes.len() - 1]);
    // What is in front of the part and behind it, shifted into sight.
    let before = u16::from(first) << (bits.start % 8) & 0xff00;
    let after = match bits.end % 8 {
        0 => 0,
        kept => last << kept,
    };
    ones(bytes) - u64::from(before.count_ones() + after.count_ones())
}

/// Returns where in a part the first bit of a kind is.
fn first(bytes: &[u8], bits: Range<usize>, is_set: bool) -> Option<usize> {
    if bits.is_empty() {
        return None;
    }
    let start = bits.start / 8;
    let bytes = &bytes[start..bits.end.div_ceil(8)];
    // What is looked for is turned into ones; what is in front of the part into zeros.
    let flip = if is_set { 0 } else { 0xff };
    let head = (bytes[0] ^ flip) & (0xff >> (bits.start % 8));
    let (at, byte) = if head != 0 {
        (0, head)
    } else {
        let words = bytes[1..].as_chunks::<8>().0;
        let dull = words.iter().take_while(|word| **word == [flip; 8]).count();
        let from = 1 + dull * 8;
        let at = from + bytes[from..].iter().position(|byte| *byte != flip)?;
        (at, bytes[at] ^ flip)
    };
    let place = (start + at) * 8 + byte.leading_zeros() as usize;
    Some(place).filter(|place| *place < bits.end)
}
