//! Redis' own tests: the Tcl suite of Redis 7.0.15, run against one node.
//!
//! ```text
//! cargo test --profile simulation --test redis_suite -- --all                    every file
//! cargo test --profile simulation --test redis_suite -- --file unit/type/hash    one of them
//! ```
//!
//! Nothing of the suite is kept here: its source is fetched once, and what it writes goes
//! elsewhere. It speaks RESP2, but where a test says HELLO 3 itself; later versions can be told to
//! speak RESP3 throughout, this one cannot.
//!
//! What cannot pass, because of what raftkv is, stands in `skip.txt` with the reason. It is run all
//! the same: a test of that list that passes is as much a failure as one that fails and is not on
//! it, so the list stays true.
//!
//! A plain `cargo test` runs a few short files, if tclsh and the source are there already.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod known;
#[path = "../process/mod.rs"]
mod process;
mod report;
mod run;
mod source;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use known::Known;
use process::command_line::{self, Words};
use report::{Report, Test, Verdict};
use source::Source;

/// The files of the suite that are about what raftkv has, and whether a plain `cargo test` runs
/// them.
const FILES: [(&str, bool); 24] = [
    ("unit/printver", true),
    ("unit/quit", true),
    ("unit/type/string", false),
    ("unit/type/incr", true),
    ("unit/type/hash", false),
    ("unit/type/list", false),
    ("unit/type/list-2", false),
    ("unit/type/list-3", false),
    ("unit/type/set", false),
    ("unit/type/zset", false),
    ("unit/type/stream", false),
    ("unit/type/stream-cgroups", false),
    ("unit/expire", false),
    ("unit/keyspace", true),
    ("unit/scan", false),
    ("unit/sort", false),
    ("unit/multi", false),
    ("unit/protocol", true),
    ("unit/bitops", false),
    ("unit/bitfield", false),
    ("unit/geo", false),
    ("unit/hyperloglog", false),
    ("unit/dump", false),
    ("unit/other", false),
];

#[derive(Default)]
struct Arguments {
    all: bool,
    files: Vec<&'static str>,
    source: Option<PathBuf>,
    /// Whether the output of the suite is shown as it comes.
    is_verbose: bool,
}

impl Arguments {
    /// Returns whether somebody relies on what they asked for, which a plain `cargo test` does not.
    fn is_explicit(&self) -> bool {
        self.all || !self.files.is_empty()
    }

    fn wants(&self, file: &str, is_short: bool) -> bool {
        self.all || self.files.contains(&file) || (!self.is_explicit() && is_short)
    }
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments::default();
    let names = FILES.map(|(file, _)| file).join(", ");
    let usage = "usage: redis_suite [--all | --file NAME ...] [--source DIR] [--verbose]";
    let mut words = Words::of("redis_suite", format!("{usage}\nfiles: {names}"));
    while let Some(word) = words.next() {
        match word.as_str() {
            "--all" => arguments.all = true,
            "--file" => {
                let name = words.value(&word)?;
                let file = FILES.iter().find(|(file, _)| *file == name);
                let unknown = || words.error(&format!("there is no file {name}"));
                arguments.files.push(file.ok_or_else(unknown)?.0);
            }
            "--source" => arguments.source = Some(words.value(&word)?.into()),
            "--verbose" => arguments.is_verbose = true,
            word if !words.pass(word)? => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(arguments))
}

fn main() -> ExitCode {
    command_line::run(arguments(), |arguments| {
        match Source::find(arguments.source.as_deref(), arguments.is_explicit()) {
            Ok(source) => run(&source, &arguments),
            Err(reason) if arguments.is_explicit() => {
                println!("FAILED: {reason}");
                ExitCode::FAILURE
            }
            Err(reason) => {
                println!("skipped: {reason}");
                ExitCode::SUCCESS
            }
        }
    })
}

fn run(source: &Source, arguments: &Arguments) -> ExitCode {
    let known = Known::read(include_str!("skip.txt")).unwrap();
    let mut failures = Vec::new();
    let mut listed = Vec::new();
    let mut seen = BTreeSet::new();
    println!("{HEAD}");
    for (file, _) in FILES.iter().filter(|(file, is_short)| arguments.wants(file, *is_short)) {
        let started = Instant::now();
        let report = run::file(source, file, &known, arguments.is_verbose);
        let judged = Judged::of(&report, &known);
        println!("{}", line(file, &report, &judged, started));
        seen.extend(report.tests.into_iter().map(|test| test.name));
        failures.extend(judged.failures.iter().map(|what| format!("{file}: {what}")));
        listed.extend(judged.listed.iter().map(|what| format!("{file}: {what}")));
    }
    if arguments.all {
        let unseen = known.names().filter(|name| !seen.contains(*name));
        failures.extend(unseen.map(|name| format!("{name}\n    is on the list, and no test")));
    }
    listed.iter().for_each(|what| println!("listed {what}"));
    failures.iter().for_each(|what| println!("FAILED {what}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const HEAD: &str = "\
| file | passed | failed | failed and listed | left out by the suite | time |
|---|---|---|---|---|---|";

fn line(file: &str, report: &Report, judged: &Judged, started: Instant) -> String {
    let Judged { passed, failures, listed } = judged;
    let (failed, listed) = (failures.len(), listed.len());
    let (left_out, seconds) = (report.left_out(), started.elapsed().as_secs_f64());
    format!("| {file} | {passed} | {failed} | {listed} | {left_out} | {seconds:.0} s |")
}

/// What is to be said of the outcome of a file.
#[derive(Default)]
struct Judged {
    passed: usize,
    /// What should have been otherwise.
    failures: Vec<String>,
    /// What is on the list, with the reason.
    listed: Vec<String>,
}

impl Judged {
    fn of(report: &Report, known: &Known) -> Self {
        let mut judged = Self::default();
        for Test { name, verdict } in &report.tests {
            match (verdict, known.reason(name)) {
                (Verdict::Passed, None) => judged.passed += 1,
                // Some tests have the name of another.
                (Verdict::Passed, Some(_)) if report.has_failed(name) => judged.passed += 1,
                (Verdict::Passed, Some(_)) => {
                    judged.failures.push(format!("{name}\n    is on the list, and passes"));
                }
                (Verdict::Failed(why), None) => {
                    judged.failures.push(format!("{name}\n    {}", why.replace('\n', "\n    ")));
                }
                (Verdict::Failed(_) | Verdict::Skipped, Some(reason)) => {
                    judged.listed.push(format!("{name} # {reason}"));
                }
                (Verdict::Skipped, None) => {
                    judged.failures.push(format!("{name}\n    was skipped, and is not listed"));
                }
            }
        }
        judged
    }
}
