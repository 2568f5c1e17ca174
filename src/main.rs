//! The `raftkv` program: the command line, and nothing else.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use raftkv::cli::Cli;

/// Allocations are many, small and short-lived. With the system's allocator they took 15 % of the
/// time of a leader's loop.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            eprintln!("raftkv: {}", one_line(&error.to_string()));
            return ExitCode::from(2);
        }
        // What was asked for: --help or --version.
        Err(error) => error.exit(),
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raftkv: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// Returns an error and its causes in one line, but for causes that it has named itself.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |line, cause| {
        let cause = cause.to_string();
        if line.contains(&cause) { line } else { format!("{line}: {cause}") }
    })
}

/// Returns what is wrong with the command line, without the usage that follows it.
fn one_line(error: &str) -> String {
    let what = error.split("\n\nUsage:").next().unwrap_or(error);
    let what = what.split("\n\nFor more information").next().unwrap_or(what);
    let what = what.strip_prefix("error: ").unwrap_or(what);
    what.split_whitespace().collect::<Vec<_>>().join(" ")
}
