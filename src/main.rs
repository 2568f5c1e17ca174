//! The `raftkv` program: the command line, and nothing else.

use std::process::ExitCode;

use clap::Parser;
use raftkv::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, with the causes behind it.
            eprintln!("raftkv: {error:#}");
            ExitCode::FAILURE
        }
    }
}
