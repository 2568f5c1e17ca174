//! CONFIG: what tools ask for before they trust a server.
//!
//! raftkv is configured by flags. Here it shows what corresponds to parameters that Redis has, and
//! takes note of some that tools insist on setting, to no effect; every other parameter is refused.
//! One does what it says: how many keys are tracked for clients that cache.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::glob;

use super::session::help;
use super::tracking::KEYS_MAX;
use super::{Options, Server, errors, scanner};
use crate::Kv;

/// Values of CONFIG SET are kept for CONFIG GET, so they are short.
const VALUE_BYTES_MAX: usize = 1024;

/// What a value must be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A whole number between these.
    Integer(i64, i64),
    /// Bytes, with or without a unit.
    Memory,
    /// `yes` or `no`.
    YesNo,
    /// Anything.
    Text,
}

/// The one parameter that has an effect.
const TRACKING: &str = "tracking-table-max-keys";

const COUNT: Kind = Kind::Integer(0, i64::MAX);
const COUNT_32: Kind = Kind::Integer(0, i32::MAX as i64);

impl Kind {
    /// Returns the value as CONFIG GET shows it, or what is wrong with it, in Redis' words.
    fn check(self, value: &str) -> Result<String, String> {
        match self {
            Self::Text => Ok(value.to_owned()),
            Self::YesNo if matches!(value, "yes" | "no") => Ok(value.to_owned()),
            Self::YesNo => Err("argument must be 'yes' or 'no'".to_owned()),
            Self::Integer(least, most) => match scanner::integer(value.as_bytes()) {
                None => Err("argument couldn't be parsed into an integer".to_owned()),
                Some(number) if (least..=most).contains(&number) => Ok(value.to_owned()),
                Some(_) => Err(format!("argument must be between {least} and {most} inclusive")),
            },
            Self::Memory => match memory(value) {
                Some(bytes) => Ok(bytes.to_string()),
                None => Err("argument must be a memory value".to_owned()),
            },
        }
    }
}

/// Reads a number of bytes: `k`, `m` and `g` count by thousands, `kb`, `mb` and `gb` by 1024.
fn memory(value: &str) -> Option<i64> {
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = value.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

/// Parameters with no effect here: how Redis lays out what it stores, what it logs, how it would
/// save.
const NOTED: &[(&str, &str, Kind)] = &[
    ("busy-reply-threshold", "5000", COUNT),
    ("client-query-buffer-limit", "16777216", Kind::Memory),
    ("hash-max-listpack-entries", "512", COUNT),
    ("hash-max-listpack-value", "64", Kind::Memory),
    ("hash-max-ziplist-entries", "512", COUNT),
    ("hash-max-ziplist-value", "64", Kind::Memory),
    ("latency-monitor-threshold", "0", COUNT),
    ("latency-tracking", "no", Kind::YesNo),
    ("list-compress-depth", "0", COUNT_32),
    ("list-max-listpack-size", "-2", Kind::Integer(i32::MIN as i64, i32::MAX as i64)),
    ("list-max-ziplist-size", "-2", Kind::Integer(i32::MIN as i64, i32::MAX as i64)),
    ("lua-time-limit", "5000", COUNT),
    ("notify-keyspace-events", "", Kind::Text),
    ("proto-max-bulk-len", "8388608", Kind::Memory),
    ("sanitize-dump-payload", "no", Kind::Text),
    ("save", "", Kind::Text),
    ("set-max-intset-entries", "512", COUNT),
    ("set-max-listpack-entries", "128", COUNT),
    ("set-max-listpack-value", "64", Kind::Memory),
    ("slowlog-log-slower-than", "10000", Kind::Integer(-1, i64::MAX)),
    ("slowlog-max-len", "128", COUNT),
    ("stream-node-max-bytes", "4096", Kind::Memory),
    ("stream-node-max-entries", "100", COUNT),
    ("timeout", "0", COUNT_32),
    (TRACKING, "", COUNT),
    ("zset-max-listpack-entries", "128", COUNT),
    ("zset-max-listpack-value", "64", Kind::Memory),
    ("zset-max-ziplist-entries", "128", COUNT),
    ("zset-max-ziplist-value", "64", Kind::Memory),
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
    /// What may be set; `None` for what cannot be changed.
    kind: Option<Kind>,
}

impl Parameters {
    pub(super) fn new(options: &Options, port: u16) -> Self {
        let noted = |(name, value, kind): &(&'static str, &str, Kind)| {
            (*name, Parameter { value: (*value).to_owned(), kind: Some(*kind) })
        };
        let fixed = |(name, value): &(&'static str, &str)| {
            (*name, Parameter { value: (*value).to_owned(), kind: None })
        };
        let mut all: BTreeMap<_, _> = NOTED.iter().map(noted).collect();
        all.extend(FIXED.iter().map(fixed));
        let own = [("maxclients", options.max_connections.to_string()), ("port", port.to_string())];
        all.extend(own.map(|(name, value)| (name, Parameter { value, kind: None })));
        all.entry("proto-max-bulk-len")
            .and_modify(|parameter| parameter.value = options.max_bulk_bytes.to_string());
        all.entry(TRACKING).and_modify(|parameter| parameter.value = KEYS_MAX.to_string());
        Self(Mutex::new(all))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Parameter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn run<K: Kv>(server: &Server<K>, subcommand: &str, args: &[&[u8]]) -> Reply {
    match subcommand {
        "get" => get(&server.parameters, args),
        "set" => set(server, args),
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
fn set<K: Kv>(server: &Server<K>, args: &[&[u8]]) -> Reply {
    if !args.len().is_multiple_of(2) {
        return errors::syntax();
    }
    let mut all = server.parameters.lock();
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
        let value = match parameter.kind.map(|kind| kind.check(value)) {
            Some(Ok(value)) => value,
            Some(Err(why)) => return failed(&why),
            None if parameter.value == value => value.to_owned(),
            None => return failed("can't set immutable config"),
        };
        if changes.iter().any(|(earlier, _)| earlier == known) {
            return failed("duplicate parameter");
        }
        changes.push((*known, value));
    }
    for (name, value) in changes {
        if name == TRACKING {
            server.tracking.set_keys_max(value.parse().unwrap_or(KEYS_MAX));
        }
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
    "    Take note of <value>, to no effect but for tracking-table-max-keys: raftkv is configured \
     by flags.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Refused: there is no configuration file.",
    "HELP",
    "    Prints this help.",
];
