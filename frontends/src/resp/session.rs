//! What a connection answers by itself, whatever the state of the cluster: a session command never
//! fails because there is no leader.

use std::time::{SystemTime, UNIX_EPOCH};

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::{self as table, Spec};

use super::caching::{self, Caching};
use super::encode::Protocol;
use super::help::{MEMORY_HELP, OBJECT_HELP, XGROUP_HELP, XINFO_HELP, help};
use super::registry::Client;
use super::transaction::Transaction;
use super::{Server, client, cluster, command, config, errors, hello, info, scanner, wait};
use crate::Kv;

/// What one connection has agreed on with its client.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) protocol: Protocol,
    pub(super) replies: Replies,
    pub(super) caching: Caching,
    pub(super) transaction: Transaction,
    /// What CLIENT LIST shows as `cmd`.
    pub(super) last_command: &'static Spec,
}

/// Which commands are answered (CLIENT REPLY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replies {
    On,
    Off,
    /// All but the next one.
    SkipNext,
}

/// What comes of a session command.
#[derive(Debug)]
pub(super) enum Outcome {
    /// This reply, if the client wants replies.
    Reply(Reply),
    /// This reply, even if the client wanted none.
    Always(Reply),
    /// Nothing.
    Silence,
    /// This reply, and then the end.
    Close(Reply),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// Refuses a wrong number of arguments, and a subcommand that does not exist.
pub(super) fn check(spec: &'static Spec, args: &[&[u8]]) -> Result<(), Reply> {
    if !spec.accepts(args.len()) {
        return Err(spec.wrong_arity());
    }
    let Some(name) = args.first().filter(|_| !spec.subcommands.is_empty()) else { return Ok(()) };
    match spec.subcommand(name) {
        None => Err(Reply::unknown_subcommand(spec.name, name)),
        Some(row) if !row.accepts(args.len()) => Err(row.wrong_arity()),
        Some(_) => Ok(()),
    }
}

/// Returns whether the session answers a call: that of a session command, or for the explanation of
/// a container whose other subcommands are for the keyspace.
pub(super) fn answers(spec: &Spec, args: &[&[u8]]) -> bool {
    spec.is_session()
        || !spec.subcommands.is_empty()
            && args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"help"))
}

/// Returns whether a command neither asks about what came before it nor changes how the rest is
/// answered.
pub(super) fn is_independent(spec: &Spec) -> bool {
    matches!(
        spec.name,
        "ping"
            | "echo"
            | "select"
            | "auth"
            | "readonly"
            | "readwrite"
            | "asking"
            | "command"
            | "object"
            | "multi"
            | "discard"
            | "unwatch"
            | "xgroup"
            | "xinfo"
    )
}

impl Default for Session {
    fn default() -> Self {
        let last_command = table::lookup(b"ping").expect("the table has PING");
        Self {
            protocol: Protocol::default(),
            replies: Replies::On,
            caching: Caching::default(),
            transaction: Transaction::default(),
            last_command,
        }
    }
}

impl Session {
    /// Returns whether the next command is to go unanswered.
    pub(super) fn is_silent_next(&mut self) -> bool {
        match self.replies {
            Replies::On => false,
            Replies::Off => true,
            Replies::SkipNext => {
                self.replies = Replies::On;
                true
            }
        }
    }

    /// Makes what happened visible to CLIENT LIST.
    pub(super) fn note(&self, client: &Client) {
        let mut seen = client.seen();
        seen.last_command = self.last_command.name;
        seen.last_active = std::time::Instant::now();
        seen.protocol = self.protocol;
        seen.queued = self.transaction.queued();
        seen.watched = self.transaction.watched();
    }

    /// Carries out a session command whose number of arguments has been checked.
    pub(super) async fn run<K: Kv>(
        &mut self,
        server: &Server<K>,
        client: &Client,
        spec: &'static Spec,
        args: &[&[u8]],
    ) -> Outcome {
        // A container's subcommand has its own row, and its name shows in CLIENT LIST.
        let row = args.first().and_then(|name| spec.subcommand(name)).unwrap_or(spec);
        self.last_command = row;
        let subcommand = row.short_name();
        match spec.name {
            "ping" => return ping(args),
            "echo" => Reply::bulk(args[0]),
            "select" => select(args[0]),
            "auth" => hello::auth(args),
            "hello" => hello::hello(self, server, client, args),
            "readonly" | "readwrite" | "asking" => Reply::Ok,
            "quit" => return Outcome::Close(Reply::Ok),
            "reset" => return self.reset(server, client),
            "multi" => self.transaction.begin(),
            "discard" => self.transaction.discard(),
            "unwatch" => self.transaction.unwatch(),
            "time" => time(),
            "lolwut" => lolwut(server.options.version, args),
            "object" => help(OBJECT_HELP),
            "memory" => help(MEMORY_HELP),
            "xgroup" => help(XGROUP_HELP),
            "xinfo" => help(XINFO_HELP),
            "client" => {
                self.note(client);
                return client::run(self, server, client, subcommand, args);
            }
            "command" => command::run(args.first().map(|_| subcommand), args),
            "config" => config::run(server, subcommand, &args[1..]),
            "info" => info::run(server, args).await,
            "cluster" => cluster::run(server, subcommand, &args[1..]).await,
            "wait" => wait::run(server, client, args).await,
            "function" => function(subcommand, args),
            name => Reply::error(format!("ERR '{name}' is not supported")),
        }
        .into()
    }

    /// RESET: the connection is as new, and says so even after CLIENT REPLY OFF; not when it is
    /// itself what CLIENT REPLY SKIP was for.
    fn reset<K: Kv>(&mut self, server: &Server<K>, client: &Client) -> Outcome {
        caching::stop(self, server, client);
        self.transaction = Transaction::default();
        let was_off = self.replies == Replies::Off;
        (self.protocol, self.replies) = (Protocol::default(), Replies::On);
        let mut seen = client.seen();
        seen.name.clear();
        seen.protocol = self.protocol;
        let reply = Reply::Simple("RESET");
        if was_off { Outcome::Always(reply) } else { Outcome::Reply(reply) }
    }
}

fn ping(args: &[&[u8]]) -> Outcome {
    match args {
        [] => Reply::Simple("PONG"),
        [text] => Reply::bulk(text),
        _ => errors::wrong_arity("ping"),
    }
    .into()
}

/// A cluster has one database.
fn select(database: &[u8]) -> Reply {
    match scanner::integer(database) {
        Some(0) => Reply::Ok,
        Some(number) if i32::try_from(number).is_err() => Reply::beyond_32_bits(),
        Some(_) => Reply::error("ERR SELECT is not allowed in cluster mode"),
        None => errors::not_an_integer(),
    }
}

/// The clock of this node; nothing that is replicated looks at it.
fn time() -> Reply {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = |number: u64| Reply::bulk(number.to_string());
    Reply::Array(vec![text(now.as_secs()), text(u64::from(now.subsec_micros()))])
}

/// LOLWUT [VERSION number [arguments of the drawing]]: alone it draws. Redis 7 has no drawing of
/// its own, but shows those of 5 and 6 to who asks for them, and the others a line.
fn lolwut(version: &str, args: &[&[u8]]) -> Reply {
    let line = Reply::Verbatim(format!("Redis ver. {}\n", info::REDIS_VERSION).into());
    let mut options = args.iter();
    let is_version = |word: &&[u8]| word.eq_ignore_ascii_case(b"version");
    if let (Some(_), Some(number)) =
        (options.next().filter(|word| is_version(word)), options.next())
    {
        let Some(number) = scanner::integer(number) else { return errors::not_an_integer() };
        // Redis reads a number of 64 bits and keeps 32 of them.
        let sizes = match number as u32 {
            5 => 3,
            6 => 2,
            _ => return line,
        };
        if options.take(sizes).any(|size| scanner::integer(size).is_none()) {
            return errors::not_an_integer();
        }
    } else if !args.is_empty() {
        return line;
    }
    let art = "
      o---------o
     / \\       / \\      three of us,
    o   \\     /   o     or five:
     \\   \\   /   /      what most of us remember
      \\   \\ /   /       is what happened
       o---o---o
";
    Reply::Verbatim(format!("{art}\nRedis ver. {}, raftkv {version}\n", info::REDIS_VERSION).into())
}

/// There are no functions; those who flush them before a test get what they ask for.
fn function(subcommand: &str, args: &[&[u8]]) -> Reply {
    match (subcommand, args.get(1..).unwrap_or_default()) {
        ("flush", []) => Reply::Ok,
        ("flush", [mode])
            if mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async") =>
        {
            Reply::Ok
        }
        ("flush", [_, _, ..]) => Reply::unknown_subcommand_or_arity("function", args[0]),
        ("flush", _) => Reply::error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
        ("list", _) => Reply::Array(Vec::new()),
        ("stats", _) => Reply::Map(vec![
            (Reply::bulk("running_script"), Reply::Null),
            (Reply::bulk("engines"), Reply::Map(Vec::new())),
        ]),
        ("help", _) => help(&[
            "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "FLUSH [ASYNC|SYNC]",
            "    Does nothing: there are no functions.",
            "LIST",
            "    Return an empty list.",
            "STATS",
            "    Return that no function is running.",
            "HELP",
            "    Prints this help.",
        ]),
        ("kill", _) => Reply::error("NOTBUSY No scripts in execution right now."),
        _ => Reply::error("ERR functions are not supported"),
    }
}
