//! CONFIG: what tools ask for before they trust a server.
//!
//! raftkv is configured by flags. Here it shows what corresponds to parameters that Redis has, and
//! takes note of some that tools insist on setting, to no effect; every other parameter is refused.
//! One does what it says: how many keys are tracked for clients that cache.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::glob;

use super::help::help;
use super::tracking::KEYS_MAX;
use super::{Options, Server, errors, scanner};
use crate::Kv;

/// A list of SAVE points is kept for CONFIG GET, so it is short.
const SAVE_BYTES_MAX: usize = 1024;

/// What a value must be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A whole number between these.
    Integer(i64, i64),
    /// At least so many bytes, with or without a unit.
    Memory(i64),
    /// `yes` or `no`.
    YesNo,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Classes of events, a letter each.
    Events,
    /// Pairs of seconds and changes.
    SavePoints,
}

/// The one parameter that has an effect.
const TRACKING: &str = "tracking-table-max-keys";

const COUNT: Kind = Kind::Integer(0, i64::MAX);
const COUNT_32: Kind = Kind::Integer(0, i32::MAX as i64);
const SIZE: Kind = Kind::Memory(0);

/// The classes of events that `A` stands for, and then the others, in the order they are shown in.
const EVENTS_ALL: &str = "g$lshzxetd";
const EVENTS_APART: &str = "KEm";

impl Kind {
    /// Returns the value as CONFIG GET shows it, or what is wrong with it, in Redis' words.
    fn check(self, value: &[u8]) -> Result<String, String> {
        match self {
            Self::YesNo => one_of(&["yes", "no"], value)
                .ok_or_else(|| "argument must be 'yes' or 'no'".to_owned()),
            Self::OneOf(names) => one_of(names, value).ok_or_else(|| {
                format!("argument(s) must be one of the following: {}", names.join(", "))
            }),
            Self::Integer(least, most) => match scanner::integer(value) {
                None => Err("argument couldn't be parsed into an integer".to_owned()),
                Some(number) => between(Some(number), least, most),
            },
            Self::Memory(least) => match memory(value) {
                None => Err("argument must be a memory value".to_owned()),
                Some(bytes) => between(i64::try_from(bytes).ok(), least, i64::MAX),
            },
            Self::Events => events(value)
                .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned()),
            Self::SavePoints => {
                save_points(value).ok_or_else(|| "Invalid save parameters".to_owned())
            }
        }
    }
}

fn one_of(names: &[&str], value: &[u8]) -> Option<String> {
    let is_meant = |name: &&&str| name.as_bytes().eq_ignore_ascii_case(value);
    names.iter().find(is_meant).map(|name| (*name).to_owned())
}

fn between(number: Option<i64>, least: i64, most: i64) -> Result<String, String> {
    number
        .filter(|number| (least..=most).contains(number))
        .map(|number| number.to_string())
        .ok_or_else(|| format!("argument must be between {least} and {most} inclusive"))
}

/// Reads a number of bytes: `k`, `m` and `g` count by thousands, `kb`, `mb` and `gb` by 1024. No
/// digit is zero, and what is too large for a number is the largest.
fn memory(value: &[u8]) -> Option<u64> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = value.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1_000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add((digit - b'0').into());
    Some(number.iter().fold(0, add).saturating_mul(factor))
}

/// Brings classes of events into the order that Redis shows. As there, `n` is lost beside `A`.
fn events(value: &[u8]) -> Option<String> {
    let has = |class: char| value.contains(&(class as u8));
    let is_known = |byte: &u8| EVENTS_ALL.as_bytes().contains(byte) || b"AnKEm".contains(byte);
    if !value.iter().all(is_known) {
        return None;
    }
    let mut shown = String::new();
    if has('A') || EVENTS_ALL.chars().all(has) {
        shown.push('A');
    } else {
        shown.extend(EVENTS_ALL.chars().chain(['n']).filter(|class| has(*class)));
    }
    shown.extend(EVENTS_APART.chars().filter(|class| has(*class)));
    Some(shown)
}

fn save_points(value: &[u8]) -> Option<String> {
    if value.is_empty() {
        return Some(String::new());
    }
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= SAVE_BYTES_MAX)?;
    let numbers = text.split(' ').map(|word| word.parse().ok()).collect::<Option<Vec<i64>>>()?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    let is_valid = rest.is_empty() && pairs.iter().all(|[time, count]| *time >= 1 && *count >= 0);
    let words: Vec<_> = numbers.iter().map(i64::to_string).collect();
    is_valid.then(|| words.join(" "))
}

/// Parameters with no effect here: how Redis lays out what it stores, what it logs, how it would
/// save.
const NOTED: &[(&str, &str, Kind)] = &[
    ("busy-reply-threshold", "5000", COUNT),
    ("client-query-buffer-limit", "16777216", Kind::Memory(1 << 20)),
    ("hash-max-listpack-entries", "512", COUNT),
    ("hash-max-listpack-value", "64", SIZE),
    ("hll-sparse-max-bytes", "3000", SIZE),
    ("latency-monitor-threshold", "0", COUNT),
    ("latency-tracking", "no", Kind::YesNo),
    ("list-compress-depth", "0", COUNT_32),
    ("list-max-listpack-size", "-2", Kind::Integer(i32::MIN as i64, i32::MAX as i64)),
    ("notify-keyspace-events", "", Kind::Events),
    ("proto-max-bulk-len", "8388608", Kind::Memory(1 << 20)),
    ("sanitize-dump-payload", "no", Kind::OneOf(&["no", "yes", "clients"])),
    ("save", "", Kind::SavePoints),
    ("set-max-intset-entries", "512", COUNT),
    ("set-max-listpack-entries", "128", COUNT),
    ("set-max-listpack-value", "64", SIZE),
    ("slowlog-log-slower-than", "10000", Kind::Integer(-1, i64::MAX)),
    ("slowlog-max-len", "128", COUNT),
    ("stream-node-max-bytes", "4096", SIZE),
    ("stream-node-max-entries", "100", COUNT),
    ("timeout", "0", COUNT_32),
    (TRACKING, "", COUNT),
    ("zset-max-listpack-entries", "128", COUNT),
    ("zset-max-listpack-value", "64", SIZE),
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

/// Older names: each stands for a parameter above.
const ALIASES: &[(&str, &str)] = &[
    ("hash-max-ziplist-entries", "hash-max-listpack-entries"),
    ("hash-max-ziplist-value", "hash-max-listpack-value"),
    ("list-max-ziplist-size", "list-max-listpack-size"),
    ("lua-time-limit", "busy-reply-threshold"),
    ("slave-read-only", "replica-read-only"),
    ("zset-max-ziplist-entries", "zset-max-listpack-entries"),
    ("zset-max-ziplist-value", "zset-max-listpack-value"),
];

/// The parameters and their values, by every name they have.
#[derive(Debug)]
pub(super) struct Parameters(Mutex<Names>);

type Names = BTreeMap<&'static str, Parameter>;

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
        let aliases = ALIASES.iter().map(|(alias, name)| (*alias, all[name].clone()));
        all.extend(aliases.collect::<Vec<_>>());
        Self(Mutex::new(all))
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
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
        _ => Reply::unknown_subcommand("config", subcommand.as_bytes()),
    }
}

/// Shows each parameter once: one that was asked for by name as it was written, one that fits a
/// pattern by its own name.
fn get(parameters: &Parameters, asked: &[&[u8]]) -> Reply {
    let all = parameters.lock();
    let mut shown: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for wanted in asked {
        if wanted.iter().any(|byte| matches!(byte, b'[' | b'*' | b'?')) {
            for name in all.keys().filter(|name| glob::matches_name(wanted, name)) {
                shown.entry(name).or_insert(name.as_bytes());
            }
        } else if let Some((name, _)) = find(&all, wanted) {
            shown.entry(name).or_insert(wanted);
        }
    }
    let pair = |(name, shown)| (Reply::bulk(shown), Reply::bulk(&all[name].value));
    Reply::Map(shown.into_iter().map(pair).collect())
}

fn find<'a>(all: &'a Names, name: &[u8]) -> Option<(&'static str, &'a Parameter)> {
    let name = name.to_ascii_lowercase();
    let (name, parameter) = all.get_key_value(std::str::from_utf8(&name).ok()?)?;
    Some((*name, parameter))
}

/// All or nothing. As in Redis, all names are judged before any value is.
fn set<K: Kv>(server: &Server<K>, args: &[&[u8]]) -> Reply {
    let (pairs, rest) = args.as_chunks::<2>();
    if !rest.is_empty() {
        return errors::syntax();
    }
    let failed = |name: &[u8], why: &str| {
        let before = "ERR CONFIG SET failed (possibly related to argument '";
        Reply::error_quoting(before, name, &format!("') - {why}"))
    };
    let mut all = server.parameters.lock();
    let mut wanted: Vec<(&str, Option<Kind>, &[u8])> = Vec::new();
    for [typed, value] in pairs {
        let Some((name, parameter)) = find(&all, typed) else {
            let before = "ERR Unknown option or number of arguments for CONFIG SET - '";
            return Reply::error_quoting(before, typed, "'");
        };
        if parameter.kind.is_none() && parameter.value.as_bytes() != *value {
            return failed(typed, "can't set immutable config");
        }
        if wanted.iter().any(|(earlier, ..)| *earlier == name) {
            return failed(typed, "duplicate parameter");
        }
        wanted.push((name, parameter.kind, *value));
    }
    let mut changes = Vec::with_capacity(wanted.len());
    for (name, kind, value) in wanted {
        match kind.map(|kind| kind.check(value)) {
            Some(Ok(value)) => changes.push((name, value)),
            Some(Err(why)) => return failed(name.as_bytes(), &why),
            None => {}
        }
    }
    for (name, value) in changes {
        if name == TRACKING {
            server.tracking.set_keys_max(value.parse().unwrap_or(KEYS_MAX));
        }
        let is_same = |(alias, of): &&(&str, &str)| *alias == name || *of == name;
        let names = ALIASES.iter().filter(is_same).flat_map(|(alias, of)| [*alias, *of]);
        for name in names.chain([name]) {
            if let Some(parameter) = all.get_mut(name) {
                parameter.value.clone_from(&value);
            }
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
