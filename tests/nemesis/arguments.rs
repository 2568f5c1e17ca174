//! What the command line asks for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::links::Wanted;
use crate::plan::Fault;
use crate::process::command_line::{self, Words};

const USAGE: &str = "\
usage: nemesis [--nodes N] [--minutes N | --seconds N] [--operations N] [--seed N]
               [--network netns|proxy|auto] [--faults NAME,...] [--verbose]
faults: ";

/// How long a plain `cargo test` takes.
const SHORT: Duration = Duration::from_secs(8);

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) nodes: usize,
    pub(crate) time: Duration,
    /// Fewer operations that were done are a failure.
    pub(crate) operations: u64,
    pub(crate) seed: u64,
    pub(crate) network: Wanted,
    pub(crate) faults: Vec<Fault>,
    /// Whether every step is told.
    pub(crate) is_verbose: bool,
}

impl Arguments {
    /// Returns the command that repeats the schedule: it is drawn from the seed, but out of the
    /// faults that there are.
    pub(crate) fn command(&self) -> String {
        let network = format!("{:?}", self.network).to_lowercase();
        let (nodes, seconds, seed) = (self.nodes, self.time.as_secs(), self.seed);
        let mut words =
            format!("--nodes {nodes} --seconds {seconds} --network {network} --seed {seed}");
        if self.operations > 0 {
            words += &format!(" --operations {}", self.operations);
        }
        if self.faults != Fault::ALL {
            words += &format!(" --faults {}", names(&self.faults, ","));
        }
        command_line::again("nemesis", &words)
    }
}

fn names(faults: &[Fault], separator: &str) -> String {
    faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(separator)
}

/// Reads the command line; nothing if nothing is to be run.
pub(crate) fn parse() -> Result<Option<Arguments>, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut arguments = Arguments {
        nodes: 3,
        time: SHORT,
        operations: 0,
        seed: u64::from(now.subsec_nanos()),
        network: Wanted::Auto,
        faults: Fault::ALL.to_vec(),
        is_verbose: false,
    };
    // Alone, it runs beside other tests, and as anybody.
    let mut network = None;
    let mut is_asked = false;
    let mut words = Words::of("nemesis", format!("{USAGE}{}", names(&Fault::ALL, ", ")));
    while let Some(word) = words.next() {
        match word.as_str() {
            "--nodes" => arguments.nodes = usize::try_from(words.number(&word)?).unwrap_or(0),
            "--minutes" => arguments.time = Duration::from_secs(60 * words.number(&word)?),
            "--seconds" => arguments.time = Duration::from_secs(words.number(&word)?),
            "--operations" => arguments.operations = words.number(&word)?,
            "--seed" => arguments.seed = words.number(&word)?,
            "--network" => {
                network = Some(match words.value(&word)?.as_str() {
                    "netns" => Wanted::Netns,
                    "proxy" => Wanted::Proxy,
                    "auto" => Wanted::Auto,
                    other => return Err(words.error(&format!("there is no network {other}"))),
                });
            }
            "--faults" => {
                arguments.faults.clear();
                for name in words.value(&word)?.split(',') {
                    let fault = Fault::ALL.into_iter().find(|fault| fault.name() == name);
                    let unknown = || words.error(&format!("there is no fault {name}"));
                    arguments.faults.push(fault.ok_or_else(unknown)?);
                }
            }
            "--verbose" => arguments.is_verbose = true,
            word if !words.pass(word)? => return Ok(None),
            _ => continue,
        }
        is_asked = true;
    }
    if !(3..=9).contains(&arguments.nodes) {
        return Err(words.error("--nodes: 3 to 9"));
    }
    arguments.network = network.unwrap_or(if is_asked { Wanted::Auto } else { Wanted::Proxy });
    Ok(Some(arguments))
}
