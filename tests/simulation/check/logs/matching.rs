//! Log Matching (Figure 3): if two logs contain an entry with the same index and term, they are
//! identical in all entries up through it.
//!
//! An entry is known by index and term. That it holds the same and stands behind the same entry in
//! every log is Log Matching, by induction.

use std::collections::BTreeMap;

use raftkv_storage::types::{Entry, EntryId, NodeId, Payload, Term};

use super::violation;

/// A server has this entry, behind one of this term.
pub(super) fn matches(
    entries: &mut BTreeMap<EntryId, (u64, Term)>,
    node: NodeId,
    entry: &Entry,
    before: Term,
) {
    let fact = (digest(&entry.payload), before);
    let known = *entries.entry(entry.id).or_insert(fact);
    if known != fact {
        violation!("log matching", "{node} has another {}: {known:?}, {fact:?}", entry.id);
    }
}

fn digest(payload: &Payload) -> u64 {
    let hash = |bytes: &[u8]| u64::from(fnv(bytes)) << 32 | bytes.len() as u64;
    match payload {
        Payload::Noop => 1,
        Payload::Command(bytes) => hash(bytes),
        Payload::Configuration(configuration) => hash(format!("{configuration:?}").as_bytes()),
    }
}

fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
