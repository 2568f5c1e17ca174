//! Chance that is the same on every server: a sequence of numbers from the seed of an entry.

use std::collections::BTreeSet;

/// How many are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// So many different ones, or all.
    Different(usize),
    /// So many, each from all.
    Repeated(usize),
}

/// SplitMix64 (Steele, Lea and Flood).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// Returns a number below an end that is not zero.
    pub(super) fn below(&mut self, end: usize) -> usize {
        // The high half of a product is as even as the numbers are, but for one in 2^64 / end.
        let product = u128::from(self.next()) * end as u128;
        (product >> 64) as usize
    }

    /// Returns numbers below an end, which may be zero.
    pub(super) fn draw(&mut self, count: Count, end: usize) -> Vec<usize> {
        match count {
            Count::Different(count) => self.sample(count, end),
            Count::Repeated(_) if end == 0 => Vec::new(),
            Count::Repeated(count) => (0..count).map(|_| self.below(end)).collect(),
        }
    }

    /// Returns so many different numbers below an end, in order; all of them if there are no more.
    pub(super) fn sample(&mut self, count: usize, end: usize) -> Vec<usize> {
        if count >= end {
            return (0..end).collect();
        }
        // Those that are left out, if they are fewer (Floyd's algorithm).
        let drawn = count.min(end - count);
        let mut chosen = BTreeSet::new();
        for last in end - drawn..end {
            let number = self.below(last + 1);
            if !chosen.insert(number) {
                chosen.insert(last);
            }
        }
        if drawn == count {
            return chosen.into_iter().collect();
        }
        (0..end).filter(|number| !chosen.contains(number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_fair() {
        let mut random = Random::new(7);
        let mut counts = [0u32; 10];
        for round in 0..10_000 {
            let sample = random.sample(round % 10, 10);
            assert_eq!(sample.len(), round % 10);
            assert!(sample.is_sorted_by(|a, b| a < b));
            sample.into_iter().for_each(|number| counts[number] += 1);
        }
        assert!(counts.iter().all(|count| (4_300..4_700).contains(count)), "{counts:?}");
        assert_eq!(random.sample(12, 10), (0..10).collect::<Vec<_>>());
    }
}
