//! Replies as bytes, in RESP2 or RESP3.
//!
//! A reply may be far larger than what a reader who does not read may cost: `MGET` of a thousand
//! values of 8 MiB is a thousand pointers here and gigabytes on the wire. So an aggregate is
//! encoded step by step, with the socket between the steps, and a large value is never copied at
//! all.
//!
//! The replies that matter for speed are written by hand; so are null arrays and the heads of
//! aggregates, which `redis_protocol` either cannot say or can only say of a tree that is complete
//! in memory; and doubles, which have to look as Redis prints them. It writes verbatim strings. Of
//! what it writes only as much is kept as it says it wrote: it reserves a byte too many for some.

use std::vec;

use bytes::{Bytes, BytesMut};
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::reply::{decimal_text, double_text};
use redis_protocol::resp3::encode::complete::extend_encode_borrowed;
use redis_protocol::resp3::types::{BorrowedFrame, VerbatimStringFormat};

/// What a client has asked for with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every connection begins with.
    #[default]
    Resp2,
    /// With maps, sets, doubles, and one null.
    Resp3,
}

/// Values from this size on are sent from where they are.
const LARGE_BYTES: usize = 32 * 1024;

/// Replies on their way out. Owned by a connection; empty between two batches.
#[derive(Debug, Default)]
pub struct Encoder {
    /// What is still to be encoded, innermost last. Our own replies nest a few levels deep.
    pending: Vec<Pending>,
}

#[derive(Debug)]
enum Pending {
    One(Reply),
    Items(vec::IntoIter<Reply>),
    Pairs(vec::IntoIter<(Reply, Reply)>),
    LineEnd,
}

/// What an encoder needs next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the reply is complete.
    Done,
    /// The buffer is as full as it may be: it is to be sent, then more.
    Full,
    /// These bytes are to be sent after the buffer, then more.
    Large(Bytes),
}

impl Encoder {
    /// Encodes a reply at the end of `out`, until `out` holds about `limit` bytes.
    pub fn start(
        &mut self,
        reply: Reply,
        protocol: Protocol,
        out: &mut BytesMut,
        limit: usize,
    ) -> Step {
        assert!(self.pending.is_empty(), "one reply is complete before the next one begins");
        match self.encode(reply, protocol, out) {
            None if self.pending.is_empty() => Step::Done,
            None => self.resume(protocol, out, limit),
            Some(large) => Step::Large(large),
        }
    }

    /// Goes on after [`Step::Full`] or [`Step::Large`].
    pub fn resume(&mut self, protocol: Protocol, out: &mut BytesMut, limit: usize) -> Step {
        while let Some(innermost) = self.pending.last_mut() {
            if out.len() >= limit {
                return Step::Full;
            }
            let next = match innermost {
                Pending::Items(items) => items.next(),
                Pending::Pairs(pairs) => pairs.next().map(|(key, value)| {
                    self.pending.push(Pending::One(value));
                    key
                }),
                Pending::One(_) | Pending::LineEnd => match self.pending.pop() {
                    Some(Pending::One(reply)) => Some(reply),
                    _ => {
                        out.extend_from_slice(b"\r\n");
                        continue;
                    }
                },
            };
            let Some(reply) = next else {
                self.pending.pop();
                continue;
            };
            if let Some(large) = self.encode(reply, protocol, out) {
                return Step::Large(large);
            }
        }
        Step::Done
    }

    /// Encodes a plain reply, or the head of one with parts; returns what is too large to be
    /// copied.
    fn encode(&mut self, reply: Reply, protocol: Protocol, out: &mut BytesMut) -> Option<Bytes> {
        let resp3 = protocol == Protocol::Resp3;
        match reply {
            Reply::Ok => out.extend_from_slice(b"+OK\r\n"),
            Reply::Simple(text) => line(b'+', text.as_bytes(), out),
            Reply::Integer(value) => number(b':', value, out),
            Reply::Null | Reply::NullArray if resp3 => out.extend_from_slice(b"_\r\n"),
            Reply::Null => out.extend_from_slice(b"$-1\r\n"),
            Reply::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Reply::Bulk(bytes) => return self.bulk(bytes, out),
            Reply::Verbatim(bytes) if resp3 => verbatim(&bytes, out),
            Reply::Verbatim(bytes) => return self.bulk(bytes, out),
            Reply::Double(value) if resp3 => line(b',', double_text(value).as_bytes(), out),
            Reply::Double(value) => bulk(double_text(value).as_bytes(), out),
            Reply::Decimal(value) if resp3 => line(b',', decimal_text(value).as_bytes(), out),
            Reply::Decimal(value) => bulk(decimal_text(value).as_bytes(), out),
            Reply::Error(text) => error(&text, out),
            Reply::Array(items) => self.items(b'*', items, out),
            Reply::Set(items) => self.items(if resp3 { b'~' } else { b'*' }, items, out),
            Reply::ByKey(pairs) if !resp3 => {
                let each = |(key, found)| Reply::Array(vec![key, found]);
                self.items(b'*', pairs.into_iter().map(each).collect(), out);
            }
            Reply::Map(pairs) | Reply::ByKey(pairs) => {
                let (kind, parts) = if resp3 { (b'%', 1) } else { (b'*', 2) };
                length(kind, pairs.len() * parts, out);
                self.pending.push(Pending::Pairs(pairs.into_iter()));
            }
            Reply::Pairs(pairs) if resp3 => {
                let each = |(first, second)| Reply::Array(vec![first, second]);
                self.items(b'*', pairs.into_iter().map(each).collect(), out);
            }
            Reply::Pairs(pairs) => {
                length(b'*', pairs.len() * 2, out);
                self.pending.push(Pending::Pairs(pairs.into_iter()));
            }
        }
        None
    }

    fn items(&mut self, kind: u8, items: Vec<Reply>, out: &mut BytesMut) {
        length(kind, items.len(), out);
        self.pending.push(Pending::Items(items.into_iter()));
    }

    fn bulk(&mut self, bytes: Bytes, out: &mut BytesMut) -> Option<Bytes> {
        if bytes.len() < LARGE_BYTES {
            bulk(&bytes, out);
            return None;
        }
        length(b'$', bytes.len(), out);
        self.pending.push(Pending::LineEnd);
        Some(bytes)
    }
}

/// Encodes a reply that is known to be small, all of it.
pub fn encode(reply: Reply, protocol: Protocol, out: &mut BytesMut) {
    let mut encoder = Encoder::default();
    let mut step = encoder.start(reply, protocol, out, usize::MAX);
    while let Step::Large(bytes) = step {
        out.extend_from_slice(&bytes);
        step = encoder.resume(protocol, out, usize::MAX);
    }
    assert_eq!(step, Step::Done, "only a limit makes an encoder stop");
}

/// Encodes an error. A line end inside would look like the end of the reply: as in Redis it becomes
/// blanks, or nothing where the text ends anyway.
pub fn error(text: &[u8], out: &mut BytesMut) {
    let is_line_end = |byte: &u8| matches!(*byte, b'\r' | b'\n');
    let length = text.iter().rposition(|byte| !is_line_end(byte)).map_or(0, |last| last + 1);
    out.extend_from_slice(b"-");
    let start = out.len();
    out.extend_from_slice(&text[..length]);
    for byte in &mut out[start..] {
        if is_line_end(byte) {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn line(kind: u8, text: &[u8], out: &mut BytesMut) {
    out.reserve(text.len() + 3);
    out.extend_from_slice(&[kind]);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn number(kind: u8, value: i64, out: &mut BytesMut) {
    line(kind, itoa::Buffer::new().format(value).as_bytes(), out);
}

pub(super) fn length(kind: u8, value: usize, out: &mut BytesMut) {
    line(kind, itoa::Buffer::new().format(value).as_bytes(), out);
}

pub(super) fn bulk(bytes: &[u8], out: &mut BytesMut) {
    out.reserve(bytes.len() + 16);
    length(b'$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn verbatim(data: &[u8], out: &mut BytesMut) {
    let format = VerbatimStringFormat::Text;
    foreign(&BorrowedFrame::VerbatimString { data, format, attributes: None }, out);
}

/// Has `redis_protocol` encode a frame, and keeps what it says it wrote.
fn foreign(frame: &BorrowedFrame<'_>, out: &mut BytesMut) {
    let start = out.len();
    let end = extend_encode_borrowed(out, frame, false)
        .expect("encoding into a buffer that grows cannot fail");
    assert!(start < end && end <= out.len(), "the encoder returns where it stopped");
    out.truncate(end);
}
