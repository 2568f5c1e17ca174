//! Whose directory this is: one node's, of one cluster, used by one process.
//!
//! ```text
//!   data/A/            0700
//!     LOCK             locked for as long as the process lives
//!     IDENTITY         node, cluster and first voters, as checked text
//!     wal/             the log
//!     snapshots/       the snapshots
//! ```

use std::io::Read;

use crate::error::Error;
use crate::fs::{self, FileReader, Guard, Place};
use crate::types::{ClusterId, NodeId};

const FIRST_LINE: &str = "raftkv data directory, format 1";

/// The longest identity that is read.
const IDENTITY_BYTES_MAX: u64 = 64 * 1024;

/// What a data directory says of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// Its cluster, once known. Never changes.
    pub cluster: Option<ClusterId>,
}

impl Identity {
    /// Returns the text of the file. There is one for each identity, so reading compares with it.
    fn to_text(self) -> String {
        let cluster = self.cluster.map_or("-".into(), |cluster| cluster.to_string());
        let text = format!("{FIRST_LINE}\nnode {}\ncluster {cluster}\n", self.node);
        let crc = crc32fast::hash(text.as_bytes());
        format!("{text}crc32 {crc:08x}\n")
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let node = lines.next()?.strip_prefix("node ")?.parse().ok()?;
        let cluster = match lines.next()?.strip_prefix("cluster ")? {
            "-" => None,
            hex => Some(ClusterId(u128::from_str_radix(hex, 16).ok()?)),
        };
        let identity = Self { node, cluster };
        (identity.to_text() == text).then_some(identity)
    }
}

/// A data directory, locked. Owned by the process for as long as it lives.
#[derive(Debug)]
pub struct DataDir {
    place: Place,
    identity: Identity,
    _lock: Box<dyn Guard>,
}

impl DataDir {
    /// Opens or creates the data directory of this node. One that belongs to another node or is in
    /// use is refused.
    pub fn open(place: impl Into<Place>, node: NodeId) -> Result<Self, Error> {
        let place = place.into();
        place.create_dir()?;
        let lock = place.join("LOCK").lock()?;
        let lock = lock.ok_or_else(|| Error::refused(&place, "in use by another process"))?;
        place.take_over()?;
        let mut dir = Self { place, identity: Identity { node, cluster: None }, _lock: lock };
        match dir.read()? {
            Some(identity) if identity.node == node => dir.identity = identity,
            Some(identity) => {
                let owner = identity.node;
                let reason = format!("the data of node {owner}; this node is {node}");
                return Err(Error::refused(&dir.place, reason));
            }
            None if dir.wal_dir().is_there()? || dir.snapshot_dir().is_there()? => {
                let reason = "IDENTITY is missing, and there is a log or a snapshot without it";
                return Err(Error::refused(&dir.place, reason));
            }
            None => dir.write(dir.identity)?,
        }
        let snapshots = dir.snapshot_dir();
        if snapshots.is_there()? {
            snapshots.take_over()?;
        }
        Ok(dir)
    }

    /// Returns the directory of the log.
    #[must_use]
    pub fn wal_dir(&self) -> Place {
        self.place.join("wal")
    }

    /// Returns the directory of the snapshots.
    #[must_use]
    pub fn snapshot_dir(&self) -> Place {
        self.place.join("snapshots")
    }

    /// Returns whose directory it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Records the cluster, durably. Another one than is recorded already is refused.
    pub fn record_cluster(&mut self, cluster: ClusterId) -> Result<(), Error> {
        match self.identity.cluster {
            Some(known) if known == cluster => Ok(()),
            Some(known) => {
                let reason = format!("the data of cluster {known}; this is cluster {cluster}");
                Err(Error::refused(&self.place, reason))
            }
            None => self.write(Identity { cluster: Some(cluster), ..self.identity }),
        }
    }

    fn file(&self) -> Place {
        self.place.join("IDENTITY")
    }

    fn read(&self) -> Result<Option<Identity>, Error> {
        let path = self.file();
        if !path.is_there()? {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let file = FileReader::new(path.open()?);
        file.take(IDENTITY_BYTES_MAX).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::corrupt(&path, 0, "the identity is not text"))?;
        match text.lines().next() {
            Some(FIRST_LINE) => {}
            Some(line) if line.starts_with("raftkv data directory, format") => {
                let reason = format!("written by another version: \"{line}\"");
                return Err(Error::refused(&path, reason));
            }
            _ => return Err(Error::corrupt(&path, 0, "this is not the identity of a node")),
        }
        let identity = Identity::from_text(&text);
        identity.map(Some).ok_or_else(|| Error::corrupt(&path, 0, "the identity is damaged"))
    }

    fn write(&mut self, identity: Identity) -> Result<(), Error> {
        let path = self.file();
        let temporary = self.place.join(format!("IDENTITY{}", fs::TEMPORARY));
        let file = temporary.create()?;
        let text = identity.to_text();
        file.write_all_at(text.as_bytes(), 0).map_err(Error::io("write", &temporary))?;
        file.sync_all().map_err(Error::io("sync", &temporary))?;
        temporary.rename(&path)?;
        self.identity = identity;
        Ok(())
    }
}
