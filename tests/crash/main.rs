//! Crashes, errors and rot on a simulated disk under the real log, snapshots and data directory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod crashes;
#[path = "../simulation/disk/mod.rs"]
mod disk;
mod errors;
mod install;
mod life;
mod model;
mod rot;
mod script;
