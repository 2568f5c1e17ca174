//! Lengths in as few bytes as they take: LEB128, seven bits in each byte, the low ones first.

/// The most bytes a length takes: 32 bits, seven in a byte.
const BYTES_MAX: usize = 5;

/// Why bytes do not begin with a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// They end early.
    Short,
    /// It is not in its shortest form, or has more than 32 bits.
    Malformed,
}

/// Returns how many bytes a length takes.
pub(super) fn len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Appends a length.
///
/// # Panics
///
/// If it has more than 32 bits.
pub(super) fn put(buffer: &mut Vec<u8>, value: usize) {
    let start = buffer.len();
    buffer.resize(start + len(value), 0);
    write(value, &mut buffer[start..]);
}

/// Writes a length over the bytes that it takes ([`len`]).
///
/// # Panics
///
/// If it has more than 32 bits.
pub(super) fn write(value: usize, bytes: &mut [u8]) {
    let mut value = u32::try_from(value).expect("nothing is as long as 4 GiB");
    let last = bytes.len() - 1;
    for byte in &mut bytes[..last] {
        *byte = (value & 0x7f) as u8 | 0x80;
        value >>= 7;
    }
    bytes[last] = value as u8;
}

/// Returns the length at the beginning, and what follows. Any bytes are safe.
#[inline]
pub(super) fn take(bytes: &[u8]) -> Result<(usize, &[u8]), Error> {
    match bytes {
        [byte @ ..0x80, rest @ ..] => Ok((usize::from(*byte), rest)),
        _ => take_long(bytes),
    }
}

fn take_long(bytes: &[u8]) -> Result<(usize, &[u8]), Error> {
    let mut value = 0u64;
    let mut rest = bytes;
    for position in 0..BYTES_MAX {
        let (byte, after) = rest.split_first().ok_or(Error::Short)?;
        rest = after;
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            let is_shortest = *byte != 0 || position == 0;
            let value = u32::try_from(value).map_err(|_| Error::Malformed)?;
            return if is_shortest { Ok((value as usize, rest)) } else { Err(Error::Malformed) };
        }
    }
    Err(Error::Malformed)
}
