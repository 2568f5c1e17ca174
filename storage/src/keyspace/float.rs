//! Floating-point numbers as INCRBYFLOAT knows them: the 80-bit extended numbers of x86.
//!
//! Redis adds C's `long double`s and prints seventeen digits behind the point. What a client sees
//! depends on all 64 bits of their significand (1000.1 + 0.2 ends in noise that 53 bits would make
//! another noise), and replicas must agree whatever processor they run on. So the three operations
//! that it takes are done here in integers: text to number, sum, number to text; each correctly
//! rounded, half to even.

use std::cmp::Ordering;

mod big;
pub(super) mod double;
use big::Big;

/// The longest text that Redis takes for a number.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// The bits of a significand.
const PRECISION: i32 = 64;
/// The exponent of the last bit of the smallest number.
const EXPONENT_MIN: i32 = -16_445;
/// Numbers from two to this power on are infinite.
const EXPONENT_END: i32 = 16_384;
/// Decimal exponents beyond these are surely infinite, surely zero.
const DECIMAL_MAX: i64 = 4_940;
const DECIMAL_MIN: i64 = -4_970;
/// Digits behind the point.
const FRACTION_DIGITS: usize = 17;
const FRACTION_ONE: u128 = 100_000_000_000_000_000;

/// A number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Extended {
    /// `± significand · 2^exponent`, the highest bit of the significand set unless it is zero.
    Finite { is_negative: bool, significand: u64, exponent: i32 },
    /// Beyond all numbers. It can be written down, but no sum with it is a number.
    Infinite,
}

impl Extended {
    /// Nothing.
    pub(super) const ZERO: Self = Self::Finite { is_negative: false, significand: 0, exponent: 0 };

    /// Reads a number in any form that C's `strtold` reads to the end: decimal, hexadecimal,
    /// infinite. What is too large, or too small to be told from zero, is none.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (is_negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite);
        }
        match digits {
            [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(is_negative, digits),
            digits => parse_decimal(is_negative, digits),
        }
    }

    /// Returns the sum, if it is a number.
    pub(super) fn add(&self, other: &Self) -> Option<Self> {
        let (
            &Self::Finite { is_negative: a_negative, significand: a, exponent: a_exponent },
            &Self::Finite { is_negative: b_negative, significand: b, exponent: b_exponent },
        ) = (self, other)
        else {
            return None;
        };
        if a == 0 || b == 0 {
            return Some(if a == 0 { other.clone() } else { self.clone() });
        }
        if a_exponent < b_exponent {
            return other.add(self);
        }
        // One bit is left above for the carry, 63 below; what is shifted out of those leaves its
        // trace in the last one.
        const GUARD: i32 = 63;
        let large = u128::from(a) << GUARD;
        let small = shift_right(u128::from(b) << GUARD, a_exponent - b_exponent);
        let exponent = a_exponent - GUARD;
        if a_negative == b_negative {
            return round(a_negative, large + small, exponent);
        }
        match large.cmp(&small) {
            Ordering::Equal => Some(Self::ZERO),
            Ordering::Greater => round(a_negative, large - small, exponent),
            Ordering::Less => round(b_negative, small - large, exponent),
        }
    }
}

impl Extended {
    /// Returns the product, if it is a number.
    pub(super) fn times(&self, factor: u32) -> Option<Self> {
        let &Self::Finite { is_negative, significand, exponent } = self else { return None };
        round(is_negative, u128::from(significand) * u128::from(factor), exponent)
    }

    /// Returns the least whole number that is not less, if it is one of 64 bits.
    pub(super) fn ceil(&self) -> Option<i64> {
        let &Self::Finite { is_negative, significand, exponent } = self else { return None };
        if exponent >= 0 {
            // The highest bit is set, so that there is no room for a sign.
            return (significand == 0).then_some(0);
        }
        let shift = exponent.unsigned_abs();
        let whole = significand.checked_shr(shift).unwrap_or(0);
        let has_rest = whole.checked_shl(shift) != Some(significand);
        let magnitude = i64::try_from(whole).ok()?;
        if is_negative { Some(-magnitude) } else { magnitude.checked_add(i64::from(has_rest)) }
    }
}

/// Shifts right; any bit that is lost sets the last one, so that rounding later still goes the
/// right way.
fn shift_right(value: u128, bits: i32) -> u128 {
    match u32::try_from(bits) {
        Ok(bits @ 0..128) => {
            let shifted = value >> bits;
            shifted | u128::from(shifted << bits != value)
        }
        _ => u128::from(value != 0),
    }
}

/// Rounds `value · 2^exponent` to a number, half to even. `None` if it is too large.
fn round(is_negative: bool, value: u128, exponent: i32) -> Option<Extended> {
    let length = 128 - value.leading_zeros() as i32;
    let drop = (length - PRECISION).max(EXPONENT_MIN - exponent).max(0);
    normalized(is_negative, half_even(value, drop), exponent + drop)
}

/// Shifts right by some bits, and rounds what is lost, half to even.
fn half_even(value: u128, drop: i32) -> u128 {
    let kept = if drop < 128 { value >> drop } else { 0 };
    let half = if (1..=128).contains(&drop) { 1u128 << (drop - 1) } else { 0 };
    let lost = if drop < 128 { value - (kept << drop) } else { value };
    let is_up = drop <= 128 && drop > 0 && (lost > half || (lost == half && kept & 1 == 1));
    kept + u128::from(is_up)
}

fn normalized(is_negative: bool, value: u128, exponent: i32) -> Option<Extended> {
    if value == 0 {
        return Some(Extended::Finite { is_negative, significand: 0, exponent: 0 });
    }
    let length = 128 - value.leading_zeros() as i32;
    if exponent + length > EXPONENT_END {
        return None;
    }
    let shift = PRECISION - length;
    let significand = if shift >= 0 { value << shift } else { value >> -shift };
    let significand = u64::try_from(significand).expect("it was shifted to 64 bits");
    Some(Extended::Finite { is_negative, significand, exponent: exponent - shift })
}

/// Digits with a point somewhere, and an exponent.
struct Digits {
    /// Each as its value, leading zeros not among them.
    digits: Vec<u8>,
    /// How many digits were behind the point.
    behind: i64,
    exponent: i64,
}

/// Reads digits of a base up to the end, with the exponent behind a marker.
fn digits(text: &[u8], base: u32, marker: u8) -> Option<Digits> {
    let mut found = Digits { digits: Vec::new(), behind: 0, exponent: 0 };
    let (mut is_behind, mut count) = (false, 0);
    for (at, byte) in text.iter().enumerate() {
        if let Some(digit) = char::from(*byte).to_digit(base) {
            count += 1;
            found.behind += i64::from(is_behind);
            if digit != 0 || !found.digits.is_empty() {
                found.digits.push(digit as u8);
            }
        } else if *byte == b'.' && !is_behind {
            is_behind = true;
        } else if byte.eq_ignore_ascii_case(&marker) && count > 0 {
            found.exponent = exponent(&text[at + 1..])?;
            break;
        } else {
            return None;
        }
    }
    (count > 0).then_some(found)
}

/// Reads an exponent; one that is too long to be a number is as good as infinite.
fn exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: i64, digit: &u8| (sum * 10 + i64::from(digit - b'0')).min(1_000_000);
    Some(sign * digits.iter().fold(0, add))
}

fn parse_decimal(is_negative: bool, text: &[u8]) -> Option<Extended> {
    let Digits { digits, behind, exponent } = digits(text, 10, b'e')?;
    if digits.is_empty() {
        return Some(Extended::Finite { is_negative, significand: 0, exponent: 0 });
    }
    let power = exponent - behind;
    let magnitude = digits.len() as i64 + power;
    if !(DECIMAL_MIN..=DECIMAL_MAX).contains(&magnitude) {
        return None;
    }
    let number = Big::from_digits(&digits, 10);
    let ten = |power: i64| Big::from_digits(&[1], 10).times_ten(usize::try_from(power).ok()?);
    if power >= 0 {
        let (top, exponent) = number.times_ten(usize::try_from(power).ok()?)?.top();
        return nonzero(round(is_negative, top, exponent)?);
    }
    // The quotient gets two bits more than it keeps; the remainder, if any, leaves its trace in the
    // last one.
    let divisor = ten(-power)?;
    let shift = divisor.bits() as i64 - number.bits() as i64 + i64::from(PRECISION) + 2;
    let left = usize::try_from(shift.max(0)).ok()?;
    let right = usize::try_from((-shift).max(0)).ok()?;
    let quotient = number.shifted(left).divided_by(&divisor.shifted(right));
    nonzero(round(is_negative, quotient, i32::try_from(-shift).ok()?)?)
}

fn parse_hexadecimal(is_negative: bool, text: &[u8]) -> Option<Extended> {
    let Digits { digits, behind, exponent } = digits(text, 16, b'p')?;
    if digits.is_empty() {
        return Some(Extended::Finite { is_negative, significand: 0, exponent: 0 });
    }
    let (top, shift) = Big::from_digits(&digits, 16).top();
    let exponent = i32::try_from(exponent - 4 * behind).ok()?.checked_add(shift)?;
    nonzero(round(is_negative, top, exponent)?)
}

/// A number that was not zero must not have become it.
fn nonzero(number: Extended) -> Option<Extended> {
    let is_zero = matches!(number, Extended::Finite { significand: 0, .. });
    (!is_zero).then_some(number)
}

/// As C prints `%.17Lf`, without zeros at the end.
impl std::fmt::Display for Extended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let &Self::Finite { is_negative, significand, exponent } = self else {
            return f.write_str("inf");
        };
        let sign = if is_negative && significand != 0 { "-" } else { "" };
        if let Ok(shift) = usize::try_from(exponent) {
            return write!(f, "{sign}{}", Big::from(significand).shifted(shift));
        }
        let (mut whole, mut fraction) = (0, 0);
        // With 128 bits or more behind the point, 64 of them set at most, nothing is left of the
        // first seventeen digits.
        if let shift @ ..128 = exponent.unsigned_abs() {
            whole = u128::from(significand) >> shift;
            let rest = u128::from(significand) - (whole << shift);
            let scaled = rest * FRACTION_ONE;
            fraction = scaled >> shift;
            let (lost, half) = (scaled - (fraction << shift), 1u128 << (shift - 1));
            fraction += u128::from(lost > half || (lost == half && fraction & 1 == 1));
            whole += fraction / FRACTION_ONE;
            fraction %= FRACTION_ONE;
        }
        if fraction == 0 {
            let sign = if whole == 0 { "" } else { sign };
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{fraction:0width$}", width = FRACTION_DIGITS);
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}
