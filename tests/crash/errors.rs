//! One call of a script fails, and the process lives on: no acknowledgement that is not true may
//! come after it.

use raftkv_storage::Error;
use rustix::io::Errno;

use crate::disk::{Random, SimDisk, Survival};
use crate::life::{Life, recover, recover_and_go_on};
use crate::script::{Script, Step};

const STEPS: usize = 24;

/// What a process does about a step that failed.
enum Then {
    /// It goes on; the step is tried again.
    Goes,
    /// It ends.
    Ends,
}

fn react(life: &mut Life<'_>, script: &Script, error: &anyhow::Error) -> Then {
    let (step, _) = &script.steps[life.reached.step];
    let Some(opened) = &mut life.opened else { return Then::Ends };
    let no_space = error.downcast_ref::<Error>().is_some_and(Error::is_no_space);
    let is_of_vote = error.downcast_ref::<Error>().and_then(Error::path);
    let is_of_vote = is_of_vote.is_some_and(|path| path.ends_with("VOTE"));
    match step {
        // A snapshot that was not written is written another time.
        Step::Snapshot(_) => Then::Goes,
        Step::Append(_) | Step::Mark | Step::Reopen if no_space && !opened.wal.is_poisoned() => {
            Then::Goes
        }
        // The log is as it should be; the process ends, for its promises need both.
        Step::Sync if is_of_vote => Then::Ends,
        Step::Sync | Step::Compact(_) => {
            // It is not only this once.
            assert!(opened.wal.is_poisoned(), "{step:?} has failed with {error:#}");
            for _ in 0..2 {
                assert!(opened.wal.sync().is_err(), "a failed sync is not tried again");
                assert!(opened.wal.mark().is_err(), "nothing is appended behind a failed sync");
            }
            Then::Ends
        }
        _ => Then::Ends,
    }
}

/// Runs a script in which this one call fails; returns whether the run came to its end.
fn run(script: &Script, call: u64, errno: Errno, survival: Survival, recoveries: &mut u64) -> bool {
    let disk = SimDisk::new(call);
    disk.fail_at(call, errno);
    let mut life = Life::new(&disk, script);
    let goes_on = loop {
        match life.advance() {
            Ok(true) => {}
            Ok(false) => break true,
            Err(error) => {
                if matches!(react(&mut life, script, &error), Then::Ends) {
                    break false;
                }
                let again = life.advance();
                assert!(again.is_ok(), "{errno} at call {call}, once more: {again:?}");
            }
        }
    };
    let reached = life.reached;
    disk.crash(survival);
    disk.heal();
    drop(life);
    let found = recover_and_go_on(&disk, recoveries);
    if let Err(reason) = found.and_then(|seen| reached.check(script, &seen)) {
        let step = script.steps.get(reached.step);
        panic!("{errno} at call {call}, then {survival:?}, in {step:?}: {reason}");
    }
    goes_on
}

#[test]
fn after_an_error_at_any_call_nothing_false_is_acknowledged() {
    let (mut recoveries, mut healed, mut runs) = (0, 0, 0);
    let scripts = if cfg!(debug_assertions) { 2 } else { 8 };
    let one_in = if cfg!(debug_assertions) { 10 } else { 1 };
    let mut random = Random::new(1);
    for seed in 200..200 + scripts {
        let script = Script::new(seed, STEPS);
        let disk = SimDisk::new(0);
        Life::new(&disk, &script).run().unwrap();
        for call in 1..=disk.fallible_calls() {
            for errno in [Errno::IO, Errno::NOSPC, Errno::MFILE] {
                for survival in [Survival::LoseAll, Survival::KeepAll, Survival::Random] {
                    if random.below(one_in) == 0 {
                        runs += 1;
                        healed += u64::from(run(&script, call, errno, survival, &mut recoveries));
                    }
                }
            }
        }
    }
    println!("{runs} runs with an error, {healed} went on, {recoveries} recoveries");
    assert!(healed > 0 && healed < runs, "some errors end the process, and some do not");
}

/// What cannot be read any more can be repaired; what cannot be opened or synced says nothing of
/// the disk.
#[test]
fn a_sector_that_cannot_be_read_is_damage() {
    let script = Script::new(7, STEPS);
    let disk = SimDisk::new(7);
    let mut life = Life::new(&disk, &script);
    life.run().unwrap();
    drop(life);
    let state = disk.clone_state();
    let (mut unreadable, calls) = (0, disk.fallible_calls());
    drop(recover(&disk).unwrap());
    for call in 1..=disk.fallible_calls() - calls {
        disk.restore(&state);
        disk.fail_at(call, Errno::IO);
        let Err(error) = recover(&disk) else { continue };
        let is_read = matches!(error, Error::Io { operation: "read", .. });
        assert_eq!(error.is_damage(), is_read, "call {call}: {error}");
        unreadable += u64::from(is_read);
    }
    assert!(unreadable > 0);
}

/// A parent that may not be read, as some service managers make them, is no reason not to start in
/// a directory that is there. One whose names cannot be made durable is.
#[test]
fn a_parent_that_may_not_be_read_is_left_alone() {
    for (errno, starts) in [(Errno::ACCESS, true), (Errno::IO, false)] {
        let disk = SimDisk::new(1);
        drop(recover(&disk).unwrap());
        // The first call looks at the directory, the second syncs what it is in.
        disk.fail_at(2, errno);
        assert_eq!(recover(&disk).is_ok(), starts, "{errno}");
    }
}
