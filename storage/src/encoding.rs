//! Bytes and back, for everything on disk: little-endian, bounded, one way to write each value.
//!
//! Reading never allocates by a length it has not checked, and accepts only what writing produces.

use std::collections::BTreeSet;

use crate::types::{ClusterId, Configuration, EntryId, NodeId};

/// Fields yet to be read. `None` from any method means: not what we would have written.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads a term and an index.
    pub(crate) fn entry_id(&mut self) -> Option<EntryId> {
        Some(EntryId { term: self.u64()?, index: self.u64()? })
    }

    /// Reads a name behind its length; the empty one is nobody.
    pub(crate) fn node(&mut self) -> Option<Option<NodeId>> {
        let length = self.u8()?;
        let name = std::str::from_utf8(self.bytes(length.into())?).ok()?;
        if name.is_empty() { Some(None) } else { Some(Some(name.parse().ok()?)) }
    }

    /// Reads a cluster id behind the byte that says whether there is one.
    pub(crate) fn cluster(&mut self) -> Option<Option<ClusterId>> {
        let known = self.u8()?;
        let id = u128::from_le_bytes(self.array()?);
        match (known, id) {
            (0, 0) => Some(None),
            (1, id) => Some(Some(ClusterId(id))),
            _ => None,
        }
    }

    fn members(&mut self) -> Option<BTreeSet<NodeId>> {
        let count = self.u32()?;
        let mut members = BTreeSet::new();
        for _ in 0..count {
            let id = self.node()??;
            if members.last().is_some_and(|last| *last >= id) {
                return None;
            }
            members.insert(id);
        }
        Some(members)
    }

    pub(crate) fn configuration(&mut self) -> Option<Configuration> {
        Some(Configuration {
            cluster: self.cluster()?,
            voters: self.members()?,
            outgoing: self.members()?,
            learners: self.members()?,
        })
    }
}

/// Writes a term and an index.
pub(crate) fn put_entry_id(out: &mut Vec<u8>, id: EntryId) {
    out.extend_from_slice(&id.term.to_le_bytes());
    out.extend_from_slice(&id.index.to_le_bytes());
}

/// Writes a name behind its length; nobody is the empty one.
pub(crate) fn put_node(out: &mut Vec<u8>, id: Option<NodeId>) {
    let name = id.as_ref().map_or("", NodeId::as_str);
    out.push(u8::try_from(name.len()).expect("a node id has at most 32 bytes"));
    out.extend_from_slice(name.as_bytes());
}

/// Writes a cluster id behind the byte that says whether there is one.
pub(crate) fn put_cluster(out: &mut Vec<u8>, id: Option<ClusterId>) {
    out.push(id.is_some().into());
    out.extend_from_slice(&id.map_or(0, |id| id.0).to_le_bytes());
}

/// Writes a configuration: the cluster, then voters, outgoing, learners, each a count and names in
/// order.
pub(crate) fn put_configuration(out: &mut Vec<u8>, configuration: &Configuration) {
    put_cluster(out, configuration.cluster);
    for members in [&configuration.voters, &configuration.outgoing, &configuration.learners] {
        let count = u32::try_from(members.len()).expect("a cluster has fewer than 2^32 servers");
        out.extend_from_slice(&count.to_le_bytes());
        for id in members {
            put_node(out, Some(*id));
        }
    }
}
