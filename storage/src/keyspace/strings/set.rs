//! SET and GETEX with their options, SETEX and PSETEX.
//!
//! IFEQ is Valkey's (8.1): SET writes only if the key has the string that is expected.

use super::super::command::{Args, at, from, upper};
use super::super::expire::{ANY_TIME, Ttl, Unit, deadline};
use super::super::reply::SYNTAX;
use super::super::value::Str;
use super::super::{Reply, Writer};
use super::bulk_or_null;

/// The options of SET and GETEX. Which go together is for [`Options::parse`] to say.
#[derive(Default)]
struct Options<'a> {
    if_absent: bool,
    if_present: bool,
    if_equal: Option<&'a [u8]>,
    get: bool,
    keep_ttl: bool,
    persist: bool,
    ttl: Option<Ttl<'a>>,
}

/// The command whose options are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Set,
    Getex,
}

impl<'a> Options<'a> {
    fn parse(args: &[&'a [u8]], command: Command) -> Result<Self, Reply> {
        let is_set = command == Command::Set;
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(option) = args.next() {
            let has_ttl = options.ttl.is_some();
            match upper(option, &mut [0; 16]) {
                b"NX" if is_set && !options.if_present && options.if_equal.is_none() => {
                    options.if_absent = true;
                }
                b"XX" if is_set && !options.if_absent && options.if_equal.is_none() => {
                    options.if_present = true;
                }
                b"IFEQ" if is_set && !options.has_condition() => {
                    options.if_equal = Some(args.next().ok_or(SYNTAX)?);
                }
                b"GET" if is_set => options.get = true,
                b"KEEPTTL" if is_set && !has_ttl => options.keep_ttl = true,
                b"PERSIST" if !is_set && !has_ttl => options.persist = true,
                name => options.parse_ttl(name, args.next().copied())?,
            }
        }
        Ok(options)
    }

    fn has_condition(&self) -> bool {
        self.if_absent || self.if_present || self.if_equal.is_some()
    }

    /// Returns whether SET is to write the key as it is.
    fn allow(&self, writer: &Writer<'_>, key: &[u8]) -> Result<bool, Reply> {
        if let Some(expected) = self.if_equal {
            return Ok(writer.string(key)?.is_some_and(|string| string.as_bytes() == expected));
        }
        let exists = self.has_condition() && writer.get(key).is_some();
        Ok((!self.if_absent || !exists) && (!self.if_present || exists))
    }

    /// Reads EX, PX, EXAT or PXAT. The same one may come again, and then counts; another one may
    /// not.
    fn parse_ttl(&mut self, name: &[u8], amount: Option<&'a [u8]>) -> Result<(), Reply> {
        let (unit, is_absolute) = match name {
            b"EX" => (Unit::Seconds, false),
            b"PX" => (Unit::Milliseconds, false),
            b"EXAT" => (Unit::Seconds, true),
            b"PXAT" => (Unit::Milliseconds, true),
            _ => return Err(SYNTAX),
        };
        let amount = amount.ok_or(SYNTAX)?;
        let is_other = |ttl: &Ttl<'_>| ttl.unit != unit || ttl.is_absolute != is_absolute;
        if self.keep_ttl || self.persist || self.ttl.as_ref().is_some_and(is_other) {
            return Err(SYNTAX);
        }
        self.ttl = Some(Ttl { unit, is_absolute, amount });
        Ok(())
    }
}

/// Reads the options of SET, and the deadline that they ask for.
fn set_options<'a>(args: &[&'a [u8]], now: u64) -> Result<(Options<'a>, Option<u64>), Reply> {
    let options = Options::parse(from(args, 2), Command::Set)?;
    let deadline = options.ttl.map(|ttl| deadline(ttl, now, "set")).transpose()?;
    Ok((options, deadline))
}

pub(super) fn validate_set(args: &[&[u8]]) -> Result<(), Reply> {
    set_options(args, ANY_TIME).map(drop)
}

pub(super) fn set(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let (options, deadline) = set_options(args.from(0), writer.now)?;
    let old = if options.get { writer.string(key)?.map(Str::to_bytes) } else { None };
    let is_wanted = options.allow(writer, key)?;
    if is_wanted {
        let value = args.at(1).into();
        if options.keep_ttl {
            writer.put_keeping_deadline(key, value);
        } else {
            writer.put(key, value, deadline);
        }
    }
    Ok(match (options.get, is_wanted) {
        (true, _) => bulk_or_null(old),
        (false, true) => Reply::Ok,
        (false, false) => Reply::Null,
    })
}

/// SETEX and PSETEX, and what they differ in.
pub(super) struct SetFor {
    unit: Unit,
    name: &'static str,
}

pub(super) const SETEX: SetFor = SetFor { unit: Unit::Seconds, name: "setex" };
pub(super) const PSETEX: SetFor = SetFor { unit: Unit::Milliseconds, name: "psetex" };

impl SetFor {
    fn deadline(&self, args: &[&[u8]], now: u64) -> Result<u64, Reply> {
        let ttl = Ttl { unit: self.unit, is_absolute: false, amount: at(args, 1) };
        deadline(ttl, now, self.name)
    }

    pub(super) fn validate(&self, args: &[&[u8]]) -> Result<(), Reply> {
        self.deadline(args, ANY_TIME).map(drop)
    }

    pub(super) fn apply(&self, writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
        let deadline = self.deadline(args.from(0), writer.now)?;
        writer.put(args.at(0), args.at(2).into(), Some(deadline));
        Ok(Reply::Ok)
    }
}

/// Reads the options of GETEX. Whether its time to live is a number, Redis asks when it has found
/// the key.
fn getex_options<'a>(args: &[&'a [u8]]) -> Result<Options<'a>, Reply> {
    Options::parse(from(args, 1), Command::Getex)
}

pub(super) fn validate_getex(args: &[&[u8]]) -> Result<(), Reply> {
    getex_options(args).map(drop)
}

pub(super) fn getex(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let options = getex_options(args.from(0))?;
    let Some(value) = writer.string(key)?.map(Str::to_bytes) else { return Ok(Reply::Null) };
    if let Some(ttl) = options.ttl {
        let deadline = deadline(ttl, writer.now, "getex")?;
        writer.set_deadline(key, Some(deadline));
    } else if options.persist {
        writer.set_deadline(key, None);
    }
    Ok(Reply::Bulk(value))
}
