//! Lengths and strings as RDB files have them.
//!
//! ```text
//! length = 00 | 6 bits  ·  01 | 14 bits  ·  0x80 | u32 big-endian  ·  0x81 | u64 big-endian
//! string = length | bytes
//!        | 0xc0 | i8  ·  0xc1 | i16  ·  0xc2 | i32              its digits; little-endian
//!        | 0xc3 | length packed | length unpacked | packed bytes    LZF
//! ```

use std::borrow::Cow;

use super::super::number::parse_i64;
use super::super::reply::{Reply, TOO_LONG};
use super::super::strings::MAX_VALUE_BYTES;
use super::lzf;

/// What one payload may unpack to: that strings are packed, and names of fields are not repeated,
/// must not make of a request much more than it is.
const UNPACKED_BYTES_MAX: usize = 16 * MAX_VALUE_BYTES;

/// Returns the error for what is no value.
pub(in super::super) fn bad_data() -> Reply {
    Reply::error("ERR Bad data format")
}

/// Writes a length, or another number.
pub(in super::super) fn put_length(output: &mut Vec<u8>, length: u64) {
    match length {
        0..0x40 => output.push(length as u8),
        0x40..0x4000 => output.extend((length as u16 | 0x4000).to_be_bytes()),
        0x4000..=0xffff_ffff => {
            output.push(0x80);
            output.extend((length as u32).to_be_bytes());
        }
        _ => {
            output.push(0x81);
            output.extend(length.to_be_bytes());
        }
    }
}

/// Writes a string.
pub(in super::super) fn put_string(output: &mut Vec<u8>, string: &[u8]) {
    let number = parse_i64(string).and_then(|number| i32::try_from(number).ok());
    let Some(number) = number else {
        put_length(output, string.len() as u64);
        output.extend_from_slice(string);
        return;
    };
    if let Ok(number) = i8::try_from(number) {
        output.extend([0xc0, number as u8]);
    } else if let Ok(number) = i16::try_from(number) {
        output.push(0xc1);
        output.extend(number.to_le_bytes());
    } else {
        output.push(0xc2);
        output.extend(number.to_le_bytes());
    }
}

/// A payload, or what is left of it.
#[derive(Debug)]
pub(in super::super) struct Input<'a> {
    rest: &'a [u8],
    unpacked_left: usize,
}

/// What a string begins with.
enum Head {
    Length(u64),
    /// Another form of string.
    Form(u8),
}

impl<'a> Input<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, unpacked_left: UNPACKED_BYTES_MAX }
    }

    /// Counts bytes that are made of fewer.
    pub(in super::super) fn spend(&mut self, bytes: usize) -> Result<(), Reply> {
        self.unpacked_left = self.unpacked_left.checked_sub(bytes).ok_or(TOO_LONG)?;
        Ok(())
    }

    /// Takes so many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Reply> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(bad_data)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Takes so many bytes as an array.
    pub(in super::super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Reply> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(bad_data)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Reply> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn head(&mut self) -> Result<Head, Reply> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match (first >> 6, low) {
            (0, _) => Head::Length(low.into()),
            (1, _) => Head::Length(u16::from_be_bytes([low, self.byte()?]).into()),
            (2, 0) => Head::Length(u32::from_be_bytes(self.array()?).into()),
            (2, 1) => Head::Length(u64::from_be_bytes(self.array()?)),
            (2, _) => return Err(bad_data()),
            _ => Head::Form(low),
        })
    }

    /// Takes a length, or another number.
    pub(in super::super) fn length(&mut self) -> Result<u64, Reply> {
        match self.head()? {
            Head::Length(length) => Ok(length),
            Head::Form(_) => Err(bad_data()),
        }
    }

    /// Takes a string.
    pub(in super::super) fn string(&mut self) -> Result<Cow<'a, [u8]>, Reply> {
        let number = match self.head()? {
            Head::Length(length) => {
                let length = usize::try_from(length).map_err(|_| bad_data())?;
                return self.bytes(length).map(Cow::Borrowed);
            }
            Head::Form(0) => i8::from_le_bytes(self.array()?).into(),
            Head::Form(1) => i16::from_le_bytes(self.array()?).into(),
            Head::Form(2) => i32::from_le_bytes(self.array()?),
            Head::Form(3) => return self.packed().map(Cow::Owned),
            Head::Form(_) => return Err(bad_data()),
        };
        Ok(Cow::Owned(number.to_string().into_bytes()))
    }

    fn packed(&mut self) -> Result<Vec<u8>, Reply> {
        let packed = usize::try_from(self.length()?).map_err(|_| bad_data())?;
        let length = usize::try_from(self.length()?).map_err(|_| bad_data())?;
        let packed = self.bytes(packed)?;
        self.spend(length)?;
        lzf::unpack(packed, length).ok_or_else(bad_data)
    }
}
