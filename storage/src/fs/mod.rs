//! What a file system promises, the few calls that make it keep its word, and the trait that lets
//! a test be the disk.
//!
//! 1. Bytes are durable when the file was synced. A *name* is durable when its directory was
//!    synced.
//! 2. A file that must appear whole is written under another name, synced, renamed, and then the
//!    directory is synced.
//! 3. Space is promised by `fallocate`, as a return code; a store into a mapping has no return
//!    code.
//! 4. After a failed sync the page cache may hold bytes that the disk never got, and calls them
//!    clean.
//!
//! Log, snapshots and data directory reach the disk through [`FileSystem`] alone. Nothing above it
//! knows whether the disk is one ([`Os`]) or a simulated one that tears, loses and lies.

mod map;
mod os;
mod reclaim;
mod sigbus;

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use self::os::Os;
pub use self::reclaim::REMOVED_FILES_MAX;
pub use self::sigbus::explain_sigbus;
use crate::background::Pace;
use crate::error::Error;

/// A page, and the unit in which segments are filled with zeros.
///
/// The unit matters: larger writes leave larger folios in the page cache, and one dirty byte then
/// writes a whole folio back. Segments filled with 1 MiB writes sync 2.5 times slower;
/// `benches/log.rs` keeps watch.
pub(crate) const PAGE: usize = 4096;

/// How much is filled before it is synced. The log's own syncs wait behind what is on its way to
/// the disk: with all 64 MiB at once the longest took 50 ms, with 1 MiB 30 ms, with this 5 ms.
const FILL_SYNC: usize = 256 * 1024;

/// What the names of files end with that are not finished. Whoever opens the directory removes
/// them.
pub(crate) const TEMPORARY: &str = ".tmp";

/// A file system: names, and the files behind them. Symbolic links are never followed to a file.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// Creates a file for reading and writing that only its owner may read. The name must be free.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens a file that is there.
    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn File>>;

    /// Takes the lock that goes with this name until the guard is dropped; `None` when another
    /// process has it. The end of a process gives it back.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Guard>>>;

    /// Returns what stands under this name.
    fn kind(&self, path: &Path) -> io::Result<Kind>;

    /// Creates a directory that only its owner may enter. What is above it must be there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name in one step; what had that name has it no more.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the name of a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns the names in a directory that are text, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing has this name.
    Absent,
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// An open file.
#[allow(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait File: fmt::Debug + Send + Sync {
    /// Returns its length.
    fn len(&self) -> io::Result<u64>;

    /// Reads at an offset. Fewer bytes than asked for, zero at the end.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset, all of it.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Promises space for the first so many bytes, as far as the file system can.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Makes the bytes durable, and the length as far as reading them needs it.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the bytes and all that is known of the file durable.
    fn sync_all(&self) -> io::Result<()>;

    /// Asks the system to forget what it holds of the file in memory. Advice.
    fn drop_cache(&self);

    /// Maps the whole file, which must have this length, for writing.
    fn map(&self, length: usize) -> io::Result<Box<dyn Map>>;
}

/// A file's bytes as memory that is written. A store has no return code: see rule 3.
pub trait Map: Send {
    /// Copies bytes into the map.
    ///
    /// # Panics
    ///
    /// When the bytes do not lie within the map.
    fn store(&mut self, offset: usize, bytes: &[u8]);

    /// Makes a range durable.
    fn flush(&self, offset: usize, length: usize) -> io::Result<()>;
}

/// A lock that is given back when this is dropped.
pub trait Guard: fmt::Debug + Send + Sync {}

/// A path, and the file system that it is a path of. Made from a path alone it is one of the
/// operating system's.
#[derive(Clone)]
pub struct Place {
    system: Arc<dyn FileSystem>,
    path: PathBuf,
}

impl Place {
    /// Returns the place of this path in this file system.
    #[must_use]
    pub fn new(system: Arc<dyn FileSystem>, path: impl Into<PathBuf>) -> Self {
        Self { system, path: path.into() }
    }

    /// Returns a place in this directory.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> Self {
        self.at(self.path.join(name))
    }

    /// Returns the directory that it is in.
    #[must_use]
    pub fn dir(&self) -> Self {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.at(parent.into()),
            _ => self.at(".".into()),
        }
    }

    /// Opens the file that is there, for reading.
    pub fn open(&self) -> Result<Box<dyn File>, Error> {
        self.system.open(self, false).map_err(Error::io("open", self))
    }

    fn at(&self, path: PathBuf) -> Self {
        Self { system: Arc::clone(&self.system), path }
    }

    pub(crate) fn kind(&self) -> Result<Kind, Error> {
        self.system.kind(self).map_err(Error::io("look at", self))
    }

    /// Returns whether anything has this name.
    pub fn is_there(&self) -> Result<bool, Error> {
        Ok(self.kind()? != Kind::Absent)
    }

    /// Opens the file that is there, for writing too.
    pub(crate) fn open_to_write(&self) -> Result<Box<dyn File>, Error> {
        self.system.open(self, true).map_err(Error::io("open", self))
    }

    /// Creates a file; a leftover of that name is removed before.
    pub(crate) fn create(&self) -> Result<Box<dyn File>, Error> {
        match self.system.remove(self) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", self)(error));
            }
            _ => {}
        }
        self.system.create(self).map_err(Error::io("create", self))
    }

    pub(crate) fn lock(&self) -> Result<Option<Box<dyn Guard>>, Error> {
        self.system.lock(self).map_err(Error::io("lock", self))
    }

    /// Creates the directory, and those above it, if they are not there. Their names are durable
    /// afterwards.
    pub(crate) fn create_dir(&self) -> Result<(), Error> {
        let parent = self.dir();
        if self.kind()? == Kind::Directory {
            return match parent.system.sync_dir(&parent) {
                // Where we may not look we have made nothing, or would have failed then.
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                    Err(Error::io("sync directory", &parent)(error))
                }
                // What is there may be what a process made that was killed before it could sync.
                _ => Ok(()),
            };
        }
        parent.create_dir()?;
        match self.system.create_dir(self) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io("create directory", self)(error))
            }
            _ => parent.sync_dir(),
        }
    }

    /// Makes the names in this directory durable.
    pub(crate) fn sync_dir(&self) -> Result<(), Error> {
        self.system.sync_dir(self).map_err(Error::io("sync directory", self))
    }

    /// Gives the file its final name, durably. What it holds must be durable already.
    pub(crate) fn rename(&self, to: &Self) -> Result<(), Error> {
        self.system.rename(self, to).map_err(Error::io("rename", self))?;
        to.dir().sync_dir()
    }

    /// Removes the name, durably.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        self.system.remove(self).map_err(Error::io("remove", self))?;
        self.dir().sync_dir()
    }

    /// Removes a file that means nothing; one that cannot be removed is met again by
    /// [`Place::take_over`].
    pub(crate) fn discard(&self) {
        let _ = self.system.remove(self);
    }

    /// Returns the files of this directory whose names are text, by name; others cannot be ours.
    pub(crate) fn list(&self) -> Result<Vec<(String, Self)>, Error> {
        let mut names = self.system.list(self).map_err(Error::io("list", self))?;
        names.sort_unstable();
        Ok(names.into_iter().map(|name| (name.clone(), self.join(name))).collect())
    }

    /// Takes over the directory from a process that has ended: removes what it did not finish, and
    /// makes the names that are left durable. One that was killed leaves names that no sync has
    /// covered; what is built on them would go with them when the power fails.
    pub(crate) fn take_over(&self) -> Result<(), Error> {
        for (name, place) in self.list()? {
            if name.ends_with(TEMPORARY) {
                tracing::info!(path = %place.display(), "removing an unfinished file");
                self.system.remove(&place).map_err(Error::io("remove", &place))?;
            }
        }
        self.sync_dir()
    }
}

impl Deref for Place {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(formatter)
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::new(Arc::new(Os::default()), path)
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Self {
        path.clone().into()
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        path.to_path_buf().into()
    }
}

impl From<&Self> for Place {
    fn from(place: &Self) -> Self {
        place.clone()
    }
}

/// Reads a file from its beginning on.
#[derive(Debug)]
pub struct FileReader {
    file: Box<dyn File>,
    offset: u64,
}

impl FileReader {
    /// Begins at the beginning.
    #[must_use]
    pub fn new(file: Box<dyn File>) -> Self {
        Self { file, offset: 0 }
    }
}

/// Who has to look for the bad block wants to know where.
#[derive(Debug, thiserror::Error)]
#[error("at offset {offset}: {source}")]
struct Unreadable {
    offset: u64,
    source: io::Error,
}

/// Returns the operating system's number of an error, whoever has added what to it.
pub(crate) fn errno(error: &io::Error) -> Option<i32> {
    let added = || error.get_ref()?.downcast_ref::<Unreadable>()?.source.raw_os_error();
    error.raw_os_error().or_else(added)
}

impl io::Read for FileReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.offset).map_err(|source| {
            io::Error::new(source.kind(), Unreadable { offset: self.offset, source })
        })?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Writes a file from its beginning on, and keeps what waits for the disk short: left to the end, a
/// sync would be one that every other write has to wait for.
#[derive(Debug)]
pub(crate) struct FileWriter {
    file: Box<dyn File>,
    offset: u64,
    unsynced: usize,
}

/// How much a [`FileWriter`] writes before it is synced.
const WRITER_SYNC: usize = 1024 * 1024;

impl FileWriter {
    pub(crate) fn new(file: Box<dyn File>) -> Self {
        Self { file, offset: 0, unsynced: 0 }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes all of it. After an error nobody knows where the file ends.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        self.unsynced += bytes.len();
        if self.unsynced >= WRITER_SYNC {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Allocates the file and fills it with zeros, so that no later store into it can fail for want of
/// space, and none has to convert an extent. Ends early, with `Interrupted`, when `stop` is set.
/// The caller syncs.
pub(crate) fn fill(
    file: &dyn File,
    bytes: usize,
    pace: &mut Pace,
    stop: &AtomicBool,
) -> io::Result<()> {
    file.allocate(bytes as u64)?;
    let zeros = [0; PAGE];
    let mut offset = 0;
    while offset < bytes {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = PAGE.min(bytes - offset);
        file.write_all_at(&zeros[..length], offset as u64)?;
        offset += length;
        if offset.is_multiple_of(FILL_SYNC) {
            file.sync_data()?;
            pace.rest_after(FILL_SYNC);
        }
    }
    Ok(())
}

/// Syncs the file and drops it from the page cache: what is read afterwards is what the disk has.
///
/// A process that was killed leaves bytes in the cache that no sync has covered, and one whose sync
/// failed leaves bytes that the disk never got. Neither may be taken for durable by whoever
/// recovers.
pub(crate) fn settle(file: &dyn File, path: &Path) -> Result<(), Error> {
    file.sync_data().map_err(Error::io("sync", path))?;
    file.drop_cache();
    Ok(())
}
