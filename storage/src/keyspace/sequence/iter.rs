//! Walks over a sequence, in both directions, and what is taken along from them.

use std::ops::Range;
use std::slice;

use bytes::Bytes;
use triomphe::Arc;

use super::Sequence;
use super::leaf::{Leaf, Ranges};
use super::node::{Child, Node};

/// An entry, and the memory it lies in.
#[derive(Clone, Debug)]
pub(in super::super) struct Piece<'a> {
    leaf: &'a Leaf,
    range: Range<usize>,
}

impl<'a> Piece<'a> {
    pub(super) fn new(leaf: &'a Leaf, range: Range<usize>) -> Self {
        Self { leaf, range }
    }

    /// Returns the entry.
    pub(in super::super) fn as_bytes(&self) -> &'a [u8] {
        &self.leaf.bytes()[self.range.clone()]
    }
}

/// What is kept of entries is a part of the memory that they lie in, not a copy: one piece of it
/// for all entries of a leaf that follow each other.
#[derive(Debug, Default)]
pub(in super::super) struct Sharer {
    last: Option<(Arc<Vec<u8>>, Bytes)>,
}

/// The memory of a leaf.
struct Owner(Arc<Vec<u8>>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Sharer {
    /// Returns a part of an entry, to be kept.
    pub(in super::super) fn share(&mut self, piece: &Piece<'_>, part: Range<usize>) -> Bytes {
        let memory = piece.leaf.bytes();
        let start = piece.range.start;
        let part = start + part.start..start + part.end;
        match &self.last {
            Some((last, bytes)) if Arc::ptr_eq(last, memory) => bytes.slice(part),
            _ => {
                let bytes = Bytes::from_owner(Owner(memory.clone()));
                let shared = bytes.slice(part);
                self.last = Some((memory.clone(), bytes));
                shared
            }
        }
    }
}

/// Entries in order.
#[derive(Debug)]
pub(in super::super) struct Forward<'a> {
    stack: Vec<slice::Iter<'a, Child>>,
    leaf: Option<(&'a Leaf, Ranges<'a>)>,
}

impl<'a> Forward<'a> {
    pub(super) fn new(sequence: &'a Sequence, mut index: usize) -> Self {
        let mut walk = Self { stack: Vec::new(), leaf: None };
        if index >= sequence.len {
            return walk;
        }
        let mut node = &sequence.root;
        while let Node::Inner(children) = node {
            let mut rest = children.iter();
            node = loop {
                let Some(child) = rest.next() else { return walk };
                if index < child.count {
                    break &child.node;
                }
                index -= child.count;
            };
            walk.stack.push(rest);
        }
        walk.enter(node);
        if let Some((_, ranges)) = &mut walk.leaf {
            ranges.by_ref().take(index).for_each(drop);
        }
        walk
    }

    /// Goes down to the first leaf below a node.
    fn enter(&mut self, mut node: &'a Node) {
        loop {
            match node {
                Node::Leaf(leaf) => {
                    self.leaf = Some((leaf, leaf.ranges()));
                    return;
                }
                Node::Inner(children) => {
                    let mut rest = children.iter();
                    let Some(first) = rest.next() else { return };
                    self.stack.push(rest);
                    node = &first.node;
                }
            }
        }
    }
}

impl<'a> Iterator for Forward<'a> {
    type Item = Piece<'a>;

    #[inline]
    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            let (leaf, ranges) = self.leaf.as_mut()?;
            if let Some(range) = ranges.next() {
                return Some(Piece::new(leaf, range));
            }
            self.leaf = None;
            while let Some(rest) = self.stack.last_mut() {
                match rest.next() {
                    Some(child) => {
                        self.enter(&child.node);
                        break;
                    }
                    None => drop(self.stack.pop()),
                }
            }
        }
    }
}

/// Entries from the last to the first.
#[derive(Debug)]
pub(in super::super) struct Backward<'a> {
    sequence: &'a Sequence,
    /// How many are left.
    left: usize,
    leaf: Option<&'a Leaf>,
    /// Those of the leaf that are left, in order.
    ranges: Vec<Range<usize>>,
}

impl<'a> Backward<'a> {
    pub(super) fn new(sequence: &'a Sequence, index: usize) -> Self {
        Self { sequence, left: index.min(sequence.len), leaf: None, ranges: Vec::new() }
    }
}

impl<'a> Iterator for Backward<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.ranges.is_empty() {
            let (leaf, within) = self.sequence.root.find(self.left.checked_sub(1)?);
            self.leaf = Some(leaf);
            self.ranges.extend(leaf.ranges().take(within + 1));
        }
        self.left -= 1;
        let range = self.ranges.pop()?;
        Some(Piece::new(self.leaf?, range))
    }
}
