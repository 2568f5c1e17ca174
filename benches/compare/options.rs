//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::peers::System;

/// A raftkv cluster against Redis and etcd. Without a part, a sweep or `--all`: all parts.
#[derive(Clone, Debug, Parser)]
#[command(name = "compare")]
pub(crate) struct Options {
    /// How often everything is measured: the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How long our own load generator measures each point, in seconds
    #[arg(long, default_value_t = 1.5)]
    pub(crate) seconds: f64,
    /// Requests of each run of redis-benchmark, instead of what suits the load
    #[arg(long)]
    pub(crate) requests: Option<u32>,
    /// Only what has a recorded ratio, and fails if one has fallen below half of it
    #[arg(long)]
    pub(crate) check: bool,
    /// Only these parts
    #[arg(long = "part", value_name = "PART", value_delimiter = ',')]
    parts: Vec<PartName>,
    /// Only these sweeps
    #[arg(long = "sweep", value_name = "SWEEP", value_delimiter = ',')]
    sweeps: Vec<SweepName>,
    /// All parts and all sweeps
    #[arg(long)]
    all: bool,
    /// The most keys of the sweep of keys
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) keys_max: u64,
    /// Where results.json, tables and plots are written; those of other parts stay
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/compare"))]
    pub(crate) results: PathBuf,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// A table without an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartName {
    /// Six loads of redis-benchmark, against Redis
    RedisBenchmark,
    /// The rate that 50 connections reach, by every protocol, against etcd and Redis
    Rates,
    /// Latency at the same fixed rates, against etcd and Redis
    Latency,
}

/// What is varied while all else stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SweepName {
    All,
    Connections,
    Pipeline,
    ValueSize,
    Keys,
    Nodes,
    Mix,
    Uptime,
}

/// What makes one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Table(PartName),
    Sweep(SweepName),
}

impl Options {
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.into()
    }

    /// Returns what is asked for, in the order of the report.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let nothing = self.parts.is_empty() && self.sweeps.is_empty() && !self.all;
        if self.check && nothing {
            return vec![Part::Table(PartName::RedisBenchmark)];
        }
        let tables = PartName::value_variants()
            .iter()
            .filter(|part| self.all || nothing || self.parts.contains(part));
        let every = self.all || self.sweeps.contains(&SweepName::All);
        let sweeps = SweepName::value_variants()[1..]
            .iter()
            .filter(|sweep| every || self.sweeps.contains(sweep));
        tables.map(|part| Part::Table(*part)).chain(sweeps.map(|part| Part::Sweep(*part))).collect()
    }

    /// Returns whom redis-benchmark measures: only what is checked, if that is all that is wanted.
    pub(crate) fn redis_systems(&self) -> Vec<System> {
        let mut systems = vec![System::RedisAlways, System::Raftkv];
        if !self.check {
            systems.extend([System::RaftkvLease, System::RedisMemory]);
        }
        systems
    }
}
