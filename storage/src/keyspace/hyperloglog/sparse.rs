//! The form of a HyperLogLog while it is small: runs of registers that hold the same.
//!
//! ```text
//! 00nnnnnn            n + 1 registers that are empty
//! 01nnnnnn nnnnnnnn   n + 1 registers that are empty
//! 1rrrrrnn            n + 1 registers that hold rank r + 1
//! ```
//!
//! The same registers can be told in many ways. Which way it is depends on how they came about, and
//! here each step is the one that Redis takes, so that the bytes are the same: the run that has the
//! register is cut around it, then a few runs from the one before on are joined where they can be.
//! What is not worth it any more, or not possible, becomes dense.

use bytes::BytesMut;

use super::estimate::REGISTERS;
use super::value::HEADER_BYTES;

/// The most bytes of the whole value: Redis' `hll-sparse-max-bytes`.
const BYTES_MAX: usize = 3000;
/// The highest rank that a run can hold.
const RANK_MAX: u8 = 32;
/// The most registers in a run that holds a rank, and in the shorter form of an empty one.
const HELD_MAX: usize = 4;
const SHORT_EMPTY_MAX: usize = 64;
/// How many runs are looked at to be joined.
const JOINED_MAX: usize = 5;

/// Registers beside each other that hold the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Zero: they are empty.
    pub(super) rank: u8,
    pub(super) registers: usize,
    /// How many bytes tell it.
    pub(super) width: usize,
}

impl Run {
    /// Reads the run at the front of bytes. There is none if they end within it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Self { rank: 0, registers: low + 1, width: 1 },
            1 => {
                let registers = (low << 8 | usize::from(*bytes.get(1)?)) + 1;
                Self { rank: 0, registers, width: 2 }
            }
            _ => Self {
                rank: (first >> 2 & 0x1f) + 1,
                registers: usize::from(first & 3) + 1,
                width: 1,
            },
        })
    }

    /// Appends the bytes of a run, unless it has no registers.
    fn write(rank: u8, registers: usize, bytes: &mut Vec<u8>) {
        let Some(more) = registers.checked_sub(1) else { return };
        if rank > 0 {
            bytes.push(0x80 | (rank - 1) << 2 | more as u8);
        } else if registers <= SHORT_EMPTY_MAX {
            bytes.push(more as u8);
        } else {
            bytes.extend([0x40 | (more >> 8) as u8, more as u8]);
        }
    }
}

/// The runs of some bytes, to where they end or make no sense.
pub(super) struct Runs<'a>(pub(super) &'a [u8]);

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let run = Run::read(self.0)?;
        self.0 = &self.0[run.width..];
        Some(run)
    }
}

/// Returns the bytes of registers that are all empty.
pub(super) fn empty() -> Vec<u8> {
    let mut bytes = Vec::new();
    Run::write(0, REGISTERS, &mut bytes);
    bytes
}

/// Raises a register of a value that has all of them, to a rank above that which it holds. Returns
/// whether it has: else the value has to become dense.
pub(super) fn raise(bytes: &mut BytesMut, index: usize, rank: u8) -> bool {
    if rank > RANK_MAX {
        return false;
    }
    let (mut at, mut before, mut first) = (HEADER_BYTES, HEADER_BYTES, 0);
    let run = loop {
        let run = Run::read(&bytes[at..]).expect("all registers are in a run");
        if index < first + run.registers {
            break run;
        }
        (before, at, first) = (at, at + run.width, first + run.registers);
    };
    let mut runs = Vec::with_capacity(5);
    Run::write(run.rank, index - first, &mut runs);
    Run::write(rank, 1, &mut runs);
    Run::write(run.rank, first + run.registers - index - 1, &mut runs);
    if runs.len() > run.width && bytes.len() + runs.len() - run.width > BYTES_MAX {
        return false;
    }
    replace(bytes, at, run.width, &runs);
    join(bytes, before);
    true
}

/// Joins runs of the same rank, where one byte can tell them.
fn join(bytes: &mut BytesMut, mut at: usize) {
    for _ in 0..JOINED_MAX {
        let Some(run) = Run::read(&bytes[at..]) else { return };
        let next = Run::read(&bytes[at + run.width..]);
        let next = next.filter(|next| run.rank > 0 && next.rank == run.rank);
        match next.map(|next| run.registers + next.registers) {
            // The joined run may be joined with what follows.
            Some(registers) if registers <= HELD_MAX => {
                let mut joined = Vec::with_capacity(1);
                Run::write(run.rank, registers, &mut joined);
                replace(bytes, at, 2, &joined);
            }
            _ => at += run.width,
        }
    }
}

/// Puts bytes in the place of others.
fn replace(bytes: &mut BytesMut, at: usize, width: usize, new: &[u8]) {
    let (length, end) = (bytes.len(), at + width);
    if new.len() > width {
        bytes.resize(length + new.len() - width, 0);
    }
    bytes.copy_within(end..length, at + new.len());
    bytes.truncate(length + new.len() - width);
    bytes[at..at + new.len()].copy_from_slice(new);
}
