//! WAIT: how many followers hold what this connection has written.
//!
//! In raftkv a write is acknowledged when a majority has it on disk, so WAIT is never needed for
//! safety. It tells how far beyond the majority a write has got: the number of live followers that
//! have acknowledged everything that was committed when WAIT arrived. Only the leader knows that;
//! elsewhere the answer is 0, at once, since nothing was written here.
//!
//! Nobody waits longer than [`Options::max_wait`](super::Options::max_wait), not even with timeout
//! 0, and nobody waits for more followers than there are: the reply says how many there were in the
//! end, which is what WAIT's reply is for. So does a node that stops.

use std::time::Duration;

use raftkv_storage::keyspace::Reply;
use raftkv_storage::types::Index;
use tokio::time::{Instant, sleep};

use super::registry::Client;
use super::{Server, errors, scanner};
use crate::{Kv, Role, Status};

/// How soon a follower is asked about again; doubled each time, since most answer at once or not
/// soon.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

pub(super) async fn run<K: Kv>(server: &Server<K>, client: &Client, args: &[&[u8]]) -> Reply {
    let Some(wanted) = scanner::integer(args[0]) else { return errors::not_an_integer() };
    let timeout = match scanner::integer(args[1]) {
        None => return Reply::error("ERR timeout is not an integer or out of range"),
        Some(..0) => return Reply::error("ERR timeout is negative"),
        Some(0) => server.options.max_wait,
        Some(timeout @ 1..) => {
            Duration::from_millis(timeout.unsigned_abs()).min(server.options.max_wait)
        }
    };
    let deadline = Instant::now() + timeout;
    let watch = server.kv.cluster();
    let mut target = None;
    let mut pause = PAUSE_MIN;
    loop {
        if watch.borrow().role != Role::Leader {
            return Reply::Integer(0);
        }
        let Ok(status) = server.kv.status(false).await else { return Reply::Integer(0) };
        let target = *target.get_or_insert(status.commit_index);
        let count = acknowledged(&status, target);
        let enough = wanted.min(status.peers.len() as i64);
        let now = Instant::now();
        if count >= enough || now >= deadline || client.is_stopping() {
            return Reply::Integer(count);
        }
        tokio::select! {
            () = sleep(pause.min(deadline - now)) => {}
            () = client.asked_to_stop() => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn acknowledged(status: &Status, target: Index) -> i64 {
    let holds = |index: Option<Index>| index.is_some_and(|index| index >= target);
    status.peers.iter().filter(|peer| peer.live && holds(peer.match_index)).count() as i64
}
