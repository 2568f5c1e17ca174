//! Bytes as decisions: a target draws what it does from the front of its input.

/// What is left of an input. When nothing is, everything drawn is zero or empty.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Draws a number below the bound, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let number = match bound {
            0..=0x100 => u64::from(self.byte()),
            0x101..=0x1_0000 => u64::from(self.array().map_or(0, u16::from_le_bytes)),
            _ => self.array().map_or(0, u64::from_le_bytes),
        };
        (number % bound as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Draws a number: a small one from one byte, any other from eight more.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            // The greatest ones, where sums overflow.
            byte @ 0xf0..=0xf7 => u64::MAX - u64::from(byte - 0xf0),
            0xf8..=0xff => self.array().map_or(0, u64::from_le_bytes),
            byte => u64::from(byte),
        }
    }

    /// Draws bytes behind their length, of which there are at most 255.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// Takes all that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }
}
