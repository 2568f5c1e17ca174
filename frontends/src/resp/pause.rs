//! CLIENT PAUSE: a time in which commands for keys wait, or those of them that write.
//!
//! It is this node's clients that wait. What a connection answers by itself goes on: PING tells
//! that the node is there.

use std::time::Duration;

use raftkv_storage::keyspace::Reply;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::scanner;

/// The longest pause: what is longer ends with CLIENT UNPAUSE.
const CENTURY_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// Until when who waits.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    only_writes: bool,
}

/// The pause, if there is one, and those who wait for its end.
#[derive(Debug)]
pub(super) struct Paused(watch::Sender<Option<Pause>>);

impl Default for Paused {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Paused {
    /// Waits until a batch may be carried out.
    pub(super) async fn wait(&self, writes: bool) {
        // Nearly always there is no pause, and then this is one look.
        let is_held = |pause: &Option<Pause>| {
            pause.filter(|pause| writes || !pause.only_writes).map(|pause| pause.until)
        };
        if is_held(&self.0.borrow()).is_none() {
            return;
        }
        let mut changes = self.0.subscribe();
        loop {
            let Some(until) = is_held(&changes.borrow_and_update()) else { return };
            tokio::select! {
                () = sleep_until(until) => return,
                _ = changes.changed() => {}
            }
        }
    }

    /// CLIENT PAUSE, as the client `typed` it: `args` are the milliseconds, and what is paused. A
    /// pause that is under way is made longer and stricter, never less.
    pub(super) fn pause(&self, typed: &[u8], args: &[&[u8]]) -> Reply {
        if args.len() > 2 {
            return Reply::unknown_subcommand_or_arity("client", typed);
        }
        let only_writes = match args.get(1) {
            None => false,
            Some(mode) if mode.eq_ignore_ascii_case(b"all") => false,
            Some(mode) if mode.eq_ignore_ascii_case(b"write") => true,
            Some(_) => return Reply::error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        };
        let Some(milliseconds) = scanner::integer(args[0]) else {
            return Reply::error("ERR timeout is not an integer or out of range");
        };
        let Ok(milliseconds) = u64::try_from(milliseconds) else {
            return Reply::error("ERR timeout is negative");
        };
        let until = Instant::now() + Duration::from_millis(milliseconds.min(CENTURY_MS));
        self.0.send_modify(|pause| {
            let now = Instant::now();
            let earlier = pause.filter(|pause| pause.until > now);
            *pause = Some(Pause {
                until: earlier.map_or(until, |earlier| earlier.until.max(until)),
                only_writes: only_writes && earlier.is_none_or(|earlier| earlier.only_writes),
            });
        });
        Reply::Ok
    }

    /// CLIENT UNPAUSE.
    pub(super) fn end(&self) -> Reply {
        self.0.send_replace(None);
        Reply::Ok
    }
}
