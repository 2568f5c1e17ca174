//! The command line of a test program that is its own harness. Some words are for it; others are
//! those that `cargo test` hands to every test program, and that it has to bear with.

use std::process::ExitCode;

/// Options of the usual harness that say nothing to a program that is a single test.
const IDLE: [&str; 10] = [
    "--bench",
    "--exact",
    "--ignored",
    "--include-ignored",
    "--no-capture",
    "--nocapture",
    "--quiet",
    "--show-output",
    "--test",
    "-q",
];
/// Those that have a value, behind `=` or as the next word.
const IDLE_WITH_VALUE: [&str; 6] =
    ["--color", "--format", "--logfile", "--skip", "--test-threads", "-Z"];

/// The words that have not been read yet.
pub(crate) struct Words {
    program: &'static str,
    usage: String,
    rest: std::vec::IntoIter<String>,
}

impl Words {
    /// Returns those that this program was started with.
    pub(crate) fn of(program: &'static str, usage: String) -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        Self { program, usage, rest: words.into_iter() }
    }

    pub(crate) fn next(&mut self) -> Option<String> {
        self.rest.next()
    }

    /// Returns the word behind an option.
    pub(crate) fn value(&mut self, option: &str) -> Result<String, String> {
        self.next().ok_or_else(|| self.error(&format!("{option} wants a value")))
    }

    pub(crate) fn number(&mut self, option: &str) -> Result<u64, String> {
        let value = self.value(option)?;
        value.parse().map_err(|_| self.error(&format!("{option}: {value} is not a number")))
    }

    /// Takes a word that is not for this program in particular. Returns false if nothing is to be
    /// run: what was asked for is a list of tests, or others than this one.
    pub(crate) fn pass(&mut self, word: &str) -> Result<bool, String> {
        let (option, value) = word.split_once('=').map_or((word, None), |(o, v)| (o, Some(v)));
        if IDLE_WITH_VALUE.contains(&option) {
            let value = value.map_or_else(|| self.value(option), |value| Ok(value.to_owned()))?;
            return Ok(option != "--skip" || !self.program.contains(&value));
        }
        match word {
            "--list" => Ok(false),
            word if IDLE.contains(&word) => Ok(true),
            word if word.starts_with('-') => Err(self.error(&format!("{word} is not known"))),
            // A filter of tests: this program is one test.
            word => Ok(self.program.contains(word)),
        }
    }

    /// Returns what to say of a command line that asks for what there is not.
    pub(crate) fn error(&self, what: &str) -> String {
        format!("{}: {what}\n{}", self.program, self.usage)
    }
}

/// Runs what the command line asks for, if that is anything.
pub(crate) fn run<A>(
    asked: Result<Option<A>, String>,
    run: impl FnOnce(A) -> ExitCode,
) -> ExitCode {
    match asked {
        Ok(Some(arguments)) => run(arguments),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Returns the command that runs a test program with these words.
pub(crate) fn again(program: &str, words: &str) -> String {
    format!("cargo test --profile simulation --test {program} -- {words}")
}
