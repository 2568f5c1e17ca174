//! What every server's log holds, followed by what it hands out to be written; a file for each
//! property of Figure 3 that speaks of logs, and for what their disks owe.

mod acknowledged;
mod append_only;
mod commitment;
mod completeness;
mod matching;
mod recovery;
mod safety;

use std::collections::BTreeMap;

use raftkv::raft::Write;
use raftkv_storage::types::{EntryId, Index, NodeId, Term};

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

impl Logs {
    /// A server hands out what is to be written, and now leads in this term, or does not.
    pub(crate) fn writes(&mut self, node: NodeId, write: &Write, leads: Option<Term>) {
        let log = self.servers.entry(node).or_default();
        if let Some(meta) = &write.snapshot {
            *log = Log { base: meta.last, commit: meta.last.index, ..Log::default() };
        }
        for entry in &write.entries {
            let last = log.last();
            if entry.id.index <= last.index {
                log.appends_only(node, leads);
                log.replaces(node, entry.id.index);
            } else if entry.id.index != last.index + 1 {
                violation!("log", "{node} writes {} behind {last}", entry.id);
            }
            let before = log.last().term;
            log.terms.push(entry.id.term);
            matching::matches(&mut self.entries, node, entry, before);
        }
    }

    /// A server leads in this term, or does not.
    pub(crate) fn leads(&mut self, node: NodeId, term: Option<Term>) {
        let log = self.servers.entry(node).or_default();
        if let Some(won) = term.filter(|_| log.leads != term) {
            log.is_complete(node, won, &self.committed);
        }
        log.leads = term;
    }

    /// A server says that all up to this index is committed.
    pub(crate) fn commits(&mut self, node: NodeId, commit: Index, leads: Option<Term>) {
        let Some(log) = self.servers.get_mut(&node) else { return };
        log.commits_of_own_term(node, commit, leads);
        log.agrees(node, commit, &mut self.committed);
        log.commit = log.commit.max(commit);
        log.shorten();
    }

    /// Returns as far as a server has said that its log is committed.
    pub(crate) fn commit(&self, node: NodeId) -> Index {
        self.servers.get(&node).map_or(0, |log| log.commit)
    }

    /// Returns the last index that any server has said to be committed.
    pub(crate) fn committed(&self) -> Index {
        self.committed.last_key_value().map_or(0, |(index, _)| *index)
    }
}
