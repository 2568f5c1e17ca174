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
use tokio::time::{Instant, timeout_at};

use super::registry::Client;
use super::{Server, errors, scanner};
use crate::{Follower, Followers, Kv};

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
    let Ok(Followers { commit_index, mut followers }) = server.kv.followers().await else {
        return Reply::Integer(0);
    };
    let holds = |follower: &&Follower| follower.live && follower.match_index >= commit_index;
    let count = |followers: &[Follower]| followers.iter().filter(holds).count() as i64;
    let enough = |followers: &Vec<Follower>| count(followers) >= wanted.min(followers.len() as i64);
    let stopping = async {
        if !client.is_stopping() {
            client.asked_to_stop().await;
        }
    };
    // However it ends, the answer is how many there are by then.
    tokio::select! {
        _ = timeout_at(deadline, followers.wait_for(enough)) => {}
        () = stopping => {}
    }
    Reply::Integer(count(&followers.borrow()))
}
