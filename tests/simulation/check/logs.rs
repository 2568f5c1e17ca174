//! Leader Append-Only, Log Matching, Leader Completeness and State Machine Safety (Figure 3), and
//! that a log comes back from its disk as far as it was durable.
//!
//! Each server's log is followed by what it hands out to be written. An entry is known by index
//! and term; that it stands behind the same entry in every log is Log Matching, by induction.

use std::collections::BTreeMap;

use raftkv::raft::{Recovered, Write};
use raftkv_storage::types::{Entry, EntryId, Index, NodeId, Payload, Term};

use super::violation;

#[derive(Debug, Default)]
pub(crate) struct Logs {
    servers: BTreeMap<NodeId, Log>,
    /// What every entry holds, and the term of the one before it.
    entries: BTreeMap<EntryId, (u64, Term)>,
    /// What is committed, by index.
    committed: BTreeMap<Index, Term>,
    /// The last index at which a client was told that its write is done.
    acknowledged: Index,
}

/// One server's log: the terms of the entries after `base`.
#[derive(Clone, Debug, Default)]
struct Log {
    base: EntryId,
    terms: Vec<Term>,
    commit: Index,
    leads: Option<Term>,
}

impl Log {
    fn last(&self) -> EntryId {
        let index = self.base.index + self.terms.len() as u64;
        EntryId { term: self.terms.last().copied().unwrap_or(self.base.term), index }
    }

    fn term(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        let at = index.checked_sub(self.base.index + 1)?;
        self.terms.get(usize::try_from(at).ok()?).copied()
    }

    /// Forgets what a snapshot covers; it was checked when it was committed.
    fn shorten(&mut self) {
        let covered = usize::try_from(self.commit.saturating_sub(self.base.index)).unwrap_or(0);
        if covered > 512 && covered < self.terms.len() {
            let index = self.base.index + covered as u64;
            self.base = EntryId { term: self.terms[covered - 1], index };
            self.terms.drain(..covered);
        }
    }
}

fn digest(payload: &Payload) -> u64 {
    let hash = |bytes: &[u8]| u64::from(crc(bytes)) << 32 | bytes.len() as u64;
    match payload {
        Payload::Noop => 1,
        Payload::Command(bytes) => hash(bytes),
        Payload::Configuration(configuration) => hash(format!("{configuration:?}").as_bytes()),
    }
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

impl Logs {
    /// A server hands out what is to be written, and now leads in this term, or does not.
    pub(crate) fn writes(&mut self, node: NodeId, write: &Write, leads: Option<Term>) {
        let log = self.servers.entry(node).or_default();
        let led_all_along = leads.filter(|_| log.leads == leads);
        if let Some(meta) = &write.snapshot {
            *log = Log { base: meta.last, commit: meta.last.index, ..Log::default() };
        }
        for entry in &write.entries {
            let last = log.last();
            if entry.id.index <= last.index {
                if let Some(term) = led_all_along {
                    violation!("leader append-only", "{node}, leader of {term}, replaces {last}");
                }
                if entry.id.index <= log.commit {
                    let commit = log.commit;
                    violation!("state machine safety", "{node} replaces {commit}, committed");
                }
                let keep = entry.id.index - log.base.index - 1;
                log.terms.truncate(usize::try_from(keep).expect("an index"));
            } else if entry.id.index != last.index + 1 {
                violation!("log", "{node} writes {} behind {last}", entry.id);
            }
            let before = log.last().term;
            log.terms.push(entry.id.term);
            Self::matches(&mut self.entries, node, entry, before);
        }
    }

    fn matches(
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

    /// Returns as far as a server has said that its log is committed.
    pub(crate) fn commit(&self, node: NodeId) -> Index {
        self.servers.get(&node).map_or(0, |log| log.commit)
    }

    /// Returns the last index that any server has said to be committed.
    pub(crate) fn committed(&self) -> Index {
        self.committed.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// A server says of an index, as the first one, that it is committed: the entry is on the disks
    /// of a majority. As far as each log is durable is known from outside.
    pub(crate) fn is_on_disks(&self, node: NodeId, index: Index, durable: &[(NodeId, Index)]) {
        let term = self.servers.get(&node).and_then(|log| log.term(index));
        let holds = |(node, durable): &&(NodeId, Index)| {
            let log = self.servers.get(node);
            let same = |log: &Log| index < log.base.index || log.term(index) == term;
            *durable >= index && (*durable == Index::MAX || log.is_some_and(same))
        };
        let (copies, of) = (durable.iter().filter(holds).count(), durable.len());
        if copies * 2 <= of {
            violation!("majority", "{node} commits {index}, which is on {copies} disks of {of}");
        }
    }

    /// A server says that all up to this index is committed.
    pub(crate) fn commits(&mut self, node: NodeId, commit: Index, leads: Option<Term>) {
        let Some(log) = self.servers.get_mut(&node) else { return };
        // Only entries of the leader's own term are committed because a majority has them (§5.4.2).
        if let Some(own) = leads.filter(|_| log.leads == leads && commit > log.commit)
            && log.term(commit) != Some(own)
        {
            let term = log.term(commit);
            violation!("own term", "{node}, leader of {own}, commits up to {commit} of {term:?}");
        }
        for index in log.commit + 1..=commit {
            let Some(term) = log.term(index) else {
                violation!("commit", "{node} commits {index}, which its log does not have");
            };
            let known = *self.committed.entry(index).or_insert(term);
            if known != term {
                let (ours, theirs) = (EntryId { term, index }, EntryId { term: known, index });
                violation!("state machine safety", "{node} commits {ours}, another {theirs}");
            }
        }
        log.commit = log.commit.max(commit);
        log.shorten();
    }

    /// A server leads in this term, or does not.
    pub(crate) fn leads(&mut self, node: NodeId, term: Option<Term>) {
        let log = self.servers.entry(node).or_default();
        let won = term.is_some() && log.leads != term;
        log.leads = term;
        let last_committed = self.committed.last_key_value();
        if won && let Some((index, committed)) = last_committed {
            let has = *index < log.base.index || log.term(*index) == Some(*committed);
            // What was committed after the election is not yet there on a leader of the past.
            let is_newer = term.is_some_and(|term| *committed > term);
            if !has && !is_newer {
                let (term, last) = (term.unwrap_or_default(), log.last());
                let id = EntryId { term: *committed, index: *index };
                violation!("leader completeness", "{node} leads {term} up to {last} without {id}");
            }
        }
    }

    /// A client is told that its write is done; the server has applied up to here.
    pub(crate) fn acknowledges(&mut self, node: NodeId, applied: Index) {
        self.acknowledged = self.acknowledged.max(applied);
        if !self.committed.contains_key(&applied) {
            violation!("acknowledged", "{node} acknowledges at {applied}, which is not committed");
        }
    }

    /// At the end: a server has applied up to here.
    pub(crate) fn ends(&self, node: NodeId, applied: Index) {
        if applied < self.acknowledged {
            let acknowledged = self.acknowledged;
            violation!("acknowledged", "{node} ends at {applied}; {acknowledged} was acknowledged");
        }
    }

    /// A server comes back with this, having known that its log was durable up to `persisted`.
    pub(crate) fn recovers(&mut self, node: NodeId, recovered: &Recovered, persisted: Index) {
        let mut log = Log { base: recovered.base, ..Log::default() };
        for entry in &recovered.entries {
            let before = log.last();
            if entry.id.index != before.index + 1 {
                violation!("recovery", "{node} recovers {} behind {before}", entry.id);
            }
            log.terms.push(entry.id.term);
            // Of the first one, what stood before may not be known any more.
            if before.index > 0 && !self.entries.contains_key(&entry.id) {
                violation!("recovery", "{node} recovers {}, which nobody wrote", entry.id);
            }
            Self::matches(&mut self.entries, node, entry, before.term);
        }
        let snapshot = recovered.snapshot.as_ref().map(|meta| meta.last).unwrap_or_default();
        log.commit = snapshot.index;
        let reach = log.last().index.max(snapshot.index);
        // One that says that it has lost something is held to nothing.
        if let Some(known) = self.servers.get(&node).filter(|_| !recovered.is_recovering) {
            if reach < persisted {
                violation!("recovery", "{node} knew {persisted} to be durable, recovers {reach}");
            }
            // When nothing was on its way, what comes back is what there was.
            if known.last().index == persisted && log.last().index > persisted {
                let (was, is) = (known.last(), log.last());
                violation!("recovery", "{node} ended with {was}, comes back with {is}");
            }
            for index in known.base.index + 1..=persisted {
                let (was, is) = (known.term(index), log.term(index));
                if index > snapshot.index && was != is {
                    violation!("recovery", "{node}: {index} was of term {was:?}, is of {is:?}");
                }
            }
        }
        self.servers.insert(node, log);
    }
}
