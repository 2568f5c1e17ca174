//! The keys in the order of their positions: a trie that a clone of a pointer freezes.
//!
//! ```text
//! root ─┬─ 0 ─ leaf   positions 0…    a level for each four bits of the position
//!       ├─ 1 ─ inner ─┬─ 10 ─ leaf
//!       ┆             ┆                   a leaf: items ordered by (position, key)
//!       └─ f ─ leaf
//! ```
//!
//! A view shares all nodes with the store. A write makes the nodes on its path its own first, by
//! copying those that a view still holds: sixteen pointers for each level and the items of one
//! leaf, of which only reference counts are touched. With no view around, it writes in place. A
//! leaf that grows too large becomes an inner node, one that empties is given back, so there is
//! never a moment when the whole has to be rebuilt.
//!
//! The form of the trie shows nowhere: what is read depends on the items and their order alone.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;

use super::collection::{Collection, Kind};
use super::hash;
use super::item::Item;
use super::value::Value;
use crate::types::Index;

/// The children of an inner node: four bits of the position.
const FANOUT: usize = 16;
const FANOUT_BITS: u32 = 4;
/// Below this level all bits are used up; a leaf there holds keys of one position and may grow.
const LEVELS: u32 = hash::BITS / FANOUT_BITS;
/// A leaf with more items is split.
const LEAF_ITEMS_MAX: usize = 32;
/// Room for so many more is made when a leaf has none.
const LEAF_ITEMS_MORE: usize = 4;
/// A leaf that shrinks to this looks whether it and its siblings fit into one.
const LEAF_ITEMS_FEW: usize = 2;

/// All items. A clone is a frozen view.
#[derive(Clone, Default)]
pub(super) struct Store {
    root: Node,
    len: usize,
    /// Room to work in, of no meaning: as much as a key and a short string take.
    spare: Vec<u8>,
}

#[derive(Clone, Default)]
enum Node {
    #[default]
    Empty,
    Leaf(Arc<Vec<Item>>),
    Inner(Arc<[Node; FANOUT]>),
}

impl Store {
    /// Returns how many items there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the item of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Item> {
        self.get_at(hash::position(key), key)
    }

    fn get_at(&self, position: u64, key: &[u8]) -> Option<&Item> {
        let mut node = &self.root;
        let mut level = 0;
        loop {
            match node {
                Node::Empty => return None,
                Node::Leaf(items) => {
                    return find(items, position, key, level).ok().map(|place| &items[place]);
                }
                Node::Inner(children) => node = &children[child(position, level)],
            }
            level += 1;
        }
    }

    /// Changes the bytes of a string, if the key is there; returns whether it is.
    pub(super) fn edit_str(
        &mut self,
        key: &[u8],
        version: Index,
        change: impl FnOnce(&mut BytesMut),
    ) -> bool {
        let mut spare = std::mem::take(&mut self.spare);
        let item = self.get_mut(key);
        let is_there = item.map(|item| item.edit_str(version, &mut spare, change)).is_some();
        self.spare = spare;
        is_there
    }

    /// Changes the entries of a key's value, if the key is there. It must be of that type.
    pub(super) fn edit_kind<T: Kind, R>(
        &mut self,
        key: &[u8],
        version: Index,
        change: impl FnOnce(&mut T) -> (R, bool),
    ) -> Option<R> {
        self.get_mut(key).map(|item| item.edit_kind(version, change))
    }

    /// Returns the item of a key to be changed, if there is one.
    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Item> {
        let position = hash::position(key);
        // Looking first keeps shared nodes shared when the key is not there.
        self.get_at(position, key)?;
        let mut node = &mut self.root;
        let mut level = 0;
        loop {
            match node {
                Node::Empty => unreachable!("the key was found before"),
                Node::Leaf(items) => {
                    let items = Arc::make_mut(items);
                    let place =
                        find(items, position, key, level).expect("the key was found before");
                    return Some(&mut items[place]);
                }
                Node::Inner(children) => {
                    node = &mut Arc::make_mut(children)[child(position, level)];
                }
            }
            level += 1;
        }
    }

    /// Gives a key a value. A new item has no deadline, one that is there keeps its own. Returns
    /// the item, and the value that was there before if it was large.
    pub(super) fn put(
        &mut self,
        key: &[u8],
        value: Value<'_>,
        version: Index,
    ) -> (&mut Item, Option<Collection>) {
        self.put_at(hash::position(key), key, value, version)
    }

    fn put_at(
        &mut self,
        position: u64,
        key: &[u8],
        value: Value<'_>,
        version: Index,
    ) -> (&mut Item, Option<Collection>) {
        let mut node = &mut self.root;
        let mut level = 0;
        while node.is_inner_for(position, key, level) {
            let Node::Inner(children) = node else { unreachable!("it was just looked at") };
            node = &mut Arc::make_mut(children)[child(position, level)];
            level += 1;
        }
        let Node::Leaf(items) = node else { unreachable!("what is not an inner node is a leaf") };
        let items = Arc::make_mut(items);
        let mut replaced = None;
        let place = match find(items, position, key, level) {
            Ok(place) => {
                replaced = items[place].large();
                items[place].set_value(value, version, &mut self.spare);
                place
            }
            Err(place) => {
                if items.len() == items.capacity() {
                    items.reserve_exact(LEAF_ITEMS_MORE);
                }
                items.insert(place, Item::new(position, key, value, version, &mut self.spare));
                self.len += 1;
                place
            }
        };
        (&mut items[place], replaced)
    }

    /// Removes a key, and returns its item.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Item> {
        self.remove_at(hash::position(key), key)
    }

    fn remove_at(&mut self, position: u64, key: &[u8]) -> Option<Item> {
        self.get_at(position, key)?;
        let item = self.root.remove(position, key, 0);
        self.len -= 1;
        Some(item)
    }

    /// Returns all items in order.
    pub(super) fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// Returns the items from a position on, in order.
    pub(super) fn iter_from(&self, position: u64) -> Iter<'_> {
        let mut iter = Iter { stack: Vec::new(), leaf: [].iter() };
        let mut node = &self.root;
        let mut level = 0;
        while let Node::Inner(children) = node {
            let (next, rest) = children[child(position, level)..]
                .split_first()
                .expect("a child is one of the children");
            iter.stack.push(rest.iter());
            node = next;
            level += 1;
        }
        if let Node::Leaf(items) = node {
            let start = items.partition_point(|item| item.position < position);
            iter.leaf = items[start..].iter();
        }
        iter
    }
}

impl Node {
    /// Makes the node ready to take a key: an empty one becomes a leaf, a full leaf an inner node.
    /// Returns whether the way goes on to a child.
    fn is_inner_for(&mut self, position: u64, key: &[u8], level: u32) -> bool {
        match self {
            Self::Inner(_) => return true,
            Self::Empty => *self = Self::Leaf(Arc::default()),
            Self::Leaf(items) => {
                let has_room = items.len() < LEAF_ITEMS_MAX || level == LEVELS;
                if !has_room && find(items, position, key, level).is_err() {
                    let items = std::mem::take(Arc::make_mut(items));
                    *self = split(items, level);
                    return true;
                }
            }
        }
        false
    }

    /// Removes a key that is there. As deep as the trie: at most [`LEVELS`] calls.
    fn remove(&mut self, position: u64, key: &[u8], level: u32) -> Item {
        let (item, left) = match self {
            Self::Empty => unreachable!("the key was found before"),
            Self::Leaf(items) => {
                let items = Arc::make_mut(items);
                let place = find(items, position, key, level).expect("the key was found before");
                (items.remove(place), items.len())
            }
            Self::Inner(children) => {
                let children = Arc::make_mut(children);
                let below = &mut children[child(position, level)];
                let item = below.remove(position, key, level + 1);
                if below.is_small()
                    && let Some(items) = joined(children)
                {
                    *self = if items.is_empty() { Self::Empty } else { Self::Leaf(items.into()) };
                }
                return item;
            }
        };
        if left == 0 {
            *self = Self::Empty;
        }
        item
    }

    /// Returns whether it may be worth to join it with its siblings.
    fn is_small(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Leaf(items) => items.len() <= LEAF_ITEMS_FEW,
            Self::Inner(_) => false,
        }
    }
}

/// Deals the items of a full leaf out to the leaves of a new inner node.
fn split(items: Vec<Item>, level: u32) -> Node {
    let mut children: [Node; FANOUT] = Default::default();
    let mut items = items.into_iter().peekable();
    while let Some(first) = items.next() {
        let index = child(first.position, level);
        let mut leaf = vec![first];
        while let Some(item) = items.next_if(|item| child(item.position, level) == index) {
            leaf.push(item);
        }
        children[index] = Node::Leaf(Arc::new(leaf));
    }
    Node::Inner(Arc::new(children))
}

/// Returns the items of all children in one leaf, if they are leaves and would leave it half empty.
fn joined(children: &mut [Node; FANOUT]) -> Option<Vec<Item>> {
    let mut count = 0;
    for child in children.iter() {
        count += match child {
            Node::Empty => 0,
            Node::Leaf(items) => items.len(),
            Node::Inner(_) => return None,
        };
    }
    if count > LEAF_ITEMS_MAX / 2 {
        return None;
    }
    let mut joined = Vec::with_capacity(count);
    for child in children {
        if let Node::Leaf(items) = child {
            joined.append(Arc::make_mut(items));
        }
    }
    Some(joined)
}

/// Returns which child of an inner node at a level leads to a position.
fn child(position: u64, level: u32) -> usize {
    (position >> (hash::BITS - FANOUT_BITS * (level + 1))) as usize % FANOUT
}

/// Returns where in a leaf a key is, or would be.
///
/// Positions are spread evenly, so where it should be is known within a step or two: a look at two
/// neighbours in place of a search by halves, which would touch five items all over the leaf.
fn find(items: &[Item], position: u64, key: &[u8], level: u32) -> Result<usize, usize> {
    let order = |item: &Item| (item.position.cmp(&position)).then_with(|| item.key().cmp(key));
    if items.len() > LEAF_ITEMS_MAX {
        return items.binary_search_by(order);
    }
    let fraction = position << (u64::BITS - hash::BITS) << (FANOUT_BITS * level).min(63);
    let mut place = ((u128::from(fraction) * items.len() as u128) >> u64::BITS) as usize;
    while place > 0 && order(&items[place - 1]) != Ordering::Less {
        place -= 1;
    }
    while place < items.len() {
        match order(&items[place]) {
            Ordering::Less => place += 1,
            Ordering::Equal => return Ok(place),
            Ordering::Greater => break,
        }
    }
    Err(place)
}

/// The items of a store in order.
#[derive(Clone)]
pub(super) struct Iter<'a> {
    /// The children still to be visited, for each level from the root on.
    stack: Vec<std::slice::Iter<'a, Node>>,
    leaf: std::slice::Iter<'a, Item>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Item;

    fn next(&mut self) -> Option<&'a Item> {
        loop {
            if let Some(item) = self.leaf.next() {
                return Some(item);
            }
            match self.stack.last_mut()?.next() {
                None => drop(self.stack.pop()),
                Some(Node::Empty) => {}
                Some(Node::Leaf(items)) => self.leaf = items.iter(),
                Some(Node::Inner(children)) => self.stack.push(children.iter()),
            }
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.len)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Nobody knows keys of one position, but if there were any: they share a leaf that grows, at
    /// the bottom of the trie.
    #[test]
    fn keys_of_one_position_are_kept_apart() {
        let mut store = Store::default();
        let position = (1 << hash::BITS) - 1;
        let names: Vec<String> = (0..200).map(|name| format!("{name:03}")).collect();
        for name in names.iter().rev() {
            store.put_at(position, name.as_bytes(), Value::from(&b"v"[..]), 1);
            // Next to it, so that every level has to be split.
            store.put_at(position ^ 1, name.as_bytes(), Value::from(&b"v"[..]), 2);
        }
        let view = store.clone();
        assert_eq!(store.len(), 400);
        let found: Vec<_> = store.iter().map(|item| (item.version(), item.key_bytes())).collect();
        let expected = [2, 1]
            .map(|version| names.iter().map(move |name| (version, Bytes::from(name.clone()))));
        assert_eq!(found, expected.into_iter().flatten().collect::<Vec<_>>());
        assert_eq!(store.iter_from(position).count(), 200);
        for name in &names {
            assert!(store.remove_at(position, name.as_bytes()).is_some());
            assert!(store.get_at(position, name.as_bytes()).is_none());
            assert!(store.remove_at(position ^ 1, name.as_bytes()).is_some());
        }
        assert!(matches!(store.root, Node::Empty), "what is empty is given back");
        assert_eq!(view.iter().count(), 400);
    }
}
