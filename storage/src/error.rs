//! What can go wrong with bytes on disk, always with the path, and the offset where there is one.

use std::io;
use std::path::{Path, PathBuf};

use crate::fs;
use crate::types::EntryId;

/// An error of the log, the snapshots, or the data directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused. After a failed sync nothing that was written since the last
    /// good one can be believed.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `open`, `sync`, …
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Bytes that were once promised to be there are not what was written.
    #[error("{} is corrupt at offset {offset}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The first bad byte.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that was once promised to be there is not.
    #[error("{}: {reason}", path.display())]
    Missing {
        /// The file or directory that lacks something, or is not there.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The entry can never be written: it does not fit into a segment. Nothing was written.
    #[error("entry {id} takes {bytes} bytes, and a record of the log has at most {limit}")]
    TooLarge {
        /// The entry.
        id: EntryId,
        /// What it takes on disk.
        bytes: usize,
        /// What a record may take.
        limit: usize,
    },
    /// The data is whole but is not ours: another node, another cluster, another version, or in
    /// use.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// Why it is refused, and what to do.
        reason: String,
    },
}

impl Error {
    /// Returns a closure for `map_err` that adds the operation and the path to an I/O error.
    pub fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_path_buf(), source }
    }

    /// Returns a closure for `map_err` that gives back the error that a reader of ours could only
    /// hand out as one of I/O; to any other it adds the path.
    pub fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| error.downcast().unwrap_or_else(Self::io("read", path))
    }

    /// Bytes at `offset` of the file are not what was written there.
    pub(crate) fn corrupt(path: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_path_buf(), offset, reason: reason.into() }
    }

    /// Something is not there that was.
    pub fn missing(path: &Path, reason: impl Into<String>) -> Self {
        Self::Missing { path: path.to_path_buf(), reason: reason.into() }
    }

    /// The file is whole but must not be used.
    pub fn refused(path: &Path, reason: impl Into<String>) -> Self {
        Self::Refused { path: path.to_path_buf(), reason: reason.into() }
    }

    /// Returns the same error once more, for a log that is poisoned by it.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Io { operation, path, source } => {
                let source = match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                Self::Io { operation, path: path.clone(), source }
            }
            Self::Corrupt { path, offset, reason } => Self::corrupt(path, *offset, reason),
            Self::Missing { path, reason } => Self::missing(path, reason),
            Self::TooLarge { id, bytes, limit } => {
                Self::TooLarge { id: *id, bytes: *bytes, limit: *limit }
            }
            Self::Refused { path, reason } => Self::refused(path, reason),
        }
    }

    /// Returns whether the disk has not kept what it was given: bytes have changed or are gone, or
    /// it cannot read them.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::Missing { .. } => true,
            Self::Io { operation: "read", source, .. } => {
                fs::errno(source) == Some(rustix::io::Errno::IO.raw_os_error())
            }
            Self::Io { .. } | Self::TooLarge { .. } | Self::Refused { .. } => false,
        }
    }

    /// Returns the file or directory that it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::Corrupt { path, .. }
            | Self::Missing { path, .. }
            | Self::Refused { path, .. } => Some(path),
            Self::TooLarge { .. } => None,
        }
    }

    /// Returns whether there is no room: on the disk, in a quota, or for one more open file. It may
    /// be there later.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        use rustix::io::Errno;

        let Self::Io { source, .. } = self else { return false };
        let exhausted = [Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::NFILE, Errno::AGAIN];
        exhausted.iter().any(|errno| fs::errno(source) == Some(errno.raw_os_error()))
    }
}
