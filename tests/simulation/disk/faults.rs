//! What can go wrong on a machine that stays on, and when it goes off.

use std::io;

use rustix::io::Errno;

use super::random::Random;

/// A kind of call, as far as it can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A sync of a file, a range of it, or a directory: EIO.
    Sync,
    /// A write: EIO.
    Write,
    /// A read: EIO.
    Read,
    /// Opening, creating or locking: EMFILE.
    Open,
    /// A rename: EIO.
    Rename,
}

impl Fault {
    const COUNT: usize = 5;

    fn errno(self) -> Errno {
        match self {
            Self::Open => Errno::MFILE,
            Self::Sync | Self::Write | Self::Read | Self::Rename => Errno::IO,
        }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Done,
    /// The machine goes off in the middle of it.
    Torn,
    Fails(Errno),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    per_million: [u32; Fault::COUNT],
    next: [bool; Fault::COUNT],
    /// The call that fails whatever it is, counted in all that can fail.
    at: Option<(u64, Errno)>,
    pub(super) capacity: Option<u64>,
    pub(super) write_back_per_million: u32,
    /// How many calls that can fail there were.
    pub(super) fallible: u64,
}

impl Faults {
    pub(super) fn set_rate(&mut self, fault: Fault, per_million: u32) {
        self.per_million[fault as usize] = per_million;
    }

    pub(super) fn fail_next(&mut self, fault: Fault) {
        self.next[fault as usize] = true;
    }

    pub(super) fn fail_at(&mut self, call: u64, errno: Errno) {
        self.at = Some((self.fallible + call, errno));
    }

    /// Nothing fails any more; counts go on.
    pub(super) fn clear(&mut self) {
        *self = Self { fallible: self.fallible, ..Self::default() };
    }

    /// Counts a call, and says whether it fails. One that is of no kind fails only by its number.
    pub(super) fn draw(&mut self, fault: Option<Fault>, random: &mut Random) -> Outcome {
        self.fallible += 1;
        if let Some((at, errno)) = self.at
            && at == self.fallible
        {
            self.at = None;
            return Outcome::Fails(errno);
        }
        let Some(fault) = fault else { return Outcome::Done };
        let next = std::mem::take(&mut self.next[fault as usize]);
        if next || random.chance(self.per_million[fault as usize]) {
            return Outcome::Fails(fault.errno());
        }
        Outcome::Done
    }
}

/// What every call answers once the machine is off.
pub(super) fn off() -> io::Error {
    io::Error::other("the simulated machine is off")
}
