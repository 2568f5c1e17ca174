//! What can go wrong with bytes on disk, always with the path, and the offset where there is one.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the log, the snapshots, or the data directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused. After a failed sync nothing that was written since the last good one can be believed.
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
    /// The data is whole but is not ours: another node, another cluster, another version, or in use.
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

    /// Returns whether the disk is full.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}
