//! A log comes back from its disk as far as it was durable, and with nothing that nobody wrote.

use raftkv::raft::Recovered;
use raftkv_storage::types::{Index, NodeId};

use super::{Log, Logs, matching, violation};

impl Logs {
    /// A server comes back with this, having known that its log was durable up to `persisted`.
    pub(crate) fn recovers(&mut self, node: NodeId, recovered: &Recovered, persisted: Index) {
        let log = self.replay(node, recovered);
        let snapshot = log.commit;
        let reach = log.last().index.max(snapshot);
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
                if index > snapshot && was != is {
                    violation!("recovery", "{node}: {index} was of term {was:?}, is of {is:?}");
                }
            }
        }
        self.servers.insert(node, log);
    }

    fn replay(&mut self, node: NodeId, recovered: &Recovered) -> Log {
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
            matching::matches(&mut self.entries, node, entry, before.term);
        }
        log.commit = recovered.snapshot.as_ref().map_or(0, |meta| meta.last.index);
        log
    }
}
