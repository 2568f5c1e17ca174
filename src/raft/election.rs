//! Elections: who leads (§5.2, §5.4.1), and that nobody is disturbed without need (thesis §9.6).
//!
//! The conversation, down this file:
//!
//! 1. A follower that hears no leader for an election timeout *sounds out* the others: would I get
//!    your vote in the next term? This pre-vote changes nothing at either end. A server that was
//!    cut off and returns cannot win it, and so raises nobody's term.
//! 2. With a majority behind it, it becomes a candidate: a new term, its own vote, and the real
//!    question.
//! 3. A server votes once a term, for a log at least as up-to-date as its own. One that hears from
//!    a live leader does not even look at the question.
//! 4. With a majority of votes the candidate leads, and says so by appending an entry.
//! 5. A leader that no majority has answered for an election timeout gives up (check-quorum), so
//!    that its clients look elsewhere, and its followers' loyalty does not hold up a successor.
//!
//! No vote counts before it is durable, the candidate's own included. It gives it to itself by a
//! message like any other, a `RequestVoteResponse` from itself to itself among the promises; the
//! driver steps it once the disk is done.

use std::collections::BTreeSet;

use super::message::{Envelope, Message};
use super::quorum::quorum_reached;
use super::{EntryId, Leader, NodeId, Payload, Raft, RoleState, Term};

impl Raft {
    /// Lets time pass for a server that does not lead.
    pub(super) fn tick_election(&mut self) {
        self.election_elapsed = self.election_elapsed.saturating_add(1);
        if self.election_elapsed >= self.election_timeout && !self.has_promised() {
            self.campaign();
        }
    }

    /// Starts the wait for a leader anew, with another timeout, so that two candidates rarely meet
    /// twice (§5.2).
    pub(super) fn reset_election_timer(&mut self) {
        self.election_elapsed = 0;
        self.election_timeout = self.random.within(&self.options.election_ticks);
    }

    /// Sounds out the voters.
    fn campaign(&mut self) {
        self.reset_election_timer();
        if !self.may_lead() {
            return;
        }
        let next_term = self.term() + 1;
        self.role = RoleState::PreCandidate { granted: BTreeSet::from([self.id]) };
        let last = self.log.last();
        for to in self.other_voters() {
            let message = Message::RequestVote { pre: true, last, transfer: false };
            self.effects.messages.push(Envelope { from: self.id, to, term: next_term, message });
        }
        self.count_votes();
    }

    /// Returns whether this server can be elected. Who does not vote does not lead, and after the
    /// last term there is none to campaign in.
    pub(super) fn may_lead(&self) -> bool {
        self.configuration().is_voter(self.id) && !self.is_recovering() && self.term() < Term::MAX
    }

    /// Asks for votes in a new term, the first its own. With `transfer`, because the leader wants
    /// it.
    pub(super) fn become_candidate(&mut self, transfer: bool) {
        self.reset_election_timer();
        self.hard_state.term += 1;
        self.hard_state.vote = Some(self.id);
        self.role = RoleState::Candidate { granted: BTreeSet::new() };
        // The requests are promises too: who receives one learns that this server has voted.
        self.promise(self.id, Message::RequestVoteResponse { pre: false, granted: true });
        let last = self.log.last();
        for to in self.other_voters() {
            self.promise(to, Message::RequestVote { pre: false, last, transfer });
        }
    }

    /// Returns whether this server has a leader that lives: it leads itself, or has heard from the
    /// leader within the least election timeout. As long as that is so, it helps no one to replace
    /// it (thesis §9.6, §4.2.3).
    pub(super) fn has_live_leader(&self) -> bool {
        match self.role {
            RoleState::Leader(_) => true,
            RoleState::Follower { leader: Some(_) } => {
                self.election_elapsed < self.options.election_ticks.start
            }
            _ => false,
        }
    }

    /// Returns whether this server would elect one whose log ends like this, had it a vote left:
    /// not while it has a leader that lives, nor for a log that is behind its own, nor while its
    /// own is not what it was.
    fn would_vote_for(&self, last: EntryId) -> bool {
        !self.has_live_leader() && last >= self.log.last() && !self.is_recovering()
    }

    /// Says whether the sender would get the vote in that term. A refusal carries our term: if the
    /// sender is behind, it catches up with it and can win with the next.
    ///
    /// Who asks need not be a member as far as we know: our configuration may be the older one
    /// (thesis §4.2.2). The votes are weighed by whoever counts them.
    pub(super) fn handle_pre_vote(&mut self, from: NodeId, term: Term, last: EntryId) {
        let granted = term > self.term() && self.would_vote_for(last) && !self.has_promised();
        let message = Message::RequestVoteResponse { pre: true, granted };
        if granted {
            // In the term that was asked for, which is not ours.
            self.effects.messages.push(Envelope { from: self.id, to: from, term, message });
        } else {
            self.send_answer(from, message);
        }
    }

    /// Votes, in our own term: once, and for no log that is behind ours (§5.4.1). The vote leaves
    /// when it is durable. A promise to the leader does not bind when the leader itself wants it.
    pub(super) fn handle_request_vote(&mut self, from: NodeId, last: EntryId, transfer: bool) {
        let free = self.hard_state.vote.is_none_or(|vote| vote == from);
        let free = free && (transfer || !self.has_promised());
        let granted = free && self.would_vote_for(last);
        let message = Message::RequestVoteResponse { pre: false, granted };
        if granted {
            self.hard_state.vote = Some(from);
            self.reset_election_timer();
            self.promise(from, message);
        } else {
            self.send_answer(from, message);
        }
    }

    /// Counts a pre-vote, given for the term after ours.
    pub(super) fn handle_pre_vote_granted(&mut self, from: NodeId, term: Term) {
        let is_voter = self.configuration().is_voter(from);
        let current = self.term().checked_add(1) == Some(term);
        if let RoleState::PreCandidate { granted } = &mut self.role
            && is_voter
            && current
        {
            granted.insert(from);
            self.count_votes();
        }
    }

    /// Counts a vote of our term. Refusals are not counted: the next timeout comes soon enough.
    pub(super) fn handle_vote_granted(&mut self, from: NodeId) {
        let is_voter = self.configuration().is_voter(from);
        if let RoleState::Candidate { granted } = &mut self.role
            && is_voter
        {
            granted.insert(from);
            self.count_votes();
        }
    }

    /// Moves on when a quorum stands behind this server.
    fn count_votes(&mut self) {
        let configuration = self.configurations.in_force();
        let won = |granted: &BTreeSet<NodeId>| {
            quorum_reached(configuration, |voter| granted.contains(&voter))
        };
        match &self.role {
            RoleState::PreCandidate { granted } if won(granted) => self.become_candidate(false),
            RoleState::Candidate { granted } if won(granted) => self.become_leader(),
            _ => {}
        }
    }

    /// Leads. The first entry of the term is a no-op: once it is committed, so is everything before
    /// it (§8).
    ///
    /// The first leader of a new cluster names it, before anything else is in its log. Should it
    /// fail before that is committed, its successor either has the entry or, with an empty log,
    /// draws another name; so only a committed name counts.
    fn become_leader(&mut self) {
        let last = self.log.last().index;
        let mut peers = self.configuration().members();
        peers.remove(&self.id);
        self.role = RoleState::Leader(Leader::new(peers, last));
        if last == 0 && self.configuration().cluster.is_none() {
            let mut named = self.configuration().clone();
            named.cluster = Some(super::ClusterId(self.random.wide()));
            self.append(Payload::Configuration(named));
        }
        self.append(Payload::Noop);
    }

    /// Lets time pass for the leader.
    pub(super) fn tick_leader(&mut self) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        leader.peers.values_mut().for_each(super::Progress::tick);
        leader.heartbeat_elapsed += 1;
        if leader.heartbeat_elapsed >= self.options.heartbeat_ticks {
            leader.heartbeat_elapsed = 0;
            leader.heartbeat_due = true;
        }
        self.tick_transfer();
        self.check_quorum();
    }

    /// Gives up leading without a majority. The term stays, for nobody else has claimed a newer
    /// one.
    fn check_quorum(&mut self) {
        let RoleState::Leader(leader) = &self.role else { return };
        let followed = quorum_reached(self.configurations.in_force(), |id| {
            id == self.id || leader.peers.get(&id).is_some_and(|peer| peer.is_heard(&self.options))
        });
        if !followed {
            self.become_follower(self.term(), None);
        }
    }

    /// Gives up leading, in this term, for a reason that the core cannot know: a disk that hangs.
    pub fn step_down(&mut self) {
        if matches!(self.role, RoleState::Leader(_)) {
            self.become_follower(self.term(), None);
        }
    }

    /// Follows, in this term. A new term comes with a new vote.
    pub(super) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        assert!(term >= self.term(), "terms never fall");
        if term > self.term() {
            self.hard_state.term = term;
            self.hard_state.vote = None;
        }
        // Only a leader's clock stood still. Everybody else goes on waiting: to hear of a candidate
        // is not to hear from a leader, or one that cannot win could keep all others from trying.
        if matches!(self.role, RoleState::Leader(_)) {
            self.reset_election_timer();
        }
        self.role = RoleState::Follower { leader };
    }

    /// Recognizes the leader of our term when it speaks, and returns whether it is one. A second
    /// leader in the same term cannot be (Election Safety, §5.2), so whoever claims it is not
    /// listened to.
    pub(super) fn follow(&mut self, from: NodeId) -> bool {
        match self.role {
            RoleState::Leader(_) => return false,
            RoleState::Follower { leader: Some(leader) } if leader != from => return false,
            _ => {}
        }
        self.role = RoleState::Follower { leader: Some(from) };
        self.reset_election_timer();
        true
    }

    pub(super) fn other_voters(&self) -> Vec<NodeId> {
        let configuration = self.configuration();
        let voters: BTreeSet<_> = configuration.voters.union(&configuration.outgoing).collect();
        voters.into_iter().copied().filter(|voter| *voter != self.id).collect()
    }
}
