//! How long one durable append takes, and whether segments are still prepared in the way that keeps
//! it short.
//!
//! Four contenders, in turns, each round in new files, so that whatever else the disk has to do
//! falls on all:
//!
//! - `aof`: append to a growing file, then fdatasync; what Redis does with `appendfsync always`.
//!   All ratios are to it.
//! - `log`: our log.
//! - `restarted`: our log after it was closed and opened again, its segment read from disk.
//! - `1 MiB`: our log, but its segment was filled with writes of 1 MiB instead of 4 KiB. The trap:
//!   the page cache then holds large folios, and a sync writes a whole one back. If this is not
//!   slower than `log`, the kernel has changed; if `log` is as slow as this, somebody has changed
//!   how segments are prepared.
//!
//! On a busy machine the median is that of waiting for a processor; look at the tenth percentile
//! there.
//!
//! `cargo bench --bench log`, with `BENCH_DIR` to say on which disk.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use raftkv_storage::types::{Entry, EntryId, Payload};
use raftkv_storage::wal::{Record, Wal, WalOptions};

const ROUNDS: usize = 6;
const SAMPLES: usize = 250;
const NAMES: [&str; 4] = ["aof", "log", "restarted", "1 MiB"];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let base = std::env::var_os("BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    println!("append + sync of one entry in {}, {ROUNDS} rounds of {SAMPLES}", base.display());
    for bytes in [200, 4096] {
        let mut samples: [Vec<Duration>; NAMES.len()] = Default::default();
        for _ in 0..ROUNDS {
            for (name, samples) in NAMES.iter().zip(&mut samples) {
                let dir = tempfile::tempdir_in(&base)?;
                match *name {
                    "aof" => append_to_file(dir.path(), bytes, samples)?,
                    name => append_to_log(dir.path(), name, bytes, samples)?,
                }
            }
        }
        report(bytes, &mut samples);
    }
    stream(&base)
}

/// Writes through several segments in one go: what it costs others that the next one is prepared
/// meanwhile.
fn stream(base: &Path) -> Result<()> {
    const BYTES: usize = 64 * 1024;
    let dir = tempfile::tempdir_in(base)?;
    let mut wal = Wal::open(dir.path(), WalOptions::new("A".parse()?))?.0;
    let payload = Payload::Command(vec![0x5a; BYTES].into());
    let mut samples = Vec::new();
    for index in 1..=3200 {
        let entry = Entry { id: EntryId { term: 1, index }, payload: payload.clone() };
        let start = Instant::now();
        wal.append(&[Record::Entry(&entry)])?;
        wal.sync()?;
        samples.push(start.elapsed());
    }
    let total: Duration = samples.iter().sum();
    samples.sort_unstable();
    let [p50, p99, max] = [50, 99, 100].map(|percent| samples[(samples.len() - 1) * percent / 100]);
    let rate = (samples.len() * BYTES) as f64 / total.as_secs_f64() / 1e6;
    println!("200 MiB through 4 segments, 64 KiB at a time: {rate:.0} MB/s");
    println!("  p50 {p50:?}, p99 {p99:?}, longest {max:?}");
    Ok(())
}

fn append_to_file(dir: &Path, bytes: usize, samples: &mut Vec<Duration>) -> Result<()> {
    let mut file = File::create(dir.join("aof"))?;
    let payload = vec![0x5a; bytes];
    for _ in 0..SAMPLES {
        let start = Instant::now();
        file.write_all(&payload)?;
        file.sync_data()?;
        samples.push(start.elapsed());
    }
    Ok(())
}

fn append_to_log(dir: &Path, name: &str, bytes: usize, samples: &mut Vec<Duration>) -> Result<()> {
    let options = WalOptions::new("A".parse()?);
    let mut wal = Wal::open(dir, options.clone())?.0;
    if name != "log" {
        drop(wal);
        wal = Wal::open(dir, options)?.0;
    }
    if name == "1 MiB" {
        fill_with_large_writes(dir)?;
    }
    let payload = Payload::Command(vec![0x5a; bytes].into());
    for index in 1..=SAMPLES as u64 {
        let entry = Entry { id: EntryId { term: 1, index }, payload: payload.clone() };
        let start = Instant::now();
        wal.append(&[Record::Entry(&entry)])?;
        wal.sync()?;
        samples.push(start.elapsed());
    }
    Ok(())
}

/// Drops the segment from the page cache and writes its zeros once more.
fn fill_with_large_writes(dir: &Path) -> Result<()> {
    const LARGE: usize = 1024 * 1024;
    let segment = std::fs::read_dir(dir)?.next().ok_or("a log has a segment")??.path();
    let file = OpenOptions::new().write(true).open(segment)?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    let zeros = vec![0; LARGE];
    for offset in (LARGE as u64..file.metadata()?.len()).step_by(LARGE) {
        file.write_all_at(&zeros, offset)?;
    }
    file.write_all_at(&zeros[4096..], 4096)?;
    file.sync_all()?;
    Ok(())
}

fn report(bytes: usize, samples: &mut [Vec<Duration>; NAMES.len()]) {
    samples.iter_mut().for_each(|samples| samples.sort_unstable());
    let at = |samples: &[Duration], percent: usize| {
        samples[(samples.len() - 1) * percent / 100].as_secs_f64() * 1e6
    };
    println!("{bytes:>4} bytes     p10 µs   p50 µs   p99 µs   p10 to aof   p50 to aof");
    for (name, sorted) in NAMES.iter().zip(samples.iter()) {
        let [p10, p50, p99] = [10, 50, 99].map(|percent| at(sorted, percent));
        let [low, middle] = [p10 / at(&samples[0], 10), p50 / at(&samples[0], 50)];
        println!("  {name:<10} {p10:>8.1} {p50:>8.1} {p99:>8.1} {low:>12.2} {middle:>12.2}");
    }
}
