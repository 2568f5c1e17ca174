//! What a file system promises, and the few calls that make it keep its word.
//!
//! 1. Bytes are durable when the file was synced. A *name* is durable when its directory was
//!    synced.
//! 2. A file that must appear whole is written under another name, synced, renamed, and then the
//!    directory is synced.
//! 3. Space is promised by `fallocate`, as a return code; a store into a mapping has no return
//!    code.
//! 4. After a failed sync the page cache may hold bytes that the disk never got, and calls them
//!    clean.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, FallocateFlags, OFlags};

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

/// Creates a file for reading and writing that only we may read; a leftover of that name is removed
/// before.
pub(crate) fn create(path: &Path) -> Result<File, Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", path)(error));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    options.open(path).map_err(Error::io("create", path))
}

/// Opens an existing file; a symbolic link in its place is refused.
pub(crate) fn open(path: &Path, write: bool) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(write).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path).map_err(Error::io("open", path))
}

/// Creates the directory, and those above it, if they are not there; only we may enter. Their names
/// are durable afterwards.
pub(crate) fn create_dir(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dir(parent)?;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("create directory", path)(error))
        }
        _ => sync_dir(parent),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(Error::io("sync directory", path))
}

/// Gives the file its final name, durably. What it holds must be durable already.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(Error::io("rename", from))?;
    sync_dir(to.parent().unwrap_or(Path::new(".")))
}

/// Removes the name, durably.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    std::fs::remove_file(path).map_err(Error::io("remove", path))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Returns the files of a directory whose names are text; others cannot be ours.
pub(crate) fn list(dir: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut files = Vec::new();
    for item in std::fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let item = item.map_err(Error::io("list", dir))?;
        if let Ok(name) = item.file_name().into_string() {
            files.push((name, item.path()));
        }
    }
    Ok(files)
}

/// Removes what was not finished when the process last ended.
pub(crate) fn remove_temporary(dir: &Path) -> Result<(), Error> {
    for (name, path) in list(dir)? {
        if name.ends_with(TEMPORARY) {
            tracing::info!(path = %path.display(), "removing an unfinished file");
            std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Allocates the file and fills it with zeros, so that no later store into it can fail for want of
/// space, and none has to convert an extent. Ends early, with `Interrupted`, when `stop` is set.
/// The caller syncs.
pub(crate) fn fill(file: &File, bytes: usize, stop: &AtomicBool) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes as u64) {
        // Not every file system can; then writing the zeros is what finds out whether there is
        // room.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
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
        }
    }
    Ok(())
}

/// Syncs the file and drops it from the page cache: what is read afterwards is what the disk has.
///
/// A process that was killed leaves bytes in the cache that no sync has covered, and one whose sync
/// failed leaves bytes that the disk never got. Neither may be taken for durable by whoever
/// recovers.
pub(crate) fn settle(file: &File, path: &Path) -> Result<(), Error> {
    file.sync_data().map_err(Error::io("sync", path))?;
    // Advice, as the name says: where it is not taken, the sync before it has still been made.
    let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
    Ok(())
}
