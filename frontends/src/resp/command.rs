//! COMMAND: the command table, as clients read it.

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::{self as table, Flags, Spec};
use raftkv_storage::keyspace::glob;

use super::errors;
use super::session::help;

/// `args` begin with the name of the subcommand, if there is one.
pub(super) fn run(subcommand: Option<&str>, args: &[&[u8]]) -> Reply {
    let names = args.get(1..).unwrap_or_default();
    match subcommand {
        None => Reply::Array(table::all().iter().map(entry).collect()),
        Some("info") if names.is_empty() => Reply::Array(table::all().iter().map(entry).collect()),
        Some("info") => {
            let one = |name: &&[u8]| find(name).map_or(Reply::Null, entry);
            Reply::Array(names.iter().map(one).collect())
        }
        Some("docs") if names.is_empty() => Reply::Map(table::all().iter().map(doc).collect()),
        Some("docs") => Reply::Map(names.iter().filter_map(|name| find(name)).map(doc).collect()),
        Some("count") => Reply::Integer(table::all().len() as i64),
        Some("list") => list(names),
        Some("getkeys") => with_keys(names, |_, key| Reply::bulk(key)),
        Some("getkeysandflags") => with_keys(names, |spec, key| {
            Reply::Array(vec![Reply::bulk(key), simple_set(access(spec))])
        }),
        Some("help") => help(HELP),
        Some(other) => errors::unknown_subcommand("command", other.as_bytes()),
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
    let keys = if spec.first_key > 0 { vec![key_spec(spec)] } else { Vec::new() };
    let (first, last) = (spec.first_key, spec.last_key);
    Reply::Array(vec![
        Reply::bulk(spec.name),
        Reply::Integer(spec.arity.into()),
        simple_set(spec.flags.names()),
        Reply::Integer(first.into()),
        Reply::Integer(last.into()),
        Reply::Integer(spec.key_step.into()),
        simple_set(spec.flags.categories()),
        Reply::Set(spec.tips.iter().map(Reply::bulk).collect()),
        Reply::Set(keys),
        Reply::Set(spec.subcommands.iter().map(entry).collect()),
    ])
}

/// Where the keys are, in the newer form.
fn key_spec(spec: &Spec) -> Reply {
    // Here the last key is counted from the first one; from the end it stays as it is.
    let last = if spec.last_key < 0 { spec.last_key } else { spec.last_key - spec.first_key };
    let typed = |kind: &'static str, fields: Vec<(Reply, Reply)>| {
        Reply::Map(vec![
            (Reply::bulk("type"), Reply::bulk(kind)),
            (Reply::bulk("spec"), Reply::Map(fields)),
        ])
    };
    let number = |name: &'static str, value: i16| (Reply::bulk(name), Reply::Integer(value.into()));
    Reply::Map(vec![
        (Reply::bulk("flags"), simple_set(access(spec))),
        (Reply::bulk("begin_search"), typed("index", vec![number("index", spec.first_key)])),
        (
            Reply::bulk("find_keys"),
            typed(
                "range",
                vec![number("lastkey", last), number("keystep", spec.key_step), number("limit", 0)],
            ),
        ),
    ])
}

/// What a command does to its keys, as far as the table knows: reads, or reads and writes.
fn access(spec: &Spec) -> impl Iterator<Item = &'static str> + use<> {
    let flags = if spec.flags.contains(Flags::WRITE) {
        ["RW", "access", "update"].as_slice()
    } else {
        ["RO", "access"].as_slice()
    };
    flags.iter().copied()
}

fn simple_set(names: impl Iterator<Item = &'static str>) -> Reply {
    Reply::Set(names.map(Reply::Simple).collect())
}

fn doc(spec: &'static Spec) -> (Reply, Reply) {
    let field = |name: &'static str, value: &'static str| (Reply::bulk(name), Reply::bulk(value));
    let mut fields = vec![
        field("summary", spec.summary),
        field("since", spec.since),
        field("group", spec.group),
    ];
    if !spec.subcommands.is_empty() {
        let rows = spec.subcommands.iter().map(doc).collect();
        fields.push((Reply::bulk("subcommands"), Reply::Map(rows)));
    }
    (Reply::bulk(spec.name), Reply::Map(fields))
}

fn list(options: &[&[u8]]) -> Reply {
    let names = |is_in: &dyn Fn(&Spec) -> bool| {
        let rows = table::all().iter().filter(|spec| is_in(spec));
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

fn with_keys(call: &[&[u8]], show: impl Fn(&Spec, &[u8]) -> Reply) -> Reply {
    let Some((spec, args)) =
        call.split_first().and_then(|(name, args)| table::lookup(name).map(|spec| (spec, args)))
    else {
        return Reply::error("ERR Invalid command specified");
    };
    let subcommand = args.first().and_then(|name| spec.subcommand(name));
    let row = subcommand.unwrap_or(spec);
    if row.first_key == 0 {
        return Reply::error("ERR The command has no key arguments");
    }
    if !row.accepts(args.len()) {
        return Reply::error("ERR Invalid number of arguments specified for command");
    }
    let keys = spec.keys(args).filter_map(|position| args.get(position));
    Reply::Array(keys.map(|key| show(row, key)).collect())
}

const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST [FILTERBY (MODULE <name> | ACLCAT <category> | PATTERN <pattern>)]",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
    "HELP",
    "    Prints this help.",
];
