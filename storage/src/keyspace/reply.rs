//! What a command answers, before any protocol puts it into bytes.

use std::borrow::Cow;

use bytes::Bytes;

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
    /// Binary-safe bytes.
    Bulk(Bytes),
    /// Text for people: RESP3 `=txt:`, RESP2 a bulk string.
    Verbatim(Bytes),
    /// Replies in order.
    Array(Vec<Reply>),
    /// Pairs in order: RESP3 `%`, RESP2 a flat array.
    Map(Vec<(Reply, Reply)>),
    /// RESP3 `~`, RESP2 an array.
    Set(Vec<Reply>),
    /// An error: its code, a space, and text for people. Without the leading `-`.
    Error(Cow<'static, str>),
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
        Self::Error(text.into())
    }
}

// The errors that more than one command answers, as Redis words them.

const fn error(text: &'static str) -> Reply {
    Reply::Error(Cow::Borrowed(text))
}

pub(super) const SYNTAX: Reply = error("ERR syntax error");
pub(super) const NOT_AN_INTEGER: Reply = error("ERR value is not an integer or out of range");
pub(super) const NO_SUCH_KEY: Reply = error("ERR no such key");
pub(super) const TOO_LONG: Reply =
    error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
