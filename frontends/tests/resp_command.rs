//! COMMAND: byte for byte, and against a real redis-server.
//!
//! The comparison runs where a `redis-server` of version 7.0 is on the PATH, and says so where
//! there is none. Redis' sets have no order, and it has commands that we do not have: replies are
//! compared with their sets in order and without those. What is said to people is said in our own
//! words: of sentences only the facts are compared, and that they are not Redis' sentences.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "../../storage/tests/keyspace_support/mod.rs"]
mod keyspace_support;

use std::collections::BTreeSet;

use keyspace_support::redis::Redis;
use raftkv_storage::keyspace::command::{Spec, all};
use support::{Memory, ask, talk, words};

async fn resp3(kv: &Memory, command: &str) -> String {
    let hello = ask(kv, "HELLO 3").await;
    let answers = talk(kv, &[words("HELLO 3"), words(command)].concat()).await;
    String::from_utf8(answers).unwrap()[hello.len()..].to_owned()
}

/// All rows, those of subcommands among them.
fn rows() -> impl Iterator<Item = &'static Spec> {
    all().iter().flat_map(|row| std::iter::once(row).chain(row.subcommands))
}

#[tokio::test]
async fn command_describes_the_table_as_redis_does() {
    let kv = Memory::new();
    let get = "*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n\
        *3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n\
        *2\r\n+RO\r\n+access\r\n\
        $12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n\
        *2\r\n$5\r\nindex\r\n:1\r\n\
        $9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n\
        *6\r\n$7\r\nlastkey\r\n:0\r\n\
        $7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n";
    assert_eq!(ask(&kv, "COMMAND INFO get nosuch").await, format!("*2\r\n{get}$-1\r\n"));
    let client_id = "*1\r\n*10\r\n$9\r\nclient|id\r\n:2\r\n~3\r\n+noscript\r\n\
    +loading\r\n+stale\r\n\
        :0\r\n:0\r\n:0\r\n~2\r\n+@slow\r\n+@connection\r\n~0\r\n~0\r\n~0\r\n";
    assert_eq!(resp3(&kv, "COMMAND INFO client|id").await, client_id);
    let mset = ask(&kv, "COMMAND INFO mset").await;
    assert!(mset.contains("$7\r\nlastkey\r\n:-1\r\n$7\r\nkeystep\r\n:2\r\n"), "{mset}");
    for (command, expected) in [
        ("COMMAND GETKEYS mset a b c d", "*2\r\n$1\r\na\r\n$1\r\nc"),
        ("COMMAND GETKEYS object encoding k", "*1\r\n$1\r\nk"),
        ("COMMAND GETKEYS object nosuch k", "-ERR Invalid command specified"),
        ("COMMAND GETKEYS nosuch a b", "-ERR Invalid command specified"),
        ("COMMAND GETKEYS ping a", "-ERR The command has no key arguments"),
        ("COMMAND GETKEYS get a b c", "-ERR Invalid number of arguments specified for command"),
        ("COMMAND LIST FILTERBY PATTERN getd*", "*1\r\n$6\r\ngetdel"),
        ("COMMAND LIST FILTERBY PATTERN *key?lot", "*1\r\n$15\r\ncluster|keyslot"),
        ("COMMAND LIST FILTERBY MODULE x", "*0"),
        ("COMMAND LIST FILTERBY ACLCAT nosuch", "*0"),
        ("COMMAND LIST FILTERBY x y", "-ERR syntax error"),
        ("COMMAND LIST x", "-ERR syntax error"),
        ("COMMAND foo", "-ERR unknown subcommand 'foo'. Try COMMAND HELP."),
        ("COMMAND DOCS nosuch", "*0"),
    ] {
        assert_eq!(ask(&kv, command).await, format!("{expected}\r\n"), "{command}");
    }
    let count: usize = ask(&kv, "COMMAND COUNT").await[1..].trim_end().parse().unwrap();
    assert!(ask(&kv, "COMMAND").await.starts_with(&format!("*{count}\r\n*10\r\n")));
    assert!(ask(&kv, "COMMAND INFO").await.starts_with(&format!("*{count}\r\n*10\r\n")));
    assert!(ask(&kv, "COMMAND LIST").await.starts_with(&format!("*{}\r\n$", rows().count())));
    assert!(ask(&kv, "COMMAND DOCS").await.starts_with(&format!("*{}\r\n$", count * 2)));
}

/// A name is a few bytes, and what is said of a command is a page: the request's own limits do not
/// bound the reply.
#[tokio::test]
async fn more_names_than_there_are_commands_are_refused() {
    let kv = Memory::new();
    let names = |count: usize| vec!["set"; count].join(" ");
    assert!(rows().count() <= 512, "all names at once are never refused");
    for subcommand in ["INFO", "DOCS"] {
        let all = ask(&kv, &format!("COMMAND {subcommand} {}", names(512))).await;
        assert!(all.starts_with("*512\r\n") || all.starts_with("*1024\r\n"), "{subcommand}");
        let more = ask(&kv, &format!("COMMAND {subcommand} {}", names(513))).await;
        assert_eq!(more, "-ERR more names than there are commands\r\n");
    }
}

/// What may be kept is counted before it is compared, each with each.
#[tokio::test]
async fn too_many_prefixes_are_refused_before_they_are_compared() {
    let prefixes = vec!["PREFIX same"; 1100].join(" ");
    let answer = resp3(&Memory::new(), &format!("CLIENT TRACKING ON BCAST {prefixes}")).await;
    assert_eq!(answer, "-ERR The prefixes of this client take too much memory\r\n");
}

#[tokio::test]
async fn key_specs_say_what_becomes_of_each_key() {
    let kv = Memory::new();
    let spec = |flags: &str, index: u8| {
        format!(
            "{flags}$12\r\nbegin_search\r\n%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n%1\r\n\
             $5\r\nindex\r\n:{index}\r\n$9\r\nfind_keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n\
             $4\r\nspec\r\n%3\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n"
        )
    };
    let copy = resp3(&kv, "COMMAND INFO copy").await;
    let from = spec("%3\r\n$5\r\nflags\r\n~2\r\n+RO\r\n+access\r\n", 1);
    let to = spec("%3\r\n$5\r\nflags\r\n~2\r\n+OW\r\n+update\r\n", 2);
    assert!(copy.ends_with(&format!("~2\r\n{from}{to}~0\r\n")), "{copy}");
    let set = resp3(&kv, "COMMAND INFO set").await;
    let flags = "%4\r\n$5\r\nnotes\r\n$33\r\nWith `GET` the old string is read\r\n\
        $5\r\nflags\r\n~4\r\n+RW\r\n+access\r\n+update\r\n+variable_flags\r\n";
    assert!(set.ends_with(&format!("~1\r\n{}~0\r\n", spec(flags, 1))), "{set}");

    for (call, expected) in [
        ("get a", "a RO access"),
        ("exists a b", "a RO · b RO"),
        ("mget a b c", "a RO access · b RO access · c RO access"),
        ("object freq a", "a RO"),
        ("set a b", "a OW update"),
        ("set a get", "a OW update"),
        ("set a b nx GET", "a RW access update"),
        ("append a b", "a RW insert"),
        ("getdel a", "a RW access delete"),
        ("expire a 1", "a RW update"),
        ("mset a b c d", "a OW update · c OW update"),
        ("msetnx a b c", "a OW insert · c OW insert"),
        ("del a b", "a RM delete · b RM delete"),
        ("rename a b", "a RW access delete · b OW update"),
        ("renamenx a b", "a RW access delete · b OW insert"),
        ("copy a b DB 1", "a RO access · b OW update"),
        ("lcs a b LEN", "a RO access · b RO access"),
        ("set a b IFEQ c", "a RW access update"),
        ("delex a", "a RM delete"),
        ("delex a IFEQ b", "a RW access delete"),
        ("delifeq a b", "a RW access delete"),
        ("sort a BY x STORE b STORE c GET store", "a RO access · c OW update"),
        ("sort a BY store b limit store d", "a RO access"),
        ("sort a GET", "a RO access"),
        ("sort_ro a STORE x", "a RO access"),
        ("bitop not a b", "a OW update · b RO access"),
        ("bitfield a GET u8 0 overflow SAT", "a RO access"),
        ("bitfield a GET u8 0 incrby u8 0 1", "a RW access update"),
    ] {
        let mut bytes = format!("*{}\r\n", expected.split(" · ").count());
        for key in expected.split(" · ") {
            let (name, flags) = key.split_once(' ').unwrap();
            bytes += &format!("*2\r\n$1\r\n{name}\r\n~{}\r\n", flags.split(' ').count());
            flags.split(' ').for_each(|flag| bytes += &format!("+{flag}\r\n"));
        }
        assert_eq!(resp3(&kv, &format!("COMMAND GETKEYSANDFLAGS {call}")).await, bytes, "{call}");
    }
}

#[tokio::test]
async fn docs_have_the_form_that_redis_gives_them() {
    let kv = Memory::new();
    let bulks = |text: &str| {
        let bulk = |word: &str| format!("${}\r\n{word}\r\n", word.len());
        text.split('|').map(bulk).collect::<String>()
    };
    let get = [
        "%1\r\n$3\r\nget\r\n%5\r\n",
        &bulks("summary|Read a string|since|1.0.0|group|string|complexity|O(1)|arguments"),
        "*1\r\n%3\r\n",
        &bulks("name|key|type|key|key_spec_index"),
        ":0\r\n",
    ];
    assert_eq!(resp3(&kv, "COMMAND DOCS get").await, get.concat());
    // All that a paragraph can have: an old command, a history, arguments within arguments.
    let slots = [
        "%1\r\n$13\r\ncluster|slots\r\n%8\r\n",
        &bulks("summary|List ranges of slots, each with its nodes|since|3.0.0|group|cluster"),
        &bulks("complexity|O(N), N: nodes|doc_flags"),
        "~1\r\n+deprecated\r\n",
        &bulks("deprecated_since|7.0.0|replaced_by|`CLUSTER SHARDS`|history"),
        "~2\r\n*2\r\n",
        &bulks("4.0.0|Tells the IDs of nodes"),
        "*2\r\n",
        &bulks("7.0.0|Tells more of how nodes are reached"),
    ];
    assert_eq!(resp3(&kv, "COMMAND DOCS cluster|slots").await, slots.concat());
    let pause = [
        "$9\r\narguments\r\n*2\r\n%2\r\n",
        &bulks("name|timeout|type|integer"),
        "%5\r\n",
        &bulks("name|mode|type|oneof|since|6.2.0|flags"),
        "~1\r\n+optional\r\n$9\r\narguments\r\n*2\r\n%3\r\n",
        &bulks("name|write|type|pure-token|token|WRITE"),
        "%3\r\n",
        &bulks("name|all|type|pure-token|token|ALL"),
    ];
    assert!(resp3(&kv, "COMMAND DOCS client|pause").await.ends_with(&pause.concat()));
    let object = resp3(&kv, "COMMAND DOCS object").await;
    assert!(object.contains("$11\r\nsubcommands\r\n%5\r\n$15\r\nobject|encoding\r\n%5\r\n"));
}

#[test]
fn every_row_has_a_paragraph_and_every_paragraph_a_row() {
    let texts = std::fs::read_dir("src/resp/command/docs").unwrap();
    let texts = texts.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let texts = texts.map(|text| text.trim_end().to_owned());
    let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    let paragraphs = |text: &str| -> Vec<String> {
        text.split("\n\n").map(|text| text.lines().next().unwrap().to_owned()).collect()
    };
    assert!(texts.iter().all(|text| paragraphs(text).is_sorted()));
    let text = texts.join("\n\n");
    let mut paragraphs = paragraphs(&text);
    paragraphs.sort_unstable();
    let rows: BTreeSet<_> = rows().map(|row| row.name).collect();
    assert_eq!(paragraphs, rows.into_iter().collect::<Vec<_>>());
    for line in text.lines().skip_while(|line| line.is_empty()) {
        let name = line.trim_start().split([':', ' ']).next().unwrap_or_default();
        let is_name = paragraphs.iter().any(|name| name == line) || line.is_empty();
        let known = [
            "summary",
            "complexity",
            "doc_flags",
            "deprecated_since",
            "replaced_by",
            "history",
            "-",
        ];
        assert!(is_name || known.contains(&name), "{line}");
    }
}

/// The fields of a reply that hold sentences.
const PROSE: [&str; 5] = ["summary", "complexity", "history", "replaced_by", "notes"];

/// The versions, all of other servers, since when there are options that Redis 7.0 does not have:
/// `SET` with `IFEQ`. Commands that it does not have are known by their own version: `DELEX`,
/// `DELIFEQ`, and those of Redis 7.2.
const NEWER: [&str; 1] = ["8.1.0"];

/// The facts in a sentence: numbers and versions, orders of growth, and what is in backquotes.
fn facts(text: &str) -> String {
    let is_number = |word: &&str| {
        word.contains(|c: char| c.is_ascii_digit())
            && word.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-')
    };
    let words = text.split(' ').map(|word| word.trim_end_matches(['.', ',']));
    let mut facts: BTreeSet<_> = words.filter(is_number).map(str::to_owned).collect();
    for growth in text.split("O(").skip(1) {
        let mut depth = 1;
        let is_end = |c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        };
        facts.insert(format!("O({})", &growth[..growth.find(is_end).unwrap()]));
    }
    // Redis writes `!GET` here, a mark of its own for "the argument GET".
    let quoted = text.split('`').skip(1).step_by(2);
    facts.extend(quoted.map(|name| format!("`{}`", name.trim_start_matches('!'))));
    facts.into_iter().collect::<Vec<_>>().join(" ")
}

/// A reply, with its sets in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tree {
    Leaf(String),
    Node(char, Vec<Tree>),
}

impl Tree {
    fn read(bytes: &mut &str) -> Self {
        let (line, rest) = bytes.split_once("\r\n").unwrap();
        *bytes = rest;
        let kind = line.chars().next().unwrap();
        let number = line[1..].parse().unwrap_or_default();
        match kind {
            _ if line == "$-1" => Self::Leaf(line.to_owned()),
            '$' => {
                let text = rest[..number].to_owned();
                *bytes = &rest[number + 2..];
                Self::Leaf(text)
            }
            '*' | '~' | '%' => {
                let count = if kind == '%' { number * 2 } else { number };
                let mut parts: Vec<_> = (0..count).map(|_| Self::read(bytes)).collect();
                if kind == '~' {
                    parts.sort();
                }
                Self::Node(kind, parts)
            }
            _ => Self::Leaf(line.to_owned()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Leaf(text) => text,
            Self::Node(_, parts) => parts.first().map_or("", Self::name),
        }
    }

    /// Leaves out options that Redis 7.0 does not have, and what their history says.
    fn without_newer(self) -> Self {
        let Self::Node(kind, mut parts) = self else { return self };
        let is_version =
            |part: &Self| matches!(part, Self::Leaf(text) if NEWER.contains(&&text[..]));
        let is_newer =
            |part: &Self| matches!(part, Self::Node(_, parts) if parts.iter().any(is_version));
        parts.retain(|part| !is_newer(part));
        Self::Node(kind, parts.into_iter().map(Self::without_newer).collect())
    }

    /// Leaves out the subcommands that only one side has, and puts the others in order.
    fn shared(self, names: &BTreeSet<&str>) -> Self {
        let Self::Node(kind, parts) = self else { return self };
        let width = if kind == '%' { 2 } else { 1 };
        let mut groups: Vec<_> = parts.chunks(width).map(<[Self]>::to_vec).collect();
        if groups.iter().all(|group| group[0].name().contains('|')) {
            groups.retain(|group| names.contains(group[0].name()));
            groups.sort();
        }
        Self::Node(kind, groups.concat().into_iter().map(|part| part.shared(names)).collect())
    }

    /// Leaves only the facts of sentences, and hands out the sentences.
    fn facts(self, is_prose: bool, sentences: &mut BTreeSet<String>) -> Self {
        let (kind, parts) = match self {
            Self::Leaf(text) if is_prose => {
                let facts = facts(&text);
                sentences.extend(Some(text).filter(|text| *text != facts));
                return Self::Leaf(facts);
            }
            Self::Leaf(_) => return self,
            Self::Node(kind, parts) => (kind, parts),
        };
        let mut done: Vec<Self> = Vec::new();
        let mut follows_name = false;
        for part in parts {
            let is_name = matches!(&part, Self::Leaf(text) if PROSE.contains(&&text[..]));
            done.push(part.facts(is_prose || follows_name, sentences));
            follows_name = is_name;
        }
        if kind == '~' {
            done.sort();
        }
        Self::Node(kind, done)
    }
}

fn replies(bytes: Vec<u8>) -> Vec<Tree> {
    let text = String::from_utf8(bytes).unwrap();
    let (mut rest, mut replies) = (&text[..], Vec::new());
    while !rest.is_empty() {
        replies.push(Tree::read(&mut rest));
    }
    replies
}

/// What is asked of both sides, besides INFO and DOCS of each command.
const CALLS: &str = "INFO nosuch|INFO get nosuch|DOCS nosuch|DOCS GET get|GETKEYS set k v|\
    GETKEYSANDFLAGS set k v|GETKEYSANDFLAGS set k v get|GETKEYSANDFLAGS set k get|\
    GETKEYSANDFLAGS set k v nonsense GET|GETKEYSANDFLAGS mset a b c|GETKEYSANDFLAGS mset a b c d|\
    GETKEYSANDFLAGS copy a b DB 1|GETKEYSANDFLAGS rename a b|GETKEYSANDFLAGS rename a|\
    GETKEYSANDFLAGS object encoding a|GETKEYSANDFLAGS object nosuch a|\
    GETKEYSANDFLAGS object help|GETKEYS object nosuch|GETKEYS object|GETKEYS ping|GETKEYS ping x|\
    GETKEYS nosuch x|GETKEYS get|GETKEYS get a b|GETKEYS client id|GETKEYSANDFLAGS getex a EX 1|\
    GETKEYSANDFLAGS lcs a b LEN|GETKEYSANDFLAGS bitop and a b c|GETKEYSANDFLAGS bitfield a|\
    GETKEYSANDFLAGS bitfield a get u8 0|GETKEYSANDFLAGS bitfield a overflow sat get u8 0|\
    GETKEYSANDFLAGS bitfield a get u8 0 set u8 0 1|GETKEYSANDFLAGS bitfield a get u8|\
    GETKEYSANDFLAGS bitfield a overflow|GETKEYSANDFLAGS bitfield a set u8 0|\
    GETKEYSANDFLAGS mget a b c|\
    GETKEYSANDFLAGS xread COUNT 1 STREAMS a b 0 0|GETKEYSANDFLAGS xgroup create a b 0|\
    GETKEYSANDFLAGS xreadgroup GROUP g streams STREAMS a b > >|GETKEYS xread COUNT 1 a b|\
    COUNT x|nosuch|HELP|LIST nosuch|\
    LIST FILTERBY PATTERN|LIST FILTERBY MODULE x|LIST FILTERBY x y";

#[tokio::test]
async fn command_answers_as_redis_does() {
    let Some(redis) = Redis::start() else { return };
    // Those that Redis 7.0 has.
    let rows: Vec<_> = rows().filter(|row| row.since < "7.2.0").collect();
    let names: BTreeSet<_> = rows.iter().map(|row| row.name).collect();
    let mut calls: Vec<String> = CALLS.split('|').map(|call| format!("COMMAND {call}")).collect();
    calls.extend(rows.iter().map(|row| format!("COMMAND INFO {}", row.name)));
    calls.extend(rows.iter().map(|row| format!("COMMAND DOCS {}", row.name)));
    let lists = ["", " FILTERBY PATTERN *e?|*", " FILTERBY PATTERN *get", " FILTERBY ACLCAT read"];
    calls.extend(lists.map(|list| format!("COMMAND LIST{list}")));

    // In RESP2 sets cannot be told from arrays, and have an order.
    let in_resp2 = CALLS.split('|').count();
    calls.insert(0, "HELLO 2".to_owned());
    calls.insert(in_resp2 + 1, "HELLO 3".to_owned());
    let again = calls[1..=in_resp2].to_vec();
    calls.extend(again);
    calls.push("QUIT".to_owned());
    let input = calls.iter().map(|call| words(call)).collect::<Vec<_>>().concat();
    let theirs = replies(redis.converse(&input));
    let ours = replies(talk(&Memory::new(), &input).await);
    assert_eq!((ours.len(), theirs.len()), (calls.len(), calls.len()));
    for ((call, ours), theirs) in calls.iter().zip(&ours).zip(&theirs) {
        if call.starts_with("HELLO") {
            continue;
        }
        if call.starts_with("COMMAND LIST") && !matches!(ours, Tree::Leaf(_)) {
            let listed = |tree: &Tree| match tree {
                Tree::Node('*', parts) => {
                    let shared = parts.iter().map(Tree::name).filter(|name| names.contains(name));
                    shared.map(str::to_owned).collect::<BTreeSet<_>>()
                }
                other => panic!("{call} is answered by {other:?}"),
            };
            assert_eq!(listed(ours), listed(theirs), "{call}");
        } else {
            let mut sentences = [BTreeSet::new(), BTreeSet::new()];
            let ours = ours.clone().without_newer().shared(&names).facts(false, &mut sentences[0]);
            let theirs = theirs.clone().shared(&names).facts(false, &mut sentences[1]);
            assert_eq!(ours, theirs, "{call}");
            assert!(sentences[0].is_disjoint(&sentences[1]), "{call}: {sentences:?}");
        }
    }
}
