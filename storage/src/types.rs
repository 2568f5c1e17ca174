//! The words that every layer shares: terms, indexes, servers, entries.
//!
//! They stand here, in the lowest crate, because their bytes outlive the process: the log and the
//! snapshots are made of them. Nothing here knows what a command means or how a majority is
//! counted.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

/// A Raft term (§5.1). Zero is before the first election.
pub type Term = u64;

/// The position of an entry in the log. The first entry has index one; zero stands before it.
pub type Index = u64;

/// The name of a server, as given by `--node-id`: 1 to 32 characters out of `A-Z a-z 0-9 _ . -`.
///
/// Held inline, so that it is `Copy`; ordered as its text is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; Self::MAX_LEN]);

impl NodeId {
    /// The longest name in bytes.
    pub const MAX_LEN: usize = 32;

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(Self::MAX_LEN);
        std::str::from_utf8(&self.0[..end])
            .expect("a node id is ASCII: from_str admits nothing else")
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(name: &str) -> Result<Self, InvalidNodeId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if name.is_empty() || name.len() > Self::MAX_LEN || !name.bytes().all(allowed) {
            return Err(InvalidNodeId(name.chars().take(64).collect()));
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self(bytes))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that no server can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid node id {0:?}: expected 1 to 32 characters out of A-Z a-z 0-9 _ . -")]
pub struct InvalidNodeId(String);

/// The identity of a cluster: 128 random bits, drawn once by its first leader and carried by the
/// log and every snapshot.
///
/// Two servers that both know theirs and differ never exchange another message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What identifies an entry: two entries with the same id hold the same command (Log Matching,
/// §5.3).
///
/// The order is the one of §5.4.1: of two logs the one whose last id is greater is more up-to-date.
/// Shown as `index@term`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// Its position in the log.
    pub index: Index,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Term and index.
    pub id: EntryId,
    /// What is applied when it is committed.
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a new leader commits it to learn what is committed (§8).
    Noop,
    /// Bytes that only the state machine understands.
    Command(Bytes),
    /// The members of the cluster from this entry on. In force as soon as it is in the log,
    /// committed or not (§6).
    Configuration(Configuration),
}

impl Payload {
    /// Returns about how many bytes the payload takes in memory and on disk; limits and windows
    /// count with it.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Noop => 0,
            Self::Command(bytes) => bytes.len(),
            Self::Configuration(configuration) => {
                let members = configuration.voters.len()
                    + configuration.outgoing.len()
                    + configuration.learners.len();
                size_of::<ClusterId>() + members * size_of::<NodeId>()
            }
        }
    }
}

/// The members of a cluster.
///
/// `outgoing` is empty but for the time of a change by joint consensus (§6), when every decision
/// needs a majority of `voters` and a majority of `outgoing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The cluster this is. `None` only before its first leader has drawn it.
    pub cluster: Option<ClusterId>,
    /// The servers that vote (during a change: the new ones).
    pub voters: BTreeSet<NodeId>,
    /// During a change, the servers that voted before it; otherwise empty.
    pub outgoing: BTreeSet<NodeId>,
    /// Servers that receive the log and neither vote nor count.
    pub learners: BTreeSet<NodeId>,
}

impl Configuration {
    /// Returns the configuration a cluster starts with: these voters, no learners, no cluster id
    /// yet.
    #[must_use]
    pub fn bootstrap(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            cluster: None,
            voters: voters.into_iter().collect(),
            outgoing: BTreeSet::new(),
            learners: BTreeSet::new(),
        }
    }

    /// Returns every member once, in order.
    #[must_use]
    pub fn members(&self) -> BTreeSet<NodeId> {
        self.voters.iter().chain(&self.outgoing).chain(&self.learners).copied().collect()
    }

    /// Returns whether the server votes, before or after a change under way.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }
}

/// What a server must remember to keep its promises (Figure 2, "persistent state"). Durable before
/// a reply that relies on it leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The latest term this server has seen.
    pub term: Term,
    /// Who got its vote in that term.
    pub vote: Option<NodeId>,
}

/// What a snapshot says of itself: the log up to `last` is contained in it (§7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The last entry that is contained.
    pub last: EntryId,
    /// The configuration in force at that entry; it carries the cluster id.
    pub configuration: Configuration,
}
