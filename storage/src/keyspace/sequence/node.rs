//! The nodes of a sequence: all leaves at one depth, and above them how many entries are below.

use std::cmp::Ordering;
use std::ops::Range;

use triomphe::Arc;

use super::leaf::{self, Leaf};

/// A node with more children is split.
const CHILDREN_MAX: usize = 32;
/// A node that shrinks to a part of its room looks for a neighbour to join.
const FEW: usize = 4;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Leaf(Leaf),
    Inner(Arc<Vec<Child>>),
}

#[derive(Clone, Debug)]
pub(super) struct Child {
    /// How many entries are below.
    pub(super) count: usize,
    pub(super) node: Node,
}

impl From<Node> for Child {
    fn from(node: Node) -> Self {
        Self { count: node.count(), node }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Leaf::default())
    }
}

impl Node {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.count(),
            Self::Inner(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    /// Returns the leaf with an index, and the index in it. The index is one of an entry.
    pub(super) fn find(&self, mut index: usize) -> (&Leaf, usize) {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(leaf) => return (leaf, index),
                Self::Inner(children) => {
                    let (at, within) = locate(children, index);
                    (node, index) = (&children[at].node, within);
                }
            }
        }
    }

    /// Returns the place of an entry among entries that are in order, as the index of one that is
    /// equal, or else of the first that is greater.
    pub(super) fn search(
        &self,
        compare: &mut impl FnMut(&[u8]) -> Ordering,
    ) -> Result<usize, usize> {
        let mut node = self;
        let mut before = 0;
        loop {
            match node {
                Self::Leaf(leaf) => {
                    for range in leaf.ranges() {
                        match compare(&leaf.bytes()[range]) {
                            Ordering::Less => before += 1,
                            Ordering::Equal => return Ok(before),
                            Ordering::Greater => return Err(before),
                        }
                    }
                    return Err(before);
                }
                Self::Inner(children) => {
                    // The last child that does not begin behind it, or the first.
                    let is_before = |child: &Child| compare(child.node.first()).is_le();
                    let at = children.partition_point(is_before).saturating_sub(1);
                    before += children[..at].iter().map(|child| child.count).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// Returns the first entry; a node that is not the root has one.
    fn first(&self) -> &[u8] {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(leaf) => return leaf.first().unwrap_or_default(),
                Self::Inner(children) => node = &children[0].node,
            }
        }
    }

    /// Inserts an entry before an index, and returns the nodes that this one had to give up, to
    /// stand behind it.
    pub(super) fn insert(&mut self, index: usize, entry: &[u8]) -> Vec<Self> {
        match self {
            Self::Leaf(leaf) => insert_into_leaf(leaf, index, entry),
            Self::Inner(children) => {
                let children = Arc::make_mut(children);
                let (at, within) = locate_gap(children, index);
                let more = children[at].node.insert(within, entry);
                children[at].count = children[at].node.count();
                if more.is_empty() {
                    return more;
                }
                children.splice(at + 1..=at, more.into_iter().map(Child::from));
                if children.len() <= CHILDREN_MAX {
                    return Vec::new();
                }
                // Who fills it from one end leaves full nodes behind.
                let cut = match at {
                    0 => children.len() - CHILDREN_MAX,
                    _ if index + 1 == count(children) => CHILDREN_MAX,
                    _ => children.len() / 2,
                };
                let rest = children.split_off(cut);
                vec![Self::Inner(Arc::new(rest))]
            }
        }
    }

    /// Puts an entry in the place of another, if there is room for it where that was.
    pub(super) fn replace(&mut self, index: usize, entry: &[u8]) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.replace(index, entry),
            Self::Inner(children) => {
                let children = Arc::make_mut(children);
                let (at, within) = locate(children, index);
                children[at].node.replace(within, entry)
            }
        }
    }

    /// Removes entries. The node may be empty after that.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        match self {
            Self::Leaf(leaf) => leaf.remove(range),
            Self::Inner(children) => {
                let children = Arc::make_mut(children);
                let (first, within) = locate(children, range.start);
                let (mut at, mut start) = (first, within);
                let mut left = range.len();
                while left > 0 {
                    let child = &mut children[at];
                    let removed = left.min(child.count - start);
                    if removed < child.count {
                        child.node.remove(start..start + removed);
                    }
                    child.count -= removed;
                    left -= removed;
                    (at, start) = (at + 1, 0);
                }
                let mut place = 0;
                children.retain(|child| {
                    place += 1;
                    child.count > 0 || !(first..at).contains(&(place - 1))
                });
                // At either end of the gap there may be one that is small now.
                join(children, first + 1);
                join(children, first);
            }
        }
    }

    /// Removes the entries of a range that are to go, and returns how many. The node may be empty
    /// after that.
    pub(super) fn remove_if(
        &mut self,
        range: Range<usize>,
        goes: &mut impl FnMut(&[u8]) -> bool,
    ) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.remove_if(range, goes),
            Self::Inner(children) => {
                let children = Arc::make_mut(children);
                let (mut start, mut removed) = (0, 0);
                for child in &mut *children {
                    let end = start + child.count;
                    let within = range.start.max(start)..range.end.min(end);
                    if !within.is_empty() {
                        let within = within.start - start..within.end - start;
                        let count = child.node.remove_if(within, goes);
                        child.count -= count;
                        removed += count;
                    }
                    start = end;
                }
                children.retain(|child| child.count > 0);
                for at in (0..children.len()).rev() {
                    join(children, at);
                }
                removed
            }
        }
    }

    fn is_small(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.size() <= leaf::BYTES_MAX / FEW,
            Self::Inner(children) => children.len() <= CHILDREN_MAX / FEW,
        }
    }

    /// Takes over what is in the next node, if there is room to spare; returns whether.
    fn absorb(&mut self, next: &Self) -> bool {
        match (self, next) {
            (Self::Leaf(leaf), Self::Leaf(next)) => {
                let has_room = leaf.size() + next.size() <= leaf::BYTES_MAX / 2;
                if has_room {
                    leaf.append(next);
                }
                has_room
            }
            (Self::Inner(children), Self::Inner(next)) => {
                let has_room = children.len() + next.len() <= CHILDREN_MAX / 2;
                if has_room {
                    Arc::make_mut(children).extend(next.iter().cloned());
                }
                has_room
            }
            _ => unreachable!("all leaves are at one depth"),
        }
    }
}

/// Joins a child with a neighbour, if it is small and they fit into one.
fn join(children: &mut Vec<Child>, at: usize) {
    if !children.get(at).is_some_and(|child| child.node.is_small()) {
        return;
    }
    for left in [Some(at), at.checked_sub(1)].into_iter().flatten() {
        let Some([left_child, right_child]) = children.get_mut(left..left + 2) else { continue };
        if left_child.node.absorb(&right_child.node) {
            left_child.count += right_child.count;
            children.remove(left + 1);
            return;
        }
    }
}

/// Inserts an entry into a leaf, which may have to be split in two, or, around a large entry, in
/// three.
fn insert_into_leaf(leaf: &mut Leaf, index: usize, entry: &[u8]) -> Vec<Node> {
    if leaf.has_room(entry) {
        leaf.insert(index, entry);
        return Vec::new();
    }
    if index == leaf.count() {
        return vec![Node::Leaf(Leaf::with(entry))];
    }
    if index == 0 {
        let rest = std::mem::replace(leaf, Leaf::with(entry));
        return vec![Node::Leaf(rest)];
    }
    let middle = leaf.middle().min(leaf.count() - 1);
    let mut right = leaf.split_off(middle);
    let (half, within) =
        if index <= middle { (&mut *leaf, index) } else { (&mut right, index - middle) };
    if half.has_room(entry) {
        half.insert(within, entry);
        return vec![Node::Leaf(right)];
    }
    let behind = half.split_off(within);
    let mut nodes = vec![Leaf::with(entry), behind];
    if index <= middle {
        nodes.push(right);
    } else {
        nodes.insert(0, right);
    }
    nodes.into_iter().filter(|leaf| leaf.count() > 0).map(Node::Leaf).collect()
}

/// Returns the child with an index, and the index in it.
fn locate(children: &[Child], mut index: usize) -> (usize, usize) {
    for (at, child) in children.iter().enumerate() {
        if index < child.count {
            return (at, index);
        }
        index -= child.count;
    }
    unreachable!("the index is one of an entry");
}

/// Returns the child in which to insert before an index: between two, the one before.
fn locate_gap(children: &[Child], mut index: usize) -> (usize, usize) {
    for (at, child) in children.iter().enumerate() {
        if index <= child.count {
            return (at, index);
        }
        index -= child.count;
    }
    unreachable!("the index is one of an entry, or the end");
}

fn count(children: &[Child]) -> usize {
    children.iter().map(|child| child.count).sum()
}
