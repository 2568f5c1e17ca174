//! What a process holds of the machine: the storage code's own traits.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raftkv_storage::fs::{File, FileSystem, Guard, Kind, Map};

use super::SimDisk;
use super::faults::{Fault, Outcome};
use super::inode::{WHOLE, pages};
use super::machine::Machine;

/// A handle, as far as it is the same for all of them.
pub(super) struct Handle {
    machine: Arc<Mutex<Machine>>,
    life: u64,
}

impl Handle {
    pub(super) fn new(machine: &Arc<Mutex<Machine>>) -> Self {
        let life = lock(machine).life;
        Self { machine: Arc::clone(machine), life }
    }

    fn again(&self) -> Self {
        Self { machine: Arc::clone(&self.machine), life: self.life }
    }

    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        lock(&self.machine)
    }

    /// Returns a handle of the life that runs now.
    pub(super) fn renewed(&self) -> Self {
        Self::new(&self.machine)
    }
}

/// A test that has failed while it held the lock has said why; the disk itself is whole.
fn lock(machine: &Mutex<Machine>) -> MutexGuard<'_, Machine> {
    machine.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileSystem for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let node = self.0.machine().create(self.0.life, path)?;
        Ok(Box::new(OpenFile { handle: self.0.again(), node, path: path.into(), write: true }))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn File>> {
        let node = self.0.machine().open(self.0.life, path)?;
        Ok(Box::new(OpenFile { handle: self.0.again(), node, path: path.into(), write }))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Guard>>> {
        let node = self.0.machine().lock(self.0.life, path)?;
        Ok(node.map(|node| Box::new(Locked { handle: self.0.again(), node }) as Box<dyn Guard>))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.0.machine().kind(self.0.life, path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.machine().create_dir(self.0.life, path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.machine().sync_dir(self.0.life, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.machine().rename(self.0.life, from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.machine().remove(self.0.life, path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.machine().list(self.0.life, dir)
    }
}

struct OpenFile {
    handle: Handle,
    node: u64,
    path: PathBuf,
    write: bool,
}

impl OpenFile {
    fn sync(&self, verb: &str) -> io::Result<()> {
        let mut machine = self.handle.machine();
        let what = || format!("{verb} {}", self.path.display());
        let outcome = machine.call(self.handle.life, Some(Fault::Sync), what)?;
        machine.sync(self.node, &WHOLE, outcome)
    }

    fn may_write(&self) -> io::Result<()> {
        if self.write { Ok(()) } else { Err(rustix::io::Errno::BADF.into()) }
    }
}

impl File for OpenFile {
    fn len(&self) -> io::Result<u64> {
        let machine = self.handle.machine();
        machine.check(self.handle.life)?;
        Ok(machine.platter.file(self.node)?.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut machine = self.handle.machine();
        machine.look(self.handle.life, Some(Fault::Read))?;
        Ok(machine.platter.file(self.node)?.read(bytes, offset as usize))
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.may_write()?;
        let mut machine = self.handle.machine();
        let what = || format!("write {} {offset}+{}", self.path.display(), bytes.len());
        let outcome = machine.call(self.handle.life, Some(Fault::Write), what)?;
        machine.write(self.node, bytes, offset as usize, outcome)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.may_write()?;
        let mut machine = self.handle.machine();
        let what = || format!("allocate {} {bytes}", self.path.display());
        let outcome = machine.call(self.handle.life, Some(Fault::Write), what)?;
        machine.allocate(self.node, bytes, outcome)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync("sync data of")
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync("sync")
    }

    fn drop_cache(&self) {
        let mut machine = self.handle.machine();
        if machine.check(self.handle.life).is_ok()
            && let Ok(file) = machine.platter.file_mut(self.node)
        {
            file.drop_cache();
        }
    }

    fn map(&self, length: usize) -> io::Result<Box<dyn Map>> {
        self.may_write()?;
        let mut machine = self.handle.machine();
        machine.look(self.handle.life, None)?;
        if machine.platter.file(self.node)?.len() != length {
            return Err(io::Error::other("the file has another length than its header says"));
        }
        machine.share(self.node);
        let (handle, path) = (self.handle.again(), self.path.clone());
        Ok(Box::new(Mapping { handle, node: self.node, path, length }))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.handle.machine().close(self.handle.life, self.node);
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(formatter)
    }
}

struct Mapping {
    handle: Handle,
    node: u64,
    path: PathBuf,
    length: usize,
}

impl Map for Mapping {
    fn store(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.length, "a store lies within the map");
        let mut machine = self.handle.machine();
        if machine.check(self.handle.life).is_err() {
            return;
        }
        let torn =
            machine.count(|| format!("store {} {offset}+{}", self.path.display(), bytes.len()));
        let outcome = if torn { Outcome::Torn } else { Outcome::Done };
        // It has no return code; that the machine is off shows at the next call.
        let _ = machine.write(self.node, bytes, offset, outcome);
    }

    fn flush(&self, offset: usize, length: usize) -> io::Result<()> {
        let mut machine = self.handle.machine();
        let what = || format!("flush {} {offset}+{length}", self.path.display());
        let outcome = machine.call(self.handle.life, Some(Fault::Sync), what)?;
        machine.sync(self.node, &pages(offset, length), outcome)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.handle.machine().close(self.handle.life, self.node);
    }
}

struct Locked {
    handle: Handle,
    node: u64,
}

impl Guard for Locked {}

impl Drop for Locked {
    fn drop(&mut self) {
        self.handle.machine().unlock(self.handle.life, self.node);
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a lock on node {}", self.node)
    }
}
