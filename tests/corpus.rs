//! The inputs that the fuzzer has found, played against the code as it is: what once crashed does
//! so no more.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "fuzz/src/lib.rs"]
mod fuzz;

/// Returns the committed inputs of a target, in order.
fn inputs(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(dir).expect("a target has a corpus");
    let mut inputs: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    inputs.sort();
    inputs
}

#[test]
fn every_committed_input_passes() {
    for (target, run) in fuzz::TARGETS {
        let inputs = inputs(target);
        assert!(inputs.len() > 10, "{target} has a corpus of {} inputs", inputs.len());
        for path in inputs {
            let input = std::fs::read(&path).expect("an input can be read");
            if catch_unwind(|| run(&input)).is_err() {
                panic!("{target} fails with {}", path.display());
            }
        }
    }
}
