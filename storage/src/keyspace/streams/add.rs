//! XADD and XTRIM.

use super::super::command::{Args, at, from, upper};
use super::super::number::{self, integer};
use super::super::reply::{SYNTAX, wrong_arity};
use super::super::{Reply, Writer};
use super::Stream;
use super::id::{self, Asked, Id};
use super::trim::{NODE_ENTRIES, Stay, Trim};

/// The most entries that go with `~` unless told otherwise: Redis' hundred nodes.
const ABOUT_MAX: usize = 100 * NODE_ENTRIES;

/// What XADD is asked for.
pub(super) struct Added<'s, 'a> {
    /// Whether there has to be a stream already.
    no_stream: bool,
    trim: Option<Trim>,
    id: Asked,
    /// Fields and values in turn.
    fields: &'s [&'a [u8]],
}

/// The options of XADD and XTRIM, as far as they have been read.
#[derive(Default)]
struct Options {
    no_stream: bool,
    stay: Option<Stay>,
    is_about: bool,
    limit: Option<i64>,
}

impl Options {
    /// Reads one option at a place, and returns where the next is; `None` if there is none here.
    fn read(&mut self, args: &[&[u8]], place: usize) -> Result<Option<usize>, Reply> {
        let values = from(args, place + 1);
        match upper(at(args, place), &mut [0; 16]) {
            name @ (b"MAXLEN" | b"MINID") if !values.is_empty() => {
                if self.stay.is_some() {
                    return Err(Reply::error(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not \
                         compatible",
                    ));
                }
                let signs = match values {
                    [sign @ (b"~" | b"="), _, ..] => {
                        self.is_about = *sign == b"~";
                        1
                    }
                    _ => 0,
                };
                self.stay = Some(stay(name == b"MAXLEN", values[signs])?);
                Ok(Some(place + signs + 2))
            }
            b"LIMIT" if !values.is_empty() => {
                let limit = integer(values[0])?;
                if limit < 0 {
                    return Err(Reply::error("ERR The LIMIT argument must be >= 0."));
                }
                self.limit = Some(limit);
                Ok(Some(place + 2))
            }
            _ => Ok(None),
        }
    }

    /// Returns how to trim, when all has been read.
    fn trim(&self, is_required: bool) -> Result<Option<Trim>, Reply> {
        let error = |text: &str| Err(Reply::error(format!("ERR syntax error, {text}")));
        if self.stay.is_none() && self.limit.is_some_and(|limit| limit > 0) {
            return error("LIMIT cannot be used without specifying a trimming strategy");
        }
        if self.stay.is_none() && is_required {
            return error("XTRIM must be called with a trimming strategy");
        }
        if self.limit.is_some() && !self.is_about {
            return error("LIMIT cannot be used without the special ~ option");
        }
        let most = match self.limit {
            None => ABOUT_MAX,
            // No limit.
            Some(0) => usize::MAX,
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        Ok(self.stay.map(|stay| Trim { stay, about: self.is_about.then_some(most) }))
    }
}

fn stay(is_length: bool, text: &[u8]) -> Result<Stay, Reply> {
    if !is_length {
        return id::parse(text, 0).map(Stay::From);
    }
    match u64::try_from(integer(text)?) {
        Ok(length) => Ok(Stay::Newest(length)),
        Err(_) => Err(Reply::error("ERR The MAXLEN argument must be >= 0.")),
    }
}

impl<'s, 'a> Added<'s, 'a> {
    pub(super) fn parse(args: &'s [&'a [u8]]) -> Result<Self, Reply> {
        let mut options = Options::default();
        let (mut place, mut id) = (1, None);
        while let Some(text) = args.get(place) {
            if text.eq_ignore_ascii_case(b"nomkstream") {
                options.no_stream = true;
                place += 1;
            } else if let Some(next) = options.read(args, place)? {
                place = next;
            } else {
                id = Some(Asked::parse(text)?);
                place += 1;
                break;
            }
        }
        let trim = options.trim(false)?;
        let fields = from(args, place);
        let id = id.filter(|_| !fields.is_empty() && fields.len().is_multiple_of(2));
        let id = id.ok_or_else(|| wrong_arity("xadd"))?;
        if id == Asked::Exactly(Id::MIN) {
            return Err(Reply::error("ERR The ID specified in XADD must be greater than 0-0"));
        }
        Ok(Self { no_stream: options.no_stream, trim, id, fields })
    }
}

pub(super) fn xadd(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let added = Added::parse(args.from(0))?;
    let last = match writer.kind::<Stream>(key)? {
        None if added.no_stream => return Ok(Reply::Null),
        stream => stream.map_or(Id::MIN, |stream| stream.last_id),
    };
    if last == Id::MAX {
        return Err(Reply::error(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let too_small = Reply::error(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    );
    let id = added.id.resolve(last, writer.now).ok_or(too_small)?;
    writer.edit(key, |stream: &mut Stream| {
        stream.append(id, added.fields);
        if let Some(trim) = &added.trim {
            stream.trim(trim);
        }
        ((), true)
    })?;
    Ok(id.reply())
}

/// Returns what XTRIM is asked for.
pub(super) fn trim(args: &[&[u8]]) -> Result<Trim, Reply> {
    let (mut options, mut place) = (Options::default(), 1);
    while place < args.len() {
        place = options.read(args, place)?.ok_or(SYNTAX)?;
    }
    options.trim(true)?.ok_or(SYNTAX)
}

pub(super) fn xtrim(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let trim = trim(args.from(0))?;
    if writer.kind::<Stream>(key)?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let removed = writer.edit(key, |stream: &mut Stream| {
        let removed = stream.trim(&trim);
        (removed, removed > 0)
    })?;
    Ok(number::reply(removed))
}
