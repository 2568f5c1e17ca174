//! COMMAND: the command table, as clients read it.

mod docs;

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::{self as table, Begin, Find, Spec};
use raftkv_storage::keyspace::glob;

use super::errors;
use super::help::help;

/// The most names that INFO and DOCS take at once: more than there are commands and subcommands.
const NAMES_MAX: usize = 512;

/// `args` begin with the name of the subcommand, if there is one.
pub(super) fn run(subcommand: Option<&str>, args: &[&[u8]]) -> Reply {
    let names = args.get(1..).unwrap_or_default();
    match subcommand {
        // A few bytes ask for a page of text each.
        Some("info" | "docs") if names.len() > NAMES_MAX => {
            Reply::error("ERR more names than there are commands")
        }
        None => Reply::Array(table::all().iter().map(entry).collect()),
        Some("info") if names.is_empty() => Reply::Array(table::all().iter().map(entry).collect()),
        Some("info") => {
            let one = |name: &&[u8]| find(name).map_or(Reply::Null, entry);
            Reply::Array(names.iter().map(one).collect())
        }
        Some("docs") if names.is_empty() => {
            Reply::Map(table::all().iter().map(docs::entry).collect())
        }
        Some("docs") => {
            Reply::Map(names.iter().filter_map(|name| find(name)).map(docs::entry).collect())
        }
        Some("count") => Reply::Integer(table::all().len() as i64),
        Some("list") => list(names),
        Some("getkeys") => with_keys(names, |key, _| Reply::bulk(key)),
        Some("getkeysandflags") => {
            with_keys(names, |key, flags| Reply::Array(vec![Reply::bulk(key), words(flags)]))
        }
        Some("help") => help(HELP),
        Some(other) => Reply::unknown_subcommand("command", other.as_bytes()),
    }
}

/// Finds a row by its name; of a subcommand that is `container|name`.
fn find(name: &[u8]) -> Option<&'static Spec> {
    match name.iter().position(|byte| *byte == b'|') {
        None => table::lookup(name),
        Some(bar) => table::lookup(&name[..bar])?.subcommand(&name[bar + 1..]),
    }
}

/// The ten elements that COMMAND says of each command.
fn entry(spec: &Spec) -> Reply {
    Reply::Array(vec![
        Reply::bulk(spec.name),
        Reply::Integer(spec.arity.into()),
        simple_set(spec.flags.names()),
        Reply::Integer(spec.first_key.into()),
        Reply::Integer(spec.last_key.into()),
        Reply::Integer(spec.key_step.into()),
        simple_set(spec.flags.categories()),
        Reply::Set(spec.tips.iter().map(Reply::bulk).collect()),
        Reply::Set(key_specs(spec)),
        match spec.subcommands {
            [] => Reply::Set(Vec::new()),
            // Redis has a set of none, and an array of some.
            rows => Reply::Array(rows.iter().map(entry).collect()),
        },
    ])
}

/// Where the keys are and what becomes of them, in the newer form: one element for all keys, or,
/// where they fare differently, one for each; and those that no range tells.
fn key_specs(spec: &Spec) -> Vec<Reply> {
    let (first, last, step) = (spec.first_key, spec.last_key, spec.key_step);
    let in_range = |flags, first: i16, last| {
        let find = vec![number("lastkey", last), number("keystep", step), number("limit", 0)];
        key_spec(flags, spec.key_notes, index(first), typed("range", find))
    };
    let mut specs: Vec<Reply> = match spec.key_flags {
        _ if first == 0 => Vec::new(),
        // Here the last key is counted from the first one; from the end it stays as it is.
        [flags] => vec![in_range(flags, first, if last < 0 { last } else { last - first })],
        each => {
            let places = (first..).step_by(step.unsigned_abs().into());
            // The last one is for all that are left.
            let is_last = |at| at + 1 == each.len();
            let until = |at| if is_last(at) { last.min(0) } else { 0 };
            let places = places.zip(each).enumerate();
            places.map(|(at, (place, flags))| in_range(flags, place, until(at))).collect()
        }
    };
    specs.extend(spec.more_keys.iter().map(|keys| {
        let begin = match keys.begin {
            Begin::Index(position) => index(position),
            Begin::Keyword(word, from) => {
                let keyword = (Reply::bulk("keyword"), Reply::bulk(word));
                typed("keyword", vec![keyword, number("startfrom", from)])
            }
            Begin::Unknown => typed("unknown", Vec::new()),
        };
        let find = match keys.find {
            Find::Count => {
                let places = [number("keynumidx", 0), number("firstkey", 1), number("keystep", 1)];
                typed("keynum", places.into())
            }
            Find::Range { last, limit } => {
                let range = [number("lastkey", last), number("keystep", 1), number("limit", limit)];
                typed("range", range.into())
            }
            Find::Unknown | Find::Option { .. } => typed("unknown", Vec::new()),
        };
        key_spec(keys.flags, keys.notes, begin, find)
    }));
    specs
}

fn key_spec(flags: &'static str, notes: &'static str, begin: Reply, find: Reply) -> Reply {
    let mut fields = Vec::new();
    if !notes.is_empty() {
        fields.push((Reply::bulk("notes"), Reply::bulk(notes)));
    }
    fields.extend([
        (Reply::bulk("flags"), words(flags)),
        (Reply::bulk("begin_search"), begin),
        (Reply::bulk("find_keys"), find),
    ]);
    Reply::Map(fields)
}

fn index(position: i16) -> Reply {
    typed("index", vec![number("index", position)])
}

fn typed(kind: &'static str, fields: Vec<(Reply, Reply)>) -> Reply {
    Reply::Map(vec![
        (Reply::bulk("type"), Reply::bulk(kind)),
        (Reply::bulk("spec"), Reply::Map(fields)),
    ])
}

fn number(name: &'static str, value: i16) -> (Reply, Reply) {
    (Reply::bulk(name), Reply::Integer(value.into()))
}

fn simple_set(names: impl Iterator<Item = &'static str>) -> Reply {
    Reply::Set(names.map(Reply::Simple).collect())
}

fn words(flags: &'static str) -> Reply {
    simple_set(flags.split(' '))
}

/// Subcommands are listed too, each by itself: a container may be left out and one of them not.
fn list(options: &[&[u8]]) -> Reply {
    let names = |is_in: &dyn Fn(&Spec) -> bool| {
        let rows =
            table::all().iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
        let rows = rows.filter(|spec| is_in(spec));
        Reply::Array(rows.map(|spec| Reply::bulk(spec.name)).collect())
    };
    let [filter, by, value] = options else {
        return if options.is_empty() { names(&|_| true) } else { errors::syntax() };
    };
    if !filter.eq_ignore_ascii_case(b"filterby") {
        return errors::syntax();
    }
    if by.eq_ignore_ascii_case(b"module") {
        names(&|_| false)
    } else if by.eq_ignore_ascii_case(b"pattern") {
        names(&|spec| glob::matches_name(value, spec.name))
    } else if by.eq_ignore_ascii_case(b"aclcat") {
        let is_wanted = |name: &str| name.as_bytes()[1..].eq_ignore_ascii_case(value);
        names(&|spec| spec.flags.categories().any(is_wanted))
    } else {
        errors::syntax()
    }
}

/// Shows the keys of a call, with what becomes of each.
fn with_keys(call: &[&[u8]], show: impl Fn(&[u8], &'static str) -> Reply) -> Reply {
    let Some((row, args)) = call.split_first().and_then(|(name, args)| {
        let spec = table::lookup(name)?;
        let row = match args.first().filter(|_| !spec.subcommands.is_empty()) {
            Some(name) => spec.subcommand(name)?,
            None => spec,
        };
        Some((row, args))
    }) else {
        return Reply::error("ERR Invalid command specified");
    };
    if row.first_key == 0 && row.more_keys.is_empty() {
        return Reply::error("ERR The command has no key arguments");
    }
    if !row.accepts(args.len()) {
        return Reply::error("ERR Invalid number of arguments specified for command");
    }
    let last = row.key_flags.last().copied().unwrap_or_default();
    let flags = |key: usize| match row.name {
        "set" => set_flags(args),
        "bitfield" => bitfield_flags(args),
        "sort" if key > 0 => "OW update",
        "delex" if args.len() == 1 => "RM delete",
        "delex" => "RW access delete",
        // Most rows say one thing of all keys.
        _ => row.key_flags.get(key).copied().unwrap_or(last),
    };
    let keys = row.keys(args).filter_map(|position| args.get(position)).enumerate();
    let shown: Vec<Reply> = keys.map(|(at, key)| show(key, flags(at))).collect();
    if shown.is_empty() {
        return Reply::error("ERR Invalid arguments specified for command");
    }
    Reply::Array(shown)
}

/// What SET does to its key depends on whether the old value matters.
fn set_flags(args: &[&[u8]]) -> &'static str {
    let reads = |arg: &&[u8]| arg.eq_ignore_ascii_case(b"get") || arg.eq_ignore_ascii_case(b"ifeq");
    if args.iter().skip(2).any(reads) { "RW access update" } else { "OW update" }
}

/// BITFIELD changes its key unless it only gets.
fn bitfield_flags(args: &[&[u8]]) -> &'static str {
    let mut operations = args.get(1..).unwrap_or_default();
    loop {
        operations = match operations {
            [] => return "RO access",
            [name, _, _, rest @ ..] if name.eq_ignore_ascii_case(b"get") => rest,
            [name, _, rest @ ..] if name.eq_ignore_ascii_case(b"overflow") => rest,
            _ => return "RW access update",
        };
    }
}

const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
    "HELP",
    "    Prints this help.",
];
