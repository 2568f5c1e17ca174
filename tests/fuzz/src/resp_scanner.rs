//! The scanner of requests against `redis_protocol`, and against itself in other pieces.
//!
//! The first byte says how many pieces there are, the next ones how long they are, in turns; the
//! rest is what a client sends.

use std::ops::Range;

use raftkv_frontends::resp::inline;
use raftkv_frontends::resp::scanner::{Limits, ProtocolError, Request, Scanner};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

use super::input::Input;

/// So low that short inputs reach them.
const LIMITS: Limits = Limits { args: 20, bulk_bytes: 90, request_bytes: 300, inline_bytes: 60 };

/// What a scanner makes of all bytes: the requests, the bytes each takes, and how it ends.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scanned {
    requests: Vec<(Vec<Vec<u8>>, usize)>,
    error: Option<ProtocolError>,
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let pieces: Vec<usize> = (0..input.below(8)).map(|_| 1 + input.below(40)).collect();
    let sent = input.rest();

    let whole = scan(sent, &[sent.len()]);
    assert_eq!(scan(sent, &pieces), whole, "pieces read as the whole");
    assert_eq!(scan(sent, &[1]), whole, "single bytes read as the whole");
    let mut start = 0;
    for (words, length) in &whole.requests {
        check(&sent[start..], words, *length);
        start += length;
    }
    must_go_on(&sent[start..], whole.error);
}

/// Feeds pieces of these lengths, in turns, as a connection does: what was understood goes.
fn scan(sent: &[u8], pieces: &[usize]) -> Scanned {
    let mut scanner = Scanner::new(LIMITS);
    let mut scanned = Scanned::default();
    let mut pieces = pieces.iter().cycle();
    let (mut start, mut end) = (0, 0);
    while end < sent.len() && scanned.error.is_none() {
        end = (end + pieces.next().unwrap_or(&sent.len())).min(sent.len());
        loop {
            match next(&mut scanner, &sent[start..end]) {
                Ok(None) => break,
                Ok(Some((words, length))) => {
                    scanned.requests.push((words, length));
                    start += length;
                }
                Err(error) => {
                    scanned.error = Some(error);
                    break;
                }
            }
        }
    }
    // An argument takes six bytes and more, and a list doubles.
    let reserved = scanner.take_arguments().capacity();
    assert!(reserved <= 4 + sent.len() / 3, "{reserved} arguments for {} bytes", sent.len());
    scanned
}

type Words = Vec<Vec<u8>>;

/// Returns the next request: its words, and how long it is.
fn next(scanner: &mut Scanner, bytes: &[u8]) -> Result<Option<(Words, usize)>, ProtocolError> {
    match scanner.scan(bytes)? {
        None => Ok(None),
        Some(Request::Inline(length)) => Ok(Some((inline::split(&bytes[..length])?, length))),
        Some(Request::Array(length)) => {
            let at = |range: &Range<u32>| bytes[range.start as usize..range.end as usize].to_vec();
            let list = scanner.take_arguments();
            let words = list.iter().map(at).collect();
            scanner.put_arguments(list);
            Ok(Some((words, length)))
        }
    }
}

/// A request that was taken is what others read in the same bytes.
fn check(bytes: &[u8], words: &Words, length: usize) {
    assert!(length <= LIMITS.request_bytes && words.iter().all(|word| word.len() < length));
    if bytes[0] != b'*' {
        let line: Vec<u8> = words.iter().flat_map(|word| quoted(word)).collect();
        assert_eq!(inline::split(&line).as_ref(), Ok(words), "quoted, it reads as it did");
    } else if !words.is_empty() {
        assert_eq!(foreign(bytes), Some((words.clone(), length)), "redis_protocol reads the same");
    }
}

/// What was not taken is no request, or too long for one.
fn must_go_on(rest: &[u8], error: Option<ProtocolError>) {
    let Some((words, length)) = foreign(rest) else { return };
    // It takes numbers with a plus or with leading zeros, too.
    if words.is_empty() || encode(&words) != rest[..length] {
        return;
    }
    let fits = words.len() <= LIMITS.args
        && words.iter().all(|word| word.len() <= LIMITS.bulk_bytes)
        && length <= LIMITS.request_bytes;
    assert!(!fits && error.is_some(), "{} is not taken: {error:?}", rest.escape_ascii());
}

/// Reads a request with `redis_protocol`, if it is a flat array of bulk strings.
fn foreign(bytes: &[u8]) -> Option<(Words, usize)> {
    let (frame, length) = decode_range(bytes).ok()??;
    let RangeFrame::Array(items) = frame else { return None };
    let word = |item| match item {
        RangeFrame::BulkString((start, end)) => Some(bytes[start..end].to_vec()),
        _ => None,
    };
    Some((items.into_iter().map(word).collect::<Option<_>>()?, length))
}

fn encode(words: &Words) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend([word, &b"\r\n"[..]].concat());
    }
    bytes
}

/// Writes a word so that every byte of it is an escape.
fn quoted(word: &[u8]) -> Vec<u8> {
    let escapes: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("\"{escapes}\" ").into_bytes()
}
