//! Runs seeds, reports what they were like, and makes a failure small.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::leases::Tally;
use crate::plan::{Fault, Plan};
use crate::world::rot::{self, Found};
use crate::world::{Summary, World};

/// Seeds that a plain `cargo test` plays. Without optimisation each takes ten times as long.
const SEEDS: u64 = 300;
/// One seed in so many is played twice, to compare.
const TWICE: u64 = 100;
/// How long a failure is made smaller, at most.
const SHRINKING: Duration = Duration::from_secs(60);
const PROGRESS: Duration = Duration::from_secs(10);
/// At most one run in so many may be left undecided by the search for an order.
const UNDECIDED_ONE_IN: u64 = 200;
/// After so many runs every kind of fault has happened.
const ALL_KINDS_AFTER: u64 = 300;

const TEST: &str = "cargo test --profile simulation --test simulation --";
const USAGE: &str = "\
usage: simulation [--seeds N] [--first N] [--minutes N] [--no-shrink]
       simulation --seed N [--without FAULT,...] [--clients N] [--quiet]
       simulation --rot [--seed N] [--case N]
       simulation --list-faults";

/// What the command line asks for.
#[derive(Clone, Debug)]
struct Arguments {
    first: u64,
    seeds: u64,
    minutes: Option<u64>,
    /// One seed alone.
    seed: Option<u64>,
    without: Vec<Fault>,
    clients: Option<usize>,
    quiet: bool,
    /// Sectors decay at rest, one by one.
    rot: bool,
    /// One of them alone.
    case: Option<usize>,
    /// A failure is told as it is.
    no_shrink: bool,
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments {
        first: 1,
        seeds: SEEDS,
        minutes: None,
        seed: None,
        without: Vec::new(),
        clients: None,
        quiet: false,
        rot: false,
        case: None,
        no_shrink: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or(format!("{word} wants a number"))?;
            value.parse::<u64>().map_err(|_| format!("{word}: {value} is not a number"))
        };
        match word.as_str() {
            "--seeds" => arguments.seeds = number()?,
            "--first" => arguments.first = number()?,
            "--minutes" => {
                arguments.minutes = Some(number()?);
                arguments.seeds = u64::MAX;
            }
            "--seed" => arguments.seed = Some(number()?),
            "--clients" => arguments.clients = Some(usize::try_from(number()?).unwrap_or(1)),
            "--without" => {
                let names = words.next().ok_or("--without wants names of faults")?;
                for name in names.split(',').filter(|name| !name.is_empty()) {
                    let fault = Fault::ALL.iter().find(|fault| fault.name() == name);
                    arguments.without.push(*fault.ok_or(format!("there is no fault {name}"))?);
                }
            }
            "--rot" => arguments.rot = true,
            "--case" => arguments.case = Some(usize::try_from(number()?).unwrap_or(usize::MAX)),
            "--quiet" => arguments.quiet = true,
            "--no-shrink" => arguments.no_shrink = true,
            "--list-faults" => {
                Fault::ALL.iter().for_each(|fault| println!("{}", fault.name()));
                return Ok(None);
            }
            // What `cargo test` hands to every test program.
            "--nocapture" | "--include-ignored" | "--ignored" | "-q" => {}
            "--list" => return Ok(None),
            word if word.starts_with("--test-threads") => {}
            // A filter of tests: this program is one test.
            word if !word.starts_with('-') => {
                if !"simulation".contains(word) {
                    return Ok(None);
                }
            }
            word => return Err(format!("{word} is not known\n{USAGE}")),
        }
    }
    if arguments.case.is_some() && !arguments.rot {
        return Err(format!("--case is one of --rot\n{USAGE}"));
    }
    Ok(Some(arguments))
}

thread_local! {
    static FAILURE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Plays a plan; an error is what was wrong.
fn play(plan: &Plan, printed: bool) -> Result<Summary, String> {
    told(|| World::new(plan.clone(), printed).run())
}

/// Returns what a panic said as an error.
fn told<T>(play: impl FnOnce() -> T) -> Result<T, String> {
    FAILURE.take();
    let played = catch_unwind(AssertUnwindSafe(play));
    played.map_err(|_| FAILURE.take().unwrap_or_else(|| "a panic without a message".into()))
}

/// Keeps a panic's message for whoever plays, instead of printing it.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let text = info.payload_as_str().unwrap_or("a panic");
        FAILURE.set(Some(format!("{text}\n  at {}", place.unwrap_or_default())));
    }));
}

fn plan_of(seed: u64, arguments: &Arguments) -> Plan {
    let mut plan = Plan::draw(seed);
    plan.faults.retain(|fault| !arguments.without.contains(fault));
    plan.clients = arguments.clients.unwrap_or(plan.clients);
    plan
}

/// Leaves out what is not needed for the failure, as far as the time for that goes.
fn shrink(mut plan: Plan, mut failure: String) -> (Plan, String) {
    let started = Instant::now();
    let mut fails = |smaller: Plan| {
        let again = (started.elapsed() < SHRINKING).then(|| play(&smaller, false).err()).flatten();
        again.map(|failure| (smaller, failure))
    };
    // Halves first: most of the kinds have nothing to do with it.
    let mut length = plan.faults.len().div_ceil(2);
    while length > 0 {
        let mut at = 0;
        while at < plan.faults.len() {
            let mut smaller = plan.clone();
            smaller.faults.drain(at..plan.faults.len().min(at + length));
            match fails(smaller) {
                Some(found) => (plan, failure) = found,
                None => at += length,
            }
        }
        length /= 2;
    }
    let fewer = (1..plan.clients).map(|clients| Plan { clients, ..plan.clone() });
    fewer.into_iter().find_map(&mut fails).unwrap_or((plan.clone(), failure))
}

fn replay_command(plan: &Plan) -> String {
    let whole = Plan::draw(plan.seed);
    let left_out = whole.faults.iter().filter(|fault| !plan.faults.contains(fault));
    let left_out: Vec<_> = left_out.map(|fault| fault.name()).collect();
    let mut command = format!("{TEST} --seed {}", plan.seed);
    if !left_out.is_empty() {
        command += &format!(" --without {}", left_out.join(","));
    }
    if plan.clients != whole.clients {
        command += &format!(" --clients {}", plan.clients);
    }
    command
}

fn report(plan: Plan, failure: String, arguments: &Arguments) -> ExitCode {
    if arguments.no_shrink {
        println!("FAILED seed={} {failure}", plan.seed);
        return ExitCode::FAILURE;
    }
    println!("seed {} fails: {failure}", plan.seed);
    println!("  {} faults, {} clients; shrinking ...", plan.faults.len(), plan.clients);
    let (plan, failure) = shrink(plan, failure);
    let faults: Vec<_> = plan.faults.iter().map(|fault| fault.name()).collect();
    println!("FAILED seed={} {failure}", plan.seed);
    println!("  still fails with faults [{}] and {} clients", faults.join(", "), plan.clients);
    println!("  replay: {}", replay_command(&plan));
    ExitCode::FAILURE
}

/// What many runs were like.
#[derive(Default)]
struct Total {
    runs: u64,
    twice: u64,
    simulated: u64,
    operations: usize,
    done: usize,
    undecided: usize,
    leases: Tally,
    faults: BTreeMap<Fault, u64>,
}

impl Total {
    fn add(&mut self, summary: &Summary) {
        self.runs += 1;
        self.simulated += summary.simulated;
        self.operations += summary.operations;
        self.done += summary.done;
        self.undecided += summary.undecided;
        self.leases.sum(summary.leases);
        for (fault, count) in &summary.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let hours = self.simulated as f64 / 3_600e6;
        format!(
            "{} seeds, {hours:.2} cluster-hours ({:.1} in a minute of one core), \
             {} operations ({} done), {} faults of {} kinds, {} played twice, {} undecided, \
             {}",
            self.runs,
            hours / elapsed.as_secs_f64() * 60.0,
            self.operations,
            self.done,
            self.faults.values().sum::<u64>(),
            self.faults.len(),
            self.twice,
            self.undecided,
            self.leases,
        )
    }
}

fn play_many(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let mut shown = started;
    let mut total = Total::default();
    let end = arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let mut seed = arguments.first;
    while total.runs < arguments.seeds && end.is_none_or(|end| started.elapsed() < end) {
        let plan = plan_of(seed, arguments);
        let summary = match play(&plan, false) {
            Ok(summary) => summary,
            Err(failure) => return report(plan, failure, arguments),
        };
        if seed.is_multiple_of(TWICE) {
            total.twice += 1;
            let again = play(&plan, false).map(|summary| summary.digest);
            if again != Ok(summary.digest) {
                let first = summary.digest;
                let failure = format!("determinism: {first:?}, and played again {again:?}");
                println!("FAILED seed={seed} {failure}");
                println!("  replay: {}", replay_command(&plan));
                return ExitCode::FAILURE;
            }
        }
        total.add(&summary);
        seed += 1;
        if shown.elapsed() >= PROGRESS {
            shown = Instant::now();
            println!("... {}", total.line(started.elapsed()));
            let _ = std::io::stdout().flush();
        }
    }
    let is_doubtful = total.undecided as u64 * UNDECIDED_ONE_IN > total.runs.max(UNDECIDED_ONE_IN);
    let outcome = if is_doubtful { "FAILED: too many undecided" } else { "ok" };
    println!("{outcome}: {}", total.line(started.elapsed()));
    for (fault, count) in &total.faults {
        print!("{}={count} ", fault.name());
    }
    println!();
    // Enough runs for each kind to have come up.
    let missing: Vec<_> =
        Fault::ALL.iter().filter(|kind| !total.faults.contains_key(kind)).collect();
    if total.runs >= ALL_KINDS_AFTER && !missing.is_empty() && arguments.without.is_empty() {
        println!("FAILED: never happened: {missing:?}");
        return ExitCode::FAILURE;
    }
    if total.runs >= ALL_KINDS_AFTER && !total.leases.is_complete() {
        println!("FAILED: leases proved nothing: {}", total.leases);
        return ExitCode::FAILURE;
    }
    if is_doubtful { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn play_one(seed: u64, arguments: &Arguments) -> ExitCode {
    let plan = plan_of(seed, arguments);
    println!("{plan:#?}");
    match play(&plan, !arguments.quiet) {
        Ok(summary) => {
            println!("ok: {summary:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("FAILED seed={seed} {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Lets every sector decay, each in a run of its own.
fn play_rot(seed: u64, case: Option<usize>) -> ExitCode {
    let started = Instant::now();
    let plan = rot::plan(seed);
    let decays = match told(|| rot::decays(&plan)) {
        Ok(decays) => decays,
        Err(failure) => {
            println!("FAILED: {failure}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(case) = case.filter(|case| *case >= decays.len()) {
        println!("there is no case {case} of {}", decays.len());
        return ExitCode::from(2);
    }
    let mut outcomes = Vec::new();
    let cases = decays.into_iter().enumerate();
    for (at, decay) in cases.filter(|(at, _)| case.is_none_or(|case| case == *at)) {
        match told(|| World::new(plan.clone(), case.is_some()).run_with(&decay)) {
            Ok(found) => outcomes.push((decay, found)),
            Err(failure) => {
                println!("FAILED: {decay}: {failure}");
                println!("  replay: {TEST} --rot --seed {seed} --case {at}");
                return ExitCode::FAILURE;
            }
        }
    }
    let mut counts = BTreeMap::<(String, Found), usize>::new();
    for (decay, found) in &outcomes {
        *counts.entry((decay.kind(), *found)).or_default() += 1;
    }
    println!(
        "rot in a sector of one node of three, after {:.0} s:",
        started.elapsed().as_secs_f64()
    );
    for ((kind, found), count) in &counts {
        println!("  {kind}: {count} {found}");
    }
    // What one case alone was to find depends on the others.
    let wrong = if case.is_none() { rot::wrong(&outcomes) } else { Vec::new() };
    for (decay, found) in &wrong {
        println!("FAILED: {decay}: sectors like it {found}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    quiet_panics();
    match arguments.seed {
        seed if arguments.rot => play_rot(seed.unwrap_or(1), arguments.case),
        Some(seed) => play_one(seed, &arguments),
        None => play_many(&arguments),
    }
}
