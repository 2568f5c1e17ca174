//! What the command line asks for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::links::Wanted;
use crate::plan::Fault;

const USAGE: &str = "\
usage: nemesis [--nodes N] [--minutes N | --seconds N] [--operations N] [--seed N]
               [--network netns|proxy|auto] [--faults NAME,...] [--verbose]
       nemesis --list-faults";

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
    /// Returns the command that repeats the schedule.
    pub(crate) fn command(&self) -> String {
        let network = format!("{:?}", self.network).to_lowercase();
        format!(
            "cargo test --release --test nemesis -- --nodes {} --seconds {} --network {network} \
             --seed {}",
            self.nodes,
            self.time.as_secs(),
            self.seed
        )
    }
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
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or(format!("{word} wants a value\n{USAGE}"));
        let number = |text: String| {
            text.parse::<u64>().map_err(|_| format!("{word}: {text} is not a number"))
        };
        match word.as_str() {
            "--nodes" => arguments.nodes = usize::try_from(number(next()?)?).unwrap_or(0),
            "--minutes" => arguments.time = Duration::from_secs(60 * number(next()?)?),
            "--seconds" => arguments.time = Duration::from_secs(number(next()?)?),
            "--operations" => arguments.operations = number(next()?)?,
            "--seed" => arguments.seed = number(next()?)?,
            "--network" => {
                network = Some(match next()?.as_str() {
                    "netns" => Wanted::Netns,
                    "proxy" => Wanted::Proxy,
                    "auto" => Wanted::Auto,
                    other => return Err(format!("there is no network {other}\n{USAGE}")),
                });
            }
            "--faults" => {
                arguments.faults.clear();
                for name in next()?.split(',') {
                    let fault = Fault::ALL.into_iter().find(|fault| fault.name() == name);
                    arguments.faults.push(fault.ok_or(format!("there is no fault {name}"))?);
                }
            }
            "--verbose" => arguments.is_verbose = true,
            "--list-faults" => {
                Fault::ALL.iter().for_each(|fault| println!("{}", fault.name()));
                return Ok(None);
            }
            // What `cargo test` hands to every test program.
            "--nocapture" | "--include-ignored" | "--ignored" | "-q" => continue,
            "--list" => return Ok(None),
            word if word.starts_with("--test-threads") => continue,
            // A filter of tests: this program is one test.
            word if !word.starts_with('-') => {
                if !"nemesis".contains(word) {
                    return Ok(None);
                }
                continue;
            }
            word => return Err(format!("{word} is not known\n{USAGE}")),
        }
        is_asked = true;
    }
    if !(3..=9).contains(&arguments.nodes) {
        return Err(format!("--nodes: 3 to 9\n{USAGE}"));
    }
    arguments.network = network.unwrap_or(if is_asked { Wanted::Auto } else { Wanted::Proxy });
    Ok(Some(arguments))
}
