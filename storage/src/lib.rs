//! What outlives a process, and the keyspace that it rebuilds.

pub mod error;
pub mod keyspace;
pub mod types;

pub use error::Error;
