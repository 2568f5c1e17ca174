//! Where a request ends: the only code that meets bytes nobody has checked.
//!
//! A request is an inline line or a flat array of bulk strings; nothing nests, so nothing recurses.
//! The scanner is fed the same buffer again and again as it grows, remembers how far it got, and
//! looks at each byte once. It reserves memory for what has arrived, never for what a length
//! announces, and judges every limit as soon as the bytes that break it are there.

use std::ops::Range;

use raftkv_storage::keyspace::Reply;

/// How long a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Arguments of one request, the command's name among them.
    pub args: usize,
    /// Bytes of one argument.
    pub bulk_bytes: usize,
    /// Bytes of one request as it was sent.
    pub request_bytes: usize,
    /// Bytes of an inline request, and of a line that announces a length.
    pub inline_bytes: usize,
}

/// Why a connection cannot go on: after this nobody knows where the next request would begin.
///
/// The texts are the ones Redis uses, where Redis has the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line of 64 KiB without an end.
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// A line that no text protocol would send.
    #[error("Protocol error: NUL in inline request")]
    InlineNul,
    /// Quotes that do not match, or that are followed by something else than a space.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// A count line without an end.
    #[error("Protocol error: too big mbulk count string")]
    CountTooBig,
    /// Not a number, or more arguments than are allowed.
    #[error("Protocol error: invalid multibulk length")]
    InvalidCount,
    /// An argument that is no bulk string.
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    ExpectedBulk(u8),
    /// A length line without an end.
    #[error("Protocol error: too big bulk count string")]
    LengthTooBig,
    /// Not a number, negative, or more bytes than are allowed.
    #[error("Protocol error: invalid bulk length")]
    InvalidLength,
    /// An argument that does not end where it said it would.
    #[error("Protocol error: expected CRLF after bulk string")]
    ExpectedEnd,
    /// All arguments together exceed the limit.
    #[error("Protocol error: too big request")]
    RequestTooBig,
}

impl ProtocolError {
    /// Returns what the client is told. As in Redis, a byte that should not be there comes back as
    /// it came; only in our own log it is escaped.
    #[must_use]
    pub fn reply(self) -> Reply {
        match self {
            Self::ExpectedBulk(byte) => {
                let text = [b"ERR Protocol error: expected '$', got '", &[byte][..], b"'"].concat();
                Reply::Error(text.into())
            }
            other => Reply::error(format!("ERR {other}")),
        }
    }
}

/// A complete request at the start of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// An array: its arguments are [`Scanner::arguments`], perhaps none. So many bytes long.
    Array(usize),
    /// An inline line. So many bytes long, with its end.
    Inline(usize),
}

/// Finds the end of one request after the other. Owned by a connection.
#[derive(Debug)]
pub struct Scanner {
    limits: Limits,
    /// Everything before this byte of the request has been understood.
    position: usize,
    /// From `position`, so many bytes are known to hold no end of line.
    searched: usize,
    state: State,
    arguments: Vec<Range<u32>>,
}

/// Lists of arguments up to this capacity are kept from one request to the next.
const LIST_CAPACITY_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a request.
    Start,
    /// So many arguments are still to come.
    Length { missing: usize },
    /// In an argument of so many bytes; after it so many are still to come.
    Content { length: usize, missing: usize },
}

impl Scanner {
    /// Returns a scanner that stands before a request.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        assert!(
            u32::try_from(limits.request_bytes).is_ok(),
            "positions within a request are held in 32 bits"
        );
        Self { limits, position: 0, searched: 0, state: State::Start, arguments: Vec::new() }
    }

    /// Returns the request at the start of `bytes`, or `None` if its end has not arrived.
    ///
    /// After `None` the caller comes again with the same bytes and more; after a request, with the
    /// bytes that follow it.
    ///
    /// # Errors
    ///
    /// A [`ProtocolError`] ends the connection.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<Request>, ProtocolError> {
        loop {
            let request = match self.state {
                State::Start => match bytes.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        let Some(count) = self.count(bytes)? else { return Ok(None) };
                        self.arguments.clear();
                        // Redis takes an empty or negative array for nothing said.
                        if count > 0 {
                            self.state = State::Length { missing: count };
                            continue;
                        }
                        Request::Array(self.position)
                    }
                    Some(_) => {
                        let Some(length) = self.inline(bytes)? else { return Ok(None) };
                        Request::Inline(length)
                    }
                },
                State::Length { missing } => {
                    let Some(length) = self.length(bytes)? else { return Ok(None) };
                    self.state = State::Content { length, missing: missing - 1 };
                    continue;
                }
                State::Content { length, missing } => {
                    if !self.content(bytes, length)? {
                        return Ok(None);
                    }
                    if missing > 0 {
                        self.state = State::Length { missing };
                        continue;
                    }
                    Request::Array(self.position)
                }
            };
            (self.position, self.searched, self.state) = (0, 0, State::Start);
            return Ok(Some(request));
        }
    }

    /// Returns where the arguments of the last array are, counted from its first byte.
    #[must_use]
    pub fn arguments(&self) -> &[Range<u32>] {
        &self.arguments
    }

    /// Hands out the list of [`Scanner::arguments`], to be used while the scanner cannot be
    /// borrowed.
    #[must_use]
    pub fn take_arguments(&mut self) -> Vec<Range<u32>> {
        std::mem::take(&mut self.arguments)
    }

    /// Takes a list back, so that the next request needs no new one; an unusually long one is let
    /// go.
    pub fn put_arguments(&mut self, mut list: Vec<Range<u32>>) {
        if self.state == State::Start && list.capacity() <= LIST_CAPACITY_MAX {
            list.clear();
            self.arguments = list;
        }
    }

    /// Reads `*<count>\r\n`.
    fn count(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some(end) = self.line(bytes, ProtocolError::CountTooBig)? else { return Ok(None) };
        let count = bytes.get(1..end).and_then(integer).ok_or(ProtocolError::InvalidCount)?;
        let count = usize::try_from(count.max(0)).map_err(|_| ProtocolError::InvalidCount)?;
        if count > self.limits.args || bytes[end + 1] != b'\n' {
            return Err(ProtocolError::InvalidCount);
        }
        self.advance(end + 2)?;
        Ok(Some(count))
    }

    /// Reads `$<length>\r\n`.
    fn length(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        match bytes.get(self.position) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
        }
        let start = self.position + 1;
        let Some(end) = self.line(bytes, ProtocolError::LengthTooBig)? else { return Ok(None) };
        let length = bytes.get(start..end).and_then(integer).ok_or(ProtocolError::InvalidLength)?;
        let length = usize::try_from(length).map_err(|_| ProtocolError::InvalidLength)?;
        if length > self.limits.bulk_bytes || bytes[end + 1] != b'\n' {
            return Err(ProtocolError::InvalidLength);
        }
        self.advance(end + 2)?;
        // What was announced is refused before any of it is waited for.
        if self.position + length + 2 > self.limits.request_bytes {
            return Err(ProtocolError::RequestTooBig);
        }
        Ok(Some(length))
    }

    /// Passes over an argument and the line end behind it; false if they have not all arrived.
    fn content(&mut self, bytes: &[u8], length: usize) -> Result<bool, ProtocolError> {
        let end = self.position + length;
        match (bytes.get(end), bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => {}
            (Some(b'\r') | None, None) => return Ok(false),
            _ => return Err(ProtocolError::ExpectedEnd),
        }
        self.arguments.push(narrow(self.position)..narrow(end));
        self.advance(end + 2)?;
        Ok(true)
    }

    /// Returns where the line that begins at `position` has its `\r`, once the byte after it has
    /// arrived too.
    fn line(
        &mut self,
        bytes: &[u8],
        too_big: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let unseen = &bytes[self.position + self.searched..];
        let found = unseen.iter().position(|byte| *byte == b'\r');
        self.searched += found.unwrap_or(unseen.len());
        if self.searched > self.limits.inline_bytes {
            return Err(too_big);
        }
        let end = self.position + self.searched;
        Ok(found.filter(|_| end + 1 < bytes.len()).map(|_| end))
    }

    /// Returns how long the inline request is, with its line end.
    fn inline(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let unseen = &bytes[self.searched..];
        let found = unseen.iter().position(|byte| matches!(byte, b'\n' | 0));
        self.searched += found.unwrap_or(unseen.len());
        if self.searched > self.limits.inline_bytes {
            return Err(ProtocolError::InlineTooBig);
        }
        match found.map(|_| bytes[self.searched]) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(self.searched + 1)),
            Some(_) => Err(ProtocolError::InlineNul),
        }
    }

    fn advance(&mut self, position: usize) -> Result<(), ProtocolError> {
        if position > self.limits.request_bytes {
            return Err(ProtocolError::RequestTooBig);
        }
        (self.position, self.searched) = (position, 0);
        Ok(())
    }
}

fn narrow(position: usize) -> u32 {
    u32::try_from(position).expect("positions stay below request_bytes, which fits: see new()")
}

/// Reads a decimal number as strictly as Redis does: no plus, no leading zeros, no spaces.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    // One digit is by far the most usual length.
    if let [digit @ b'0'..=b'9'] = text {
        return Some(i64::from(digit - b'0'));
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let negative = digits.len() < text.len();
    let mut value = 0_i64;
    for digit in digits {
        let digit = i64::from(match digit {
            b'0'..=b'9' => digit - b'0',
            _ => return None,
        });
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}
