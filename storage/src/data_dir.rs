//! Whose directory this is: one node's, of one cluster, used by one process.
//!
//! ```text
//!   data/A/            0700
//!     LOCK             locked for as long as the process lives
//!     IDENTITY         node and cluster, as checked text
//!     VOTE             term and vote, whether the log holds all that was acknowledged, promises
//!     wal/             the log
//!     snapshots/       the snapshots
//!     *.damaged-1      what a repair has set aside
//! ```

use std::io::Read;
use std::path::Path;

use crate::error::Error;
use crate::fs::{self, FileReader, Guard, Place};
use crate::types::{ClusterId, HardState, NodeId};
use crate::vote::{UNKNOWN_PROMISE, VoteFile};

const FIRST_LINE: &str = "raftkv data directory, format 2";

/// The longest identity that is read.
const IDENTITY_BYTES_MAX: u64 = 64 * 1024;

/// What a data directory says of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    node: NodeId,
    /// Once known. Never changes.
    cluster: Option<ClusterId>,
}

impl Identity {
    /// Returns the text of the file. There is one for each identity, so reading compares with it.
    fn to_text(self) -> String {
        let cluster = self.cluster.map_or("-".into(), |cluster| cluster.to_string());
        let text = format!("{FIRST_LINE}\nnode {}\ncluster {cluster}\n", self.node);
        let crc = crc32fast::hash(text.as_bytes());
        format!("{text}crc32 {crc:08x}\n")
    }

    fn read(path: &Path, text: &str) -> Result<Self, Error> {
        let damaged = || Error::corrupt(path, 0, "the identity is damaged");
        let (body, crc) = text.rsplit_once("crc32 ").ok_or_else(damaged)?;
        if format!("{:08x}\n", crc32fast::hash(body.as_bytes())) != crc {
            return Err(damaged());
        }
        // Whole, so it is what somebody has written.
        match body.lines().next() {
            Some(FIRST_LINE) => Self::from_text(text).ok_or_else(damaged),
            Some(line) => {
                Err(Error::refused(path, format!("written by another version: \"{line}\"")))
            }
            None => Err(damaged()),
        }
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
    /// `None` when it is damaged, and a repair has yet to find out.
    identity: Option<Identity>,
    node: NodeId,
    /// `None` when nothing of it can be read; as above.
    vote: Option<VoteFile>,
    _lock: Box<dyn Guard>,
}

impl DataDir {
    /// Opens or creates the data directory of this node. One that belongs to another node, is in
    /// use, or is damaged, is refused.
    pub fn open(place: impl Into<Place>, node: NodeId) -> Result<Self, Error> {
        Self::open_with(place.into(), node, Err)
    }

    /// Opens the directory even if IDENTITY or VOTE is damaged. What they said has to be recorded
    /// anew, by [`DataDir::record_vote`] and [`DataDir::record_identity`]; until then the directory
    /// stays as it was.
    pub fn open_for_repair(place: impl Into<Place>, node: NodeId) -> Result<Self, Error> {
        Self::open_with(place.into(), node, |error| {
            if !error.is_damage() {
                return Err(error);
            }
            tracing::warn!(%error, "to be repaired");
            Ok(())
        })
    }

    /// `excuse` decides whether the directory is opened in spite of damage.
    fn open_with(
        place: Place,
        node: NodeId,
        excuse: impl Fn(Error) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        place.create_dir()?;
        let lock = place.join("LOCK").lock()?;
        let lock = lock.ok_or_else(|| Error::refused(&place, "in use by another process"))?;
        place.take_over()?;
        let mut dir = Self { place, identity: None, node, vote: None, _lock: lock };
        if dir.is_new()? {
            // IDENTITY comes last: with it the directory has an owner.
            dir.vote = Some(VoteFile::create(dir.vote_file(), HardState::default(), false, 0)?);
            dir.record_identity(None)?;
        } else {
            let excused = |error| excuse(error).map(|()| None);
            dir.identity = dir.read_identity().map(Some).or_else(excused)?;
            let excused = |error| excuse(error).map(|()| None);
            dir.vote = VoteFile::open(dir.vote_file()).map(Some).or_else(excused)?;
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

    /// Returns the cluster, once it is known. It never changes.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        self.identity.and_then(|identity| identity.cluster)
    }

    /// Returns term and vote, as far as VOTE can be read.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.vote.as_ref().map_or(HardState::default(), VoteFile::hard_state)
    }

    /// Returns whether something was acknowledged that is not here (again) yet, as far as is known.
    #[must_use]
    pub fn is_recovering(&self) -> bool {
        // A log that looks whole may have been begun anew, and only VOTE could have told.
        self.vote.as_ref().is_none_or(VoteFile::is_recovering)
    }

    /// Returns for how long, in microseconds, a leader may have been promised that nobody else is
    /// elected; the most there is when that cannot be read.
    #[must_use]
    pub fn promise_us(&self) -> u64 {
        self.vote.as_ref().map_or(UNKNOWN_PROMISE, VoteFile::promise_us)
    }

    /// Records that promises may last so long, durably: before the first that does is given.
    pub fn record_promise(&mut self, promise_us: u64) -> Result<(), Error> {
        self.vote.as_mut().map_or(Ok(()), |vote| vote.record_promise(promise_us))
    }

    /// Returns whether IDENTITY is there and whole.
    #[must_use]
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Returns an error unless VOTE is whole, so that the log is not needed to know term and vote.
    pub fn check_vote(&self) -> Result<(), Error> {
        match &self.vote {
            Some(vote) => vote.check(),
            None => VoteFile::open(self.vote_file())?.check(),
        }
    }

    /// Records the owner and its cluster, durably. Another cluster than is known is refused.
    pub fn record_identity(&mut self, cluster: Option<ClusterId>) -> Result<(), Error> {
        let identity = Identity { node: self.node, cluster: cluster.or(self.cluster()) };
        match (self.cluster(), cluster) {
            (Some(known), Some(cluster)) if known != cluster => {
                let reason = format!("the data of cluster {known}; this is cluster {cluster}");
                Err(Error::refused(&self.place, reason))
            }
            _ if self.identity == Some(identity) => Ok(()),
            _ => self.write(identity),
        }
    }

    /// Records term and vote, and whether everything is there that was ever acknowledged, durably.
    pub fn record_vote(&mut self, hard_state: HardState, is_recovering: bool) -> Result<(), Error> {
        match &mut self.vote {
            Some(vote) => vote.record(hard_state, is_recovering),
            None => {
                let promise_us = self.promise_us();
                let vote =
                    VoteFile::create(self.vote_file(), hard_state, is_recovering, promise_us)?;
                self.vote = Some(vote);
                Ok(())
            }
        }
    }

    /// Gives what is damaged, the directory of the log or of the snapshots, another name, under
    /// which nobody looks for it. What it held was acknowledged and is not there any more, which is
    /// recorded before. Only a directory that still knows its vote may do so.
    pub fn set_aside(&mut self, damaged: &Place) -> Result<Place, Error> {
        self.check_vote()?;
        // In a new file, whole or not at all: one that was torn now could not be told from one that
        // has decayed, and would vouch for nothing any more.
        let (hard_state, promise_us) = (self.hard_state(), self.promise_us());
        self.vote = Some(VoteFile::create(self.vote_file(), hard_state, true, promise_us)?);
        for number in 1_u32.. {
            let mut name = damaged.file_name().unwrap_or_default().to_owned();
            name.push(format!(".damaged-{number}"));
            let aside = self.place.join(name);
            if !aside.is_there()? {
                damaged.rename(&aside)?;
                return Ok(aside);
            }
        }
        unreachable!("no directory has so many names")
    }

    fn identity_file(&self) -> Place {
        self.place.join("IDENTITY")
    }

    fn vote_file(&self) -> Place {
        self.place.join("VOTE")
    }

    /// Returns whether no node has ever begun here. VOTE may be there: it is made before IDENTITY,
    /// and says nothing then.
    fn is_new(&self) -> Result<bool, Error> {
        if self.identity_file().is_there()?
            || self.wal_dir().is_there()?
            || self.snapshot_dir().is_there()?
        {
            return Ok(false);
        }
        let vote = self.vote_file();
        Ok(!vote.is_there()? || VoteFile::open(vote)?.hard_state() == HardState::default())
    }

    fn read_identity(&self) -> Result<Identity, Error> {
        let path = self.identity_file();
        if !path.is_there()? {
            return Err(Error::missing(&path, "it is missing, and other files are there"));
        }
        let mut bytes = Vec::new();
        let file = FileReader::new(path.open()?);
        file.take(IDENTITY_BYTES_MAX).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::corrupt(&path, 0, "the identity is not text"))?;
        let identity = Identity::read(&path, &text)?;
        if identity.node != self.node {
            let (owner, node) = (identity.node, self.node);
            let reason = format!("the data of node {owner}; this node is {node}");
            return Err(Error::refused(&self.place, reason));
        }
        Ok(identity)
    }

    fn write(&mut self, identity: Identity) -> Result<(), Error> {
        let path = self.identity_file();
        let temporary = self.place.join(format!("IDENTITY{}", fs::TEMPORARY));
        let file = temporary.create()?;
        let text = identity.to_text();
        file.write_all_at(text.as_bytes(), 0).map_err(Error::io("write", &temporary))?;
        file.sync_all().map_err(Error::io("sync", &temporary))?;
        temporary.rename(&path)?;
        self.identity = Some(identity);
        Ok(())
    }
}
