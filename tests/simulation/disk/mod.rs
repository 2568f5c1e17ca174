//! A disk that loses, tears, reorders, fails and rots, and does all of it again for the same seed.
//!
//! It is a POSIX file system over a volatile cache, seen by a pessimist:
//!
//! - Files and names are changed in the cache. A sync of a file, or of the pages of a mapping that
//!   lie in the range, makes its bytes and its length durable; a sync of a directory its names.
//! - A crash decides sector by sector what of the rest survives ([`Survival`]); of the changes to a
//!   directory that no sync covered, some of the first.
//! - A sync that fails leaves sectors that the cache calls clean and the disk never got, until the
//!   cache is dropped. No later sync writes them.
//! - Handles, mappings and locks belong to one life of the machine. After a crash each call on them
//!   fails, and stores are ignored.
//!
//! [`SimDisk`] is the remote control of one machine and, as a file system of the storage code, all
//! that a process on it sees. A clone belongs to the life in which it is made, so each start of a
//! process begins with [`SimDisk::place`] or `clone`.

#![allow(dead_code, unused_imports, reason = "each test that shares it uses a part of it")]

mod faults;
mod handles;
mod inode;
mod machine;
mod names;
mod random;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use raftkv_storage::fs::Place;
use rustix::io::Errno;

pub(crate) use self::faults::Fault;
use self::handles::Handle;
pub(crate) use self::inode::{Rot, SECTOR};
use self::machine::{Machine, Platter, Stop};
pub(crate) use self::random::Random;

/// What survives a crash of what no sync has covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survival {
    /// Nothing: the power was cut before anything was written back.
    LoseAll,
    /// Everything, and it is as dirty as before: the process was killed, the machine goes on.
    KeepAll,
    /// Any sector and any length, each for itself; of a directory's changes, some of the first.
    Random,
}

/// A machine with its disk.
pub(crate) struct SimDisk(Handle);

/// What a disk and its cache held at some moment. Cheap to copy.
#[derive(Clone, Debug)]
pub(crate) struct DiskState(Platter, Random);

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Handle::new(&Arc::new(Mutex::new(Machine::new(seed)))))
    }

    /// Returns a path as the process that starts now sees it.
    pub(crate) fn place(&self, path: impl Into<PathBuf>) -> Place {
        Place::new(Arc::new(self.clone()), path)
    }

    /// Ends the process, and for all but [`Survival::KeepAll`] cuts the power; a machine that had
    /// been stopped is on again. Faults stay as they are set.
    pub(crate) fn crash(&self, survival: Survival) {
        self.0.machine().crash(survival);
    }

    /// Lets the machine go off right after so many more calls that change or sync something; after
    /// that all fail, until the crash. None more: now.
    pub(crate) fn stop_at(&self, call: u64) {
        self.stop(call, false);
    }

    /// Lets the machine go off in the middle of that call: it may be done in part, and fails.
    pub(crate) fn stop_within(&self, call: u64) {
        self.stop(call, true);
    }

    fn stop(&self, call: u64, torn: bool) {
        let mut machine = self.0.machine();
        machine.off |= call == 0;
        machine.stop = Some(Stop { at: machine.calls + call, torn });
    }

    /// Lets it not go off after all.
    pub(crate) fn stop_never(&self) {
        self.0.machine().stop = None;
    }

    pub(crate) fn is_off(&self) -> bool {
        self.0.machine().off
    }

    /// Returns how many calls have changed or synced something.
    pub(crate) fn calls(&self) -> u64 {
        self.0.machine().calls
    }

    /// Returns how many calls there were that can fail; those that look are among them, stores are
    /// not.
    pub(crate) fn fallible_calls(&self) -> u64 {
        self.0.machine().faults.fallible
    }

    /// Lets one call fail, counted from now in calls that can.
    pub(crate) fn fail_at(&self, call: u64, errno: Errno) {
        self.0.machine().faults.fail_at(call, errno);
    }

    /// Lets the next call of this kind fail.
    pub(crate) fn fail_next(&self, fault: Fault) {
        self.0.machine().faults.fail_next(fault);
    }

    /// Lets calls of this kind fail so many times in a million.
    pub(crate) fn set_rate(&self, fault: Fault, per_million: u32) {
        self.0.machine().faults.set_rate(fault, per_million);
    }

    /// Sets how many bytes all files together may have. `None`: there is always room.
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.0.machine().faults.capacity = bytes;
    }

    /// Lets so many writes and stores in a million be followed by the write-back of a sector.
    pub(crate) fn set_write_back(&self, per_million: u32) {
        self.0.machine().faults.write_back_per_million = per_million;
    }

    /// No more faults, and room for everything.
    pub(crate) fn heal(&self) {
        self.0.machine().faults.clear();
    }

    /// Returns how many bytes all files have together.
    pub(crate) fn used(&self) -> u64 {
        self.0.machine().used()
    }

    /// Returns the files that are on the disk, with their lengths there, in the order of their
    /// paths.
    pub(crate) fn files(&self) -> Vec<(PathBuf, u64)> {
        let machine = self.0.machine();
        let files = machine.durable().into_iter().filter_map(|(path, node)| {
            let length = machine.platter.file(node).ok()?.durable_len();
            Some((path, length as u64))
        });
        files.collect()
    }

    /// Lets a sector of a file decay on the disk. Returns whether the disk holds something else
    /// now.
    pub(crate) fn corrupt(&self, path: &Path, sector: usize, rot: Rot) -> bool {
        let machine = &mut *self.0.machine();
        let Some((_, node)) = machine.durable().into_iter().find(|(name, _)| name == path) else {
            return false;
        };
        let Ok(file) = machine.platter.file_mut(node) else { return false };
        file.rot(sector, rot, &mut machine.random)
    }

    /// Replaces the disk by an empty one.
    pub(crate) fn remove_all(&self) {
        self.0.machine().wipe();
    }

    pub(crate) fn clone_state(&self) -> DiskState {
        let machine = self.0.machine();
        DiskState(machine.platter.clone(), machine.random.clone())
    }

    /// Puts the disk and its cache back to what they were, for a new life. Faults stay as they are.
    pub(crate) fn restore(&self, state: &DiskState) {
        let machine = &mut *self.0.machine();
        let DiskState(platter, random) = state.clone();
        (machine.platter, machine.random) = (platter, random);
        machine.begin();
    }

    /// Lets chance go on from another seed.
    pub(crate) fn reseed(&self, seed: u64) {
        self.0.machine().random = Random::new(seed);
    }

    /// Begins to write down every call that changes or syncs something.
    pub(crate) fn start_trace(&self) {
        self.0.machine().trace = Some(Vec::new());
    }

    /// Returns what was written down, and goes on with an empty page.
    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.0.machine().trace.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Clone for SimDisk {
    fn clone(&self) -> Self {
        Self(self.0.renewed())
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a simulated disk")
    }
}
