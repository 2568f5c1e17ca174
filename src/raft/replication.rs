//! Replication: how a command becomes an entry on a majority, and then a fact (§5.3, §5.4.2).
//!
//! The conversation, down this file:
//!
//! 1. [`Raft::propose`] appends a command to the leader's log.
//! 2. At the end of the turn the leader sends each follower what it lacks, all of the turn in one
//!    AppendEntries, while its own disk is still writing the same entries.
//! 3. A follower checks that it has the entry right before, appends what is new, and answers when
//!    that is durable.
//! 4. The leader counts: who has what. Its own disk counts like anybody's ([`Raft::persisted`]).
//! 5. What a majority has, and is of the leader's own term, is committed. The followers hear of it
//!    with the next AppendEntries or heartbeat.

use super::log::size_of_entries;
use super::message::Message;
use super::quorum::quorum_reached;
use super::{
    Bytes, Configuration, Entry, EntryId, INDEX_LIMIT, Index, NodeId, NotLeader, Payload, Raft,
    RoleState,
};

impl Raft {
    /// Appends a command to the log, if this server leads. It is committed when the entry with this
    /// very id comes out in [`Ready::committed`](super::Ready::committed); if another one comes out
    /// at its index, it never will be. Until then it may or may not, whoever leads meanwhile.
    ///
    /// # Errors
    /// Only the leader appends, and not while it hands over. Nothing has happened then.
    pub fn propose(&mut self, command: Bytes) -> Result<EntryId, NotLeader> {
        let RoleState::Leader(_) = self.role else {
            return Err(NotLeader { leader: self.leader() });
        };
        if self.is_transferring() {
            return Err(NotLeader { leader: None });
        }
        Ok(self.append(Payload::Command(command)))
    }

    /// Appends to the leader's own log. It never does anything else to it (Leader Append-Only,
    /// Figure 3).
    pub(super) fn append(&mut self, payload: Payload) -> EntryId {
        let id = EntryId { term: self.term(), index: self.log.last().index + 1 };
        self.append_entry(Entry { id, payload });
        id
    }

    fn append_entry(&mut self, entry: Entry) {
        // In force from now on, committed or not (§6).
        if let Payload::Configuration(configuration) = &entry.payload {
            self.configurations.append(entry.id.index, configuration.clone());
        }
        self.log.append(entry);
    }

    /// Sends every follower what it lacks, as far as its window allows, and a heartbeat if one is
    /// due.
    pub(super) fn send_to_followers(&mut self) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        let last = self.log.last().index;
        let heartbeat = std::mem::take(&mut leader.heartbeat_due);
        let wanting = |(id, progress): (&NodeId, &super::Progress)| {
            progress.wants_append(last, &self.options).then_some(*id)
        };
        let wanting: Vec<NodeId> = leader.peers.iter().filter_map(wanting).collect();
        for to in wanting {
            while self.send_append(to) {}
        }
        // Heartbeats come last, so that their answers tell whether the entries arrived.
        if heartbeat {
            self.send_heartbeats();
        }
    }

    /// Sends one AppendEntries, or the snapshot if what comes next has been cut off. Returns
    /// whether there may be more.
    fn send_append(&mut self, to: NodeId) -> bool {
        let RoleState::Leader(leader) = &mut self.role else { return false };
        let Some(progress) = leader.peers.get_mut(&to) else { return false };
        if !progress.wants_append(self.log.last().index, &self.options) {
            return false;
        }
        let index = progress.next_index - 1;
        let Some(term) = self.log.term_at(index) else {
            self.send_snapshot(to);
            return false;
        };
        let entries = self.log.entries_from(index + 1, self.options.append_bytes_max);
        progress.sent_append(index + entries.len() as Index, size_of_entries(&entries));
        let (prev, commit) = (EntryId { term, index }, self.commit_index);
        self.send(to, Message::AppendEntries { prev, entries, commit });
        true
    }

    fn send_heartbeats(&mut self) {
        let round = self.round_of_heartbeat();
        let RoleState::Leader(leader) = &self.role else { return };
        let commits: Vec<(NodeId, Index)> =
            leader.peers.iter().map(|(id, progress)| (*id, progress.match_index)).collect();
        for (to, matched) in commits {
            // A heartbeat does not ask whether the logs agree. So it may tell a follower no more
            // than what it holds for certain: beyond that, its log may have other entries.
            let commit = self.commit_index.min(matched);
            self.send(to, Message::Heartbeat { commit, round });
        }
    }

    /// Appends what the leader sends, if the log has the entry right before it.
    pub(super) fn handle_append_entries(
        &mut self,
        from: NodeId,
        prev: EntryId,
        entries: Vec<Entry>,
        commit: Index,
    ) {
        let Some(end) = self.end_of_append(prev, &entries) else { return };
        if !self.follow(from) {
            return;
        }
        // What is committed here is in every leader's log (Leader Completeness). So up to there the
        // logs agree, even below our base, where we could not look. A message from before a
        // snapshot is a match, not a conflict.
        let differs = self.log.term_at(prev.index) != Some(prev.term);
        if differs && prev.index > self.commit_index {
            let hint = self.conflict_hint(prev);
            let rejected = prev.index;
            self.send_answer(from, Message::AppendEntriesRejected { rejected, hint });
            return;
        }
        let undoes_committed = differs && prev.index >= self.log.base().index;
        if undoes_committed || !self.splice(entries) {
            return;
        }
        self.commit_to(commit.min(end));
        self.note_agreement(end);
        // Whatever follows in our log has not been compared. Only what this request spoke of is
        // known to agree.
        self.promise(from, Message::AppendEntriesResponse { matched: end });
    }

    /// Returns the index of the last entry that a request speaks of, unless no leader can have sent
    /// it.
    fn end_of_append(&self, prev: EntryId, entries: &[Entry]) -> Option<Index> {
        let mut last = prev;
        for Entry { id, payload } in entries {
            let follows = last.index.checked_add(1) == Some(id.index) && id.term >= last.term;
            let sound = match payload {
                Payload::Configuration(configuration) => self.accepts_configuration(configuration),
                Payload::Noop | Payload::Command(_) => true,
            };
            if !follows || !sound {
                return None;
            }
            last = *id;
        }
        // No leader has entries of later terms than its own.
        (last.term <= self.term() && last.index < INDEX_LIMIT).then_some(last.index)
    }

    /// Returns whether a leader can have sent this configuration. A cluster that has a name keeps
    /// it.
    pub(super) fn accepts_configuration(&self, configuration: &Configuration) -> bool {
        let cluster = self.committed_configuration().cluster;
        !configuration.voters.is_empty() && (cluster.is_none() || configuration.cluster == cluster)
    }

    /// Returns the highest entry that might agree with a leader whose log has `prev`. At least what
    /// is committed does.
    fn conflict_hint(&self, prev: EntryId) -> EntryId {
        let index = self.commit_index;
        let term = self.log.term_at(index).expect("the log reaches down to what is committed");
        self.log.highest_at_most(prev).max(EntryId { term, index })
    }

    /// Makes the log agree with these entries, which stand at a place where it agreed before.
    /// Returns whether it can.
    ///
    /// Nothing is removed but what contradicts them: an older request, arriving late, must not cut
    /// off what a newer one has brought and we have acknowledged (§5.3).
    fn splice(&mut self, mut entries: Vec<Entry>) -> bool {
        let Some(at) = self.log.first_unmatched(&entries) else { return true };
        let first = entries[at].id.index;
        if first <= self.commit_index {
            return false; // It would undo what is committed. No leader asks for that.
        }
        // Where `prev` is below our base it was not compared, and terms might fall behind it.
        if self.log.term_at(first - 1).is_none_or(|before| before > entries[at].id.term) {
            return false;
        }
        if first <= self.log.last().index {
            self.truncate(first);
        }
        entries.drain(at..).for_each(|entry| self.append_entry(entry));
        true
    }

    fn truncate(&mut self, from: Index) {
        assert!(from > self.commit_index, "what is committed is never removed");
        self.log.truncate(from);
        self.configurations.truncate(from);
        self.written_index = self.written_index.min(from - 1);
        self.persisted_index = self.persisted_index.min(from - 1);
    }

    /// Takes notice that the log is durable up to this entry (the last one of a write, or of its
    /// snapshot if it had no entries), and counts it as the leader's own acknowledgement.
    ///
    /// The term matters. The disk may be done with an entry that has been replaced since; that says
    /// nothing of the one that now has its index.
    pub fn persisted(&mut self, last: EntryId) {
        if self.log.contains(last) && last.index <= self.written_index {
            self.persisted_index = self.persisted_index.max(last.index);
            self.advance_commit();
        }
    }

    /// Counts an acknowledgement, and lets the next entries go.
    pub(super) fn handle_append_entries_response(&mut self, from: NodeId, matched: Index) {
        let last = self.log.last().index;
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.peers.get_mut(&from) else { return };
        if matched > last {
            return; // Never sent.
        }
        progress.silent_ticks = 0;
        progress.acknowledged(matched);
        self.advance_commit();
    }

    /// Goes back to where the logs may still agree (end of §5.3).
    pub(super) fn handle_append_entries_rejected(
        &mut self,
        from: NodeId,
        rejected: Index,
        hint: EntryId,
    ) {
        let last = self.log.last().index;
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.peers.get_mut(&from) else { return };
        if rejected == 0 || rejected > last {
            return; // Never asked.
        }
        progress.silent_ticks = 0;
        // What was cut off cannot be compared; the follower takes a snapshot then.
        let below = hint.index < self.log.base().index;
        let hint = if below { hint.index } else { self.log.highest_at_most(hint).index };
        progress.rejected(rejected, hint);
    }

    /// Commits what a quorum has, if its last entry is of our term.
    ///
    /// An entry of an older term may be on a majority and still be overwritten by a leader that
    /// never saw it (Figure 8). It becomes committed with the first entry of our own term that
    /// stands above it (§5.4.2).
    fn advance_commit(&mut self) {
        let RoleState::Leader(leader) = &self.role else { return };
        let reached = quorum_reached(self.configurations.in_force(), |id| {
            if id == self.id {
                self.persisted_index
            } else {
                leader.peers.get(&id).map_or(0, |progress| progress.match_index)
            }
        });
        if reached > self.commit_index && self.log.term_at(reached) == Some(self.term()) {
            self.commit_to(reached);
        }
    }

    /// Learns that everything up to an index is committed.
    pub(super) fn commit_to(&mut self, index: Index) {
        assert!(index <= self.log.last().index, "what is committed is in the log");
        self.commit_index = self.commit_index.max(index);
    }
}
