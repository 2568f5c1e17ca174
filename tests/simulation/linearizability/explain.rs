//! Why a history is wrong, told with as few operations as will do.
//!
//! First the end is cut: the earliest return at which no order is left is where it went wrong. Then
//! the beginning: if the last operations are wrong whatever the key held before them, those
//! suffice. Of what is left, oldest first, operations are set free: they may have happened at any
//! time, or never, with any answer. What is still wrong then is wrong whatever those did.

use std::collections::BTreeSet;
use std::fmt;

use super::model::Clock;
use super::search::{Event, Item, Search, Verdict};
use super::{Condition, History, Op, OpId, Reply, Seen};

/// How many steps each attempt to make the history shorter may take, and all together.
const STEPS_MAX: u64 = 200_000;
const STEPS_MAX_ALL: u64 = 20_000_000;
/// How many values of the key the beginning is tried with, about.
const STARTS_MAX: usize = 200;
/// How many operations are printed, and how many of the last ones in any case.
const LINES_MAX: usize = 50;
const LINES_RECENT: usize = 6;
/// How many bytes of a value are printed.
const VALUE_BYTES_MAX: usize = 40;

/// A key whose operations have no order.
#[derive(Debug)]
pub(crate) struct Violation {
    /// The key.
    pub(crate) key: u32,
    /// The operations that contradict each other, in the order of their calls.
    pub(crate) core: Vec<OpId>,
    text: String,
}

/// A history that is made shorter as long as it stays wrong.
struct Shortening<'a> {
    items: Vec<Item<'a>>,
    /// Which operations may have happened at any time or never.
    is_free: Vec<bool>,
    /// Whether it begins with whatever the key may hold; else with nothing.
    is_tail: bool,
    clock: Clock,
    steps: u64,
}

impl<'a> Shortening<'a> {
    /// Returns whether these are certainly wrong.
    fn is_wrong(&mut self, items: &[Item<'a>], is_free: &[bool], is_tail: bool) -> bool {
        let freed = freed(items, is_free);
        let starts = if is_tail { starts(items) } else { [None].into() };
        starts.iter().all(|start| {
            if self.steps > STEPS_MAX_ALL {
                return false;
            }
            let (verdict, steps) = Search::run(&freed, start.as_deref(), self.clock, STEPS_MAX);
            self.steps += steps;
            matches!(verdict, Verdict::Violation { .. })
        })
    }

    /// Cuts all that comes after the return with which it becomes wrong.
    fn cut_end(&mut self) {
        let mut returns: Vec<Event> =
            self.items.iter().filter_map(|item| item.done).map(|(done, _)| done).collect();
        returns.sort_unstable();
        let (mut right, mut wrong) = (0, returns.len());
        while right + 1 < wrong {
            let middle = right.midpoint(wrong);
            let items = until(&self.items, returns[middle - 1]);
            if self.is_wrong(&items, &vec![false; items.len()], false) {
                wrong = middle;
            } else {
                right = middle;
            }
        }
        if let Some(last) = returns.get(wrong - 1) {
            self.items = until(&self.items, *last);
        }
    }

    /// Keeps only the last operations, if they are wrong whatever was there before them.
    fn cut_start(&mut self) {
        let len = self.items.len();
        let sizes = std::iter::successors(Some(1), |size| Some(size * 2));
        for size in sizes.take_while(|size| *size < len) {
            let items = since(&self.items, self.items[len - size].call);
            if self.is_wrong(&items, &vec![false; items.len()], true) {
                self.items = items;
                self.is_tail = true;
                return;
            }
        }
    }

    /// Sets operations free, by halves, quarters, and so on down to single ones.
    fn set_free(&mut self) {
        let items = self.items.clone();
        self.is_free = vec![false; items.len()];
        let mut size = items.len().div_ceil(2);
        while size > 0 {
            for from in (0..items.len()).step_by(size) {
                let mut attempt = self.is_free.clone();
                attempt[from..items.len().min(from + size)].fill(true);
                if attempt != self.is_free && self.is_wrong(&items, &attempt, self.is_tail) {
                    self.is_free = attempt;
                }
            }
            size /= 2;
        }
    }
}

/// Returns the history as it was known at that return.
fn until<'a>(items: &[Item<'a>], end: Event) -> Vec<Item<'a>> {
    let called = items.iter().filter(|item| item.call < end);
    let known =
        called.map(|item| Item { done: item.done.filter(|(done, _)| *done <= end), ..*item });
    known.filter(|item| item.done.is_some() || *item.op != Op::Get).collect()
}

/// Returns the history from a call on. What was under way then may have happened before.
fn since<'a>(items: &[Item<'a>], start: Event) -> Vec<Item<'a>> {
    let later = items.iter().filter(|item| item.done.is_none_or(|(done, _)| done > start));
    let known = later.map(|item| Item { done: item.done.filter(|_| item.call >= start), ..*item });
    known.filter(|item| item.done.is_some() || *item.op != Op::Get).collect()
}

/// Returns what a key may have held before these operations: all that makes a difference to them.
fn starts(items: &[Item<'_>]) -> BTreeSet<Option<Vec<u8>>> {
    let number = |number: i64| number.to_string().into_bytes();
    let mut values: BTreeSet<Vec<u8>> = [b"?".to_vec()].into();
    for item in items {
        if let Condition::Value(value) = item.op.condition() {
            values.insert(value.clone());
        }
        match (item.op, item.reply()) {
            (_, Some(Reply::Found { value: Some(value), .. })) => {
                values.insert(value.clone());
            }
            (Op::Increment(by), Some(Reply::Number(sum))) => {
                values.insert(number(sum.wrapping_sub(*by)));
            }
            (Op::Append(tail), Some(Reply::Length(length))) => {
                values.insert(vec![b'?'; (*length as usize).saturating_sub(tail.len())]);
            }
            _ => {}
        }
    }
    // What became one of these may have been counted or appended on the way.
    for item in items {
        for value in values.clone() {
            match item.op {
                Op::Append(tail) => {
                    values.extend(value.strip_suffix(&tail[..]).map(<[u8]>::to_vec));
                }
                Op::Increment(by) if values.len() < STARTS_MAX => {
                    let parsed =
                        std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                    values.extend(parsed.map(|sum: i64| number(sum.wrapping_sub(*by))));
                }
                _ => {}
            }
        }
    }
    values.into_iter().map(Some).chain([None]).collect()
}

/// Returns the operations with some of them set free, in the order of their calls.
fn freed<'a>(items: &[Item<'a>], is_free: &[bool]) -> Vec<Item<'a>> {
    let start = |item: &Item<'a>| Event { time: 0, order: item.id.0 as u64 };
    let mut freed: Vec<Item<'a>> = Vec::with_capacity(items.len());
    for (item, is_free) in items.iter().zip(is_free) {
        match (is_free, item.op) {
            (false, _) => freed.push(*item),
            (true, Op::Get) => {}
            (true, _) => freed.push(Item { call: start(item), done: None, ..*item }),
        }
    }
    freed.sort_by_key(|item| item.call);
    freed
}

impl Violation {
    /// Finds the part of a wrong history that says why.
    pub(super) fn explain(history: &History, key: u32, items: Vec<Item<'_>>) -> Self {
        let all = items.len();
        let clock = history.clock;
        let mut shortening =
            Shortening { items, is_free: Vec::new(), is_tail: false, clock, steps: 0 };
        shortening.cut_end();
        let known = shortening.items.clone();
        shortening.cut_start();
        shortening.set_free();
        let Shortening { items, is_free, is_tail, .. } = shortening;

        let core = items.iter().zip(&is_free).filter(|(_, is_free)| !**is_free);
        let core: Vec<OpId> = core.map(|(item, _)| item.id).collect();
        // What was going on when it went wrong is shown in any case.
        let is_core = |place: usize| core.contains(&known[place].id);
        let recent = known.len().saturating_sub(LINES_RECENT);
        let shown: Vec<usize> =
            (0..known.len()).filter(|place| is_core(*place) || *place >= recent).collect();
        let before = if is_tail { ", and whatever the key held before" } else { "" };
        let mut text = format!(
            "not linearizable: key {key}, {all} operations: no order of those with a * explains \
             what was answered, whatever the others did and when{before}\n"
        );
        for (number, place) in (1..).zip(&shown).take(LINES_MAX) {
            let mark = if is_core(*place) { '*' } else { ' ' };
            text += &format!("{mark} #{number:<3} {}\n", history.line(known[*place].id));
        }
        if shown.len() > LINES_MAX {
            text += &format!("  and {} more\n", shown.len() - LINES_MAX);
        }
        let (verdict, _) = Search::run(&known, None, clock, history.steps_max);
        if let Verdict::Violation { longest, left } = verdict {
            let last = longest.len().saturating_sub(LINES_RECENT);
            let order = longest[last..].iter().map(|place| match shown.binary_search(place) {
                Ok(number) => format!("#{}", number + 1),
                Err(_) => "another".to_owned(),
            });
            let order = order.collect::<Vec<_>>().join(", ");
            let begin = if last > 0 { format!("{last} others, ") } else { String::new() };
            let left = left.as_deref().map_or_else(|| "no value".to_owned(), print);
            text +=
                &format!("  furthest order: {begin}{order}; leaves {left}, and nothing fits next");
        }
        Self { key, core, text }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl History {
    /// Returns an operation for people.
    fn line(&self, id: OpId) -> String {
        let operation = &self.operations[id.0];
        let (end, reply) = match &operation.end {
            super::End::Done(event, reply) => (event.time.to_string(), reply.to_string()),
            super::End::Unknown | super::End::Failed => ("?".to_owned(), "unknown".to_owned()),
        };
        let (client, call) = (operation.client, operation.call.time);
        format!("[{call:>8} .. {end:>8}] client {client:<3} {} -> {reply}", operation.op)
    }
}

/// Returns a value for people.
fn print(value: &[u8]) -> String {
    let shown = &value[..value.len().min(VALUE_BYTES_MAX)];
    let more = if shown.len() < value.len() {
        format!("… ({} bytes)", value.len())
    } else {
        String::new()
    };
    format!("\"{}\"{more}", shown.escape_ascii())
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get => f.write_str("GET")?,
            Self::Set { value, ttl, .. } => {
                write!(f, "SET {}", print(value))?;
                if let Some(ttl) = ttl {
                    write!(f, " for {ttl}")?;
                }
            }
            Self::Delete { .. } => f.write_str("DEL")?,
            Self::GetDelete => f.write_str("GETDEL")?,
            Self::Increment(by) => write!(f, "INCRBY {by}")?,
            Self::Append(tail) => write!(f, "APPEND {}", print(tail))?,
        }
        match self.condition() {
            Condition::None => Ok(()),
            Condition::Absent => f.write_str(" if absent"),
            Condition::Present => f.write_str(" if present"),
            Condition::Version(version) => write!(f, " if version {version}"),
            Condition::Value(value) => write!(f, " if {}", print(value)),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self {
            Self::Found { value, version } => {
                f.write_str(&value.as_deref().map_or_else(|| "no value".to_owned(), print))?;
                *version
            }
            Self::Written { version } => {
                f.write_str("OK")?;
                *version
            }
            Self::Refused(seen) => {
                f.write_str("refused")?;
                match seen {
                    Seen::Untold => None,
                    Seen::Absent => return f.write_str(", there is none"),
                    Seen::Version(version) => Some(*version),
                }
            }
            Self::Deleted(true) => return f.write_str("deleted"),
            Self::Deleted(false) => return f.write_str("nothing to delete"),
            Self::Number(number) => return number.fmt(f),
            Self::Length(length) => return write!(f, "length {length}"),
            Self::NotANumber => return f.write_str("not a number"),
        };
        version.map_or(Ok(()), |version| write!(f, ", version {version}"))
    }
}
