//! The 64-bit numbers that sorted sets are ordered by, in every text that C's `strtod` reads.

use super::{digits, half_even};

/// The bits of a significand.
const PRECISION: i32 = 53;
/// The exponent of the last bit of the smallest number.
const EXPONENT_MIN: i64 = -1074;
/// Numbers from two to this power on are infinite.
const EXPONENT_END: i64 = 1024;
/// Hexadecimal digits that are read one by one; of those behind them it matters only whether there
/// is any that is not zero.
const HEX_DIGITS_MAX: usize = 31;

/// Reads a number: a score, a weight, a coordinate. What is too large, or too small to be told from
/// zero, is none.
pub(in super::super) fn parse(text: &[u8]) -> Option<f64> {
    let (number, is_in_range) = read(text)?;
    is_in_range.then_some(number)
}

/// Reads the end of a range, of which Redis takes more: blanks in front, nothing at all for zero,
/// and what is out of range as infinite or as zero. A NUL ends the text.
pub(in super::super) fn parse_bound(text: &[u8]) -> Option<f64> {
    read_string(text).map(|(number, _)| number)
}

/// Reads what SORT sorts by, as [`parse_bound`] does. What is out of range is none, nor is what is
/// so small that it is not said in all bits.
pub(in super::super) fn parse_weight(text: &[u8]) -> Option<f64> {
    let (number, is_in_range) = read_string(text)?;
    (is_in_range && !number.is_subnormal()).then_some(number)
}

/// Reads a string of C, which ends before a NUL: blanks may be in front, and none is zero.
fn read_string(text: &[u8]) -> Option<(f64, bool)> {
    let text = super::super::reply::until_nul(text);
    if text.is_empty() {
        return Some((0.0, true));
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let blanks = text.iter().take_while(|byte| is_blank(byte)).count();
    read(&text[blanks..])
}

/// Reads a text to its end, and tells whether a number so large or small can be said.
fn read(text: &[u8]) -> Option<(f64, bool)> {
    let (is_negative, unsigned) = match text {
        [b'-', unsigned @ ..] => (true, unsigned),
        [b'+', unsigned @ ..] => (false, unsigned),
        unsigned => (false, unsigned),
    };
    let (number, is_in_range) = match unsigned {
        _ if unsigned.eq_ignore_ascii_case(b"inf") => (f64::INFINITY, true),
        _ if unsigned.eq_ignore_ascii_case(b"infinity") => (f64::INFINITY, true),
        [b'0', b'x' | b'X', digits @ ..] => read_hexadecimal(digits)?,
        [b'0'..=b'9' | b'.', ..] => read_decimal(unsigned)?,
        _ => return None,
    };
    Some((if is_negative { -number } else { number }, is_in_range))
}

fn read_decimal(text: &[u8]) -> Option<(f64, bool)> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let mut digits = text.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'));
    let is_zero = digits.all(|byte| matches!(byte, b'0' | b'.'));
    Some((number, number.is_finite() && (number != 0.0 || is_zero)))
}

fn read_hexadecimal(text: &[u8]) -> Option<(f64, bool)> {
    let found = digits(text, 16, b'p')?;
    if found.digits.is_empty() {
        return Some((0.0, true));
    }
    let (high, low) = found.digits.split_at(found.digits.len().min(HEX_DIGITS_MAX));
    let value = high.iter().fold(0u128, |sum, digit| sum << 4 | u128::from(*digit));
    let trace = u128::from(low.iter().any(|digit| *digit != 0));
    let exponent = found.exponent - 4 * found.behind + 4 * low.len() as i64 - 1;
    let number = round(value << 1 | trace, exponent);
    Some((number, number.is_finite() && number != 0.0))
}

/// Rounds `value · 2^exponent`, half to even.
fn round(value: u128, exponent: i64) -> f64 {
    let length = 128 - value.leading_zeros() as i32;
    let magnitude = exponent + i64::from(length);
    if magnitude > EXPONENT_END {
        return f64::INFINITY;
    }
    if magnitude < EXPONENT_MIN {
        return 0.0;
    }
    // Between these two all fits into 32 bits.
    let exponent = exponent as i32;
    let drop = (length - PRECISION).max(EXPONENT_MIN as i32 - exponent).max(0);
    let (kept, exponent) = (half_even(value, drop) as f64, exponent + drop);
    // The number is exact in every step, or infinite at the end.
    kept * power_of_two(exponent / 2) * power_of_two(exponent - exponent / 2)
}

/// Returns two to a power that is not among the outermost.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_numbers_as_in_c() {
        for (text, number) in [
            ("1e3", 1000.0),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("-0", -0.0),
            ("0e999", 0.0),
            ("iNf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("4e-324", f64::from_bits(1)),
            ("0x10", 16.0),
            ("-0X.8p+1", -1.0),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.00000000000008000000000000000000000000001p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x1.fffffffffffffp1023", f64::MAX),
        ] {
            let bits = parse(text.as_bytes()).map(f64::to_bits);
            assert_eq!(bits, Some(number.to_bits()), "{text}");
        }
        for text in [
            "",
            ".",
            "e5",
            "1e",
            "1x",
            " 1",
            "1 ",
            "nan",
            "-nan",
            "0x",
            "0x.",
            "0x1p",
            "+-1",
            "1\0",
            "1e400",
            "-1e400",
            "1e-400",
            "0x1p1024",
            "0x1.fffffffffffff8p1023",
            "0x1p-1075",
            "0x1p-99999",
            "infinit",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_read_more_kindly() {
        for (text, number) in [
            ("", 0.0),
            (" \t1", 1.0),
            ("1\0nonsense", 1.0),
            ("1e400", f64::INFINITY),
            ("-0x1p9999", f64::NEG_INFINITY),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse_bound(text.as_bytes()), Some(number), "{text}");
        }
        for text in [" ", "nan", "1 ", "(1"] {
            assert_eq!(parse_bound(text.as_bytes()), None, "{text}");
        }
    }
}
