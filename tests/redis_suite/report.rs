//! What the suite says of its tests, read from its output.
//!
//! ```text
//! [ok]: name (3 ms)
//! [err]: name in tests/unit/type/hash.tcl
//! what was expected, on lines of their own
//! [ignore]: name: Tag: needs:debug denied
//! [skip]: name
//! [1/1 done]: unit/type/hash (2 seconds)
//! [TIMEOUT]: clients state report follows.
//! sock5610 => (IN PROGRESS) name
//! [exception]: Executing test client: what went wrong
//! ```
//!
//! An error between tests is an `[err]` without a name. It ends the block it is in, so that the
//! tests behind it are not run.

use std::collections::BTreeMap;

/// A test, by the name the suite has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// And what was expected.
    Failed(String),
    /// It was told not to run it.
    Skipped,
}

/// How the suite ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// It has come to the end of the file.
    Done,
    /// In this test nothing happened for a long time.
    Hung(String),
    /// Something else, which its last lines tell of.
    #[default]
    Aborted,
}

/// What came of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) tests: Vec<Test>,
    /// How many were left out because of each tag.
    left_out: BTreeMap<String, usize>,
    pub(crate) end: End,
}

impl Report {
    /// Reads all output of the suite for a file.
    pub(crate) fn read(output: &str) -> Self {
        let mut report = Self::default();
        let mut lines = output.lines().peekable();
        while let Some(line) = lines.next() {
            let mut block = line.to_owned();
            while let Some(line) = lines.next_if(|line| !is_head(line)) {
                block = block + "\n" + line;
            }
            report.take(&block);
            if report.end == End::Done {
                break;
            }
        }
        report
    }

    /// Takes in what begins with one word in brackets.
    fn take(&mut self, block: &str) {
        let Some((word, text)) = block.strip_prefix('[').and_then(|rest| rest.split_once("]: "))
        else {
            return;
        };
        let first = text.lines().next().unwrap_or_default();
        let name = |end: &str| first.rsplit_once(end).map_or(first, |(name, _)| name).trim();
        match word {
            "ok" => self.push(name(" ("), Verdict::Passed),
            "skip" => self.push(first.trim(), Verdict::Skipped),
            "err" if first.contains(" in tests/") => {
                let why = text.split_once('\n').map_or("", |(_, why)| why);
                self.push(name(" in tests/"), Verdict::Failed(why.trim().to_owned()));
            }
            "err" | "exception" => self.push_error(text),
            "ignore" => {
                let reason = text.rsplit_once(": ").map_or(text, |(_, reason)| reason).trim();
                let reason = reason.trim_end_matches(" denied");
                *self.left_out.entry(reason.to_owned()).or_default() += 1;
            }
            "TIMEOUT" => {
                let state = text.lines().find_map(|line| line.split_once(" => (IN PROGRESS) "));
                self.end =
                    state.map_or(End::Aborted, |(_, name)| End::Hung(name.trim().to_owned()));
            }
            word if word.ends_with(" done") => self.end = End::Done,
            _ => {}
        }
    }

    /// Takes in an error that is no test's.
    fn push_error(&mut self, text: &str) {
        let last = self.tests.last().map_or("the beginning", |test| &test.name);
        let name = format!("an error after: {last}");
        self.push(&name, Verdict::Failed(text.trim().to_owned()));
    }

    pub(crate) fn push(&mut self, name: &str, verdict: Verdict) {
        self.tests.push(Test { name: name.to_owned(), verdict });
    }

    /// Returns whether a test of this name has failed.
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        let is_failed = |test: &&Test| matches!(test.verdict, Verdict::Failed(_));
        self.tests.iter().filter(is_failed).any(|test| test.name == name)
    }

    /// Tells how many tests the suite has left out, and why.
    pub(crate) fn left_out(&self) -> String {
        let reasons = self.left_out.iter().map(|(reason, count)| format!("{count} {reason}"));
        reasons.collect::<Vec<_>>().join(", ")
    }
}

/// Returns whether a line begins with a word in brackets, or is behind all of those.
fn is_head(line: &str) -> bool {
    line.strip_prefix('[').is_some_and(|rest| rest.contains("]: ")) || line.contains("The End")
}
