//! CONFIG: what tools ask for before they trust a server.
//!
//! raftkv is configured by flags. Here it shows what corresponds to parameters that Redis has, and
//! takes note of some that tools insist on setting, to no effect; every other parameter is refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::glob;

use super::session::help;
use super::{Options, Server, errors};
use crate::Kv;

/// Values of CONFIG SET are kept for CONFIG GET, so they are short.
const VALUE_BYTES_MAX: usize = 1024;

/// Parameters with no effect here: how Redis lays out what it stores, what it logs, how it would
/// save.
const NOTED: &[(&str, &str)] = &[
    ("busy-reply-threshold", "5000"),
    ("client-query-buffer-limit", "16777216"),
    ("hash-max-listpack-entries", "512"),
    ("hash-max-listpack-value", "64"),
    ("hash-max-ziplist-entries", "512"),
    ("hash-max-ziplist-value", "64"),
    ("latency-monitor-threshold", "0"),
    ("latency-tracking", "no"),
    ("list-compress-depth", "0"),
    ("list-max-listpack-size", "-2"),
    ("list-max-ziplist-size", "-2"),
    ("lua-time-limit", "5000"),
    ("notify-keyspace-events", ""),
    ("proto-max-bulk-len", "8388608"),
    ("sanitize-dump-payload", "no"),
    ("save", ""),
    ("set-max-intset-entries", "512"),
    ("set-max-listpack-entries", "128"),
    ("set-max-listpack-value", "64"),
    ("slowlog-log-slower-than", "10000"),
    ("slowlog-max-len", "128"),
    ("stream-node-max-bytes", "4096"),
    ("stream-node-max-entries", "100"),
    ("timeout", "0"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
    ("zset-max-ziplist-entries", "128"),
    ("zset-max-ziplist-value", "64"),
];

/// What is true and cannot be changed: the log is synced before a write is acknowledged, nothing is
/// ever evicted.
const FIXED: &[(&str, &str)] = &[
    ("appendfsync", "always"),
    ("appendonly", "yes"),
    ("cluster-enabled", "yes"),
    ("databases", "1"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("replica-read-only", "yes"),
    ("tcp-keepalive", "300"),
];

/// The parameters and their values.
#[derive(Debug)]
pub(super) struct Parameters(Mutex<BTreeMap<&'static str, Parameter>>);

#[derive(Clone, Debug)]
struct Parameter {
    value: String,
    is_fixed: bool,
}

impl Parameters {
    pub(super) fn new(options: &Options, port: u16) -> Self {
        let noted = |(name, value): &(&'static str, &str)| {
            (*name, Parameter { value: (*value).to_owned(), is_fixed: false })
        };
        let fixed = |(name, value): &(&'static str, &str)| {
            (*name, Parameter { value: (*value).to_owned(), is_fixed: true })
        };
        let mut all: BTreeMap<_, _> = NOTED.iter().map(noted).collect();
        all.extend(FIXED.iter().map(fixed));
        let own = [("maxclients", options.max_connections.to_string()), ("port", port.to_string())];
        all.extend(own.map(|(name, value)| (name, Parameter { value, is_fixed: true })));
        all.entry("proto-max-bulk-len")
            .and_modify(|parameter| parameter.value = options.max_bulk_bytes.to_string());
        Self(Mutex::new(all))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Parameter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn run<K: Kv>(server: &Server<K>, subcommand: &str, args: &[&[u8]]) -> Reply {
    match subcommand {
        "get" => get(&server.parameters, args),
        "set" => set(&server.parameters, args),
        "resetstat" => {
            server.stats.reset();
            Reply::Ok
        }
        "rewrite" => Reply::error("ERR The server is running without a config file"),
        "help" => help(HELP),
        _ => errors::unknown_subcommand("config", subcommand.as_bytes()),
    }
}

fn get(parameters: &Parameters, patterns: &[&[u8]]) -> Reply {
    let all = parameters.lock();
    let is_wanted = |name: &str| patterns.iter().any(|pattern| glob::matches_name(pattern, name));
    let wanted = all.iter().filter(|(name, _)| is_wanted(name));
    Reply::Map(wanted.map(|(name, found)| (Reply::bulk(name), Reply::bulk(&found.value))).collect())
}

/// All or nothing.
fn set(parameters: &Parameters, args: &[&[u8]]) -> Reply {
    if !args.len().is_multiple_of(2) {
        return errors::syntax();
    }
    let mut all = parameters.lock();
    let mut changes = Vec::with_capacity(args.len() / 2);
    for pair in args.chunks_exact(2) {
        let name = String::from_utf8_lossy(&pair[0][..pair[0].len().min(128)]).to_lowercase();
        let Some((known, parameter)) = all.get_key_value(name.as_str()) else {
            return Reply::error(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            ));
        };
        let failed = |why: &str| {
            Reply::error(format!(
                "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"
            ))
        };
        let value = match std::str::from_utf8(pair[1]) {
            Ok(value) if value.len() <= VALUE_BYTES_MAX => value,
            _ => return failed("argument is too long or not text"),
        };
        if parameter.is_fixed && parameter.value != value {
            return failed("can't set immutable config");
        }
        if changes.iter().any(|(earlier, _)| earlier == known) {
            return failed("duplicate parameter");
        }
        changes.push((*known, value.to_owned()));
    }
    for (name, value) in changes {
        if let Some(parameter) = all.get_mut(name) {
            parameter.value = value;
        }
    }
    Reply::Ok
}

const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Take note of <value>, to no effect: raftkv is configured by flags.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Refused: there is no configuration file.",
    "HELP",
    "    Prints this help.",
];
