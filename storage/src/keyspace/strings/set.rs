//! SET and GETEX with their options, SETEX and PSETEX.

use super::super::command::Args;
use super::super::expire::{Ttl, Unit, deadline};
use super::super::reply::SYNTAX;
use super::super::value::Value;
use super::super::{Reply, Writer};
use super::bulk_or_null;

/// The options of SET and GETEX. Which go together is for [`Options::parse`] to say.
#[derive(Default)]
struct Options<'a> {
    if_absent: bool,
    if_present: bool,
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
            match option.to_ascii_uppercase().as_slice() {
                b"NX" if is_set && !options.if_present => options.if_absent = true,
                b"XX" if is_set && !options.if_absent => options.if_present = true,
                b"GET" if is_set => options.get = true,
                b"KEEPTTL" if is_set && !has_ttl => options.keep_ttl = true,
                b"PERSIST" if !is_set && !has_ttl => options.persist = true,
                name => options.parse_ttl(name, args.next().copied())?,
            }
        }
        Ok(options)
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

pub(super) fn set(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let options = Options::parse(args.from(2), Command::Set)?;
    let deadline = options.ttl.map(|ttl| deadline(ttl, writer.now, "set")).transpose()?;
    let old = if options.get { writer.string(key)?.cloned() } else { None };
    let exists = (options.if_absent || options.if_present) && writer.get(key).is_some();
    let is_wanted = (!options.if_absent || !exists) && (!options.if_present || exists);
    if is_wanted {
        let value = Value::copy_of(args.at(1));
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

pub(super) fn setex(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    set_for(writer, args, Unit::Seconds, "setex")
}

pub(super) fn psetex(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    set_for(writer, args, Unit::Milliseconds, "psetex")
}

fn set_for(
    writer: &mut Writer<'_>,
    args: &Args<'_>,
    unit: Unit,
    command: &str,
) -> Result<Reply, Reply> {
    let ttl = Ttl { unit, is_absolute: false, amount: args.at(1) };
    let deadline = deadline(ttl, writer.now, command)?;
    writer.put(args.at(0), Value::copy_of(args.at(2)), Some(deadline));
    Ok(Reply::Ok)
}

pub(super) fn getex(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let options = Options::parse(args.from(1), Command::Getex)?;
    let Some(value) = writer.string(key)?.cloned() else { return Ok(Reply::Null) };
    if let Some(ttl) = options.ttl {
        let deadline = deadline(ttl, writer.now, "getex")?;
        writer.set_deadline(key, Some(deadline));
    } else if options.persist {
        writer.set_deadline(key, None);
    }
    Ok(Reply::Bulk(value))
}
