//! BITFIELD: integers of 1 to 64 bits, anywhere in a string.
//!
//! All that is asked for is read from the arguments first. What is then carried out in order never
//! fails, so that it is done wholly or not at all. A string grows to the furthest bit that may be
//! written, even if nothing is, because a value did not fit.

use super::super::command::{Args, from, upper};
use super::super::number::{integer, parse_i64};
use super::super::reply::{SYNTAX, until_nul};
use super::super::strings::MAX_VALUE_BYTES;
use super::super::value::Str;
use super::super::{Reader, Reply, Writer};
use super::{READ_BYTES_MAX, checked_place};

/// One thing that is asked for.
pub(super) struct Operation {
    field: Field,
    action: Action,
    overflow: Overflow,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// What becomes of a value that does not fit.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// Some bits that are a number.
#[derive(Clone, Copy)]
struct Field {
    is_signed: bool,
    /// 1 to 64, unsigned to 63: so that each value is an `i64`.
    bits: usize,
    /// Where the first and highest one is.
    place: usize,
}

impl Operation {
    /// Reads one operation from the front of the arguments.
    fn parse(args: &mut &[&[u8]], overflow: Overflow) -> Result<Self, Reply> {
        let [name, kind, place, rest @ ..] = args else { return Err(SYNTAX) };
        let (is_get, is_set) = match (upper(name, &mut [0; 16]), rest) {
            (b"GET", _) => (true, false),
            (b"SET", [_, ..]) => (false, true),
            (b"INCRBY", [_, ..]) => (false, false),
            _ => return Err(SYNTAX),
        };
        let field = Field::parse(kind, place)?;
        *args = rest;
        if is_get {
            return Ok(Self { field, action: Action::Get, overflow });
        }
        checked_place(i64::try_from(field.end() - 1).ok(), MAX_VALUE_BYTES)?;
        let value = integer(rest[0])?;
        *args = &rest[1..];
        let action = if is_set { Action::Set(value) } else { Action::Add(value) };
        Ok(Self { field, action, overflow })
    }

    fn is_get(&self) -> bool {
        matches!(self.action, Action::Get)
    }

    /// Returns how many bytes a string has at least when this is done.
    fn bytes(&self) -> usize {
        match self.action {
            Action::Get => 0,
            Action::Set(_) | Action::Add(_) => self.field.end().div_ceil(8),
        }
    }

    /// Returns what is to be written if anything, and the answer.
    fn outcome(&self, bytes: &[u8]) -> (Option<i64>, Reply) {
        let old = self.field.read(bytes);
        match self.action {
            Action::Get => (None, Reply::Integer(old)),
            Action::Set(value) => {
                let new = self.field.fit(self.field.widen(value), self.overflow);
                (new, new.map_or(Reply::Null, |_| Reply::Integer(old)))
            }
            Action::Add(amount) => {
                let new = self.field.fit(i128::from(old) + i128::from(amount), self.overflow);
                (new, new.map_or(Reply::Null, Reply::Integer))
            }
        }
    }

    /// Returns whether it changes a string that has all its bytes.
    fn changes(&self, bytes: &[u8]) -> bool {
        self.outcome(bytes).0.is_some_and(|new| new != self.field.read(bytes))
    }

    /// Carries it out on a string that has all its bytes.
    fn apply(&self, bytes: &mut [u8]) -> Reply {
        let (new, answer) = self.outcome(bytes);
        if let Some(new) = new {
            self.field.write(bytes, new);
        }
        answer
    }
}

impl Field {
    /// The most bytes in which a field has bits.
    const BYTES_MAX: usize = 9;

    /// Reads a type, as `i16` or `u8`, and a place: of a bit, or after `#` of a field in a row of
    /// fields.
    fn parse(kind: &[u8], place: &[u8]) -> Result<Self, Reply> {
        let text = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not \
                    supported but i64 is.";
        let (is_signed, bits_max) = match kind.first() {
            Some(b'i') => (true, 64),
            Some(b'u') => (false, 63),
            _ => return Err(Reply::error(text)),
        };
        let bits = parse_i64(until_nul(&kind[1..])).filter(|bits| (1..=bits_max).contains(bits));
        let bits = bits.ok_or(Reply::error(text))?;
        let place = match place.strip_prefix(b"#") {
            Some(number) => parse_i64(number).and_then(|number| number.checked_mul(bits)),
            None => parse_i64(place),
        };
        let place = checked_place(place, READ_BYTES_MAX)?;
        Ok(Self { is_signed, bits: usize::try_from(bits).unwrap_or(1), place })
    }

    fn end(&self) -> usize {
        self.place + self.bits
    }

    /// Returns the bytes around the field as a number, and how far it is from the lowest bit of it.
    fn window(&self, bytes: &[u8]) -> (u128, usize) {
        let mut window = [0; 16];
        let bytes = bytes.get(self.place / 8..).unwrap_or_default();
        let length = bytes.len().min(Self::BYTES_MAX);
        window[..length].copy_from_slice(&bytes[..length]);
        (u128::from_be_bytes(window), 128 - self.bits - self.place % 8)
    }

    fn read(&self, bytes: &[u8]) -> i64 {
        let (window, shift) = self.window(bytes);
        self.wrap((window >> shift) as u64)
    }

    fn write(&self, bytes: &mut [u8], value: i64) {
        let (window, shift) = self.window(bytes);
        let mask = (u128::MAX >> (128 - self.bits)) << shift;
        let new = window & !mask | (value as u128) << shift & mask;
        let place = self.place / 8..self.end().div_ceil(8);
        let length = place.len();
        bytes[place].copy_from_slice(&new.to_be_bytes()[..length]);
    }

    /// Returns what the lowest bits of a number are as a value of the field.
    fn wrap(&self, value: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.is_signed {
            ((value << unused) as i64) >> unused
        } else {
            (value << unused >> unused) as i64
        }
    }

    fn min(&self) -> i128 {
        if self.is_signed { -1 << (self.bits - 1) } else { 0 }
    }

    fn max(&self) -> i128 {
        (1 << (self.bits - usize::from(self.is_signed))) - 1
    }

    /// Returns a number that is to be the value. Where there is no sign, a negative one is a large
    /// one. Where there is one, Redis takes the same of a number that is further below the highest
    /// value than 64 bits can tell.
    fn widen(&self, value: i64) -> i128 {
        let is_far = self.bits < 64 && self.max() - i128::from(value) > i128::from(i64::MAX);
        if self.is_signed && !is_far { value.into() } else { (value as u64).into() }
    }

    /// Returns a number as a value of the field, if it has one.
    fn fit(&self, value: i128, overflow: Overflow) -> Option<i64> {
        let fitting = value.clamp(self.min(), self.max());
        match overflow {
            _ if fitting == value => i64::try_from(value).ok(),
            Overflow::Wrap => Some(self.wrap(value as u64)),
            Overflow::Saturate => i64::try_from(fitting).ok(),
            Overflow::Fail => None,
        }
    }
}

/// Reads all that BITFIELD is asked for.
pub(super) fn operations(args: &[&[u8]]) -> Result<Vec<Operation>, Reply> {
    let mut args = from(args, 1);
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    while !args.is_empty() {
        match args {
            [name, kind, rest @ ..] if name.eq_ignore_ascii_case(b"overflow") => {
                overflow = match upper(kind, &mut [0; 16]) {
                    b"WRAP" => Overflow::Wrap,
                    b"SAT" => Overflow::Saturate,
                    b"FAIL" => Overflow::Fail,
                    _ => return Err(Reply::error("ERR Invalid OVERFLOW type specified")),
                };
                args = rest;
            }
            _ => operations.push(Operation::parse(&mut args, overflow)?),
        }
    }
    Ok(operations)
}

/// Returns whether BITFIELD is asked for nothing that BITFIELD_RO does not do.
pub(super) fn only_gets(args: &[&[u8]]) -> bool {
    operations(args).is_ok_and(|operations| operations.iter().all(Operation::is_get))
}

pub(super) fn bitfield(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let operations = operations(args.from(0))?;
    let length = operations.iter().map(Operation::bytes).max().unwrap_or(0);
    let bytes = writer.string(key)?.map_or(&[][..], Str::as_bytes);
    // Up to the first one that changes the string, all see it as it is.
    let is_write = length > bytes.len() || operations.iter().any(|one| one.changes(bytes));
    if !is_write {
        return Ok(answers(&operations, bytes));
    }
    let mut answers = Vec::new();
    writer.edit_str(key, |bytes| {
        bytes.resize(bytes.len().max(length), 0);
        answers = operations.iter().map(|one| one.apply(bytes)).collect();
    });
    Ok(Reply::Array(answers))
}

pub(super) fn bitfield_ro(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let operations = operations(args.from(0))?;
    if !operations.iter().all(Operation::is_get) {
        return Err(Reply::error("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    let bytes = reader.string(args.at(0))?.map_or(&[][..], Str::as_bytes);
    Ok(answers(&operations, bytes))
}

/// Returns the answers of operations that change nothing.
fn answers(operations: &[Operation], bytes: &[u8]) -> Reply {
    Reply::Array(operations.iter().map(|one| one.outcome(bytes).1).collect())
}
