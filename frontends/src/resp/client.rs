//! CLIENT: who is connected, by what name, and who is to be.

use std::collections::BTreeSet;
use std::time::Instant;

use raftkv_storage::keyspace::Reply;

use super::encode::Protocol;
use super::help::help;
use super::registry::{Client, Seen, Unblock};
use super::session::{Outcome, Replies, Session};
use super::tracking::Mode;
use super::{Server, caching, errors, scanner};
use crate::Kv;

/// Names that clients give themselves are shown to others, so they are short.
const NAME_BYTES_MAX: usize = 1024;

/// `args` begin with the name of the subcommand as the client wrote it.
pub(super) fn run<K: Kv>(
    session: &mut Session,
    server: &Server<K>,
    client: &Client,
    subcommand: &str,
    args: &[&[u8]],
) -> Outcome {
    let Some((typed, args)) = args.split_first() else { return errors::syntax().into() };
    match subcommand {
        "id" => Reply::Integer(number(client.id)),
        "info" => Reply::Verbatim(format!("{}\n", describe(server, client)).into()),
        "list" => list(server, args),
        "getname" => match client.seen().name.as_str() {
            "" => Reply::Null,
            name => Reply::bulk(name),
        },
        "setname" => match checked_name(args[0]) {
            Ok(name) => {
                client.seen().name = name;
                Reply::Ok
            }
            Err(error) => error,
        },
        "setinfo" => set_info(client, args[0], args[1]),
        "reply" => return reply(session, args[0]),
        "kill" => return kill(server, client, args),
        "no-evict" if is_on_or_off(args[0]) => Reply::Ok,
        "no-evict" => errors::syntax(),
        "getredir" => Reply::Integer(caching::redirect(&server.tracking.mode(client.id))),
        "trackinginfo" => caching::info(session, server, client),
        "tracking" => caching::tracking(session, server, client, args),
        "caching" => caching::caching(session, server, client, args[0]),
        "unblock" => match (scanner::integer(args[0]), &args[1..]) {
            (_, [_, _, ..]) => Reply::unknown_subcommand_or_arity("client", typed),
            (_, [reason])
                if !reason.eq_ignore_ascii_case(b"timeout")
                    && !reason.eq_ignore_ascii_case(b"error") =>
            {
                Reply::error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
            }
            (None, _) => errors::not_an_integer(),
            (Some(id), reason) => {
                let is_error = reason.first().is_some_and(|how| how.eq_ignore_ascii_case(b"error"));
                let how = if is_error { Unblock::Error } else { Unblock::Timeout };
                let client = u64::try_from(id).ok().and_then(|id| server.clients.find(id));
                Reply::Integer(client.is_some_and(|client| client.unblock(how)).into())
            }
        },
        "pause" => server.paused.pause(typed, args),
        "unpause" => server.paused.end(),
        "help" => help(HELP),
        _ => Reply::unknown_subcommand("client", subcommand.as_bytes()),
    }
    .into()
}

/// Refuses what would make CLIENT LIST ambiguous.
pub(super) fn checked_name(name: &[u8]) -> Result<String, Reply> {
    checked(name, "Client names")
}

fn checked(text: &[u8], what: &str) -> Result<String, Reply> {
    if text.len() > NAME_BYTES_MAX {
        return Err(Reply::error(format!(
            "ERR {what} cannot be longer than {NAME_BYTES_MAX} bytes."
        )));
    }
    match std::str::from_utf8(text) {
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text.to_owned()),
        _ => Err(Reply::error(format!(
            "ERR {what} cannot contain spaces, newlines or special characters."
        ))),
    }
}

fn set_info(client: &Client, attribute: &[u8], value: &[u8]) -> Reply {
    let is_name = attribute.eq_ignore_ascii_case(b"lib-name");
    if !is_name && !attribute.eq_ignore_ascii_case(b"lib-ver") {
        let after = "', unknown to CLIENT SETINFO";
        return Reply::error_quoting("ERR Unrecognized option '", attribute, after);
    }
    match checked(value, if is_name { "lib-name" } else { "lib-ver" }) {
        Err(error) => error,
        Ok(value) => {
            let mut seen = client.seen();
            *(if is_name { &mut seen.library } else { &mut seen.library_version }) = value;
            Reply::Ok
        }
    }
}

fn reply(session: &mut Session, mode: &[u8]) -> Outcome {
    if mode.eq_ignore_ascii_case(b"on") {
        session.replies = Replies::On;
        return Outcome::Always(Reply::Ok);
    }
    if mode.eq_ignore_ascii_case(b"off") {
        session.replies = Replies::Off;
        return Outcome::Silence;
    }
    if mode.eq_ignore_ascii_case(b"skip") {
        // Who is silent stays silent.
        if session.replies != Replies::Off {
            session.replies = Replies::SkipNext;
        }
        return Outcome::Silence;
    }
    errors::syntax().into()
}

fn list<K: Kv>(server: &Server<K>, args: &[&[u8]]) -> Reply {
    let mut clients = server.clients.all();
    match args {
        [] => {}
        [option, kind] if option.eq_ignore_ascii_case(b"type") => match is_normal(kind) {
            Ok(true) => {}
            Ok(false) => clients.clear(),
            Err(error) => return error,
        },
        [option, ids @ ..] if option.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            // Any number will do, also one that no client has.
            let wanted: Option<BTreeSet<_>> = ids.iter().map(|id| scanner::integer(id)).collect();
            let Some(wanted) = wanted else { return Reply::error("ERR Invalid client ID") };
            clients.retain(|client| wanted.contains(&number(client.id)));
        }
        _ => return errors::syntax(),
    }
    let mut text = String::new();
    for client in clients {
        text.push_str(&describe(server, &client));
        text.push('\n');
    }
    Reply::Verbatim(text.into())
}

/// What is to be killed: all that is said must fit.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    peer: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    nobody: bool,
    with_me: bool,
}

fn kill<K: Kv>(server: &Server<K>, me: &Client, args: &[&[u8]]) -> Outcome {
    if let [peer] = args {
        let is_wanted = |client: &&std::sync::Arc<Client>| client.peer.as_bytes() == *peer;
        let clients = server.clients.all();
        return match clients.iter().find(is_wanted) {
            None => Reply::error("ERR No such client").into(),
            Some(client) if client.id == me.id => Outcome::Close(Reply::Ok),
            Some(client) => {
                client.kill();
                Reply::Ok.into()
            }
        };
    }
    let filter = match kill_filter(args) {
        Ok(filter) => filter,
        Err(error) => return error.into(),
    };
    let (mut killed, mut also_me) = (0, false);
    for client in server.clients.all() {
        let fits = !filter.nobody
            && filter.id.is_none_or(|id| client.id == id)
            && filter.peer.is_none_or(|peer| client.peer.as_bytes() == peer)
            && filter.local.is_none_or(|local| client.local.as_bytes() == local)
            && (filter.with_me || client.id != me.id);
        if !fits {
            continue;
        }
        killed += 1;
        if client.id == me.id {
            also_me = true;
        } else {
            client.kill();
        }
    }
    let reply = Reply::Integer(killed);
    if also_me { Outcome::Close(reply) } else { reply.into() }
}

fn kill_filter<'a>(args: &[&'a [u8]]) -> Result<Filter<'a>, Reply> {
    let mut filter = Filter::default();
    if !args.len().is_multiple_of(2) {
        return Err(errors::syntax());
    }
    for pair in args.chunks_exact(2) {
        let (option, value) = (pair[0].to_ascii_lowercase(), pair[1]);
        match option.as_slice() {
            b"id" => match positive(value) {
                Some(id) => filter.id = Some(id),
                None => return Err(Reply::error("ERR client-id should be greater than 0")),
            },
            b"addr" => filter.peer = Some(value),
            b"laddr" => filter.local = Some(value),
            b"type" => filter.nobody |= !is_normal(value)?,
            b"user" if value == b"default" => {}
            b"user" => {
                return Err(Reply::error_quoting("ERR No such user '", value, "'"));
            }
            b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.with_me = false,
            b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.with_me = true,
            _ => return Err(errors::syntax()),
        }
    }
    Ok(filter)
}

/// All clients are of one type; the others exist in Redis.
fn is_normal(kind: &[u8]) -> Result<bool, Reply> {
    match kind.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(true),
        b"master" | b"replica" | b"slave" | b"pubsub" => Ok(false),
        _ => Err(Reply::error_quoting("ERR Unknown client type '", kind, "'")),
    }
}

/// Returns a client's line in CLIENT LIST, without its end.
fn describe<K: Kv>(server: &Server<K>, client: &Client) -> String {
    let tracking = server.tracking.mode(client.id);
    let seen = client.seen().clone();
    let (flags, redirect) = (flags(&seen, &tracking), caching::redirect(&tracking));
    let now = Instant::now();
    let age = now.saturating_duration_since(client.since).as_secs();
    let idle = now.saturating_duration_since(seen.last_active).as_secs();
    let resp = match seen.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let multi = seen.queued.map_or(-1, |queued| i64::try_from(queued).unwrap_or(i64::MAX));
    format!(
        "id={} addr={} laddr={} fd=0 name={} age={age} idle={idle} flags={flags} db=0 \
        sub=0 psub=0 ssub=0 \
         multi={multi} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 \
         tot-mem=0 events=r cmd={} user=default redir={redirect} resp={resp} lib-name={} lib-ver={}",
        client.id,
        client.peer,
        client.local,
        seen.name,
        seen.last_command,
        seen.library,
        seen.library_version,
    )
}

fn is_on_or_off(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"on") || text.eq_ignore_ascii_case(b"off")
}

fn positive(text: &[u8]) -> Option<u64> {
    scanner::integer(text).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0)
}

fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are ID, ADDR, LADDR, TYPE, USER, SKIPME (YES|NO).",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB) | ID <id> [<id> ...]]",
    "    Return information about client connections.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Let commands for keys wait for <timeout> milliseconds.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Say which library speaks.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Return 0: no client is blocked by a command.",
    "UNPAUSE",
    "    End a pause.",
    "NO-EVICT (ON|OFF)",
    "    Accepted: connections are never evicted.",
    "HELP",
    "    Prints this help.",
];

/// Returns the letters that tell what a client is about.
fn flags(seen: &Seen, tracking: &Option<Mode>) -> String {
    let all = [(seen.queued.is_some(), 'x'), (seen.is_blocked, 'b')];
    let letters = all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| letter);
    let letters = letters.collect::<String>() + &caching::letters(tracking);
    if letters.is_empty() { "N".to_owned() } else { letters }
}
