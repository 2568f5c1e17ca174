//! Real disks that fail: power cuts and I/O errors, on real file systems under real processes.
//!
//! ```text
//! cargo test --profile simulation --test disks                                 what is cheap
//! cargo test --profile simulation --test disks -- --all                        all of it
//! cargo test --profile simulation --test disks -- --power-cuts 100 [--seed 1]  power cuts alone
//! cargo test --profile simulation --test disks -- --only NAME                  one case
//! ```
//!
//! Each node has a disk of its own: an ext4 file system on a loop device. This needs root and loop
//! devices; where they are missing, one line says so, and nothing is tested. That is a failure for
//! whoever has asked for any of it by name.
//!
//! kill -9 proves nothing about durability, for what a process has stored into a mapped file
//! survives it. Only a file system that stops at once, and forgets what was not synced, does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod broken;
mod descriptors;
mod disk;
mod full;
mod hung;
mod lab;
mod power;
#[path = "../process/mod.rs"]
mod process;
#[allow(dead_code, reason = "it is shared, and each test program uses its part")]
#[path = "../simulation/random.rs"]
mod random;
mod shutdown;
mod syscalls;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lab::Lab;
use process::command_line::{self, Words};

/// Power cuts that a plain `cargo test` makes, and those of `--all`.
const POWER_CUTS: (u64, u64) = (2, 100);

/// One kind of trouble.
struct Case {
    name: &'static str,
    /// Whether a plain `cargo test` runs it.
    is_cheap: bool,
    run: fn(&Lab),
}

const CASES: [Case; 9] = [
    Case { name: "full_disk", is_cheap: false, run: full::leader },
    Case { name: "full_disk_follower", is_cheap: false, run: full::follower },
    Case { name: "failed_writeback", is_cheap: true, run: broken::writeback },
    Case { name: "full_backing_store", is_cheap: false, run: broken::backing_store },
    Case { name: "hung_disk", is_cheap: false, run: hung::leader },
    Case { name: "no_file_descriptors", is_cheap: false, run: descriptors::exhausted },
    Case { name: "unreadable_page", is_cheap: false, run: broken::page },
    Case { name: "unreadable_at_start", is_cheap: true, run: broken::at_start },
    Case { name: "failed_system_calls", is_cheap: false, run: syscalls::injected },
];

/// What the command line asks for.
struct Arguments {
    all: bool,
    power_cuts: Option<u64>,
    seed: Option<u64>,
    only: Option<String>,
}

impl Arguments {
    /// Returns how often the power is cut.
    fn power_cuts(&self) -> u64 {
        match (self.power_cuts, &self.only) {
            (Some(count), _) => count,
            (None, Some(_)) => 0,
            (None, None) if self.all => POWER_CUTS.1,
            (None, None) => POWER_CUTS.0,
        }
    }

    /// Returns whether somebody relies on what they asked for, which a plain `cargo test` does not.
    fn is_explicit(&self) -> bool {
        self.all || self.only.is_some() || self.power_cuts.is_some()
    }

    fn wants(&self, case: &Case) -> bool {
        match &self.only {
            Some(name) => case.name == name,
            None => self.all || (self.power_cuts.is_none() && case.is_cheap),
        }
    }
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments { all: false, power_cuts: None, seed: None, only: None };
    let names = CASES.map(|case| case.name).join(", ");
    let usage = "usage: disks [--all] [--power-cuts N] [--seed N] [--only NAME]";
    let mut words = Words::of("disks", format!("{usage}\ncases: {names}"));
    while let Some(word) = words.next() {
        match word.as_str() {
            "--all" => arguments.all = true,
            "--power-cuts" => arguments.power_cuts = Some(words.number(&word)?),
            "--seed" => arguments.seed = Some(words.number(&word)?),
            "--only" => {
                let name = words.value(&word)?;
                if !CASES.iter().any(|case| case.name == name) {
                    return Err(words.error(&format!("there is no case {name}")));
                }
                arguments.only = Some(name);
            }
            word if !words.pass(word)? => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(arguments))
}

fn main() -> ExitCode {
    command_line::run(arguments(), |arguments| match Lab::enter() {
        Ok(lab) => run(&lab, &arguments),
        Err(reason) if arguments.is_explicit() => {
            println!("FAILED: needs root and loop devices ({reason})");
            ExitCode::FAILURE
        }
        Err(reason) => {
            println!("skipped: needs root and loop devices ({reason})");
            ExitCode::SUCCESS
        }
    })
}

fn run(lab: &Lab, arguments: &Arguments) -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = arguments.seed.unwrap_or(u64::from(now.subsec_nanos()));
    let mut failed = Vec::new();
    let mut play = |name: &str, again: &str, case: &dyn Fn()| {
        let started = Instant::now();
        // A case owns its disks and its processes, and unwinding gives them back.
        let passed = catch_unwind(AssertUnwindSafe(case)).is_ok();
        let verdict = if passed { "ok" } else { "FAILED" };
        println!("{verdict}: {name} ({:.1} s)", started.elapsed().as_secs_f64());
        if !passed {
            failed.push(command_line::again("disks", again));
        }
    };
    let cuts = arguments.power_cuts();
    if cuts > 0 {
        let again = format!("--power-cuts {cuts} --seed {seed}");
        play("power_cuts", &again, &|| power::cut(lab, cuts, seed));
    }
    for case in CASES.iter().filter(|case| arguments.wants(case)) {
        play(case.name, &format!("--only {}", case.name), &|| (case.run)(lab));
    }
    for again in &failed {
        println!("play it again with: {again}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
