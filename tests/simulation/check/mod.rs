//! What must be true, whatever happens: one file for each kind of promise.
//!
//! A checker panics with its name and what it saw; the run's seed is added outside.

pub(crate) mod counters;
pub(crate) mod elections;
pub(crate) mod logs;
pub(crate) mod progress;
pub(crate) mod replies;
pub(crate) mod states;
pub(crate) mod votes;

/// Fails the run.
macro_rules! violation {
    ($checker:literal, $($text:tt)*) => {
        panic!("{}: {}", $checker, format!($($text)*))
    };
}
pub(crate) use violation;

use counters::Counters;
use elections::Elections;
use logs::Logs;
use progress::Progress;
use replies::Replies;
use states::States;
use votes::Votes;

/// All checkers.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) elections: Elections,
    pub(crate) votes: Votes,
    pub(crate) logs: Logs,
    pub(crate) progress: Progress,
    pub(crate) states: States,
    pub(crate) replies: Replies,
    pub(crate) counters: Counters,
}
