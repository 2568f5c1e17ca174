//! What went wrong, in the words that Redis clients act on.
//!
//! Client libraries decide by an error's first word whether to send a command again, and to whom.
//! `MOVED`, `CLUSTERDOWN`, `TRYAGAIN` and `LOADING` are sent again by all of them, without asking;
//! they may only be said when nothing was done. An unknown outcome gets a word none of them knows,
//! which they hand to whoever called them.

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::reply::{SHOWN_BYTES, until_nul};
use redis_protocol::redis_keyslot;

use crate::{Cluster, Error, Role, Unavailable};

/// The slot of commands that name no key.
pub const NO_KEY_SLOT: u16 = 0;

/// Returns the slot of a key: CRC16 of it, or of what stands between its first `{` and the next
/// `}`.
#[must_use]
pub fn slot(key: &[u8]) -> u16 {
    redis_keyslot(key)
}

/// Returns why this node would not take a batch, as far as it knows without asking.
#[must_use]
pub fn refusal(cluster: &Cluster) -> Option<Error> {
    match (cluster.role, cluster.leader) {
        _ if cluster.loading => Some(Error::Unavailable(Unavailable::Loading)),
        (Role::Leader, _) => None,
        (_, Some(leader)) if leader != cluster.node => Some(Error::NotLeader { leader }),
        _ => Some(Error::NoLeader),
    }
}

/// Returns the reply to a command whose batch met this error; `slot` is the slot of its first key.
#[must_use]
pub fn reply(error: &Error, cluster: &Cluster, slot: u16) -> Reply {
    match error {
        Error::NotLeader { leader } => match cluster.member(*leader) {
            Some(leader) => {
                let (host, port) = (&leader.resp_host, leader.resp_port);
                Reply::error(format!("MOVED {slot} {host}:{port}"))
            }
            // A leader that left the cluster in this moment: there will be another.
            None => reply(&Error::NoLeader, cluster, slot),
        },
        Error::NoLeader => Reply::error("CLUSTERDOWN The cluster is down"),
        Error::Unavailable(Unavailable::Loading) => {
            Reply::error("LOADING raftkv is loading its log")
        }
        Error::Unavailable(Unavailable::Stopping) => {
            Reply::error("CLUSTERDOWN The node is shutting down")
        }
        Error::Unavailable(Unavailable::Overloaded) => {
            Reply::error("TRYAGAIN Too many writes are under way, nothing was done")
        }
        // To send it again would not help before somebody has made room: Redis' word for "cannot
        // persist".
        Error::Unavailable(Unavailable::NoSpace) => Reply::error(
            "MISCONF No space left on the disk for the log: writes are refused, nothing was done",
        ),
        Error::Unavailable(Unavailable::TooLarge) => {
            Reply::error("ERR the request is too large for one log entry, nothing was done")
        }
        Error::Unknown => Reply::error(
            "TIMEOUT The outcome is unknown: the command may have been done, or may still be",
        ),
    }
}

/// Returns the error for a command that is not in the table, as Redis 7 words and cuts it.
#[must_use]
pub fn unknown_command(name: &[u8], arguments: &[&[u8]]) -> Reply {
    let mut shown = Vec::new();
    for argument in arguments {
        if shown.len() >= SHOWN_BYTES {
            break;
        }
        let room = SHOWN_BYTES - shown.len();
        shown.push(b'\'');
        shown.extend_from_slice(cut(argument, room));
        shown.extend_from_slice(b"' ");
    }
    let name = cut(name, SHOWN_BYTES);
    let middle: &[u8] = b"', with args beginning with: ";
    Reply::Error([b"ERR unknown command '", name, middle, &shown].concat().into())
}

fn cut(text: &[u8], most: usize) -> &[u8] {
    until_nul(&text[..text.len().min(most)])
}

/// Returns the error for a wrong number of arguments; of a subcommand, the name is
/// `container|name`.
#[must_use]
pub fn wrong_arity(name: &str) -> Reply {
    Reply::error(format!("ERR wrong number of arguments for '{name}' command"))
}

/// Returns the error for options that make no sense.
#[must_use]
pub fn syntax() -> Reply {
    Reply::error("ERR syntax error")
}

/// Returns the error for a number that is none.
#[must_use]
pub fn not_an_integer() -> Reply {
    Reply::error("ERR value is not an integer or out of range")
}
