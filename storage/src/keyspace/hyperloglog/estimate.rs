//! What a HyperLogLog knows of an element, and how many elements it must have seen to know so much.
//!
//! The hash of an element chooses a register, and there only the greatest rank stays: the place of
//! the first bit set in the rest of the hash. Half of all elements have rank one, a quarter rank
//! two, and so on: how many registers hold each rank tells how many elements there were. The
//! estimator is that of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
//! sketches" (2017), section 4; with the sums in Redis' order, so that the last digit is the same.

/// How many bits of the hash choose the register.
const INDEX_BITS: u32 = 14;
/// How many registers there are.
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;
/// How many bits of the hash are left.
const RANK_BITS: u32 = 64 - INDEX_BITS;
/// Redis' seed of the hash.
const SEED: u64 = 0xadc8_3b19;

/// Returns the register of an element, and the rank that it has there: 1 to 51.
pub(super) fn place_of(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let rest = hash >> INDEX_BITS | 1 << RANK_BITS;
    ((hash % REGISTERS as u64) as usize, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A, by Austin Appleby.
fn murmur(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    let mix = |word: u64| word ^ word >> 47;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    for word in words {
        let word = mix(u64::from_le_bytes(*word).wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    }
    mix(mix(hash).wrapping_mul(FACTOR))
}

/// Returns how many elements there were, from how many registers hold each rank. Ranks that no
/// element has do not count.
pub(super) fn estimate(registers_of_rank: &[u32; 64]) -> u64 {
    const HIGHEST: usize = RANK_BITS as usize + 1;
    let all = REGISTERS as f64;
    let share = |registers: f64| registers / all;
    let mut sum = all * tau(share(all - f64::from(registers_of_rank[HIGHEST])));
    for registers in registers_of_rank[1..HIGHEST].iter().rev() {
        sum = (sum + f64::from(*registers)) * 0.5;
    }
    sum += all * sigma(share(registers_of_rank[0].into()));
    // One half divided by the logarithm of two.
    (0.5 / std::f64::consts::LN_2 * all * all / sum).round() as u64
}

/// What the registers that are full add to the sum.
fn tau(share: f64) -> f64 {
    if share == 0.0 || share == 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        x = x.sqrt();
        y *= 0.5;
        let before = sum;
        sum -= (1.0 - x) * (1.0 - x) * y;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// What the registers that are empty add to the sum.
fn sigma(share: f64) -> f64 {
    if share == 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut sum) = (share, 1.0, share);
    loop {
        x *= x;
        let before = sum;
        sum += x * y;
        y += y;
        if sum == before {
            return sum;
        }
    }
}
