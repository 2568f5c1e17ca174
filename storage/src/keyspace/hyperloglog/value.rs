//! What lies in the string of a HyperLogLog: a header, and 16,384 registers in one of two forms.
//!
//! ```text
//! "HYLL" | form u8: dense 0, sparse 1 | 3 bytes unused | count u64 | registers
//! ```
//!
//! Dense, a register has six bits, and four of them three bytes: the first one is in the lowest
//! bits of the first byte. The sparse form is in [`sparse`]. The count is what there was
//! when somebody last counted, its highest bit says that this is out of date. All is little-endian.
//!
//! Any string can be written in the place of one. [`View::of`] refuses what cannot be one at first
//! sight; that the runs of a sparse one are exactly all registers, [`View::check`] and
//! [`Registers::join`] find.

use bytes::BytesMut;

use super::super::reply::Reply;
use super::estimate::{REGISTERS, estimate};
use super::sparse::{self, Run, Runs};

const MAGIC: &[u8] = b"HYLL";
const FORM_AT: usize = 4;
const COUNT_AT: usize = 8;
pub(super) const HEADER_BYTES: usize = 16;

const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS / 4 * 3;

/// The highest bit of the count, in its last byte.
const OUT_OF_DATE: u8 = 0x80;

/// A HyperLogLog as it lies in its string.
pub(super) struct View<'a> {
    bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// Returns the bytes of a string as a HyperLogLog, if they may be one.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, Reply> {
        let is_form = match bytes.get(FORM_AT) {
            Some(&DENSE) => bytes.len() == DENSE_BYTES,
            Some(&SPARSE) => bytes.len() >= HEADER_BYTES,
            _ => false,
        };
        if is_form && bytes.starts_with(MAGIC) {
            return Ok(Self { bytes });
        }
        Err(Reply::error("WRONGTYPE Key is not a valid HyperLogLog string value."))
    }

    /// Returns whether it is in the dense form.
    pub(super) fn is_dense(&self) -> bool {
        self.bytes[FORM_AT] == DENSE
    }

    /// Returns the count that somebody has left, if it is not out of date.
    pub(super) fn kept_count(&self) -> Option<u64> {
        let count: [u8; 8] = self.bytes[COUNT_AT..HEADER_BYTES].try_into().ok()?;
        Some(u64::from_le_bytes(count)).filter(|_| count[7] & OUT_OF_DATE == 0)
    }

    fn registers(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Returns the runs of the sparse form.
    fn runs(&self) -> Runs<'a> {
        Runs(self.registers())
    }

    /// Returns an error unless all registers are there.
    pub(super) fn check(&self) -> Result<(), Reply> {
        if self.is_dense() {
            return Ok(());
        }
        // Each run has a register at least, so that there is an end to it.
        let (mut registers, mut width) = (0, 0);
        for run in self.runs() {
            registers += run.registers;
            width += run.width;
            if registers > REGISTERS {
                break;
            }
        }
        let is_whole = registers == REGISTERS && width == self.registers().len();
        if is_whole { Ok(()) } else { Err(corrupted()) }
    }

    /// Returns the rank that a register holds; zero, if it is empty.
    pub(super) fn register(&self, index: usize) -> u8 {
        if self.is_dense() {
            return dense_register(self.registers(), index);
        }
        let mut first = 0;
        let has = |run: &Run| {
            first += run.registers;
            index < first
        };
        self.runs().find(has).map_or(0, |run| run.rank)
    }

    /// Returns the runs as Redis shows them: `z` and `Z` with their length for the two forms of
    /// empty ones, `v` with rank and length for the others.
    pub(super) fn opcodes(&self) -> Result<String, Reply> {
        if self.is_dense() {
            return Err(Reply::error("ERR HLL encoding is not sparse"));
        }
        self.check()?;
        let show = |run: Run| match (run.rank, run.width) {
            (0, 1) => format!("z:{}", run.registers),
            (0, _) => format!("Z:{}", run.registers),
            (rank, _) => format!("v:{rank},{}", run.registers),
        };
        Ok(self.runs().map(show).collect::<Vec<_>>().join(" "))
    }
}

fn corrupted() -> Reply {
    Reply::error("INVALIDOBJ Corrupted HLL object detected")
}

/// The registers of one or more HyperLogLogs together.
pub(super) struct Registers(Vec<u8>);

impl Default for Registers {
    fn default() -> Self {
        Self(vec![0; REGISTERS])
    }
}

impl Registers {
    /// Takes of each register the higher rank.
    pub(super) fn join(&mut self, view: &View<'_>) -> Result<(), Reply> {
        view.check()?;
        if view.is_dense() {
            let fours = view.registers().as_chunks::<3>().0;
            for (mine, [a, b, c]) in self.0.as_chunks_mut::<4>().0.iter_mut().zip(fours) {
                let four = [a & 0x3f, a >> 6 | b << 2 & 0x3f, b >> 4 | c << 4 & 0x3f, c >> 2];
                *mine = std::array::from_fn(|at| mine[at].max(four[at]));
            }
            return Ok(());
        }
        let mut rest = &mut self.0[..];
        for run in view.runs() {
            let (these, behind) = rest.split_at_mut(run.registers);
            if run.rank > 0 {
                these.iter_mut().for_each(|rank| *rank = run.rank.max(*rank));
            }
            rest = behind;
        }
        Ok(())
    }

    /// Returns the rank of each, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u8> {
        self.0.iter().copied()
    }

    /// Returns those that are not empty, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, u8)> {
        self.iter().enumerate().filter(|(_, rank)| *rank > 0)
    }

    /// Returns how many elements there were.
    pub(super) fn estimate(&self) -> u64 {
        let mut registers_of_rank = [0; 64];
        for rank in &self.0 {
            registers_of_rank[usize::from(*rank & 0x3f)] += 1;
        }
        estimate(&registers_of_rank)
    }
}

/// Raises registers to ranks, where these are higher, of a value that has all its registers, or of
/// one that is to become one from no bytes. The count is out of date then.
pub(super) fn raise(bytes: &mut BytesMut, places: impl Iterator<Item = (usize, u8)>) {
    begin(bytes);
    for (index, rank) in places {
        let view = View { bytes };
        if view.register(index) >= rank {
            continue;
        }
        if !view.is_dense() && !sparse::raise(bytes, index, rank) {
            make_dense(bytes);
        }
        if bytes[FORM_AT] == DENSE {
            set_dense_register(&mut bytes[HEADER_BYTES..], index, rank);
        }
    }
    bytes[HEADER_BYTES - 1] |= OUT_OF_DATE;
}

/// Gives a value that has all its registers, or no bytes yet, the dense form. The count stays.
pub(super) fn make_dense(bytes: &mut BytesMut) {
    begin(bytes);
    let view = View { bytes };
    if view.is_dense() {
        return;
    }
    let mut registers = Registers::default();
    registers.join(&view).expect("the registers were looked at before the value is changed");
    bytes.truncate(HEADER_BYTES);
    bytes[FORM_AT] = DENSE;
    bytes.resize(DENSE_BYTES, 0);
    for (index, rank) in registers.places() {
        set_dense_register(&mut bytes[HEADER_BYTES..], index, rank);
    }
}

/// Gives a value that has no bytes yet those of registers that are all empty.
fn begin(bytes: &mut BytesMut) {
    if bytes.is_empty() {
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[SPARSE]);
        bytes.resize(HEADER_BYTES, 0);
        bytes.extend_from_slice(&sparse::empty());
    }
}

/// Returns the byte in which a register begins, and how many bits of that are in front of it.
fn dense_place(index: usize) -> (usize, usize) {
    (index * 6 / 8, index * 6 % 8)
}

fn dense_register(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = dense_place(index);
    // The last register ends with the last byte.
    let pair = [registers[at], registers.get(at + 1).copied().unwrap_or(0)];
    (u16::from_le_bytes(pair) >> shift) as u8 & 0x3f
}

fn set_dense_register(registers: &mut [u8], index: usize, rank: u8) {
    let (at, shift) = dense_place(index);
    let mask = (0x3f_u16 << shift).to_le_bytes();
    let new = (u16::from(rank) << shift).to_le_bytes();
    for (byte, (mask, new)) in registers[at..].iter_mut().zip(mask.into_iter().zip(new)) {
        *byte = *byte & !mask | new;
    }
}
