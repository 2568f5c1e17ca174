//! What a command answers, before any protocol puts it into bytes.

use std::borrow::Cow;

use bytes::Bytes;

/// How much of a name that is unknown Redis shows.
pub const SHOWN_BYTES: usize = 128;

/// The answer to one command: the types of RESP3, of which RESP2 and JSON can say a part each.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+OK`.
    Ok,
    /// A short text that is not OK.
    Simple(&'static str),
    /// Nothing there: RESP3 `_`, RESP2 `$-1`.
    Null,
    /// Nothing where an array was to be expected: RESP3 `_`, RESP2 `*-1`.
    NullArray,
    /// A signed number.
    Integer(i64),
    /// A floating-point number: RESP3 `,`, RESP2 a bulk string.
    Double(f64),
    /// A floating-point number with all its digits up to the seventeenth behind the point, as
    /// Redis shows coordinates: RESP3 `,`, RESP2 a bulk string.
    Decimal(f64),
    /// Binary-safe bytes.
    Bulk(Bytes),
    /// Text for people: RESP3 `=txt:`, RESP2 a bulk string.
    Verbatim(Bytes),
    /// Replies in order.
    Array(Vec<Reply>),
    /// Pairs in order: RESP3 `%`, RESP2 a flat array.
    Map(Vec<(Reply, Reply)>),
    /// Pairs in order, where RESP3 has an array of arrays of two: RESP2 a flat array.
    Pairs(Vec<(Reply, Reply)>),
    /// What was found at each of some keys: RESP3 `%`, RESP2 an array of arrays of two.
    ByKey(Vec<(Reply, Reply)>),
    /// RESP3 `~`, RESP2 an array.
    Set(Vec<Reply>),
    /// An error: its code, a space, and text for people. Without the leading `-`. Bytes, since it
    /// may quote the client, who need not speak UTF-8.
    Error(Cow<'static, [u8]>),
}

impl Reply {
    /// Returns a bulk string with a copy of the bytes.
    #[must_use]
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(Bytes::copy_from_slice(bytes.as_ref()))
    }

    /// Returns an error.
    #[must_use]
    pub fn error(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Error(match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    /// Returns an error that quotes the client, byte for byte, between two texts. As in Redis,
    /// which prints C strings, a quotation ends before its first NUL.
    #[must_use]
    pub fn error_quoting(before: &str, quotation: &[u8], after: &str) -> Self {
        let quotation = until_nul(quotation);
        Self::Error([before.as_bytes(), quotation, after.as_bytes()].concat().into())
    }

    /// Returns the error for a subcommand that a container command does not have.
    #[must_use]
    pub fn unknown_subcommand(container: &str, name: &[u8]) -> Self {
        let shown = &name[..name.len().min(SHOWN_BYTES)];
        let container = container.to_ascii_uppercase();
        let after = format!("'. Try {container} HELP.");
        Self::error_quoting("ERR unknown subcommand '", shown, &after)
    }

    /// Returns the error for arguments that a subcommand does not take.
    #[must_use]
    pub fn unknown_subcommand_or_arity(container: &str, name: &[u8]) -> Self {
        let shown = &name[..name.len().min(SHOWN_BYTES)];
        let after = format!("'. Try {} HELP.", container.to_ascii_uppercase());
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        Self::error_quoting(before, shown, &after)
    }

    /// Returns the error for a number that is one, but not of 32 bits.
    #[must_use]
    pub fn beyond_32_bits() -> Self {
        Self::error(format!(
            "ERR value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        ))
    }
}

/// Returns what C would print of a text.
#[must_use]
pub fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The significant digits of a double: as many as it takes to tell any two apart.
const DIGITS: i32 = 17;

/// Returns a number as C's `%.17g` prints it, and so Redis 7.0.
#[must_use]
pub fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:.precision$e}", precision = DIGITS as usize - 1);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS).contains(&exponent) {
        let fraction = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
        return without_zeros(&format!("{value:.fraction$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(digits), exponent.unsigned_abs())
}

/// Returns a number as C's `%.17f` prints it, without zeros at the end.
#[must_use]
pub fn decimal_text(value: f64) -> String {
    let fraction = DIGITS as usize;
    match without_zeros(&format!("{value:.fraction$}")) {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// Returns a number without the zeros at the end of its fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Returns the error for a wrong number of arguments.
pub(super) fn wrong_arity(command: &str) -> Reply {
    Reply::error(format!("ERR wrong number of arguments for '{command}' command"))
}

// The errors that more than one command answers, as Redis words them.

const fn error(text: &'static str) -> Reply {
    Reply::Error(Cow::Borrowed(text.as_bytes()))
}

pub(super) const SYNTAX: Reply = error("ERR syntax error");
pub(super) const NOT_AN_INTEGER: Reply = error("ERR value is not an integer or out of range");
pub(super) const NOT_A_FLOAT: Reply = error("ERR value is not a valid float");
pub(super) const WRONG_TYPE: Reply =
    error("WRONGTYPE Operation against a key holding the wrong kind of value");
pub(super) const NO_SUCH_KEY: Reply = error("ERR no such key");
pub(super) const TOO_LONG: Reply =
    error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
