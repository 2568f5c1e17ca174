//! The operating system's files.

use std::collections::BTreeMap;
use std::fs::{OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Advice, FallocateFlags, OFlags};

use super::reclaim::Reclaimer;
use super::{File, FileSystem, Guard, Kind, Map, map};

/// The file system of the operating system.
#[derive(Debug, Default)]
pub struct Os {
    /// The directories that were synced, which stay open. A name that was given has to become
    /// durable also when there is no file descriptor left to open its directory with.
    directories: Mutex<BTreeMap<PathBuf, Arc<std::fs::File>>>,
    removed: Reclaimer,
}

impl Os {
    fn directories(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<std::fs::File>>> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, path: &Path) -> io::Result<Arc<std::fs::File>> {
        let mut directories = self.directories();
        if let Some(directory) = directories.get(path) {
            return Ok(Arc::clone(directory));
        }
        let directory = Arc::new(std::fs::File::open(path)?);
        directories.insert(path.to_path_buf(), Arc::clone(&directory));
        Ok(directory)
    }
}

/// Refuses a symbolic link in the place of a file.
pub(super) fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
}

impl FileSystem for Os {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Box::new(options.open(path)?))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn File>> {
        let mut options = OpenOptions::new();
        Ok(Box::new(no_follow(options.read(true).write(write)).open(path)?))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Guard>>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = no_follow(&mut options).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Kind::Directory),
            Ok(_) => Ok(Kind::File),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kind::Absent),
            Err(error) => Err(error),
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.directories().remove(path);
        std::fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.directory(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.removed.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for item in std::fs::read_dir(dir)? {
            names.extend(item?.file_name().into_string());
        }
        Ok(names)
    }
}

/// Closing the file gives the lock back.
impl Guard for std::fs::File {}

impl File for std::fs::File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, FallocateFlags::empty(), 0, bytes) {
            // Not every file system can; then writing the zeros is what finds out whether there is
            // room.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn drop_cache(&self) {
        // Where it is not taken, the sync before it has still been made.
        let _ = rustix::fs::fadvise(self, 0, None, Advice::DontNeed);
    }

    fn map(&self, length: usize) -> io::Result<Box<dyn Map>> {
        Ok(Box::new(map::Mapped::new(self, length)?))
    }
}
