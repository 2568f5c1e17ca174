//! How long a command may wait.

use super::float::Extended;
use super::reply::Reply;

/// Milliseconds that are kept free for the present to be added, some thousand years of them.
const PRESENT_MAX_MS: i64 = 1 << 45;

/// Reads a time to wait, in seconds, with a fraction if need be. Zero is for ever; what is less
/// than a millisecond is one.
pub(super) fn timeout_ms(text: &[u8]) -> Result<u64, Reply> {
    let not_a_float = Reply::error("ERR timeout is not a float or out of range");
    let seconds = Extended::parse(text).ok_or(not_a_float)?;
    let is_negative = text.starts_with(b"-");
    match seconds.thousandfold() {
        Some(0) => Ok(0),
        Some(_) | None if is_negative => Err(Reply::error("ERR timeout is negative")),
        Some(time @ 0..) if time <= i64::MAX - PRESENT_MAX_MS => Ok(time.unsigned_abs()),
        _ => Err(Reply::error("ERR timeout is out of range")),
    }
}
