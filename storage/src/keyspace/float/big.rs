//! Natural numbers of any size, as far as reading and printing extended numbers needs them.

use std::cmp::Ordering;
use std::fmt;

const BILLION: u64 = 1_000_000_000;

/// A natural number in 32-bit limbs, the lowest first, the highest not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Big(Vec<u32>);

impl From<u64> for Big {
    fn from(value: u64) -> Self {
        Self(vec![value as u32, (value >> 32) as u32]).trimmed()
    }
}

impl Big {
    /// Returns the number with these digits, the highest first.
    pub(super) fn from_digits(digits: &[u8], base: u32) -> Self {
        let mut number = Self(Vec::new());
        // As many digits at a time as a limb can surely take.
        for chunk in digits.chunks(7) {
            let add = chunk.iter().fold(0, |sum, digit| sum * base + u32::from(*digit));
            number.multiply_add(base.pow(chunk.len() as u32), add);
        }
        number
    }

    /// Returns the number times a power of ten.
    pub(super) fn times_ten(mut self, mut power: usize) -> Option<Self> {
        while power > 0 {
            let step = power.min(9);
            self.multiply_add(10u32.checked_pow(u32::try_from(step).ok()?)?, 0);
            power -= step;
        }
        Some(self)
    }

    /// Returns how many bits the number has.
    pub(super) fn bits(&self) -> usize {
        match self.0.last() {
            None => 0,
            Some(limb) => self.0.len() * 32 - limb.leading_zeros() as usize,
        }
    }

    /// Returns the number times a power of two.
    pub(super) fn shifted(&self, bits: usize) -> Self {
        let mut limbs = vec![0; bits / 32];
        let mut carry = 0u64;
        for limb in &self.0 {
            carry |= u64::from(*limb) << (bits % 32);
            limbs.push(carry as u32);
            carry >>= 32;
        }
        limbs.push(carry as u32);
        Self(limbs).trimmed()
    }

    /// Returns about the top 96 bits, and the power of two they count for; anything below sets the last bit.
    pub(super) fn top(&self) -> (u128, i32) {
        let below = self.0.len().saturating_sub(3);
        let (low, high) = self.0.split_at(below);
        let top = high.iter().rev().fold(0u128, |sum, limb| sum << 32 | u128::from(*limb));
        // Room for the trace: what is below may be nothing but a little.
        let trace = u128::from(low.iter().any(|limb| *limb != 0));
        (top << 1 | trace, below as i32 * 32 - 1)
    }

    /// Returns the quotient, which must be less than 2^68; a remainder sets its last bit.
    pub(super) fn divided_by(&self, divisor: &Self) -> u128 {
        const QUOTIENT_BITS: usize = 68;
        let mut rest = self.clone();
        let mut part = divisor.shifted(QUOTIENT_BITS);
        let mut quotient = 0u128;
        for _ in 0..=QUOTIENT_BITS {
            quotient <<= 1;
            if rest.compare(&part) != Ordering::Less {
                rest.subtract(&part);
                quotient |= 1;
            }
            part.halve();
        }
        quotient | u128::from(!rest.0.is_empty())
    }

    fn multiply_add(&mut self, factor: u32, add: u32) {
        let mut carry = u64::from(add);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// Divides by 10^9, and returns the remainder. By a constant, as that is several times as fast.
    fn divide_by_billion(&mut self) -> u32 {
        let mut rest = 0u64;
        for limb in self.0.iter_mut().rev() {
            rest = rest << 32 | u64::from(*limb);
            *limb = (rest / BILLION) as u32;
            rest %= BILLION;
        }
        self.trim();
        rest as u32
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for limb in self.0.iter_mut().rev() {
            let low = *limb & 1;
            *limb = *limb >> 1 | carry << 31;
            carry = low;
        }
        self.trim();
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Subtracts a number that is not greater.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0i64;
        for (place, limb) in self.0.iter_mut().enumerate() {
            let less = other.0.get(place).copied().unwrap_or(0);
            let difference = i64::from(*limb) - i64::from(less) + borrow;
            *limb = difference as u32;
            borrow = difference >> 32;
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn trimmed(mut self) -> Self {
        self.trim();
        self
    }
}

impl fmt::Display for Big {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.clone();
        let mut chunks = Vec::new();
        while !rest.0.is_empty() {
            chunks.push(rest.divide_by_billion());
        }
        write!(f, "{}", chunks.pop().unwrap_or(0))?;
        for chunk in chunks.iter().rev() {
            write!(f, "{chunk:09}")?;
        }
        Ok(())
    }
}
