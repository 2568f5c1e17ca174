//! Timeouts of commands that wait: seconds with a fraction, as far as Redis' `long double` tells
//! them apart.

use super::float::Extended;
use super::reply::Reply;

const MILLISECONDS: u32 = 1000;

/// Reads a timeout as whole milliseconds, rounded up; zero is for ever. What is beyond 64 bits is
/// negative to Redis, on either side.
pub(super) fn timeout_ms(text: &[u8]) -> Result<u64, Reply> {
    let not_a_float = Reply::error("ERR timeout is not a float or out of range");
    let seconds = Extended::parse(text).ok_or(not_a_float)?;
    let milliseconds = seconds.times(MILLISECONDS).and_then(|amount| amount.ceil());
    let negative = Reply::error("ERR timeout is negative");
    milliseconds.and_then(|amount| u64::try_from(amount).ok()).ok_or(negative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_milliseconds_rounded_up() {
        for (text, milliseconds) in [
            ("0", 0),
            ("-0", 0),
            ("-0.0001", 0),
            ("-0.000999", 0),
            ("0.00000001", 1),
            ("1e-4900", 1),
            ("0.001", 1),
            ("0.0010001", 2),
            ("0.1", 100),
            ("1.001", 1001),
            ("2.5", 2500),
            ("1e2", 100_000),
            ("0x10", 16_000),
            ("9223372036854775.807", i64::MAX as u64),
        ] {
            assert_eq!(timeout_ms(text.as_bytes()), Ok(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_timeout_is_named() {
        let negative = Reply::error("ERR timeout is negative");
        for text in
            ["-1", "-0.00100001", "1e19", "-1e300", "1e4932", "inf", "-inf", "9223372036854775.808"]
        {
            assert_eq!(timeout_ms(text.as_bytes()), Err(negative.clone()), "{text}");
        }
        let not_a_float = Reply::error("ERR timeout is not a float or out of range");
        for text in ["", "x", " 1", "1 ", "nan", "1e5000", "1e-5000"] {
            assert_eq!(timeout_ms(text.as_bytes()), Err(not_a_float.clone()), "{text}");
        }
    }
}
