//! LZF, in which Redis packs strings: literal bytes, and references to what is already unpacked.
//!
//! ```text
//! literal   = 000 count-1 (5 bits) | bytes
//! short     = length-2 (3 bits, 1 to 6) | distance-1 (13 bits, high ones first)
//! long      = 111 | distance-1 high (5 bits) | length-9 u8 | distance-1 low u8
//! ```

/// How many bytes one packed byte makes at most: three make 264.
const EXPANSION_MAX: usize = 88;

/// Unpacks to a length that was announced; `None` if that is not what the bytes make. Memory is
/// paid for: nothing is reserved that so many packed bytes could not fill.
pub(super) fn unpack(mut packed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > packed.len().saturating_mul(EXPANSION_MAX) {
        return None;
    }
    let mut unpacked: Vec<u8> = Vec::with_capacity(length);
    while let Some((control, rest)) = packed.split_first() {
        packed = rest;
        let high = usize::from(control & 0x1f);
        if *control < 0x20 {
            let (literal, rest) = packed.split_at_checked(high + 1)?;
            packed = rest;
            unpacked.extend_from_slice(literal);
        } else {
            let mut count = usize::from(control >> 5) + 2;
            if *control >= 0xe0 {
                count += usize::from(*packed.split_off_first()?);
            }
            let distance = (high << 8 | usize::from(*packed.split_off_first()?)) + 1;
            let start = unpacked.len().checked_sub(distance)?;
            // It may run into what it makes.
            for place in start..start + count {
                unpacked.push(unpacked[place]);
            }
        }
        if unpacked.len() > length {
            return None;
        }
    }
    (unpacked.len() == length).then_some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_references() {
        assert_eq!(unpack(b"\x02abc", 3).as_deref(), Some(&b"abc"[..]));
        assert_eq!(unpack(b"\x00a\x20\x00", 4).as_deref(), Some(&b"aaaa"[..]));
        assert_eq!(unpack(b"\x01ab\xe0\x01\x01", 12).as_deref(), Some(&b"abababababab"[..]));
        for (packed, length) in [
            (&b"\x02abc"[..], 4),
            (b"\x02abc", 2),
            (b"\x02ab", 3),
            (b"\x00a\x20\x01", 4),
            (b"\x00a\x20", 4),
            (b"\x00a\xe0\x00", 10),
            (b"", 1),
            (b"\x00a\xe0\xff\x00", usize::MAX),
        ] {
            assert_eq!(unpack(packed, length), None, "{packed:?} {length}");
        }
    }
}
