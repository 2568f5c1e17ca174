//! SORT and SORT_RO: the elements of a list, set or sorted set in the order of what they are, or of
//! what other keys hold.
//!
//! Nothing is copied to be compared: what is sorted are the places where elements and weights lie.
//! As in Redis elements of equal weight are in the order of their bytes if weights are numbers, and
//! else stay as they were. What patterns may find is limited: a few bytes of a request look up as
//! many keys as there are elements.

mod element;
mod options;
mod pattern;

use std::borrow::Cow;
use std::cmp::Ordering;

use bytes::Bytes;

use super::collection::Kind;
use super::command::{Args, Flags as F, Spec, WHOLE};
use super::float::double;
use super::keys::{Find, KeySpec};
use super::lists::List;
use super::number;
use super::reply::until_nul;
use super::value::Value;
use super::{Reader, Reply, Writer};
use element::{Element, Source};
use options::Options;
use pattern::{Finder, Found, Pattern};

/// The two commands.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(77, "sort", -2, sort)
        .with(&[
            F::DENYOOM,
            F::MOVABLEKEYS,
            F::CAT_SET,
            F::CAT_SORTEDSET,
            F::CAT_LIST,
            F::CAT_DANGEROUS,
        ])
        .keys_at(1, 1, 1)
        .key_flags(&["RO access"])
        .more_keys(&[
            KeySpec::unknown("RO access", PATTERN_NOTES),
            KeySpec {
                find: Find::Option { name: "store", others: options::WITH_ARGUMENTS },
                ..KeySpec::unknown(
                    "OW update",
                    "Where the result is kept: an option that may stand anywhere",
                )
            },
        ])
        .doc("generic", "1.0.0")
        .validated_by(|args| Options::parse(args).map(drop))
        .reads_as(78, |args| Options::parse(args).is_ok_and(|options| options.store.is_none())),
    Spec::read(78, "sort_ro", -2, sort_ro)
        .with(&[F::MOVABLEKEYS, F::CAT_SET, F::CAT_SORTEDSET, F::CAT_LIST, F::CAT_DANGEROUS])
        .keys_at(1, 1, 1)
        .more_keys(&[KeySpec::unknown("RO access", PATTERN_NOTES)])
        .doc("generic", "7.0.0")
        .walks(WHOLE),
];

const PATTERN_NOTES: &str = "Patterns make keys of what the first key holds";

/// What an element is sorted by.
enum Weight<'a> {
    Number(f64),
    /// Bytes; none are before all others.
    Text(Option<Cow<'a, [u8]>>),
}

struct Weighed<'a> {
    element: Element<'a>,
    weight: Weight<'a>,
}

fn sort_ro(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let options = Options::parse_reading(args.from(0))?;
    let found = sorted(reader, args.at(0), &options)?;
    Ok(Reply::Array(
        found.into_iter().map(|found| found.map_or(Reply::Null, Reply::Bulk)).collect(),
    ))
}

fn sort(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let options = Options::parse(args.from(0))?;
    let Some(destination) = options.store else { return sort_ro(&writer.reader(), args) };
    let found = sorted(&writer.reader(), args.at(0), &options)?;
    let count = number::reply(found.len());
    if found.is_empty() {
        writer.remove(destination);
        return Ok(count);
    }
    let list: List = found.into_iter().map(Option::unwrap_or_default).collect();
    writer.put(destination, Value::Collection(&list.into_collection()), None);
    Ok(count)
}

/// Returns what is to be answered or stored, in order; `None` is a pattern that has found nothing.
fn sorted(
    reader: &Reader<'_>,
    key: &[u8],
    options: &Options<'_>,
) -> Result<Vec<Option<Bytes>>, Reply> {
    let source = Source::of(reader, key)?;
    let range = options.range(source.len());
    let mut finder = Finder::new(reader);
    // What is stored of a set must have an order that anybody can tell.
    let is_by_itself = options.is_unsorted && options.store.is_some() && source.is_set();
    let elements: Vec<Element<'_>> = if options.is_unsorted && !is_by_itself {
        source.slice(range, options.is_descending)
    } else {
        let by = options.by.filter(|_| !is_by_itself).map(Pattern::parse);
        let is_alpha = options.is_alpha || is_by_itself;
        let mut all = Vec::with_capacity(source.len());
        for element in source.slice(0..source.len(), false) {
            let weight = weigh(&element, by.as_ref(), is_alpha, &mut finder)?;
            all.push(Weighed { element, weight });
        }
        all.sort_by(|a, b| {
            let order = compare(a, b, options.store.is_some());
            if options.is_descending { order.reverse() } else { order }
        });
        all.drain(range).map(|weighed| weighed.element).collect()
    };
    gather(&elements, &options.gets, &mut finder)
}

/// Returns the weight of an element; for one whose weight is no number, but should be, an error.
fn weigh<'a>(
    element: &Element<'a>,
    by: Option<&Pattern<'_>>,
    is_alpha: bool,
    finder: &mut Finder<'a>,
) -> Result<Weight<'a>, Reply> {
    let text = match by {
        None => Some(element.name()),
        Some(pattern) => finder.find(pattern, element)?.map(|found| match found {
            Found::Element => element.name(),
            Found::Str(string) => Cow::Borrowed(string.as_bytes()),
            Found::Field(field) => Cow::Borrowed(field.value()),
        }),
    };
    if is_alpha {
        return Ok(Weight::Text(text));
    }
    let Some(text) = text else { return Ok(Weight::Number(0.0)) };
    let error = "ERR One or more scores can't be converted into double";
    double::parse_weight(&text).map(Weight::Number).ok_or(Reply::error(error))
}

/// Returns the order of two elements. As C sees texts, they end before their first NUL; not so what
/// is stored.
fn compare(a: &Weighed<'_>, b: &Weighed<'_>, is_stored: bool) -> Ordering {
    match (&a.weight, &b.weight) {
        (Weight::Number(x), Weight::Number(y)) => {
            let by_number = x.partial_cmp(y).expect("no weight is NaN");
            by_number.then_with(|| a.element.name().cmp(&b.element.name()))
        }
        (Weight::Text(Some(x)), Weight::Text(Some(y))) if !is_stored => {
            until_nul(x).cmp(until_nul(y))
        }
        (Weight::Text(x), Weight::Text(y)) => x.cmp(y),
        (Weight::Number(_), Weight::Text(_)) => Ordering::Less,
        (Weight::Text(_), Weight::Number(_)) => Ordering::Greater,
    }
}

/// Returns what is asked for of each element: itself, or what patterns find.
fn gather<'a>(
    elements: &[Element<'a>],
    gets: &[&[u8]],
    finder: &mut Finder<'a>,
) -> Result<Vec<Option<Bytes>>, Reply> {
    let mut sharer = super::sequence::Sharer::default();
    if gets.is_empty() {
        return Ok(elements.iter().map(|element| Some(element.share(&mut sharer))).collect());
    }
    let patterns: Vec<Pattern<'_>> = gets.iter().map(|get| Pattern::parse(get)).collect();
    let mut gathered = Vec::new();
    for element in elements {
        for pattern in &patterns {
            let found = finder.find(pattern, element)?.map(|found| match found {
                Found::Element => element.share(&mut sharer),
                Found::Str(string) => string.to_bytes(),
                Found::Field(field) => field.share_value(&mut sharer),
            });
            gathered.push(found);
        }
    }
    Ok(gathered)
}
