//! What is to happen, by time, and at one time in the order of coming.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The events stand still in their slots; only what orders them moves.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    /// The time, the number in the order of coming, and the slot.
    order: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Option<E>>,
    free: Vec<usize>,
    count: u64,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { order: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), count: 0 }
    }

    pub(crate) fn push(&mut self, time: u64, event: E) {
        self.count += 1;
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(Some(event));
        } else {
            self.slots[slot] = Some(event);
        }
        self.order.push(Reverse((time, self.count, slot)));
    }

    /// Takes the next event, unless it happens later than this.
    pub(crate) fn pop_until(&mut self, end: u64) -> Option<(u64, E)> {
        let Reverse((time, _, slot)) = *self.order.peek().filter(|next| next.0.0 <= end)?;
        self.order.pop();
        self.free.push(slot);
        Some((time, self.slots[slot].take().expect("its slot is full")))
    }
}
