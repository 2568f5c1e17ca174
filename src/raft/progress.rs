//! What the leader knows of one follower, and how much it dares to send it.
//!
//! ```text
//!            match_index            next_index                last
//!   ─────────────┼──────────────────────┼──────────────────────┤   the leader's log
//!   known equal      on the way               not sent yet
//!
//!   match_index < next_index ≤ last + 1
//!
//!                    acknowledged                    a gap, or silence
//!   ┌───────┐ ──────────────────────────► ┌───────────┐ ────────► back to Probe
//!   │ Probe │                             │ Replicate │
//!   └───────┘ ◄──── taken, or failed ──── └───────────┘
//!       │         ┌──────────┐
//!       └────────►│ Snapshot │  what the follower needs next has been cut off
//!                 └──────────┘
//! ```
//!
//! In *Probe* it is not known where the logs part: one message at a time asks. In *Replicate* they
//! agree, and messages follow each other without waiting (pipelining), as far as the window allows.
//! In *Snapshot* the follower is busy taking one, and is left alone but for heartbeats.

use std::collections::VecDeque;

use super::{Index, Options, Round};

/// One follower, as the leader sees it. Lives from election to step-down.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The last index known to be on the follower's disk and equal to ours (Figure 2).
    pub(super) match_index: Index,
    /// The next index to send (Figure 2).
    pub(super) next_index: Index,
    /// The newest read round it has answered.
    pub(super) round: Round,
    /// Ticks since it was last heard from.
    pub(super) silent_ticks: u32,
    /// Whether it has refused what it once acknowledged, and not taken it since.
    lost: bool,
    /// The life in which it has told that its log is lost.
    nonce: Option<u64>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Probe {
        /// Ticks since the question was sent. `None`: it may be sent.
        asked: Option<u32>,
    },
    Replicate {
        inflight: VecDeque<Inflight>,
        inflight_bytes: usize,
        /// Ticks since the follower last acknowledged something, or had nothing to acknowledge.
        stalled_ticks: u32,
    },
    Snapshot {
        /// What the snapshot contains.
        index: Index,
        /// Ticks since its bytes arrived at the follower. `None`: they are on the way.
        delivered: Option<u32>,
    },
}

/// An AppendEntries that has not been answered.
#[derive(Clone, Copy, Debug)]
struct Inflight {
    last: Index,
    bytes: usize,
}

/// How a leader treats a follower, for whoever looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressState {
    /// The leader looks for the place where the logs part.
    Probe,
    /// The logs agree, and entries flow.
    Replicate,
    /// The follower is taking a snapshot.
    Snapshot,
    /// The follower has lost what it had acknowledged, and does not know it.
    Lost,
}

impl ProgressState {
    /// Returns the name in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Replicate => "replicate",
            Self::Snapshot => "snapshot",
            Self::Lost => "lost",
        }
    }
}

impl Progress {
    /// Starts as a new leader does (Figure 2): nothing known, everything hoped.
    pub(super) fn new(last: Index) -> Self {
        Self {
            match_index: 0,
            next_index: last + 1,
            round: 0,
            silent_ticks: 0,
            lost: false,
            nonce: None,
            state: State::Probe { asked: None },
        }
    }

    pub(super) fn state(&self) -> ProgressState {
        match self.state {
            State::Probe { .. } if self.lost => ProgressState::Lost,
            State::Probe { .. } => ProgressState::Probe,
            State::Replicate { .. } => ProgressState::Replicate,
            State::Snapshot { .. } => ProgressState::Snapshot,
        }
    }

    /// Returns whether an AppendEntries should go out now, when the leader's log ends at `last`.
    pub(super) fn wants_append(&self, last: Index, options: &Options) -> bool {
        match &self.state {
            // Even with nothing to send: the question is whether `prev` matches.
            State::Probe { asked } => asked.is_none(),
            State::Replicate { inflight, inflight_bytes, .. } => {
                self.next_index <= last
                    && inflight.len() < options.inflight_messages_max
                    && *inflight_bytes < options.inflight_bytes_max
            }
            State::Snapshot { .. } => false,
        }
    }

    /// Takes in that the follower has lost its log, which reaches up to `reaches` by now, and
    /// starts anew, as a new leader would: once in each life of the follower, and again if an
    /// acknowledgement of its earlier life has arrived since.
    pub(super) fn begins_anew(&mut self, nonce: u64, reaches: Index, last: Index) {
        if self.nonce == Some(nonce) && self.match_index <= reaches && !self.lost {
            return;
        }
        (self.nonce, self.lost, self.match_index) = (Some(nonce), false, 0);
        // A snapshot on its way is one that it can use, and its end will be reported.
        if !matches!(self.state, State::Snapshot { .. }) {
            self.next_index = last + 1;
            self.state = State::Probe { asked: None };
        }
    }

    /// Notes that entries up to `last`, so many bytes, have been sent.
    pub(super) fn sent_append(&mut self, last: Index, bytes: usize) {
        match &mut self.state {
            // Not to move `next_index` keeps it the place of the question.
            State::Probe { asked } => *asked = Some(0),
            State::Replicate { inflight, inflight_bytes, stalled_ticks } => {
                if inflight.is_empty() {
                    *stalled_ticks = 0;
                }
                inflight.push_back(Inflight { last, bytes });
                *inflight_bytes += bytes;
                self.next_index = last + 1;
            }
            State::Snapshot { .. } => panic!("nothing is sent to a follower that takes a snapshot"),
        }
    }

    /// Notes that a snapshot of everything up to `index` is on its way.
    pub(super) fn sent_snapshot(&mut self, index: Index) {
        self.state = State::Snapshot { index, delivered: None };
    }

    /// Returns whether the follower was heard from within an election timeout.
    pub(super) fn is_heard(&self, options: &Options) -> bool {
        self.silent_ticks < options.election_ticks.start
    }

    /// Returns how far the follower is, or will be when it has the snapshot that it is taking.
    pub(super) fn reaches(&self) -> Index {
        match self.state {
            State::Snapshot { index, .. } => index.max(self.match_index),
            _ => self.match_index,
        }
    }

    /// Takes in that the follower's log agrees up to `matched`, durably.
    pub(super) fn acknowledged(&mut self, matched: Index) {
        if matched < self.match_index {
            return; // Overtaken by a later one.
        }
        self.match_index = matched;
        match &mut self.state {
            // From before the snapshot was needed.
            State::Snapshot { index, .. } if matched < *index => {}
            // Whatever was asked or sent: from the place where the logs agree, entries can flow.
            State::Probe { .. } | State::Snapshot { .. } => {
                self.lost = false;
                let (inflight, inflight_bytes, stalled_ticks) = (VecDeque::new(), 0, 0);
                self.state = State::Replicate { inflight, inflight_bytes, stalled_ticks };
                self.next_index = matched + 1;
            }
            State::Replicate { inflight, inflight_bytes, stalled_ticks } => {
                *stalled_ticks = 0;
                while let Some(done) = inflight.pop_front_if(|first| first.last <= matched) {
                    *inflight_bytes -= done.bytes;
                }
                self.next_index = self.next_index.max(matched + 1);
            }
        }
    }

    /// Takes in that the follower has no entry at `rejected`, and might agree at `hint`.
    pub(super) fn rejected(&mut self, rejected: Index, hint: Index) {
        let current = match self.state {
            // Only the answer to the question that is open: older ones were about other places.
            State::Probe { .. } => rejected + 1 == self.next_index,
            // A message before it was lost or is late. What is matched cannot be rejected.
            State::Replicate { .. } => rejected > self.match_index,
            State::Snapshot { .. } => false,
        };
        // What was acknowledged was durable. A server that has it no more has lost its disk, or a
        // part of it, and must not count on its way back; the entries it lacks are not sent again.
        self.lost |= current && rejected == self.match_index && rejected > 0;
        if current && rejected > self.match_index {
            self.next_index = (hint + 1).min(rejected).max(self.match_index + 1);
            self.state = State::Probe { asked: None };
        }
    }

    /// Takes in that the follower lives, and that its log ended at `last` when it answered. If what
    /// was sent did not arrive, or its acknowledgement did not, the leader must ask again: nobody
    /// else will.
    pub(super) fn answered_heartbeat(&mut self, last: Index, options: &Options) {
        match &mut self.state {
            State::Probe { asked } => {
                if asked.is_some_and(|ticks| ticks >= options.heartbeat_ticks) {
                    *asked = None;
                }
            }
            State::Replicate { inflight, stalled_ticks, .. } => {
                // The log ends before what was sent: lost, unless it is still on its way. It ends
                // there, and still nothing is acknowledged: a slow disk, or the answer was lost;
                // that is given more time.
                let missing = last < self.next_index - 1;
                let patience = options.heartbeat_ticks * 2;
                let patience =
                    if missing { patience } else { patience.max(options.election_ticks.start) };
                if !inflight.is_empty() && *stalled_ticks >= patience {
                    self.probe_at_once();
                }
            }
            State::Snapshot { index, delivered } => {
                // The answer was lost, or the follower never finished. To ask for the entry after
                // the snapshot finds out which.
                if delivered.is_some_and(|ticks| ticks >= options.election_ticks.end) {
                    self.next_index = *index + 1;
                    self.state = State::Probe { asked: None };
                }
            }
        }
    }

    /// Takes in how the transport of a snapshot ended. After a failure the leader asks where the
    /// follower stands, but not before a heartbeat was answered: if the follower is gone, there is
    /// no one to ask.
    pub(super) fn reported_snapshot(&mut self, arrived: bool) {
        if let State::Snapshot { delivered, .. } = &mut self.state {
            if arrived {
                *delivered = Some(0);
            } else {
                self.probe_later();
            }
        }
    }

    /// Takes in that messages to the follower were lost. A snapshot goes its own way and reports
    /// for itself.
    pub(super) fn reported_unreachable(&mut self) {
        if !matches!(self.state, State::Snapshot { .. }) {
            self.probe_later();
        }
    }

    pub(super) fn tick(&mut self) {
        self.silent_ticks = self.silent_ticks.saturating_add(1);
        match &mut self.state {
            State::Probe { asked: Some(ticks) }
            | State::Replicate { stalled_ticks: ticks, .. }
            | State::Snapshot { delivered: Some(ticks), .. } => *ticks = ticks.saturating_add(1),
            State::Probe { asked: None } | State::Snapshot { delivered: None, .. } => {}
        }
    }

    fn probe_at_once(&mut self) {
        self.next_index = self.match_index + 1;
        self.state = State::Probe { asked: None };
    }

    fn probe_later(&mut self) {
        self.next_index = self.match_index + 1;
        self.state = State::Probe { asked: Some(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refuses_what_it_acknowledged_is_lost_until_it_has_it_again() {
        let mut progress = Progress::new(5);
        progress.acknowledged(5);
        progress.reported_unreachable();
        assert_eq!(progress.state(), ProgressState::Probe);
        progress.rejected(5, 2);
        assert_eq!(progress.state(), ProgressState::Lost);
        assert_eq!(progress.match_index, 5, "what counted for a commit is not taken back");
        progress.acknowledged(5);
        assert_eq!(progress.state(), ProgressState::Replicate);
        progress.reported_unreachable();
        assert_eq!(progress.state(), ProgressState::Probe);
    }
}
