//! What outlives a process, and the keyspace that it rebuilds.
//!
//! Two halves that do not import each other: the bytes on disk ([`fs`], [`wal`], [`snapshot`],
//! [`data_dir`]), which know no keys, and the [`keyspace`], which knows no files. What takes long
//! keeps the pace of [`background`].

pub mod background;
pub mod data_dir;
mod encoding;
pub mod error;
pub mod fs;
pub mod keyspace;
pub mod snapshot;
pub mod types;
mod vote;
pub mod wal;

pub use error::Error;
