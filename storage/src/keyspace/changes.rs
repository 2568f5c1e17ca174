//! Which keys the log changes, for those who keep copies of what they have read.
//!
//! Recorded only while somebody wants to know; else it costs one look at a flag. A key may be named
//! that has not changed, never the other way round. Too many of them to be named are all keys.

use bytes::Bytes;

/// Whose change it is when nobody asked for it.
pub const NOBODY: u64 = 0;

/// The most bytes that are recorded until they are taken: keys, and what each costs beside.
const BYTES_MAX: usize = 16 << 20;
const COST_BYTES: usize = 64;

/// A key has changed, or is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which one; `None`: all there are.
    pub key: Option<Bytes>,
    /// Who asked for it ([`Batch::set_origin`](super::command::Batch::set_origin)), or [`NOBODY`].
    pub origin: u64,
}

/// The changes since they were last taken.
#[derive(Debug, Default)]
pub struct Changes {
    is_wanted: bool,
    origin: u64,
    list: Vec<Change>,
    bytes: usize,
}

impl Changes {
    /// Says whether changes are to be recorded from now on.
    pub fn want(&mut self, is_wanted: bool) {
        self.is_wanted = is_wanted;
    }

    /// Says who asks for the commands of the next entry.
    pub fn attribute(&mut self, origin: u64) {
        self.origin = origin;
    }

    /// Records that any key may have changed.
    pub fn note_all(&mut self) {
        if self.is_wanted {
            self.add(None, NOBODY);
        }
    }

    /// Takes what was recorded, in the order in which it happened.
    #[must_use]
    pub fn take(&mut self) -> Vec<Change> {
        self.bytes = 0;
        std::mem::take(&mut self.list)
    }

    /// Records that a command has changed a key.
    pub(super) fn note(&mut self, key: &[u8]) {
        if self.is_wanted {
            self.add(Some(Bytes::copy_from_slice(key)), self.origin);
        }
    }

    /// Records that a key has died: nobody's wish, whoever moved the time.
    pub(super) fn note_death(&mut self, key: &[u8]) {
        if self.is_wanted {
            self.add(Some(Bytes::copy_from_slice(key)), NOBODY);
        }
    }

    fn add(&mut self, key: Option<Bytes>, origin: u64) {
        if self.bytes > BYTES_MAX {
            return;
        }
        self.bytes += COST_BYTES + key.as_ref().map_or(0, Bytes::len);
        if self.bytes > BYTES_MAX {
            self.list = vec![Change { key: None, origin: NOBODY }];
        } else {
            self.list.push(Change { key, origin });
        }
    }
}
