//! A raftkv cluster against Redis and etcd, in turns, on this machine, under the same loads.
//!
//! `cargo bench --bench compare` needs `redis-server` and `redis-benchmark` on the PATH; `etcd` is
//! left out where it is not installed. On a machine that other work shares, only the ratios mean
//! something. See [`Options`] for what can be said after `--`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod clients;
#[allow(dead_code, reason = "the steady bench looks at single answers")]
mod load;
mod machine;
mod options;
mod pacer;
#[allow(dead_code, reason = "the steady bench stops and starts nodes")]
mod peers;
mod plot;
#[path = "../../tests/process/mod.rs"]
mod process;
#[allow(dead_code, reason = "the simulator draws more from it")]
#[path = "../../tests/simulation/random.rs"]
mod random;
mod redis_benchmark;
mod report;
mod sweep;
mod tables;

use std::error::Error;
use std::fs;

use clap::Parser;
use machine::Machine;
use options::{Options, Part, PartName};
use report::{Row, Table};
use serde_json::{Value as Json, json};

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let options = Options::parse();
    let machine = Machine::this()?;
    println!("{}\n", machine.sentence());
    let mut tables = Vec::new();
    for part in options.parts() {
        let table = measure(part, &options)?;
        println!("{}", table.markdown());
        // After each part, so that one that fails costs nothing of those before it.
        write_results(&options, &machine, &table)?;
        tables.push(table);
    }
    eprintln!("results are in {}", options.results.display());
    let collapsed: Vec<String> =
        tables.iter().flat_map(|table| &table.rows).filter_map(Row::collapsed).collect();
    if options.check && !collapsed.is_empty() {
        return Err(format!("collapsed: {}", collapsed.join("; ")).into());
    }
    Ok(())
}

fn measure(part: Part, options: &Options) -> Fallible<Table> {
    match part {
        Part::Table(PartName::RedisBenchmark) => {
            let systems = options.redis_systems();
            redis_benchmark::table(&systems, options.rounds(), options.requests)
        }
        Part::Table(PartName::Rates) => tables::rates(options.rounds(), options.seconds),
        Part::Table(PartName::Latency) => tables::latency(options.rounds(), options.seconds),
        Part::Sweep(name) => sweep::table(name, options),
    }
}

/// Writes a table's text and picture, and the table into `results.json`, where others are kept.
fn write_results(options: &Options, machine: &Machine, table: &Table) -> Fallible<()> {
    let dir = &options.results;
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let text = format!("{}\n{}.\n", table.markdown(), machine.sentence());
    fs::write(dir.join(format!("{}.md", table.name)), text)?;
    if let Some(axis) = table.axis {
        let path = dir.join(format!("{}.svg", table.name));
        plot::write(table, axis, &machine.sentence(), &path)?;
    }
    let path = dir.join("results.json");
    let known: Json = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| format!("{} is none of ours: {error}", path.display()))?,
        Err(_) => Json::Null,
    };
    let mut tables = known.as_object().cloned().unwrap_or_default();
    let result = json!({
        "machine": machine.json(),
        "rounds": options.rounds(),
        "seconds": options.seconds,
        "table": table.json(),
    });
    tables.insert(table.name.to_owned(), result);
    // A line for each table.
    let lines = tables.iter().map(|(name, table)| format!("{}: {table}", json!(name)));
    fs::write(path, format!("{{\n{}\n}}\n", lines.collect::<Vec<_>>().join(",\n")))?;
    Ok(())
}
