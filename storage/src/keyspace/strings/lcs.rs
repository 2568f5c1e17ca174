//! LCS: the longest common subsequence of two values.
//!
//! The textbook table of lengths is only needed a row at a time; the way back through it needs one
//! bit for each cell: whether the better neighbour was the one above. So memory is a bit where
//! Redis takes four bytes, with the same limit on the table, and the same choices on the way back.

use super::super::command::{Args, upper};
use super::super::number::{self, integer};
use super::super::reply::SYNTAX;
use super::super::value::Str;
use super::super::{Reader, Reply};

#[derive(Default)]
struct Options {
    length: bool,
    matches: bool,
    with_match_length: bool,
    match_length_min: usize,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(option) = args.next() {
            match upper(option, &mut [0; 16]) {
                b"LEN" => options.length = true,
                b"IDX" => options.matches = true,
                b"WITHMATCHLEN" => options.with_match_length = true,
                b"MINMATCHLEN" => {
                    let least = integer(args.next().ok_or(SYNTAX)?)?;
                    options.match_length_min = usize::try_from(least).unwrap_or(0);
                }
                _ => return Err(SYNTAX),
            }
        }
        if options.length && options.matches {
            let text = "ERR If you want both the length and indexes, please just use IDX.";
            return Err(Reply::error(text));
        }
        Ok(options)
    }
}

/// The most bytes of the table of 32-bit lengths. Redis limits the same table, by
/// `proto-max-bulk-len`.
const TABLE_BYTES_MAX: u128 = 512 << 20;

pub(super) fn lcs(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let string = |key| {
        let text = "ERR The specified keys must contain string values";
        reader.string(key).map_err(|_| Reply::error(text))
    };
    let (a, b) = (string(args.at(0))?, string(args.at(1))?);
    let (a, b) = (a.map_or(&[][..], Str::as_bytes), b.map_or(&[][..], Str::as_bytes));
    let options = Options::parse(args.from(2))?;

    let cells = (a.len() as u128 + 1) * (b.len() as u128 + 1);
    if cells * 4 > TABLE_BYTES_MAX {
        let text = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        return Err(Reply::error(text));
    }
    let table = Table::new(a, b);
    if options.length {
        return Ok(number::reply(table.length));
    }
    if !options.matches {
        return Ok(Reply::bulk(table.subsequence(a, b)));
    }
    let matches = table.matches(a, b).into_iter();
    let matches = matches
        .filter(|found| found.length >= options.match_length_min)
        .map(|found| found.reply(options.with_match_length))
        .collect();
    Ok(Reply::Map(vec![
        (Reply::bulk("matches"), Reply::Array(matches)),
        (Reply::bulk("len"), number::reply(table.length)),
    ]))
}

/// What is kept of the table of lengths.
struct Table {
    /// For each pair of bytes that differ: whether leaving out the one of `a` keeps the longer
    /// subsequence.
    up: Vec<u64>,
    width: usize,
    length: u32,
}

impl Table {
    fn new(a: &[u8], b: &[u8]) -> Self {
        let width = b.len();
        let mut up = vec![0u64; (a.len() * width).div_ceil(64)];
        let mut above = vec![0u32; width + 1];
        let mut row = vec![0u32; width + 1];
        for (i, byte) in a.iter().enumerate() {
            for j in 0..width {
                row[j + 1] = if *byte == b[j] {
                    above[j] + 1
                } else {
                    let cell = i * width + j;
                    up[cell / 64] |= u64::from(above[j + 1] > row[j]) << (cell % 64);
                    above[j + 1].max(row[j])
                };
            }
            std::mem::swap(&mut above, &mut row);
        }
        Self { up, width, length: above[width] }
    }

    /// Walks back from the end, and calls `found` with each pair of equal bytes on the way.
    fn walk(&self, a: &[u8], b: &[u8], mut found: impl FnMut(usize, usize)) {
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            let cell = (i - 1) * self.width + j - 1;
            if a[i - 1] == b[j - 1] {
                found(i - 1, j - 1);
                i -= 1;
                j -= 1;
            } else if self.up[cell / 64] >> (cell % 64) & 1 == 1 {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }

    fn subsequence(&self, a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.walk(a, b, |i, _| bytes.push(a[i]));
        bytes.reverse();
        bytes
    }

    /// Returns the ranges that match, the last one first.
    fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        self.walk(a, b, |i, j| match matches.last_mut() {
            Some(last) if last.a == i + 1 && last.b == j + 1 => {
                last.a = i;
                last.b = j;
                last.length += 1;
            }
            _ => matches.push(Match { a: i, b: j, length: 1 }),
        });
        matches
    }
}

/// Where the same bytes are in both values.
struct Match {
    a: usize,
    b: usize,
    length: usize,
}

impl Match {
    fn reply(&self, with_length: bool) -> Reply {
        let range = |start: usize| {
            let end = start + self.length - 1;
            Reply::Array(vec![number::reply(start), number::reply(end)])
        };
        let mut reply = vec![range(self.a), range(self.b)];
        if with_length {
            reply.push(number::reply(self.length));
        }
        Reply::Array(reply)
    }
}
