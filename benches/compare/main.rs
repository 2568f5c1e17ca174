//! A raftkv cluster against Redis and etcd, in turns, on this machine, under the same loads.
//!
//! `cargo bench --bench compare` needs `redis-server` and `redis-benchmark` on the PATH; `etcd` is
//! left out where it is not installed. On a machine that other work shares, only the ratios mean
//! something. See [`Options`] for what can be said after `--`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod clients;
mod load;
mod machine;
mod options;
mod pacer;
mod peers;
mod plot;
#[path = "../../tests/process/mod.rs"]
mod process;
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
use serde_json::json;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let options = Options::parse();
    let machine = Machine::this()?;
    println!("{}\n", machine.sentence());
    let mut tables = Vec::new();
    for part in options.parts() {
        let table = measure(part, &options)?;
        println!("{}", table.markdown());
        tables.push(table);
        // After each part, so that one that fails costs nothing of those before it.
        write_results(&options, &machine, &tables)?;
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

fn write_results(options: &Options, machine: &Machine, tables: &[Table]) -> Fallible<()> {
    let dir = &options.results;
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let results = json!({
        "machine": machine.json(),
        "rounds": options.rounds(),
        "seconds": options.seconds,
        "tables": tables.iter().map(Table::json).collect::<Vec<_>>(),
    });
    fs::write(dir.join("results.json"), serde_json::to_string_pretty(&results)? + "\n")?;
    let texts: Vec<String> = tables.iter().map(Table::markdown).collect();
    let text = format!("{}\n\n{}", machine.sentence(), texts.join("\n"));
    fs::write(dir.join("results.md"), text)?;
    for table in tables {
        if let Some(axis) = table.axis {
            let path = dir.join(format!("{}.svg", table.name));
            plot::write(table, axis, &machine.sentence(), &path)?;
        }
    }
    Ok(())
}
