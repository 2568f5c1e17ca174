//! The keys and their deadlines, kept in step.
//!
//! This is where the time in the log decides. A key is dead from the moment an entry moves that
//! time to its deadline: no command sees it any more. Giving its memory back is another matter, and
//! takes at most [`REMOVED_MAX`] keys at each entry, in the order of their deadlines: the death of
//! a million keys at once stalls nobody.

use std::any::Any;
use std::collections::BTreeSet;

use bytes::BytesMut;

use super::changes::Changes;
use super::collection::Kind;
use super::item::Item;
use super::store::Store;
use super::value::Value;
use crate::types::Index;

/// The most dead keys that one entry removes.
pub(super) const REMOVED_MAX: usize = 1024;

/// The keys, and those with a deadline again in the order in which they die.
#[derive(Debug, Default)]
pub(super) struct Database {
    store: Store,
    /// Exactly the (deadline, key) pairs of the store.
    deadlines: Deadlines,
    /// What is gone for every reader, but not from memory.
    garbage: Vec<Garbage>,
    changes: Changes,
}

/// Something large whose only use is to be dropped, where it holds nobody up.
pub type Garbage = Box<dyn Any + Send>;

/// Keys in the order in which they die.
type Deadlines = BTreeSet<(u64, Box<[u8]>)>;

impl Database {
    /// Returns the keys.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Returns what keeps account of changed keys.
    pub(super) fn changes(&mut self) -> &mut Changes {
        &mut self.changes
    }

    /// Returns how many keys have a deadline.
    pub(super) fn expiring(&self) -> usize {
        self.deadlines.len()
    }

    /// Returns the first deadline.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Writes a key, whatever there was before.
    pub(super) fn put(
        &mut self,
        key: &[u8],
        value: Value<'_>,
        deadline: Option<u64>,
        version: Index,
    ) {
        let (item, replaced) = self.store.put(key, value, version);
        if let Some(replaced) = replaced {
            self.garbage.push(Box::new(replaced));
        }
        self.changes.note(key);
        change_deadline(&mut self.deadlines, item, deadline);
    }

    /// Changes the bytes of a string, if the key is there.
    pub(super) fn edit_str(
        &mut self,
        key: &[u8],
        version: Index,
        change: impl FnOnce(&mut BytesMut),
    ) {
        if self.store.edit_str(key, version, change) {
            self.changes.note(key);
        }
    }

    /// Changes the entries of a key's value, if the key is there. It must be of that type. `change`
    /// says whether it has changed anything; a value that has no entries left goes.
    pub(super) fn edit_kind<T: Kind, R>(
        &mut self,
        key: &[u8],
        version: Index,
        change: impl FnOnce(&mut T) -> (R, bool),
    ) -> Option<R> {
        let change = |value: &mut T| {
            let (result, has_changed) = change(value);
            ((result, has_changed, value.is_gone()), has_changed)
        };
        let (result, has_changed, is_gone) = self.store.edit_kind(key, version, change)?;
        if is_gone {
            self.remove(key);
        } else if has_changed {
            self.changes.note(key);
        }
        Some(result)
    }

    /// Sets or clears a key's deadline, if the key is there.
    pub(super) fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        if let Some(item) = self.store.get_mut(key) {
            self.changes.note(key);
            change_deadline(&mut self.deadlines, item, deadline);
        }
    }

    /// Removes a key, and returns what there was.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Item> {
        let item = self.store.remove(key)?;
        if let Some(large) = item.large() {
            self.garbage.push(Box::new(large));
        }
        self.changes.note(key);
        if let Some(deadline) = item.deadline() {
            let is_known = self.deadlines.remove(&(deadline, key.into()));
            assert!(is_known, "every deadline of the store is among the deadlines");
        }
        Some(item)
    }

    /// Removes keys that are dead at a time, the longest dead first, up to a fixed number.
    pub(super) fn remove_dead(&mut self, now: u64) {
        for _ in 0..REMOVED_MAX {
            let Some(first) = self.deadlines.first() else { return };
            if first.0 > now {
                return;
            }
            let Some((_, key)) = self.deadlines.pop_first() else { return };
            self.changes.note_death(&key);
            let removed = self.store.remove(&key);
            let removed = removed.expect("every deadline belongs to a key of the store");
            if let Some(large) = removed.large() {
                self.garbage.push(Box::new(large));
            }
        }
    }

    /// Removes all keys at once. They wait in the garbage to be dropped where it hurts nobody.
    pub(super) fn clear(&mut self) {
        self.changes.note_all();
        let store = std::mem::take(&mut self.store);
        let deadlines = std::mem::take(&mut self.deadlines);
        if store.len() > 0 {
            self.garbage.push(Box::new((store, deadlines)));
        }
    }

    /// Takes something to be dropped.
    pub(super) fn take_garbage(&mut self) -> Option<Garbage> {
        self.garbage.pop()
    }
}

fn change_deadline(deadlines: &mut Deadlines, item: &mut Item, deadline: Option<u64>) {
    let old = item.deadline();
    if old == deadline {
        return;
    }
    let mut key: Box<[u8]> = item.key().into();
    if let Some(old) = old {
        let pair = deadlines.take(&(old, key));
        key = pair.expect("every deadline of the store is among the deadlines").1;
    }
    if let Some(new) = deadline {
        deadlines.insert((new, key));
    }
    item.set_deadline(deadline);
}
