//! The core's only source of chance: a seed.
//!
//! Two servers with the same seed and the same events do the same, which is what lets a test replay
//! a failure. Raft needs chance to keep two candidates from splitting the vote for ever (§5.2), and
//! a cluster needs it once, for its name.

use std::ops::Range;

/// A SplitMix64 generator: one addition and three multiplications a number, and any seed is a good
/// one.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number in the range. The tiny bias of the remainder does not matter to a timeout.
    pub(super) fn within(&mut self, range: &Range<u32>) -> u32 {
        let span = u64::from(range.end - range.start);
        let offset = u32::try_from(self.next() % span).expect("a remainder is below its divisor");
        range.start + offset
    }

    /// Returns 128 bits.
    pub(super) fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}
