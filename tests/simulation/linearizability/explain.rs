//! Why a history is wrong, told with as few operations as will do.
//!
//! First the end is cut: the earliest return at which no order is left is where it went wrong.
//! Then, oldest first, operations are set free: they may have happened at any time, or never, with
//! any answer. What is still wrong then is wrong whatever those did, and they need not be shown.

use std::fmt;

use super::model::Clock;
use super::search::{Event, Item, Search, Verdict};
use super::{Condition, History, Op, OpId, Reply, Seen};

/// How many steps each attempt to make the history shorter may take, and all together.
const STEPS_MAX: u64 = 200_000;
const STEPS_MAX_ALL: u64 = 20_000_000;
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
    clock: Clock,
    steps: u64,
}

impl<'a> Shortening<'a> {
    /// Returns whether these are certainly wrong.
    fn is_wrong(&mut self, items: &[Item<'a>], is_free: &[bool]) -> bool {
        if self.steps > STEPS_MAX_ALL {
            return false;
        }
        let freed = freed(items, is_free);
        let (verdict, steps) = Search::run(&freed, self.clock, STEPS_MAX);
        self.steps += steps;
        matches!(verdict, Verdict::Violation { .. })
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
            if self.is_wrong(&items, &vec![false; items.len()]) {
                wrong = middle;
            } else {
                right = middle;
            }
        }
        if let Some(last) = returns.get(wrong - 1) {
            self.items = until(&self.items, *last);
        }
        self.is_free = vec![false; self.items.len()];
    }

    /// Sets operations free, by halves, quarters, and so on down to single ones.
    fn set_free(&mut self) {
        let items = self.items.clone();
        let mut size = items.len().div_ceil(2);
        while size > 0 {
            for from in (0..items.len()).step_by(size) {
                let mut attempt = self.is_free.clone();
                attempt[from..items.len().min(from + size)].fill(true);
                if attempt != self.is_free && self.is_wrong(&items, &attempt) {
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
        let mut shortening = Shortening { items, is_free: Vec::new(), clock, steps: 0 };
        shortening.cut_end();
        shortening.set_free();
        let Shortening { items, is_free, .. } = shortening;

        let core: Vec<usize> = (0..items.len()).filter(|place| !is_free[*place]).collect();
        // What was going on when it went wrong is shown in any case.
        let recent = items.len().saturating_sub(LINES_RECENT);
        let shown: Vec<usize> =
            (0..items.len()).filter(|place| !is_free[*place] || *place >= recent).collect();
        let mut text = format!(
            "not linearizable: key {key}, {all} operations: no order of those with a * explains \
             what was answered, whatever the others did, and when\n"
        );
        for (number, place) in (1..).zip(&shown).take(LINES_MAX) {
            let mark = if is_free[*place] { ' ' } else { '*' };
            text += &format!("{mark} #{number:<3} {}\n", history.line(items[*place].id));
        }
        if shown.len() > LINES_MAX {
            text += &format!("  and {} more\n", shown.len() - LINES_MAX);
        }
        let (verdict, _) = Search::run(&items, clock, history.steps_max);
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
        let core = core.into_iter().map(|place| items[place].id).collect();
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
