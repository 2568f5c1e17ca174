//! A crash at every call of a script, in the middle of it and right behind it; then recovery, with
//! a crash at every call of that, and of the recovery after it.
//!
//! `CRASH_RECOVERIES` says how many recoveries there are to be, about; without it a test build
//! makes a few thousand, and an optimised one crashes at each call of two whole scripts.
//! `CRASH_SCENARIO` repeats one scenario, with its calls.

use std::fmt;
use std::str::FromStr;

use crate::disk::{Random, SimDisk, Survival};
use crate::life::{Life, Reached, recover, recover_and_go_on};
use crate::script::Script;

const STEPS: usize = 24;
/// About how many recoveries all the crashes of one script cost.
const PER_SCRIPT: u64 = 26_000;

/// One crash, and how chance falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scenario {
    seed: u64,
    /// The call at which the machine goes off.
    call: u64,
    /// Whether in the middle of it.
    torn: bool,
    survival: Survival,
    chance: u64,
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, call, torn, survival, chance } = self;
        write!(formatter, "{seed}/{call}/{torn}/{survival:?}/{chance}")
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split('/').collect();
        let [seed, call, torn, survival, chance] = fields[..] else {
            return Err(format!("{text} is not seed/call/torn/survival/chance"));
        };
        let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
        let survival = match survival {
            "LoseAll" => Survival::LoseAll,
            "KeepAll" => Survival::KeepAll,
            "Random" => Survival::Random,
            other => return Err(format!("{other} is not a survival")),
        };
        let (seed, call, chance) = (number(seed)?, number(call)?, number(chance)?);
        Ok(Self { seed, call, torn: torn == "true", survival, chance })
    }
}

fn disk_for(scenario: &Scenario) -> SimDisk {
    let disk = SimDisk::new(scenario.chance);
    if scenario.survival == Survival::Random {
        disk.set_write_back(50_000);
    }
    disk
}

/// Runs the script up to the crash.
fn crash(disk: &SimDisk, script: &Script, scenario: &Scenario) -> Reached {
    if scenario.torn {
        disk.stop_within(scenario.call);
    } else {
        disk.stop_at(scenario.call);
    }
    let mut life = Life::new(disk, script);
    let ended = life.run();
    assert!(ended.is_ok() || disk.is_off(), "{scenario}: {:#}", ended.unwrap_err());
    let reached = life.reached;
    disk.crash(scenario.survival);
    reached
}

fn survival(random: &mut Random) -> Survival {
    [Survival::LoseAll, Survival::KeepAll, Survival::Random, Survival::Random][random.below(4)]
}

/// Crashes at each call of a recovery; where that is asked for, at one of the next one too.
fn crash_in_recovery(
    disk: &SimDisk,
    script: &Script,
    reached: &Reached,
    random: &mut Random,
    recoveries: &mut u64,
) -> Result<(), String> {
    let before = disk.clone_state();
    let calls = disk.calls();
    drop(recover(disk).map_err(|error| format!("refused: {error:#}"))?);
    let calls = disk.calls() - calls;
    for call in 1..=calls {
        disk.restore(&before);
        disk.reseed(random.next());
        let mut crashes = Vec::new();
        for at in [call, 1 + random.below(calls as usize) as u64] {
            let torn = random.coin();
            if torn {
                disk.stop_within(at)
            } else {
                disk.stop_at(at)
            }
            drop(recover(disk));
            let survival = survival(random);
            disk.crash(survival);
            crashes.push((at, torn, survival));
            *recoveries += 1;
            if random.below(3) != 0 {
                break;
            }
        }
        let seen = recover_and_go_on(disk, recoveries);
        let seen = seen.and_then(|seen| reached.check(script, &seen));
        seen.map_err(|reason| format!("recovery crashed at {crashes:?}: {reason}"))?;
    }
    Ok(())
}

/// Plays a scenario to its end.
fn play(script: &Script, scenario: &Scenario, recoveries: &mut u64) -> Result<(), String> {
    let disk = disk_for(scenario);
    let reached = crash(&disk, script, scenario);
    let mut random = Random::new(scenario.chance ^ scenario.call);
    let after = disk.clone_state();
    let played = if random.below(24) == 0 {
        crash_in_recovery(&disk, script, &reached, &mut random, recoveries)
    } else {
        Ok(())
    };
    disk.restore(&after);
    let found = played.and_then(|()| recover_and_go_on(&disk, recoveries));
    let checked = found.and_then(|seen| reached.check(script, &seen));
    checked.map(|_| ()).map_err(|reason| {
        let step = script.steps.get(reached.step);
        format!("{scenario}\n in step {}, {step:?}:\n{reason}", reached.step)
    })
}

fn report(scenario: &Scenario, reason: &str) -> ! {
    let script = Script::new(scenario.seed, STEPS);
    let disk = disk_for(scenario);
    disk.start_trace();
    crash(&disk, &script, scenario);
    let trace = disk.take_trace();
    let last = trace.len().saturating_sub(12);
    panic!(
        "{reason}\nthe last calls:\n  {}\nagain: CRASH_SCENARIO={scenario} cargo test --test crash \
         crashes",
        trace[last..].join("\n  "),
    );
}

fn recoveries_wanted() -> u64 {
    let default = if cfg!(debug_assertions) { 3_000 } else { 2 * PER_SCRIPT };
    let asked = std::env::var("CRASH_RECOVERIES").ok();
    asked.map_or(default, |asked| asked.parse().expect("CRASH_RECOVERIES is a number"))
}

#[test]
fn crashes_at_every_call_lose_nothing() {
    let mut recoveries = 0;
    if let Ok(scenario) = std::env::var("CRASH_SCENARIO") {
        let scenario: Scenario = scenario.parse().unwrap();
        let script = Script::new(scenario.seed, STEPS);
        if let Err(reason) = play(&script, &scenario, &mut recoveries) {
            report(&scenario, &reason);
        }
        return;
    }
    let wanted = recoveries_wanted();
    // A part of two, or all of some.
    let scripts = if wanted < PER_SCRIPT { 2 } else { wanted / PER_SCRIPT };
    let per_million = (wanted * 1_000_000 / (scripts * PER_SCRIPT)).min(1_000_000) as u32;
    let (mut draw, mut scenarios) = (Random::new(1), 0u64);
    for seed in 0..scripts {
        let script = Script::new(seed, STEPS);
        let disk = SimDisk::new(0);
        Life::new(&disk, &script).run().unwrap();
        for call in 1..=disk.calls() {
            for torn in [false, true] {
                let survivals = [Survival::LoseAll, Survival::KeepAll, Survival::Random];
                let again = [Survival::Random; 3];
                for (chance, survival) in (0..).zip(survivals.into_iter().chain(again)) {
                    if !draw.chance(per_million) {
                        continue;
                    }
                    let chance = chance + seed * 100;
                    let scenario = Scenario { seed, call, torn, survival, chance };
                    scenarios += 1;
                    if let Err(reason) = play(&script, &scenario, &mut recoveries) {
                        report(&scenario, &reason);
                    }
                }
            }
        }
        println!("script {seed}: {} calls", disk.calls());
    }
    println!("{scenarios} crashes, {recoveries} recoveries");
    assert!(recoveries >= wanted / 2, "{recoveries} recoveries, and {wanted} were asked for");
}

/// The scenario that a failure prints is the one that is played again.
#[test]
fn a_scenario_reads_as_it_is_written() {
    let survival = Survival::Random;
    let scenario = Scenario { seed: 3, call: 77, torn: true, survival, chance: 305 };
    assert_eq!(scenario.to_string().parse(), Ok(scenario));
}
