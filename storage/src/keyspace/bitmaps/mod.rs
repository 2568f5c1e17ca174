//! Bitmaps: strings as rows of bits.
//!
//! The first bit is the highest one of the first byte; behind the end of a string all bits are
//! clear. Here are the rows, and what reads and writes one bit; [`range`] counts and finds bits,
//! [`combine`] has BITOP, [`field`] integers of any width.

mod combine;
mod field;
mod range;

use super::command::{Args, Flags as F, Spec, at};
use super::number::parse_i64;
use super::reply::Reply;
use super::strings::MAX_VALUE_BYTES;
use super::{Reader, Writer};
use combine::{bitop, operator};
use field::{bitfield, bitfield_ro};
use range::{bitcount, bitpos};

/// The commands of bitmaps.
pub(super) const ROWS: &[Spec] = &[
    Spec::read(352, "bitcount", -2, bitcount)
        .with(&[F::CAT_BITMAP])
        .keys_at(1, 1, 1)
        .doc("bitmap", "2.6.0"),
    Spec::write(353, "bitfield", -2, bitfield)
        .with(&[F::DENYOOM, F::CAT_BITMAP])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update variable_flags"])
        .key_notes("The key is changed only if a field is written")
        .doc("bitmap", "3.2.0")
        .validated_by(|args| field::operations(args).map(drop))
        .reads_as(354, field::only_gets),
    Spec::read(354, "bitfield_ro", -2, bitfield_ro)
        .with(&[F::FAST, F::CAT_BITMAP])
        .keys_at(1, 1, 1)
        .doc("bitmap", "6.0.0"),
    Spec::write(355, "bitop", -4, bitop)
        .with(&[F::DENYOOM, F::CAT_BITMAP])
        .keys_at(2, -1, 1)
        .key_flags(&["OW update", "RO access"])
        .doc("bitmap", "2.6.0")
        .validated_by(|args| operator(args).map(drop)),
    Spec::read(356, "bitpos", -3, bitpos)
        .with(&[F::CAT_BITMAP])
        .keys_at(1, 1, 1)
        .doc("bitmap", "2.8.7"),
    Spec::read(357, "getbit", 3, getbit)
        .with(&[F::FAST, F::CAT_BITMAP])
        .keys_at(1, 1, 1)
        .doc("bitmap", "2.2.0"),
    Spec::write(358, "setbit", 4, setbit)
        .with(&[F::DENYOOM, F::CAT_BITMAP])
        .keys_at(1, 1, 1)
        .key_flags(&["RW access update"])
        .doc("bitmap", "2.2.0")
        .validated_by(|args| new_bit(args).map(drop)),
];

/// How many bytes there are bits of to be asked for: those of the longest string that Redis has. To
/// be written there are those of our longest.
const READ_BYTES_MAX: usize = 512 << 20;

/// Reads the place of a bit.
fn place(text: &[u8], bytes_max: usize) -> Result<usize, Reply> {
    checked_place(parse_i64(text), bytes_max)
}

/// Returns the place of a bit, if it is one.
fn checked_place(place: Option<i64>, bytes_max: usize) -> Result<usize, Reply> {
    let place = place.and_then(|place| usize::try_from(place).ok());
    place
        .filter(|place| place / 8 < bytes_max)
        .ok_or(Reply::error("ERR bit offset is not an integer or out of range"))
}

fn getbit(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let place = place(args.at(1), READ_BYTES_MAX)?;
    let bytes = reader.string(args.at(0))?.map_or(&[][..], |string| string.as_bytes());
    let is_set = bytes.get(place / 8).is_some_and(|byte| byte & mask(place) != 0);
    Ok(Reply::Integer(is_set.into()))
}

/// Reads the arguments of SETBIT: where, and what.
fn new_bit(args: &[&[u8]]) -> Result<(usize, bool), Reply> {
    let place = place(at(args, 1), MAX_VALUE_BYTES)?;
    match parse_i64(at(args, 2)) {
        Some(bit @ (0 | 1)) => Ok((place, bit == 1)),
        _ => Err(Reply::error("ERR bit is not an integer or out of range")),
    }
}

fn setbit(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (place, is_wanted) = new_bit(args.from(0))?;
    let string = writer.string(args.at(0))?;
    let old = string.and_then(|string| string.as_bytes().get(place / 8).copied());
    let was_set = old.is_some_and(|byte| byte & mask(place) != 0);
    if old.is_none() || was_set != is_wanted {
        writer.edit_str(args.at(0), |bytes| {
            bytes.resize(bytes.len().max(place / 8 + 1), 0);
            let byte = &mut bytes[place / 8];
            *byte = if is_wanted { *byte | mask(place) } else { *byte & !mask(place) };
        });
    }
    Ok(Reply::Integer(was_set.into()))
}

/// Returns the bit at a place in its byte.
fn mask(place: usize) -> u8 {
    0x80 >> (place % 8)
}
