//! How a conversation begins: HELLO and AUTH.

use raftkv_storage::keyspace::Reply;

use super::encode::Protocol;
use super::registry::Client;
use super::session::Session;
use super::{Server, client, errors, info, scanner};
use crate::Kv;

/// HELLO [version [AUTH user password] [SETNAME name]]: all or nothing.
pub(super) fn hello<K: Kv>(
    session: &mut Session,
    server: &Server<K>,
    client: &Client,
    args: &[&[u8]],
) -> Reply {
    let mut protocol = session.protocol;
    let mut options = args;
    if let Some((version, rest)) = args.split_first() {
        protocol = match scanner::integer(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Reply::error("NOPROTO unsupported protocol version"),
            None => {
                return Reply::error("ERR Protocol version is not an integer or out of range");
            }
        };
        options = rest;
    }
    let mut name = None;
    while let [option, rest @ ..] = options {
        options = match rest {
            [user, _password, rest @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                if let Some(refused) = refuse(user) {
                    return refused;
                }
                rest
            }
            [wanted, rest @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                match client::checked_name(wanted) {
                    Ok(wanted) => name = Some(wanted),
                    Err(error) => return error,
                }
                rest
            }
            _ => {
                return Reply::error_quoting("ERR Syntax error in HELLO option '", option, "'");
            }
        };
    }
    session.protocol = protocol;
    let mut seen = client.seen();
    seen.protocol = protocol;
    if let Some(name) = name {
        seen.name = name;
    }
    drop(seen);
    greeting(server, client, protocol)
}

fn greeting<K: Kv>(server: &Server<K>, client: &Client, protocol: Protocol) -> Reply {
    let role = match info::role(&server.kv.cluster().borrow()) {
        "slave" => "replica",
        master => master,
    };
    let version = match protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let id = i64::try_from(client.id).unwrap_or(i64::MAX);
    Reply::Map(vec![
        (Reply::bulk("server"), Reply::bulk("redis")),
        (Reply::bulk("version"), Reply::bulk(info::REDIS_VERSION)),
        (Reply::bulk("proto"), Reply::Integer(version)),
        (Reply::bulk("id"), Reply::Integer(id)),
        (Reply::bulk("mode"), Reply::bulk("cluster")),
        (Reply::bulk("role"), Reply::bulk(role)),
        (Reply::bulk("modules"), Reply::Array(Vec::new())),
    ])
}

/// AUTH [user] password: there are no passwords. As in Redis without any, the default user comes in
/// with whatever it says.
pub(super) fn auth(args: &[&[u8]]) -> Reply {
    match args {
        [_password] => Reply::error(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ),
        [user, _password] => refuse(user).unwrap_or(Reply::Ok),
        _ => errors::syntax(),
    }
}

fn refuse(user: &[u8]) -> Option<Reply> {
    let text = "WRONGPASS invalid username-password pair or user is disabled.";
    (user != b"default").then(|| Reply::error(text))
}
