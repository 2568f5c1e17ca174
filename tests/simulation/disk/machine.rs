//! The machine behind the handles: nodes, names, and who may still call.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use raftkv_storage::fs::Kind;
use rustix::io::Errno;

use super::Survival;
use super::faults::{Fault, Faults, Outcome, off};
use super::inode::Inode;
use super::names::{Change, Dir};
use super::random::Random;

const ROOT: u64 = 0;

/// What is on the disk and in its cache. Copying it copies no file: they are shared until one of
/// the copies writes.
#[derive(Clone, Debug)]
pub(super) struct Platter {
    dirs: BTreeMap<u64, Dir>,
    files: BTreeMap<u64, Arc<Inode>>,
    next_node: u64,
}

impl Platter {
    fn new() -> Self {
        let dirs = BTreeMap::from([(ROOT, Dir::default())]);
        Self { dirs, files: BTreeMap::new(), next_node: ROOT + 1 }
    }

    fn dir(&self, dir: u64) -> io::Result<&Dir> {
        self.dirs.get(&dir).ok_or_else(|| Errno::NOTDIR.into())
    }

    fn dir_mut(&mut self, dir: u64) -> io::Result<&mut Dir> {
        self.dirs.get_mut(&dir).ok_or_else(|| Errno::NOTDIR.into())
    }

    pub(super) fn file_mut(&mut self, node: u64) -> io::Result<&mut Inode> {
        self.files.get_mut(&node).map(Arc::make_mut).ok_or_else(|| Errno::ISDIR.into())
    }

    pub(super) fn file(&self, node: u64) -> io::Result<&Inode> {
        self.files.get(&node).map(Arc::as_ref).ok_or_else(|| Errno::ISDIR.into())
    }

    /// Returns what stands under a path.
    fn find(&self, path: &Path) -> io::Result<u64> {
        let mut node = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                let name = name.to_str().ok_or(Errno::INVAL)?;
                node = self.dir(node)?.get(name).ok_or(Errno::NOENT)?;
            }
        }
        Ok(node)
    }

    /// Returns the directory and the name that a path ends with.
    fn split(&self, path: &Path) -> io::Result<(u64, String)> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(Errno::INVAL)?;
        let parent = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.dir(parent)?;
        Ok((parent, name.to_owned()))
    }

    fn link(&mut self, dir: u64, name: String) -> io::Result<u64> {
        let node = self.next_node;
        self.dir_mut(dir)?.change(Change::Link(name, node));
        self.next_node += 1;
        Ok(node)
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.len() as u64).sum()
    }

    /// Drops what no name leads to, or ever can again, and nobody has open.
    fn collect(&mut self, open: &BTreeMap<u64, usize>) {
        let mut named: BTreeSet<u64> = open.keys().copied().collect();
        let mut ahead = vec![ROOT];
        while let Some(node) = ahead.pop() {
            if named.insert(node)
                && let Some(dir) = self.dirs.get(&node)
            {
                ahead.extend(dir.mentioned());
            }
        }
        self.files.retain(|node, _| named.contains(node));
        self.dirs.retain(|node, _| named.contains(node));
    }

    fn durable_files(&self, dir: u64, path: &Path, files: &mut Vec<(PathBuf, u64)>) {
        let Some(names) = self.dirs.get(&dir) else { return };
        for (name, node) in names.durable() {
            files.push((path.join(name), node));
            self.durable_files(node, &path.join(name), files);
        }
    }
}

/// Where the machine goes off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) at: u64,
    pub(super) torn: bool,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) platter: Platter,
    pub(super) random: Random,
    pub(super) faults: Faults,
    /// Counts the lives of the machine; a handle belongs to one of them.
    pub(super) life: u64,
    pub(super) off: bool,
    pub(super) stop: Option<Stop>,
    /// How many calls have changed or synced anything.
    pub(super) calls: u64,
    pub(super) trace: Option<Vec<String>>,
    locks: BTreeSet<u64>,
    open: BTreeMap<u64, usize>,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            platter: Platter::new(),
            random: Random::new(seed),
            faults: Faults::default(),
            life: 0,
            off: false,
            stop: None,
            calls: 0,
            trace: None,
            locks: BTreeSet::new(),
            open: BTreeMap::new(),
        }
    }

    /// Begins a new life: no handle of the one before is any good.
    pub(super) fn begin(&mut self) {
        self.life += 1;
        self.off = false;
        self.stop = None;
        self.locks.clear();
        self.open.clear();
        self.platter.collect(&self.open);
    }

    pub(super) fn crash(&mut self, survival: Survival) {
        for dir in self.platter.dirs.values_mut() {
            dir.crash(survival, &mut self.random);
        }
        for file in self.platter.files.values_mut() {
            if !file.is_clean() {
                Arc::make_mut(file).crash(survival, &mut self.random);
            }
        }
        self.begin();
    }

    /// Counts a call that changes nothing and may fail.
    pub(super) fn look(&mut self, life: u64, fault: Option<Fault>) -> io::Result<()> {
        self.check(life)?;
        match self.faults.draw(fault, &mut self.random) {
            Outcome::Fails(errno) => Err(errno.into()),
            Outcome::Done | Outcome::Torn => Ok(()),
        }
    }

    pub(super) fn check(&self, life: u64) -> io::Result<()> {
        if self.off || self.life != life { Err(off()) } else { Ok(()) }
    }

    /// Counts a call that changes or syncs something, and says what becomes of it.
    pub(super) fn call(
        &mut self,
        life: u64,
        fault: Option<Fault>,
        what: impl FnOnce() -> String,
    ) -> io::Result<Outcome> {
        self.check(life)?;
        Ok(if self.count(what) { Outcome::Torn } else { self.faults.draw(fault, &mut self.random) })
    }

    /// Counts a call, and returns whether the machine goes off in the middle of it.
    pub(super) fn count(&mut self, what: impl FnOnce() -> String) -> bool {
        self.calls += 1;
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
        match self.stop {
            Some(stop) if stop.at == self.calls => {
                self.off = true;
                stop.torn
            }
            _ => false,
        }
    }

    /// Begins a change that is made whole or not at all.
    fn change(
        &mut self,
        life: u64,
        fault: Option<Fault>,
        what: impl FnOnce() -> String,
    ) -> io::Result<()> {
        match self.call(life, fault, what)? {
            Outcome::Done => Ok(()),
            Outcome::Torn => Err(off()),
            Outcome::Fails(errno) => Err(errno.into()),
        }
    }

    fn room(&self, more: u64) -> io::Result<()> {
        match self.faults.capacity {
            Some(capacity) if self.platter.used() + more > capacity => Err(Errno::NOSPC.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn create(&mut self, life: u64, path: &Path) -> io::Result<u64> {
        self.change(life, Some(Fault::Open), || format!("create {}", path.display()))?;
        let (dir, name) = self.platter.split(path)?;
        if self.platter.dir(dir)?.get(&name).is_some() {
            return Err(Errno::EXIST.into());
        }
        // An empty file takes a block of its directory, say.
        self.room(1)?;
        let node = self.platter.link(dir, name)?;
        self.platter.files.insert(node, Arc::default());
        *self.open.entry(node).or_default() += 1;
        Ok(node)
    }

    pub(super) fn open(&mut self, life: u64, path: &Path) -> io::Result<u64> {
        self.look(life, Some(Fault::Open))?;
        let node = self.platter.find(path)?;
        self.platter.file(node)?;
        *self.open.entry(node).or_default() += 1;
        Ok(node)
    }

    pub(super) fn share(&mut self, node: u64) {
        *self.open.entry(node).or_default() += 1;
    }

    pub(super) fn close(&mut self, life: u64, node: u64) {
        if self.life == life
            && let Some(count) = self.open.get_mut(&node)
        {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&node);
            }
        }
    }

    /// Takes a lock; `None` when it is taken.
    pub(super) fn lock(&mut self, life: u64, path: &Path) -> io::Result<Option<u64>> {
        let node = match self.platter.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(life, path)?,
            _ => self.open(life, path)?,
        };
        self.close(life, node);
        Ok(self.locks.insert(node).then_some(node))
    }

    pub(super) fn unlock(&mut self, life: u64, node: u64) {
        if self.life == life {
            self.locks.remove(&node);
        }
    }

    pub(super) fn kind(&mut self, life: u64, path: &Path) -> io::Result<Kind> {
        self.look(life, None)?;
        match self.platter.find(path) {
            Ok(node) if self.platter.dirs.contains_key(&node) => Ok(Kind::Directory),
            Ok(_) => Ok(Kind::File),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kind::Absent),
            Err(error) => Err(error),
        }
    }

    pub(super) fn create_dir(&mut self, life: u64, path: &Path) -> io::Result<()> {
        self.change(life, None, || format!("create directory {}", path.display()))?;
        let (dir, name) = self.platter.split(path)?;
        if self.platter.dir(dir)?.get(&name).is_some() {
            return Err(Errno::EXIST.into());
        }
        self.room(1)?;
        let node = self.platter.link(dir, name)?;
        self.platter.dirs.insert(node, Dir::default());
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, life: u64, path: &Path) -> io::Result<()> {
        let what = || format!("sync directory {}", path.display());
        let outcome = self.call(life, Some(Fault::Sync), what)?;
        let dir = self.platter.find(path)?;
        let names = self.platter.dir_mut(dir)?;
        let error = match outcome {
            Outcome::Done => {
                if names.sync() {
                    self.platter.collect(&self.open);
                }
                return Ok(());
            }
            Outcome::Torn => off(),
            Outcome::Fails(errno) => errno.into(),
        };
        names.sync_partly(&mut self.random);
        Err(error)
    }

    pub(super) fn rename(&mut self, life: u64, from: &Path, to: &Path) -> io::Result<()> {
        self.change(life, Some(Fault::Rename), || {
            format!("rename {} to {}", from.display(), to.display())
        })?;
        let (old, from) = self.platter.split(from)?;
        let (new, to) = self.platter.split(to)?;
        let node = self.platter.dir(old)?.get(&from).ok_or(Errno::NOENT)?;
        if old == new {
            self.platter.dir_mut(old)?.change(Change::Rename { from, to, node });
        } else {
            // Each directory has its own fate.
            self.platter.dir_mut(new)?.change(Change::Link(to, node));
            self.platter.dir_mut(old)?.change(Change::Unlink(from));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, life: u64, path: &Path) -> io::Result<()> {
        self.change(life, None, || format!("remove {}", path.display()))?;
        let (dir, name) = self.platter.split(path)?;
        let node = self.platter.dir(dir)?.get(&name).ok_or(Errno::NOENT)?;
        self.platter.file(node)?;
        self.platter.dir_mut(dir)?.change(Change::Unlink(name));
        Ok(())
    }

    pub(super) fn list(&mut self, life: u64, path: &Path) -> io::Result<Vec<String>> {
        self.look(life, None)?;
        let dir = self.platter.find(path)?;
        // Backwards, so that nobody relies on an order.
        Ok(self.platter.dir(dir)?.names().rev().map(|(name, _)| name.clone()).collect())
    }

    pub(super) fn write(
        &mut self,
        node: u64,
        bytes: &[u8],
        offset: usize,
        outcome: Outcome,
    ) -> io::Result<()> {
        let mut written = bytes.len();
        let mut result = match outcome {
            Outcome::Done => Ok(()),
            Outcome::Torn => Err(off()),
            Outcome::Fails(errno) => Err(errno.into()),
        };
        let more = (offset + written).saturating_sub(self.platter.file(node)?.len());
        if result.is_ok() && more > 0 {
            result = self.room(more as u64);
        }
        if result.is_err() {
            written = self.random.below(written + 1);
        }
        let (file, random) = (self.platter.file_mut(node)?, &mut self.random);
        file.write(offset, &bytes[..written]);
        if random.chance(self.faults.write_back_per_million) {
            file.write_back(random);
        }
        result
    }

    pub(super) fn allocate(&mut self, node: u64, bytes: u64, outcome: Outcome) -> io::Result<()> {
        match outcome {
            Outcome::Done => {}
            Outcome::Torn => return Err(off()),
            Outcome::Fails(errno) => return Err(errno.into()),
        }
        self.room(bytes.saturating_sub(self.platter.file(node)?.len() as u64))?;
        self.platter.file_mut(node)?.extend(bytes as usize);
        Ok(())
    }

    pub(super) fn sync(
        &mut self,
        node: u64,
        sectors: &Range<usize>,
        outcome: Outcome,
    ) -> io::Result<()> {
        let (file, random) = (self.platter.file_mut(node)?, &mut self.random);
        match outcome {
            Outcome::Done => {
                file.sync(sectors);
                Ok(())
            }
            Outcome::Torn => {
                file.sync_partly(sectors, random, false);
                Err(off())
            }
            Outcome::Fails(errno) => {
                file.sync_partly(sectors, random, true);
                Err(errno.into())
            }
        }
    }

    /// Returns the files whose names the disk has, with what stands behind them.
    pub(super) fn durable(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        self.platter.durable_files(ROOT, Path::new("/"), &mut files);
        files.retain(|(_, node)| self.platter.files.contains_key(node));
        files
    }

    pub(super) fn wipe(&mut self) {
        self.platter = Platter::new();
        self.begin();
    }

    pub(super) fn used(&self) -> u64 {
        self.platter.used()
    }
}
