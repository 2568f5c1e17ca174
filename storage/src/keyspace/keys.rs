//! Where the keys of a command are: in a range of places, or somewhere that its arguments tell.
//!
//! The words are those of Redis' key specifications (`COMMAND INFO`). Positions count the name of
//! the command as zero.

use super::command::Spec;

/// A way to find keys that no range of fixed places tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: Begin,
    /// What is there.
    pub find: Find,
    /// What becomes of these keys, in Redis' words.
    pub flags: &'static str,
    /// Why, where that is not plain; in our words.
    pub notes: &'static str,
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At a position.
    Index(i16),
    /// Behind the first argument that is this word, in any case, of those from a position on; a
    /// negative one counts from the end, and the search goes towards the beginning.
    Keyword(&'static str, i16),
    /// Nobody but the command can say.
    Unknown,
}

/// Which arguments are keys, from where the search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// The first one tells how many keys stand behind it.
    Count,
    /// All up to one; of those the first in so many (2: the first half).
    Range {
        /// The last one: counted from the first, or, if it is negative, from the end (-1: the last
        /// argument).
        last: i16,
        /// One in how many, from the first on; zero and one: all.
        limit: i16,
    },
    /// Nobody but the command can say.
    Unknown,
    /// The argument of an option, the last one if it is there more than once. The other options
    /// that have arguments are named with how many. To clients it is [`Find::Unknown`].
    Option {
        /// The option, in any case.
        name: &'static str,
        /// The others.
        others: &'static [(&'static str, usize)],
    },
}

impl KeySpec {
    /// Keys behind their number.
    pub(super) const fn counted(position: i16, flags: &'static str) -> Self {
        Self { begin: Begin::Index(position), find: Find::Count, flags, notes: "" }
    }

    /// Keys that nobody but the command can find.
    pub(super) const fn unknown(flags: &'static str, notes: &'static str) -> Self {
        Self { begin: Begin::Unknown, find: Find::Unknown, flags, notes }
    }

    /// Returns which of the arguments, the name not among them, are keys by this specification.
    fn find(&self, args: &[&[u8]]) -> std::ops::Range<usize> {
        if let Find::Option { name, others } = self.find {
            return argument_of(name, others, args).map_or(0..0, |place| place..place + 1);
        }
        let Some(begin) = self.begin(args) else { return 0..0 };
        match self.find {
            Find::Unknown | Find::Option { .. } => 0..0,
            Find::Count => {
                let count = args.get(begin).and_then(|count| super::number::parse_u64(count));
                let count = usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX);
                begin + 1..args.len().min(begin.saturating_add(1).saturating_add(count))
            }
            Find::Range { last, limit } => {
                let end = match usize::try_from(last) {
                    Ok(behind) => args.len().min(begin.saturating_add(behind + 1)),
                    Err(_) => args.len().saturating_sub(usize::from(last.unsigned_abs()) - 1),
                };
                let count = end.saturating_sub(begin) / usize::from(limit.unsigned_abs()).max(1);
                begin..begin + count
            }
        }
    }

    /// Returns the argument at which the search begins.
    fn begin(&self, args: &[&[u8]]) -> Option<usize> {
        match self.begin {
            Begin::Unknown => None,
            Begin::Index(position) => usize::try_from(position - 1).ok(),
            Begin::Keyword(word, from) => {
                let is_word = |arg: &&[u8]| arg.eq_ignore_ascii_case(word.as_bytes());
                let place = if from < 0 {
                    let end = (args.len() + 1).checked_sub(usize::from(from.unsigned_abs()))?;
                    args.get(..end)?.iter().rposition(is_word)?
                } else {
                    let start = usize::try_from(from - 1).ok()?;
                    start + args.get(start..)?.iter().position(is_word)?
                };
                Some(place + 1)
            }
        }
    }
}

/// Returns the place of the argument of an option.
fn argument_of(name: &str, others: &[(&str, usize)], args: &[&[u8]]) -> Option<usize> {
    let (mut place, mut found) = (1, None);
    while let Some(arg) = args.get(place) {
        let is = |name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
        if is(name) && place + 1 < args.len() {
            found = Some(place + 1);
        }
        place += 1 + others.iter().find(|(name, _)| is(name)).map_or(0, |(_, count)| *count);
    }
    found
}

impl Spec {
    /// Returns which of the arguments, the name not among them, are keys. For a container that
    /// depends on the first.
    pub fn keys<'a>(&self, args: &'a [&[u8]]) -> impl Iterator<Item = usize> + use<'a> {
        let subcommand = args.first().and_then(|name| self.subcommand(name));
        let row = subcommand.unwrap_or(self);
        let more = row.more_keys.iter().flat_map(|keys| keys.find(args));
        row.keys_in_range(args.len()).chain(more)
    }

    fn keys_in_range(&self, args: usize) -> impl Iterator<Item = usize> + use<> {
        let count = i64::try_from(args).unwrap_or(i64::MAX).saturating_add(1);
        let first = i64::from(self.first_key);
        let last = match i64::from(self.last_key) {
            from_end @ ..0 => count.saturating_add(from_end),
            position => position.min(count - 1),
        };
        let step = usize::try_from(self.key_step).unwrap_or(0).max(1);
        let positions = if first > 0 { first..last.saturating_add(1) } else { 0..0 };
        // Position one is the first argument after the name.
        positions.step_by(step).filter_map(|position| usize::try_from(position - 1).ok())
    }
}
