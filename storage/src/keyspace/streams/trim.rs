//! How much of a stream's beginning goes: MAXLEN and MINID, exactly or about.
//!
//! Redis keeps entries in nodes of a hundred, and with `~` removes only whole ones. Here nodes are
//! counted from the first entry that is there: no more goes than was asked for, and at most a
//! node's worth of it stays.

use super::id::Id;

/// How many entries go together with `~`: Redis' stream-node-max-entries.
pub(super) const NODE_ENTRIES: usize = 100;

/// What is to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// So many of the last ones.
    Newest(u64),
    /// Those from an ID on.
    From(Id),
}

/// How to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trim {
    pub(super) stay: Stay,
    /// About, by whole nodes, and at most so many entries.
    pub(super) about: Option<usize>,
}

impl Trim {
    /// Returns how many entries are to go of so many. `before` tells how many are before an ID.
    pub(super) fn count(&self, len: usize, before: impl Fn(Id) -> usize) -> usize {
        let wanted = match self.stay {
            Stay::Newest(stay) => len.saturating_sub(usize::try_from(stay).unwrap_or(usize::MAX)),
            Stay::From(id) => before(id),
        };
        match self.about {
            None => wanted,
            // The last node is whole too.
            Some(most) if wanted.min(most) == len => len,
            Some(most) => wanted.min(most) / NODE_ENTRIES * NODE_ENTRIES,
        }
    }
}
