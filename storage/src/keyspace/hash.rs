//! Where a key stands: a fixed hash of its bytes.
//!
//! The keyspace is ordered by this hash, SCAN's cursors are positions in that order, and snapshots
//! are written in it: it is the same on every server and in every version, for ever. It is
//! SipHash-1-3 with a key of zeros, cut to 60 bits: fast on short keys, and nobody knows how to
//! write down many keys that collide, which a multiplicative hash would allow.

/// How many bits a position has. Below 63, so that a cursor fits whatever integer a client keeps it
/// in.
pub(super) const BITS: u32 = 60;

/// Returns the position of a key, less than 2^60.
pub(super) fn position(key: &[u8]) -> u64 {
    sip::<1, 3>(0, 0, key) >> (64 - BITS)
}

/// SipHash with `C` rounds for each word and `D` at the end (Aumasson and Bernstein).
pub(super) fn sip<const C: usize, const D: usize>(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        absorb::<C>(&mut v, u64::from_le_bytes(*word));
    }
    // The last word holds what is left, and in its top byte the length modulo 256.
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    absorb::<C>(&mut v, u64::from_le_bytes(last) | (bytes.len() as u64) << 56);
    v[2] ^= 0xff;
    for _ in 0..D {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline]
fn absorb<const C: usize>(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    for _ in 0..C {
        round(v);
    }
    v[0] ^= word;
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the paper's appendix: key 00..0f, message 00..0e, SipHash-2-4.
    #[test]
    fn agrees_with_the_paper() {
        let message: Vec<u8> = (0..15).collect();
        let (k0, k1) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(sip::<2, 4>(k0, k1, &message), 0xa129_ca61_49be_45e5);
    }

    /// Snapshots and cursors of older versions rely on these.
    #[test]
    fn positions_never_change() {
        use std::hash::Hasher;
        for length in 0..64 {
            let key: Vec<u8> = (0..length).collect();
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(&key);
            assert_eq!(position(&key), hasher.finish() >> 4, "SipHash-1-3 of {length} bytes");
        }
        assert_eq!(position(b""), 0x0d1f_ba76_2150_c532);
    }
}
