//! The command line: one file for each subcommand.

pub mod dev;
pub mod inspect;
pub mod serve;

use clap::{Parser, Subcommand};

/// A replicated key-value store that speaks the Redis protocol and HTTP, and loses nothing it
/// acknowledged.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one node of a cluster
    Serve(Box<crate::config::ServeArgs>),
    /// Run a whole cluster on this machine, to try it and to develop against it
    Dev(dev::DevArgs),
    /// Show what is on disk, without changing it
    Inspect(inspect::InspectArgs),
}

impl Cli {
    /// Carries out what was asked for.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(args) => serve::run(*args),
            Command::Dev(args) => dev::run(args),
            Command::Inspect(args) => inspect::run(&args),
        }
    }
}
