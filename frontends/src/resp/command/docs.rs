//! COMMAND DOCS: what is said of commands to people.
//!
//! The facts are those of Redis 7.0, since it is Redis' commands that we have: versions, costs,
//! names and forms of arguments. The sentences are our own. They stand in `docs`: for each command
//! a paragraph that begins with its name, then fields, then its arguments, a line each,
//! those that are part of another one indented below it:
//!
//! ```text
//! persist
//! summary: Let a key live for ever
//! complexity: O(1)
//! - key key key=0             name and type; key: which of the key specs; also token=, since=,
//!                             deprecated=, and after them flags: optional, multiple, …
//! ```
//!
//! Group and version are in the rows of the table.

use std::collections::HashMap;
use std::iter::Peekable;
use std::sync::LazyLock;

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::Spec;

use super::words;

/// A new data type adds its file here.
const TEXTS: [&str; 9] = [
    include_str!("docs/general.txt"),
    include_str!("docs/hashes.txt"),
    include_str!("docs/lists.txt"),
    include_str!("docs/sets.txt"),
    include_str!("docs/zsets.txt"),
    include_str!("docs/streams.txt"),
    include_str!("docs/bitmaps.txt"),
    include_str!("docs/hyperloglog.txt"),
    include_str!("docs/geo.txt"),
];

/// The paragraphs of the texts by the name that each begins with.
static PARAGRAPHS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let paragraphs = TEXTS.iter().flat_map(|text| text.split("\n\n"));
    paragraphs.filter_map(|paragraph| paragraph.split_once('\n')).collect()
});

/// Returns the name of a command and what there is to say of it.
pub(super) fn entry(spec: &'static Spec) -> (Reply, Reply) {
    let paragraph = PARAGRAPHS.get(spec.name).copied().unwrap_or_default();
    let texts = |name: &'static str| {
        let of = move |line: &'static str| line.strip_prefix(name)?.strip_prefix(": ");
        paragraph.lines().filter_map(of)
    };
    let field = |name: &'static str, text: &str| (Reply::bulk(name), Reply::bulk(text));
    let fields_of = |name| texts(name).map(move |text| field(name, text));

    let mut fields: Vec<_> = fields_of("summary").collect();
    fields.extend([field("since", spec.since), field("group", spec.group)]);
    fields.extend(fields_of("complexity"));
    if texts("deprecated_since").next().is_some() {
        fields.push((Reply::bulk("doc_flags"), words("deprecated")));
    }
    fields.extend(texts("doc_flags").map(|flags| (Reply::bulk("doc_flags"), words(flags))));
    fields.extend(fields_of("deprecated_since"));
    fields.extend(fields_of("replaced_by"));
    let history: Vec<_> = texts("history").map(change).collect();
    if !history.is_empty() {
        fields.push((Reply::bulk("history"), Reply::Set(history)));
    }
    let arguments = arguments(&mut paragraph.lines().filter_map(argument_line).peekable(), 0);
    if !arguments.is_empty() {
        fields.push((Reply::bulk("arguments"), Reply::Array(arguments)));
    }
    if !spec.subcommands.is_empty() {
        let rows = spec.subcommands.iter().map(entry).collect();
        fields.push((Reply::bulk("subcommands"), Reply::Map(rows)));
    }
    (Reply::bulk(spec.name), Reply::Map(fields))
}

/// A version, and what changed in it.
fn change(text: &str) -> Reply {
    let (version, what) = text.split_once(' ').unwrap_or((text, ""));
    Reply::Array(vec![Reply::bulk(version), Reply::bulk(what)])
}

/// Returns how deep an argument is indented, and its words.
fn argument_line(line: &'static str) -> Option<(usize, &'static str)> {
    let text = line.trim_start();
    Some((line.len() - text.len(), text.strip_prefix("- ")?))
}

/// Takes the arguments of one indentation, with all that are below them.
fn arguments(
    lines: &mut Peekable<impl Iterator<Item = (usize, &'static str)>>,
    indent: usize,
) -> Vec<Reply> {
    let mut arguments = Vec::new();
    while let Some((_, text)) = lines.next_if(|(here, _)| *here == indent) {
        let mut fields = argument(text);
        let below = lines.peek().map(|(deeper, _)| *deeper).filter(|deeper| *deeper > indent);
        if let Some(deeper) = below {
            let parts = self::arguments(lines, deeper);
            fields.push((Reply::bulk("arguments"), Reply::Array(parts)));
        }
        arguments.push(Reply::Map(fields));
    }
    arguments
}

fn argument(text: &'static str) -> Vec<(Reply, Reply)> {
    let mut fields = Vec::new();
    let mut flags = Vec::new();
    for (position, word) in text.split(' ').enumerate() {
        let (name, value) = match (position, word.split_once('=')) {
            (0, _) => ("name", word),
            (1, _) => ("type", word),
            (_, Some(("key", number))) => ("key_spec_index", number),
            (_, Some(("deprecated", version))) => ("deprecated_since", version),
            (_, Some(pair)) => pair,
            (_, None) => {
                flags.push(Reply::Simple(word));
                continue;
            }
        };
        let value = match value.parse() {
            Ok(number) if name == "key_spec_index" => Reply::Integer(number),
            _ => Reply::bulk(value),
        };
        fields.push((Reply::bulk(name), value));
    }
    if !flags.is_empty() {
        fields.push((Reply::bulk("flags"), Reply::Set(flags)));
    }
    fields
}
