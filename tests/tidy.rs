//! House style as a test: what a reviewer would otherwise have to say each time.
//!
//! Function length is clippy's (`too_many_lines`), formatting is rustfmt's; here stands what
//! neither of them knows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The longest line, unless it quotes what is sent or said.
const COLUMNS_MAX: usize = 100;
/// The longest file.
const LINES_MAX: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns all files below a directory of the project, relative to the project.
fn files_below(dir: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files.iter().map(|file| file.strip_prefix(root()).unwrap().to_path_buf()).collect()
}

/// Returns the Rust files below the directories, with their text.
fn sources(dirs: &[&str]) -> Vec<(String, String)> {
    let files = dirs.iter().flat_map(|dir| files_below(dir));
    let sources = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let sources: Vec<_> = sources
        .map(|file| {
            let text = std::fs::read_to_string(root().join(&file)).unwrap();
            (file.to_str().unwrap().to_owned(), text)
        })
        .collect();
    assert!(!sources.is_empty(), "there are sources in {dirs:?}");
    sources
}

const PRODUCTION: [&str; 4] = ["src", "storage/src", "frontends/src", "proto"];
const ALL: [&str; 8] = [
    "src",
    "storage/src",
    "storage/tests",
    "frontends/src",
    "frontends/tests",
    "tests",
    "benches",
    "proto",
];

/// Returns the code of a file without its unit tests, which stand at its end.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

/// Fails with every finding at once.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_file_says_what_it_is_about() {
    let silent = sources(&ALL).into_iter().filter(|(_, text)| !text.starts_with("//! "));
    assert_none(
        &silent.map(|(file, _)| format!("{file} does not begin with //!")).collect::<Vec<_>>(),
    );
}

#[test]
fn files_and_lines_are_short() {
    let mut findings = Vec::new();
    for (file, text) in sources(&ALL) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{file} has {lines} lines"));
        }
        for (at, line) in (1..).zip(text.lines()) {
            // Texts are as long as they are, and so are the replies in a test's script.
            let is_text = line.contains('"') || line.contains(" -> ") && file.contains("tests/");
            if line.chars().count() > COLUMNS_MAX && !is_text {
                findings.push(format!("{file}:{at} is longer than {COLUMNS_MAX} columns"));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn production_code_has_no_loose_ends() {
    // In two halves, so that this file does not find itself.
    let banned = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["dbg", "!("],
        [".unwrap", "()"],
        ["unimplemented", "!("],
        ["todo", "!("],
        ["thread::sleep", "("],
    ];
    let mut findings = Vec::new();
    for (file, text) in sources(&PRODUCTION) {
        for banned in &banned {
            let banned = banned.concat();
            if without_tests(&text).contains(&banned) {
                findings.push(format!("{file} contains {banned}"));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn unsafe_code_stands_in_four_files() {
    let word = ["unsafe", " {"].concat();
    let with: Vec<String> = sources(&ALL)
        .into_iter()
        .filter(|(_, text)| text.contains(&word))
        .map(|(file, _)| file)
        .collect();
    let allowed = [
        "storage/src/fs/map.rs",
        "storage/src/fs/reclaim.rs",
        "storage/src/fs/sigbus.rs",
        "tests/disks/shutdown.rs",
    ];
    assert_eq!(with, allowed);
}

/// What decides about consistency must be a function of its events alone, or no simulation can
/// prove it.
#[test]
fn what_decides_is_pure() {
    let pure = ["src/raft", "storage/src/keyspace"].map(String::from);
    let impure = [
        "std::fs",
        "std::net",
        "std::thread",
        "std::time",
        "std::env",
        "tokio",
        "Instant",
        "SystemTime",
        "rand::",
        "HashMap",
        "HashSet",
        "RandomState",
        "tracing",
    ];
    let mut findings = Vec::new();
    for (file, text) in sources(&["src", "storage/src"]) {
        if !pure.iter().any(|dir| file.starts_with(dir)) && file != "src/replica.rs" {
            continue;
        }
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for word in impure.iter().filter(|word| line.contains(*word)) {
                findings.push(format!("{file} uses {word}: {}", line.trim()));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn the_halves_of_storage_do_not_know_each_other() {
    let mut findings = Vec::new();
    for (file, text) in sources(&["storage/src"]) {
        let keyspace = file.starts_with("storage/src/keyspace");
        if file.ends_with("storage/src/lib.rs") {
            continue;
        }
        let foreign: &[&str] = if keyspace {
            &["crate::wal", "crate::snapshot", "crate::data_dir", "crate::fs"]
        } else {
            &["crate::keyspace", "keyspace::"]
        };
        for word in foreign.iter().filter(|word| text.contains(**word)) {
            findings.push(format!("{file} uses {word}"));
        }
    }
    assert_none(&findings);
}

/// The README's map is the way in for a stranger: it names every source file once, and none that is
/// not there.
#[test]
fn the_readme_maps_every_source_file() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let map = readme.split("<!-- map -->").nth(1).expect("the README has a map");
    let is_source = |word: &&str| [".rs", ".proto", ".txt"].iter().any(|end| word.ends_with(end));
    let mapped: Vec<&str> = map.split('`').filter(is_source).collect();
    let unique: BTreeSet<&str> = mapped.iter().copied().collect();
    let dirs = ["src", "storage/src", "frontends/src", "proto", "benches"];
    let files = dirs.iter().flat_map(|dir| files_below(dir));
    // What a bench has recorded is no source.
    let files: BTreeSet<String> = files
        .map(|file| file.to_str().unwrap().to_owned())
        .filter(|file| is_source(&file.as_str()))
        .collect();
    let missing = files.iter().filter(|file| !unique.contains(file.as_str()));
    let mut findings: Vec<String> = missing.map(|file| format!("not in the map: {file}")).collect();
    let gone = unique.iter().filter(|file| !files.contains(**file));
    findings.extend(gone.map(|file| format!("in the map and not there: {file}")));
    if mapped.len() != unique.len() {
        findings.push("a file is in the map twice".to_owned());
    }
    assert_none(&findings);
}

#[test]
fn the_top_level_holds_what_it_should() {
    let allowed = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "benches",
        "frontends",
        "proto",
        "rust-toolchain.toml",
        "src",
        "storage",
        "target",
        "tests",
    ];
    let entries = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.map(|name| name.into_string().unwrap());
    let extra: Vec<String> = names
        .filter(|name| {
            !name.starts_with('.') && !allowed.contains(&name.as_str()) && name != "data"
        })
        .map(|name| format!("{name} does not belong at the top level"))
        .collect();
    assert_none(&extra);
}
