//! The tests that are known to fail, and why.
//!
//! ```text
//! the name of the test # why it cannot pass
//! the name of the test # not run: why it cannot pass, and must not be tried
//! ```
//!
//! Empty lines and those that begin with `#` are for people.

use std::collections::BTreeMap;

/// How the reason of a test begins that is not even run.
const NOT_RUN: &str = "not run: ";

/// Tests that are known to fail, by name, with their reasons.
#[derive(Debug)]
pub(crate) struct Known(BTreeMap<String, String>);

impl Known {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        let is_content = |line: &&str| !line.is_empty() && !line.starts_with('#');
        for line in text.lines().filter(is_content) {
            let (name, reason) = line
                .split_once(" # ")
                .ok_or_else(|| format!("skip.txt gives no reason: {line}"))?;
            if all.insert(name.trim().to_owned(), reason.trim().to_owned()).is_some() {
                return Err(format!("skip.txt has it twice: {name}"));
            }
        }
        Ok(Self(all))
    }

    /// Returns why a test cannot pass, if it is known that it cannot.
    pub(crate) fn reason(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns those that are not even run.
    pub(crate) fn not_run(&self) -> impl Iterator<Item = &str> {
        let all = self.0.iter().filter(|(_, reason)| reason.starts_with(NOT_RUN));
        all.map(|(name, _)| name.as_str())
    }
}
